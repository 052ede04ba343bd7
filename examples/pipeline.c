/* pipeline.c - receive, work, send: packets of mixed sizes cross three threads
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     receive --[ring]--> work --[ring]--> send
 *     allocates           reads, writes    checks, frees
 *
 *     cc -O2 pipeline.c -o pipeline -pthread && ./pipeline [seconds]
 *
 * What one thread allocates another frees, which is the hard case for a heap
 * with caches per thread: without an exchange between them the sender's would
 * grow for ever and the receiver's stay empty.  Watch the column "memory".
 */
#define FPHEAP_IMPLEMENTATION
#include "../fpheap.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BURST      = 32,           /* packets that move together */
    RING_SLOTS = 1024,         /* a power of two */
    KINDS      = 3,            /* of packets, by size */
    LINE       = 64            /* bytes in a cache line */
};

/* IMIX: of twelve packets seven are short, four medium and one is long. */
static const uint16_t kind_bytes[KINDS] = { 64, 594, 1518 };
static const uint8_t  imix[12] = { 0, 1, 0, 1, 0, 2, 0, 1, 0, 1, 0, 0 };

typedef struct packet {
    uint64_t sequence;
    uint16_t bytes;            /* of the whole packet, this header included */
    uint16_t hops;
    uint32_t sum;              /* of sequence, bytes and hops */
} packet;

/*
 * A ring with one producer and one consumer.  Positions only grow; a slot is
 * position modulo RING_SLOTS, and full is tail + RING_SLOTS == head.
 *
 *     head  written by the producer with release, read by the consumer with
 *           acquire: whoever sees the position sees all slots and packets
 *           before it
 *     tail  written by the consumer with release, read by the producer with
 *           acquire: a slot is not written again before it has been read
 */
typedef struct ring {
    _Alignas(LINE) atomic_size_t head;
    _Alignas(LINE) atomic_size_t tail;
    _Alignas(LINE) void *slot[RING_SLOTS];
} ring;

typedef struct counter {
    _Alignas(LINE) atomic_uint_fast64_t n;
} counter;

static fpheap     *heap;
static ring        to_work, to_send;
static counter     received, sent, sent_bytes, failed;
static atomic_bool stop, receive_done, work_done;

/* Each counter has one writer, so a load and a store are enough. */
static void
count(counter *c, uint64_t n)
{
    uint64_t was = atomic_load_explicit(&c->n, memory_order_relaxed);

    atomic_store_explicit(&c->n, was + n, memory_order_relaxed);
}

static uint64_t
value(counter *c)
{
    return atomic_load_explicit(&c->n, memory_order_relaxed);
}

/* Put all n; a full ring means that the consumer needs the processor. */
static void
ring_put(ring *r, void *const *packets, size_t n)
{
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t i;

    while (head + n - atomic_load_explicit(&r->tail, memory_order_acquire)
           > RING_SLOTS)
        sched_yield();
    for (i = 0; i < n; i++)
        r->slot[(head + i) % RING_SLOTS] = packets[i];
    atomic_store_explicit(&r->head, head + n, memory_order_release);
}

/* Take what is there, BURST at most. */
static unsigned
ring_take(ring *r, void **packets)
{
    size_t   tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    size_t   n    = atomic_load_explicit(&r->head, memory_order_acquire) - tail;
    unsigned i;

    if (n > BURST)
        n = BURST;
    for (i = 0; i < n; i++)
        packets[i] = r->slot[(tail + i) % RING_SLOTS];
    atomic_store_explicit(&r->tail, tail + n, memory_order_release);
    return (unsigned)n;
}

/*
 * Take a burst; 0 when the producer has gone and the ring is empty.  `done` is
 * read before the ring: what was put before it was set is seen.
 */
static unsigned
ring_wait(ring *r, atomic_bool *done, void **packets)
{
    for (;;) {
        int      last = atomic_load_explicit(done, memory_order_acquire);
        unsigned n    = ring_take(r, packets);

        if (n > 0 || last)
            return n;
        sched_yield();
    }
}

static uint32_t
sum_of(const packet *p)
{
    return (uint32_t)p->sequence * 2654435761u + p->bytes * 31u + p->hops;
}

/* Memory for n packets whose kinds are known: one call for each kind. */
static int
receive_buffers(const uint8_t *kinds, void **packets, unsigned n)
{
    void    *stock[KINDS][BURST];
    unsigned want[KINDS] = { 0 };
    unsigned i;
    int      k;

    for (i = 0; i < n; i++)
        want[kinds[i]]++;
    for (k = 0; k < KINDS; k++) {
        int error = fpheap_alloc_bulk(heap, kind_bytes[k], stock[k], want[k]);

        if (error != 0) {
            while (k-- > 0)
                fpheap_free_bulk(heap, stock[k], want[k]);
            return error;
        }
    }
    for (i = 0; i < n; i++)
        packets[i] = stock[kinds[i]][--want[kinds[i]]];
    return 0;
}

