/* schedule_scenes.h - the cases of a program whose scenes are words of calls
 *
 * All pairs of its operations, its scenes, triples, and schedules at random;
 * for schedule.h.  The program has operations[] and OPERATIONS, scenes[] and
 * SCENES, plan_of(), and how long each case takes in a short run:
 * SECONDS_OF_PAIRS, SECONDS_OF_ORDERS, SECONDS_OF_TRIPLES, SECONDS_AT_RANDOM.
 *
 * Include it behind all that.
 */
#ifndef SCHEDULE_SCENES_H
#define SCHEDULE_SCENES_H

#include "schedule_world.h"

static void
run_scene(const scene *one, unsigned bound, double seconds)
{
    schedule_plan plan = plan_of(one);

    if (!schedule_is_wanted(one->name))
        return;
    schedule_print_all(&plan, bound, seconds);
    printf("\n");
}

/* The operations i, j and, if it is one, k. */
static void
scene_of(scene *one, char *name, size_t i, size_t j, size_t k)
{
    const size_t of[SCHEDULE_THREADS] = {i, j, k};
    unsigned     t;

    memset(one, 0, sizeof *one);
    one->name = name;
    for (t = 0; t < SCHEDULE_THREADS && of[t] < OPERATIONS; t++) {
        name += sprintf(name, "%s%s", t == 0 ? "" : "+",
                        operations[of[t]].name);
        one->before[t] = operations[of[t]].before;
        one->during[t] = operations[of[t]].during;
    }
}

static void
begin_case(double seconds)
{
    schedule_begin_case(seconds);
    schedule_print_titles("preemptions:", "");
}

/* More than that are for SCHEDULE_SECONDS. */
static unsigned
bound_of(unsigned usual)
{
    return usual + (unsigned)schedule_program.is_long;
}

static void
every_pair_of_operations(void **unused)
{
    size_t left = OPERATIONS * (OPERATIONS + 1) / 2;
    size_t i, j;

    (void)unused;
    begin_case(SECONDS_OF_PAIRS);
    for (i = 0; i < OPERATIONS; i++) {
        for (j = i; j < OPERATIONS; j++) {
            char  name[64];
            scene one;

            scene_of(&one, name, i, j, OPERATIONS);
            run_scene(&one, bound_of(2), schedule_slice(left--));
        }
    }
}

static void
orders_that_matter(void **unused)
{
    size_t i;

    (void)unused;
    begin_case(SECONDS_OF_ORDERS);
    for (i = 0; i < SCENES; i++)
        run_scene(&scenes[i], bound_of(2), schedule_slice(SCENES - i));
}

/* Triples are many: the short run draws a few, by the seed. */
static void
some_triples(unsigned left)
{
    uint64_t *seed = &schedule_program.seed;

    for (; left > 0; left--) {
        size_t i = (size_t)(schedule_draw(seed) % OPERATIONS);
        size_t j = (size_t)(schedule_draw(seed) % OPERATIONS);
        char   name[64];
        scene  one;

        scene_of(&one, name, i, j, (size_t)(schedule_draw(seed) % OPERATIONS));
        run_scene(&one, bound_of(1), schedule_slice(left));
    }
}

static void
all_triples(void)
{
    size_t left = OPERATIONS * (OPERATIONS + 1) * (OPERATIONS + 2) / 6;
    size_t i, j, k;

    for (i = 0; i < OPERATIONS; i++) {
        for (j = i; j < OPERATIONS; j++) {
            for (k = j; k < OPERATIONS; k++) {
                char  name[64];
                scene one;

                scene_of(&one, name, i, j, k);
                run_scene(&one, bound_of(1), schedule_slice(left--));
            }
        }
    }
}

static void
triples_of_operations(void **unused)
{
    (void)unused;
    begin_case(SECONDS_OF_TRIPLES);
    if (schedule_program.is_long)
        all_triples();
    else
        some_triples(12);
}

/* One of the orders, a pair, or a triple. */
static void
draw_scene(scene *one, char *name)
{
    uint64_t *seed = &schedule_program.seed;
    size_t    i    = (size_t)(schedule_draw(seed) % (SCENES * 3));
    size_t    j    = (size_t)(schedule_draw(seed) % OPERATIONS);
    size_t    k    = (size_t)(schedule_draw(seed) % (OPERATIONS + 1));

    if (i < SCENES)
        *one = scenes[i];
    else
        scene_of(one, name, (size_t)(schedule_draw(seed) % OPERATIONS), j, k);
}

static void
schedules_at_random(void **unused)
{
    unsigned left = schedule_program.is_long ? 1000 : 40;
    uint64_t runs = 0;

    (void)unused;
    begin_case(SECONDS_AT_RANDOM);
    for (; left > 0; left--) {
        char          name[64];
        scene         one;
        schedule_plan plan;

        draw_scene(&one, name);
        plan = plan_of(&one);
        if (schedule_is_wanted(one.name))
            runs += schedule_random(&plan, &schedule_program.seed, UINT64_MAX,
                                    schedule_slice(left));
    }
    printf("  %llu\n", (unsigned long long)runs);
}

/* --- one schedule again --------------------------------------------------- */

static void
replay_scene(const scene *one, const char *text)
{
    schedule_plan plan = plan_of(one);

    schedule_replay(&plan, text);
}

static void
replay(const char *text)
{
    size_t i, j, k;

    for (i = 0; i < SCENES; i++)
        replay_scene(&scenes[i], text);
    for (i = 0; i < OPERATIONS; i++) {
        for (j = 0; j < OPERATIONS; j++) {
            for (k = 0; k <= OPERATIONS; k++) {
                char  name[64];
                scene one;

                scene_of(&one, name, i, j, k);
                replay_scene(&one, text);
            }
        }
    }
}

static void
a_schedule_replays(void **unused)
{
    size_t i;

    (void)unused;
    schedule_catch();
    for (i = 0; i < OPERATIONS; i++) {
        schedule_list list = {2, 0, {{7, 1}, {19, 0}}};
        char          name[64];
        scene         one;
        schedule_plan plan;

        scene_of(&one, name, i, (i + 1) % OPERATIONS, OPERATIONS);
        plan = plan_of(&one);
        assert_true(schedule_repeats(&plan, &list));
    }
}

#endif /* SCHEDULE_SCENES_H */
