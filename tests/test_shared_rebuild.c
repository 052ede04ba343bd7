/* test_shared_rebuild.c - what a clean-up computes anew from what is certain
 *
 * All else may be anything when members have died: the tests write nonsense there,
 * and find what was there before, word by word; or they say in whose hands each
 * object is, and find free what no living member has.  The heap has all there is:
 * gaps between its regions, parked objects of all kinds, pools with and without
 * slabs, and a window that begins in its middle.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#define FPHEAP_CHUNK_SHIFT 16
#define FPHEAP_PAGE_SHIFT  12
#define FPHEAP_MAGAZINE    64
#define FPHEAP_HEADER      1
#include "reports.h"

#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "shared_util.h"

/* Leave no zeros on the stack for those who count on them. */
static void __attribute__((noinline))
spoil_the_stack(void)
{
    volatile char bytes[16 * TEST_KIB];
    size_t        i;

    for (i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)0xe5;
}

/* --- all anew ------------------------------------------------------------- */

#define CHUNKS 128             /* of a full partition */

/* Make one in which the window begins in the middle, and whose first group is
 * one that the partition's end is in too. */
static fpheap *
create_askew(void)
{
    fpheap_partition desc = partition_of(CHUNKS * FPHEAP_CHUNK);
    fpheap          *heap = fpheap_open(name, &desc, FPHEAP_CREATE);

    NEED(heap != NULL);
    desc.address = heap->partition->base
                 - (CHUNKS - FPH_GROUP - 1) * FPHEAP_CHUNK;
    NEED(fpheap_close(heap) == 0 && fpheap_unlink(name, NULL) == 0);
    heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    NEED(heap != NULL && heap->state->mask + 1 == CHUNKS * FPH_PAGES);
    return heap;
}

static fph_slab *
record_of(const fpheap *heap, const void *object)
{
    return fph_record_of(heap->state, object);
}

/* Make a pool of this name for objects of 200 bytes. */
static fpheap_pool *
pool_of(fpheap *heap, const char *called, fpheap_pool_desc desc)
{
    desc.name = called;
    desc.size = 200;
    return fpheap_pool_create(heap, &desc);
}

/* Pools: with objects, kept, without any, and one that is no more; all but the
 * last have numbers that others had. */
static fpheap_pool *pools[4];

static void
make_pools(fpheap *heap)
{
    static const char *const names[] = { "used", "kept", "empty", "gone" };
    fpheap_pool_desc         desc    = described("x", 200, 0);
    unsigned                 i;

    for (i = 0; i < 3; i++)
        NEED((pools[i] = pool_of(heap, names[i], desc)) != NULL);
    for (i = 0; i < 3; i++)
        NEED(fpheap_pool_destroy(pools[i], NULL) == 0);
    for (i = 0; i < 4; i++) {
        desc.min = i == 1 ? 10 : 0;
        desc.max = 1000;
        NEED((pools[i] = pool_of(heap, names[i], desc)) != NULL);
        NEED(pools[i]->number == i);
    }
    NEED(fpheap_pool_destroy(pools[3], NULL) == 0);
    NEED(fpheap_pool_get(pools[0]) != NULL && fpheap_pool_get(pools[0]) != NULL);
}

static int
by_address(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;

    return (x > y) - (x < y);
}

/* A size of which a slab takes one page. */
static size_t
size_of_a_page(const fpheap *heap)
{
    size_t size = 8;

    while (fph_bin_class(heap->state, fph_class_of(size))->pages != 1)
        size += 8;
    return size;
}

/* In a full heap, the last chunk begins with a slab. */
static void
end_in_a_slab(fpheap *heap, unsigned n)
{
    char    *last = heap->partition->base + heap->bytes - FPHEAP_CHUNK;
    size_t   size = size_of_a_page(heap);
    char    *object;
    unsigned i;

    qsort(objects, n, sizeof *objects, by_address);
    fpheap_free(heap, objects[n - 1]);
    fpheap_flush(heap);
    for (i = 0, object = NULL; i < 10000 && object < last; i++)
        NEED((object = (char *)fpheap_alloc(heap, size)) != NULL);
    NEED(record_of(heap, object)->page == fph_page_of(heap->state, last));
    objects[n - 1] = object;
}

