/* test_shim.c - fpheap_rte_malloc.h does what DPDK's functions do
 *
 * One source, built with and without -DFPHEAP_RTE_MALLOC: what holds for both is
 * checked of both; OURS is what holds for fpheap only.
 */
#define FPHEAP_IMPLEMENTATION
#include "../../examples/dpdk/fpheap_rte_malloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_memory.h>

#ifdef FPHEAP_RTE_MALLOC
#  define OURS 1
#else
#  define OURS 0
#endif

static int passed, failed;

#define CHECK(what, good)                                                    \
    do {                                                                     \
        if (good)                                                            \
            passed++;                                                        \
        else                                                                 \
            failed += printf("FAIL  line %d: %s\n", __LINE__, what) > 0;      \
    } while (0)

static int
all_are(const void *p, int byte, size_t n)
{
    const unsigned char *at = p;

    while (n > 0 && at[n - 1] == byte)
        n--;
    return n == 0;
}

/* --- rte_malloc ------------------------------------------------------------ */

/* Sizes around every kind of path, aligned as asked and to a line at least. */
static void
test_sizes_and_alignment(void)
{
    static const size_t   sizes[]  = { 1, 15, 16, 17, 48, 63, 64, 65, 80, 144,
                                       1000, 4097, 65536, 524288, 524289,
                                       3 << 20 };
    static const unsigned aligns[] = { 0, 1, 8, 64, 128, 4096, 1 << 20 };
    volatile size_t huge = SIZE_MAX - 8;     /* compilers warn of it */
    size_t   i, k;
    int      wrong = 0;

    for (i = 0; i < RTE_DIM(sizes); i++)
        for (k = 0; k < RTE_DIM(aligns); k++) {
            size_t   has  = 0;
            unsigned line = RTE_MAX(aligns[k], (unsigned)RTE_CACHE_LINE_SIZE);
            char    *p    = rte_malloc("test", sizes[i], aligns[k]);
            char    *next = rte_malloc("test", sizes[i], aligns[k]);

            if (p == NULL || next == NULL || ((uintptr_t)p & (line - 1)) != 0
                || rte_malloc_validate(p, &has) != 0 || has < sizes[i]) {
                wrong++;
                continue;
            }
            memset(p, 1, sizes[i]);
            memset(next, 2, sizes[i]);
            wrong += !all_are(p, 1, sizes[i]);
            rte_free(p);
            rte_free(next);
        }
    CHECK("each size is there, at each alignment", wrong == 0);
    CHECK("no object of 0 bytes", rte_malloc(NULL, 0, 0) == NULL);
    CHECK("no alignment of 3", rte_malloc(NULL, 64, 3) == NULL);
    CHECK("nor a size that overflows", rte_malloc(NULL, huge, 0) == NULL);
    rte_free(NULL);
}

static void
test_zeroing(void)
{
    unsigned round, wrong = 0;

    for (round = 0; round < 100; round++) {
        size_t size = 1 + round * 97;
        char  *p    = rte_zmalloc("test", size, 0);
        char  *q    = rte_calloc("test", round + 1, 97, 0);
        char  *r    = rte_zmalloc_socket("test", size, 128, SOCKET_ID_ANY);

        wrong += p == NULL || !all_are(p, 0, size);
        wrong += q == NULL || !all_are(q, 0, (round + 1) * 97);
        wrong += r == NULL || !all_are(r, 0, size);
        if (p != NULL && q != NULL && r != NULL) {
            memset(p, 0xff, size);
            memset(q, 0xff, (round + 1) * 97);
            memset(r, 0xff, size);
        }
        rte_free(p);
        rte_free(q);
        rte_free(r);
    }
    CHECK("what is asked for as zero is zero", wrong == 0);
    /* DPDK multiplies and does not look. */
    CHECK("a product that overflows is refused",
          !OURS || rte_calloc(NULL, SIZE_MAX / 2, 3, 0) == NULL);
}

