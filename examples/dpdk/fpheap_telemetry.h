/* fpheap_telemetry.h - the numbers of heaps in DPDK's telemetry
 * SPDX-License-Identifier: MIT OR Unlicense OR BSD-3-Clause
 *
 *     fpheap_telemetry_add(heap, "packets");       // any time after create
 *     fpheap_telemetry_remove(heap);               // before fpheap_destroy
 *
 *     $ dpdk-telemetry.py
 *     --> /fpheap/list                     ["packets"]
 *     --> /fpheap/stats,packets            {"live_objects": 32, ...}
 *     --> /fpheap/classes,packets          {"2048": {"slabs": 1, ...}, ...}
 *
 * Copy it and include it after fpheap.h.  The numbers are read in telemetry's
 * own thread, beside all others, as fpheap_stats_get is made for.
 */
#ifndef FPHEAP_TELEMETRY_H
#define FPHEAP_TELEMETRY_H

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <rte_telemetry.h>
#include <rte_version.h>

#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
#  define fpheap_telemetry_number rte_tel_data_add_dict_uint
#else
#  define fpheap_telemetry_number rte_tel_data_add_dict_u64
#endif

typedef struct fpheap_telemetry {
    int             commands;  /* 1: registered, which is for good */
    struct {
        fpheap *heap;          /* NULL: free */
        char    name[FPHEAP_NAME_BYTES];
    } entry[FPHEAP_MAX_HEAPS];
} fpheap_telemetry;

/* Weak: the files that include this have one of each between them.  The mutex
 * is held while a command reads a heap, so who removed it may destroy it. */
__attribute__((weak)) fpheap_telemetry fpheap_telemetry_heaps;
__attribute__((weak)) pthread_mutex_t  fpheap_telemetry_mutex =
    PTHREAD_MUTEX_INITIALIZER;

/* The number of the entry of a name, or of a heap; -1: none. */
static inline int
fpheap_telemetry_find(const char *name, const fpheap *heap)
{
    fpheap_telemetry *t = &fpheap_telemetry_heaps;
    int i;

    for (i = 0; i < FPHEAP_MAX_HEAPS; i++)
        if (name != NULL ? t->entry[i].heap != NULL
                           && strcmp(t->entry[i].name, name) == 0
                         : t->entry[i].heap == heap)
            return i;
    return -1;
}

static inline int
fpheap_telemetry_list(const char *command, const char *params,
                      struct rte_tel_data *out)
{
    fpheap_telemetry *t = &fpheap_telemetry_heaps;
    int i;

    (void)command, (void)params;
    rte_tel_data_start_array(out, RTE_TEL_STRING_VAL);
    pthread_mutex_lock(&fpheap_telemetry_mutex);
    for (i = 0; i < FPHEAP_MAX_HEAPS; i++)
        if (t->entry[i].heap != NULL)
            rte_tel_data_add_array_string(out, t->entry[i].name);
    pthread_mutex_unlock(&fpheap_telemetry_mutex);
    return 0;
}

