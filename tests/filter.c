/* filter.c - linked into each test program: with FPHEAP_CASES=word in the
 * environment cmocka runs only the cases whose names contain the word, and with
 * FPHEAP_CASES==name only the case of that name.  A test_... program that leaves
 * files open, which it had not open at first, fails.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

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
choose_cases(void)
{
    static char pattern[128];
    const char *word = getenv("FPHEAP_CASES");

    open_at_first = open_files();
    if (word == NULL || word[0] == '\0')
        return;
    if (word[0] == '=')
        snprintf(pattern, sizeof pattern, "%s", word + 1);
    else
        snprintf(pattern, sizeof pattern, "*%s*", word);
    cmocka_set_test_filter(pattern);
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
