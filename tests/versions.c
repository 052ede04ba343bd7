/* versions.c - the statistics of a library of another version, see symbols.sh
 *
 *     versions LIBRARY
 *
 * Compiled, as C and as C++, with SIZED and PLAIN: how many bytes at the end of
 * this program's structs fpheap_..._stats_get_sized, and fpheap_..._stats_get,
 * do not know.
 */
#include "library.h"

/* A struct of this program, which the library is to fill in, and more: `first`
 * over 0x5a, and `room` over 0xa5, for what it fills in may have either byte. */
static union {
    fpheap_stats       heap;
    fpheap_class_stats of_class;
    fpheap_pool_stats  pool;
    fpheap_tag_stats   tag;
    unsigned char      byte[sizeof(fpheap_stats) + 64];
} first, room;

#define FILL_IN(call) \
    (memset(&room, 0x5a, sizeof room), (call), first = room, \
     memset(&room, 0xa5, sizeof room), (call))

/* The library has filled in all but `less` bytes of a struct.  These are zero if
 * it was told of them, else untouched; so is what lies behind. */
static void
check_filled(size_t bytes, size_t less, int told)
{
    size_t i;

    CHECK(room.heap.struct_bytes == bytes - less);
    for (i = 0; i < bytes - less; i++)
        CHECK(first.byte[i] != 0x5a || room.byte[i] != 0xa5);
    for (; i < bytes; i++)
        CHECK(room.byte[i] == (told ? 0 : 0xa5));
    for (; i < sizeof room; i++)
        CHECK(room.byte[i] == 0xa5);
}

static void
check_sized(fpheap *heap, fpheap_pool *pool)
{
    FILL_IN(F(stats_get_sized)(heap, &room.heap, sizeof room.heap));
    check_filled(sizeof room.heap, SIZED, 1);
    FILL_IN(CHECK(F(class_stats_get_sized)(heap, 0, &room.of_class,
                                           sizeof room.of_class) == 0));
    check_filled(sizeof room.of_class, SIZED, 1);
    FILL_IN(F(pool_stats_get_sized)(pool, &room.pool, sizeof room.pool));
    check_filled(sizeof room.pool, SIZED, 1);
    FILL_IN(CHECK(F(tag_stats_get_sized)(heap, 0, &room.tag,
                                         sizeof room.tag) == 0));
    check_filled(sizeof room.tag, SIZED, 1);
}

static void
check_plain(fpheap *heap, fpheap_pool *pool)
{
    FILL_IN(F(stats_get)(heap, &room.heap));
    check_filled(sizeof room.heap, PLAIN, 0);
    FILL_IN(CHECK(F(class_stats_get)(heap, 0, &room.of_class) == 0));
    check_filled(sizeof room.of_class, PLAIN, 0);
    FILL_IN(F(pool_stats_get)(pool, &room.pool));
    check_filled(sizeof room.pool, PLAIN, 0);
    FILL_IN(CHECK(F(tag_stats_get)(heap, 0, &room.tag) == 0));
    check_filled(sizeof room.tag, PLAIN, 0);
}

int
main(int argc, char **argv)
{
    fpheap_pool_desc desc;
    fpheap          *heap;
    fpheap_pool     *pool;

    library = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return printf("%s\n", dlerror());
    heap = F(create)("versions", NULL);
    CHECK(heap != NULL);
    memset(&desc, 0, sizeof desc);
    desc.name = "versions";
    desc.size = 100;
    pool = F(pool_create)(heap, &desc);
    CHECK(pool != NULL);
    check_sized(heap, pool);
    check_plain(heap, pool);
    CHECK(F(destroy)(heap) == 0);
    return 0;
}
