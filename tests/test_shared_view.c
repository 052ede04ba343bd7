/* test_shared_view.c - a process that only reads a shared heap
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * It sees what is live, by walk, statistics, handles and sizes; it can write
 * nothing; and whatever is in the file, it neither faults nor runs for ever.
 */
#ifndef FPHEAP_CHUNK_SHIFT
#  define FPHEAP_CHUNK_SHIFT 16
#endif
#ifndef FPHEAP_PAGE_SHIFT
#  define FPHEAP_PAGE_SHIFT 12
#endif
#ifndef FPHEAP_MAGAZINE
#  define FPHEAP_MAGAZINE 16
#endif
static unsigned reports;       /* lines that would go to standard error */
#define FPHEAP_REPORT(line) ((void)(line), reports++)
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "fork_util.h"
#include "stress_util.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#define BYTES (4u << 20)

/* Bytes in front of a large object, which are its owner's. */
#define IN_FRONT (FPHEAP_HEADER * FPHEAP_PAGE)

static char name[FPHEAP_NAME_BYTES];

static fpheap *
create_of(size_t bytes)
{
    fpheap_partition desc;
    fpheap          *heap;

    snprintf(name, sizeof name, "view-%d", (int)getpid());
    fpheap_unlink(name, NULL);
    memset(&desc, 0, sizeof desc);
    desc.bytes = bytes;
    heap = fpheap_open(name, &desc, FPHEAP_CREATE | FPHEAP_EXCLUSIVE);
    CHECK(heap != NULL);
    return heap;
}

static fpheap *
create(void)
{
    return create_of(BYTES);
}

static void
end(fpheap *heap)
{
    CHECK_EQ(fpheap_close(heap), 0);
    CHECK_EQ(fpheap_unlink(name, NULL), 0);
}

/* Objects of all kinds, some of them free, parked in a cache, in a depot. */
static void
fill(fpheap *heap)
{
    uint64_t         state = stress_state(5);
    void            *objects[600];
    fpheap_pool_desc desc;
    fpheap_pool     *pool;
    size_t           i;

    memset(&desc, 0, sizeof desc);
    desc.name = "pool";
    desc.size = 200;
    pool = fpheap_pool_create(heap, &desc);
    CHECK(pool != NULL);
    for (i = 0; i < STRESS_LEN(objects); i++) {
        objects[i] = i % 10 == 0 ? fpheap_pool_get(pool)
                   : fpheap_alloc(heap, 1 + stress_below(&state, 3000));
        CHECK(objects[i] != NULL);
    }
    CHECK(fpheap_alloc(heap, 300000) != NULL);
    fpheap_free(heap, fpheap_alloc(heap, 100000));
    for (i = 0; i < STRESS_LEN(objects); i++)
        if (stress_below(&state, 3) == 0)
            fpheap_free(heap, objects[i]);
        else
            fpheap_set_root(heap, objects[i]);
}

/* --- what it sees ------------------------------------------------------------ */

typedef struct seen {
    size_t   objects;
    size_t   bytes;
    uint64_t sum;               /* of addresses, in any order */
} seen;

static int
see(void *arg, const fpheap_object *object)
{
    seen *s = (seen *)arg;

    CHECK_EQ(object->node, 0);  /* a partition has no other */
    s->objects++;
    s->bytes += object->bytes;
    s->sum += (uintptr_t)object->base * 31 + object->bytes;
    return 0;
}

/* What the reader tells the writer. */
typedef struct report {
    seen         walk;
    fpheap_stats stats;
    uint32_t     root;
    size_t       root_bytes;
    int          alive;
} report;

static int
count_alive(void *arg, const fpheap_member *member)
{
    *(int *)arg += member->alive + 100 * member->read_only;
    return 0;
}

/* Pages that are mapped here. */
static unsigned long
mapped_pages(void)
{
    FILE         *in    = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;

    CHECK(in != NULL && fscanf(in, "%lu", &pages) == 1);
    fclose(in);
    return pages;
}

static void
read_all(report *r)
{
    fpheap       *heap = fpheap_open(name, NULL, FPHEAP_READ_ONLY);
    seen          again;
    void         *root;
    unsigned long pages;

    CHECK(heap != NULL);
    (void)mapped_pages();
    pages = mapped_pages();
    CHECK_EQ(fpheap_walk(heap, see, &r->walk), 0);
    CHECK_EQ(mapped_pages(), pages);
    memset(&again, 0, sizeof again);
    CHECK_EQ(fpheap_walk(heap, see, &again), 0);
    CHECK_EQ(again.sum, r->walk.sum);
    CHECK_EQ(mapped_pages(), pages);
    fpheap_stats_get(heap, &r->stats);
    root = fpheap_root(heap);
    r->root = fpheap_handle(heap, root);
    CHECK(fpheap_object(heap, r->root) == root);
    CHECK(fpheap_base_of(heap, (char *)root + 1) == root);
    CHECK(fpheap_owns(heap, root));
    CHECK(!fpheap_owns(heap, &root));
    r->root_bytes = fpheap_usable_size(heap, root);
    CHECK_EQ(fpheap_members(heap, count_alive, &r->alive), 0);
    CHECK_EQ(fpheap_close(heap), 0);
}

