/* partitions.c - two processes share partitions of memory, each with its own rights
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     cc -O2 partitions.c -o partitions -pthread && ./partitions
 *
 *     partition   has                 the producer   the consumer
 *     Main        a ring, packets     reads, writes  reads, writes
 *     Local       payloads            reads, writes  reads
 *
 * The producer makes both.  The consumer knows the name of Main only: there the
 * root leads it to the ring, and the ring says which partition the payloads are
 * in, so it opens that too.  Objects go from one process to the other as 32-bit
 * handles.  Halfway the consumer is killed: what it had in its caches comes back,
 * and another one goes on where it was.
 *
 * Rights are those of a whole partition: whoever may read one object of it can
 * read them all.  What only some may see is in a partition that only they may
 * open; shown.c shows single objects of a private heap.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#define FPHEAP_IMPLEMENTATION
#include "../fpheap.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 256, PACKETS = 20000, PAYLOAD = 1000 };

/* In Main; the consumer frees it. */
typedef struct packet {
    uint32_t number;
    uint32_t payload;          /* a handle of Local */
} packet;

/* In Main.  Positions only grow; a slot is position modulo SLOTS. */
typedef struct ring {
    atomic_uint head;          /* packets put, by the producer */
    atomic_uint tail;          /* packets taken and freed, by the consumer */
    char        local[FPHEAP_NAME_BYTES];
    uint32_t    slot[SLOTS];   /* handles of Main */
} ring;

static char main_name[FPHEAP_NAME_BYTES], local_name[FPHEAP_NAME_BYTES];

static void
nap(void)
{
    nanosleep(&(struct timespec){ 0, 100000 }, NULL);
}

static int
problem(const char *what)
{
    fprintf(stderr, "partitions: %s: %s\n", what, strerror(errno));
    return 1;
}

/* --- the consumer --------------------------------------------------------- */

/* Take what comes until `end` packets have been taken.  Returns 0: all well. */
static int
take(fpheap *heap, fpheap *local, ring *r, unsigned end)
{
    unsigned at = atomic_load_explicit(&r->tail, memory_order_relaxed);

    for (; at != end; at++) {
        packet     *p;
        const char *payload;

        while (atomic_load_explicit(&r->head, memory_order_acquire) == at)
            nap();
        p = fpheap_object(heap, r->slot[at % SLOTS]);
        payload = p == NULL ? NULL : fpheap_object(local, p->payload);
        if (payload == NULL || p->number != at
            || payload[0] != (char)at || payload[PAYLOAD - 1] != (char)at)
            return problem("a packet is damaged");
        fpheap_free(heap, p);  /* the payload is the producer's to free */
        atomic_store_explicit(&r->tail, at + 1, memory_order_release);
    }
    return 0;
}

/* Attach, consume until `end`, and stay until killed or leave. */
static int
consume(unsigned end, int stays)
{
    fpheap *heap = fpheap_open(main_name, NULL, 0);
    ring   *r    = heap == NULL ? NULL : fpheap_root(heap);
    fpheap *local;

    if (r == NULL)
        return problem(main_name);
    local = fpheap_open(r->local, NULL, FPHEAP_READ_ONLY);
    if (local == NULL)
        return problem(r->local);
    if (fpheap_alloc(local, 16) != NULL)
        return problem("Local is not read-only");
    printf("consumer: opened Main, and by its ring Local, where an allocation "
           "fails: %s\n", strerror(errno));
    fflush(stdout);
    if (take(heap, local, r, end) != 0)
        return 1;
    while (stays)
        pause();
    return fpheap_close(local) != 0 || fpheap_close(heap) != 0;
}

/* The child has to open partitions itself, whatever its parent has open. */
static pid_t
start_consumer(unsigned end, int stays)
{
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        int status = consume(end, stays);

        fflush(stdout);
        _exit(status);
    }
    return child;
}

/* --- the producer --------------------------------------------------------- */