static void
test_realloc(void)
{
    static const size_t steps[] = { 100, 120, 5000, 300, 600000, 3 << 20, 64, 1 };
    unsigned char *p = NULL;
    size_t   had = 0, i, k;
    int      wrong = 0;

    for (i = 0; i < RTE_DIM(steps); i++) {
        unsigned char *to = rte_realloc(p, steps[i], i % 2 ? 4096 : 0);

        if (to == NULL) {
            wrong++;
            break;
        }
        p = to;
        wrong += i % 2 != 0 && ((uintptr_t)p & 4095) != 0;
        for (k = 0; k < RTE_MIN(had, steps[i]); k++)
            wrong += p[k] != (unsigned char)(k * 7);
        for (k = 0; k < steps[i]; k++)
            p[k] = (unsigned char)(k * 7);
        had = steps[i];
    }
    CHECK("realloc keeps the contents and the alignment", wrong == 0);
    CHECK("realloc to 0 frees", rte_realloc(p, 0, 0) == NULL);
    p = rte_realloc_socket(NULL, 40, 0, SOCKET_ID_ANY);
    CHECK("realloc of NULL allocates", p != NULL);
    rte_free(p);
}

static void
test_sockets_and_iova(void)
{
    int   socket = (int)rte_socket_id_by_idx(0);
    char *p = rte_malloc_socket(NULL, 3 << 20, 0, socket);
    char *q = rte_calloc_socket(NULL, 10, 10, 0, socket);
    rte_iova_t iova = p != NULL ? rte_malloc_virt2iova(p) : RTE_BAD_IOVA;

    CHECK("the first socket has memory", p != NULL && q != NULL);
    CHECK("there is no socket 31", rte_socket_count() > 31
          || !rte_eal_has_hugepages()        /* then any is the first */
          || rte_malloc_socket(NULL, 64, 0, 31) == NULL);
    CHECK("its IOVA is that of its page", iova != RTE_BAD_IOVA
          && iova == rte_mem_virt2iova(p));
    rte_free(p);
    rte_free(q);
#if OURS
    CHECK("one heap per socket, always the same",
          fpheap_rte_heap(socket) != NULL
          && fpheap_rte_heap(socket) == fpheap_rte_heap(SOCKET_ID_ANY));
    CHECK("none for a socket that cannot be",
          !rte_eal_has_hugepages() || fpheap_rte_heap(1000) == NULL);
    p = rte_malloc(NULL, 100, 0);
    CHECK("objects are of the heap", fpheap_owns(fpheap_rte_heap(socket), p));
    CHECK("a pointer into one is none",
          rte_malloc_validate(p + 8, NULL) == -1);
    rte_free(p);
#endif
}

#if OURS
/* Above a chunk of alignment DPDK serves; and what it made can be freed. */
static void
test_what_is_dpdks(void)
{
    fpheap *heap = fpheap_rte_heap(SOCKET_ID_ANY);
    void   *p    = rte_malloc(NULL, 64, 2 * FPHEAP_CHUNK);
    void   *q    = (rte_malloc)(NULL, 64, 0);
    size_t  size = 0;

    CHECK("a larger alignment is DPDK's", p != NULL
          && ((uintptr_t)p & (2 * FPHEAP_CHUNK - 1)) == 0
          && !fpheap_owns(heap, p) && rte_malloc_validate(p, &size) == 0
          && size >= 64);
    p = rte_realloc(p, 100, 0);
    CHECK("and stays so", p != NULL && !fpheap_owns(heap, p));
    rte_free(p);
    rte_free(q);
}
#endif

/* --- rte_mempool ----------------------------------------------------------- */

enum { N = 4000, SIZE = 200, OBJECTS = 8192 };

static unsigned inits, indexes_wrong, mp_inits;
static unsigned char seen_index[OBJECTS];

static void
init_object(struct rte_mempool *mp, void *arg, void *object, unsigned index)
{
    inits++;
    indexes_wrong += mp->elt_size != SIZE || arg != &inits || index >= OBJECTS
                  || seen_index[index % OBJECTS]++ != 0;
    memset(object, 0x5a, SIZE);
    *(uint64_t *)object = 0;
}

static void
init_mempool(struct rte_mempool *mp, void *arg)
{
    mp_inits++;
    *(void **)rte_mempool_get_priv(mp) = arg;
}

