/* test_shared_owners.c - with headers, nothing that a process had is lost when
 * it dies
 *
 * Each object of a shared heap has an owner.  What a dead process had in its
 * hands, wherever it was in a call, is free again; what it had live is listed,
 * freed, or kept.  stress_killed_header.c kills processes anywhere; here each
 * kind of loss is made by hand.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#define FPHEAP_HEADER 1
#include "reports.h"

#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "shared_util.h"

#define SOME 50

/* --- whose it is ---------------------------------------------------------- */

static int
note_owner(void *arg, const fpheap_member *member)
{
    uint32_t *owner = (uint32_t *)arg;

    if (member->process == (int)getpid())
        *owner = member->owner;
    return 0;
}

static uint32_t
own_number(fpheap *heap)
{
    uint32_t owner = 0;

    NEED(fpheap_members(heap, note_owner, &owner) == 0);
    NEED(owner != 0);
    return owner;
}

/* Allocate some objects in all ways, each of them this process's. */
static void
allocate_some(fpheap *heap, void **some)
{
    unsigned i;

    for (i = 0; i < SOME / 2; i++)
        some[i] = i == 0 ? fpheap_alloc(heap, TEST_MIB)
                : i == 1 ? fpheap_aligned_alloc(heap, 4096, 100)
                : i == 2 ? fpheap_zalloc(heap, 10000)
                         : fpheap_alloc(heap, 16u << i % 10);
    NEED(fpheap_alloc_bulk(heap, 64, some + SOME / 2, SOME - SOME / 2) == 0);
    for (i = 0; i < SOME; i++) {
        NEED(some[i] != NULL);
        NEED(fpheap_owner(some[i]) == own_number(heap));
    }
}