static inline void
fpheap_telemetry_show(fpheap *heap, struct rte_tel_data *out)
{
    static const char *const backing[] = {
        "unknown_bytes", "pages_bytes", "thp_bytes", "hugetlb_bytes"
    };
    fpheap_stats s;
    unsigned     i;

    fpheap_stats_get(heap, &s);
#define FPHEAP_TELEMETRY_SHOW(field) \
    fpheap_telemetry_number(out, #field, (uint64_t)s.field)
    FPHEAP_TELEMETRY_SHOW(region_bytes);
    FPHEAP_TELEMETRY_SHOW(live_bytes);
    FPHEAP_TELEMETRY_SHOW(requested_bytes);
    FPHEAP_TELEMETRY_SHOW(parked_bytes);
    FPHEAP_TELEMETRY_SHOW(slab_free_bytes);
    FPHEAP_TELEMETRY_SHOW(page_free_bytes);
    FPHEAP_TELEMETRY_SHOW(waste_bytes);
    FPHEAP_TELEMETRY_SHOW(metadata_bytes);
    FPHEAP_TELEMETRY_SHOW(record_bytes);
    FPHEAP_TELEMETRY_SHOW(live_objects);
    FPHEAP_TELEMETRY_SHOW(parked_objects);
    FPHEAP_TELEMETRY_SHOW(depot_bytes);
    FPHEAP_TELEMETRY_SHOW(peak_region_bytes);
    FPHEAP_TELEMETRY_SHOW(regions);
    FPHEAP_TELEMETRY_SHOW(caches);
    FPHEAP_TELEMETRY_SHOW(growths);
    FPHEAP_TELEMETRY_SHOW(growth_failures);
    FPHEAP_TELEMETRY_SHOW(growth_max_ns);
    FPHEAP_TELEMETRY_SHOW(limit);
    FPHEAP_TELEMETRY_SHOW(releases);
    FPHEAP_TELEMETRY_SHOW(reclaims);
#undef FPHEAP_TELEMETRY_SHOW
    for (i = 0; i < 4; i++)
        fpheap_telemetry_number(out, backing[i], s.backing_bytes[i]);
}

/* The classes that have slabs.  Pools may have the size of another class: they
 * follow it, as "2304", "2304_1" ... */
static inline int
fpheap_telemetry_show_classes(fpheap *heap, struct rte_tel_data *out)
{
    fpheap_class_stats c;
    size_t   last = 0;
    unsigned again = 0;
    unsigned i;

    for (i = 0; fpheap_class_stats_get(heap, i, &c) == 0; i++) {
        struct rte_tel_data *one;
        char   name[32];

        if (c.slabs == 0)
            continue;
        again = c.size == last ? again + 1 : 0;
        last = c.size;
        if (again == 0)
            snprintf(name, sizeof name, "%zu", c.size);
        else
            snprintf(name, sizeof name, "%zu_%u", c.size, again);
        one = rte_tel_data_alloc();
        if (one == NULL)
            return -ENOMEM;
        rte_tel_data_start_dict(one);
        fpheap_telemetry_number(one, "slabs", c.slabs);
        fpheap_telemetry_number(one, "live_objects", c.live_objects);
        fpheap_telemetry_number(one, "parked_objects", c.parked_objects);
        fpheap_telemetry_number(one, "free_objects", c.free_objects);
        fpheap_telemetry_number(one, "magazine", c.magazine);
        if (rte_tel_data_add_dict_container(out, name, one, 0) != 0) {
            rte_tel_data_free(one);
            return -ENOSPC;
        }
    }
    return 0;
}

/* /fpheap/stats and /fpheap/classes; params is the name. */
static inline int
fpheap_telemetry_heap(const char *command, const char *params,
                      struct rte_tel_data *out)
{
    fpheap_telemetry *t = &fpheap_telemetry_heaps;
    int rc = 0;
    int i;

    rte_tel_data_start_dict(out);
    pthread_mutex_lock(&fpheap_telemetry_mutex);
    i = params == NULL ? -1 : fpheap_telemetry_find(params, NULL);
    if (i < 0)
        rc = -ENOENT;
    else if (strstr(command, "classes") != NULL)
        rc = fpheap_telemetry_show_classes(t->entry[i].heap, out);
    else
        fpheap_telemetry_show(t->entry[i].heap, out);
    pthread_mutex_unlock(&fpheap_telemetry_mutex);
    return rc;
}

static inline int
fpheap_telemetry_commands(void)
{
    int rc;

    rc = rte_telemetry_register_cmd("/fpheap/list", fpheap_telemetry_list,
                                    "The heaps.  No parameters");
    if (rc == 0)
        rc = rte_telemetry_register_cmd("/fpheap/stats", fpheap_telemetry_heap,
                                        "Where a heap's bytes are.  "
                                        "Parameter: its name");
    if (rc == 0)
        rc = rte_telemetry_register_cmd("/fpheap/classes",
                                        fpheap_telemetry_heap,
                                        "A heap's classes that have slabs.  "
                                        "Parameter: its name");
    return rc;
}

/*
 * fpheap_telemetry_add - show a heap
 *
 * name    up to FPHEAP_NAME_BYTES - 1 characters, unique, with no comma
 *
 * Returns  0, -EEXIST, -EINVAL (the name), -ENOSPC (FPHEAP_MAX_HEAPS are
 *          shown), or what rte_telemetry_register_cmd returned.
 * Threads  Any.
 */
static inline int
fpheap_telemetry_add(fpheap *heap, const char *name)
{
    fpheap_telemetry *t = &fpheap_telemetry_heaps;
    int rc = 0;
    int i;

    if (name[0] == '\0' || strlen(name) >= FPHEAP_NAME_BYTES
        || strpbrk(name, ",\"\\") != NULL)
        return -EINVAL;
    pthread_mutex_lock(&fpheap_telemetry_mutex);
    i = fpheap_telemetry_find(NULL, NULL);
    if (fpheap_telemetry_find(name, NULL) >= 0)
        rc = -EEXIST;
    else if (i < 0)
        rc = -ENOSPC;
    else if (!t->commands)
        rc = fpheap_telemetry_commands();
    if (rc == 0) {
        t->commands = 1;
        t->entry[i].heap = heap;
        strcpy(t->entry[i].name, name);
    }
    pthread_mutex_unlock(&fpheap_telemetry_mutex);
    return rc;
}

/* Stop showing it under any name; then the caller may destroy it. */
static inline void
fpheap_telemetry_remove(const fpheap *heap)
{
    fpheap_telemetry *t = &fpheap_telemetry_heaps;
    int i;

    pthread_mutex_lock(&fpheap_telemetry_mutex);
    while ((i = fpheap_telemetry_find(NULL, heap)) >= 0)
        t->entry[i].heap = NULL;
    pthread_mutex_unlock(&fpheap_telemetry_mutex);
}

#endif /* FPHEAP_TELEMETRY_H */