static void
test_a_reader_sees_what_is_live(void **unused)
{
    report      *r = (report *)mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fpheap      *heap = create();
    fpheap_stats stats;
    seen         own;
    pid_t        pid;
    int          status;

    (void)unused;
    fill(heap);
    memset(&own, 0, sizeof own);
    CHECK_EQ(fpheap_walk(heap, see, &own), 0);
    fpheap_stats_get(heap, &stats);
    pid = fork_without();
    if (pid == 0) {
        read_all(r);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    CHECK_EQ(status, 0);
    CHECK_EQ(r->walk.objects, own.objects);
    CHECK_EQ(r->walk.bytes, own.bytes);
    CHECK_EQ(r->walk.sum, own.sum);
    CHECK_EQ(r->root, fpheap_handle(heap, fpheap_root(heap)));
    CHECK_EQ(r->root_bytes, fpheap_usable_size(heap, fpheap_root(heap)));
    CHECK_EQ(r->stats.live_objects, stats.live_objects);
    CHECK_EQ(r->stats.live_bytes, stats.live_bytes);
    CHECK_EQ(r->stats.parked_bytes, stats.parked_bytes);
    CHECK_EQ(r->stats.parked_objects, stats.parked_objects);
    CHECK_EQ(r->stats.slab_free_bytes, stats.slab_free_bytes);
    CHECK_EQ(r->stats.page_free_bytes, stats.page_free_bytes);
    CHECK_EQ(r->stats.metadata_bytes, stats.metadata_bytes);
    CHECK_EQ(r->stats.region_bytes, stats.region_bytes);
    CHECK_EQ(r->alive, 1 + 1 + 100);
    end(heap);
}

/* --- who has it ---------------------------------------------------------------- */

typedef struct holding {
    size_t live[3];             /* of members in their order */
    size_t parked[3];
    int    alive;
} holding;

static int
see_holding(void *arg, const fpheap_member *member)
{
    holding *h = (holding *)arg;

    if (member->read_only)
        return 0;
    CHECK(member->number < 3);
    h->live[member->number] = member->live_bytes;
    h->parked[member->number] = member->parked_bytes;
    h->alive += member->alive;
    return 0;
}

static holding
holding_of(fpheap *heap)
{
    holding h;

    memset(&h, 0, sizeof h);
    CHECK_EQ(fpheap_members(heap, see_holding, &h), 0);
    return h;
}

/* What each member has, alive or dead, as a writer and a reader see it. */
static void
test_live_and_parked_bytes_of_each_member_show(void **unused)
{
    holding     *told = (holding *)mmap(NULL, sizeof *told,
                                        PROT_READ | PROT_WRITE,
                                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fpheap      *heap = create();
    fpheap_stats before, after;
    holding      h;
    pid_t        pid;
    int          status;

    (void)unused;
    fill(heap);
    fpheap_stats_get(heap, &before);
    h = holding_of(heap);
    CHECK_EQ(h.live[0], before.live_bytes + IN_FRONT);
    CHECK_EQ(h.parked[0], before.parked_bytes - before.depot_bytes);
    pid = fork_without();
    if (pid == 0) {
        fpheap *own = fpheap_open(name, NULL, 0);
        void   *object[100];
        int     i;

        CHECK(own != NULL);
        for (i = 0; i < 100; i++)
            CHECK((object[i] = fpheap_alloc(own, 1000)) != NULL);
        CHECK(fpheap_alloc(own, 200000) != NULL);
        for (i = 0; i < 30; i++)
            fpheap_free(own, object[i]);
        *told = holding_of(own);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, &status, 0);
    CHECK_EQ(told->live[1], 70 * 1024 + IN_FRONT
                            + (200000 / FPHEAP_PAGE + 1) * FPHEAP_PAGE);
    h = holding_of(heap);
    CHECK_EQ(h.alive, 1);
    CHECK_EQ(h.live[1], told->live[1]);
    CHECK_EQ(h.parked[1], told->parked[1]);
    fpheap_stats_get(heap, &after);
    CHECK_EQ(after.live_bytes, h.live[0] + h.live[1] - 2 * IN_FRONT);
    CHECK_EQ(after.parked_bytes - after.depot_bytes, h.parked[0] + h.parked[1]);
    pid = fork_without();
    if (pid == 0) {
        fpheap *reader = fpheap_open(name, NULL, FPHEAP_READ_ONLY);

        CHECK(reader != NULL);
        *told = holding_of(reader);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    CHECK_EQ(status, 0);
    CHECK_EQ(memcmp(told, &h, sizeof h), 0);
    CHECK_EQ(fpheap_recover(heap, 0), 1);
    CHECK_EQ(holding_of(heap).live[0], h.live[0]);
    end(heap);
}

/* --- what it cannot ------------------------------------------------------------ */

static void
test_a_write_of_a_reader_faults(void **unused)
{
    fpheap *heap = create();
    pid_t   pid;
    int     status;

    (void)unused;
    fill(heap);
    pid = fork_without();
    if (pid == 0) {
        fpheap *reader = fpheap_open(name, NULL, FPHEAP_READ_ONLY);

        signal(SIGSEGV, SIG_DFL);
        CHECK(reader != NULL);
        *(volatile char *)fpheap_root(reader) = 1;
        _exit(0);
    }
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    end(heap);
}

static void
test_a_reader_gets_errors_from_what_would_write(void **unused)
{
    fpheap          *heap = create();
    fpheap_pool_desc desc;
    pid_t            pid;
    int              status;

    (void)unused;
    fill(heap);
    pid = fork_without();
    if (pid == 0) {
        fpheap       *reader = fpheap_open(name, NULL, FPHEAP_READ_ONLY);
        fpheap_holder holder;
        void         *object;

        CHECK(reader != NULL);
        CHECK(fpheap_alloc(reader, 10) == NULL);
        CHECK(fpheap_alloc(reader, 1000000) == NULL);
        CHECK(fpheap_zalloc(reader, 10) == NULL);
        CHECK(fpheap_alloc_bulk(reader, 10, &object, 1) < 0);
        CHECK(fpheap_realloc(reader, fpheap_root(reader), 1000) == NULL);
        if (!FPHEAP_HEADER)
            fpheap_free(reader, fpheap_root(reader));
        fpheap_flush(reader);
        CHECK(fpheap_self(reader) == NULL);
        CHECK_EQ(fpheap_trim(reader), 0);
        CHECK(fpheap_reserve(reader, 100, 0) < 0);
        CHECK(fpheap_recover(reader, 0) < 0);
        CHECK_EQ(fpheap_holders(reader, &holder, 1), 0);
        CHECK(fpheap_set_root(reader, NULL) < 0);
        memset(&desc, 0, sizeof desc);
        desc.name = "x";
        desc.size = 10;
        CHECK(fpheap_pool_create(reader, &desc) == NULL);
        CHECK(fpheap_pool_lookup(reader, "pool") == NULL);
        CHECK(fpheap_destroy(reader) < 0);
        CHECK(fpheap_root(reader) != NULL);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    CHECK_EQ(status, 0);
    CHECK(fpheap_check(heap) == NULL);
    end(heap);
}

/* --- memory that is mapped already --------------------------------------------- */

static uint64_t
iova_of(void *ctx, const void *chunk)
{
    return (uint64_t)((const char *)chunk - (const char *)ctx) + (1u << 30);
}

/* As processes of DPDK have memzones: at the same address, with IOVAs. */
static void
test_memory_that_is_mapped_already_serves_with_a_file_for_locks(void **unused)
{
    char            *memory = (char *)mmap(NULL, BYTES + FPHEAP_CHUNK,
                                           PROT_READ | PROT_WRITE,
                                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fpheap_partition desc;
    fpheap          *heap;
    void            *object;
    pid_t            pid;
    int              status;

    (void)unused;
    snprintf(name, sizeof name, "mapped-%d", (int)getpid());
    memset(&desc, 0, sizeof desc);
    desc.bytes = BYTES;
    desc.address = memory + (-(uintptr_t)memory & (FPHEAP_CHUNK - 1));
    desc.flags = FPHEAP_MAPPED;
    desc.iova = iova_of;
    desc.ctx = desc.address;
    CHECK(fpheap_open(name, &desc, 0) == NULL && errno == ENOENT);
    heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    CHECK(heap != NULL);
    fill(heap);
    object = fpheap_root(heap);
    pid = fork_without();
    if (pid == 0) {
        fpheap *view = fpheap_open(name, &desc, FPHEAP_READ_ONLY);
        seen    there;

        memset(&there, 0, sizeof there);
        CHECK(view != NULL && fpheap_root(view) == object);
        CHECK_EQ(fpheap_walk(view, see, &there), 0);
        CHECK(there.objects > 0 && fpheap_alloc(view, 1) == NULL);
        CHECK_EQ(fpheap_close(view), 0);
        _exit(0);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    pid = fork_without();
    if (pid == 0) {
        fpheap *other = fpheap_open(name, &desc, 0);
        void   *own;

        CHECK(other != NULL && fpheap_root(other) == object);
        fpheap_free(other, object);
        own = fpheap_alloc(other, 300000);
        CHECK(own != NULL);
        CHECK_EQ(fpheap_iova(other, own), iova_of(desc.address, own));
        fpheap_set_root(other, own);
        kill(getpid(), SIGKILL);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_EQ(fpheap_recover(heap, 0), 1);
    CHECK(fpheap_check(heap) == NULL);
    object = fpheap_root(heap);
    CHECK_EQ(fpheap_iova(heap, object), iova_of(desc.address, object));
    fpheap_free(heap, object);
    CHECK_EQ(fpheap_close(heap), 0);
    CHECK_EQ(fpheap_unlink(name, NULL), 0);
    *(volatile char *)desc.address = 1; /* the memory is the caller's */
    munmap(memory, BYTES + FPHEAP_CHUNK);
}

/* --- images that are damaged --------------------------------------------------- */

static char  *image;
static size_t image_bytes;

/* A partition's file as it was, under the same name and at the same address. */
static int
image_file(void)
{
    char path[64];
    int  file;

    snprintf(path, sizeof path, "/dev/shm/%s", name);
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(file >= 0);
    return file;
}

static void
image_take(void)
{
    int file = image_file();

    image_bytes = BYTES;
    image = (char *)mmap(NULL, image_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK_EQ(pread(file, image, image_bytes, 0), image_bytes);
    close(file);
}

/* A word that may be wrong in an interesting way. */
static uint64_t
bad_word(uint64_t *state, uint64_t good)
{
    uint64_t any = stress_random(state);

    switch (stress_below(state, 8)) {
    case 0:  return 0;
    case 1:  return UINT64_MAX;
    case 2:  return any;
    case 3:  return good ^ (uint64_t)1 << any % 64;
    case 4:  return good + any % 129 - 64;
    case 5:  return any & 0xffff;
    case 6:  return ((const fph_partition *)(const void *)image)->base
                    - (char *)NULL + any % (2 * BYTES);
    default: return *(const uint64_t *)(const void *)
                    (image + any % (image_bytes / 8) * 8);
    }
}

static int
look_no_more(void *arg, const fpheap_object *object)
{
    const fpheap *heap = (const fpheap *)arg;

    /* It is in the partition, to its end. */
    CHECK(fph_view_has(heap->view, object->base, object->bytes));
    return 0;
}

static int
see_member(void *arg, const fpheap_member *member)
{
    (void)arg, (void)member;
    return 0;
}

/* All that a reader can do.  Returns 0: it could not open the image. */
static int
read_damaged(uint64_t *state)
{
    fpheap      *heap = fpheap_open(name, NULL, FPHEAP_READ_ONLY);
    fpheap_stats stats;
    unsigned     i;

    if (heap == NULL) {
        CHECK(errno == ESTALE || errno == EPROTO || errno == EADDRINUSE
              || errno == EINVAL || errno == ENOMEM);
        return 0;
    }
    CHECK_EQ(fpheap_walk(heap, look_no_more, heap), 0);
    fpheap_stats_get(heap, &stats);
    for (i = 0; i < 50; i++) {
        void *object = fpheap_object(heap, (uint32_t)stress_random(state)
                                           % (BYTES / 8));

        if (object != NULL)
            CHECK(fph_view_has(heap->view, object,
                               fpheap_usable_size(heap, object)));
    }
    (void)fpheap_root(heap);
    if (stress_below(state, 50) == 0)
        CHECK_EQ(fpheap_members(heap, see_member, NULL), 0);
    CHECK_EQ(fpheap_close(heap), 0);
    return 1;
}

/* Where to write: anywhere, or in the head, the state, the tables, a block. */
static size_t
bad_place(uint64_t *state)
{
    const fph_partition *p = (const fph_partition *)(const void *)image;
    const char   *base  = p->base;
    size_t        at    = (size_t)((const char *)p->state - base);
    const fph_state *s  = (const fph_state *)(const void *)(image + at);
    size_t        span  = 4096;

    switch (stress_below(state, 7)) {
    case 0:  at = 0; span = 1024; break;
    case 1:  span = sizeof *s; break;
    case 2:  at = (size_t)((const char *)s->chunks - base);
             span = 64 * sizeof(fph_chunk); break;
    case 3:  at = (size_t)((const char *)s->depots - base);
             span = 200 * sizeof(fph_depot); break;
    case 4:
    case 5:  at = (size_t)((char *)s->meta[1 + stress_below(state, 8)] - base);
             span = 4 * FPHEAP_PAGE; break;
    default: at = 0; span = image_bytes; break;
    }
    at += stress_below(state, span / 8) * 8;
    return at + 8 <= image_bytes ? at : 0;
}

static void
test_a_damaged_image_is_an_error_or_right_data(void **unused)
{
    uint64_t state = stress_state(9);
    uint64_t tries = stress_work(3000), opened = 0, n;
    int      file;

    (void)unused;
    stress_test();
    fill(create());
    image_take();
    /* (The heap is in use here, so it is read in another process.) */
    if (fork_without() == 0) {
        fpheap_unlink(name, NULL);
        file = image_file();
        CHECK_EQ(ftruncate(file, (off_t)image_bytes), 0);
        CHECK_EQ(pwrite(file, image, image_bytes, 0), image_bytes);
        CHECK(read_damaged(&state) == 1);
        for (n = 0; n < tries; n++) {
            unsigned changes = 1 + stress_below(&state, 4), i;
            size_t   at[4];

            for (i = 0; i < changes; i++) {
                uint64_t word;

                at[i] = bad_place(&state);
                word = bad_word(&state, *(uint64_t *)(void *)(image + at[i]));
                CHECK_EQ(pwrite(file, &word, 8, (off_t)at[i]), 8);
            }
            opened += (uint64_t)read_damaged(&state);
            for (i = 0; i < changes; i++)
                CHECK_EQ(pwrite(file, image + at[i], 8, (off_t)at[i]), 8);
        }
        CHECK(read_damaged(&state) == 1);
        printf("%llu of %llu damaged images were opened\n",
               (unsigned long long)opened, (unsigned long long)tries);
        fflush(stdout);
        _exit(opened < tries / 10 || opened == tries);
    } else {
        int status;

        CHECK(wait(&status) > 0);
        CHECK_EQ(status, 0);
    }
    fpheap_unlink(name, NULL);
    for (n = 0; n < FPHEAP_MAX_HEAPS; n++)
        if (fph_heaps[n].state != NULL)
            CHECK_EQ(fpheap_close(&fph_heaps[n]), 0);
}

static void
test_a_depot_that_leads_to_itself_ends(void **unused)
{
    void        *objects[4 * FPHEAP_MAGAZINE];
    fpheap      *heap;
    fph_link    *top;
    fpheap_stats stats;
    uint32_t     below;
    int          status;

    (void)unused;
    stress_test();
    heap = create();
    CHECK_EQ(fpheap_alloc_bulk(heap, 64, objects, STRESS_LEN(objects)), 0);
    fpheap_free_bulk(heap, objects, STRESS_LEN(objects));
    fpheap_flush(heap);
    top = fph_stack_top(heap->state,
                        &heap->state->depots[fph_class_of(64)].full);
    CHECK(top != NULL);
    below = top->next;
    top->next = top->self;
    if (fork_without() == 0) {
        heap = fpheap_open(name, NULL, FPHEAP_READ_ONLY);
        CHECK(heap != NULL);
        alarm(60);
        fpheap_stats_get(heap, &stats);
        CHECK(stats.parked_objects > STRESS_LEN(objects));
        _exit(0);
    }
    CHECK(wait(&status) > 0);
    CHECK_EQ(status, 0);
    top->next = below;
    CHECK_EQ(fpheap_close(heap), 0);
    CHECK_EQ(fpheap_unlink(name, NULL), 0);
}

/* --- what a reader looks at, to the byte ---------------------------------------- */

/* The same bytes of the file, where they can be written. */
static char *writable;

#define THERE(reader, type, at) \
    ((type *)(void *)(writable + ((const char *)(at) - (reader)->view->base)))

/* What an expression says while a place has another value. */
#define WITH(place, value, says, expression)      \
    do {                                          \
        __typeof__(place) was_ = (place);         \
                                                  \
        (place) = (__typeof__(place))(value);     \
        CHECK_EQ((expression) != 0, says);        \
        (place) = was_;                           \
    } while (0)

static void
look_at_bounds(const fpheap *reader)
{
    const fph_view *view = reader->view;
    char           *end  = view->base + view->bytes;
    fph_chunk       chunk;

    CHECK(fph_view_has(view, view->base, view->bytes));
    CHECK(!fph_view_has(view, view->base, view->bytes + 1));
    CHECK(fph_view_has(view, end - 16, 16));
    CHECK(!fph_view_has(view, end - 16, 17));
    CHECK(!fph_view_has(view, end, 0));
    CHECK(!fph_view_has(view, view->base - 1, 1));
    CHECK(fph_view_chunk(reader, view->base, &chunk));
    CHECK(!fph_view_chunk(reader, end, &chunk));
    CHECK(!fph_view_chunk(reader, view->base - 1, &chunk));
    CHECK_EQ(fph_view_rest(5, 3), 2);
    CHECK_EQ(fph_view_rest(5, 5), 0);
    CHECK_EQ(fph_view_rest(5, 6), 0);
    CHECK(fph_view_meta(reader, 0) == NULL);
    if ((uint64_t)FPH_TABLE_MAX << FPH_UNIT_BITS <= UINT32_MAX)
        CHECK(fph_view_meta(reader, (uint32_t)(FPH_TABLE_MAX << FPH_UNIT_BITS))
              == NULL);
}

/* What is noted of a magazine begins with three words, and no more is read. */
static void
look_at_a_magazine(const fpheap *reader)
{
    char      *end    = reader->view->base + reader->view->bytes;
    uint32_t  *last   = THERE(reader, uint32_t, end - 12);
    fph_parked parked = fph_parked_none(reader);

    last[0] = 7;               /* the reference of the next */
    last[2] = 0;               /* how many it has */
    CHECK_EQ(fph_parked_magazine(&parked, 0, end - 12), 7);
    CHECK_EQ(fph_parked_magazine(&parked, 0, end - 8), 0);
    CHECK_EQ(fph_parked_magazine(&parked, 0, NULL), 0);
    last[0] = 0;
}

static void
look_at_classes(const fpheap *reader)
{
    unsigned   bin = fph_class_of(64);
    fph_class  got, none;
    fph_class *klass = THERE(reader, fph_class,
                             &reader->view->state->classes[bin]);

    CHECK(fph_view_class(reader, bin, &got));
    CHECK_EQ(got.size, klass->size);
    CHECK(!fph_view_class(reader, reader->view->bins, &got));
    CHECK_EQ(fph_view_size(reader, 0), FPHEAP_PAGE);
    CHECK_EQ(fph_view_size(reader, bin), klass->size);
    WITH(klass->size, 15, 0, fph_view_class(reader, bin, &got));
    WITH(klass->size, 15, 0, fph_view_size(reader, bin));
    WITH(klass->size, 16, 1, fph_view_class(reader, bin, &got));
    WITH(klass->size, 2 * FPHEAP_CHUNK, 1, fph_view_class(reader, bin, &got));
    WITH(klass->size, 2 * FPHEAP_CHUNK + 1, 0,
         fph_view_class(reader, bin, &got));
    WITH(klass->pages, 0, 0, fph_view_class(reader, bin, &got));
    WITH(klass->pages, 1, 1, fph_view_class(reader, bin, &got));
    WITH(klass->pages, FPH_PAGES, 1, fph_view_class(reader, bin, &got));
    WITH(klass->pages, FPH_PAGES + 1, 0, fph_view_class(reader, bin, &got));
    WITH(klass->skip, FPHEAP_PAGE, 1, fph_view_class(reader, bin, &got));
    WITH(klass->skip, FPHEAP_PAGE + 1, 0, fph_view_class(reader, bin, &got));
    none = klass[-(int)bin];
    klass[-(int)bin] = *klass; /* so that of class 0 would do */
    CHECK(fph_view_class(reader, 0, &got));
    CHECK(!fph_view_class(reader, reader->view->bins, &got));
    klass[-(int)bin] = none;
}

/* The tables are looked at when it is opened. */
static void
look_at_tables(fpheap *reader)
{
    const fph_partition *head  = THERE(reader, fph_partition,
                                       reader->view->base);
    const fph_view      *view  = reader->view;
    fph_state           *state = THERE(reader, fph_state, view->state);
    size_t               n     = (view->mask >> FPH_PAGE_BITS) + 1;
    size_t               bins  = view->bins * sizeof(fph_depot);
    char                *end   = view->base + view->bytes;
    size_t               most  = state->mask;
    fph_partition        elsewhere;

    CHECK(fph_view_begin(reader, head));
    WITH(state->mask, most - 1, 0, fph_view_begin(reader, head));
    WITH(state->mask, most / 2, n / 2 >= view->bytes >> FPHEAP_CHUNK_SHIFT,
         fph_view_begin(reader, head));
    WITH(state->mask, FPH_PAGES / 2 - 1, 0, fph_view_begin(reader, head));
    while ((most >> FPH_PAGE_BITS) + 1 <= view->bytes / sizeof(fph_chunk))
        most = 2 * most + 1;
    WITH(state->mask, most, 0, fph_view_begin(reader, head));
    WITH(state->chunks, (fph_chunk *)(void *)(end - n * sizeof(fph_chunk)), 1,
         fph_view_begin(reader, head));
    WITH(state->chunks,
         (fph_chunk *)(void *)(end - n * sizeof(fph_chunk) + 16), 0,
         fph_view_begin(reader, head));
    WITH(state->depots, (fph_depot *)(void *)(end - bins), 1,
         fph_view_begin(reader, head));
    WITH(state->depots, (fph_depot *)(void *)(end - bins + 64), 0,
         fph_view_begin(reader, head));
    elsewhere = *head;
    elsewhere.state = (fph_state *)(void *)end;
    CHECK(!fph_view_begin(reader, &elsewhere));
    CHECK(fph_view_begin(reader, head));
}

/* Look at a partition of these bytes with tables for n chunks.  (Its state is
 * put into the first chunk for that.) */
static void
look_at_chunks(fpheap *reader, size_t bytes, size_t n)
{
    static char    was[sizeof(fph_state)];
    char          *base = reader->view->base;
    fph_partition *head = THERE(reader, fph_partition, base);
    fph_partition  one  = *head;
    fph_state     *state;

    if (sizeof *state + 64 > bytes)
        return;
    one.state = (fph_state *)(void *)(base + 64);
    one.bytes = bytes;
    state = THERE(reader, fph_state, one.state);
    memcpy(was, state, sizeof *state);
    state->mask = n * FPH_PAGES - 1;
    state->chunks = (fph_chunk *)(void *)base;
    state->depots = (fph_depot *)(void *)base;
    CHECK(fph_view_begin(reader, &one));
    memcpy(state, was, sizeof *state);
    CHECK(fph_view_begin(reader, head));
}

/* The smallest mask is that of one chunk; with the largest, the table of the
 * chunks takes all that there is. */
static void
look_at_few_and_many_chunks(fpheap *reader)
{
    size_t most = 1;

    while (2 * most * sizeof(fph_chunk) <= 4 * FPHEAP_CHUNK)
        most *= 2;
    look_at_chunks(reader, FPHEAP_CHUNK, 1);
    look_at_chunks(reader, most * sizeof(fph_chunk), most);
}

/* An object of a slab, and one of several pages. */
static char *small, *large;

static void
look_at_a_slab(fpheap *reader)
{
    fph_viewed  it;
    fph_slab   *record;
    fph_chunk  *chunk;
    size_t      page;
    char       *end;
    void       *base;
    uint64_t    one = (uint64_t)1 << 32;

    CHECK(fph_view_object(reader, small, &it) == small);
    page = it.record.page;
    chunk = THERE(reader, fph_chunk,
                  (const fph_chunk *)reader->view->chunks
                  + (page >> FPH_PAGE_BITS));
    record = THERE(reader, fph_slab,
                   &chunk->records->slab[page % FPH_PAGES]);
    end = it.first + it.count * it.size;
    base = end - it.size;
    CHECK(fpheap_base_of(reader, end - it.size + it.bytes - 1) == base);
    if (FPHEAP_HEADER)
        CHECK(fpheap_base_of(reader, end - it.size + it.bytes) == NULL);
    CHECK(FPHEAP_HEADER || end < it.start + it.pages * FPHEAP_PAGE);
    if (!FPHEAP_HEADER)
        CHECK(fpheap_base_of(reader, end) == NULL);
    CHECK(fpheap_usable_size(reader, small + 1) == 0);
    WITH(chunk->present, 0, 0, fpheap_base_of(reader, small));
    WITH(chunk->base, chunk->base - 1, 0, fpheap_base_of(reader, small));
    WITH(chunk->records, NULL, 0, fpheap_base_of(reader, small));
    WITH(record->page, page + 1, 0, fpheap_base_of(reader, small));
    WITH(record->info, record->info % one, 0, fpheap_base_of(reader, small));
    WITH(record->info, record->info - one, 1,
         fpheap_base_of(reader, it.first));
    WITH(record->info, record->info + one, 0, fpheap_base_of(reader, small));
    WITH(record->info, FPH_NOTHING, 0, fpheap_base_of(reader, small));
}

/* A class of which a slab has more objects than bits. */
static void
look_at_a_crowded_slab(fpheap *reader)
{
    fph_viewed it;
    fph_slab  *record;
    fph_class *klass, usual;
    uint64_t   most = FPH_SLAB_WORDS * 64;
    unsigned   bin;

    CHECK(fph_view_object(reader, small, &it) == small);
    record = THERE(reader, fph_slab, fph_record_at(reader->view->state,
                                                   it.record.page));
    bin = fph_info_bin(record->info);
    klass = THERE(reader, fph_class, &reader->view->state->classes[bin]);
    usual = *klass;
    klass->size = 16 + FPH_HEAD;
    klass->pages = FPH_PAGES;
    CHECK((most + 1) * klass->size + klass->skip < FPHEAP_CHUNK);
    WITH(record->info, fph_info(FPH_SLAB, bin, most), 1,
         fpheap_base_of(reader, it.first));
    WITH(record->info, fph_info(FPH_SLAB, bin, most + 1), 0,
         fpheap_base_of(reader, it.first));
    *klass = usual;
}

static void
look_at_a_large_object(fpheap *reader)
{
    fph_viewed it;
    fph_slab  *record;
    fph_chunk *chunk;
    size_t     page, bytes;
    uint64_t   one = (uint64_t)1 << 32;

    CHECK(fph_view_object(reader, large, &it) == large);
    page = it.record.page;
    bytes = it.bytes;
    CHECK_EQ(it.kind, FPH_LARGE);
    CHECK_EQ(bytes, fpheap_usable_size(reader, large));
    chunk = THERE(reader, fph_chunk,
                  (const fph_chunk *)reader->view->chunks
                  + (page >> FPH_PAGE_BITS));
    record = THERE(reader, fph_slab,
                   &chunk->records->slab[page % FPH_PAGES]);
    CHECK(fpheap_base_of(reader, large + bytes - 1) == large);
    CHECK(fpheap_base_of(reader, large + bytes) != large);
    WITH(record->info, record->info - one, 0,
         fpheap_base_of(reader, large + bytes - 1));
    WITH(record->info, record->info - one, 1,
         fpheap_base_of(reader, large + bytes - 1 - FPHEAP_PAGE));
    WITH(chunk->back[page % FPH_PAGES], UINT16_MAX, 0,
         fpheap_base_of(reader, large));
    WITH(chunk->back[page % FPH_PAGES], 1, 0, fpheap_base_of(reader, large));
    WITH(record->info, fph_info(FPH_PARKED, fph_info_bin(record->info),
                                fph_info_count(record->info)), 0,
         fpheap_base_of(reader, large));
    if (FPHEAP_HEADER)
        CHECK(fpheap_base_of(reader, it.first - 1) == NULL);
}

/* What covers pages from one on, as its record says it. */
static fph_viewed
viewed(char *start, uint64_t info)
{
    fph_viewed it;

    memset(&it, 0, sizeof it);
    it.start = start;
    it.record.info = info;
    return it;
}

/* One object may be all that there is, and no page more. */
static void
look_at_the_largest_object(const fpheap *reader)
{
    char      *base  = reader->view->base;
    size_t     pages = reader->view->bytes >> FPHEAP_PAGE_SHIFT;
    fph_viewed it    = viewed(base, fph_info(FPH_LARGE, 0, pages));

    CHECK(fph_view_shape(reader, &it) && it.size == reader->view->bytes);
    it = viewed(base, fph_info(FPH_LARGE, 0, pages + 1));
    CHECK(!fph_view_shape(reader, &it));
    it = viewed(base + FPHEAP_PAGE, fph_info(FPH_LARGE, 0, pages - 1));
    CHECK(fph_view_shape(reader, &it));
    it = viewed(base + 2 * FPHEAP_PAGE, fph_info(FPH_LARGE, 0, pages - 1));
    CHECK(!fph_view_shape(reader, &it));
}

/* A large object begins behind the pages in front; what is parked has them as
 * well, and nothing else has a shape. */
static void
look_at_shapes(const fpheap *reader)
{
    char      *base = reader->view->base;
    fph_viewed it   = viewed(base, fph_info(FPH_LARGE, 0, 0));

    CHECK(!fph_view_shape(reader, &it));
    it = viewed(base, fph_info(FPH_LARGE, 1, 0)); /* less than is in front */
    CHECK(!fph_view_shape(reader, &it));
    it = viewed(base, fph_info(FPH_LARGE, 1, 1));
    CHECK(!fph_view_shape(reader, &it));
    it = viewed(base, fph_info(FPH_LARGE, 1, 3));
    CHECK(fph_view_shape(reader, &it));
    CHECK_EQ(it.size, 2 * FPHEAP_PAGE);
    CHECK_EQ(it.bytes, 2 * FPHEAP_PAGE);
    CHECK_EQ(it.count, 1);
    CHECK_EQ(it.pages, 3);
    CHECK(it.first == base + FPHEAP_PAGE);
    it = viewed(base, fph_info(FPH_PARKED, 1, 3));
    CHECK(fph_view_shape(reader, &it));
    CHECK_EQ(it.size, 3 * FPHEAP_PAGE);
    CHECK(it.first == base);
    it = viewed(base, fph_info(FPH_NOTHING, 0, 3));
    CHECK(!fph_view_shape(reader, &it));
    it = viewed(base, fph_info(FPH_CHILD, 0, 3));
    CHECK(!fph_view_shape(reader, &it));
    it = viewed(base, fph_info(FPH_SLAB, 0, 3)); /* of no class */
    CHECK(!fph_view_shape(reader, &it));
}

/* An object of the program's, where a case puts what it has made up. */
static char *ground;

/* The first page of the partition is one as others are, if something says that
 * it covers it and the next. */
static void
look_at_the_first_pages(const fpheap *reader)
{
    char        *base    = reader->view->base;
    size_t       page    = (uintptr_t)base >> FPHEAP_PAGE_SHIFT
                         & reader->view->mask;
    fph_chunk   *chunk   = THERE(reader, fph_chunk,
                                 (const fph_chunk *)reader->view->chunks
                                 + (page >> FPH_PAGE_BITS));
    fph_records *records = THERE(reader, fph_records, ground);
    fph_chunk    was     = *chunk;
    fph_viewed   it;

    chunk->records = (fph_records *)(void *)ground;
    chunk->back[0] = 0;
    chunk->back[1] = 1;
    chunk->back[2] = 2;
    records->slab[0].page = page;
    records->slab[0].info = fph_info(FPH_LARGE, 0, 2);
    CHECK(fph_view_object(reader, base + 2 * FPHEAP_PAGE - 1, &it) == base);
    CHECK(fph_view_cover(reader, base + FPHEAP_PAGE, &it));
    CHECK(!fph_view_cover(reader, base + 2 * FPHEAP_PAGE, &it));
    chunk->back[1] = 2;
    CHECK(!fph_view_cover(reader, base + FPHEAP_PAGE, &it));
    *chunk = was;
}

/* What is behind the end of a file that has been cut is not there, although it
 * is mapped. */
static void
look_at_a_file_that_was_cut(fpheap *reader)
{
    int      whole = reader->file;
    char    *at    = reader->view->base;
    uint64_t words[2];

    CHECK(fph_peek(reader, words, at, sizeof words));
    CHECK_EQ(words[0], *(uint64_t *)(void *)at);
    CHECK_EQ(words[1], *(uint64_t *)(void *)(at + 8));
    reader->file = memfd_create("cut", MFD_CLOEXEC);
    CHECK(reader->file >= 0 && ftruncate(reader->file, 15) == 0);
    CHECK(!fph_peek(reader, words, at, sizeof words));
    CHECK(!fph_peek(reader, words, at + 16, 8));
    CHECK(fph_peek(reader, words, at, 8));
    CHECK_EQ(words[0], 0);
    CHECK_EQ(close(reader->file), 0);
    reader->file = whole;
}

/* Run look in a reader of a heap with objects of all kinds. */
static void
in_a_reader(void (*look)(fpheap *reader))
{
    fpheap *heap = create();
    void   *objects[4 * FPHEAP_MAGAZINE];
    int     file, status;

    stress_test();
    fill(heap);
    small = (char *)fpheap_alloc(heap, 48);
    large = (char *)fpheap_alloc(heap, 10 * FPHEAP_PAGE);
    ground = (char *)fpheap_zalloc(heap, 4 * FPHEAP_CHUNK);
    CHECK(small != NULL && large != NULL && ground != NULL);
    CHECK_EQ(fpheap_alloc_bulk(heap, 64, objects, STRESS_LEN(objects)), 0);
    fpheap_free_bulk(heap, objects, STRESS_LEN(objects));
    fpheap_flush(heap);
    if (fork_without() == 0) {
        heap = fpheap_open(name, NULL, FPHEAP_READ_ONLY);
        CHECK(heap != NULL);
        file = image_file();
        writable = (char *)mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                                file, 0);
        CHECK(writable != MAP_FAILED);
        look(heap);
        _exit(0);
    }
    CHECK(wait(&status) > 0);
    CHECK_EQ(status, 0);
    end(heap);
}

static void
look_at_it_all(fpheap *reader)
{
    look_at_bounds(reader);
    look_at_a_magazine(reader);
    look_at_classes(reader);
    look_at_tables(reader);
    look_at_few_and_many_chunks(reader);
    look_at_a_slab(reader);
    look_at_a_crowded_slab(reader);
    look_at_a_large_object(reader);
    look_at_the_largest_object(reader);
    look_at_shapes(reader);
    look_at_the_first_pages(reader);
    look_at_a_file_that_was_cut(reader);
}

static void
test_a_reader_checks_to_the_byte_what_it_reads(void **unused)
{
    (void)unused;
    in_a_reader(look_at_it_all);
}

/* --- what is free, and what is parked ------------------------------------ */

/* Whether an object of a slab on the ground is free; with headers, with so many
 * references. */
static int
is_free(const fpheap *reader, const fph_viewed *it, size_t number,
        uint32_t refs)
{
    char     *object = it->first + number * it->size;
    fph_head *head   = THERE(reader, fph_head, object) - 1;

    if (FPHEAP_HEADER)
        head->hold.half[0] = refs;
    return fph_view_free(reader, it, object);
}

/* An object is free if its bit says so, or its count of references is 0. */
static void
look_at_what_is_free(fpheap *reader)
{
    fph_viewed it = viewed(ground, 0);

    it.kind = FPH_SLAB;
    it.size = 64;
    it.first = ground + 64;
    it.record.bits[0] = (uint64_t)1 << 63;
    it.record.bits[1] = 1;
    CHECK(!is_free(reader, &it, 0, 1));
    CHECK(!is_free(reader, &it, 62, 2));
    CHECK(is_free(reader, &it, 63, 1));
    CHECK(is_free(reader, &it, 64, 1));
    CHECK(!is_free(reader, &it, 65, 1));
    CHECK(!is_free(reader, &it, 128, 1));
    CHECK_EQ(is_free(reader, &it, 1, 0), FPHEAP_HEADER);
    it.kind = FPH_LARGE;       /* it has no bits */
    it.record.bits[0] = 1;
    CHECK(!is_free(reader, &it, 0, 1));
    CHECK_EQ(is_free(reader, &it, 0, 0), FPHEAP_HEADER);
    it.first = reader->view->base; /* nothing is in front of it */
    CHECK_EQ(fph_view_free(reader, &it, it.first), FPHEAP_HEADER);
}

/* A slab counts as many free objects as it has at most, whatever its bits. */
static void
look_at_what_is_counted(fpheap *reader)
{
    fph_viewed   it = viewed(ground, fph_info(FPH_SLAB, 1, 10));
    fpheap_stats stats;

    (void)reader;
    it.kind = FPH_SLAB;
    it.size = 100;
    it.count = 10;
    it.pages = 1;
    it.record.bits[0] = 7;
    memset(&stats, 0, sizeof stats);
    fph_view_count(&it, &stats);
    CHECK_EQ(stats.live_objects, 7);
    CHECK_EQ(stats.live_bytes, 700);
    CHECK_EQ(stats.slab_free_bytes, 300);
    CHECK_EQ(stats.waste_bytes, FPHEAP_PAGE - 1000);
    it.record.bits[0] = UINT64_MAX;
    fph_view_count(&it, &stats);
    CHECK_EQ(stats.live_objects, 7);
    CHECK_EQ(stats.live_bytes, 700);
    CHECK_EQ(stats.slab_free_bytes, 1300);
    CHECK_EQ(stats.waste_bytes, 2 * (FPHEAP_PAGE - 1000));
    it.kind = FPH_LARGE;
    it.count = 1;
    it.size = FPHEAP_PAGE;
    fph_view_count(&it, &stats);
    CHECK_EQ(stats.live_objects, 8);
    CHECK_EQ(stats.live_bytes, 700 + FPHEAP_PAGE);
}

/* Of a magazine's slots those are noted that it counts, if they lead to 16
 * bytes of the partition. */
static void
look_at_slots(fpheap *reader)
{
    char      *base   = reader->view->base;
    char      *end    = base + reader->view->bytes;
    void     **slot   = THERE(reader, void *, ground);
    fph_parked parked = fph_parked_none(reader);
    unsigned   bin    = fph_class_of(64);

    parked.bits = (uint64_t *)calloc(reader->view->bytes / 1024, 8);
    CHECK(parked.bits != NULL);
    slot[0] = end - 15;
    fph_parked_slots(&parked, bin, ground, 1);
    CHECK(!fph_is_parked(&parked, end - 16));
    slot[0] = end - 16;
    fph_parked_slots(&parked, bin, ground, 1);
    CHECK(fph_is_parked(&parked, end - 16));
    CHECK(!fph_is_parked(&parked, end - 32));
    slot[0] = base;
    slot[1] = base + 1024;
    fph_parked_slots(&parked, bin, ground, 2);
    CHECK(fph_is_parked(&parked, base));
    CHECK(fph_is_parked(&parked, base + 1024));
    parked.bits[0] = parked.bits[1] = 0;
    fph_parked_slots(&parked, bin, ground, 1);
    CHECK(fph_is_parked(&parked, base));
    CHECK(!fph_is_parked(&parked, base + 1024));
    CHECK_EQ(parked.objects, 5);
    CHECK_EQ(parked.bytes, 0); /* where bits are wanted, sums are not */
    free(parked.bits);
}

/* A bin parks what lies from its base to its top, if it has one. */
static void
look_at_a_cache(fpheap *reader)
{
    fpheap_cache *cache  = THERE(reader, fpheap_cache, ground);
    fph_bin      *bin    = cache->bins;
    void        **slot   = (void **)(void *)ground;
    fph_parked    parked = fph_parked_none(reader);

    memset(cache, 0, sizeof *cache + reader->view->bins * sizeof *bin);
    bin[reader->view->bins].base = slot; /* one too many */
    bin[reader->view->bins].top = slot + 1;
    bin[1].top = (void **)(uintptr_t)(3 * sizeof(void *));
    bin[2].base = slot + 1;
    bin[2].top = slot;
    bin[3].base = bin[3].top = slot;
    fph_parked_cache(&parked, cache);
    fph_parked_cache(&parked, ground);
    CHECK_EQ(parked.objects, 0);
    bin[0].base = slot;
    bin[0].top = slot + 2;
    bin[reader->view->bins - 1] = bin[0];
    fph_parked_cache(&parked, ground);
    CHECK_EQ(parked.objects, 4);
    CHECK_EQ(parked.bytes,
             2 * FPHEAP_PAGE
             + 2 * fph_view_size(reader, reader->view->bins - 1));
}

/* A member's caches are those of all seats that it owns. */
static void
look_at_seats(fpheap *reader)
{
    fph_state    *state = THERE(reader, fph_state, reader->view->state);
    fph_slot     *slot  = THERE(reader, fph_slot, ground);
    fpheap_cache *cache = (fpheap_cache *)(void *)(slot + 1);
    fpheap_cache *seen  = (fpheap_cache *)(void *)(ground + sizeof *slot);
    fpheap_cache *other = (fpheap_cache *)(void *)(ground + FPHEAP_CHUNK);
    size_t        bytes = (FPHEAP_MAX_THREADS + 1) * sizeof *state->cache;
    void         *was   = malloc(bytes);
    fph_parked    parked;
    unsigned      i;

    CHECK(was != NULL);
    memcpy(was, state->cache, bytes);
    memset(slot, 0, FPHEAP_CHUNK);
    slot->owner = 6;
    cache->bins[1].base = (void **)(void *)ground;
    cache->bins[1].top = cache->bins[1].base + 1;
    for (i = 0; i < FPHEAP_MAX_THREADS; i++)
        memcpy((char *)state->cache + i * sizeof seen, &other, sizeof other);
    memcpy((char *)state->cache + i * sizeof seen, &seen, sizeof seen);
    parked = fph_parked_none(reader);
    fph_parked_caches(&parked, 5);
    CHECK_EQ(parked.objects, 0);
    state->cache[0] = state->cache[FPHEAP_MAX_THREADS - 1] = seen;
    fph_parked_caches(&parked, 5);
    CHECK_EQ(parked.objects, 2);
    fph_parked_caches(&parked, 4);
    CHECK_EQ(parked.objects, 2);
    memcpy(state->cache, was, bytes);
    free(was);
}

/* There are as many depots as bins. */
static void
look_at_depots(fpheap *reader)
{
    fph_view     *view  = &fph_views[reader - fph_heaps];
    const void   *was   = view->depots;
    fph_depot    *depot = THERE(reader, fph_depot, ground);
    fph_parked    parked;
    size_t        objects;
    uint64_t      full  = THERE(reader, fph_depot, was)[fph_class_of(64)].full;

    CHECK((uint32_t)full != 0);
    memset(depot, 0, (view->bins + 1) * sizeof *depot);
    view->depots = ground;
    depot[view->bins].full = full;
    parked = fph_parked_none(reader);
    fph_parked_caches(&parked, FPH_MEMBERS);
    objects = parked.objects;
    parked = fph_parked_none(reader);
    fph_parked_all(&parked);
    CHECK_EQ(parked.objects, objects);
    depot[view->bins - 1].full = full;
    parked = fph_parked_none(reader);
    fph_parked_all(&parked);
    CHECK(parked.objects > objects);
    view->depots = was;
}

static void
look_at_what_is_not_live(fpheap *reader)
{
    look_at_what_is_free(reader);
    look_at_what_is_counted(reader);
    look_at_slots(reader);
    look_at_a_cache(reader);
    look_at_seats(reader);
    look_at_depots(reader);
}

static void
test_a_reader_takes_for_live_what_is_neither_free_nor_parked(void **unused)
{
    (void)unused;
    in_a_reader(look_at_what_is_not_live);
}

static unsigned long pages_before;

static int
see_bits(void *arg, const fpheap_object *object)
{
    size_t unit = 128 * (size_t)sysconf(_SC_PAGESIZE); /* that a page of bits
                                                          is for */

    (void)object;
    if (!EMULATED)             /* then the emulator's pages count as well */
        CHECK_EQ(mapped_pages() - pages_before, *(size_t *)arg / unit);
    return 1;
}

static void
test_a_walk_of_a_reader_has_a_bit_for_each_16_bytes(void **unused)
{
    size_t  bytes = 128u << 20;
    fpheap *heap  = create_of(bytes);
    int     status;

    (void)unused;
    CHECK(fpheap_alloc(heap, 1) != NULL);
    if (fork_without() == 0) {
        fpheap *reader = fpheap_open(name, NULL, FPHEAP_READ_ONLY);

        CHECK(reader != NULL);
        (void)mapped_pages();
        pages_before = mapped_pages();
        CHECK_EQ(fpheap_walk(reader, see_bits, &bytes), 1);
        CHECK_EQ(mapped_pages(), pages_before);
        _exit(0);
    }
    CHECK(wait(&status) > 0);
    CHECK_EQ(status, 0);
    end(heap);
}

static void
test_a_reader_sees_what_was_recovered(void **unused)
{
    fpheap      *heap = create();
    fpheap_stats own, there;
    pid_t        pid;
    int          status;

    (void)unused;
    pid = fork_without();
    if (pid == 0) {
        fpheap *other = fpheap_open(name, NULL, 0);

        CHECK(other != NULL && fpheap_alloc(other, 100) != NULL);
        kill(getpid(), SIGKILL);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(fpheap_recover(heap, 0), 1);
    fph_fetch_add_relaxed(&heap->partition->objects, 3); /* as if it had some */
    fpheap_stats_get(heap, &own);
    CHECK_EQ(own.recovered_members, 1);
    CHECK_EQ(own.recovered_threads, 1);
    CHECK_EQ(own.recovered_objects, 3);
    if (fork_without() == 0) {
        fpheap *reader = fpheap_open(name, NULL, FPHEAP_READ_ONLY);

        CHECK(reader != NULL);
        fpheap_stats_get(reader, &there);
        CHECK_EQ(there.recovered_members, own.recovered_members);
        CHECK_EQ(there.recovered_threads, own.recovered_threads);
        CHECK_EQ(there.recovered_objects, own.recovered_objects);
        _exit(0);
    }
    CHECK(wait(&status) > 0);
    CHECK_EQ(status, 0);
    end(heap);
}

/* --- beside a writer ----------------------------------------------------------- */

static void __attribute__((noreturn))
write_without_end(void)
{
    fpheap  *heap  = fpheap_open(name, NULL, 0);
    uint64_t state = stress_state((uint64_t)getpid());
    void    *objects[100] = {NULL};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    CHECK(heap != NULL);
    for (;;) {
        unsigned i = stress_below(&state, STRESS_LEN(objects));

        fpheap_free(heap, objects[i]);
        objects[i] = fpheap_alloc(heap, 1 + stress_below(&state, 20000));
        if (i == 0)
            fpheap_trim(heap);
    }
}

static void
test_a_reader_is_safe_beside_writers_that_are_killed(void **unused)
{
    uint64_t state = stress_state(11);
    uint64_t kills = stress_work(30), n;
    fpheap  *heap  = create();
    pid_t    reader, writer;
    int      status;

    (void)unused;
    stress_test();
    fill(heap);
    reader = fork_without();
    if (reader == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            CHECK(read_damaged(&state) == 1);
    }
    for (n = 0; n < kills; n++) {
        writer = fork_without();
        if (writer == 0)
            write_without_end();
        stress_sleep_us(stress_below(&state, 20000));
        kill(writer, SIGKILL);
        CHECK_EQ(waitpid(writer, &status, 0), writer);
        CHECK(fpheap_recover(heap, 0) >= 0);
        CHECK_EQ(waitpid(reader, &status, WNOHANG), 0);
    }
    kill(reader, SIGKILL);
    CHECK_EQ(waitpid(reader, &status, 0), reader);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(fpheap_check(heap) == NULL);
    end(heap);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reader_sees_what_is_live),
        cmocka_unit_test(test_live_and_parked_bytes_of_each_member_show),
        cmocka_unit_test(test_a_write_of_a_reader_faults),
        cmocka_unit_test(test_a_reader_gets_errors_from_what_would_write),
        cmocka_unit_test(
            test_memory_that_is_mapped_already_serves_with_a_file_for_locks),
        cmocka_unit_test(test_a_damaged_image_is_an_error_or_right_data),
        cmocka_unit_test(test_a_depot_that_leads_to_itself_ends),
        cmocka_unit_test(test_a_reader_checks_to_the_byte_what_it_reads),
        cmocka_unit_test(
            test_a_reader_takes_for_live_what_is_neither_free_nor_parked),
        cmocka_unit_test(test_a_walk_of_a_reader_has_a_bit_for_each_16_bytes),
        cmocka_unit_test(test_a_reader_sees_what_was_recovered),
        cmocka_unit_test(test_a_reader_is_safe_beside_writers_that_are_killed),
    };

    stress_program("test_shared_view");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