static void *
receive(void *unused)
{
    void    *packets[BURST];
    uint8_t  kinds[BURST];
    uint64_t sequence = 0;
    unsigned i;

    (void)unused;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        for (i = 0; i < BURST; i++)
            kinds[i] = imix[(sequence + i) % sizeof imix];
        if (receive_buffers(kinds, packets, BURST) != 0) {
            count(&failed, 1);
            sched_yield();
            continue;
        }
        for (i = 0; i < BURST; i++) {
            packet *p = packets[i];

            p->sequence = sequence++;
            p->bytes    = kind_bytes[kinds[i]];
            p->hops     = 1;
            p->sum      = sum_of(p);
        }
        count(&received, BURST);
        ring_put(&to_work, packets, BURST);
    }
    atomic_store_explicit(&receive_done, 1, memory_order_release);
    return NULL;
}

static void *
work(void *unused)
{
    void    *packets[BURST];
    unsigned n, i;

    (void)unused;
    while ((n = ring_wait(&to_work, &receive_done, packets)) > 0) {
        for (i = 0; i < n; i++) {
            packet *p = packets[i];

            p->hops++;
            p->sum++;
        }
        ring_put(&to_send, packets, n);
    }
    atomic_store_explicit(&work_done, 1, memory_order_release);
    return NULL;
}

/* The rings keep the order, so each packet must be the next one, unharmed. */
static void *
send_out(void *unused)
{
    void    *packets[BURST];
    uint64_t expected = 0;
    unsigned n, i;

    (void)unused;
    while ((n = ring_wait(&to_send, &work_done, packets)) > 0) {
        uint64_t bytes = 0;

        for (i = 0; i < n; i++) {
            const packet *p = packets[i];

            if (p->sequence != expected++ || p->sum != sum_of(p)) {
                fprintf(stderr, "packet %llu is damaged\n",
                        (unsigned long long)(expected - 1));
                abort();
            }
            bytes += p->bytes;
        }
        fpheap_free_bulk(heap, packets, n);
        count(&sent, n);
        count(&sent_bytes, bytes);
    }
    return NULL;
}

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A line a second, from numbers read while the three threads run. */
static void
report(int seconds)
{
    double   began = now(), last = began;
    uint64_t packets = 0, bytes = 0;
    int      i;

    printf("second  Mpackets/s   Gbit/s   live objects   parked objects   "
           "memory\n");
    for (i = 1; i <= seconds; i++) {
        struct timespec second = { 1, 0 };
        fpheap_stats    stats;
        uint64_t        p, b;
        double          t;

        while (nanosleep(&second, &second) != 0 && errno == EINTR)
            continue;
        p = value(&sent);
        b = value(&sent_bytes);
        t = now();
        fpheap_stats_get(heap, &stats);
        printf("%6.1f %11.2f %8.1f %14zu %16zu %5zu MiB\n", t - began,
               (double)(p - packets) / (t - last) * 1e-6,
               (double)(b - bytes) / (t - last) * 8e-9,
               stats.live_objects, stats.parked_objects,
               stats.region_bytes >> 20);
        fflush(stdout);
        packets = p;
        bytes   = b;
        last    = t;
    }
}

static int
finish(void)
{
    const char  *damage = fpheap_check(heap);
    fpheap_stats stats;
    int          error;

    fpheap_stats_get(heap, &stats);
    printf("in %llu, out %llu packets; %zu live; out of memory %llu times\n",
           (unsigned long long)value(&received),
           (unsigned long long)value(&sent), stats.live_objects,
           (unsigned long long)value(&failed));
    printf("fpheap_check: %s\n", damage != NULL ? damage : "clean");
    error = fpheap_destroy(heap);
    printf("fpheap_destroy: %s\n", error != 0 ? strerror(-error) : "done");
    return damage == NULL && error == 0 && stats.live_objects == 0
                   && value(&received) == value(&sent) && value(&sent) > 0
               ? 0 : 1;
}

int
main(int argc, char **argv)
{
    void *(*const stage[3])(void *) = { receive, work, send_out };
    pthread_t     thread[3];
    int           seconds = argc > 1 ? atoi(argv[1]) : 3;
    int           i;

    heap = fpheap_create("packets", NULL);
    if (heap == NULL) {
        perror("fpheap_create");
        return 1;
    }
    for (i = 0; i < 3; i++) {
        errno = pthread_create(&thread[i], NULL, stage[i], NULL);
        if (errno != 0) {
            perror("pthread_create");
            return 1;
        }
    }
    report(seconds > 0 ? seconds : 1);
    atomic_store_explicit(&stop, 1, memory_order_relaxed);
    for (i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    return finish();
}
