/* test_memory_model.c - what the schedules' loads may return is what C11 says
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Small programs whose outcomes are known, each with orders that just suffice and
 * with weaker ones: all schedules are run, and the outcomes that come are those
 * that may.  The names are those of Alglave, Maranget and Tautschnig, "Herding
 * cats", TOPLAS 2014.
 */
#include "schedule.h"

#include <setjmp.h>

#include <cmocka.h>

enum { RLX = __ATOMIC_RELAXED, ACQ = __ATOMIC_ACQUIRE, REL = __ATOMIC_RELEASE,
       AR = __ATOMIC_ACQ_REL, SC = __ATOMIC_SEQ_CST };

static uint64_t x, y;
static unsigned outcome;       /* of this run: what was loaded, a bit or two each */
static uint32_t outcomes;      /* that came, a bit each */

/* The orders of a program's accesses, as it numbers them. */
static int order[4];

static void
begin(void)
{
    x = y = 0;
    outcome = 0;
}

static void
nothing(void)
{
}

static void
nothing_of(unsigned self)
{
    (void)self;
}

static void
note(void)
{
    outcomes |= (uint32_t)1 << outcome;
}

static void
saw(unsigned at, uint64_t value)
{
    schedule_hide();
    outcome |= (unsigned)value << at;
    schedule_show();
}

/* Order n of those given; the builtins take what is no constant too. */
#define LOAD(p, n)      __atomic_load_n(p, order[n])
#define STORE(p, v, n)  __atomic_store_n(p, (uint64_t)(v), order[n])
#define ADD(p, v, n)    __atomic_fetch_add(p, (uint64_t)(v), order[n])

/* MP: data, then a flag; the flag, then the data. */
static void
message(unsigned self)
{
    if (self == 0) {
        STORE(&x, 1, 0);
        STORE(&y, 1, 1);
    } else {
        saw(1, LOAD(&y, 2));
        saw(0, LOAD(&x, 3));
    }
}

/* The flag goes through a third thread's read-modify-write. */
static void
message_through(unsigned self)
{
    if (self == 0) {
        STORE(&x, 1, 0);
        STORE(&y, 1, 1);
    } else if (self == 2) {
        ADD(&y, 1, 2);
    } else if (LOAD(&y, 3) == 2) {
        saw(1, 1);
        saw(0, LOAD(&x, 0));
    }
}

/* SB: each stores, and loads the other's. */
static void
store_buffers(unsigned self)
{
    STORE(self == 0 ? &x : &y, 1, self);
    saw(self, LOAD(self == 0 ? &y : &x, 2 + self));
}

/* CoRR: two loads of the same. */
static void
coherence(unsigned self)
{
    if (self == 0) {
        STORE(&x, 1, 0);
        return;
    }
    saw(1, LOAD(&x, 0));
    saw(0, LOAD(&x, 0));
}

/* WRC: what a thread has seen, and tells another. */
static void
causality(unsigned self)
{
    if (self == 0) {
        STORE(&x, 1, 0);
    } else if (self == 1) {
        if (LOAD(&x, 0) == 1)
            STORE(&y, 1, 1);
    } else if (LOAD(&y, 2) == 1) {
        saw(1, 1);
        saw(0, LOAD(&x, 0));
    }
}

/* Two additions are both there. */
static void
additions(unsigned self)
{
    uint64_t was = ADD(&x, 1, 0);

    saw(0, was);               /* 0 and 1, or one of them would be lost */
    (void)self;
}

/* A compare-and-swap that fails by an older value; the data by its order. */
static void
failure(unsigned self)
{
    uint64_t expected = 9;

    if (self == 0) {
        STORE(&x, 1, 0);
        STORE(&y, 1, 1);
    } else {
        (void)__atomic_compare_exchange_n(&y, &expected, (uint64_t)5, 0, RLX,
                                          order[2]);
        saw(1, expected);
        saw(0, LOAD(&x, 3));
    }
}

