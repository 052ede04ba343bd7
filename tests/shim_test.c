/* shim_test.c - the contract of malloc and its family
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     LD_PRELOAD=build/libfpheap_malloc.so build/shim_test
 *
 * Shows that examples/malloc_shim.c can stand in for the C library's malloc:
 * each function with its errors, and the places in a process's life where a
 * malloc is called but little else works: constructors, exiting threads, a
 * forked child of a process with threads.  Knows nothing of fpheap: without
 * LD_PRELOAD it tests the C library's own malloc, and passes.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

#define CHECK(condition)                                                    \
    ((condition) ? (void)0 : failed(__FILE__, __LINE__, #condition))

/* Also in forked children and exiting threads, so nothing here may allocate or
 * run what was given to atexit. */
static void
failed(const char *file, int line, const char *condition)
{
    char    text[512];
    int     n = snprintf(text, sizeof text, "%s:%d: failed: %s (errno %d)\n",
                         file, line, condition, errno);
    ssize_t written = write(2, text, (size_t)n);

    (void)written;
    _exit(1);
}

/* Hides where a pointer or a size comes from: a compiler that knows malloc
 * would drop pairs of calls and warn of sizes that are meant to be wrong. */
static void *
opaque(void *pointer)
{
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

static size_t
size(size_t n)
{
    __asm__ volatile("" : "+r"(n));
    return n;
}

/* The same for a pointer that is still good after a realloc that failed. */
static void *(*volatile re)(void *, size_t) = realloc;
static void *(*volatile rearray)(void *, size_t, size_t) = reallocarray;

/* What every pointer that a test uses must be. */
static void *
taken_in(int line, void *pointer)
{
    pointer = opaque(pointer);
    if (pointer == NULL)
        failed(__FILE__, line, "memory was given");
    if ((uintptr_t)pointer % 16 != 0)
        failed(__FILE__, line, "memory is aligned to 16");
    return pointer;
}

#define taken(pointer) taken_in(__LINE__, pointer)

static void
fill(void *object, size_t bytes, unsigned seed)
{
    unsigned char *byte = object;
    size_t         i;

    for (i = 0; i < bytes; i++)
        byte[i] = (unsigned char)(seed + i * 7);
}

static int
is_filled(const void *object, size_t bytes, unsigned seed)
{
    const unsigned char *byte = object;
    size_t               i;

    for (i = 0; i < bytes; i++)
        if (byte[i] != (unsigned char)(seed + i * 7))
            return 0;
    return 1;
}

static int
is_zero(const void *object, size_t bytes)
{
    const unsigned char *byte = object;
    size_t               i;

    for (i = 0; i < bytes; i++)
        if (byte[i] != 0)
            return 0;
    return 1;
}

static int
preloaded(void)
{
    const char *preload = getenv("LD_PRELOAD");

    return preload != NULL && *preload != '\0';
}

static uint32_t
next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* --- one thread ----------------------------------------------------------- */

static const size_t sizes[] = {
    0, 1, 15, 16, 17, 63, 64, 65, 255, 1000, 1024, 4095, 4096, 4097, 65535,
    65536, 65537, 100000, 524288, 524289, 1 << 20, (2 << 20) - 1, 2 << 20,
    (2 << 20) + 1, 3 << 20, 9 << 20
};

static void
malloc_gives_distinct_usable_memory(void)
{
    void  *object[LEN(sizes)];
    size_t i;

    for (i = 0; i < LEN(sizes); i++) {
        object[i] = taken(malloc(size(sizes[i])));
        CHECK(malloc_usable_size(object[i]) >= sizes[i]);
        fill(object[i], malloc_usable_size(object[i]), (unsigned)i);
    }
    for (i = 0; i < LEN(sizes); i++)
        CHECK(is_filled(object[i], malloc_usable_size(object[i]), (unsigned)i));
    for (i = 0; i < LEN(sizes); i++)
        free(object[i]);
}

static void
malloc_of_0_is_unique(void)
{
    void *a = taken(malloc(size(0)));
    void *b = taken(malloc(size(0)));
    void *c = taken(calloc(size(0), 8));
    void *d = taken(realloc(NULL, size(0)));

    CHECK(a != b && a != c && a != d && b != c && b != d && c != d);
    free(a);
    free(b);
    free(c);
    free(d);
    CHECK(malloc_usable_size(NULL) == 0);
}

static void
too_much_is_enomem(void)
{
    static const size_t huge[] = {
        SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX - 4096,
        SIZE_MAX - (2u << 20), SIZE_MAX - (4u << 20), (size_t)PTRDIFF_MAX + 1
    };
    void  *kept = taken(malloc(100));
    size_t i;

    fill(kept, 100, 1);
#define REFUSED(call)                                                       \
    (errno = 0, CHECK(opaque(call) == NULL), CHECK(errno == ENOMEM))
    for (i = 0; i < LEN(huge); i++) {
        REFUSED(malloc(size(huge[i])));
        REFUSED(calloc(1, size(huge[i])));
        REFUSED(calloc(size(huge[i]), 1));
        REFUSED(re(NULL, size(huge[i])));
        REFUSED(re(kept, size(huge[i])));
        REFUSED(memalign(64, size(huge[i])));
        REFUSED(memalign(1 << 20, size(huge[i])));
        REFUSED(aligned_alloc(4096, size(huge[i])));
        REFUSED(valloc(size(huge[i])));
        REFUSED(pvalloc(size(huge[i])));
    }
    REFUSED(calloc(size(SIZE_MAX / 2 + 1), 2));
    REFUSED(calloc(size((size_t)1 << 33), (size_t)1 << 33));
    REFUSED(rearray(NULL, size(SIZE_MAX / 2 + 1), 2));
    REFUSED(rearray(kept, size((size_t)1 << 33), (size_t)1 << 33));
#undef REFUSED
    CHECK(is_filled(kept, 100, 1));
    free(kept);
}

static void
calloc_gives_zeros(void)
{
    size_t i;
    int    round;

    for (i = 0; i < LEN(sizes); i++)
        for (round = 0; round < 3; round++) {
            void *object = taken(calloc(1, size(sizes[i])));

            CHECK(is_zero(object, sizes[i]));
            memset(object, 0xff, malloc_usable_size(object));
            free(object);
        }
    free(taken(calloc(3, 7)));
}

static void
realloc_keeps_contents(void)
{
    void  *object;
    size_t i, k;

    for (i = 0; i < LEN(sizes); i++)
        for (k = 0; k < LEN(sizes); k++) {
            size_t least = sizes[i] < sizes[k] ? sizes[i] : sizes[k];

            if (sizes[k] == 0 || (least > 1 << 20 && i % 4 != 0))
                continue;
            object = taken(malloc(size(sizes[i])));
            fill(object, least, (unsigned)(i + k));
            object = taken(realloc(object, size(sizes[k])));
            CHECK(malloc_usable_size(object) >= sizes[k]);
            CHECK(is_filled(object, least, (unsigned)(i + k)));
            free(object);
        }
    object = taken(reallocarray(NULL, size(10), 10));
    fill(object, 100, 5);
    object = taken(reallocarray(object, size(1000), 10));
    CHECK(is_filled(object, 100, 5));
    free(object);
}

/* 64 GiB pass through half of that, which only works if they are freed. */
static void
realloc_to_0_frees(void)
{
    struct rlimit was, limit;
    int           i;

    CHECK(getrlimit(RLIMIT_AS, &was) == 0);
    limit = was;
    if (limit.rlim_cur > (rlim_t)32 << 30)
        limit.rlim_cur = (rlim_t)32 << 30;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    for (i = 0; i < 65536; i++)
        CHECK(re(taken(malloc(size(1 << 20))), 0) == NULL);
    CHECK(setrlimit(RLIMIT_AS, &was) == 0);
}

static void
free_keeps_errno(void)
{
    size_t i;

    for (i = 0; i < LEN(sizes); i++) {
        void *object = taken(malloc(size(sizes[i])));

        errno = EILSEQ;
        free(object);
        CHECK(errno == EILSEQ);
    }
    errno = EILSEQ;
    free(opaque(NULL));
    CHECK(errno == EILSEQ);
}

/* --- alignment ------------------------------------------------------------ */

static void
aligned_functions_align(void)
{
    static const size_t some[] = { 0, 1, 100, 4096, 5000, 70000, 3 << 20 };
    void  *object;
    size_t align, i;

    for (align = 1; align <= 2 << 20; align *= 2)
        for (i = 0; i < LEN(some); i++) {
            object = taken(memalign(size(align), size(some[i])));
            CHECK((uintptr_t)object % align == 0);
            CHECK(malloc_usable_size(object) >= some[i]);
            fill(object, some[i], 9);
            object = taken(realloc(object, size(some[i] * 2 + 1)));
            CHECK(is_filled(object, some[i], 9));
            free(object);

            object = taken(aligned_alloc(size(align), size(some[i])));
            CHECK((uintptr_t)object % align == 0);
            memset(object, 1, some[i]);
            free(object);

            if (align < sizeof(void *))
                continue;
            CHECK(posix_memalign(&object, size(align), size(some[i])) == 0);
            CHECK((uintptr_t)taken(object) % align == 0);
            memset(object, 2, some[i]);
            free(object);
        }
    object = taken(memalign(size(48), size(100)));      /* rounded up to 64 */
    CHECK((uintptr_t)object % 64 == 0);
    free(object);
}

static void
page_functions_align(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void  *object = taken(valloc(size(100)));

    CHECK((uintptr_t)object % page == 0);
    free(object);
    object = taken(pvalloc(size(page + 1)));
    CHECK((uintptr_t)object % page == 0);
    CHECK(malloc_usable_size(object) >= 2 * page);
    memset(object, 1, 2 * page);
    free(object);
}

/* POSIX leaves errno open; the GNU C library sets it when memory runs out. */
static void
posix_memalign_returns_its_error(void)
{
    static const size_t wrong[] = { 0, 1, 2, 4, 24, 4095, SIZE_MAX };
    char   mark;
    void  *out = &mark;
    size_t i;

    errno = EILSEQ;
    for (i = 0; i < LEN(wrong); i++)
        CHECK(posix_memalign(&out, size(wrong[i]), 100) == EINVAL);
    CHECK(posix_memalign(&out, 64, size(100)) == 0);
    free(opaque(out));
    CHECK(errno == EILSEQ);
    out = &mark;
    CHECK(posix_memalign(&out, 64, size(SIZE_MAX - 64)) == ENOMEM);
    CHECK(posix_memalign(&out, size((size_t)1 << 62), size((size_t)1 << 62))
          == ENOMEM);
    CHECK(errno == EILSEQ || !preloaded());
    CHECK(out == &mark);
}

/* More than 2 MiB, and free, realloc and malloc_usable_size know it. */
static void
great_alignment_is_given(void)
{
    size_t align, bytes;
    void  *object;

    for (align = 4 << 20; align <= 256 << 20; align *= 2)
        for (bytes = 100; bytes <= 5 << 20; bytes *= 37) {
            object = taken(memalign(size(align), size(bytes)));
            CHECK((uintptr_t)object % align == 0);
            CHECK(malloc_usable_size(object) >= bytes);
            fill(object, bytes, 3);
            object = taken(realloc(object, size(bytes * 2)));
            CHECK(is_filled(object, bytes, 3));
            free(object);
            CHECK(posix_memalign(&object, size(align), size(bytes)) == 0);
            CHECK((uintptr_t)taken(object) % align == 0);
            fill(object, bytes, 4);
            free(object);
        }
}

/* 800 GiB of address space, unless it comes back. */
static void
great_alignment_is_freed(void)
{
    struct rlimit was, limit;
    void         *object;
    int           i;

    CHECK(getrlimit(RLIMIT_AS, &was) == 0);
    limit = was;
    if (limit.rlim_cur > (rlim_t)32 << 30)
        limit.rlim_cur = (rlim_t)32 << 30;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    for (i = 0; i < 3000; i++) {
        object = taken(aligned_alloc(size(256 << 20), size(100)));
        if (i % 2 != 0)
            object = taken(realloc(object, size(200)));
        free(object);
    }
    CHECK(setrlimit(RLIMIT_AS, &was) == 0);
}

/* The GNU C library rounds up for memalign, and before 2.38 for aligned_alloc,
 * which C17 lets fail. */
static void
alignment_that_is_none(void)
{
    static const size_t none[] = { 0, 3, 24, 48, 4095, (4 << 20) + 1 };
    size_t i, power;
    void  *object;

    for (i = 0; i < LEN(none); i++) {
        for (power = 16; power < none[i];)
            power *= 2;
        object = taken(memalign(size(none[i]), size(100)));
        CHECK((uintptr_t)object % power == 0);
        free(object);
        errno = 0;
        if (preloaded())
            CHECK(opaque(aligned_alloc(size(none[i]), size(100))) == NULL
                  && errno == EINVAL);
    }
    errno = 0;
    CHECK(opaque(memalign(size(SIZE_MAX / 2 + 2), size(1))) == NULL);
    CHECK(errno == EINVAL);
    errno = 0;
    CHECK(opaque(memalign(size(SIZE_MAX / 2 + 1), size(1))) == NULL);
    CHECK(errno == ENOMEM);
}

/* --- <malloc.h> ----------------------------------------------------------- */

enum { LIVE = 64, LIVE_BYTES = 1000000 };

static size_t
in_use(void)
{
    struct mallinfo2 info = mallinfo2();

    CHECK(!preloaded() || info.arena == info.uordblks + info.fordblks);
    return info.uordblks + info.hblkhd;
}

static void
mallinfo_counts_what_lives(void)
{
    void  *object[LIVE];
    size_t before = in_use();
    size_t i;

    for (i = 0; i < LIVE; i++)
        object[i] = taken(malloc(size(LIVE_BYTES)));
    CHECK(in_use() - before >= LIVE * LIVE_BYTES);
    CHECK(in_use() - before <= LIVE * LIVE_BYTES * 9 / 8);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    CHECK(mallinfo().uordblks + mallinfo().hblkhd >= LIVE * LIVE_BYTES);
#pragma GCC diagnostic pop
    for (i = 0; i < LIVE; i++)
        free(object[i]);
    CHECK(in_use() - before <= LIVE_BYTES || !preloaded());
}

static size_t
resident(void)
{
    unsigned long all = 0, pages = 0;
    FILE         *file = fopen("/proc/self/statm", "r");

    CHECK(file != NULL && fscanf(file, "%lu %lu", &all, &pages) == 2);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void
malloc_trim_gives_memory_back(void)
{
    enum { MANY_SMALL = 400000 };
    static void *object[MANY_SMALL];
    size_t       before, i;

    malloc_trim(0);
    before = resident();
    for (i = 0; i < MANY_SMALL; i++)
        fill(object[i] = taken(malloc(size(1000))), 1000, 1);
    CHECK(resident() - before > (size_t)MANY_SMALL * 900);
    for (i = 0; i < MANY_SMALL; i++)
        free(object[i]);
    malloc_trim(0);
    CHECK(resident() < before + (64 << 20));
}

static void *
take_and_free_40_mib(void *unused)
{
    enum { MANY_SMALL = 40000 };
    void **object = taken(malloc(size(MANY_SMALL * sizeof(void *))));
    size_t i;

    for (i = 0; i < MANY_SMALL; i++)
        fill(object[i] = taken(malloc(size(1000))), 1000, 1);
    for (i = 0; i < MANY_SMALL; i++)
        free(object[i]);
    free(object);
    return unused;
}

/* Nobody calls malloc_trim. */
static void
threads_that_end_leave_little_behind(void)
{
    pthread_t thread[4];
    size_t    before;
    unsigned  i;

    malloc_trim(0);
    before = resident();
    for (i = 0; i < 4; i++)
        CHECK(pthread_create(&thread[i], NULL, take_and_free_40_mib, NULL)
              == 0);
    for (i = 0; i < 4; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    CHECK(resident() < before + (64 << 20) || !preloaded());
}

static void
what_lies_idle_for_a_second_goes_back(void)
{
    size_t   before;
    unsigned i;

    malloc_trim(0);
    before = resident();
    take_and_free_40_mib(NULL);
    CHECK(resident() > before + (30 << 20) || !preloaded());
    usleep(1100000);
    for (i = 0; i < 64; i++)
        free(taken(malloc(size(100))));
    CHECK(resident() < before + (16 << 20) || !preloaded());
}

static void
mallopt_and_malloc_info_answer(void)
{
    char  *text = NULL;
    size_t length = 0;
    FILE  *file = open_memstream(&text, &length);
    void  *kept = taken(malloc(1 << 20));

    CHECK(mallopt(M_ARENA_MAX, 2) == 1);
    CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1);
    CHECK(mallopt(-12345, 1) == 0 || !preloaded());
    CHECK(file != NULL && malloc_info(1, file) == EINVAL);
    CHECK(malloc_info(0, file) == 0 && fclose(file) == 0);
    CHECK(strstr(text, "<malloc version=\"1\">") != NULL);
    CHECK(strstr(text, "</malloc>") != NULL);
    free(text);
    free(kept);
}

/* All that <malloc.h> and <stdlib.h> declare belongs to one malloc. */
static void
no_function_is_anothers(void)
{
    static const char *const name[] = {
        "malloc", "free", "calloc", "realloc", "reallocarray", "memalign",
        "aligned_alloc", "posix_memalign", "valloc", "pvalloc",
        "malloc_usable_size", "malloc_trim", "malloc_stats", "mallinfo",
        "mallinfo2", "malloc_info", "mallopt", "__libc_malloc", "__libc_free",
        "__libc_calloc", "__libc_realloc", "__libc_memalign"
    };
    Dl_info info, first;
    size_t  i;

    CHECK(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &first) != 0);
    for (i = 0; i < LEN(name); i++) {
        void *symbol = dlsym(RTLD_DEFAULT, name[i]);

        CHECK(symbol != NULL && dladdr(symbol, &info) != 0);
        CHECK(info.dli_fbase == first.dli_fbase);
    }
}

/* What the C library allocates inside and the caller frees. */
static void
library_functions_use_it(void)
{
    char  *text = NULL;
    size_t length = 0;
    FILE  *file = open_memstream(&text, &length);
    void  *library;
    int    i;

    CHECK(file != NULL);
    for (i = 0; i < 100000; i++)
        fprintf(file, "%d ", i);
    CHECK(fclose(file) == 0);
    CHECK(length == strlen(text) && strncmp(text, "0 1 2 ", 6) == 0);
    free(text);
    text = opaque(strdup("free me"));
    CHECK(text != NULL);
    free(text);
    CHECK(asprintf(&text, "%0*d", 5000, 7) == 5000);
    free(text);
    library = dlopen("libm.so.6", RTLD_NOW);
    CHECK(library == NULL || dlclose(library) == 0);
    CHECK(system("exit 7") == 7 << 8);
}

/* --- threads -------------------------------------------------------------- */

enum { SLOTS = 512, GENERATIONS = 40, AT_ONCE = 4, MANY = 1100 };

static void *_Atomic mailbox[SLOTS];

/* Its size and an echo of it at the end; the rest is not ours to know. */
static void *
letter(uint32_t *random)
{
    size_t  bytes = 16 + next_random(random) % 3000;
    size_t *object;

    if (next_random(random) % 64 == 0)
        bytes *= 100;
    object = taken(malloc(bytes));
    object[0] = bytes;
    memcpy((char *)object + bytes - sizeof bytes, &bytes, sizeof bytes);
    return object;
}

static void
open_letter(void *letter)
{
    size_t *object = letter, echo;

    if (object == NULL)
        return;
    memcpy(&echo, (char *)object + object[0] - sizeof echo, sizeof echo);
    CHECK(echo == object[0]);
    free(object);
}

static void
exchange_letters(uint32_t seed, int rounds)
{
    while (rounds-- > 0) {
        unsigned slot = next_random(&seed) % SLOTS;

        open_letter(atomic_exchange(&mailbox[slot], letter(&seed)));
    }
}

static void *
correspondent(void *seed)
{
    exchange_letters((uint32_t)(uintptr_t)seed, 2000);
    return NULL;
}

static void
open_all_letters(void)
{
    int i;

    for (i = 0; i < SLOTS; i++)
        open_letter(atomic_exchange(&mailbox[i], NULL));
}

/* Each generation frees what earlier ones, gone by then, have allocated. */
static void
threads_exit_while_others_free(void)
{
    pthread_t thread[AT_ONCE];
    uintptr_t seed = 1;
    int       i;

    for (i = 0; i < GENERATIONS * AT_ONCE; i++) {
        if (i >= AT_ONCE)
            CHECK(pthread_join(thread[i % AT_ONCE], NULL) == 0);
        CHECK(pthread_create(&thread[i % AT_ONCE], NULL, correspondent,
                             (void *)seed++) == 0);
    }
    for (i = 0; i < AT_ONCE; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    open_all_letters();
}

static pthread_barrier_t all_here;

static void *
one_of_many(void *unused)
{
    void *object = taken(malloc(100));

    (void)unused;
    fill(object, 100, 3);
    pthread_barrier_wait(&all_here);
    free(taken(malloc(2000)));
    CHECK(is_filled(object, 100, 3));
    return object;
}

/* More than a malloc with a table of threads expects. */
static void
a_thousand_threads_at_once(void)
{
    static pthread_t thread[MANY];
    pthread_attr_t   small;
    int              made, i;

    CHECK(pthread_attr_init(&small) == 0);
    CHECK(pthread_attr_setstacksize(&small, (size_t)PTHREAD_STACK_MIN + 65536)
          == 0);
    CHECK(pthread_barrier_init(&all_here, NULL, MANY + 1) == 0);
    for (made = 0; made < MANY; made++)
        CHECK(pthread_create(&thread[made], &small, one_of_many, NULL) == 0);
    pthread_barrier_wait(&all_here);
    for (i = 0; i < MANY; i++) {
        void *object;

        CHECK(pthread_join(thread[i], &object) == 0);
        free(object);
    }
    pthread_barrier_destroy(&all_here);
    pthread_attr_destroy(&small);
}

/* --- the end of a thread -------------------------------------------------- */

enum { KEYS = 60, LAST_ROUNDS = 3 };

static pthread_key_t key[KEYS];
static atomic_int    late_frees;

/* Called in up to PTHREAD_DESTRUCTOR_ITERATIONS rounds as long as values are
 * set, so also after any destructor that the malloc has for itself. */
static void
free_late(void *value)
{
    size_t *object = value;
    size_t  round  = object[0], which = object[1];

    CHECK(is_filled(object + 2, 100, (unsigned)which));
    free(object);
    free(taken(calloc(10, 100 * (round + 1))));
    atomic_fetch_add(&late_frees, 1);
    if (round + 1 == LAST_ROUNDS)
        return;
    object = taken(malloc(2 * sizeof *object + 100));
    object[0] = round + 1;
    object[1] = which;
    fill(object + 2, 100, (unsigned)which);
    CHECK(pthread_setspecific(key[which], object) == 0);
}

/* The first call of malloc in this thread is that of pthread_setspecific. */
static void *
die_slowly(void *unused)
{
    static size_t no_memory_yet[2];
    size_t        i;

    (void)unused;
    CHECK(pthread_setspecific(key[KEYS - 1], no_memory_yet) == 0);
    for (i = 0; i < KEYS; i++) {
        size_t *object = taken(malloc(2 * sizeof *object + 100));

        object[0] = 0;
        object[1] = i;
        fill(object + 2, 100, (unsigned)i);
        CHECK(pthread_setspecific(key[i], object) == 0);
    }
    return NULL;
}

static void
destructors_of_threads_free(void)
{
    pthread_t thread[AT_ONCE];
    int       i, round;

    for (i = 0; i < KEYS; i++)
        CHECK(pthread_key_create(&key[i], free_late) == 0);
    for (round = 0; round < 10; round++) {
        for (i = 0; i < AT_ONCE; i++)
            CHECK(pthread_create(&thread[i], NULL, die_slowly, NULL) == 0);
        for (i = 0; i < AT_ONCE; i++)
            CHECK(pthread_join(thread[i], NULL) == 0);
    }
    CHECK(atomic_load(&late_frees) == 10 * AT_ONCE * KEYS * LAST_ROUNDS);
    for (i = 0; i < KEYS; i++)
        CHECK(pthread_key_delete(key[i]) == 0);
}

/* --- fork ----------------------------------------------------------------- */

enum { FORKS = 60 };

static atomic_bool stop;

static void *
never_quiet(void *seed)
{
    uint32_t random = (uint32_t)(uintptr_t)seed;

    while (!atomic_load(&stop)) {
        exchange_letters(next_random(&random), 200);
        free(taken(malloc(5 << 20)));
    }
    return NULL;
}

/* In the child: the letters of all parents, new ones, then threads again. */
static void
live_as_a_child(uint32_t seed)
{
    pthread_t thread[2];
    uintptr_t i;

    alarm(100);
    exchange_letters(seed, 2000);
    for (i = 0; i < 2; i++)
        CHECK(pthread_create(&thread[i], NULL, correspondent, (void *)(i + 1))
              == 0);
    for (i = 0; i < 2; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    open_all_letters();
    _exit(0);
}

static void
fork_with_threads_works(void)
{
    pthread_t thread[3];
    uintptr_t i;

    for (i = 0; i < LEN(thread); i++)
        CHECK(pthread_create(&thread[i], NULL, never_quiet, (void *)(i + 1))
              == 0);
    for (i = 0; i < FORKS; i++) {
        pid_t child = fork();
        int   status;

        CHECK(child >= 0);
        if (child == 0)
            live_as_a_child((uint32_t)i + 1);
        exchange_letters((uint32_t)i + 100, 500);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    atomic_store(&stop, 1);
    for (i = 0; i < LEN(thread); i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    open_all_letters();
}

static void
passes_in_a_child(void (*run)(void))
{
    pid_t child = fork();
    int   status;

    CHECK(child >= 0);
    if (child == 0) {
        alarm(100);
        run();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

/* --- limits --------------------------------------------------------------- */

/* A list through pieces of this size, until malloc fails. */
static void **
use_up(size_t bytes)
{
    void **last = NULL, **piece;

    errno = 0;
    while ((piece = opaque(malloc(size(bytes)))) != NULL) {
        *piece = last;
        last   = piece;
    }
    CHECK(errno == ENOMEM);
    return last;
}

static void
free_list(void **piece)
{
    while (piece != NULL) {
        void **next = *piece;

        free(piece);
        piece = next;
    }
}

static void
run_out_and_recover(void)
{
    struct rlimit limit;
    void        **large, **small, **third;

    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    if (limit.rlim_cur > 512 << 20)
        limit.rlim_cur = 512 << 20;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    large = use_up(100000);
    small = use_up(500);
    CHECK(large != NULL);
    CHECK(re(large, size(200000)) == NULL && errno == ENOMEM);
    free_list(large);
    third = use_up(30000);
    CHECK(third != NULL);
    free_list(small);
    free_list(third);
    free_list(use_up(100000));
}

static void
memory_that_runs_out_comes_back(void)
{
    passes_in_a_child(run_out_and_recover);
}

/* --- before and after main ------------------------------------------------ */

static void *early;

/* The C library keeps the values of a thread's first 32 keys in the thread and
 * allocates room for more.  A malloc that makes a key when it is first called,
 * now, gets one beyond: then a thread's first call to it leads to another one
 * inside. */
__attribute__((constructor)) static void
before_main(void)
{
    pthread_key_t unused;
    int           i;

    for (i = 0; i < 40; i++)
        CHECK(pthread_key_create(&unused, NULL) == 0);
    early = taken(malloc(1000));
    fill(early, 1000, 11);
}

__attribute__((destructor)) static void
after_main(void)
{
    CHECK(is_filled(early, 1000, 11));
    free(early);
    free(taken(calloc(100, 100)));
}

static void
at_exit(void)
{
    early = taken(realloc(early, size(50000)));
    CHECK(is_filled(early, 1000, 11));
}

static void *
outlive_main(void *main_thread)
{
    CHECK(pthread_join(*(pthread_t *)main_thread, NULL) == 0);
    exchange_letters(1, 1000);
    open_all_letters();
    return NULL;
}

static void
leave_main(void)
{
    static pthread_t self;
    pthread_t        thread;

    self = pthread_self();
    CHECK(pthread_create(&thread, NULL, outlive_main, &self) == 0);
    pthread_exit(NULL);
}

/* Then the last thread runs what was given to atexit, without its cache. */
static void
main_thread_may_exit_first(void)
{
    passes_in_a_child(leave_main);
}

/* The loader only warns of a preload that it cannot load. */
static void
see_whose_malloc_it_is(void)
{
    Dl_info info;
    void   *symbol = dlsym(RTLD_DEFAULT, "malloc");

    CHECK(symbol != NULL && dladdr(symbol, &info) != 0);
    printf("malloc is from %s\n", info.dli_fname);
    CHECK(!preloaded() || strstr(getenv("LD_PRELOAD"), info.dli_fname) != NULL);
}

int
main(void)
{
    static const struct {
        const char *name;
        void      (*run)(void);
    } test[] = {
#define TEST(name) { #name, name }
        TEST(malloc_gives_distinct_usable_memory),
        TEST(malloc_of_0_is_unique),
        TEST(too_much_is_enomem),
        TEST(calloc_gives_zeros),
        TEST(realloc_keeps_contents),
        TEST(realloc_to_0_frees),
        TEST(free_keeps_errno),
        TEST(aligned_functions_align),
        TEST(page_functions_align),
        TEST(posix_memalign_returns_its_error),
        TEST(great_alignment_is_given),
        TEST(great_alignment_is_freed),
        TEST(alignment_that_is_none),
        TEST(mallinfo_counts_what_lives),
        TEST(malloc_trim_gives_memory_back),
        TEST(threads_that_end_leave_little_behind),
        TEST(what_lies_idle_for_a_second_goes_back),
        TEST(mallopt_and_malloc_info_answer),
        TEST(no_function_is_anothers),
        TEST(library_functions_use_it),
        TEST(threads_exit_while_others_free),
        TEST(a_thousand_threads_at_once),
        TEST(destructors_of_threads_free),
        TEST(fork_with_threads_works),
        TEST(memory_that_runs_out_comes_back),
        TEST(main_thread_may_exit_first),
    };
    size_t i;

    setvbuf(stdout, NULL, _IOLBF, 0);
    see_whose_malloc_it_is();
    CHECK(atexit(at_exit) == 0);
    for (i = 0; i < LEN(test); i++) {
        test[i].run();
        printf("ok  %s\n", test[i].name);
    }
    printf("%zu passed, 0 failed\n", LEN(test));
    return 0;
}
