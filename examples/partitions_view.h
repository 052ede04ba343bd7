/* partitions_view.h - what partitions_tool sees of a partition, and a picture
 * SPDX-License-Identifier: MIT OR Unlicense
 */
#ifndef PARTITIONS_VIEW_H
#define PARTITIONS_VIEW_H

#include "../fpheap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MEMBERS = 512, COLUMNS = 64, CELLS = 8 * COLUMNS };

typedef struct view {
    fpheap       *heap;
    size_t        bytes;       /* that the partition can have */
    fpheap_stats  stats;
    fpheap_member member[MEMBERS];
    unsigned      members;     /* that may write, alive or dead */
    unsigned      dead;
    unsigned      readers;     /* besides this process */
} view;

static double
mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

static int
view_member(void *arg, const fpheap_member *member)
{
    view *v = arg;

    if (member->read_only) {
        v->readers++;
    } else if (v->members < MEMBERS) {
        v->member[v->members++] = *member;
        v->dead += !member->alive;
    }
    return 0;
}

/* Open a partition to read, and see who has what.  Returns 0, and the caller
 * closes v->heap; or an errno. */
static int
view_open(view *v, const char *directory, const char *name)
{
    fpheap_partition desc = { .directory = directory,
                              .flags = FPHEAP_ANY_OWNER };
    char             path[1024];
    struct stat      file;

    memset(v, 0, sizeof *v);
    v->heap = fpheap_open(name, &desc, FPHEAP_READ_ONLY);
    if (v->heap == NULL)
        return errno;
    fpheap_stats_get(v->heap, &v->stats);
    fpheap_members(v->heap, view_member, v);
    v->readers -= v->readers != 0;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    if (stat(path, &file) == 0)
        v->bytes = (size_t)file.st_size;
    return 0;
}

static void
view_print_member(FILE *out, const fpheap_member *member)
{
    fprintf(out, "  member %u, process %d%s: %.3f live, %.3f parked\n",
            member->number, member->process, member->alive ? "" : ", dead",
            mib(member->live_bytes), mib(member->parked_bytes));
}

/* --- a picture, as text --------------------------------------------------- */

/* A line that stands for `all` bytes: a mark for each kind of them. */
static void
draw_bar(FILE *out, const char *marks, const size_t *bytes, size_t all)
{
    double sum = 0;
    int    at  = 0;

    fputc('|', out);
    for (; *marks != '\0'; marks++)
        for (sum += (double)*bytes++;
             at < COLUMNS && at * (double)all < sum * COLUMNS; at++)
            fputc(*marks, out);
    fprintf(out, "%*s|\n", COLUMNS - at, "");
}

/* What is left; the figures of a partition in use need not fit each other. */
static size_t
less(size_t a, size_t b)
{
    return a > b ? a - b : 0;
}

static void
draw_whole(FILE *out, const view *v)
{
    const fpheap_stats *s      = &v->stats;
    size_t              unused = s->slab_free_bytes + s->page_free_bytes;
    size_t              bytes[] = {
        s->live_bytes, s->parked_bytes, unused,
        less(s->region_bytes, s->live_bytes + s->parked_bytes + unused),
        less(v->bytes, s->region_bytes)
    };

    fprintf(out, "%.3f MiB: # %.3f live, + %.3f parked, - %.3f free, "
                 "t %.3f tables and waste, . %.3f not obtained\n",
            mib(v->bytes), mib(bytes[0]), mib(bytes[1]), mib(bytes[2]),
            mib(bytes[3]), mib(bytes[4]));
    draw_bar(out, "#+-t.", bytes, v->bytes);
}

/* Live bytes by chunk, or by several chunks where there are many. */
typedef struct cells {
    const char *base;          /* of the partition */
    size_t      bytes;         /* of a cell */
    size_t      live[CELLS];
} cells;

static int
find_object(void *arg, const fpheap_object *object)
{
    *(char **)arg = object->base;
    return 1;
}