/* Fill a heap, and free some of it, so that its regions have gaps, and others of
 * its chunks free pages; and use what is free for small objects. */
static void
use_in_all_ways(fpheap *heap)
{
    static const size_t sizes[] = { 8, 100, 100, 1000, 1000, 3000 };
    unsigned n = fill_heap(heap, FPHEAP_CHUNK - FPH_HEAD), i, j;
    void    *own[200];

    NEED(n > 60 && n < 200);
    end_in_a_slab(heap, n);
    for (i = 10; i < n - 5; i++)
        if (i / 8 % 2 != 0)
            fpheap_free(heap, objects[i]);
    fpheap_flush(heap);
    (void)fpheap_trim(heap);
    make_pools(heap);
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        for (j = 0; j < 200; j++)
            NEED((own[j] = fpheap_alloc_tagged(heap, sizes[i], i % 2)) != NULL);
        for (j = 0; j < 200; j += 1 + (i == 2))
            fpheap_free(heap, own[j]);
    }
    fpheap_free(heap, objects[n - 2]); /* which is parked */
    NEED(fpheap_self(heap)->large != NULL);
}

/* What is the same before and after, by chunk and page. */
typedef struct picture {
    fph_chunk    chunks[CHUNKS];
    uint64_t     free[CHUNKS];
    uint16_t     map[CHUNKS * FPH_PAGES];
    uint8_t      taken[CHUNKS + 1];
    char        *meta[FPH_TABLE_MAX];
    uint64_t     pool_is[FPHEAP_MAX_POOLS];
    uint64_t     region_bytes, backing_bytes[4], left, empty_pages;
    size_t       file;
    fpheap_stats stats;
    fpheap_pool  pools[3];
} picture;

static void
take_picture(fpheap *heap, picture *to)
{
    const fph_state *s = heap->state;
    unsigned         i;

    memset(to, 0, sizeof *to);
    memcpy(to->chunks, s->chunks, sizeof to->chunks);
    memcpy(to->free, s->free, sizeof to->free);
    memcpy(to->map, s->map, sizeof to->map);
    memcpy(to->taken, heap->partition->taken, sizeof to->taken);
    memcpy(to->meta, s->meta, sizeof to->meta);
    memcpy(to->pool_is, s->pool_is, sizeof to->pool_is);
    to->region_bytes = s->region_bytes;
    memcpy(to->backing_bytes, s->backing_bytes, sizeof to->backing_bytes);
    to->left = s->left;
    to->empty_pages = s->empty_pages;
    to->file = file_bytes();
    fpheap_stats_get(heap, &to->stats);
    for (i = 0; i < 3; i++)
        memcpy(&to->pools[i], s->pool[i], sizeof to->pools[i]);
}

/* But for what depots and magazines had. */
static void
need_same(const picture *a, const picture *b)
{
    assert_memory_equal(a->chunks, b->chunks, sizeof a->chunks);
    assert_memory_equal(a->free, b->free, sizeof a->free);
    assert_memory_equal(a->map, b->map, sizeof a->map);
    assert_memory_equal(a->taken, b->taken, sizeof a->taken);
    assert_memory_equal(a->meta, b->meta, sizeof a->meta);
    assert_memory_equal(a->pool_is, b->pool_is, sizeof a->pool_is);
    assert_true(a->region_bytes == b->region_bytes);
    assert_memory_equal(a->backing_bytes, b->backing_bytes,
                        sizeof a->backing_bytes);
    assert_true(a->left == b->left && a->file == b->file);
    assert_int_equal(a->stats.live_objects, b->stats.live_objects);
    assert_int_equal(a->stats.live_bytes, b->stats.live_bytes);
}

