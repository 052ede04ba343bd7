/* partitions_tool.c - make partitions as a file says, and look after them
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     cc -O2 partitions_tool.c -o partitions_tool -pthread
 *
 *     create FILE              make the partitions in FILE, all or none
 *     list [DIRECTORY]         the partitions, and who has them open
 *     watch NAME               a line each second, until the name is gone
 *     draw NAME [--svg]        a picture of who holds what
 *     recover NAME             clean up after members that have died
 *     remove NAME [--force]    take the name away; --force: also of one that is
 *                              open, or damaged
 *
 * They are in /dev/shm; a NAME elsewhere is written with its directory.  FILE
 * has one partition a line, a name and then settings:
 *
 *     main      bytes=64M mode=0660
 *     packets   bytes=1G page=2M node=0 static
 *     counters  bytes=16M local               # which others only read
 *
 *     bytes=SIZE       the most that it can have; K, M and G are powers of 1024
 *     page=SIZE        4K, or in hugetlbfs 2M or 1G; else what there is
 *     node=N           the NUMA node of its memory
 *     mode=OCTAL       who may open it, as chmod; else 0600
 *     local            only its owner may write it, anyone may read it: 0644
 *     growing          it takes memory as it is used, as it does anyway
 *     static           it takes all its memory now, and keeps it
 *     directory=PATH   else /dev/shm, or /dev/hugepages with page=2M or 1G
 *
 * The tool must have the settings (-DFPHEAP_HEADER=1 ...) of the programs that
 * use the partitions.  It writes to them only to create and to recover.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include <stdio.h>

static char report[512];       /* what the header said of the last open */

static void
note(const char *line)
{
    snprintf(report, sizeof report, "%s", line);
}

#define FPHEAP_REPORT(line) note(line)
#define FPHEAP_IMPLEMENTATION
#include "../fpheap.h"
#include "partitions_config.h"
#include "partitions_view.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int
problem(const char *what, const char *why)
{
    fflush(stdout);
    fprintf(stderr, "partitions_tool: %s: %s\n", what, why);
    return 1;
}

/* Why an open failed. */
static const char *
reason(int error)
{
    static char text[sizeof report + 32];
    const char *why = strstr(report, "': ");

    if (why == NULL)
        return strerror(error);
    snprintf(text, sizeof text, "%s%s",
             error == EPROTO ? "it was made with another " : "", why + 3);
    return text;
}

/* The directory of a path, for the moment; *name is what is in there. */
static const char *
split(const char *path, const char **name)
{
    static char directory[PATH];
    const char *slash = strrchr(path, '/');

    *name = slash == NULL ? path : slash + 1;
    if (slash == NULL)
        return "/dev/shm";
    snprintf(directory, PATH, "%.*s", (int)(*name - path), path);
    return directory;
}

/* Look at a partition.  Returns NULL, and the caller closes v->heap; or why it
 * cannot be. */
static const char *
look(const char *path, view *v)
{
    const char *name;
    const char *directory = split(path, &name);
    int         error;

    report[0] = '\0';
    error = view_open(v, directory, name);
    return error == 0 ? NULL : reason(error);
}

/* --- create --------------------------------------------------------------- */

/* The file's memory comes from one node, whoever touches it first: the file
 * keeps what a mapping of it was told. */
static int
place(const plan *p)
{
    enum { BITS = 8 * sizeof(long) };
    unsigned long nodes[1024 / BITS + 1] = { 0 };
    void         *at = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_NORESERVE, p->file, 0);
    long          rc;

    if (at == MAP_FAILED)
        return -1;
    nodes[p->node / BITS] = 1ul << p->node % BITS;
    rc = syscall(SYS_mbind, at, p->bytes, MPOL_BIND, nodes, 8 * sizeof nodes,
                 0);
    munmap(at, p->bytes);
    return (int)rc;
}

