/* multiprocess.c - a primary and a secondary process share a heap in a memzone
 * SPDX-License-Identifier: MIT OR Unlicense OR BSD-3-Clause
 *
 *     cc -O2 $(pkg-config --cflags libdpdk) multiprocess.c -o multiprocess \
 *        $(pkg-config --libs libdpdk) -pthread
 *     ./multiprocess --no-pci -l 0 --file-prefix=share -- [OBJECTS] &
 *     ./multiprocess --no-pci -l 1 --file-prefix=share --proc-type=secondary
 *
 * Each allocates OBJECTS of 16 to 2,015 bytes (2,000,000) and hands them to the
 * other through a ring, which checks and frees them: first both processes' main
 * lcores, then a thread of each that the EAL does not know.  All that they
 * share is in the heap, and found by its root.  If one is killed, the other
 * cleans up after it, says how many objects are live, and ends with status 1.
 */
#define FPHEAP_IMPLEMENTATION
#include "../../fpheap.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_debug.h>
#include <rte_ring.h>

#include "fpheap_multiprocess.h"

#define HEAP "multiprocess"
enum { BURST = 32, SLOTS = 1024, MIB = 1 << 20, ROUNDS = 2 };

typedef struct object {
    uint64_t number;
    uint32_t bytes;            /* of it all; the rest is filled with number */
    uint8_t  rest[];
} object;

/* The root.  Rings are by round, and by who sends: the primary, a secondary. */
typedef struct shared {
    uint64_t         objects;
    struct rte_ring *ring[ROUNDS][2];
    unsigned         there, left; /* atomic: the secondary is, or has */
} shared;

static fpheap *heap;
static shared *all;
static bool    is_secondary;
static bool    alone;          /* atomic: the other process has died */

static double
seconds_since(uint64_t tsc)
{
    return (double)(rte_rdtsc() - tsc) / (double)rte_get_tsc_hz();
}

/* --- one process's part in a round ---------------------------------------- */

static object *
make_object(uint64_t number)
{
    uint32_t bytes = sizeof(object) + (uint32_t)(number * 7919 % 2000);
    object  *o     = fpheap_alloc(heap, bytes);

    if (o != NULL) {
        o->number = number;
        o->bytes = bytes;
        memset(o->rest, (int)number, bytes - sizeof *o);
    }
    return o;
}

static void
end_object(object *o, uint64_t number)
{
    uint32_t n = o->bytes - (uint32_t)sizeof *o;

    if (o->number != number || n != number * 7919 % 2000
        || (n != 0 && (o->rest[0] != (uint8_t)number
                       || o->rest[n - 1] != (uint8_t)number)))
        rte_exit(1, "object %" PRIu64 " is damaged\n", number);
    fpheap_free(heap, o);
}

/* As many as there is memory and a place for; the others next time. */
static unsigned
send_some(struct rte_ring *ring, uint64_t first)
{
    void    *burst[BURST];
    unsigned room = rte_ring_free_count(ring), n = 0;

    for (; n < BURST && n < room && first + n < all->objects; n++)
        if ((burst[n] = make_object(first + n)) == NULL)
            break;
    rte_ring_enqueue_bulk(ring, burst, n, NULL);
    return n;
}

static unsigned
take_some(struct rte_ring *ring, uint64_t first)
{
    void    *burst[BURST];
    unsigned n = rte_ring_dequeue_burst(ring, burst, BURST, NULL), i;

    for (i = 0; i < n; i++)
        end_object(burst[i], first + i);
    return n;
}

/* Nothing to do at the moment.  Whoever has died is cleaned up after here. */
static void
idle(void)
{
    static uint64_t next;      /* of one thread at a time */

    if (rte_rdtsc() < next)
        return;
    next = rte_rdtsc() + rte_get_tsc_hz() / 100;
    if (fpheap_recover(heap, 0) > 0)
        __atomic_store_n(&alone, true, __ATOMIC_RELEASE);
}

/* Send all and take all. */
static void
exchange(unsigned round, const char *who)
{
    struct rte_ring *out = all->ring[round][is_secondary];
    struct rte_ring *in  = all->ring[round][!is_secondary];
    uint64_t sent = 0, taken = 0, begun = rte_rdtsc();

    while ((sent < all->objects || taken < all->objects)
           && !__atomic_load_n(&alone, __ATOMIC_ACQUIRE)) {
        unsigned n = send_some(out, sent), m = take_some(in, taken);

        sent += n;
        taken += m;
        if (n + m == 0)
            idle();
    }
    if (taken == all->objects)
        printf("%s, %s: %" PRIu64 " objects allocated and %" PRIu64 " of the "
               "other process freed, %.1f million/s\n",
               is_secondary ? "secondary" : "primary", who, sent, taken,
               (double)(sent + taken) / seconds_since(begun) / 1e6);
}

/* A thread that the EAL does not know */
static void *
stranger(void *unused)
{
    (void)unused;
    exchange(1, "another thread");
    return NULL;
}