/* All is done anew by a cleaner that is the next. */
static void
rebuild(fpheap *heap, const uint8_t *dead, unsigned frees)
{
    fph_partition *p = heap->partition;

    p->cleaner = ++p->came * FPH_CLEANER | (heap->member + 1) | FPH_REBUILDING;
    fph_rebuild_all(heap, dead, frees);
    p->cleaner = 0;
}

/* Which members are dead, and what stands in front of them. */
typedef struct who {
    uint8_t front[8], dead[FPH_MEMBERS];
} who;

static const who nobody = { { 1, 1, 1, 1, 1, 1, 1, 1 }, { 0 } };

/* Records of a kind in the heap, or in a stack of those that nobody uses. */
static unsigned
count_made(const fph_state *s, unsigned kind, size_t made)
{
    uint32_t ref = (uint32_t)s->made[kind];
    unsigned n   = 0;

    for (; ref != 0; n++)
        ref = ((fph_link *)(void *)(fph_meta_at(s, ref) + made))->next;
    return n;
}

static unsigned
count_stack(const fph_state *s, fph_word stack)
{
    const fph_link *link = fph_stack_top(s, &stack);
    unsigned        n    = 0;

    for (; link != NULL && n < 100000; n++)
        link = fph_stack_below(s, link);
    return n;
}

/* Magazines that this thread has. */
static unsigned
count_own(fpheap *heap)
{
    const fpheap_cache *cache = fpheap_self(heap);
    unsigned            i, n  = 0;

    for (i = 0; i < heap->bins; i++)
        n += (cache->spare[i] != NULL)
           + (cache->bins[i].base != NULL
              && !fph_is_short(fph_magazine_of(cache->bins[i].base)));
    return n;
}

/* What no chunk and no living thread has is in the stacks, each of it once. */
static void
need_stacked(fpheap *heap)
{
    const fph_state *s       = heap->state;
    unsigned         records = 0, i;

    for (i = 0; i < CHUNKS; i++)
        records += s->chunks[i].records != NULL;
    assert_int_equal(count_stack(s, s->records.word) + records,
                     count_made(s, 0, offsetof(fph_records, made)));
    assert_int_equal(count_stack(s, s->empty[0].word) + count_own(heap),
                     count_made(s, 1, offsetof(fph_magazine, made)));
    for (i = 0; i < heap->bins; i++)
        NEED((uint32_t)s->depots[i].full == 0);
}

/* The regions are the runs of chunks that are here, in their order. */
static void
need_regions(const fpheap *heap)
{
    const fph_state *s = heap->state;
    fpheap_region    raw;
    size_t           i, n = 0, from;
    const uint8_t   *taken = heap->partition->taken;

    for (i = 0; i < CHUNKS; i++) {
        if (!taken[i])
            continue;
        for (from = i; i < CHUNKS && taken[i];)
            i++;
        memset(&raw, 0, sizeof raw);
        raw.base = heap->partition->base + from * FPHEAP_CHUNK;
        raw.bytes = (i - from) * FPHEAP_CHUNK;
        assert_memory_equal(&s->region[n].raw, &raw, sizeof raw);
        assert_true(s->region[n].used == 1 && s->region[n].shown == FPH_HERE);
        n++;
    }
    assert_true(n > 3 && s->regions == n);
    for (; n < s->regions_max; n++)
        assert_true(s->region[n].used == 0 && s->region[n].shown == 0);
}

static fph_chunk *
chunk_at(const fpheap *heap, size_t i)
{
    const char *at = heap->partition->base + i * FPHEAP_CHUNK;

    return &heap->state->chunks[fph_page_of(heap->state, at) >> FPH_PAGE_BITS];
}