static void
count_object(struct rte_mempool *mp, void *arg, void *object, unsigned index)
{
    (void)mp;
    (void)index;
    *(unsigned *)arg += ((unsigned char *)object)[SIZE - 1] == 0x5a;
}

static struct rte_mempool *
open_mempool(unsigned cache)
{
    inits = indexes_wrong = mp_inits = 0;
    memset(seen_index, 0, sizeof seen_index);
    return rte_mempool_create("objects", N, SIZE, cache, 24, init_mempool,
                              &mp_inits, init_object, &inits, SOCKET_ID_ANY, 0);
}

/* Each object that is got is initialised, and was so once: the stamp of the one
 * who had it before stays. */
static void
test_mempool(unsigned cache)
{
    static void        *all[N];
    struct rte_mempool *mp = open_mempool(cache);
    unsigned            i, count = 0;
    int                 wrong = 0;

    CHECK("a mempool is made", mp != NULL);
    if (mp == NULL)
        return;
    CHECK("its constructor is called once", mp_inits == 1
          && *(void **)rte_mempool_get_priv(mp) == &mp_inits);
    CHECK("it is found by its name", rte_mempool_lookup("objects") == mp);
    CHECK("the name is taken",
          rte_mempool_create("objects", N, SIZE, 0, 0, NULL, NULL, NULL, NULL,
                             SOCKET_ID_ANY, 0) == NULL && rte_errno == EEXIST);
    CHECK("all are available", rte_mempool_avail_count(mp) == N
          && rte_mempool_in_use_count(mp) == 0 && rte_mempool_full(mp));
    for (i = 0; i < 1000; i++)
        wrong += rte_mempool_get(mp, &all[i]) != 0;
    wrong += rte_mempool_get_bulk(mp, all + 1000, N - 1000) != 0;
    CHECK("all can be got", wrong == 0);
    CHECK("then none is left", rte_mempool_get(mp, (void *[]){ NULL }) == -ENOENT
          || rte_mempool_get(mp, (void *[]){ NULL }) == -ENOBUFS);
    CHECK("it is empty", rte_mempool_empty(mp)
          && rte_mempool_in_use_count(mp) == N);
    for (i = 0; i < N && wrong == 0; i++) {
        wrong += !all_are((char *)all[i] + 8, 0x5a, SIZE - 8);
        wrong += ((uintptr_t)all[i] & (RTE_CACHE_LINE_SIZE - 1)) != 0;
        wrong += (*(uint64_t *)all[i])++ != 0;
    }
    CHECK("each is initialised, aligned and nobody else's", wrong == 0);
    for (i = 0; i < 1000; i++)
        rte_mempool_put(mp, all[i]);
    rte_mempool_put_bulk(mp, all + 1000, N - 1000);
    CHECK("all are back", rte_mempool_full(mp));
    if (rte_mempool_get_bulk(mp, all, 3000) == 0)
        for (i = 0; i < 3000; i++)
            wrong += *(uint64_t *)all[i] != 1;
    CHECK("what an object has in it stays", wrong == 0);
    CHECK("counts are exact", rte_mempool_in_use_count(mp) == 3000
          && rte_mempool_avail_count(mp) == N - 3000);
    rte_mempool_generic_put(mp, all, 3000, NULL);
    CHECK("each was initialised once", indexes_wrong == 0 && inits >= N
          && inits < OBJECTS);
    CHECK("all objects are shown",
          rte_mempool_obj_iter(mp, count_object, &count) == inits
          && count == inits);
    rte_mempool_free(mp);
    CHECK("then its name is free", rte_mempool_lookup("objects") == NULL);
}