/* Make a partition in a file without a name. */
static int
make(plan *p)
{
    fpheap_partition desc = { .bytes = p->bytes, .page_bytes = p->page,
                              .flags = FPHEAP_DESCRIPTOR };

    p->file = open(p->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (p->file < 0 || ftruncate(p->file, (off_t)p->bytes) != 0)
        return bad(p->line, p->directory, strerror(errno));
    if (says(p, NODE) && place(p) != 0)
        return bad(p->line, "node=", errno == EINVAL ? "there is no such node"
                                                     : strerror(errno));
    if (says(p, STATIC)) {
        desc.flags |= FPHEAP_FIXED;
        if (fallocate(p->file, 0, 0, (off_t)p->bytes) != 0)
            return bad(p->line, p->name, strerror(errno));
    }
    desc.descriptor = p->file;
    report[0] = '\0';
    p->heap = fpheap_open(p->name, &desc, FPHEAP_CREATE);
    return p->heap != NULL ? 0 : bad(p->line, p->name, reason(errno));
}

/* Give it its name. */
static int
publish(const plan *p)
{
    char from[32], to[2 * PATH];

    snprintf(from, sizeof from, "/proc/self/fd/%d", p->file);
    snprintf(to, sizeof to, "%s/%s", p->directory, p->name);
    return fchmod(p->file, p->mode) == 0
        && linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0
         ? 0 : bad(p->line, p->name, errno == EEXIST ? "there is one already"
                                                     : strerror(errno));
}

/* All are open at once, so that each has addresses of its own.  Names come last,
 * so a failure before leaves nothing; one of names takes back those given. */
static int
make_all(void)
{
    int i;

    for (i = 0; i < n_plans; i++)
        if (make(&plans[i]) != 0)
            return 1;
    for (i = 0; i < n_plans; i++) {
        if (publish(&plans[i]) == 0)
            continue;
        while (i-- > 0) {
            fpheap_partition desc = { .directory = plans[i].directory };

            fpheap_unlink(plans[i].name, &desc);
        }
        return 1;
    }
    return 0;
}

static int
create(const char *path, int unused)
{
    int status = 0;
    int i;

    (void)unused;
    if (config_read(path) != 0 || make_all() != 0)
        return problem(path, "nothing was created");
    for (i = 0; i < n_plans; i++) {
        status |= fpheap_close(plans[i].heap) != 0;
        printf("%s/%s: %.3f MiB\n", plans[i].directory, plans[i].name,
               mib(plans[i].bytes));
    }
    return status;
}

/* --- look ----------------------------------------------------------------- */

static void
show_heading(void)
{
    printf("%-20s %10s %10s %10s %10s  members\n", "name, then MiB:", "size",
           "obtained", "live", "parked");
}

static void
show_line(const char *name, const view *v)
{
    printf("%-20s %10.3f %10.3f %10.3f %10.3f  %u alive, %u dead, %u reading\n",
           name, mib(v->bytes), mib(v->stats.region_bytes),
           mib(v->stats.live_bytes), mib(v->stats.parked_bytes),
           v->members - v->dead, v->dead, v->readers);
}

/* Show a file if it is a partition.  Returns 1: it is one, but unreadable. */
static int
list_one(const char *directory, const char *name)
{
    static view v;
    char        path[2 * PATH];
    const char *why;
    struct stat file;
    unsigned    i;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    if (lstat(path, &file) != 0 || !S_ISREG(file.st_mode)
        || access(path, R_OK) != 0)
        return 0;
    why = look(path, &v);
    if (why != NULL)
        return strstr(why, "no heap in it") != NULL ? 0 : problem(path, why);
    show_line(name, &v);
    for (i = 0; i < v.members; i++)
        view_print_member(stdout, &v.member[i]);
    return fpheap_close(v.heap) != 0;
}

static int
list(const char *directory, int unused)
{
    struct dirent **entries;
    int             status = 0;
    int             n, i;

    (void)unused;
    if (directory == NULL)
        directory = "/dev/shm";
    n = scandir(directory, &entries, NULL, alphasort);
    if (n < 0)
        return problem(directory, strerror(errno));
    show_heading();
    for (i = 0; i < n; i++) {
        status |= list_one(directory, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static int
watch(const char *path, int unused)
{
    static view v;
    const char *name, *why;
    unsigned    i;

    (void)unused;
    (void)split(path, &name);
    for (i = 0; (why = look(path, &v)) == NULL; i++) {
        fpheap_close(v.heap);
        if (i % 20 == 0)
            show_heading();
        show_line(name, &v);
        fflush(stdout);
        sleep(1);
    }
    return problem(path, why);
}

static int
draw(const char *path, int as_svg)
{
    static view v;
    const char *why  = look(path, &v);
    char       *text = NULL;
    size_t      bytes;
    FILE       *out;

    if (why != NULL)
        return problem(path, why);
    out = open_memstream(&text, &bytes);
    if (out == NULL)
        return problem(path, strerror(errno));
    view_draw(out, &v);
    fclose(out);
    if (as_svg)
        svg_print(text);
    else
        fputs(text, stdout);
    free(text);
    return fpheap_close(v.heap) != 0;
}

/* --- change --------------------------------------------------------------- */

static int
recover(const char *path, int unused)
{
    static view      v;
    fpheap_partition desc = { 0 };
    const char      *why  = look(path, &v);
    const char      *name;
    fpheap          *heap;
    size_t           live = 0, parked = 0;
    unsigned         i;
    int              rc;

    (void)unused;
    if (why != NULL)
        return problem(path, why);
    for (i = 0; i < v.members; i++)
        if (!v.member[i].alive) {
            live += v.member[i].live_bytes;
            parked += v.member[i].parked_bytes;
        }
    fpheap_close(v.heap);
    if (v.dead == 0)
        return printf("%s: no member is dead\n", path) < 0;
    desc.directory = split(path, &name);
    heap = fpheap_open(name, &desc, 0); /* which cleans up too */
    if (heap == NULL)
        return problem(path, reason(errno));
    rc = fpheap_recover(heap, 0);
    fpheap_close(heap);
    if (rc < 0)
        return problem(path, "a living member is stopped inside a call");
    printf("%s: dead members: %u; %.3f MiB that they parked serve others, "
           "%.3f MiB stay live\n", path, v.dead, mib(parked), mib(live));
    return 0;
}

static int
take_away(const char *path, int forced)
{
    static view      v;
    fpheap_partition desc = { 0 };
    const char      *why  = look(path, &v);
    const char      *name;
    int              rc;

    if (why == NULL) {
        fpheap_close(v.heap);
        if (v.members - v.dead + v.readers != 0)
            why = "members have it open";
    } else if (strstr(why, "no heap in it") != NULL) {
        return problem(path, why); /* it may be anything */
    }
    if (why != NULL && !forced)
        return problem(path, why);
    desc.directory = split(path, &name);
    rc = fpheap_unlink(name, &desc);
    return rc == 0 ? 0 : problem(path, strerror(-rc));
}

/* --- the command line ----------------------------------------------------- */

static const struct command {
    const char *name;
    int       (*run)(const char *argument, int option);
    const char *argument;      /* in brackets: it may be missing */
    const char *option;        /* in brackets too, or "" */
} commands[] = {
    { "create", create, "FILE", "" },
    { "list", list, "[DIRECTORY]", "" },
    { "watch", watch, "NAME", "" },
    { "draw", draw, "NAME", "[--svg]" },
    { "recover", recover, "NAME", "" },
    { "remove", take_away, "NAME", "[--force]" },
};

static int
usage(void)
{
    size_t i;

    for (i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(stderr, "%s partitions_tool %s %s %s\n",
                i == 0 ? "usage:" : "      ", commands[i].name,
                commands[i].argument, commands[i].option);
    return 2;
}

/* Whether an argument is a command's option. */
static int
is_option(const struct command *c, const char *argument)
{
    size_t n = strlen(argument);

    return argument[0] == '-' && strlen(c->option) == n + 2
        && strncmp(c->option + 1, argument, n) == 0;
}

int
main(int argc, char **argv)
{
    const struct command *c        = commands;
    const struct command *end      = c + sizeof commands / sizeof commands[0];
    const char           *argument = NULL;
    int                   option   = 0;
    int                   i;

    while (c < end && (argc < 2 || strcmp(c->name, argv[1]) != 0))
        c++;
    if (c == end)
        return usage();
    for (i = 2; i < argc; i++)
        if (is_option(c, argv[i]))
            option = 1;
        else if (argument == NULL && argv[i][0] != '-')
            argument = argv[i];
        else
            return usage();
    if (argument == NULL && c->argument[0] != '[')
        return usage();
    return c->run(argument, option);
}