/* What follows from all else is anything. */
static void
spoil(fpheap *heap)
{
    fph_state *s     = heap->state;
    uint64_t   wrong = UINT64_C(0x123456789abcdef1);
    fph_chunk *chunk;
    size_t     i;

    s->growing = s->moves_stuck = s->lost = s->empty_pages = 9;
    s->moves_begun += 3;
    s->region_bytes = s->left = s->regions = wrong;
    for (i = 0; i < s->regions_max; i++)
        s->region[i].used = s->region[i].shown = wrong;
    memset(s->backing_bytes, 1, sizeof s->backing_bytes);
    memset(s->cursor, 1, sizeof s->cursor);
    for (i = 0; i < CHUNKS; i++) {
        s->free[i] ^= wrong;
        s->chunks[i].meta ^= wrong;
        if (heap->partition->taken[i])
            continue;
        chunk = chunk_at(heap, i);
        chunk->base = (char *)heap; /* it was coming, or going */
        chunk->records = (fph_records *)(void *)heap;
        heap->partition->taken[i] = (uint8_t)(i % 2);
    }
    for (i = 0; i < CHUNKS * FPH_PAGES; i++)
        if (s->chunks[i / FPH_PAGES].present != 0)
            s->map[i] ^= (uint16_t)wrong;
    for (i = 0; i < heap->bins; i++)
        s->depots[i].full = s->depots[i].partial = wrong;
    s->empty[0].word = s->records.word = wrong;
}

/* The same of slabs and pools. */
static void
spoil_counts(fpheap *heap)
{
    fph_state *s  = heap->state;
    size_t     at = 0;
    fph_slab  *record;
    unsigned   i;

    while ((record = fph_record_next(s, &at)) != NULL)
        record->state = 12345;
    for (i = 0; i < 4; i++) {
        s->pool[i]->slabs += 7;
        s->pool[i]->objects += 77;
        s->pool[i]->quota += 777;
        s->pool[i]->ending = 1;
    }
    s->pool_is[0] += FPH_POOL_NAMED - FPH_POOL_READY; /* it was to end, */
    s->pool_is[3] += FPH_POOL_WANTS - FPH_POOL_FREE;  /* and this one to begin */
    s->meta_numbers = FPH_TABLE_MAX + 5; /* of which one was to be a block */
    s->meta[fph_meta_block(s) + 1] = (char *)heap;
}

/* The pages of slabs of which all objects are free, but of pools that keep
 * theirs. */
static size_t
count_empty_pages(const fph_state *s)
{
    size_t          at = 0, n = 0;
    const fph_slab *slab;

    while ((slab = fph_record_next(s, &at)) != NULL) {
        size_t             count = fph_info_count(slab->info);
        const fpheap_pool *pool  = fph_bin_pool(s, fph_info_bin(slab->info));

        if (fph_info_kind(slab->info) == FPH_SLAB
            && fph_slab_bits(slab) == count && (pool == NULL || !pool->keeps))
            n += (count * slab->size + FPHEAP_PAGE - 1) / FPHEAP_PAGE;
    }
    return n;
}

static void
need_counts(const fpheap *heap, const picture *was)
{
    const fph_state *s = heap->state;
    unsigned         i;

    assert_true(s->growing == 0 && s->moves_stuck == 0 && s->lost == 0);
    assert_true(s->moves_ended == s->moves_begun);
    assert_true(s->empty_pages == was->empty_pages && s->empty_pages != 0);
    assert_true(s->empty_pages == count_empty_pages(s));
    for (i = 0; i < 3; i++) {
        NEED(s->pool[i]->slabs == was->pools[i].slabs);
        NEED(s->pool[i]->objects == was->pools[i].objects);
        NEED(s->pool[i]->quota == was->pools[i].quota);
        NEED(s->pool[i]->quota >> 32 == 1000);
        NEED(s->pool[i]->ending == 0);
    }
    NEED(s->pool[0]->slabs == 1 && s->pool[2]->slabs == 0);
    NEED(s->pool[0]->objects == fph_info_count(
             fph_info_of(s, objects[MOST - 1])));
    for (i = 0; i < TEST_COUNT(s->cursor[0]); i++)
        NEED(s->cursor[0][i] == 0);
}