static int
show(void *unused, const fpheap_member *member)
{
    (void)unused;
    printf("    member %u, %s: %zu bytes parked\n", member->number,
           member->alive ? "alive" : "dead", member->parked_bytes);
    return 0;
}

/* Put packets until `end` are taken, and free the payloads of these. */
static int
put(fpheap *heap, fpheap *local, ring *r, unsigned end)
{
    static char *payload[SLOTS];
    unsigned     head = atomic_load_explicit(&r->head, memory_order_relaxed);
    unsigned     done = atomic_load_explicit(&r->tail, memory_order_acquire);

    while (done != end) {
        for (; head != end && head - done < SLOTS; head++) {
            packet *p    = fpheap_alloc(heap, sizeof *p);
            char   *data = fpheap_alloc(local, PAYLOAD);

            if (p == NULL || data == NULL)
                return problem("no memory");
            memset(data, (int)head, PAYLOAD);
            *p = (packet){ head, fpheap_handle(local, data) };
            payload[head % SLOTS] = data;
            r->slot[head % SLOTS] = fpheap_handle(heap, p);
            atomic_store_explicit(&r->head, head + 1, memory_order_release);
        }
        if (atomic_load_explicit(&r->tail, memory_order_acquire) == done)
            nap();
        while (done != atomic_load_explicit(&r->tail, memory_order_acquire))
            fpheap_free(local, payload[done++ % SLOTS]);
    }
    return 0;
}

/* Two consumers, the first of which is killed when it has taken half. */
static int
produce(fpheap *heap, fpheap *local, ring *r)
{
    pid_t child = start_consumer(PACKETS / 2, 1 /* stays */);
    int   status;

    if (child < 0 || put(heap, local, r, PACKETS / 2) != 0)
        return 1;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    printf("producer: the consumer was killed\n");
    fpheap_members(heap, show, NULL);
    printf("producer: fpheap_recover cleaned up after %d\n",
           fpheap_recover(heap, 0));
    fpheap_members(heap, show, NULL);

    child = start_consumer(PACKETS, 0 /* stays */);
    if (child < 0 || put(heap, local, r, PACKETS) != 0)
        return 1;
    return waitpid(child, &status, 0) != child || status != 0;
}

/* Make both partitions and the ring.  Returns 0: all objects came back. */
static int
run(void)
{
    fpheap_partition desc  = { .bytes = (size_t)64 << 20 };
    fpheap          *heap  = fpheap_open(main_name, &desc, FPHEAP_CREATE);
    fpheap          *local = fpheap_open(local_name, &desc, FPHEAP_CREATE);
    ring            *r     = heap == NULL ? NULL : fpheap_zalloc(heap, sizeof *r);
    fpheap_stats     in_main, in_local;

    if (r == NULL || local == NULL)
        return problem("cannot make the partitions");
    strcpy(r->local, local_name);
    fpheap_set_root(heap, r);
    printf("producer: made Main and Local, of %zu MiB each\n", desc.bytes >> 20);
    if (produce(heap, local, r) != 0)
        return 1;
    fpheap_set_root(heap, NULL);
    fpheap_free(heap, r);
    fpheap_stats_get(heap, &in_main);
    fpheap_stats_get(local, &in_local);
    printf("producer: %d packets; %zu objects live in Main, %zu in Local\n",
           PACKETS, in_main.live_objects, in_local.live_objects);
    return in_main.live_objects != 0 || in_local.live_objects != 0
        || fpheap_check(heap) != NULL || fpheap_check(local) != NULL
        || fpheap_close(heap) != 0 || fpheap_close(local) != 0;
}

int
main(void)
{
    int status;

    snprintf(main_name, sizeof main_name, "fpheap-main-%d", (int)getpid());
    snprintf(local_name, sizeof local_name, "fpheap-local-%d", (int)getpid());
    status = run();
    fpheap_unlink(main_name, NULL);
    fpheap_unlink(local_name, NULL);
    return status;
}
