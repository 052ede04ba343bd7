/* trace.h - the file format of allocation traces, and its reader
 *
 * A trace is what one process asked of malloc, in the order in which it asked,
 * all threads together.  trace_record.c writes it, rows_trace.inc replays it,
 * trace_print.c shows it.
 *
 *     file    magic event... end of file, or zeros up to there
 *     magic   the 8 bytes "MTRACE01"
 *     event   1 byte     operation, + 8 if the thread is not that of the event
 *                        before (the first event: not 0)
 *             [number]   the thread, if it is another
 *             ALLOC      size
 *             ZEROED     size (calloc: the product)
 *             ALIGNED    log2 of the alignment, size
 *             REALLOC    age of the old object, new size
 *             FREE       age of the object
 *
 * Numbers have 7 bits to a byte, the lowest first, and bit 7 set in all bytes
 * but the last.  Threads count from 0 in the order of their first events.
 *
 * Objects count from 0 too, in the order of the events that begin them: ALLOC,
 * ZEROED, ALIGNED, and REALLOC, which ends one and begins another.  An age
 * is 1 for the youngest object, 2 for the one begun before it: the lifetime of
 * what is freed, and a small number as a rule.
 *
 * Calls that failed, free(NULL), and frees of objects from before the recording
 * are not events; realloc of such an object, or of NULL, is an ALLOC.  Objects
 * that no event ends were live at the end.
 */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TRACE_MAGIC     "MTRACE01"
#define TRACE_MAGIC_LEN 8u
#define TRACE_EVENT_MAX 32u   /* bytes: 1, and three numbers of 10 at most */
#define TRACE_THREAD    8u    /* in the first byte: a thread follows */

typedef enum trace_op {
    TRACE_END,                /* zeros: nobody cut the file to its length */
    TRACE_ALLOC,
    TRACE_ZEROED,
    TRACE_ALIGNED,
    TRACE_REALLOC,
    TRACE_FREE
} trace_op;

typedef struct trace_event {
    trace_op op;
    unsigned thread;
    uint64_t object;          /* the one that begins; FREE: that ends */
    uint64_t old;             /* REALLOC: the one that ends */
    uint64_t size;            /* of the one that begins */
    unsigned align_log2;      /* ALIGNED */
} trace_event;

typedef struct trace_reader {
    const unsigned char *at;
    const unsigned char *end;
    uint64_t             objects; /* begun so far */
    unsigned             thread;
} trace_reader;

/* Where the next number or event goes. */
static inline unsigned char *
trace_put(unsigned char *at, uint64_t number)
{
    while (number >= 0x80) {
        *at++ = (unsigned char)(number | 0x80);
        number >>= 7;
    }
    *at++ = (unsigned char)number;
    return at;
}

/* 0 if the file ends within the number, or if that has over 64 bits. */
static inline int
trace_get(trace_reader *r, uint64_t *number)
{
    unsigned shift = 0;

    *number = 0;
    for (; r->at < r->end && shift < 64; shift += 7) {
        unsigned char byte = *r->at++;

        *number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return 1;
    }
    return 0;
}

/* 0 if this is no trace. */
static inline int
trace_open(trace_reader *r, const void *bytes, size_t length)
{
    if (length < TRACE_MAGIC_LEN
        || memcmp(bytes, TRACE_MAGIC, TRACE_MAGIC_LEN) != 0)
        return 0;
    r->at = (const unsigned char *)bytes + TRACE_MAGIC_LEN;
    r->end = (const unsigned char *)bytes + length;
    r->objects = 0;
    r->thread = 0;
    return 1;
}

/* 1 with the next event, 0 at the end, -1 where the file is damaged.  Whether
 * an object is still there when it is freed is for the caller to see. */
static inline int
trace_next(trace_reader *r, trace_event *e)
{
    unsigned first = r->at < r->end ? *r->at++ : TRACE_END;
    uint64_t number;
    uint64_t age = 0;

    memset(e, 0, sizeof *e);
    e->op = (trace_op)(first & 7);
    if (first == TRACE_END)
        return 0;
    if (e->op == TRACE_END || e->op > TRACE_FREE || first > 15)
        return -1;
    if (first & TRACE_THREAD) {
        if (!trace_get(r, &number))
            return -1;
        r->thread = (unsigned)number;
    }
    e->thread = r->thread;
    if (e->op == TRACE_ALIGNED) {
        if (!trace_get(r, &number) || number > 63)
            return -1;
        e->align_log2 = (unsigned)number;
    }
    if (e->op >= TRACE_REALLOC) {
        if (!trace_get(r, &age) || age == 0 || age > r->objects)
            return -1;
        e->old = r->objects - age;
    }
    if (e->op == TRACE_FREE) {
        e->object = e->old;
        return 1;
    }
    if (!trace_get(r, &e->size))
        return -1;
    e->object = r->objects++;
    return 1;
}

#endif /* BENCH_TRACE_H */
