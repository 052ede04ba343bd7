/* trace_print - an allocation trace as text
 *
 *     trace_print FILE
 *
 * One line for each event, "thread operation object ..." with its size, its
 * alignment, or the object that realloc ended.  The last line has sums: events,
 * objects, threads, objects and bytes live at the end, and the most bytes that
 * were live at one time.  It ends with 1 if the file is damaged or frees what
 * is not live.
 */
#include "trace.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct sums {
    uint64_t events;
    uint64_t live;
    uint64_t bytes;
    uint64_t peak;
    unsigned threads;
} sums;

/* By object: its size + 1, or 0 if it is not live. */
static uint64_t *sizes;

static int
end_object(sums *s, uint64_t object)
{
    if (sizes[object] == 0) {
        fprintf(stderr, "trace_print: object %llu is freed twice\n",
                (unsigned long long)object);
        return 0;
    }
    s->live--;
    s->bytes -= sizes[object] - 1;
    sizes[object] = 0;
    return 1;
}

static int
account(sums *s, const trace_event *e)
{
    s->events++;
    if (e->thread >= s->threads)
        s->threads = e->thread + 1;
    if (e->op == TRACE_FREE)
        return end_object(s, e->object);
    if (e->op == TRACE_REALLOC && !end_object(s, e->old))
        return 0;
    sizes[e->object] = e->size + 1;
    s->live++;
    s->bytes += e->size;
    if (s->bytes > s->peak)
        s->peak = s->bytes;
    return 1;
}

static void
print(const trace_event *e)
{
    static const char *const names[] = {
        "end", "alloc", "zeroed", "aligned", "realloc", "free"
    };

    printf("%u %s %llu", e->thread, names[e->op],
           (unsigned long long)e->object);
    if (e->op != TRACE_FREE)
        printf(" size %llu", (unsigned long long)e->size);
    if (e->op == TRACE_ALIGNED)
        printf(" align %llu", 1ull << e->align_log2);
    if (e->op == TRACE_REALLOC)
        printf(" of %llu", (unsigned long long)e->old);
    putchar('\n');
}

static const void *
whole_file(const char *path, size_t *length)
{
    int         fd = open(path, O_RDONLY);
    struct stat about;
    void       *bytes;

    if (fd < 0 || fstat(fd, &about) != 0 || about.st_size == 0)
        return NULL;
    *length = (size_t)about.st_size;
    bytes = mmap(NULL, *length, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    return bytes == MAP_FAILED ? NULL : bytes;
}

int
main(int argc, char **argv)
{
    size_t       length = 0;
    const void  *bytes = argc == 2 ? whole_file(argv[1], &length) : NULL;
    trace_reader r;
    trace_event  e;
    sums         s = { 0, 0, 0, 0, 0 };
    int          more;

    if (bytes == NULL || !trace_open(&r, bytes, length)) {
        fprintf(stderr, "usage: trace_print FILE, an allocation trace\n");
        return 2;
    }
    sizes = calloc(length, sizeof *sizes); /* an object has a byte at least */
    if (sizes == NULL)
        return 2;
    while ((more = trace_next(&r, &e)) > 0) {
        print(&e);
        if (!account(&s, &e))
            return 1;
    }
    if (more < 0) {
        fprintf(stderr, "trace_print: the file is damaged\n");
        return 1;
    }
    printf("events %llu objects %llu threads %u", (unsigned long long)s.events,
           (unsigned long long)r.objects, s.threads);
    printf(" live %llu bytes %llu peak %llu\n", (unsigned long long)s.live,
           (unsigned long long)s.bytes, (unsigned long long)s.peak);
    return 0;
}
