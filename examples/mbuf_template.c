/* mbuf_template.c - packet buffers whose constant fields are written once
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     cc -O2 mbuf_template.c -o mbuf_template -pthread && ./mbuf_template
 *
 * A driver that gets a buffer wants a dozen fields set: where its data begins,
 * how long it is, what pool it is from.  They are the same at each get.  The
 * constructor writes them when the memory is new, and what an object has in it
 * stays from put to get: each packet writes only what differs.
 */
#define FPHEAP_IMPLEMENTATION
#include "../fpheap.h"

#include <stdio.h>
#include <string.h>

enum { FIELDS = 128, HEADROOM = 128, DATA = 2048, /* bytes */
       MBUF_BYTES = FIELDS + HEADROOM + DATA };   /* 2,304, and no more */
enum { BURST = 32, ROUNDS = 100000, HELD = 20000, MIB = 1 << 20 };

typedef struct mbuf {
    char        *buffer;       /* the template: */
    fpheap_pool *pool;
    uint64_t     iova;
    uint16_t     headroom;
    uint16_t     buffer_bytes;
    uint32_t     number;
    uint16_t     bytes;        /* of each packet: */
    uint16_t     port;
} mbuf;

typedef struct maker {
    fpheap      *heap;
    fpheap_pool *pool;
    uint32_t     made;
} maker;

static int
make_mbuf(void *arg, void *object)
{
    maker *m = arg;
    mbuf  *b = object;

    memset(b, 0, sizeof *b);
    b->buffer       = (char *)object + FIELDS;
    b->pool         = m->pool; /* NULL at create, which makes none: min is 0 */
    b->iova         = fpheap_iova(m->heap, object);
    b->headroom     = HEADROOM;
    b->buffer_bytes = HEADROOM + DATA;
    b->number       = ++m->made;
    return 0;
}

static int
is_whole(const mbuf *b, const fpheap_pool *pool)
{
    return b->buffer == (const char *)b + FIELDS && b->pool == pool
        && b->headroom == HEADROOM && b->buffer_bytes == HEADROOM + DATA
        && b->number != 0;
}

/* Receive bursts and drop them.  Not a word of the template is written. */
static int
run(fpheap_pool *pool)
{
    void *burst[BURST];
    int   round, i;

    for (round = 0; round < ROUNDS; round++) {
        if (fpheap_pool_get_bulk(pool, burst, BURST) != 0)
            return -1;
        for (i = 0; i < BURST; i++) {
            mbuf *b = burst[i];

            if (!is_whole(b, pool))
                return -1;
            b->bytes = 60;
            b->port  = (uint16_t)i;
            memset(b->buffer + b->headroom, round, b->bytes);
        }
        fpheap_pool_put_bulk(pool, burst, BURST);
    }
    return 0;
}

int
main(void)
{
    static void      *held[HELD];
    maker             m    = { fpheap_create("packets", NULL), NULL, 0 };
    fpheap_pool_desc  desc = { .name = "mbufs", .size = MBUF_BYTES, .align = 64,
                               .construct = make_mbuf, .arg = &m };
    fpheap_pool_stats s;
    fpheap_stats      all;

    if (m.heap != NULL)
        m.pool = fpheap_pool_create(m.heap, &desc);
    if (m.pool == NULL) {
        perror("mbuf_template: no pool");
        return 1;
    }
    if (run(m.pool) != 0 || fpheap_pool_get_bulk(m.pool, held, HELD) != 0) {
        fprintf(stderr, "mbuf_template: no memory, or a template is damaged\n");
        return 1;
    }
    fpheap_pool_stats_get(m.pool, &s);
    fpheap_stats_get(m.heap, &all);
    printf("%d buffers received and dropped, %u constructed\n",
           ROUNDS * BURST + HELD, (unsigned)m.made);
    printf("%zu live: %zu bytes each, %.1f MiB in regions of %.1f MiB; "
           "a power of two: %.1f MiB\n", s.live_objects, s.size,
           (double)(s.live_objects * s.size) / MIB,
           (double)all.region_bytes / MIB,
           (double)(s.live_objects * 4096) / MIB);
    fpheap_pool_put_bulk(m.pool, held, HELD);
    return s.objects == m.made && fpheap_pool_destroy(m.pool, NULL) == 0
                   && fpheap_destroy(m.heap) == 0
               ? 0 : 1;
}
