/* open_files.c - linked into the test programs: one called test_... that leaves
 * files open, which it had not open at first, fails.  (Others are stopped and
 * killed in all places.) */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned open_at_first;

/* Files that this process has open, but for those in memory, which only tests
 * make. */
static unsigned
open_files(void)
{
    DIR           *files = opendir("/proc/self/fd");
    struct dirent *file;
    unsigned       n = 0;

    while (files != NULL && (file = readdir(files)) != NULL) {
        char name[16] = "";

        (void)!readlinkat(dirfd(files), file->d_name, name, sizeof name);
        n += strncmp(name, "/memfd:", 7) != 0;
    }
    if (files != NULL)
        (void)closedir(files);
    return n;
}

static void __attribute__((constructor))
count_open_files(void)
{
    open_at_first = open_files();
}

static void __attribute__((destructor))
look_for_open_files(void)
{
    unsigned n = open_files();

    if (n == open_at_first
        || strncmp(program_invocation_short_name, "test_", 5) != 0)
        return;
    (void)fprintf(stderr, "files are open: %d more than at first\n",
                  (int)(n - open_at_first));
    (void)fflush(NULL);
    _exit(1);
}
