/* packet_groups.c - all that is known of a packet ends with it, at once
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     cc -O2 packet_groups.c -o packet_groups -pthread && ./packet_groups
 *
 * A receiver parses each frame into a tree of headers and their options, in a
 * group of its own that also adopts the frame, and hands it to a worker.  The
 * worker uses the tree and ends the group: it need not know what is in there.
 * Options that turn out to be broken are forgotten by going back to a mark.
 */
#define FPHEAP_IMPLEMENTATION
#include "../fpheap.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PACKETS = 200000, RING = 256, ETHERNET = 14, IP = 20, TCP = 20,
       OPTION_END = 0, OPTION_NONE = 1, OPTION_TIME = 8 };

typedef struct option {
    struct option *next;
    const uint8_t *at;         /* in the frame: kind, length, data */
} option;

typedef struct header {
    struct header *next;       /* the one inside */
    const uint8_t *at;
    size_t         length;
    option        *options;
} header;

typedef struct packet {
    fpheap_group *group;       /* in which it is itself */
    header       *headers;
    int           is_broken;
} packet;

static fpheap          *heap;
static packet *_Atomic  ring[RING];
static atomic_uint      in_flight;

/* --- what comes from the wire ---------------------------------------------- */

/* A frame whose TCP header has a few options; among them is the number, as the
 * time.  One frame in 16 has a length that points behind the header. */
static uint8_t *
next_frame(unsigned number)
{
    size_t   padding = number % 5, options = 12 + 4 * padding;
    uint8_t *frame   = fpheap_zalloc(heap, ETHERNET + IP + TCP + options + 400);
    uint8_t *at      = frame;

    if (frame == NULL)
        return NULL;
    at += ETHERNET;
    at[0] = 0x40 | IP / 4;
    at += IP;
    at[12] = (uint8_t)((TCP + options) / 4 << 4);
    at += TCP;
    memset(at, OPTION_NONE, 4 * padding);
    at += 4 * padding;
    at[0] = OPTION_TIME;
    at[1] = number % 16 == 7 ? 200 : 10;
    memcpy(at + 2, &number, sizeof number);
    return frame;
}

/* --- the receiver ----------------------------------------------------------- */

static header *
add_header(packet *p, const uint8_t *at, size_t length)
{
    header  *h    = fpheap_group_alloc(p->group, sizeof *h);
    header **last = &p->headers;

    if (h == NULL)
        return NULL;
    *h = (header){ .at = at, .length = length };
    while (*last != NULL)
        last = &(*last)->next;
    *last = h;
    return h;
}

/* 0: no memory.  Of broken options none stay. */
static int
add_options(packet *p, header *h, const uint8_t *at)
{
    fpheap_mark    before = fpheap_group_mark(p->group);
    const uint8_t *end    = h->at + h->length;

    while (at < end && *at != OPTION_END) {
        size_t  length = *at == OPTION_NONE ? 1 : end - at > 1 ? at[1] : 0;
        option *o;

        if (length == 0 || length > (size_t)(end - at)) {
            fpheap_group_rewind(p->group, before);
            h->options = NULL;
            p->is_broken = 1;
            return 1;
        }
        o = fpheap_group_alloc(p->group, sizeof *o);
        if (o == NULL)
            return 0;
        *o = (option){ .next = h->options, .at = at };
        h->options = o;
        at += length;
    }
    return 1;
}

static void
left(void *counter)
{
    atomic_fetch_sub((atomic_uint *)counter, 1);
}

/* The packet of a frame, which is the group's from here on.  If memory runs out,
 * the end of the group frees what there is by then. */
static packet *
parse(uint8_t *frame)
{
    fpheap_group *group = fpheap_group_begin(heap);
    packet       *p;
    header       *tcp;
    const uint8_t *at   = frame + ETHERNET + IP;

    if (group == NULL || fpheap_group_adopt(group, frame) != 0) {
        fpheap_free(heap, frame);
        fpheap_group_end(group);
        return NULL;
    }
    p = fpheap_group_alloc(group, sizeof *p);
    if (p != NULL) {
        *p = (packet){ .group = group };
        if (add_header(p, frame, ETHERNET) != NULL
            && add_header(p, frame + ETHERNET, IP) != NULL
            && (tcp = add_header(p, at, (size_t)(at[12] >> 4) * 4)) != NULL
            && add_options(p, tcp, at + TCP)
            && fpheap_group_cleanup(group, left, &in_flight) == 0) {
            atomic_fetch_add(&in_flight, 1);
            return p;
        }
    }
    fpheap_group_end(group);
    return NULL;
}

static void *
receive(void *unused)
{
    for (unsigned i = 0; i < PACKETS; i++) {
        uint8_t *frame = next_frame(i);
        packet  *p     = frame == NULL ? NULL : parse(frame);

        if (p == NULL) {
            fprintf(stderr, "packet_groups: no memory\n");
            exit(1);
        }
        while (atomic_load(&ring[i % RING]) != NULL)
            sched_yield();
        atomic_store(&ring[i % RING], p);
    }
    return unused;
}

/* --- the worker -------------------------------------------------------------- */

typedef struct seen {
    unsigned headers, options, broken;
    uint64_t times;
} seen;

static void
work_on(const packet *p, seen *s)
{
    s->broken += (unsigned)p->is_broken;
    for (const header *h = p->headers; h != NULL; h = h->next) {
        s->headers++;
        for (const option *o = h->options; o != NULL; o = o->next) {
            unsigned time;

            s->options++;
            if (o->at[0] != OPTION_TIME)
                continue;
            memcpy(&time, o->at + 2, sizeof time);
            s->times += time;
        }
    }
}

int
main(void)
{
    seen         s     = { 0 };
    uint64_t     times = 0;
    fpheap_stats stats;
    pthread_t    receiver;

    heap = fpheap_create("packets", NULL);
    if (heap == NULL || pthread_create(&receiver, NULL, receive, NULL) != 0)
        return 1;
    for (unsigned i = 0; i < PACKETS; i++) {
        packet *p;

        while ((p = atomic_load(&ring[i % RING])) == NULL)
            sched_yield();
        atomic_store(&ring[i % RING], NULL);
        work_on(p, &s);
        fpheap_group_end(p->group); /* with the packet, tree and frame */
        times += i % 16 == 7 ? 0 : i;
    }
    pthread_join(receiver, NULL);
    fpheap_stats_get(heap, &stats);
    printf("%d packets, %u headers, %u options; %u had broken ones\n", PACKETS,
           s.headers, s.options, s.broken);
    printf("%u packets in flight, %zu objects live\n", atomic_load(&in_flight),
           stats.live_objects);
    return s.headers == 3 * PACKETS && s.times == times && s.broken == PACKETS / 16
                   && atomic_load(&in_flight) == 0
                   && fpheap_destroy(heap) == 0
               ? 0 : 1;
}
