/* tools.c - what a tool is told of the heap, in a buffer: tools.sh builds it for
 * each tool and looks at what the tool says.
 *
 *     tools right|free|large|scratch|cut|rewound|ended|behind|shrunk|beside
 *
 * "right" does nothing that a tool may object to; each other word is a mistake,
 * after which the program reads a byte that is not its own.
 */
#define FPHEAP_IMPLEMENTATION
#include "../fpheap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char memory[8 * FPHEAP_CHUNK];

static fpheap_pool *
pool_of(fpheap *heap, unsigned flags)
{
    fpheap_pool_desc desc;

    memset(&desc, 0, sizeof desc);
    desc.name = "pool";
    desc.size = 200;
    desc.flags = flags;
    return fpheap_pool_create(heap, &desc);
}

/* A byte behind an object of a group, of one that was rewound, or of one of a
 * group that has ended. */
static char *
grouped(fpheap *heap, const char *what)
{
    fpheap_group *group  = fpheap_group_begin(heap);
    fpheap_mark   mark   = fpheap_group_mark(group);
    char         *object = (char *)fpheap_group_alloc(group, 100);

    memset(object, 1, 100);
    if (strcmp(what, "rewound") == 0)
        fpheap_group_rewind(group, mark);
    else if (strcmp(what, "ended") == 0)
        fpheap_group_end(group);
    return object + (strcmp(what, "cut") == 0 ? 100 : 50);
}

/* Groups that are filled, rewound and filled again. */
static void
right_groups(fpheap *heap)
{
    fpheap_group *group = fpheap_group_begin(heap);
    unsigned      round, i;

    for (round = 0; round < 4; round++) {
        fpheap_mark mark = fpheap_group_mark(group);

        for (i = 0; i < 200; i++)
            memset(fpheap_group_aligned(group, 1u << i % 10, i * 9), 1, i * 9);
        if (round % 2 == 0)
            fpheap_group_rewind(group, mark);
    }
    fpheap_group_end(group);
}

/* Nothing that a tool may object to: memory that serves objects of many sizes,
 * pages that are touched, a buffer that is used again when the heap has ended. */
static void
right(fpheap *heap)
{
    fpheap_pool *pool = pool_of(heap, 0);
    void        *many[300];
    char        *object;
    unsigned     i, round;

    for (round = 0; round < 6; round++) {
        for (i = 0; i < 300; i++) {
            size_t size = 8 + (i * 37 + round * 1111) % 3000;

            many[i] = i % 7 == 0 ? fpheap_pool_get(pool)
                                 : fpheap_alloc(heap, size);
            memset(many[i], 1, i % 7 == 0 ? 200 : size);
            if (i % 5 == 1 && i % 7 != 0)
                many[i] = fpheap_realloc(heap, many[i], size + round * 30);
        }
        for (i = 0; i < 300; i++)
            fpheap_free(heap, many[i]);
        for (i = 0; i < 2; i++) {              /* the second time parked */
            object = (char *)fpheap_alloc(heap, 600000 + round * 70000);
            memset(object, 1, 600000);
            fpheap_free(heap, object);
        }
        right_groups(heap);
        fpheap_trim(heap);
        if (fpheap_reserve(heap, 3 << 20, 0) != 0)
            exit(3);
    }
    object = (char *)fpheap_pool_get(pool);
    memset(object, 3, 200);
    fpheap_pool_put(pool, object);
    if (object[7] != 3)        /* a pool keeps what is in it */
        exit(4);
    fpheap_free(heap, fpheap_alloc(heap, 1000));
    if (fpheap_check(heap) != NULL || fpheap_destroy(heap) != 0)
        exit(5);
    memset(memory, 0, sizeof memory);
}

/* A byte of an object that is free, behind one that was resized in place. */
static char *
beside(fpheap *heap)
{
    char *two[2];

    if (fpheap_alloc_bulk(heap, 100, (void **)two, 2) != 0)
        exit(6);
    if (two[1] < two[0]) {
        char *first = two[1];

        two[1] = two[0];
        two[0] = first;
    }
    fpheap_free(heap, two[1]);
    if (two[0] != fpheap_realloc(heap, two[0], 98))
        exit(7);
    return two[1] + 5;
}

/* An object and a mistake with it.  Returns where a byte is that may not be
 * read. */
static char *
wrong(fpheap *heap, const char *what)
{
    fpheap_pool *pool = pool_of(heap, FPHEAP_SCRATCH);
    size_t       size = strcmp(what, "large") == 0 ? 700000 : 100;
    char        *object = (char *)fpheap_alloc(heap, size);

    memset(object, 1, size);
    if (strcmp(what, "cut") == 0 || strcmp(what, "rewound") == 0
        || strcmp(what, "ended") == 0)
        return grouped(heap, what);
    if (strcmp(what, "behind") == 0)
        return object + size;
    if (strcmp(what, "beside") == 0)
        return beside(heap);
    if (strcmp(what, "shrunk") == 0)
        return (char *)fpheap_realloc(heap, object, size - 2) + size - 1;
    if (strcmp(what, "scratch") == 0) {
        object = (char *)fpheap_pool_get(pool);
        memset(object, 1, 200);
        fpheap_pool_put(pool, object);
    } else {
        fpheap_free(heap, object);
    }
    return object + 50;
}

int
main(int argc, char **argv)
{
    fpheap_config   config;
    fpheap_provider provider;
    fpheap_buffer   buffer;
    fpheap         *heap;

    memset(&config, 0, sizeof config);
    fpheap_provider_buffer(&provider, &buffer, memory, sizeof memory);
    config.provider = &provider;
    heap = fpheap_create(NULL, &config);
    if (heap == NULL || argc != 2)
        return 2;
    if (strcmp(argv[1], "right") == 0)
        right(heap);
    else if (*(volatile char *)wrong(heap, argv[1]) == 'x')
        puts("x");             /* MemorySanitizer looks at branches */
    return 0;
}
