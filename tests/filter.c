/* filter.c - linked into each test program: with FPHEAP_CASES=word in the
 * environment cmocka runs only the cases whose names contain the word, and with
 * FPHEAP_CASES==name only the case of that name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void __attribute__((constructor))
choose_cases(void)
{
    static char pattern[128];
    const char *word = getenv("FPHEAP_CASES");

    if (word == NULL || word[0] == '\0')
        return;
    if (word[0] == '=')
        snprintf(pattern, sizeof pattern, "%s", word + 1);
    else
        snprintf(pattern, sizeof pattern, "*%s*", word);
    cmocka_set_test_filter(pattern);
}
