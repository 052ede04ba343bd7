/* Rows of one size after another: what a larger object costs. */
#ifndef BENCH_ROWS_SIZE_H
#define BENCH_ROWS_SIZE_H

#define SIZE_N 8u /* outstanding */

/* Large objects are few, since some allocators ask the system for each. */
static unsigned
size_rounds(size_t size)
{
    return size <= 4096 ? STEPS / 4 : size <= 65536 ? STEPS / 16 : STEPS / 256;
}

/* Take one, then give back the oldest.  Nobody writes to them: clearing the
 * memory would hide what the allocator does. */
static void
size_steps(peer p, size_t size)
{
    unsigned rounds = size_rounds(size);
    unsigned i;

    for (i = 0; i < rounds; i++) {
        void **oldest = &live[i % SIZE_N];
        void  *object = peer_alloc(p, size);

        USE(object);
        peer_free(p, *oldest, size);
        *oldest = object;
        COMPLETE();
    }
}

static void
run_size(const row *r)
{
    size_t size = r->n;
    stock  s;
    peer   p;

    s.smallest = size;
    s.largest = size;
    s.each = 4 * SIZE_N;
    s.bytes = 4 * SIZE_N * size + (16u << 20);
    p = peer_prepare(&s);
    fill_live(FROM_HEAP(p, size, UNSIZED), SIZE_N);
    REPEAT(r, "ns", size_rounds(size), size_steps(p, size));
}

#define ROWS_SIZE \
    { "size_16", run_size, 16 }, \
    { "size_64", run_size, 64 }, \
    { "size_256", run_size, 256 }, \
    { "size_1k", run_size, 1 << 10 }, \
    { "size_4k", run_size, 4 << 10 }, \
    { "size_16k", run_size, 16 << 10 }, \
    { "size_64k", run_size, 64 << 10 }, \
    { "size_256k", run_size, 256 << 10 }, \
    { "size_1m", run_size, 1 << 20 }, \
    { "size_4m", run_size, 4 << 20 }

#endif /* BENCH_ROWS_SIZE_H */