static void
all_is_computed_from_what_is_certain(void **state)
{
    static picture before, after, again;
    fpheap        *heap = create_askew();
    fph_state     *s    = heap->state;
    uint64_t       numbers;

    (void)state;
    use_in_all_ways(heap);
    fpheap_set_limit(heap, CHUNKS * FPHEAP_CHUNK);
    objects[MOST - 1] = fpheap_pool_get(pools[0]);
    NEED_SOUND(heap);
    NEED(heap->partition->taken[CHUNKS - 1] == 1);
    take_picture(heap, &before);
    rebuild(heap, nobody.dead, 0);
    NEED_SOUND(heap);
    take_picture(heap, &after);
    need_same(&before, &after);
    need_stacked(heap);
    need_regions(heap);
    need_counts(heap, &after);
    numbers = s->meta_numbers;
    spoil_counts(heap);
    spoil(heap);
    spoil_the_stack();
    rebuild(heap, nobody.dead, 0);
    s->meta_numbers = numbers;
    NEED_SOUND(heap);
    take_picture(heap, &again);
    need_same(&after, &again);
    need_stacked(heap);
    need_regions(heap);
    need_counts(heap, &after);
    assert_int_equal(fpheap_close(heap), 0);
}

/* --- what the dead had ---------------------------------------------------- */

/* Whose an object is, and whether it is live. */
enum { MINE, DEADS, LATE, HELD, DROPPED, NOBODYS, KINDS };

#define DEAD_PLACE 5u

static uint8_t dead_one[FPH_MEMBERS];

static int
do_nothing(void *arg, void *object)
{
    (void)arg, (void)object;
    return 0;
}

static void
end_nothing(void *arg, void *object)
{
    (void)arg, (void)object;
}

/* Small objects, of which the first of each slab is free; larger ones, of
 * several pages; and those of pools that know what is in them, or half of it, or
 * do not.  Returns how many. */
static unsigned
allocate_all(fpheap *heap)
{
    fpheap_pool_desc desc = described("x", 200, 0);
    char             called[2] = "a";
    fpheap_pool     *pool;
    unsigned         i, n = 0, firsts = 0;

    for (i = 0; i < 2 * 300; i++) {
        void *object = i < 300 ? fpheap_alloc_tagged(heap, 1 + i % 8, 1)
                     : i < 340 ? fpheap_alloc_tagged(heap, 33000 + i, 2)
                               : fpheap_alloc_tagged(heap, 3000, 3);

        NEED(object != NULL);
        if (i < 300 && record_of(heap, object)->base == object)
            others[firsts++] = object;
        else
            objects[n++] = object;
    }
    fpheap_free_bulk(heap, others, firsts);
    fpheap_flush(heap);
    for (i = 0; i < 4; i++, called[0]++) {
        desc.construct = i % 2 ? do_nothing : NULL;
        desc.destruct = i / 2 ? end_nothing : NULL;
        pool = pool_of(heap, called, desc);
        NEED(pool != NULL);
        NEED(fpheap_pool_get_bulk(pool, objects + n, KINDS) == 0);
        n += KINDS;
    }
    return n;
}

/* Make an object what its kind says. */
static void
put_in_hands(const fpheap *heap, void *object, unsigned kind)
{
    static const unsigned live[] = { 1, 1, 1, 0, 0, 0 };
    const fph_member     *member = &heap->partition->member[DEAD_PLACE];
    fph_member            before = *member;
    fph_head             *head   = fph_head_of(object);
    uint32_t              dead   = fph_owner_number(member, DEAD_PLACE);

    before.is--;
    head->hold.half[0] = live[kind];
    head->hold.half[1] = kind == DEADS || kind == DROPPED ? dead
                       : kind == LATE ? fph_owner_number(&before, DEAD_PLACE)
                       : kind == NOBODYS ? 0 : head->hold.half[1];
}

static int
is_free(const fpheap *heap, const void *object)
{
    const fph_slab *record = record_of(heap, object);
    uint64_t        info   = fph_info_load(record);
    size_t          i;

    if (fph_info_kind(info) != FPH_SLAB)
        return info == 0;
    i = (size_t)((const char *)object - record->base) / record->size;
    return (int)(record->bits[i / 64] >> i % 64 & 1);
}