static int
allocate_and_free(peer *p, void *arg)
{
    fpheap  *heap = open_it();
    void    *some[SOME];
    unsigned i;

    (void)arg;
    allocate_some(heap, some);
    for (i = 0; i < SOME; i++)
        say_object(p, some[i]);
    (void)hear(p);             /* the runner has freed them, and has new ones */
    allocate_some(heap, some);
    fpheap_free_bulk(heap, some, SOME);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
an_object_belongs_to_the_process_that_has_allocated_it(void **state)
{
    fpheap  *heap = create();
    void    *some[SOME], *theirs[SOME];
    uint32_t owner;
    unsigned i;
    peer     p;

    (void)state;
    peer_begin(&p, allocate_and_free, NULL);
    for (i = 0; i < SOME; i++)
        theirs[i] = hear_object(&p);
    owner = fpheap_owner(theirs[0]);
    assert_int_not_equal(owner, own_number(heap));
    for (i = 0; i < SOME; i++)
        assert_int_equal(fpheap_owner(theirs[i]), owner);
    fpheap_free_bulk(heap, theirs, SOME);
    allocate_some(heap, some);
    say(&p, 0);
    peer_end(&p);
    for (i = 0; i < SOME; i++)
        assert_int_equal(fpheap_owner(some[i]), own_number(heap));
    fpheap_free_bulk(heap, some, SOME);
    close_empty(heap);
}

static void
no_two_members_have_the_same_number(void **state)
{
    fpheap  *heap = create();
    uint32_t first = own_number(heap), second;

    (void)state;
    heap->partition->came = 500;
    assert_int_equal(fpheap_close(heap), 0);
    heap = open_it();
    second = own_number(heap);
    assert_int_equal(first % FPH_MEMBERS, second % FPH_MEMBERS);
    assert_int_not_equal(first, second);
    close_empty(heap);
}

/* Numbers of one place are others until all have been given, and none is 0. */
static void
a_number_comes_again_when_all_others_were(void **state)
{
    const uint64_t all = UINT32_MAX / FPH_MEMBERS - 1;
    fph_member     first, other;
    uint64_t       i;

    (void)state;
    memset(&first, 0, sizeof first);
    memset(&other, 0, sizeof other);
    assert_int_equal(fph_owner_number(&first, 3), 0);
    first.is = 1;
    for (i = 2; i < all + 100; i += i < 100 || i >= all - 100 ? 1 : 83) {
        uint32_t number;

        other.is = i;
        number = fph_owner_number(&other, 3);
        assert_int_equal(number % FPH_MEMBERS, 3);
        assert_true(number >= FPH_MEMBERS);
        assert_int_equal(number == fph_owner_number(&first, 3), i == all + 1);
    }
}

static void
an_object_of_a_heap_that_is_not_shared_has_no_owner(void **state)
{
    fpheap *heap = fpheap_create("own", NULL);
    void   *object;

    (void)state;
    assert_non_null(heap);
    object = fpheap_alloc(heap, 64);
    fpheap_free(heap, object);
    object = fpheap_alloc(heap, 64);
    memset(object, 0xff, 64);
    fpheap_free(heap, object);
    object = fpheap_alloc(heap, 64);
    assert_int_equal(fpheap_owner(object), 0);
    fpheap_free(heap, object);
    assert_int_equal(fpheap_destroy(heap), 0);
}

/* --- what was in the hands of the dead ------------------------------------ */

/* Take objects, as an allocation does that is killed before it ends. */
static void
hold_of_a_hit(fpheap *heap)
{
    fph_bin *bins;
    void    *some[SOME];
    unsigned i;

    for (i = 0; i < SOME; i++)
        some[i] = fpheap_alloc(heap, 64);
    for (i = 0; i < SOME; i++)
        fpheap_free(heap, some[i]);
    bins = fph_entry_of(heap)->local;
    for (i = 0; i < 10; i++)
        NEED(fph_take(&bins[fph_class_of(64)]) != NULL);
}

static void
hold_of_a_slab(fpheap *heap)
{
    void *some[SOME];
    int   refused = 0;

    (void)fpheap_self(heap);
    NEED(fph_bin_claim(heap, fph_class_of(1000), some, SOME, &refused) == SOME);
}

/* Take what is free in a slab, but get no further. */
static void
hold_half(fph_slab *slab)
{
    fph_fetch_and_relaxed(&slab->bits[0], ~(uint64_t)0x1f);
}

/* A new slab, in pages that were not empty. */
static void
hold_half_of_a_new_slab(fpheap *heap)
{
    unsigned bin     = fph_class_of(3000);
    unsigned pages   = fph_bin_class(heap->state, bin)->pages;
    size_t   page    = fph_pages_claim(heap, 0 /* node */, pages, 1);
    int      refused = 0;

    NEED(page != FPH_NO_PAGE);
    memset(fph_page_address(heap->state, page), 1, pages * FPHEAP_PAGE);
    fph_pages_give(heap->state, page, pages);
    hold_half(fph_slab_carve(heap, bin, &refused));
}

/* A slab whose objects the runner has freed. */
static void
hold_half_of_an_old_slab(fpheap *heap)
{
    fph_slab *slab = fph_record_of(heap->state, fpheap_root(heap));

    NEED(fph_info_kind(fph_info_load(slab)) == FPH_SLAB);
    hold_half(slab);
}

/* A magazine, in a bin of which only the top is left: its thread was loading it
 * when it died, and a cleaner unloading it when that died. */
static void
hold_the_top_of_a_bin(fpheap *heap)
{
    fpheap_cache *cache = fpheap_self(heap);
    fph_bin      *bin   = &cache->bins[fph_class_of(64)];

    NEED(fpheap_alloc_bulk(heap, 64, objects, FPHEAP_MAGAZINE) == 0);
    fpheap_free_bulk(heap, objects, FPHEAP_MAGAZINE);
    NEED(bin->base != NULL && !fph_is_short(fph_magazine_of(bin->base)));
    fph_magazine_set_count(fph_magazine_of(bin->base),
                           (size_t)(bin->top - bin->base));
    bin->base = NULL;
    bin->limit = NULL;
}

/* Nothing: it has freed all, into a depot. */
static void
hold_nothing(fpheap *heap)
{
    unsigned most = 4 * FPHEAP_MAGAZINE;

    NEED(fpheap_alloc_bulk(heap, 64, objects, most) == 0);
    fpheap_free_bulk(heap, objects, most);
    fpheap_flush(heap);
}

/* Objects that another process has freed lie in a depot. */
static void
hold_of_a_depot(fpheap *heap)
{
    unsigned      bin  = fph_class_of(64);
    fph_magazine *full = fph_depot_get(heap->state, bin);

    NEED(full != NULL && full->count > 10);
    fph_magazine_set_count(full, full->count - 10);
}

static void
hold_of_a_free(fpheap *heap)
{
    void    *some[SOME];
    unsigned i;

    for (i = 0; i < SOME; i++) {
        some[i] = fpheap_alloc(heap, i == 0 ? TEST_MIB : 64);
        NEED(fph_dies(heap, some[i], FPH_ANY_CLASS));
    }
}

static void
hold_a_large_one(fpheap *heap)
{
    NEED(fph_run_alloc(heap, 0, fph_run_need(heap, TEST_MIB, 16)) != NULL);
}

static const struct {
    void   (*hold)(fpheap *heap);
    unsigned found;            /* objects; magazines are found as a whole */
    unsigned threads;          /* that had a cache */
} holds[] = {
    { hold_of_a_hit, 10, 1 },
    { hold_of_a_slab, SOME, 1 },
    { hold_half_of_a_new_slab, 5, 0 },
    { hold_half_of_an_old_slab, 5, 0 },
    { hold_of_a_depot, 10, 0 },
    { hold_of_a_free, SOME, 1 },
    { hold_a_large_one, 1, 0 },
    { hold_the_top_of_a_bin, 0, 1 },
    { hold_nothing, 0, 1 },
};

static int
hold_and_wait(peer *p, void *arg)
{
    fpheap *heap = open_it();

    holds[(uintptr_t)arg].hold(heap);
    say(p, 0);
    (void)hear(p);
    return 1;
}

/* A heap in which the runner has one object alive, the root, with neighbours
 * that it has freed; and a depot with others. */
static fpheap *
create_with_a_depot(void)
{
    fpheap  *heap = create();
    unsigned most = 4 * FPHEAP_MAGAZINE;

    NEED(most <= MOST);
    NEED(fpheap_alloc_bulk(heap, 5000, objects, SOME) == 0);
    NEED(fpheap_set_root(heap, objects[0]) == 0);
    fpheap_free_bulk(heap, objects + 1, SOME - 1);
    fpheap_flush(heap);
    (void)fpheap_trim(heap);
    NEED(fpheap_alloc_bulk(heap, 64, objects, most) == 0);
    fpheap_free_bulk(heap, objects, most);
    fpheap_flush(heap);
    NEED(fph_depot_count(heap->state, fph_class_of(64)) > 0);
    return heap;
}

static void
close_but_for_the_root(fpheap *heap)
{
    TEST_CHECK_LIVE(heap, 1);
    fpheap_free(heap, fpheap_root(heap));
    close_empty(heap);
}

static void
what_a_dead_process_had_in_its_hands_is_free(void **state)
{
    fpheap      *heap;
    fpheap_stats s;
    uintptr_t    i;
    peer         p;

    (void)state;
    for (i = 0; i < TEST_COUNT(holds); i++) {
        heap = create_with_a_depot();
        peer_begin(&p, hold_and_wait, (void *)i);
        (void)hear(&p);
        peer_kill(&p);
        assert_int_equal(fpheap_recover(heap, 0), 1);
        fpheap_stats_get(heap, &s);
        assert_int_equal(s.recovered_members, 1);
        assert_int_equal(s.recovered_threads, holds[i].threads);
        assert_int_equal(s.recovered_objects, holds[i].found);
        close_but_for_the_root(heap);
        assert_int_equal(fpheap_unlink(name, NULL), 0);
    }
}

static int
die_holding(peer *p, void *arg)
{
    (void)p;
    holds[(uintptr_t)arg].hold(open_it());
    (void)kill(getpid(), SIGKILL);
    return 1;
}

/* The runner is in the middle of hits while others die. */
static void
what_a_living_process_has_in_its_hands_stays_its_own(void **state)
{
    fpheap  *heap = create_with_a_depot();
    fph_bin *bin;
    void    *taken, *dying;
    peer     p;

    (void)state;
    dying = fpheap_alloc(heap, 64);
    fpheap_free(heap, fpheap_alloc(heap, 64));
    bin = &fph_entry_of(heap)->local[fph_class_of(64)];
    taken = fph_take(bin);
    assert_non_null(taken);
    assert_true(fph_dies(heap, dying, FPH_ANY_CLASS));
    peer_begin(&p, die_holding, NULL);
    assert_true(WIFSIGNALED(peer_status(&p)));
    assert_int_equal(fpheap_recover(heap, 0), 1);
    fph_born(heap, &taken, 1, 64, fph_class_of(64), 0, 0);
    assert_true(fph_put(bin, dying));
    fpheap_free(heap, taken);
    close_but_for_the_root(heap);
}

/* --- what they had live --------------------------------------------------- */

/* Have objects of each kind, and wait for the end: the first goes to the
 * runner, the last is of a pool that knows what is in it. */
static int
have_and_wait(peer *p, void *arg)
{
    fpheap      *heap = open_it();
    book         b;
    fpheap_pool *pool = pool_with(heap, "things", &b);
    void        *some[SOME];

    (void)arg;
    allocate_some(heap, some);
    say_object(p, some[0]);
    say_object(p, fpheap_pool_get(pool));
    (void)hear(p);
    return 1;
}

/* A process that has died with SOME objects and one of a pool.  One of them the
 * runner has taken over. */
static void *
die_with_objects(fpheap *heap)
{
    void *given, *things;
    peer  p;

    peer_begin(&p, have_and_wait, NULL);
    given = hear_object(&p);
    things = hear_object(&p);
    NEED(things != NULL);
    fpheap_own(heap, given);
    peer_kill(&p);
    return given;
}

typedef struct owned {
    fpheap  *heap;
    uint32_t own;
    size_t   mine, others;
} owned;

static int
count_owned(void *arg, const fpheap_object *object)
{
    owned *sum = (owned *)arg;

    if (fpheap_owner(object->base) == sum->own)
        sum->mine++;
    else
        sum->others++;
    return 0;
}

static owned
owned_of(fpheap *heap)
{
    owned sum = { heap, own_number(heap), 0, 0 };

    NEED(fpheap_walk(heap, count_owned, &sum) == 0);
    return sum;
}

static void
what_the_dead_had_live_is_kept_and_listed_by_owner(void **state)
{
    fpheap *heap = create();
    owned   sum;

    (void)state;
    (void)die_with_objects(heap);
    assert_int_equal(fpheap_recover(heap, 0), 1);
    TEST_CHECK_LIVE(heap, SOME + 1);
    sum = owned_of(heap);
    assert_int_equal(sum.mine, 1);
    assert_int_equal(sum.others, SOME);
    assert_int_equal(fpheap_recover(heap, FPHEAP_FREE_DEAD), 0);
    TEST_CHECK_LIVE(heap, SOME + 1);
    assert_int_equal(free_all(heap), SOME + 1);
    close_empty(heap);
}

/* But what the runner has taken over, and the pool's. */
static void
need_freed(fpheap *heap, void *given)
{
    fpheap_tag_stats tag;
    fpheap_stats     s;
    owned            sum;

    TEST_CHECK_LIVE(heap, 2);
    fpheap_stats_get(heap, &s);
    assert_int_equal(s.recovered_objects, SOME - 1);
    sum = owned_of(heap);
    assert_int_equal(sum.mine, 1);
    assert_int_equal(sum.others, 1);
    assert_int_equal(fpheap_tag_stats_get(heap, 0, &tag), 0);
    assert_int_equal(tag.objects, 2);
    fpheap_free(heap, given);
    assert_int_equal(free_all(heap), 1);
    close_empty(heap);
}

static void
what_the_dead_had_live_is_freed_on_request(void **state)
{
    fpheap *heap = create();
    void   *given;
    peer    other;             /* its place is not that of the dead */

    (void)state;
    peer_begin(&other, open_and_stay, NULL);
    say(&other, 0);
    assert_int_equal(hear(&other), 0);
    given = die_with_objects(heap);
    assert_int_equal(fpheap_recover(heap, FPHEAP_FREE_DEAD), 1);
    need_freed(heap, given);
    peer_kill(&other);
}

/* What is in no slab's bits, in the words of its head: what holds it, and whose
 * it is. */
static void
an_object_is_lost_if_nobody_alive_has_it(void **state)
{
    fpheap     *heap = create();
    uint8_t     dead[FPH_MEMBERS];
    fph_rebuild it   = { heap, heap->state, dead, 0, 0 };
    void       *object = fpheap_alloc(heap, 100);
    fph_head   *head   = fph_head_of(object);
    fph_head    was    = *head;
    uint32_t    own    = own_number(heap);

    (void)state;
    memset(dead, 0, sizeof dead);
    assert_int_equal(head->hold.half[1], own);
    assert_false(fph_is_lost(&it, object, 1));
    head->hold.half[0] = 0;    /* it is in a hand, or was freed */
    assert_false(fph_is_lost(&it, object, 0));
    head->hold.half[1] = own + FPH_MEMBERS; /* whom the place has no more */
    assert_true(fph_is_lost(&it, object, 0));
    head->hold.half[1] = 0;
    assert_true(fph_is_lost(&it, object, 0));
    dead[own % FPH_MEMBERS] = 1;
    head->hold.half[1] = own;
    assert_true(fph_is_lost(&it, object, 0));
    *head = was;               /* it is live */
    assert_false(fph_is_lost(&it, object, 0));
    assert_true(fph_is_lost(&it, object, 1));
    head->hold.half[1] = own + FPH_MEMBERS;
    assert_false(fph_is_lost(&it, object, 1));
    *head = was;
    fpheap_free(heap, object);
    close_empty(heap);
}

/* Come and go: whoever comes cleans up. */
static int
come_and_go(peer *p, void *arg)
{
    (void)p, (void)arg;
    NEED(fpheap_close(open_it()) == 0);
    return 0;
}

/* Who comes frees nothing that the dead had, even if these have all places. */
static void
whoever_comes_keeps_what_the_dead_had(void **state)
{
    fpheap     *heap   = create();
    fph_member *member = heap->partition->member;
    unsigned    i, full;
    peer        p;

    (void)state;
    for (full = 0; full < 2; full++) {
        (void)die_with_objects(heap);
        for (i = 0; full && i < FPH_MEMBERS; i++)
            if (member[i].is == 0)
                member[i].is = heap->partition->came++ + 1;
        peer_begin(&p, come_and_go, NULL);
        peer_end(&p);
        assert_int_equal(members_of(heap).members, 1);
        TEST_CHECK_LIVE(heap, SOME + 1);
        assert_int_equal(free_all(heap), SOME + 1);
    }
    close_empty(heap);
}

static void
a_partition_made_so_frees_what_its_dead_had_whoever_cleans_up(void **state)
{
    fpheap_partition desc = partition_of(PARTITION);
    fpheap          *heap;
    void            *given;
    peer             p;

    (void)state;
    desc.flags = FPHEAP_FREE_DEAD;
    heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    assert_non_null(heap);
    given = die_with_objects(heap);
    peer_begin(&p, come_and_go, NULL);
    peer_end(&p);
    need_freed(heap, given);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED_TEST(an_object_belongs_to_the_process_that_has_allocated_it),
        SHARED_TEST(no_two_members_have_the_same_number),
        SHARED_TEST(a_number_comes_again_when_all_others_were),
        SHARED_TEST(an_object_of_a_heap_that_is_not_shared_has_no_owner),
        SHARED_TEST(what_a_dead_process_had_in_its_hands_is_free),
        SHARED_TEST(what_a_living_process_has_in_its_hands_stays_its_own),
        SHARED_TEST(what_the_dead_had_live_is_kept_and_listed_by_owner),
        SHARED_TEST(what_the_dead_had_live_is_freed_on_request),
        SHARED_TEST(an_object_is_lost_if_nobody_alive_has_it),
        SHARED_TEST(whoever_comes_keeps_what_the_dead_had),
        SHARED_TEST(
            a_partition_made_so_frees_what_its_dead_had_whoever_cleans_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