static const struct litmus {
    const char *name;
    unsigned    threads;
    void      (*work)(unsigned self);
    int         order[4];
    uint32_t    may;           /* the outcomes, a bit each */
} programs[] = {
    {"MP", 2, message, {RLX, REL, ACQ, RLX}, 1 << 0 | 1 << 1 | 1 << 3},
    {"MP relaxed store", 2, message, {RLX, RLX, ACQ, RLX}, 0xf},
    {"MP relaxed load", 2, message, {RLX, REL, RLX, RLX}, 0xf},
    {"MP seq_cst", 2, message, {RLX, SC, SC, RLX}, 1 << 0 | 1 << 1 | 1 << 3},
    {"MP of a change", 3, message_through, {RLX, REL, RLX, ACQ}, 1 | 1 << 3},
    {"MP of no release", 3, message_through, {RLX, RLX, RLX, ACQ},
     1 | 1 << 2 | 1 << 3},
    {"MP of no acquire", 3, message_through, {RLX, REL, AR, RLX},
     1 | 1 << 2 | 1 << 3},
    {"SB", 2, store_buffers, {SC, SC, SC, SC}, 0xe},
    {"SB release, acquire", 2, store_buffers, {REL, REL, ACQ, ACQ}, 0xf},
    {"SB one store", 2, store_buffers, {SC, REL, SC, SC}, 0xf},
    {"SB one load", 2, store_buffers, {SC, SC, SC, ACQ}, 0xf},
    {"CoRR", 2, coherence, {RLX, 0, 0, 0}, 1 | 1 << 1 | 1 << 3},
    {"WRC", 3, causality, {RLX, REL, ACQ, 0}, 1 | 1 << 3},
    {"WRC relaxed", 3, causality, {RLX, RLX, ACQ, 0}, 1 | 1 << 2 | 1 << 3},
    {"additions", 2, additions, {RLX, 0, 0, 0}, 1 << 1},
    {"failure", 2, failure, {RLX, REL, ACQ, RLX}, 1 | 1 << 1 | 1 << 3},
    {"failure relaxed", 2, failure, {RLX, REL, RLX, RLX}, 0xf},
};
#define PROGRAMS (sizeof programs / sizeof *programs)

static void
outcomes_are_those_of_c11(void **unused)
{
    size_t i;

    (void)unused;
    schedule_begin_case(2.0);
    for (i = 0; i < PROGRAMS; i++) {
        const struct litmus *one  = &programs[i];
        schedule_plan        plan = {one->name, one->threads, 0, begin,
                                     nothing_of, one->work, note, nothing_of,
                                     nothing, 0, NULL, NULL};

        memcpy(order, one->order, sizeof order);
        outcomes = 0;
        schedule_all(&plan, 4, 100.0);
        if (outcomes != one->may)
            fail_msg("%s: %#x instead of %#x", one->name, (unsigned)outcomes,
                     (unsigned)one->may);
    }
}

/* --- plain accesses ------------------------------------------------------- */

static int
races(const void *at, size_t bytes, unsigned self, int access)
{
    return model_access(at, bytes, self, access) >= 0;
}

static void
accesses_race_unless_they_are_ordered(void **unused)
{
    static uint64_t word[4];
    static uint64_t flag;
    model_location *l;
    int             first, second;

    (void)unused;
    for (first = MODEL_READ; first <= MODEL_STORE; first++) {
        for (second = MODEL_READ; second <= MODEL_STORE; second++) {
            int write = first == MODEL_WRITE || first == MODEL_STORE
                     || second == MODEL_WRITE || second == MODEL_STORE;
            int atomic = first >= MODEL_LOAD && second >= MODEL_LOAD;

            model_begin();
            assert_false(races(word, 8, 0, first));
            /* (Atomic loads are not remembered.) */
            assert_int_equal(races(word, 8, 1, second),
                             write && !atomic && first != MODEL_LOAD);
            /* after a release and an acquire */
            model_begin();
            assert_false(races(word, 8, 0, first));
            l = model_at(&flag, 0);
            model_put(l, 1, 0, __ATOMIC_RELEASE, NULL);
            model_see(l, l->n - 1, 1, __ATOMIC_ACQUIRE);
            assert_false(races(word, 8, 1, second));
            /* and what came after the release */
            assert_false(races(word + 1, 8, 0, first));
            assert_int_equal(races(word + 1, 8, 1, second),
                             write && !atomic && first != MODEL_LOAD);
        }
    }
}

static void
bytes_of_a_word_do_not_race_with_their_neighbours(void **unused)
{
    static char bytes[64] __attribute__((aligned(8)));
    int         i;

    (void)unused;
    model_begin();
    for (i = 0; i < 8; i++)
        assert_false(races(bytes + i, 1, (unsigned)i % 2, MODEL_WRITE));
    assert_true(races(bytes + 3, 1, 0, MODEL_READ));
    assert_true(races(bytes + 1, 4, 0, MODEL_READ));
    assert_false(races(bytes + 8, 24, 0, MODEL_WRITE));
    assert_true(races(bytes + 30, 8, 1, MODEL_WRITE));
    model_forget(bytes, sizeof bytes);
    assert_false(races(bytes + 3, 1, 0, MODEL_WRITE));
}

static void
replay(const char *text)
{
    (void)text;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes_are_those_of_c11),
        cmocka_unit_test(accesses_race_unless_they_are_ordered),
        cmocka_unit_test(bytes_of_a_word_do_not_race_with_their_neighbours),
    };

    schedule_init();
    schedule_begin("test_memory_model", 2 /* seconds */, replay);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