/* Make a heap of which this process is the member at another place than the
 * first. */
static fpheap *
create_at_place_9(void)
{
    fpheap     *heap   = create_askew();
    fph_member *member = heap->partition->member;

    fph_slot_of(fpheap_self(heap))->owner = 9 + 1;
    member[9] = member[0];
    memset(&member[0], 0, sizeof member[0]);
    NEED(fph_lock(heap, 9, F_OFD_SETLK, F_WRLCK));
    fph_lock(heap, 0, F_OFD_SETLK, F_UNLCK);
    heap->member = 9;
    heap->taken = &member[9].taken;
    fph_owner_begin(heap, fph_owner_number(&member[9], 9));
    return heap;
}

/* The objects of these kinds are free, and no others; of pools that know what is
 * in them none that was live.  Returns how many. */
static size_t
need_free(const fpheap *heap, unsigned n, unsigned kinds)
{
    unsigned i;
    size_t   all = 0;

    for (i = 0; i < n; i++) {
        int known = i >= n - 3 * KINDS && i % KINDS == DEADS;
        int free  = is_free(heap, objects[i]);

        NEED(free == (int)((kinds >> i % KINDS & 1) && !known));
        NEED(!free || fph_head_of(objects[i])->hold.both == 0);
        all += (size_t)free;
    }
    return all;
}

/* Objects and bytes with each tag. */
typedef struct tally {
    fpheap_tag_stats tags[4];
} tally;

static tally
tally_of(fpheap *heap)
{
    tally    it;
    unsigned i;

    memset(&it, 0, sizeof it);
    for (i = 0; i < TEST_COUNT(it.tags); i++)
        NEED(fpheap_tag_stats_get(heap, i, &it.tags[i]) == 0);
    return it;
}

/* The tags have what they had, but for what is free now and was live. */
static void
need_tallied(fpheap *heap, tally was, unsigned n)
{
    tally    is = tally_of(heap);
    unsigned i;

    for (i = 0; i < n; i++)
        if (i % KINDS == DEADS && is_free(heap, objects[i])) {
            fpheap_tag_stats *tag = &was.tags[fpheap_tag(objects[i])];

            tag->objects--;
            tag->bytes -= fpheap_requested(objects[i]);
        }
    for (i = 0; i < TEST_COUNT(is.tags); i++) {
        NEED(is.tags[i].objects == was.tags[i].objects);
        NEED(is.tags[i].bytes == was.tags[i].bytes);
    }
}

static void
objects_in_no_living_hand_are_free_and_on_request_what_the_dead_had(
    void **state)
{
    fpheap         *heap   = create_at_place_9();
    fph_partition  *p      = heap->partition;
    const unsigned  lost   = 1u << DROPPED | 1u << NOBODYS;
    unsigned        n      = allocate_all(heap), i;
    tally           before = tally_of(heap);
    size_t          found;

    (void)state;
    assert_int_equal(p->member[0].is, 0); /* whose number is nobody's */
    p->member[DEAD_PLACE].is = 33;
    dead_one[DEAD_PLACE] = 1;
    for (i = 0; i < n; i++)
        put_in_hands(heap, objects[i], i % KINDS);
    rebuild(heap, dead_one, 0);
    found = need_free(heap, n, lost);
    assert_true(p->objects == found);
    need_tallied(heap, before, n);
    rebuild(heap, dead_one, FPHEAP_FREE_DEAD);
    found = need_free(heap, n, lost | 1u << DEADS);
    assert_true(p->objects == found);
    need_tallied(heap, before, n);
    rebuild(heap, dead_one, FPHEAP_FREE_DEAD);
    assert_true(p->objects == found);
    p->member[DEAD_PLACE].is = 0;
    for (i = 0; i < n; i++)
        if (!is_free(heap, objects[i]))
            fph_head_of(objects[i])->hold.half[0] = 1;
    NEED_SOUND(heap);
    assert_int_equal(fpheap_close(heap), 0);
}

