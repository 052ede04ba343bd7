/* refcount.c - a packet goes out of two ports; the last one to send recycles it
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     cc -O2 refcount.c -o refcount -pthread && ./refcount
 *
 * With FPHEAP_HEADER each object has a count of references.  Neither port knows
 * of the other: each drops its reference when it has sent the packet, and the
 * destructor runs for whoever drops the last one.
 */
#define FPHEAP_HEADER 1
#define FPHEAP_IMPLEMENTATION
#include "../fpheap.h"

#include <pthread.h>
#include <stdio.h>

enum { PORTS = 2, PACKETS = 1000, BURSTS = 300, TAG = 1 };

typedef struct packet {
    uint64_t       sequence;
    struct packet *next;       /* in the list of those to be used again */
    char           data[1500];
} packet;

typedef struct port {
    pthread_t thread;
    uint64_t  sum;             /* of the sequence numbers that it has sent */
} port;

static fpheap         *heap;
static packet         *queue[PACKETS]; /* what both ports shall send */
static packet         *spare;
static unsigned        recycled;
static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;

/* Keep it for the next burst: it is live again, with one reference. */
static fpheap_fate
recycle(void *unused, void *object)
{
    packet *p = object;

    (void)unused;
    pthread_mutex_lock(&spare_lock);
    p->next = spare;
    spare   = p;
    recycled++;
    pthread_mutex_unlock(&spare_lock);
    return FPHEAP_KEPT;
}

static void *
send_all(void *arg)
{
    port *to = arg;

    for (int i = 0; i < PACKETS; i++) {
        to->sum += queue[i]->sequence;
        fpheap_unref(heap, queue[i]);
    }
    return NULL;
}

/* A spare packet, or a new one; no port is running. */
static packet *
get_packet(unsigned destructor)
{
    packet *p = spare;

    if (p != NULL) {
        spare = p->next;
        return p;
    }
    p = fpheap_alloc_tagged(heap, sizeof *p, TAG);
    if (p != NULL)
        fpheap_set_destructor(p, destructor);
    return p;
}

int
main(void)
{
    port             ports[PORTS] = { { 0 } };
    fpheap_tag_stats stats;
    int              destructor = fpheap_destructor_register(recycle, NULL);
    uint64_t         sequence   = 0, sum;
    int              burst, i;

    heap = fpheap_create("packets", NULL);
    if (heap == NULL || destructor < 0)
        return 1;
    for (burst = 0; burst < BURSTS; burst++) {
        for (i = 0; i < PACKETS; i++) {
            queue[i] = get_packet((unsigned)destructor);
            if (queue[i] == NULL)
                return 1;
            queue[i]->sequence = ++sequence;
            fpheap_ref(queue[i]); /* one reference for each port */
        }
        for (i = 0; i < PORTS; i++)
            if (pthread_create(&ports[i].thread, NULL, send_all, &ports[i]))
                return 1;
        for (i = 0; i < PORTS; i++)
            pthread_join(ports[i].thread, NULL);
    }
    fpheap_tag_stats_get(heap, TAG, &stats);
    printf("%u packets out of %d ports, recycled %u times, %zu allocated\n",
           (unsigned)sequence, PORTS, recycled, stats.objects);
    while (spare != NULL) {
        packet *p = spare;

        spare = p->next;
        fpheap_free(heap, p);  /* its only reference; calls no destructor */
    }
    sum = sequence * (sequence + 1) / 2;
    return recycled == sequence && stats.objects == PACKETS
                   && ports[0].sum == sum && ports[1].sum == sum
                   && fpheap_destroy(heap) == 0
               ? 0 : 1;
}