static void
run_rounds(void)
{
    pthread_t thread;

    exchange(0, "main lcore");
    if (pthread_create(&thread, NULL, stranger, NULL) != 0)
        rte_exit(1, "no thread\n");
    pthread_join(thread, NULL);
    fflush(stdout);
}

/* --- the end -------------------------------------------------------------- */

static int
count_member(void *n, const fpheap_member *member)
{
    (void)member;
    ++*(unsigned *)n;
    return 0;
}

/* Say what whoever is the last finds, and leave.  Returns 0: all is as it
 * should be. */
static int
end_heap(void)
{
    bool         dead  = __atomic_load_n(&alone, __ATOMIC_ACQUIRE);
    const char  *wrong = NULL;
    fpheap_stats s     = { .live_objects = 0 };

    if (dead || !is_secondary) {
        fpheap_stats_get(heap, &s);
        wrong = fpheap_check(heap);
        printf("%s: %s%zu objects live, the heap is %s\n",
               is_secondary ? "secondary" : "primary",
               dead ? "the other process has died; " : "", s.live_objects,
               wrong == NULL ? "sound" : wrong);
    }
    return fpheap_close(heap) != 0 || wrong != NULL || dead
        || s.live_objects != 0;
}

/* --- the secondary -------------------------------------------------------- */

static int
be_secondary(double eal_seconds)
{
    uint64_t begun;

    do {
        begun = rte_rdtsc();
        heap = fpheap_multiprocess_open(HEAP);
        all = heap == NULL ? NULL : fpheap_root(heap);
        if (all == NULL) {
            if (heap != NULL)
                fpheap_close(heap);
            else if (errno != ENOENT)
                rte_exit(1, "no heap: %s\n", strerror(errno));
            usleep(1000);
        }
    } while (all == NULL);
    printf("secondary: rte_eal_init took %.1f ms, fpheap_open %.3f ms\n",
           eal_seconds * 1e3, seconds_since(begun) * 1e3);
    fflush(stdout);
    __atomic_store_n(&all->there, 1, __ATOMIC_RELEASE);
    run_rounds();
    __atomic_store_n(&all->left, 1, __ATOMIC_RELEASE);
    return end_heap();
}

/* --- the primary ---------------------------------------------------------- */

static struct rte_ring *
make_ring(void)
{
    struct rte_ring *ring = fpheap_aligned_alloc(heap, RTE_CACHE_LINE_SIZE,
        (size_t)rte_ring_get_memsize(SLOTS));

    if (ring == NULL
        || rte_ring_init(ring, "", SLOTS, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0)
        rte_exit(1, "no ring\n");
    return ring;
}

/* The root comes last: whoever finds it finds all. */
static void
make_shared(uint64_t objects)
{
    unsigned i;

    heap = fpheap_multiprocess_create(HEAP, 64 * MIB, SOCKET_ID_ANY,
                                      RTE_MEMZONE_IOVA_CONTIG);
    if (heap == NULL && errno == ENOMEM)    /* IOVAs are physical */
        heap = fpheap_multiprocess_create(HEAP, 64 * MIB, SOCKET_ID_ANY, 0);
    all = heap == NULL ? NULL : fpheap_zalloc(heap, sizeof *all);
    if (all == NULL)
        rte_exit(1, "no heap: %s\n", strerror(errno));
    all->objects = objects;
    for (i = 0; i < 2 * ROUNDS; i++)
        all->ring[i / 2][i % 2] = make_ring();
    fpheap_set_root(heap, all);
    printf("primary: the heap is there\n");
    fflush(stdout);
}

static void
wait_for(const unsigned *word)
{
    while (!__atomic_load_n(word, __ATOMIC_ACQUIRE)
           && !__atomic_load_n(&alone, __ATOMIC_ACQUIRE)) {
        idle();
        usleep(100);
    }
}

/* The other has left the rounds, but may not have closed the heap yet. */
static int
end_shared(void)
{
    unsigned members, i;
    int      status;

    fpheap_set_root(heap, NULL);
    for (i = 0; i < 2 * ROUNDS; i++)
        fpheap_free(heap, all->ring[i / 2][i % 2]);
    fpheap_free(heap, all);
    do {
        idle();
        members = 0;
        fpheap_members(heap, count_member, &members);
    } while (members > 1);
    status = end_heap();
    return fpheap_multiprocess_remove(HEAP) != 0 || status;
}

int
main(int argc, char **argv)
{
    uint64_t begun = rte_rdtsc();
    int      used  = rte_eal_init(argc, argv);
    int      status;

    if (used < 0)
        rte_exit(1, "the EAL does not start\n");
    is_secondary = rte_eal_process_type() == RTE_PROC_SECONDARY;
    if (is_secondary) {
        status = be_secondary(seconds_since(begun));
    } else {
        make_shared(argc > used + 1 ? strtoull(argv[used + 1], NULL, 10)
                                    : 2000000);
        wait_for(&all->there);
        run_rounds();
        wait_for(&all->left);
        status = end_shared();
    }
    rte_eal_cleanup();
    return status;
}