/* --- caches --------------------------------------------------------------- */

/* Park objects in all ways. */
static int
park_and_stay(peer *p, void *arg)
{
    fpheap  *heap = open_it();
    unsigned n    = 3 * FPHEAP_MAGAZINE / 2;

    (void)arg;
    fpheap_free(heap, fpheap_alloc(heap, 8));
    NEED(fpheap_alloc_bulk(heap, 100, objects, n) == 0);
    fpheap_free_bulk(heap, objects, n);
    NEED(fpheap_alloc_bulk(heap, 300, objects, n) == 0);
    fpheap_free_bulk(heap, objects, n);
    fpheap_free(heap, fpheap_alloc(heap, 40000));
    say_object(p, fpheap_self(heap));
    while (pause() != 0)
        ;
    return 0;
}

/* Nothing of what its thread had is left in a cache, but for the places of short
 * magazines, each of which is empty. */
static void
need_no_thread(fpheap *heap, fpheap_cache *cache, const uint32_t *small)
{
    unsigned i;

    NEED(cache->heap == heap && cache->large == NULL && cache->entry == NULL);
    NEED(fph_slot_of(cache)->owner == 0 && fph_slot_of(cache)->calls == 0);
    for (i = 0; i < heap->bins; i++) {
        const fph_bin *bin = &cache->bins[i];

        NEED(bin->next == NULL && bin->top == NULL && bin->base == NULL);
        NEED(bin->limit == NULL && cache->spare[i] == NULL);
        NEED(*fph_bin_small(cache, i) == small[i]);
        if (small[i] != 0)
            NEED(((fph_magazine *)fph_meta_at(heap->state, small[i]))->count
                 == 0);
    }
}

/* Its thread was loading a magazine, and had just unloaded another. */
static void
stop_in_a_load(fpheap_cache *cache)
{
    fph_bin *loads   = &cache->bins[fph_class_of(100)];
    fph_bin *unloads = &cache->bins[fph_class_of(300)];

    NEED(loads->base != NULL && unloads->base != NULL);
    loads->base = NULL;
    fph_magazine_set_count(fph_magazine_of(unloads->base),
                           (size_t)(unloads->top - unloads->base));
    unloads->base = NULL;
    unloads->limit = NULL;
}

static void
a_dead_threads_cache_parks_nothing_and_is_for_others(void **state)
{
    fpheap        *heap = create_askew();
    fph_partition *p    = heap->partition;
    uint32_t       small[FPH_CLASSES];
    fpheap_cache  *cache;
    fpheap_stats   s;
    unsigned       i, shorts = 0;
    peer           other;

    (void)state;
    assert_true(heap->bins <= FPH_CLASSES);
    fpheap_free(heap, fpheap_alloc(heap, 8));
    NEED(fpheap_reserve(heap, TEST_MIB, 0) == 0);
    peer_begin(&other, park_and_stay, NULL);
    cache = (fpheap_cache *)hear_object(&other);
    peer_kill(&other);
    assert_true(cache->large != NULL);
    cache->heap = heap;
    for (i = 0; i < heap->bins; i++)
        shorts += (small[i] = *fph_bin_small(cache, i)) != 0;
    assert_true(shorts > 0 && small[fph_class_of(8)] != 0);
    cache->heap = heap + 1;    /* the handle that the dead had */
    stop_in_a_load(cache);
    fph_slot_of(cache)->calls = 1;
    assert_int_equal(fpheap_recover(heap, 0), 1);
    need_no_thread(heap, cache, small);
    assert_true(p->threads == 1 && p->objects == 0);
    fpheap_stats_get(heap, &s);
    assert_int_equal(s.parked_objects, 1);
    close_empty(heap);
}