/* A pool of mbufs must stay DPDK's, and the functions must still take it. */
static void
test_mbufs_stay_dpdks(void)
{
    struct rte_mempool *mp = rte_pktmbuf_pool_create("mbufs", 255, 0, 0, 2176,
                                                     SOCKET_ID_ANY);
    struct rte_mempool *own = rte_mempool_create(
        "mbufs2", 255, sizeof(struct rte_mbuf) + 2176, 0,
        sizeof(struct rte_pktmbuf_pool_private), rte_pktmbuf_pool_init, NULL,
        rte_pktmbuf_init, NULL, SOCKET_ID_ANY, 0);
    void               *raw[2] = { NULL, NULL };
    struct rte_mbuf    *m;

    CHECK("both pools of mbufs are made", mp != NULL && own != NULL);
    if (mp == NULL || own == NULL)
        return;
    m = rte_pktmbuf_alloc(own);
    CHECK("an mbuf is got", m != NULL && m->pool == own && m->buf_len == 2176);
    rte_pktmbuf_free(m);
    CHECK("and raw ones", rte_mempool_get_bulk(mp, raw, 2) == 0
          && rte_mempool_in_use_count(mp) == 2
          && rte_mempool_virt2iova(raw[0]) == rte_mem_virt2iova(raw[0]));
    rte_mempool_put_bulk(mp, raw, 2);
    CHECK("and put back", rte_mempool_full(mp) && rte_mempool_full(own));
    rte_mempool_free(mp);
    rte_mempool_free(own);
    rte_mempool_free(NULL);
}

#if OURS
static void
test_free_in_use(void)
{
    struct rte_mempool *mp = open_mempool(32);
    void               *object = NULL;

    if (mp == NULL || rte_mempool_get(mp, &object) != 0) {
        CHECK("an object is got", 0);
        return;
    }
    rte_mempool_free(mp);
    CHECK("a pool in use is kept", rte_mempool_lookup("objects") == mp
          && rte_mempool_in_use_count(mp) == 1);
    rte_mempool_put(mp, object);
    rte_mempool_free(mp);
    CHECK("and goes when it is not", rte_mempool_lookup("objects") == NULL);
}
#endif

/* --- two lcores ------------------------------------------------------------ */

static unsigned races;           /* atomic */

/* Each writes its own stamp into what it holds and finds it there. */
static int
stamp(void *arg)
{
    struct rte_mempool *mp = arg;
    uint64_t            me = 1 + rte_lcore_id();
    uint64_t           *held[64], *extra[64];
    unsigned            round, i;

    for (round = 0; round < 20000; round++) {
        if (rte_mempool_get_bulk(mp, (void **)held, 64) != 0)
            continue;
        for (i = 0; i < 64; i++) {
            *held[i] = me;
            extra[i] = rte_malloc(NULL, 8 + round % 3000, 0);
            if (extra[i] != NULL)
                *extra[i] = me;
        }
        for (i = 0; i < 64; i++) {
            if (*held[i] != me || (extra[i] != NULL && *extra[i] != me))
                __atomic_fetch_add(&races, 1, __ATOMIC_RELAXED);
            rte_free(extra[i]);
        }
        rte_mempool_put_bulk(mp, (void **)held, 64);
    }
    return 0;
}

static void
test_two_lcores(void)
{
    struct rte_mempool *mp    = open_mempool(256);
    unsigned            lcore = rte_get_next_lcore(-1, 1, 0);

    if (mp == NULL || lcore >= RTE_MAX_LCORE) {
        CHECK("a mempool and a second lcore", 0);
        return;
    }
    rte_eal_remote_launch(stamp, mp, lcore);
    stamp(mp);
    rte_eal_wait_lcore(lcore);
    CHECK("no object is two lcores'", races == 0);
    CHECK("all are back", rte_mempool_full(mp));
    rte_mempool_free(mp);
#if OURS
    {
        const char *broken = fpheap_check(fpheap_rte_heap(SOCKET_ID_ANY));

        CHECK(broken ? broken : "the heap is whole", broken == NULL);
    }
#endif
}

int
main(int argc, char **argv)
{
    if (rte_eal_init(argc, argv) < 0) {
        fprintf(stderr, "test_shim: EAL does not start\n");
        return 1;
    }
    test_sizes_and_alignment();
    test_zeroing();
    test_realloc();
    test_sockets_and_iova();
    test_mempool(0);
    test_mempool(250);
    test_mbufs_stay_dpdks();
    test_two_lcores();
#if OURS
    test_what_is_dpdks();
    test_free_in_use();
#endif
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