static int
add_object(void *arg, const fpheap_object *object)
{
    cells *c    = arg;
    size_t at   = (size_t)((const char *)object->base - c->base);
    size_t left = object->bytes;
    size_t here;

    for (; left != 0 && at / c->bytes < CELLS; left -= here, at += here) {
        here = c->bytes - at % c->bytes;
        if (here > left)
            here = left;
        c->live[at / c->bytes] += here;
    }
    return 0;
}

static void
draw_chunks(FILE *out, const view *v)
{
    cells  c      = { NULL, FPHEAP_CHUNK, { 0 } };
    char  *object = NULL;
    size_t i, n;

    while ((n = (v->bytes + c.bytes - 1) / c.bytes) > CELLS)
        c.bytes *= 2;
    if (fpheap_walk(v->heap, find_object, &object) == 1) {
        object -= (uintptr_t)object % 16; /* handles count in these */
        c.base = object - (size_t)fpheap_handle(v->heap, object) * 16;
        fpheap_walk(v->heap, add_object, &c);
    }
    fprintf(out, "chunks, %.0f MiB each: tenths that are live, . is none\n",
            mib(c.bytes));
    for (i = 0; i < n; i++) {
        int tenths = (int)(c.live[i] * 10 / (c.bytes + 1));

        fprintf(out, "%s%c%s", i % COLUMNS == 0 ? "|" : "",
                c.live[i] == 0 ? '.' : '0' + tenths,
                i % COLUMNS == COLUMNS - 1 || i == n - 1 ? "|\n" : "");
    }
}

static void
draw_members(FILE *out, const view *v)
{
    size_t   rest[] = { v->stats.live_bytes, v->stats.parked_bytes };
    size_t   all    = rest[0] + rest[1];
    unsigned i;

    for (i = 0; i < v->members; i++) {
        size_t has[] = { v->member[i].live_bytes, v->member[i].parked_bytes };

        view_print_member(out, &v->member[i]);
        draw_bar(out, "#+", has, all);
        rest[0] = less(rest[0], has[0]);
        rest[1] = less(rest[1], has[1]);
    }
    fprintf(out, "  those that have left: %.3f live; depots: %.3f parked\n",
            mib(rest[0]), mib(rest[1]));
    draw_bar(out, "#+", rest, all);
}

static void
view_draw(FILE *out, const view *v)
{
    draw_whole(out, v);
    draw_chunks(out, v);
    draw_members(out, v);
}

/* --- the same as SVG ------------------------------------------------------ */

/* The marks of a bar, as rectangles. */
static void
svg_bar(const char *marks, int y)
{
    const char *known     = "#+-t. ";
    const char *colours[] = { "#27a", "#e93", "#bcd", "#888", "#eee", "#fff" };
    int         x;

    for (x = 1; marks[x] != '|'; x++) {
        const char *mark   = strchr(known, marks[x]);
        int         tenths = mark == NULL ? marks[x] - '0' + 1 : 10;

        printf("<rect x='%d' y='%d' width='9' height='14' fill='%s' "
               "opacity='%.1f'/>\n", 10 * x, y,
               colours[mark == NULL ? 0 : mark - known], tenths / 10.0);
    }
}

/* A text whose lines that begin with '|' are bars. */
static void
svg_print(const char *text)
{
    const char *c;
    int         lines = 0;

    for (c = text; *c != '\0'; c++)
        lines += *c == '\n';
    printf("<svg xmlns='http://www.w3.org/2000/svg' width='800' height='%d' "
           "font-family='sans-serif' font-size='13'>\n", 20 * lines + 10);
    for (lines = 0; *text != '\0'; lines++, text = strchr(text, '\n') + 1)
        if (*text == '|')
            svg_bar(text, 20 * lines + 5);
        else
            printf("<text x='10' y='%d'>%.*s</text>\n", 20 * lines + 17,
                   (int)strcspn(text, "\n"), text);
    printf("</svg>\n");
}

#endif