/* Whichever cache it is in. */
static void
a_large_object_that_a_living_thread_parks_stays_parked(void **state)
{
    fpheap       *heap = create_askew();
    fpheap_cache *own  = fpheap_self(heap), *last;
    fph_slab     *large;
    peer          other;

    (void)state;
    NEED(fpheap_reserve(heap, TEST_MIB, 0) == 0);
    peer_begin(&other, park_and_stay, NULL);
    last = (fpheap_cache *)hear_object(&other);
    peer_kill(&other);
    assert_int_equal(fpheap_recover(heap, 0), 1);
    fpheap_free(heap, fpheap_alloc(heap, 40000));
    large = own->large;
    assert_true(own != last && large != NULL);
    rebuild(heap, nobody.dead, 0);
    assert_int_equal(fph_info_kind(large->info), FPH_PARKED);
    own->large = NULL;
    last->large = large;
    rebuild(heap, nobody.dead, 0);
    assert_int_equal(fph_info_kind(large->info), FPH_PARKED);
    last->large = NULL;
    rebuild(heap, nobody.dead, 0);
    assert_int_equal(large->info, 0);
    assert_int_equal(heap->partition->threads, 1);
    close_empty(heap);
}

/* A cache without an owner is nobody's, whoever is dead; that of the first place
 * is of a member like the others. */
static void
a_cache_is_a_dead_threads_if_its_owner_is_dead(void **state)
{
    fpheap        *heap = create_at_place_9();
    fph_partition *p    = heap->partition;
    fpheap_cache  *last;
    who            first = nobody;
    peer           other;

    (void)state;
    NEED(fpheap_reserve(heap, TEST_MIB, 0) == 0);
    peer_begin(&other, park_and_stay, NULL);
    last = (fpheap_cache *)hear_object(&other);
    peer_kill(&other);
    first.dead[0] = 1;
    fph_slot_of(last)->owner = 1;
    rebuild(heap, nobody.dead, 0);
    assert_true(fph_slot_of(last)->owner == 1 && p->threads == 0);
    rebuild(heap, first.dead, 0);
    assert_true(fph_slot_of(last)->owner == 0 && p->threads == 1);
    rebuild(heap, first.dead, 0);
    assert_int_equal(p->threads, 1);
    assert_int_equal(fph_slot_of(fpheap_self(heap))->owner, 9 + 1);
    p->member[0].is = 0;
    close_empty(heap);
}

/* --- records -------------------------------------------------------------- */

/* Though there is a word in the place where the chunk would be that leads to
 * them. */
static void
records_of_a_chunk_that_the_window_does_not_have_are_unused(void **state)
{
    fpheap      *heap = create_askew();
    fph_state   *s    = heap->state;
    fph_records *records;
    char        *object;
    size_t       number;

    (void)state;
    object = fpheap_alloc(heap, FPHEAP_CHUNK);
    assert_true(object != NULL && object > (char *)s->chunks);
    number = (size_t)(object - (char *)s->chunks) / sizeof *s->chunks + 1;
    assert_true(number > s->mask >> FPH_PAGE_BITS && number < s->mask);
    fpheap_free(heap, fpheap_alloc(heap, 100));
    records = fph_records_make(heap, 0);
    assert_non_null(records);
    records->chunk = number;
    s->chunks[number].records = records;
    rebuild(heap, nobody.dead, 0);
    need_stacked(heap);
    fpheap_free(heap, object);
    close_empty(heap);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED_TEST(all_is_computed_from_what_is_certain),
        SHARED_TEST(
            objects_in_no_living_hand_are_free_and_on_request_what_the_dead_had),
        SHARED_TEST(a_dead_threads_cache_parks_nothing_and_is_for_others),
        SHARED_TEST(a_large_object_that_a_living_thread_parks_stays_parked),
        SHARED_TEST(a_cache_is_a_dead_threads_if_its_owner_is_dead),
        SHARED_TEST(
            records_of_a_chunk_that_the_window_does_not_have_are_unused),
    };

    return cmocka_run_group_tests_name("shared_rebuild", tests, NULL, NULL);
}
