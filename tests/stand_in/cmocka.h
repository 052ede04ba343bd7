/* cmocka.h - what the tests use of cmocka, for machines that have none
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * The same names, and the same output as far as run.sh reads it.  Cases are
 * chosen by FPHEAP_CASES as filter.c does, which is not linked.  A signal ends
 * the program, where cmocka goes on with the next case.
 */
#ifndef STAND_IN_CMOCKA_H
#define STAND_IN_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAND_IN __attribute__((unused)) static

typedef void (*stand_in_case)(void **state);
typedef int (*stand_in_around)(void **state);

struct CMUnitTest {
    const char     *name;
    stand_in_case   run;
    stand_in_around setup, teardown; /* or NULL */
};

/* How a case ends. */
enum { STAND_IN_OK, STAND_IN_FAILED, STAND_IN_SKIPPED, STAND_IN_ENDS };

static jmp_buf stand_in_end;

STAND_IN __attribute__((noreturn)) void
stand_in_leave(int how)
{
    fflush(stdout);
    longjmp(stand_in_end, how);
}

STAND_IN __attribute__((format(printf, 1, 2))) void
print_error(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
}

STAND_IN __attribute__((format(printf, 1, 2))) void
print_message(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vprintf(format, list);
    va_end(list);
}

STAND_IN void
stand_in_check(int holds, const char *what, const char *file, int line)
{
    if (holds)
        return;
    print_error("%s:%d: error: %s\n", file, line, what);
    stand_in_leave(STAND_IN_FAILED);
}

/* cmocka's name for what fail() calls. */
STAND_IN __attribute__((noreturn)) void
_fail(const char *file, int line)
{
    print_error("%s:%d: error: failed\n", file, line);
    stand_in_leave(STAND_IN_FAILED);
}

STAND_IN void
stand_in_equal(uintmax_t a, uintmax_t b, int wanted, const char *what,
               const char *file, int line)
{
    if ((a == b) == wanted)
        return;
    print_error("%#jx %s %#jx\n", a, wanted ? "!=" : "==", b);
    stand_in_check(0, what, file, line);
}

#define STAND_IN_CHECK(holds, what) \
    stand_in_check(holds, what, __FILE__, __LINE__)
#define STAND_IN_EQUAL(a, b, wanted) \
    stand_in_equal(a, b, wanted, #a ", " #b, __FILE__, __LINE__)

#define assert_true(c)     STAND_IN_CHECK((c) != 0, #c)
#define assert_false(c)    STAND_IN_CHECK((c) == 0, "not " #c)
#define assert_null(p)     STAND_IN_CHECK((p) == NULL, #p " == NULL")
#define assert_non_null(p) STAND_IN_CHECK((p) != NULL, #p " != NULL")
#define assert_int_equal(a, b) \
    STAND_IN_EQUAL((uintmax_t)(a), (uintmax_t)(b), 1)
#define assert_int_not_equal(a, b) \
    STAND_IN_EQUAL((uintmax_t)(a), (uintmax_t)(b), 0)
#define assert_ptr_equal(a, b) \
    STAND_IN_EQUAL((uintptr_t)(a), (uintptr_t)(b), 1)
#define assert_ptr_not_equal(a, b) \
    STAND_IN_EQUAL((uintptr_t)(a), (uintptr_t)(b), 0)
#define assert_in_range(value, from, to)                               \
    STAND_IN_CHECK((uintmax_t)(value) - (from) <= (uintmax_t)(to) - (from), \
                   #value " in " #from " .. " #to)
#define assert_memory_equal(a, b, bytes) \
    STAND_IN_CHECK(memcmp(a, b, bytes) == 0, #a " like " #b)
#define assert_string_equal(a, b) \
    STAND_IN_CHECK(strcmp(a, b) == 0, #a " like " #b)
#define fail() _fail(__FILE__, __LINE__)
#define fail_msg(...) (print_error(__VA_ARGS__), print_error("\n"), fail())
#define skip() stand_in_leave(STAND_IN_SKIPPED)

#define cmocka_unit_test(f) { #f, f, NULL, NULL }
#define cmocka_unit_test_setup_teardown(f, setup, teardown) \
    { #f, f, setup, teardown }

/* Returns how it ended. */
STAND_IN int
stand_in_run(const struct CMUnitTest *test, void **state)
{
    static const char *const words[] = { "       OK ", "  FAILED  ",
                                         "  SKIPPED " };
    int how;

    printf("[ RUN      ] %s\n", test->name);
    how = setjmp(stand_in_end);
    if (how == STAND_IN_OK) {
        if (test->setup != NULL && test->setup(state) != 0)
            fail();
        test->run(state);
        stand_in_leave(STAND_IN_ENDS);
    }
    how %= STAND_IN_ENDS;
    if (test->teardown != NULL && test->teardown(state) != 0)
        how = STAND_IN_FAILED;
    printf("[%s] %s\n", words[how], test->name);
    return how;
}

STAND_IN int
stand_in_run_group(const struct CMUnitTest *tests, size_t n,
                   int (*setup)(void **), int (*teardown)(void **))
{
    const char *word = getenv("FPHEAP_CASES");
    unsigned    ended[STAND_IN_ENDS] = { 0, 0, 0 };
    void       *state = NULL;
    size_t      i;

    if (setup != NULL && setup(&state) != 0)
        return -1;
    for (i = 0; i < n; i++)
        if (word == NULL || strstr(tests[i].name, word) != NULL)
            ended[stand_in_run(&tests[i], &state)]++;
    if (teardown != NULL && teardown(&state) != 0)
        return -1;
    printf("[==========] %u test(s) run.\n",
           ended[STAND_IN_OK] + ended[STAND_IN_FAILED]);
    printf("[  PASSED  ] %u test(s).\n", ended[STAND_IN_OK]);
    if (ended[STAND_IN_SKIPPED] != 0)
        printf("[  SKIPPED ] %u test(s).\n", ended[STAND_IN_SKIPPED]);
    if (ended[STAND_IN_FAILED] != 0)
        printf("[  FAILED  ] %u test(s).\n", ended[STAND_IN_FAILED]);
    return (int)ended[STAND_IN_FAILED];
}

#define cmocka_run_group_tests(tests, setup, teardown)                     \
    stand_in_run_group(tests, sizeof (tests) / sizeof *(tests), setup,     \
                       teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown)          \
    (printf("%s\n", name), cmocka_run_group_tests(tests, setup, teardown))

#endif
