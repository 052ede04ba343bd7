/* fpheap.h - v0.1.0 - a heap for the fast path of packet-processing programs
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Objects of any size, allocated and freed one by one or in bulk, by any
 * thread, from memory that you provide: hugepages, a DPDK memzone, a static
 * buffer, plain mmap.  An allocation that hits its thread's cache takes no
 * lock, no atomic read-modify-write and no call.  A thread that allocates or
 * frees waits for another only when the heap needs new memory, and for a
 * bounded time: see THREADS.
 *
 *     in exactly one C file                 in every other file
 *     -------------------------------       -------------------
 *     #define FPHEAP_IMPLEMENTATION         #include "fpheap.h"
 *     #include "fpheap.h"
 *
 * Needs GCC 8 or Clang 7, C11 or C++11, and POSIX threads on Linux; what
 * another POSIX system lacks is in PLATFORM.  With FPHEAP_NO_THREADS and
 * FPHEAP_NO_OS a static buffer and a C compiler are enough.  The header depends
 * on nothing but the C library.
 *
 * CONTENTS - each tag occurs exactly once more, at the head of its section
 *
 *     documentation     [START]  [NOT]  [THREADS]  [ERRORS]  [WORDS]  [DESIGN]
 *     declarations      [CONFIG]  [TYPES]  [API]  [FASTPATH]
 *     implementation    [PLATFORM]  [META]  [CALL]  [PAGES]  [REGION]
 *                       [RECORD]  [DEBUG]  [OBJECT]  [SLAB]
 *                       [DEPOT]  [WATER]  [CACHE]  [VIEW]  [GROWTH]  [MISS]
 *                       [LARGE]  [ALLOC]  [QUERY]  [POOL]  [GROUP]  [STATS]
 *                       [PROVIDERS]  [CHECK]  [HEAP]  [SHARED]  [SYMBOLS]
 *     end of file       [HISTORY]  [LICENSE]
 *
 * [START] ---------------------------------------------------------------------
 *
 *     fpheap *heap = fpheap_create("packets", NULL);    // NULL: all defaults
 *     void *burst[32];
 *
 *     char *one = fpheap_alloc(heap, 1500);             // any size, any thread
 *     fpheap_free(heap, one);
 *
 *     if (fpheap_alloc_bulk(heap, 2048, burst, 32) == 0)         // 32 or none
 *         fpheap_free_bulk(heap, burst, 32);                     // any mix
 *
 *     fpheap_destroy(heap);                             // -EBUSY: objects live
 *
 *     cc -O2 program.c -pthread        (and -latomic where 8 bytes have no
 *                                      atomic instruction, as on PowerPC and
 *                                      MIPS of 32 bits)
 *
 * [NOT] -----------------------------------------------------------------------
 *
 *   - not for signal handlers: a handler that interrupts a call on the same
 *     thread must not call the heap, nor fork()
 *   - not a hardened allocator: freeing what is not the heap's is undefined (a
 *     message near the heap's memory, a SIGSEGV far from it, or where nothing
 *     stands in front of it that FPHEAP_HEADER can read; always a message with
 *     FPHEAP_CHECK), a double free is found when it reaches the slab, not at
 *     once, and a write past an object reaches others.  The heap's records lie
 *     apart, between pages that nobody may touch; but where the system has no
 *     memory for them, as with FPHEAP_NO_OS, a write past an object by more
 *     than a 2048th of a chunk (128 bytes at least) can reach them
 *   - not a way to save the last byte: each thread parks up to two magazines
 *     per size it uses (a quarter of a chunk, or four objects if that is more,
 *     or 512 if that is a chunk at most) until it has claimed others for a
 *     while, or its first miss after any thread's fpheap_trim; of what it has
 *     prefilled one stays
 *   - not the fastest realloc of arrays of many MiB: one that finds no memory
 *     behind it is copied, to memory that the system first has to put there,
 *     where the C library has the system move its pages
 *   - not a wall between processes that write the same heap, fpheap_open: they
 *     trust each other.  (Those that only read it need not.)
 *   - not for a library that is unloaded while a thread is inside the heap, is
 *     exiting, or will use a heap again; heaps that the library has not
 *     destroyed by then are lost.  Nor for a thread that first uses a heap in
 *     the last of its thread-local destructors
 *
 * [THREADS] -------------------------------------------------------------------
 *
 * Any thread may call any function at any time, without registering, except
 * that the caller keeps pairs marked "X" apart; those marked "-" may overlap.
 *
 *                                                      [1] [2]
 *     [1] all functions except those below              -   X
 *     [2] fpheap_walk, _check, _destroy, _..._forced,   X   X
 *         fpheap_pool_for_each
 *
 * Only the cache's own thread calls fpheap_cache_*.  fpheap_pool_destroy is
 * like [1], but no other thread may use its pool meanwhile.  Thread exit is
 * like [1], but may run beside a destroy: the later one waits for the other.
 *
 * A thread that is stopped anywhere inside the heap delays no other thread that
 * allocates or frees, except in two cases:
 *
 *   - It grows the heap, which includes the provider's callback and the
 *     watcher's, or takes parked objects back to avoid growing.  Others that
 *     need new memory wait for it, and then go on as if it were not there.
 *   - It moves free memory or objects.  Others that would fail for lack of
 *     memory wait and look again; once a thread has waited for a move in vain,
 *     no other waits for that move.  (What a bulk has gathered is not free,
 *     even if the bulk fails in the end.)
 *
 * A call waits FPHEAP_GROWTH_WAIT_MS at most, for all other threads together;
 * its own calls to the provider take as long as the provider does.  What the
 * stopped thread holds, or has charged to a limit, stays its own.
 *
 * Callbacks must return: no exception, no longjmp and no cancellation may leave
 * them.  No function is a cancellation point; but a thread that calls one must
 * not be cancelled asynchronously.
 *
 * After fork() the child has one thread, which may go on using the heap.  At
 * its first miss it takes back what the other threads had parked; what they
 * were moving (a magazine, a bin's slabs, a region) is lost to the child,
 * and fpheap_check may report it there.  A pool that they were making or ending
 * stays so, with its name; objects that they were destructing are destructed
 * again when the heap ends.  Of a heap that several processes share the child
 * has nothing until it opens it itself.
 *
 * A process that is killed anywhere inside a shared heap is like a thread that
 * is stopped there, until another cleans up after it: then calls that begin,
 * hits excepted, wait until that is done.
 *
 * [ERRORS] --------------------------------------------------------------------
 *
 * Functions that return a pointer return NULL and set errno; functions that
 * return int return 0 or a negative errno, unless they say otherwise.  On
 * failure nothing was taken and no output was written.
 *
 *     EINVAL         an argument is out of its range, or a configuration
 *                    cannot work; each function lists its causes.  Also: the
 *                    provider, the watcher or a constructor returned a positive
 *                    number
 *     ENOMEM         no memory: the provider said so, a size overflows, or the
 *                    heap's tables are full
 *     ENOSPC         a limit of yours: the heap's bytes or the pool's objects;
 *                    or 255 destructors are registered
 *     EFAULT         the provider gave memory that cannot be used: without a
 *                    whole page, or too short for what was needed, wrapping,
 *                    not writable, or overlapping that of an earlier get.  It
 *                    was handed back, once; if the provider did not take it, it
 *                    is waste, and after eight such pieces the heap asks no
 *                    more
 *     EDEADLK        the provider's callback or the watcher's needed the heap
 *                    to grow, or a pool's constructor was nested eight deep
 *     EBUSY          objects are live, or another thread is moving a pool's;
 *                    or a callback tried to end its own heap or pool, to
 *                    prefill, or to use a pool of the heap that is being
 *                    destroyed
 *     ENFILE         FPHEAP_MAX_HEAPS heaps exist, or FPHEAP_MAX_POOLS pools
 *     EEXIST         the heap has a pool of that name
 *     ENOENT         the heap has no pool of that name
 *     ENAMETOOLONG   a name of FPHEAP_NAME_BYTES characters or more
 *     EAGAIN         the thread cannot have a cache now
 *     EACCES, EADDRINUSE, EPROTO, ESTALE
 *                    a partition cannot be opened: see fpheap_open
 *     ENOTSUP        a pool's constructor is another process's, or a partition
 *                    with FPHEAP_SITES, or with a pool's watermarks
 *
 * and whatever else the provider, the watcher or a constructor returns.  Misuse
 * that a slow path finds (a bit that is already set, a pointer into no object)
 * ends in FPHEAP_PANIC with a message that names it.
 *
 * [WORDS] ---------------------------------------------------------------------
 *
 *     provider   the application's callbacks that hand memory over
 *     region     one piece of memory from the provider, any base and length
 *     watcher    fpheap_config.watch, which is told of regions
 *     page       1 << FPHEAP_PAGE_SHIFT bytes, aligned to its size
 *     run        pages in a row
 *     chunk      1 << FPHEAP_CHUNK_SHIFT bytes, aligned to its size: the pages
 *                of one word in the tables
 *     window     the addresses that a heap's tables cover
 *     record     what META cuts from its blocks; of a page, what describes the
 *                slab or the large object that begins there
 *     slab       a run cut into objects of one class, one bit for each
 *     class      a size of objects: one of the heap's own, or a pool's
 *     bin        a (node, class) pair
 *     pool       a named type of object with its own class, constructor, limit
 *     group      objects that end together, cut from its pieces, which are
 *                objects of the heap
 *     ending     an adopted object or a cleanup, which ends with a group
 *     magazine   an array of object pointers, the unit that moves between
 *                threads
 *     cache      what one thread parks of one heap: a loaded and a spare
 *                magazine per bin, at first a short one, and one large object
 *     depot      per bin, the full magazines that no thread holds
 *     node       a NUMA node
 *     object     what an allocation returns
 *     live       of objects: the application has it
 *     parked     neither live nor free in its slab: in a cache or a depot
 *     claimed    out of its slab: live or parked
 *     listed     of a slab: in the stack of its bin, or held by a thread that
 *                has taken it from there
 *     announced  of free objects: counted in their slab, so that it is listed
 *     seat       a thread's number, by which its caches are found
 *     spill      to serve a node from the others
 *     born, dies of objects: leaves the heap, comes back
 *     hit, miss  a call that the thread's own bin serves; any other
 *     growth     getting a region from the provider
 *     pass       taking parked objects back from depots and caches
 *     move       the moment in which a thread has free memory or objects in
 *                its hands
 *     child      a heap whose memory is another's, its parent's
 *     critical   of objects: from what config.emergency has set aside
 *     room       what a heap's limit or a pool's max leaves to be claimed
 *     watermark  of room: low or high, fpheap_water
 *     crossing   the moment in which room passes one of them, or a call fails
 *     partition  a file with a heap that several processes map
 *     member     a process that has a partition open
 *     slot       a member's number for a thread's cache, in place of a seat
 *     call       of a thread on a shared heap: one that is no hit
 *     cleaner    the member that cleans up after those that have died
 *     F1, S2     names of invariants and of edges of memory order; the tables
 *                at the heads of sections say what each is.  The letter tells
 *                the section: I FASTPATH, M T META, V CALL, F PAGES, G REGION,
 *                N RECORD, K DEBUG, E OBJECT, B Q S SLAB, D DEPOT, U WATER,
 *                H CACHE, R GROWTH, L LARGE, P POOL, A PROVIDERS, W SHARED
 *
 * [DESIGN] --------------------------------------------------------------------
 *
 * Memory comes from below and objects leave at the top.  Each floor asks only
 * those under it, in larger units, and gives back what it has too much of.
 *
 *       application                           the application has live objects
 *     ------ objects, one or a bulk ------------------------------------------
 *       | cache of thread 1 | cache of ... |  FASTPATH, CACHE: two magazines
 *                                             per bin, plain loads and stores
 *     ------ whole magazines -------------------------------------------------
 *       | depots: full magazines, per bin  |  DEPOT: lock-free stacks
 *     ------ objects, a magazine's worth -------------------------------------
 *       | slabs with free objects, per bin |  SLAB: one bit per object
 *     ------ runs of pages ---------------------------------------------------
 *       | free pages, per node             |  PAGES: one bit per page; LARGE
 *     ------ regions ---------------------------------------------------------
 *       | provider                         |  REGION; your callback, or
 *                                             PROVIDERS
 *
 * An object of a class is live, or parked in exactly one magazine, or free:
 * then its bit in its slab is set; or for a moment in one thread's hands, on
 * its way between these.  A large object is live, or parked in a cache as
 * itself, or its pages are free.  The heap writes nothing into objects (only
 * FPHEAP_CHECK 2 fills free ones), so no list runs through them, and a pool's
 * objects stay constructed.  The heap's own records lie apart, META, and stay
 * until the heap ends.  So whoever holds a stale pointer or reference to a
 * record may look at it, and needs no hazard pointer.
 *
 *     from                 to                   by                       label
 *     live                 this thread's cache  fph_put                  I
 *     full magazine        depot                fph_depot_put            T2
 *     depot                a thread's cache     fph_depot_get            T5
 *     magazine, no cache   free in its slab     fph_slab_set_bits        B3
 *     free, not announced  announced, listed    fph_slab_announce        B4
 *     listed slab          held by one thread   fph_stack_pop            T5
 *     free in its slab     a thread's hands     fph_slab_claim           B1
 *     slab, all free       free pages           fph_part_give            F4
 *     free pages           a slab or an object  fph_chunk_take           F3
 *     idle magazine        free in its slab     fph_idle_flush           B3
 *     live large object    parked in the cache  fph_large_free           L2
 *     free chunk, region   provider             fph_region_hide          G7
 *     provider             free pages           fph_pages_open           F4
 *
 * An object that one thread freed serves another from T5 on, or from B3 on; its
 * memory serves another size from F4 on.  Only full magazines enter a depot;
 * what is in others goes to slabs.
 *
 * A hit.  The size gives the class, by a shift and a table; the bin's loaded
 * magazine gives or takes a pointer.  A free that is not told the size reads
 * the bin of the object's page from the heap's map of all addresses.
 *
 * A miss that allocates, MISS: the spare magazine becomes the loaded one; or a
 * full one comes from the depot; or objects are claimed from a slab that has
 * free ones; or a new slab is cut from free pages, of a chunk in use if one has
 * enough.  A thread that claims many at a time also looks whether it has
 * stopped using one of its other sizes, and gives that up.  When none of these
 * has anything, GROWTH decides what is next: take parked objects back, in this
 * thread and by request in others; ask the provider; give back what is free and
 * ask again.  Only then does the call fail.
 *
 * A miss that frees: both magazines are full, so one goes to the depot.  What
 * a depot need not keep goes back to its slabs, bit by bit.  A slab whose bits
 * are all set becomes free pages, and a trim gives back what is free as a
 * whole: chunks where the provider takes parts, else regions.
 *
 * Who waits for whom.  All of this is lock-free: atomic stacks and words, each
 * with its table of orders in its section.  A thread that allocates waits only
 * when the heap needs new memory, and for a bounded time: for others that ask
 * the provider, and for objects that others hold between two floors.  (Thread
 * exit and the ends of heaps and pools wait for each other.)  A thread that is
 * stopped keeps what it has in its hands, its cache, and what it has charged.
 *
 * Who calls back.  The provider, the watcher and constructors run inside a
 * miss; destructors run wherever a slab ends, which may be in any call that
 * needs memory.  All may use the heap, but while the provider or the watcher
 * runs it cannot grow.  CALL begins with a table of what such calls may do.
 * Who waits for room is told at the end of a call, WATER, and may do all that a
 * thread may outside of it, but end what has called.
 *
 * What an object carries.  FASTPATH is the boundary: an object that leaves is
 * taken from its bin and is then born; one that comes back dies, if it may, and
 * is then put into its bin.  Headers, OBJECT, and the marks of the checks,
 * DEBUG, know these two moments; the floors below the bins know neither.
 *
 * Heaps in heaps.  A child is a heap like any other, whose provider is its
 * parent: a region of the child is a run of the parent's pages, and the run's
 * record has the child's number.  So a hit knows nothing of children; the end
 * of one gives its runs back, whatever is live in them; and a miss that frees
 * what is no object of the heap finds the child to which it belongs.  What is
 * set aside for critical objects is a child too, of which no thread has a
 * cache: all that is free in it is there for every thread.
 *
 * A group, GROUP, is an application of the heap: the floors know only its
 * pieces, as objects.
 *
 * Several processes.  A shared heap is the same heap in a file that each maps
 * at the same address: its state, tables and records lie in the file, in front
 * of the objects and between them, and nothing there is an address of one
 * process.  Handles, the provider, pools' callbacks and threads' ways to their
 * caches are each process's own.  All words above are lock-free, so a process
 * that is killed stops nobody.  What it had in its hands is found by whoever
 * cleans up, SHARED: while no thread is inside a call, it computes anew from
 * what is certain, as the records of pages and the bits of slabs, all that
 * hangs on it: free pages, regions, stacks, counts.  Whoever only reads, VIEW,
 * copies and checks each piece.
 *
 * The code stands in this order, from the bottom up: a function calls only what
 * is above it in the file.  Only FASTPATH's misses are declared before they are
 * defined.  Code belongs to the section of the things that it handles.
 */
#ifndef FPHEAP_H
#define FPHEAP_H

/* The implementation calls POSIX functions that a strict -std=c11 hides. */
#if defined(FPHEAP_IMPLEMENTATION) && !defined(_GNU_SOURCE)
#  define _GNU_SOURCE 1
#endif

#include <stddef.h>
#include <stdint.h>

#define FPHEAP_VERSION_MAJOR 0
#define FPHEAP_VERSION_MINOR 1
#define FPHEAP_VERSION_PATCH 0
#define FPHEAP_VERSION       100 /* grows with every release */

/* [CONFIG] =================================================================
 *
 * Settings are plain integers, the same in every file of a program, given with
 * -D or collected in a file named by -DFPHEAP_CONFIG_HEADER='"my_config.h"'.
 * Settings marked LAYOUT decide what the inline fast path reads.  They and the
 * version are part of every symbol's name: files that disagree on one do not
 * link, and the name of the undefined symbol tells the settings of the file
 * that refers to it.  fpheap_config_string() returns what was built.
 */
#ifdef FPHEAP_CONFIG_HEADER
#  include FPHEAP_CONFIG_HEADER
#endif

/* FPHEAP_CHUNK_SHIFT (LAYOUT) - log2 of the bytes in a chunk.  16..24, default
 * 21: 2 MiB, a hugepage.  Small chunks suit small static buffers; large ones
 * let larger objects share them.  The shift also decides how much a heap can
 * have:
 *
 *          chunk     all objects up     one object      regions
 *                     to a chunk
 *     16       64 KiB       240 MiB            4 TiB          128
 *     17      128 KiB       980 MiB            8 TiB          256
 *     18      256 KiB      8000 MiB           16 TiB          512
 *     19      512 KiB        41 GiB           32 TiB         1024
 *     20     1024 KiB       200 GiB           64 TiB         2048
 *     21     2048 KiB       900 GiB          128 TiB         4096
 *     22     4096 KiB      3800 GiB          128 TiB         8192
 *     23     8192 KiB     15800 GiB          128 TiB        16384
 *     24    16384 KiB     31900 GiB          128 TiB        16384
 *
 * Caches, magazines and pools take a few percent from the second column.  A
 * larger object counts there as one chunk.  One object has at most a page less
 * than the third column says, which is what the heap's tables cover, 1 << 26
 * chunks or all addresses that the machine has (here 47 bits), and less where
 * RLIMIT_AS is low or FPHEAP_NO_OS is set.  This is with 64 bits and the other
 * settings at their defaults.  FPHEAP_CHECK 1 leaves at most half of the second
 * column, 2 at most a seventh (103 and 23 GiB of 900), and then each chunk of a
 * larger object counts. */
#ifndef FPHEAP_CHUNK_SHIFT
#  define FPHEAP_CHUNK_SHIFT 21
#endif

/* FPHEAP_PAGE_SHIFT (LAYOUT) - log2 of the bytes in a page.  A chunk has 16 to
 * 64 pages: FPHEAP_CHUNK_SHIFT - 6 .. - 4, default - 5.  Smaller pages waste
 * less in rarely used classes but cost more trips to the page map. */
#ifndef FPHEAP_PAGE_SHIFT
#  define FPHEAP_PAGE_SHIFT (FPHEAP_CHUNK_SHIFT - 5)
#endif

/* FPHEAP_CLASS_BITS (LAYOUT) - log2 of the classes per doubling of size.  2 or
 * 3, default 3: a size above 128 bytes is rounded up by an eighth at most.
 * With 2, one above 64 bytes is rounded up by a quarter at most, and a cache
 * has half the bins and half the bytes. */
#ifndef FPHEAP_CLASS_BITS
#  define FPHEAP_CLASS_BITS 3
#endif

/* FPHEAP_MAGAZINE (LAYOUT) - object pointers in a magazine.  A multiple of 8 in
 * 8..1016; default 512, less with small chunks.  A larger one makes exchanges
 * rarer and lets larger bulks hit.  Price: pointer size x this, twice per bin
 * that a thread uses, but for one that never parks more than 16 objects. */
#ifndef FPHEAP_MAGAZINE
#  if FPHEAP_CHUNK_SHIFT >= 21
#    define FPHEAP_MAGAZINE 512
#  else
#    define FPHEAP_MAGAZINE 24
#  endif
#endif

/* FPHEAP_MAX_NODES (LAYOUT) - NUMA nodes that a heap can have.  1..64, default
 * 1, with FPHEAP_USE_LIBNUMA 8; 1 halves the cost of fpheap_free_sized.  A heap
 * pays for the nodes in its configuration, not for these. */
#ifndef FPHEAP_MAX_NODES
#  if defined(FPHEAP_USE_LIBNUMA) && FPHEAP_USE_LIBNUMA
#    define FPHEAP_MAX_NODES 8
#  else
#    define FPHEAP_MAX_NODES 1
#  endif
#endif

/* FPHEAP_MAX_HEAPS (LAYOUT) - heaps at one time, children included.  A power of
 * two in 1..1024, default 16.  Price: 24 bytes and two pointers each in every
 * thread. */
#ifndef FPHEAP_MAX_HEAPS
#  define FPHEAP_MAX_HEAPS 16
#endif

/* FPHEAP_MAX_THREADS - threads that have caches at one time; 1..65536, but at
 * most a 32nd of the chunk's bytes; default 1024.  Threads beyond it work
 * without a cache.  1 with FPHEAP_NO_THREADS.  Price: a pointer each per heap,
 * and one each per process. */
#ifndef FPHEAP_MAX_THREADS
#  if defined(FPHEAP_NO_THREADS) && FPHEAP_NO_THREADS
#    define FPHEAP_MAX_THREADS 1
#  else
#    define FPHEAP_MAX_THREADS 1024
#  endif
#endif

/* FPHEAP_MAX_POOLS (LAYOUT) - pools per heap at one time.  1..512; default 128,
 * 16 with small chunks.  Together with the heap's own classes, times
 * FPHEAP_MAX_NODES, at most 16384.  Price of each: 45 bytes in every cache and
 * 64 in the heap, both per node of its configuration, and 40 more in the
 * heap. */
#ifndef FPHEAP_MAX_POOLS
#  if FPHEAP_CHUNK_SHIFT >= 21
#    define FPHEAP_MAX_POOLS 128
#  else
#    define FPHEAP_MAX_POOLS 16
#  endif
#endif

/* FPHEAP_NO_THREADS (LAYOUT) - 1: one thread only, no thread-local storage, no
 * pthread, no atomic instruction.  Default 0. */
#ifndef FPHEAP_NO_THREADS
#  define FPHEAP_NO_THREADS 0
#endif

/* FPHEAP_TLS_MODEL - how position-independent code finds its thread's data.  1:
 * initial-exec, a load; but glibc has room for some five dlopened libraries
 * that do so, musl and Android for none.  0: the compiler's own choice: in a
 * shared library each fast operation costs a call, but dlopen always works.
 * Default 1 with glibc, else 0. */
#ifndef FPHEAP_TLS_MODEL
#  ifdef __GLIBC__
#    define FPHEAP_TLS_MODEL 1
#  else
#    define FPHEAP_TLS_MODEL 0
#  endif
#endif

/* FPHEAP_NO_OS - 1: no system call: no mmap provider, no clock, no fork
 * handlers; without FPHEAP_NO_THREADS only pthread keys and sched_yield are
 * needed.  FPHEAP_NOW_NS() may give the time in nanoseconds; else each look at
 * the clock counts as a microsecond, so a wait of FPHEAP_GROWTH_WAIT_MS is a
 * thousand calls of sched_yield per millisecond.  A provider must be given.
 * The heap's tables lie in its first region, and cover that and as many
 * addresses as a 32nd of it has entries for, a power of two; memory that comes
 * later has its place there by its address's lower bits, and is refused,
 * ENOMEM, where another chunk has it: so give most of it first, or what lies
 * beside it.
 * Default 0. */
#ifndef FPHEAP_NO_OS
#  define FPHEAP_NO_OS 0
#endif

/* FPHEAP_NO_STDIO - 1: no fpheap_dump, no <stdio.h>.  Default 0. */
#ifndef FPHEAP_NO_STDIO
#  define FPHEAP_NO_STDIO 0
#endif

/* FPHEAP_USE_LIBNUMA - 1: libnuma places the mmap provider's memory and tells
 * threads their node; link with -lnuma.  Default 0. */
#ifndef FPHEAP_USE_LIBNUMA
#  define FPHEAP_USE_LIBNUMA 0
#endif

/* FPHEAP_GROWTH_WAIT_MS - the most milliseconds that one call waits, in all,
 * for threads that are in the provider and for those that move free objects.
 * 0..10000, default 100. */
#ifndef FPHEAP_GROWTH_WAIT_MS
#  define FPHEAP_GROWTH_WAIT_MS 100
#endif

/* FPHEAP_HEADER (LAYOUT) - 1: 16 bytes in front of each object hold the number
 * of bytes asked for, a tag that is counted, a destructor and the number of
 * references.  A write past the end of the object before may damage them.
 * Default 0. */
#ifndef FPHEAP_HEADER
#  define FPHEAP_HEADER 0
#endif

/* FPHEAP_TAGS (LAYOUT) - number of tags with FPHEAP_HEADER.  1..256, default
 * 32.  Price: 16 bytes each in every cache. */
#ifndef FPHEAP_TAGS
#  define FPHEAP_TAGS 32
#endif

/* FPHEAP_CHECK (LAYOUT) - 1: each free verifies that the object is live, starts
 * where the pointer says, and is of this heap, size and pool; if not, it ends
 * in FPHEAP_PANIC with a message that names the object.  So does a call with a
 * heap that is NULL or destroyed, and a slow call with a copied handle.
 * Default 0.  Price: a byte per 16 of memory (two with more than 253 classes,
 * pools included), 32 KiB per FPHEAP_MAX_HEAPS, 2 or 3 ns per object.
 *
 * 2: also finds writes where no object is.  The bytes behind those asked for
 * are filled, and verified when the object is freed; the bytes of a free object
 * are filled, and verified when it is handed out again.  (Not above 8 pages,
 * and in pools only with FPHEAP_SCRATCH, as others keep their contents.)  Each
 * object has at least one byte behind it, so one that would fill its class gets
 * a larger class of its alignment, a pool's objects are larger, and
 * fpheap_usable_size is what was asked for; only an object of whole pages,
 * above 8 or in a pool, may have no such byte.  Slow operations verify the
 * records that they change, and fpheap_destroy verifies all.  Price: 4 more
 * bytes per 16, and the time to write each object. */
#ifndef FPHEAP_CHECK
#  define FPHEAP_CHECK 0
#endif

/* FPHEAP_SITES (LAYOUT) - 1: the heap knows the site, file and line, that
 * allocated each live object.  The messages of FPHEAP_CHECK, which this needs,
 * name it; fpheap_dump, and fpheap_destroy if it finds live objects, list these
 * by site, most bytes first.  The functions that allocate are then macros of
 * the same names.  Default 0.  Price: 2 bytes per 16 of memory, 24 KiB per
 * FPHEAP_MAX_HEAPS, and slow calls. */
#ifndef FPHEAP_SITES
#  define FPHEAP_SITES 0
#endif

/* FPHEAP_TOOL (LAYOUT) - the tool that the heap tells which objects are live,
 * whatever the memory: 1 AddressSanitizer, 2 MemorySanitizer, 3 Valgrind, whose
 * headers this needs; 0 none.  Default: the sanitizer that the file is compiled
 * for, or 0.  A pool's free objects keep their contents and may be used, unless
 * the pool has FPHEAP_SCRATCH; of shared heaps no tool is told.  Price: slow
 * calls. */
#ifndef FPHEAP_TOOL
#  if defined(__SANITIZE_ADDRESS__)
#    define FPHEAP_TOOL 1
#  elif defined(__has_feature)
#    if __has_feature(address_sanitizer)
#      define FPHEAP_TOOL 1
#    elif __has_feature(memory_sanitizer)
#      define FPHEAP_TOOL 2
#    endif
#  endif
#endif
#ifndef FPHEAP_TOOL
#  define FPHEAP_TOOL 0
#endif

/* FPHEAP_REPORT(line) - what to do with each line about objects that are live
 * when fpheap_destroy is called; default: to standard error. */

/* FPHEAP_PANIC(message) - what to do about misuse that was found; default: the
 * message to standard error, then abort(); with FPHEAP_NO_OS a trap.  If it
 * returns, an object that may not be freed is left as it is, and the call goes
 * on.
 *
 * Both are for the file that has FPHEAP_IMPLEMENTATION.  Any thread may run
 * them, in the middle of any call; they must not use the heap. */

/* FPHEAP_EXPORT - 1: a shared library, or a program with plugins, lets others
 * use its copy.  Every file of it and of those others needs this setting.  The
 * functions are also exported under their plain names, for dlsym and other
 * languages.  Default 0: the symbols are hidden, so each shared library that
 * has the implementation has a copy of its own and never meets another. */
#ifndef FPHEAP_EXPORT
#  define FPHEAP_EXPORT 0
#endif

/* FPHEAP_NO_INLINE - 1: the fast path is declared but not defined, so its
 * functions are calls like all others; for tools that read only declarations,
 * like bindgen, and not for the file that has FPHEAP_IMPLEMENTATION.  Default
 * 0. */
#ifndef FPHEAP_NO_INLINE
#  define FPHEAP_NO_INLINE 0
#endif

/* What the settings may be. */
#ifdef __cplusplus
#  define FPH_REQUIRE(condition, message) \
      static_assert(condition, "fpheap: " message)
#else
#  define FPH_REQUIRE(condition, message) \
      __extension__ _Static_assert(condition, "fpheap: " message)
#endif
#define FPH_RANGE(setting, least, most)                        \
    FPH_REQUIRE((setting) >= (least) && (setting) <= (most),   \
                #setting " must be in " #least " .. " #most)

FPH_RANGE(FPHEAP_CHUNK_SHIFT, 16, 24);
FPH_RANGE(FPHEAP_PAGE_SHIFT, FPHEAP_CHUNK_SHIFT - 6, FPHEAP_CHUNK_SHIFT - 4);
FPH_RANGE(FPHEAP_CLASS_BITS, 2, 3);
FPH_RANGE(FPHEAP_MAGAZINE, 8, 1016);
FPH_REQUIRE(FPHEAP_MAGAZINE % 8 == 0,
            "FPHEAP_MAGAZINE must be a multiple of 8");
FPH_RANGE(FPHEAP_MAX_NODES, 1, 64);
FPH_RANGE(FPHEAP_MAX_HEAPS, 1, 1024);
FPH_REQUIRE((FPHEAP_MAX_HEAPS & (FPHEAP_MAX_HEAPS - 1)) == 0,
            "FPHEAP_MAX_HEAPS must be a power of two");
FPH_RANGE(FPHEAP_MAX_THREADS, 1, 65536);
FPH_REQUIRE(FPHEAP_MAX_THREADS <= (1 << FPHEAP_CHUNK_SHIFT) / 32,
            "FPHEAP_MAX_THREADS must be at most a 32nd of the chunk's bytes");
FPH_RANGE(FPHEAP_MAX_POOLS, 1, 512);
FPH_RANGE(FPHEAP_NO_THREADS, 0, 1);
FPH_RANGE(FPHEAP_TLS_MODEL, 0, 1);
FPH_RANGE(FPHEAP_NO_OS, 0, 1);
FPH_RANGE(FPHEAP_NO_STDIO, 0, 1);
FPH_RANGE(FPHEAP_USE_LIBNUMA, 0, 1);
FPH_REQUIRE(!FPHEAP_USE_LIBNUMA || !FPHEAP_NO_OS,
            "FPHEAP_USE_LIBNUMA and FPHEAP_NO_OS exclude each other");
FPH_RANGE(FPHEAP_GROWTH_WAIT_MS, 0, 10000);
FPH_RANGE(FPHEAP_HEADER, 0, 1);
FPH_RANGE(FPHEAP_TAGS, 1, 256);
FPH_RANGE(FPHEAP_CHECK, 0, 2);
FPH_RANGE(FPHEAP_SITES, 0, 1);
FPH_REQUIRE(!FPHEAP_SITES || FPHEAP_CHECK,
            "FPHEAP_SITES needs FPHEAP_CHECK 1 or 2");
FPH_RANGE(FPHEAP_TOOL, 0, 3);
FPH_RANGE(FPHEAP_EXPORT, 0, 1);
FPH_RANGE(FPHEAP_NO_INLINE, 0, 1);

/* FPHEAP_SHARED - 1: heaps that several processes share, fpheap_open.  Needs
 * Linux 4.17, for locks that a process's death gives up, files without a name
 * and places that are not mapped over.  Default 1 on Linux with threads, else
 * 0.  Price: a branch in each miss of other heaps; a partition of 64 GiB takes
 * 6 MiB for its tables, one of 64 MiB takes 256 KiB. */
#ifndef FPHEAP_SHARED
#  if defined(__linux__) && !FPHEAP_NO_OS && !FPHEAP_NO_THREADS
#    define FPHEAP_SHARED 1
#  else
#    define FPHEAP_SHARED 0
#  endif
#endif
FPH_RANGE(FPHEAP_SHARED, 0, 1);
FPH_REQUIRE(!FPHEAP_SHARED || (!FPHEAP_NO_OS && !FPHEAP_NO_THREADS),
            "FPHEAP_SHARED needs a system and threads");

/* FPHEAP_STATIC makes every function private to its file, which then needs
 * FPHEAP_IMPLEMENTATION as well; heaps made there are for that file alone.
 * Otherwise FPHEAP_API, if defined, decorates the functions in place of the
 * visibility that FPHEAP_EXPORT gives them. */
#ifdef FPHEAP_STATIC
#  ifdef FPHEAP_API
#    error "fpheap: FPHEAP_STATIC and FPHEAP_API exclude each other"
#  endif
#  if FPHEAP_EXPORT || FPHEAP_NO_INLINE
#    error "fpheap: FPHEAP_STATIC excludes FPHEAP_EXPORT and FPHEAP_NO_INLINE"
#  endif
#  define FPHEAP_API static FPH_UNUSED
#elif !defined(FPHEAP_API)
#  ifndef __ELF__
#    define FPHEAP_API extern
#  elif FPHEAP_EXPORT
#    define FPHEAP_API extern __attribute__((visibility("default")))
#  else
#    define FPHEAP_API extern __attribute__((visibility("hidden")))
#  endif
#endif
#if FPHEAP_EXPORT && !defined(__ELF__)
#  error "fpheap: FPHEAP_EXPORT needs ELF: declare FPHEAP_API instead"
#endif

#if FPHEAP_CHUNK_SHIFT - FPHEAP_PAGE_SHIFT == 4
#  define FPH_PAGES 16
#elif FPHEAP_CHUNK_SHIFT - FPHEAP_PAGE_SHIFT == 5
#  define FPH_PAGES 32
#else
#  define FPH_PAGES 64
#endif
#define FPH_WATCHED (FPHEAP_CHECK || FPHEAP_TOOL) /* no call goes unnoticed */

/* The version and the LAYOUT settings are part of the symbols' names. */
#define FPH_TEXT_(x) #x
#define FPH_TEXT(x)  FPH_TEXT_(x)
#define FPH_LAYOUT                                                           \
    "_v" FPH_TEXT(FPHEAP_VERSION) "_chunk" FPH_TEXT(FPHEAP_CHUNK_SHIFT)      \
    "_pages" FPH_TEXT(FPH_PAGES) "_class" FPH_TEXT(FPHEAP_CLASS_BITS)        \
    "_mag" FPH_TEXT(FPHEAP_MAGAZINE) "_nodes" FPH_TEXT(FPHEAP_MAX_NODES)     \
    "_heaps" FPH_TEXT(FPHEAP_MAX_HEAPS) "_pools" FPH_TEXT(FPHEAP_MAX_POOLS)  \
    "_st" FPH_TEXT(FPHEAP_NO_THREADS) "_header" FPH_TEXT(FPHEAP_HEADER)      \
    "_tags" FPH_TEXT(FPHEAP_TAGS)                                            \
    "_check" FPH_TEXT(FPHEAP_CHECK) "_sites" FPH_TEXT(FPHEAP_SITES)          \
    "_tool" FPH_TEXT(FPHEAP_TOOL)
#define FPH_LINKED(f) __asm__(FPH_TEXT(__USER_LABEL_PREFIX__) #f FPH_LAYOUT)

#if !FPHEAP_NO_STDIO
#  include <stdio.h>
#endif

#ifdef __cplusplus
#  pragma GCC diagnostic push
#  pragma GCC diagnostic ignored "-Wold-style-cast"
#  pragma GCC diagnostic ignored "-Wzero-as-null-pointer-constant"
#  ifndef __clang__
#    pragma GCC diagnostic ignored "-Wuseless-cast"
#  endif
extern "C" {
#endif

/* [TYPES] ================================================================== */

#define FPHEAP_CHUNK      ((size_t)1 << FPHEAP_CHUNK_SHIFT)
#define FPHEAP_PAGE       ((size_t)1 << FPHEAP_PAGE_SHIFT)
#define FPHEAP_NAME_BYTES 32
#define FPHEAP_ANY_NODE   (-1)

typedef struct fpheap       fpheap;
typedef struct fpheap_cache fpheap_cache;
typedef struct fpheap_pool  fpheap_pool;
typedef struct fpheap_group fpheap_group;

/* What a provider is asked for of a chunk, see fpheap_provider.huge. */
typedef enum fpheap_huge {
    FPHEAP_HUGE_NONE = 0,       /* some of it is about to be decommitted */
    FPHEAP_HUGE_IF_FULL,        /* hugepages, if nearly all of it has memory */
    FPHEAP_HUGE_NOW             /* hugepages, as it is about to be written to */
} fpheap_huge;

/* What kind of pages a region has, as far as its provider knows. */
typedef enum fpheap_backing {
    FPHEAP_BACKING_UNKNOWN = 0,
    FPHEAP_BACKING_PAGES,       /* the system's base pages */
    FPHEAP_BACKING_THP,         /* hugepages asked for, the kernel decides; of
                                   regions, or of chunks by .huge */
    FPHEAP_BACKING_HUGETLB      /* reserved hugepages */
} fpheap_backing;

/* One piece of memory.  A provider's get fills it in; its put receives it back
 * exactly as it was, except for the node. */
typedef struct fpheap_region {
    void          *base;        /* any address */
    size_t         bytes;       /* any length */
    void          *cookie;      /* the provider's own */
    fpheap_backing backing;
    int            node;        /* as passed to get; written by the heap */
} fpheap_region;

/* The application's callbacks.  They may be called by several threads at once,
 * and may use the heap they serve as long as that needs no new memory.
 *
 * A heap asks for two chunks first, and later for one or two, or a 16th, within
 * growth_max, or for more if an object needs it.  The number of its regions is
 * limited, see FPHEAP_CHUNK_SHIFT. */
typedef struct fpheap_provider {
    /* Fill in *region, which is all zero (but see FPHEAP_PARTS), with at least
     * `bytes` (a multiple of FPHEAP_CHUNK) of readable and writable memory on
     * `node` (0 .. nodes - 1), aligned to `align` (FPHEAP_CHUNK) where that is
     * possible.  What is in it does not matter.  Give more where that costs
     * nothing, such as the rest of a hugepage: the heap uses every whole page,
     * and counts all of it against its limit.  If that exceeds the limit, the
     * heap hands the region back and asks once more.  A region that is not
     * aligned is used where it is; if it cannot serve the call, the heap hands
     * it back and asks once more for FPHEAP_CHUNK bytes extra.
     *
     * Returns 0, or a negative errno.  Then the heap asks for half, and so on
     * down to what the call needs.  If all of that fails, it takes back what is
     * parked, gives back free regions that are too short, and asks again; if
     * that fails too, so does the call, with this errno.  The next call that
     * needs memory asks again. */
    int (*get)(void *ctx, size_t bytes, size_t align, int node,
               fpheap_region *region);

    /* Take a region back.  NULL: regions stay with the heap, and are forgotten
     * when it ends.  Returns 0, or a negative errno; then the heap keeps using
     * the region. */
    int (*put)(void *ctx, const fpheap_region *region);

    /* The IOVA of the memory at `chunk`, which is a chunk's start or the start
     * of a region inside one.  IOVAs need be contiguous only up to the chunk's
     * end, so with this callback an object of up to a chunk lies in one.  Asked
     * once for each chunk of a region that get has filled in, before the heap
     * uses any of it.  NULL if there is none; then fpheap_iova returns
     * FPHEAP_BAD_IOVA. */
    uint64_t (*iova)(void *ctx, const void *chunk);

    void *ctx;                  /* passed to each call */

    unsigned flags;             /* FPHEAP_PARTS, FPHEAP_ZEROES, or 0 */

    /* Free what is behind this memory of the heap's, and keep the addresses:
     * the next write finds memory there again, with any content.  Asked by
     * fpheap_trim for pages that are free in chunks that are not, and for free
     * objects of 16 KiB and more, and by fpheap_zalloc for parts of an object
     * that have no memory, in regions with the backing FPHEAP_BACKING_PAGES.
     * The system's pages may be longer, and in use in part.  NULL: none. */
    void (*decommit)(void *ctx, void *base, size_t bytes);

    /* Put hugepages behind a chunk of the heap's, or take them away.  Asked
     * from slow paths: for memory that is being reserved; when the heap grows,
     * for chunks that have filled; in a large heap, for each new chunk of small
     * objects; and before a part of a chunk is decommitted.  Only in regions
     * with the backing FPHEAP_BACKING_PAGES.  Returns 1 if the chunk has or
     * will have hugepages, else 0.  NULL: none. */
    int (*huge)(void *ctx, void *chunk, size_t bytes, fpheap_huge what);
} fpheap_provider;

/* fpheap_provider.flags: put takes any part of what get gave that is whole
 * chunks, and region->base tells get where memory would be best, or is NULL.
 * The heap joins regions that are neighbours and differ in nothing else. */
#define FPHEAP_PARTS 1u

/* fpheap_provider.flags: what get gave and decommit freed is zero when the
 * system first puts memory behind it, so fpheap_zalloc need not write it. */
#define FPHEAP_ZEROES 2u

#define FPHEAP_BAD_IOVA UINT64_MAX

/* fpheap_config.flags */
#define FPHEAP_SPILL 1u /* a node without memory is served from the others */

/* Low and high water of a heap or a pool, for requests that wait for room.
 * Room is what may still be claimed: of the heap's limit, less the bytes of
 * objects live or parked (slabs and records take some beside); of the pool's
 * max.
 *
 * crossed is called with room 0 when it comes to `low` or less, or a call fails
 * though there is more; and then with 1 when `high` or more is there after some
 * thread has freed something: what failed may be tried again.  So 0 and 1
 * alternate, each crossing is told once, one after the other, as the last act
 * of a call, no hit, of a thread that made one.  It may use the heap, but end
 * neither it nor the pool: EBUSY.  What crosses meanwhile is told after it has
 * returned.  It must not wait for a lock under which any thread calls the heap.
 *
 * Hits are not seen.  While little is left, threads give back what they park at
 * their next miss, and then what they free at once.  So a free counts at the
 * latest when its thread has freed a magazine more, calls fpheap_flush or
 * exits; let `high` leave as much of the limit or max as idle threads may park.
 *
 * Cost: a hit, none; other calls on a heap with watermarks, one atomic and a
 * look at each pool that has some, and with the heap's own one more for each
 * claim, all on words that threads share; while little is left no call is a
 * hit. */
typedef struct fpheap_water {
    size_t low;                /* below high */
    size_t high;               /* up to the limit or max, which there must be */
    void (*crossed)(void *arg, fpheap *heap, fpheap_pool *pool, int room);
    void  *arg;                /* crossed NULL: none; pool NULL: the heap's */
} fpheap_water;

/* What fpheap_create makes.  Zero in a field selects its default. */
typedef struct fpheap_config {
    const fpheap_provider *provider;   /* copied; NULL: mmap */
    unsigned               nodes;      /* NUMA nodes, 1..FPHEAP_MAX_NODES; 0: 1,
                                          or with FPHEAP_USE_LIBNUMA and no
                                          thread_node all that exist */
    unsigned               flags;      /* FPHEAP_SPILL or 0 */
    size_t                 growth_max; /* largest step of growth in bytes, at
                                          least a chunk, of a child an
                                          eighth of one; 0: 1 GiB */
    size_t                 limit;      /* bytes from the provider at one time,
                                          at least two chunks; 0: no limit;
                                          see fpheap_set_limit */
    /* The calling thread's node, 0 .. nodes - 1; anything else means 0.  Called
     * when a thread makes its cache, and at each miss of a thread without one.
     * It may use the heap.  NULL: 0, or libnuma's answer. */
    int  (*thread_node)(void *ctx);
    void  *thread_node_ctx;
    /* Called for each region that comes, before it serves (leaving 0), and for
     * each that is to go back to the provider (leaving 1), from create to
     * destroy, so that a device can register the memory.  Like the provider, it
     * is called by any thread that needs, trims or ends memory, by several at
     * once, and may use the heap as long as that needs no new memory; but not
     * while the heap is made or destroyed.
     *
     * Returns 0, or a negative errno.  A region that it refuses goes back
     * without another call, and the heap goes on as if the provider had
     * returned that errno.  A region that it does not let go stays and serves;
     * when the heap ends, the answer does not matter.
     *
     * Of a region that it has accepted nothing is decommitted or replaced by
     * hugepages.  The region leaves once, even if the heap had no place for it
     * in its tables.  If the provider then does not take it, it comes again; if
     * it is refused then, nothing uses it.  It is not called for memory that
     * the heap cannot use, nor for what a forked child inherits.  NULL: none */
    int  (*watch)(void *ctx, const fpheap_region *region, int leaving);
    void  *watch_ctx;
    /* The heap is a child: its memory comes from the parent, in eighths of a
     * chunk and more, is live there, and goes back with the child's end.  It
     * counts as one of FPHEAP_MAX_HEAPS.  Not with provider; limit is two
     * eighths of a chunk at least; nodes are the parent's first ones; and the
     * parent is no heap of several processes.  A call on the parent that is
     * given a live object of a child finds the child, but for those that are
     * told the size or the cache.  NULL: none. */
    fpheap *parent;
    size_t  reserve;           /* bytes of the calling thread's node that the
                                  heap gets at once, touched, and keeps until
                                  its end */
    size_t  emergency;         /* bytes of objects that only
                                  fpheap_alloc_critical and its kin may have;
                                  the heap gets an eighth and a chunk more for
                                  them at once, as a child named "emergency",
                                  and keeps them */
    fpheap_water water;        /* of `limit` */
} fpheap_config;

/* Bytes and numbers of one heap.  While threads allocate, this is a snapshot in
 * which each figure is true of some moment; of a heap at rest it is exact:
 *
 *     region = live + parked + slab_free + page_free + waste + metadata
 *
 * This and the other structs of statistics begin with their size, and get more
 * members only at their end: see fpheap_stats_get_sized. */
typedef struct fpheap_stats {
    size_t   struct_bytes;     /* of this struct, that the heap has filled in */
    size_t   region_bytes;     /* obtained from the provider */
    size_t   live_bytes;       /* objects that the application holds, rounded
                                  up to their class or pages */
    size_t   requested_bytes;  /* those of live_bytes that were asked for; 0
                                  without FPHEAP_HEADER */
    size_t   parked_bytes;     /* objects in caches and depots */
    size_t   slab_free_bytes;  /* objects that are free in their slab */
    size_t   page_free_bytes;  /* pages in no slab */
    size_t   waste_bytes;      /* ends of slabs, what of regions is no whole
                                  page or cannot be used, and with FPHEAP_HEADER
                                  the pages in front of large objects */
    size_t   metadata_bytes;   /* the heap's own records, in whole pages, as
                                  far as they are in regions */
    size_t   live_objects;
    size_t   parked_objects;
    size_t   depot_bytes;      /* the part of parked_bytes that fpheap_trim and
                                  growth can take back */
    size_t   peak_region_bytes;
    size_t   backing_bytes[4]; /* region_bytes by fpheap_backing */
    unsigned regions;
    unsigned caches;           /* caches with an owner */
    uint64_t growths;          /* regions obtained, the first included */
    uint64_t growth_failures;  /* growths that failed */
    uint64_t growth_max_ns;    /* the longest after the first; 0 with
                                  FPHEAP_NO_OS */
    size_t   limit;            /* fpheap_set_limit; 0: none */
    uint64_t releases;         /* regions given back */
    uint64_t reclaims;         /* passes that took back parked objects, by
                                  growth and by fpheap_trim */
    size_t   record_bytes;     /* the heap's own records outside of regions, in
                                  the system's memory */
    uint64_t recovered_members; /* of a shared heap, that had died */
    uint64_t recovered_threads; /* of these; each may have lost a magazine of
                                  objects if there is no FPHEAP_HEADER */
    uint64_t recovered_objects; /* with FPHEAP_HEADER: that these had in their
                                  hands, or live and not to keep */
    size_t   child_bytes;      /* the part of live_bytes that children have;
                                  they are no objects */
    unsigned children;         /* emergency included */
    size_t   emergency_bytes;  /* that fpheap_alloc_critical may have now */
} fpheap_stats;

/* Numbers of one class, all nodes together. */
typedef struct fpheap_class_stats {
    size_t   struct_bytes;     /* as fpheap_stats.struct_bytes */
    size_t   size;             /* bytes of an object */
    size_t   slabs;
    size_t   live_objects;
    size_t   parked_objects;
    size_t   free_objects;
    unsigned magazine;         /* objects in a full magazine */
} fpheap_class_stats;

/* One that has memory of the heap, see fpheap_holders. */
typedef enum fpheap_holder_kind {
    FPHEAP_HOLDER_SIZE,        /* objects of one size */
    FPHEAP_HOLDER_POOL,
    FPHEAP_HOLDER_TAG,
    FPHEAP_HOLDER_CHILD
} fpheap_holder_kind;

typedef struct fpheap_holder {
    fpheap_holder_kind kind;
    char   name[FPHEAP_NAME_BYTES]; /* of the pool or child; or empty */
    size_t size;               /* bytes of an object, 0: above 8 pages; or the
                                  tag */
    size_t objects;            /* of a child 0 */
    size_t bytes;
} fpheap_holder;

/* fpheap_pool_desc.flags */
#define FPHEAP_ON_NODE       1u /* all objects from `node`; else each from the
                                   node of the thread that gets it */
#define FPHEAP_TYPE_STABLE   2u /* its memory serves nothing else while the pool
                                   lives: a stale pointer still meets an object
                                   of the pool, constructed */
#define FPHEAP_PAGE_ISOLATED 4u /* whole pages, as every pool's are */
#define FPHEAP_SCRATCH       8u /* contents need not stay from put to get, so
                                   FPHEAP_CHECK 2 may fill free objects and
                                   FPHEAP_TOOL may forbid their use; not with
                                   constructors or destruct */

/* What fpheap_pool_create makes.  With only name and size set, it is a pool of
 * any number of objects without a constructor. */
typedef struct fpheap_pool_desc {
    const char *name;          /* 1 .. FPHEAP_NAME_BYTES - 1 characters, copied;
                                  no other pool of the heap has it */
    size_t      size;          /* bytes of an object, 1 .. FPHEAP_POOL_SIZE_MAX;
                                  taken as at least 16, and rounded up only to
                                  its alignment */
    size_t      align;         /* a power of two up to FPHEAP_PAGE; 0: 16; at
                                  least 8 with FPHEAP_HEADER, 16 with
                                  FPHEAP_CHECK */
    /* Called once for each object when its slab is made.  Returns 0, or a
     * negative errno, which the call that needed the slab returns: the objects
     * before it were destructed and nothing is lost.  NULL: none. */
    int       (*construct)(void *arg, void *object);
    /* Called once for each object when its slab is given up, by any thread that
     * trims or destroys, and within any allocation of any thread, of whatever
     * size, that finds no memory: so it must not wait for a lock under which
     * any thread allocates.  NULL: none. */
    void      (*destruct)(void *arg, void *object);
    void       *arg;           /* for all of them; may be NULL */
    size_t      max;           /* of objects live or parked, up to UINT32_MAX;
                                  0: UINT32_MAX */
    size_t      min;           /* objects made ahead and kept until destroy */
    unsigned    magazine;      /* objects in a magazine, 2 .. FPHEAP_MAGAZINE; a
                                  thread parks two at most.  0: chosen by size,
                                  and at most a 16th of max, or of what is
                                  between its watermarks, but 2 at least */
    unsigned    channels;      /* of memory, 0 .. 1024: objects begin on
                                  different channels; 0: unknown */
    unsigned    ranks;         /* per channel, 0 .. 1024; 0: 1 */
    int         node;          /* 0 .. nodes - 1, with FPHEAP_ON_NODE */
    size_t      private_bytes; /* up to half a chunk, see fpheap_pool_private */
    unsigned    tag;           /* with FPHEAP_HEADER: the tag of each object
                                  that is got, */
    unsigned    destructor;    /* and its destructor; 0: none */
    unsigned    flags;         /* FPHEAP_ON_NODE ... */
    /* In place of construct: it is also given the pool, whose private area can
     * be used, and the object's index, as a mempool's obj_init is.  The index
     * counts what was constructed in the pool's life: 0, 1, 2 ..., by one
     * thread in this order, and none twice.  The indices of a slab in which a
     * constructor failed are left out, and an object that was destructed gets a
     * new one when it is made again: only with FPHEAP_TYPE_STABLE, and without
     * failures, are all below fpheap_pool_stats.objects. */
    int       (*construct_nth)(fpheap_pool *pool, void *arg, void *object,
                               size_t nth);
    fpheap_water water;        /* of `max`; not of a pool that several processes
                                  share */
} fpheap_pool_desc;

/* The largest object of a pool. */
#define FPHEAP_POOL_SIZE_MAX \
    (FPHEAP_CHUNK - (FPHEAP_HEADER ? FPHEAP_PAGE : 0))

/* Numbers of one pool, all nodes together.
 *
 *     objects = live + parked + free,  claimed = live + parked <= max   */
typedef struct fpheap_pool_stats {
    size_t   struct_bytes;     /* as fpheap_stats.struct_bytes */
    size_t   size;             /* bytes from one object to the next, its header
                                  included */
    size_t   max;
    size_t   min;
    size_t   objects;          /* constructed */
    size_t   claimed_objects;  /* out of their slabs */
    size_t   live_objects;
    size_t   parked_objects;
    size_t   free_objects;
    size_t   slabs;
    unsigned magazine;         /* objects in a full magazine */
} fpheap_pool_stats;

/* Which objects fpheap_pool_for_each shows. */
typedef enum fpheap_which { FPHEAP_ALL, FPHEAP_LIVE } fpheap_which;

/* A moment in a group's life, fpheap_group_mark; not to be looked into. */
typedef struct fpheap_mark {
    const fpheap_group *group;
    char               *at;
    char               *end;
    struct fph_piece   *pieces;
    struct fph_ending  *endings;
} fpheap_mark;

/* One live object, as fpheap_walk shows it. */
typedef struct fpheap_object {
    void  *base;
    size_t bytes;              /* usable */
    int    node;
} fpheap_object;

/* --- read by the inline fast path; not for the application ---------------- */

#define FPH_CLASS_BASE   (4 + FPHEAP_CLASS_BITS) /* below 1 << it: 16 B steps */
#define FPH_CLASS_TOP    (FPHEAP_PAGE_SHIFT + 3) /* largest class: 8 pages */
#define FPH_CLASS_MAX    ((size_t)1 << FPH_CLASS_TOP)
#define FPH_SLACK        (FPHEAP_CHECK > 1) /* least bytes behind an object */
#define FPH_SIZED_MAX    (FPH_CLASS_MAX - FPH_HEAD - FPH_SLACK)
#define FPH_SIZES        (1 + ((FPH_CLASS_TOP - FPH_CLASS_BASE + 1) \
                               << FPHEAP_CLASS_BITS))
#define FPH_CLASSES      (FPH_SIZES + FPHEAP_MAX_POOLS)
#define FPH_BINS         (FPHEAP_MAX_NODES * FPH_CLASSES)
FPH_REQUIRE(FPH_BINS <= 16384, /* a page's bin is a number of 14 bits */
            "FPHEAP_MAX_NODES times FPHEAP_MAX_POOLS is too large");

#define FPH_CHUNK_MASK   (FPHEAP_CHUNK - 1)
#define FPH_PAGE_BITS    (FPHEAP_CHUNK_SHIFT - FPHEAP_PAGE_SHIFT)

#if FPHEAP_NO_THREADS
#  define FPH_TLS
#elif FPHEAP_TLS_MODEL && defined(__PIC__) && !defined(__PIE__)
#  define FPH_TLS __thread __attribute__((tls_model("initial-exec")))
#else
#  define FPH_TLS __thread
#endif
#define FPH_LIKELY(x)   __builtin_expect(!!(x), 1)
#define FPH_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define FPH_UNUSED      __attribute__((unused))
#define FPH_NOINLINE    __attribute__((noinline))
#define FPH_ALWAYS      inline __attribute__((always_inline, unused))

/* In C++ inline functions have external linkage, as a module can export no
 * others. */
#if FPHEAP_NO_INLINE
#  define FPH_PUBLIC FPHEAP_API
#elif defined(__cplusplus) && !defined(FPHEAP_STATIC)
#  define FPH_INLINE FPH_ALWAYS
#  define FPH_PUBLIC FPHEAP_API FPH_ALWAYS
#else
#  define FPH_INLINE static FPH_ALWAYS
#  define FPH_PUBLIC FPH_INLINE
#endif

/* What clang, where it has -Wfunction-effects, is told of functions that can
 * hit: those that are marked so may call them.  Only a miss does not keep to
 * it, as it may wait or call the provider; after fpheap_prefill there is
 * none. */
#if __has_attribute(nonblocking)
#  define FPHEAP_NONBLOCKING __attribute__((nonblocking, nothrow))
#else
#  define FPHEAP_NONBLOCKING
#endif
#define FPH_NOWAIT FPH_PUBLIC FPHEAP_NONBLOCKING

typedef struct fph_magazine  fph_magazine;
typedef struct fph_slab      fph_slab;
typedef struct fph_state     fph_state;
typedef struct fph_partition fph_partition;
typedef struct fph_view      fph_view;

/* 64-bit words are atomic only where they are aligned, which i386 does not
 * ensure by itself. */
typedef uint64_t fph_word __attribute__((aligned(8)));

/* What is in front of each object with FPHEAP_HEADER.  Whoever allocates writes
 * it, whoever has a reference reads it; refs is 0 in an object not live. */
typedef struct fph_head {
    uint64_t about;            /* tag : 8 | destructor : 8 | flags : 8 | bytes
                                  requested : 40; one word, as a free reads both
                                  ends of it */
    union {
        uint32_t refs;         /* atomic */
        uint32_t half[2];      /* refs, and a shared heap's owner, SHARED */
        fph_word both;
    } hold;
} fph_head;

/* Where they are in `about`; objects are shorter than FPH_HEAD_MAX. */
#define FPH_HEAD_MAX        ((uint64_t)1 << 40)
#define FPH_HEAD_FLAGS      40 /* the application's */
#define FPH_HEAD_DESTRUCTOR 48 /* its number; 0: none */
#define FPH_HEAD_TAG        56

#define FPH_HEAD (FPHEAP_HEADER ? sizeof(fph_head) : 0)
#define FPH_TAGS (FPHEAP_HEADER ? FPHEAP_TAGS : 0)

/* Objects and bytes that a thread has allocated with a tag, less those that it
 * has freed: the sum over all threads is what is live. */
typedef struct fph_tally {
    size_t objects;            /* atomic, written by the owner */
    size_t bytes;              /* the same */
} fph_tally;

/*
 * One bin of one cache.  The loaded magazine's slots lie between base and
 * limit; those below top hold objects, and next is the top one once more:
 *
 *              base                      top                 limit
 *              v                         v                   v
 *     | NULL | obj | obj | ... | next |       |     ...     |
 *
 * Only next and top change on a hit.  An allocation returns next, which it has
 * at once, and loads its successor meanwhile; below the first slot lies a NULL,
 * so next is NULL exactly when the bin is empty.  (An object freed and then
 * allocated again does not go through the slot, which takes a third off the
 * pair; "make bench", row pair_unsized.)  A bin of zeros is empty (next ==
 * NULL) and full (top == limit), so a thread that has no cache yet takes the
 * miss path with no test of its own.
 *
 * Only the owner writes, and it reads plainly what it wrote; other threads read
 * top, base and limit for statistics, hence its relaxed stores.
 */
typedef struct fph_bin {
    void  *next;               /* owner only */
    void **top;
    void **base;
    void **limit;
} __attribute__((aligned(4 * sizeof(void *)))) fph_bin; /* in one line */

/* A thread's bins of one heap: all of them, and those of its node. */
typedef struct fph_entry {
    fph_bin *bins;
    fph_bin *local;
} fph_entry;

#if FPH_WATCHED
/* Whether a live object starts in 16 bytes, DEBUG: 0, no; 1 + its class; or
 * FPH_FILLED, a free one that is filled. */
#  if FPH_CLASSES < 254
typedef uint8_t fph_mark;
#  else
typedef uint16_t fph_mark;
#  endif
#  define FPH_FILLED (FPHEAP_CHECK > 1 ? (fph_mark)-1 : (fph_mark)0)

/* The marks of a chunk: for each 16 bytes what the settings need, in 64 rows of
 * an odd number of lines, as rows that are a power of two apart would push each
 * other out of a cache. */
#  define FPH_MARK_ROW (FPHEAP_CHUNK / 1024 | 64 / sizeof(fph_mark))
#  define FPH_MARKS(needed) ((needed) ? 64 * FPH_MARK_ROW : 1)
#  define FPH_KNOWN (FPHEAP_CHECK ? 4096 : 1) /* chunks that a look finds */

/* No object is at a multiple of 16 from it: the chunk is none. */
#define FPH_NO_BASE ((char *)1)

typedef struct fph_life {
    char    *base;             /* atomic; the chunk's; or FPH_NO_BASE */
    fph_mark mark[FPH_MARKS(FPHEAP_CHECK)];      /* atomic */
    uint32_t slack[FPH_MARKS(FPHEAP_CHECK > 1)]; /* bytes behind a live
                                                    object's; or 0 */
    uint16_t site[FPH_MARKS(FPHEAP_SITES)];      /* in heap->sites, of an
                                                    object's last life */
} fph_life;
#endif

#if FPHEAP_SITES
/* A place that allocates, and what of its objects is live; all atomic. */
typedef struct fph_site_tally {
    fph_word at;               /* "FILE:LINE", a string that stays; 0: none */
    fph_word objects;
    fph_word bytes;
} fph_site_tally;

#  define FPH_SITE_MAX 1024    /* the first is for all that find no room */
#endif

/* The handle of a heap in this process. */
struct fpheap {
    uint64_t        lookup;    /* mask of the pages' numbers : 32 | byte offset
                                  in fph_table : 32; one word, since loads are
                                  what a free costs; first with all settings,
                                  as another copy may read it */
    const uint16_t *map;       /* PAGES: of each page of the window, the place
                                  of its slab's bin */
    unsigned        bins;      /* nodes * FPH_CLASSES */
    size_t          sized_max; /* the largest size that has a class; 0 on a heap
                                  of several nodes */
    unsigned        nodes;
    unsigned        flags;
    fph_state      *state;     /* NULL: no heap */
#if FPHEAP_HEADER
    fph_word        mine;      /* fph_head.hold.both of what it frees */
#endif
#if FPHEAP_SHARED
    fph_partition  *partition; /* NULL: the heap is this process's alone */
    int             file;      /* of the partition, */
    size_t          start;     /* and where in it that begins */
    size_t          bytes;
    unsigned        member;    /* the process's number among its members */
    fph_view       *view;      /* of the partition */
    int             mapped;    /* 1: its memory is not the heap's to unmap */
    void          (*recover)(fpheap *heap);
    uint64_t      (*iova)(void *ctx, const void *chunk);
    void           *iova_ctx;
    fpheap_pool    *pools;     /* the process's handles, by number */
    fph_word       *taken;     /* in the partition, the bytes of the objects
                                  that it has taken from slabs and depots, less
                                  those that it has given back */
#endif
#if FPH_WATCHED
    fph_life       *known[FPH_KNOWN]; /* atomic; by the number of the chunk */
#endif
#if FPHEAP_SITES
    fph_site_tally  sites[FPH_SITE_MAX];
#endif
    fpheap_provider provider;
    size_t          growth_max;
    int           (*thread_node)(void *ctx);
    void           *thread_node_ctx;
    char            name[FPHEAP_NAME_BYTES];
    int           (*watch)(void *ctx, const fpheap_region *region, int leaving);
    void           *watch_ctx;
    unsigned        unit;      /* pages that it asks its provider for, or a
                                  multiple */
    fpheap         *parent;    /* NULL: it is no child */
    size_t          reserve;   /* bytes that stay */
    fpheap         *emergency; /* the child for critical objects, or NULL */
    int             critical;  /* 1: it is one: no thread has a cache of it */
    fph_word        critical_left; /* bytes; atomic */
    unsigned        counted;   /* atomic; 1: calls begin and end, CALL, as the
                                  heap is shared or has watermarks */
};

/* A pool: the class FPH_SIZES + its number.  When it ends, its record stays for
 * the next pool of that number. */
struct fpheap_pool {
    /* read by the inline fast path */
    size_t   entry;            /* bytes into fph_table, to the address of the
                                  bins that offset counts from */
    size_t   offset;           /* bytes from there to the bin of its class */
    unsigned one_bin;          /* 1: objects go back to the bin at offset */
    unsigned tag;
    unsigned destructor;
    size_t   requested;        /* bytes, as desc.size */
    fpheap  *heap;
    /* written by fpheap_pool_create */
    fpheap_pool *record;       /* what counts for all processes: itself, but of
                                  a heap that several share */
    unsigned number;
    unsigned flags;            /* atomic, as keeps */
    unsigned keeps;            /* empty slabs, as it is type-stable or has a
                                  min; atomic, as a thread may look when it has
                                  lost its slab, or in a pass */
    int      node;             /* or FPHEAP_ANY_NODE */
    int    (*construct)(void *arg, void *object);
    void   (*destruct)(void *arg, void *object);
    void    *arg;
    size_t   min;              /* atomic, as keeps */
    char    *private_area;
    size_t   private_bytes;
    size_t   private_room;     /* bytes that it has */
    /* atomic, POOL */
    fph_word name[FPHEAP_NAME_BYTES / 8];
    fph_word ending;           /* 1 while fpheap_pool_destroy holds all of it */
    fph_word objects;
    fph_word slabs;
    fph_word quota;            /* max << 32 | claimed */
    int    (*construct_nth)(fpheap_pool *pool, void *arg, void *object,
                            size_t nth);
    fph_word nth;              /* the next object's */
    unsigned constructs;       /* 1: a slab is made only where the pool's */
    unsigned destructs;        /* constructor is known, and ends only where its
                                  destructor is; a record's */
    uint64_t version;          /* of pool_is, whose handle it is */
    fpheap_pool *emergency;    /* the pool of heap->emergency that has its
                                  critical objects, or NULL */
    fpheap_pool *front;        /* of such a pool, whose objects it has */
};

/* A group is the head of its first piece. */
struct fpheap_group {
    char              *at;     /* of the piece in use: the first byte not cut */
    char              *end;    /* and the end; multiples of 16 */
    fpheap            *heap;
    struct fph_piece  *pieces; /* but the first; the newest first */
    struct fph_ending *endings; /* the newest first */
    fpheap_group      *self;   /* with FPHEAP_CHECK, until it ends */
} __attribute__((aligned(16)));

#define FPH_PIECE_FIRST ((size_t)4096)
#define FPH_PIECE(n)    ((n) - FPH_HEAD - FPH_SLACK) /* of a piece of n bytes */

struct fpheap_cache {
    fpheap  *heap;
    fph_bin *local;            /* bins + node * FPH_CLASSES */
    int      node;
    unsigned looked;           /* the class at which fph_idle_flush did last */
    fph_entry *entry;          /* of its thread; NULL: it has none; atomic */
    uint64_t asked;            /* the state's, when it last followed that,
                                  GROWTH */
    fph_slab *large;           /* of the large object parked here; or NULL */
    fph_magazine **spare;      /* per bin, behind bins; NULL: none */
    uint8_t *fills;            /* per bin, behind fph_bin_small's: fph_bin_fill,
                                  or what it keeps, H17; atomic, as
                                  fpheap_pool_destroy stores 0 as well, H4 */
#if FPHEAP_HEADER
    fph_tally tallies[FPHEAP_TAGS];
#endif
    fph_bin  bins[1];          /* heap->bins of them */
};

/* [API] ====================================================================
 *
 * Each comment says what the function takes and returns, its errors, which
 * threads may call it, whether it blocks, and its cost at most, failure
 * included.  Where a function is described as another with a difference, the
 * rest is as for that one.  Otherwise, where nothing is said:
 *
 * Returns  0, of an int.
 * Threads  Any, at any time.
 * Blocks   Never: it waits for no thread, and does not call the provider.
 * Cost     O(1).
 */

/* fpheap_create - make a heap
 *
 * name    up to FPHEAP_NAME_BYTES - 1 characters for people to read, copied;
 *         NULL is "heap".  Two heaps may have the same name.
 * config  copied; NULL or all zero for the defaults
 *
 * Takes a first region of two chunks from the provider.  The heap's tables and
 * records lie apart, in the system's memory; with FPHEAP_NO_OS, and where the
 * system has none, in regions.
 *
 * Returns  the heap, which the caller gives back to fpheap_destroy.
 * Errors   NULL and errno: EINVAL (nodes above FPHEAP_MAX_NODES, unknown flags,
 *          growth_max below a chunk, limit below two, a provider without get,
 *          watermarks without a limit or out of range, or what config.parent
 *          cannot have), ENAMETOOLONG, ENFILE, EFAULT, ENOSPC (the provider
 *          gave more than the limit), ENOMEM (nodes times pools are too many
 *          for the chunk's size), or what the provider returned.
 * Blocks   Calls the provider.
 * Cost     One provider call and a first touch of about 40 KiB, and of 30 more
 *          at the first allocation; of a child, too, for which the parent
 *          gives a quarter of a chunk.  Reserved hugepages are touched as a
 *          whole. */
FPHEAP_API fpheap *fpheap_create(const char *name, const fpheap_config *config);

/* fpheap_destroy - give everything back to the provider
 *
 * Objects parked in caches, this thread's or others', are not live; children
 * are.  The end of a child gives its memory back to its parent.  Pools end with
 * the heap, and their destructors are called; but what their constructors took
 * from the heap is live, so destroy such pools first.  A region that the
 * provider does not take is forgotten.
 *
 * Destroy the heap while the provider's memory still exists: with DPDK, before
 * rte_eal_cleanup.  Threads that have used the heap may exit before the destroy
 * or after it.  If the memory goes without a destroy, a later destroy touches
 * what is not there, and so does each such thread when it exits.
 *
 * Returns  0, or -EBUSY while objects are live, or in a callback of the heap:
 *          then nothing has changed.  With FPHEAP_SITES live ones are reported.
 * Threads  No other call on this heap may run.  Thread exit may.
 * Blocks   Waits for threads that are leaving the heap at that moment, keeps
 *          others from exiting while it counts, and calls the provider.
 * Cost     That of fpheap_stats_get; if no object is live, also that of the
 *          pools' destructors, and a provider call per region. */
FPHEAP_API int fpheap_destroy(fpheap *heap);

/* fpheap_destroy_forced - fpheap_destroy that ends live objects, and children,
 * with the heap
 *
 * Returns  0, or -EBUSY in a callback of the heap or of a child.
 * Cost     Live objects cost nothing, but for the pools' destructors. */
FPHEAP_API int fpheap_destroy_forced(fpheap *heap);

/* fpheap_alloc - an object of at least size bytes
 *
 * size    bytes; 0 gives the smallest object; FPHEAP_CHUNK_SHIFT has the
 *         largest
 *
 * Aligned to the largest power of two that divides its class: at least 16, and
 * for a power of two the size itself, up to a page; above 8 pages, to a page.
 * (With FPHEAP_HEADER the class is that of size + 16, and above 8 pages there
 * is a page in front.)  The contents are indeterminate: what the last owner or
 * the provider left.
 *
 * Returns  the object; the caller frees it with any of the free functions.
 * Errors   NULL and errno ENOMEM, ENOSPC, EFAULT, EDEADLK, or what the provider
 *          returned.
 * Blocks   When it needs new memory, it calls the provider, and may wait for
 *          another thread: see THREADS.  A hit or an exchange never does.
 * Cost     Hit: 5 loads, 2 stores, 2 branches.  Exchange: one magazine for
 *          another.  Claim: one atomic per 64 objects, and up to five per slab;
 *          and one for each object of a magazine of another size, which this
 *          thread no longer uses.
 *          The first miss after another thread's pass: also that of
 *          fpheap_flush.  Above 8 pages: the object of that size that this
 *          thread freed last, or a search of the page maps, one word per 64
 *          chunks and one per chunk that may fit.  Growth: that search, which
 *          every slab takes too, one call to the provider, and first a pass
 *          where a chunk or more is parked.  A pass: O(bins + slabs + objects
 *          parked).  Failure: that of growth, a pass, and O(chunks) for what
 *          could be given back; and again while others move free memory, three
 *          times at most.  A call that fails again with nothing freed since:
 *          O(bins + chunks), 3 us in a heap of 1 GiB, and the provider's call;
 *          it asks other threads for what they park once a millisecond at
 *          most. */
FPH_NOWAIT void *fpheap_alloc(fpheap *heap, size_t size);

/* fpheap_free - give an object back
 *
 * object  from any thread and any function of this heap, or of its children,
 *         for which it takes longer; NULL does nothing
 *
 * Errors   None.  FPHEAP_PANIC where a slow path finds that it is not a live
 *          object.
 * Cost     Hit: 6 loads, 3 stores, 3 branches; the object is not touched.
 *          Exchange: one magazine for another, or a new one, for whose block
 *          the system is asked while all take less than a 32nd of the heap's
 *          memory.  With no magazine left: its objects go back to their slabs,
 *          one atomic for each that is not a neighbour of the last.  The first
 *          miss after another thread's pass: also that of fpheap_flush.  Above
 *          8 pages: one atomic, and what this thread freed before goes back to
 *          its pages' map. */
FPH_NOWAIT void fpheap_free(fpheap *heap, void *object);

/* fpheap_free_sized - fpheap_free, told the size
 *
 * size    as given to fpheap_alloc, _zalloc, _calloc (the product), _alloc_on,
 *         _alloc_bulk, _alloc_burst or the last fpheap_realloc; not for objects
 *         that fpheap_aligned_alloc or _aligned_realloc made, nor for a pool's,
 *         a child's or critical ones
 *
 * With one node it needs no look at the page map. */
FPH_NOWAIT void fpheap_free_sized(fpheap *heap, void *object, size_t size);

/* fpheap_alloc_bulk - n objects of at least size bytes each, or none
 *
 * objects  array of n pointers, written on success only
 * n        number of objects; 0 succeeds and does nothing
 *
 * Errors   As fpheap_alloc's.  Nothing was taken, but while the call ran,
 *          others could not have what it had gathered.
 * Blocks   As fpheap_alloc.
 * Cost     Hit: n loads and stores.  Miss: whole magazines, then O(n).
 *          Failure: that, giving back what was gathered, and fpheap_alloc's. */
FPH_NOWAIT int fpheap_alloc_bulk(fpheap *heap, size_t size, void **objects,
                                 unsigned n);

/* fpheap_free_bulk_sized - fpheap_free_sized of n objects of one size
 *
 * objects  n pointers; NULLs are skipped
 *
 * Cost     Hit: n loads and stores.  Else n times that of fpheap_free. */
FPH_NOWAIT void fpheap_free_bulk_sized(fpheap *heap, void *const *objects,
                                       unsigned n, size_t size);

/* fpheap_free_bulk - fpheap_free of n objects of any sizes
 *
 * objects  n pointers; NULLs are skipped
 *
 * Cost     n times that of fpheap_free. */
FPHEAP_API void fpheap_free_bulk(fpheap *heap, void *const *objects,
                                 unsigned n);

/* fpheap_alloc_burst - fpheap_alloc_bulk of as many as there are, n at most
 *
 * Returns  how many; objects[] is written that far.  If fewer than n, errno is
 *          set.
 * Cost     If fewer than n, also n times that of fpheap_alloc, and two failures
 *          instead of one.  All of it waits as one call does. */
FPHEAP_API unsigned fpheap_alloc_burst(fpheap *heap, size_t size,
                                       void **objects, unsigned n);

/* fpheap_alloc_critical, fpheap_alloc_critical_bulk - fpheap_alloc and _bulk
 * that may take what config.emergency has set aside, when all else is refused
 *
 * Any thread gets all of it: emergency bytes of objects, each counted as its
 * class or pages, of up to 16 sizes of at most 4 KiB; of more, or larger, it
 * may be less.  A critical object that is freed serves the next such call, and
 * no other.  It is freed with the same heap, but not with fpheap_free_sized or
 * _bulk_sized; fpheap_realloc makes it one like others.
 *
 * Errors   As fpheap_alloc of a heap without emergency; else ENOMEM: that is
 *          used up.
 * Cost     Critical, that of a failure and of a claim from a slab.  To free it,
 *          an atomic or two. */
FPHEAP_API void *fpheap_alloc_critical(fpheap *heap, size_t size);
FPHEAP_API int   fpheap_alloc_critical_bulk(fpheap *heap, size_t size,
                                            void **objects, unsigned n);

/* fpheap_zalloc, fpheap_calloc - fpheap_alloc with all usable bytes zeroed
 *
 * Errors   Also ENOMEM when n * size overflows.
 * Cost     That of fpheap_alloc and of memset.  What has no memory of the
 *          system's yet is not written, in objects of FPHEAP_CHUNK / 16 and
 *          more, if the provider has decommit and FPHEAP_ZEROES and there is
 *          no watcher. */
FPHEAP_API void *fpheap_zalloc(fpheap *heap, size_t size);
FPHEAP_API void *fpheap_calloc(fpheap *heap, size_t n, size_t size);

/* fpheap_aligned_alloc - fpheap_alloc with a stronger alignment
 *
 * align   a power of two, 1 .. FPHEAP_CHUNK
 *
 * Errors   Also EINVAL: align is out of range.
 * Cost     For align up to a page, as fpheap_alloc plus a search for a class
 *          that is a multiple of it; above, as an object above 8 pages. */
FPHEAP_API void *fpheap_aligned_alloc(fpheap *heap, size_t align, size_t size);

/* fpheap_alloc_on - fpheap_alloc from one node's memory
 *
 * node    0 .. nodes - 1, or FPHEAP_ANY_NODE for the calling thread's
 *
 * Errors   Also EINVAL: no such node.  FPHEAP_SPILL applies to FPHEAP_ANY_NODE
 *          only. */
FPHEAP_API void *fpheap_alloc_on(fpheap *heap, size_t size, int node);

/* fpheap_realloc - change an object's size, in place where it fits
 *
 * object  with one reference if it has a header; NULL allocates
 * size    bytes; 0 gives the smallest object and frees nothing
 *
 * An object stays in place while the size keeps its class; a pool's object,
 * while it fits.  One above 8 pages takes the pages behind it if they are free,
 * or if a provider with FPHEAP_PARTS has them.  It moves if not, or if it would
 * need at most half of what it has.  One that grows, moved or not, gets an
 * eighth and a page more than it asks for where that can be had (1 GiB at most;
 * fpheap_usable_size tells), so that small steps seldom copy it.  One that
 * shrinks gives back what it does not need, unless that is less than this
 * extra.
 *
 * Returns  the object, moved or not, with the first min(old, new) bytes kept.
 * Errors   As fpheap_alloc; the old object is untouched.
 * Blocks, Cost  If it moves, as fpheap_alloc, fpheap_base_of, a copy and
 *          fpheap_free. */
FPHEAP_API void *fpheap_realloc(fpheap *heap, void *object, size_t size);

/* fpheap_aligned_realloc - fpheap_realloc with a stronger alignment
 *
 * object  aligned to anything
 * align   of what is returned, a power of two, 1 .. FPHEAP_CHUNK
 *
 * An object moves, too, if it is not aligned so.  Its class is the one that
 * fpheap_aligned_alloc would choose.
 *
 * Errors   Also EINVAL: align is out of range; the old object is untouched. */
FPHEAP_API void *fpheap_aligned_realloc(fpheap *heap, void *object,
                                        size_t align, size_t size);

/* fpheap_usable_size - how many bytes of an object may be used
 *
 * object  live; for NULL it is 0
 *
 * Cost     6 loads. */
FPHEAP_API size_t fpheap_usable_size(fpheap *heap, const void *object);

/* fpheap_base_of - the start of the object that a pointer points into
 *
 * interior  any pointer at all
 *
 * Returns  the object's first byte, whether it is live or free in its slab;
 *          NULL if the pointer is not into an object of this heap, as one of a
 *          child is not. */
FPHEAP_API void *fpheap_base_of(fpheap *heap, const void *interior);

/* fpheap_owns - whether fpheap_base_of finds an object: 1 or 0 */
FPHEAP_API int fpheap_owns(fpheap *heap, const void *pointer);

/* fpheap_iova - the IOVA of a byte of a live object
 *
 * object  any byte of it; the IOVAs of an object above a chunk need not be
 *         contiguous from chunk to chunk
 *
 * Returns  the IOVA, or FPHEAP_BAD_IOVA if the provider has none.
 * Cost     4 loads; the provider was asked when the region came. */
FPHEAP_API uint64_t fpheap_iova(fpheap *heap, const void *object);

/* fpheap_self - the calling thread's cache, for loops that want to keep it
 *
 * The cache belongs to this thread alone until the thread exits or calls
 * fpheap_thread_leave, or the heap is destroyed.  The functions below are those
 * above without the look-up of the cache.
 *
 * Returns  the cache
 * Errors   NULL and errno: ENOMEM, or EAGAIN when FPHEAP_MAX_THREADS threads
 *          have caches, the system has no thread-local key left, or the thread
 *          is exiting.
 * Blocks   The first time, as fpheap_alloc.
 * Cost     O(1); the first time O(bins); failure, as fpheap_alloc. */
FPHEAP_API fpheap_cache *fpheap_self(fpheap *heap);

FPH_NOWAIT void *fpheap_cache_alloc(fpheap_cache *cache, size_t size);
FPH_NOWAIT void  fpheap_cache_free(fpheap_cache *cache, void *object);
FPH_NOWAIT void  fpheap_cache_free_sized(fpheap_cache *cache, void *object,
                                         size_t size);
FPH_NOWAIT int   fpheap_cache_alloc_bulk(fpheap_cache *cache, size_t size,
                                         void **objects, unsigned n);
FPH_NOWAIT void  fpheap_cache_free_bulk_sized(fpheap_cache *cache,
                                              void *const *objects, unsigned n,
                                              size_t size);

/* fpheap_pool_create - a pool of objects of one type
 *
 * desc    copied
 *
 * Its objects are the heap's like any other: fpheap_free, fpheap_free_bulk,
 * fpheap_usable_size, fpheap_base_of and fpheap_iova know them, and the memory
 * of slabs that the pool has given up serves every size.  An object keeps all
 * its bytes from put to get.
 *
 * Constructor and destructor may use the heap, but may end neither it nor their
 * own pool: EBUSY.  A constructor that gets objects of its own pool is called
 * for these too: EDEADLK when the calls are nested eight deep.
 *
 * Returns  the pool, which the caller gives to fpheap_pool_destroy, or which
 *          fpheap_destroy ends.
 * Errors   NULL and errno: EINVAL (size, align, channels, ranks, max, min,
 *          magazine, node, private_bytes or flags out of range; min above max;
 *          channels with an alignment above 64, or that make the object too
 *          large; watermarks without a max or out of range; FPHEAP_SCRATCH with
 *          a constructor or destructor; two constructors; no name; with
 *          FPHEAP_HEADER no such tag or destructor), ENOTSUP, ENAMETOOLONG,
 *          EEXIST (a pool has the name), ENFILE (FPHEAP_MAX_POOLS pools),
 *          ENOSPC (the heap's limit), or as fpheap_alloc for min objects, or
 *          what the constructor returned.
 * Blocks   As fpheap_alloc.
 * Cost     O(FPHEAP_MAX_POOLS) and that of min objects; failure, also that of
 *          giving them back. */
FPHEAP_API fpheap_pool *fpheap_pool_create(fpheap *heap,
                                           const fpheap_pool_desc *desc);

/* fpheap_pool_destroy - destruct all objects and give their memory to the heap
 *
 * live    written if it is not NULL: the number of live objects
 *
 * Objects that other threads park are taken from their caches.
 *
 * Returns  0, or -EBUSY: objects are live, or (if *live is 0) another thread is
 *          moving objects or memory of the pool (or was when the process
 *          forked); then the pool goes on as it was.
 * Threads  No other call on this pool, and no free of its objects, may run;
 *          others on the heap may.
 * Blocks   Waits while another thread moves the pool's parked objects, for
 *          FPHEAP_GROWTH_WAIT_MS at most.
 * Cost     O(objects + caches). */
FPHEAP_API int fpheap_pool_destroy(fpheap_pool *pool, size_t *live);

/* fpheap_pool_lookup - the pool of a name
 *
 * Returns  the pool, or NULL and errno ENOENT.
 * Cost     O(FPHEAP_MAX_POOLS). */
FPHEAP_API fpheap_pool *fpheap_pool_lookup(fpheap *heap, const char *name);

/* fpheap_pool_get - fpheap_alloc of an object of the pool
 *
 * Errors   NULL and errno: ENOSPC (the pool's max is claimed, or the heap's
 *          limit is reached), ENOMEM and the others of fpheap_alloc, or what
 *          the constructor returned. */
FPH_NOWAIT void *fpheap_pool_get(fpheap_pool *pool);

/* fpheap_pool_put - fpheap_free of an object of the pool
 *
 * object  of this pool; NULL does nothing
 *
 * With one node, or FPHEAP_ON_NODE, it needs no look at the page map. */
FPH_NOWAIT void fpheap_pool_put(fpheap_pool *pool, void *object);

/* n objects, or none, or as many as there are; as fpheap_alloc_bulk,
 * fpheap_free_bulk and fpheap_alloc_burst, with the errors of
 * fpheap_pool_get. */
FPH_NOWAIT int      fpheap_pool_get_bulk(fpheap_pool *pool, void **objects,
                                         unsigned n);
FPH_NOWAIT void     fpheap_pool_put_bulk(fpheap_pool *pool,
                                         void *const *objects, unsigned n);
FPHEAP_API unsigned fpheap_pool_get_burst(fpheap_pool *pool, void **objects,
                                          unsigned n);

/* fpheap_pool_get_critical - fpheap_pool_get that may take from
 * config.emergency, as fpheap_alloc_critical
 *
 * Such an object is constructed when it is first needed, is beyond the pool's
 * max, and is not in the pool's statistics. */
FPHEAP_API void *fpheap_pool_get_critical(fpheap_pool *pool);

/* fpheap_pool_for_each - fpheap_walk of the pool's objects
 *
 * which   FPHEAP_ALL: also those that are parked or free; FPHEAP_LIVE */
FPHEAP_API int fpheap_pool_for_each(fpheap_pool *pool, fpheap_which which,
                                    int (*visit)(void *arg, void *object),
                                    void *arg);

/* fpheap_pool_private - the pool's private area
 *
 * Returns  private_bytes bytes, zero at create, aligned to 64; NULL if there
 *          are none. */
FPHEAP_API void *fpheap_pool_private(fpheap_pool *pool);

/* fpheap_pool_set_max - change how many objects may be claimed
 *
 * max     live and parked together, up to UINT32_MAX; 0: UINT32_MAX.  If more
 *         are claimed already, it only keeps others from being claimed.
 *
 * Exact: after the call nothing is claimed beyond max, not for a moment.
 *
 * Returns  0, or -EINVAL: below the pool's min, or above UINT32_MAX. */
FPHEAP_API int fpheap_pool_set_max(fpheap_pool *pool, size_t max);

/* fpheap_pool_stats_get - the numbers of one pool
 *
 * stats   written
 *
 * Cost     O(caches x nodes). */
FPH_PUBLIC void fpheap_pool_stats_get(fpheap_pool *pool,
                                      fpheap_pool_stats *stats);

#if FPHEAP_HEADER
/* Objects with one tag. */
typedef struct fpheap_tag_stats {
    size_t struct_bytes;       /* as fpheap_stats.struct_bytes */
    size_t objects;
    size_t bytes;              /* requested */
} fpheap_tag_stats;

/* What becomes of an object after its destructor. */
typedef enum fpheap_fate {
    FPHEAP_RELEASE,            /* the heap frees it */
    FPHEAP_KEPT                /* the destructor has kept it, live, with one
                                  reference */
} fpheap_fate;

/* Called by the thread that drops an object's last reference, with the arg of
 * its registration.  It has that reference, and may use the heap. */
typedef fpheap_fate (*fpheap_destructor)(void *arg, void *object);

/* fpheap_alloc_tagged - fpheap_alloc of an object that counts for a tag
 *
 * tag     0 .. FPHEAP_TAGS - 1; the other functions give 0
 *
 * Errors   Also EINVAL: no such tag. */
FPHEAP_API void *fpheap_alloc_tagged(fpheap *heap, size_t size, unsigned tag);

/* fpheap_tag_stats_get - the objects of one tag
 *
 * Returns  0, or -EINVAL: no such tag, and nothing was written.
 * Cost     O(caches). */
FPH_PUBLIC int fpheap_tag_stats_get(fpheap *heap, unsigned tag,
                                    fpheap_tag_stats *stats);

/* fpheap_destructor_register - a number for a destructor
 *
 * Numbers belong to the process, serve all its heaps, and are never given up.
 *
 * Returns  1 .. 255
 * Errors   -EINVAL: no function; -ENOSPC: 255 are taken. */
FPHEAP_API int fpheap_destructor_register(fpheap_destructor destructor,
                                          void *arg);

/* fpheap_set_destructor - choose what is called when the last reference goes
 *
 * object  live, this thread's alone
 * number  from fpheap_destructor_register, or 0: none
 *
 * Returns  0, or -EINVAL: no such destructor. */
FPHEAP_API int fpheap_set_destructor(void *object, unsigned number);

/* Of a live object: the bytes asked for, its tag, and flags that are the
 * application's, 0 .. 255, 0 at first.  Threads: whoever has a reference; no
 * other use of the flags may run beside fpheap_set_flags. */
FPHEAP_API size_t   fpheap_requested(const void *object);
FPHEAP_API unsigned fpheap_tag(const void *object);
FPHEAP_API unsigned fpheap_flags(const void *object);
FPHEAP_API void     fpheap_set_flags(void *object, unsigned flags);

/* fpheap_ref - add a reference to an object, which begins with one
 *
 * object  live; the caller has a reference
 *
 * Cost     One atomic. */
FPH_NOWAIT void fpheap_ref(void *object);

/* fpheap_unref - drop a reference
 *
 * object  the caller has the reference that it drops; NULL does nothing
 *
 * The last one calls the object's destructor, which has that reference and may
 * pass it on, and then frees the object unless the destructor has kept it.  The
 * destructor sees all that other threads did before their fpheap_unref.
 * fpheap_free is for objects that have one reference, and calls no destructor.
 *
 * Cost     One atomic.  For the last one: the destructor and fpheap_free, and
 *          no atomic unless another thread drops one at the same time. */
FPH_NOWAIT void fpheap_unref(fpheap *heap, void *object);

/* The number of references.  1: the caller's is the only one, and it sees what
 * others did before they dropped theirs.  A larger number may be out of date at
 * once.  Threads: whoever has a reference. */
FPH_NOWAIT unsigned fpheap_refs(const void *object);
#endif

/* fpheap_group_begin - a group: objects that end together, at once
 *
 * They are cut, one behind the other, from pieces that are objects of the heap:
 * of 4 KiB, with 48 bytes for the group itself, then of 4, 8, 16 and 32 KiB as
 * far as there are classes.  An object that does not fit, and is above a
 * quarter of the next piece, gets one of its own.  A group belongs to no
 * thread: whoever has the pointer may use and end it; but of a shared heap, to
 * the process that began it.
 *
 * Returns  the group, which the caller gives to fpheap_group_end.
 * Errors, Blocks, Cost  As fpheap_alloc. */
FPH_PUBLIC fpheap_group *fpheap_group_begin(fpheap *heap);

/* fpheap_group_alloc - an object of at least size bytes that ends with it
 *
 * size    bytes; 0 gives the smallest object
 *
 * Aligned to 16.  It cannot be freed or resized alone, and has no header; the
 * heap's other functions take it for a part of its piece.
 *
 * Returns  the object.
 * Errors, Blocks  As fpheap_alloc, if it needs a piece.
 * Threads  One at a time for each group, here and below.
 * Cost     Hit: 2 loads, 1 store, 1 branch.  Else that of fpheap_alloc. */
FPH_PUBLIC void *fpheap_group_alloc(fpheap_group *group, size_t size);

/* fpheap_group_aligned - fpheap_group_alloc with a stronger alignment
 *
 * align   a power of two, 1 .. FPHEAP_CHUNK, by which a piece of its own is
 *         longer
 *
 * Errors   Also EINVAL: align is out of range. */
FPHEAP_API void *fpheap_group_aligned(fpheap_group *group, size_t align,
                                      size_t size);

/* fpheap_group_adopt - an object of the heap ends with the group
 *
 * object  live, of any size or pool, not NULL; with FPHEAP_HEADER the caller's
 *         reference becomes the group's, and is dropped as by fpheap_unref
 *
 * Errors   -EINVAL: no object; else as fpheap_group_alloc.  Then the object is
 *          the caller's still. */
FPHEAP_API int fpheap_group_adopt(fpheap_group *group, void *object);

/* fpheap_group_cleanup - call fn(arg) when the group ends
 *
 * Cleanups are called and adopted objects freed, the last first, by the thread
 * that ends or rewinds the group, while all that was cut from pieces is there.
 * A cleanup may use the heap and the group, but not end or rewind that.
 *
 * Errors   -EINVAL: no function; else as fpheap_group_alloc. */
FPHEAP_API int fpheap_group_cleanup(fpheap_group *group, void (*fn)(void *arg),
                                    void *arg);

/* fpheap_group_mark, fpheap_group_rewind - end what came after a moment
 *
 * mark    of this group, which was not rewound to an earlier one since
 *
 * Errors   None.  FPHEAP_PANIC where it is found that the mark is not good;
 *          then nothing has changed.
 * Cost     As fpheap_group_end for what ends; and O(pieces, endings) then. */
FPH_PUBLIC fpheap_mark fpheap_group_mark(const fpheap_group *group);
FPH_PUBLIC void        fpheap_group_rewind(fpheap_group *group,
                                           fpheap_mark mark);

/* fpheap_group_end - end a group with all that is in it; NULL does nothing
 *
 * Cost     That of fpheap_free for each piece, and of the endings: objects are
 *          not visited. */
FPH_PUBLIC void fpheap_group_end(fpheap_group *group);

/* fpheap_flush - put what this thread has parked where others can use it
 *
 * Full magazines go to the depot, the rest to the slabs and page maps.
 *
 * Cost     O(bins + objects parked). */
FPHEAP_API void fpheap_flush(fpheap *heap);

/* fpheap_thread_leave - fpheap_flush, and give up the cache
 *
 * For a thread that goes on without the heap; thread exit does it by itself.
 * The thread's next call makes a cache again.  In a callback of the heap it
 * does what fpheap_flush does. */
FPHEAP_API void fpheap_thread_leave(fpheap *heap);

/* fpheap_reserve - have memory ready
 *
 * bytes   to be allocated on the node without the provider, in pages
 * node    0 .. nodes - 1, or FPHEAP_ANY_NODE for the calling thread's
 *
 * The memory is touched and its chunks are set up, so that nothing is left to
 * fault in.  Memory that the node already has free counts.
 *
 * Errors   -EINVAL: no such node; else as fpheap_alloc, and what was obtained
 *          stays in the heap.
 * Blocks   As fpheap_alloc.
 * Cost     O(bytes + free bytes of the node + chunks), and that of growth. */
FPHEAP_API int fpheap_reserve(fpheap *heap, size_t bytes, int node);

/* fpheap_prefill, fpheap_pool_prefill - n allocations that do not fail
 *
 * size    as for fpheap_alloc, up to 8 pages
 * n       at most what a magazine of the class holds, .magazine of its
 *         statistics; 0: no longer any
 *
 * This thread's next n allocations of the size's class (n gets of the pool),
 * one by one or in bulks, by functions that can hit, are hits: they take what
 * this call has put into the loaded magazine, so they neither fail nor wait nor
 * loop, whatever the provider and other threads do.  What the thread frees or
 * allocates otherwise takes none of it, nor does a pass or fpheap_trim.
 *
 * That lasts for n allocations, and is kept up by frees, until an allocation of
 * the class is no hit; until this thread calls fpheap_flush or
 * fpheap_thread_leave, exits, or calls this again for the class, even in vain;
 * or until the pool's destroy is tried.  The memory need not have been touched:
 * see fpheap_reserve.  (With FPHEAP_CHECK 2 an object's bytes are verified.)
 *
 * Errors   -EINVAL: n or size is too large, or there is no heap; -EBUSY in a
 *          callback of the heap; -EAGAIN, as fpheap_self; else as
 *          fpheap_alloc_bulk's, but without FPHEAP_SPILL.
 * Blocks   As fpheap_alloc.
 * Cost     That of fpheap_alloc_bulk, and of freeing what the thread parks of
 *          the class.  Then, of a free that is no hit, also n copies; and if n
 *          is nearly all that a magazine holds, the object goes to its slab. */
FPHEAP_API int fpheap_prefill(fpheap *heap, size_t size, unsigned n);
FPHEAP_API int fpheap_pool_prefill(fpheap_pool *pool, unsigned n);

/* fpheap_trim - give free memory back to the provider
 *
 * Takes back what this thread and the depots park, turns empty slabs into free
 * pages, and gives back what is free as a whole: chunks if the provider takes
 * parts and there is no watcher, else regions.  What a walk shows, what the
 * watcher does not let go, and where records lie in regions, stays.  Then it
 * decommits the free pages of other chunks, and free objects of 16 KiB and more
 * beside live ones, if the provider can and there is no watcher.  Other threads
 * give up what they park at their next miss, for the next trim.
 *
 * Returns  the bytes given back; 0 in the provider's callback or the watcher's
 * Blocks   Calls the provider's put; others go on meanwhile.
 * Cost     O(parked objects + slabs + chunks). */
FPHEAP_API size_t fpheap_trim(fpheap *heap);

/* fpheap_set_limit - change how much memory the heap may have
 *
 * bytes   that the provider may have given at one time; 0: no limit.  If the
 *         heap has more already, the limit only keeps it from growing.
 *
 * Exact: the heap makes no call to the provider that could go beyond it, and
 * hands back a region that turns out too long, but uses it if the provider does
 * not take it.  The call that needed it fails with ENOSPC. */
FPHEAP_API void fpheap_set_limit(fpheap *heap, size_t bytes);

/* fpheap_stats_get - where the bytes are
 *
 * stats   written
 *
 * Cost     O(chunks x pages + caches x bins). */
FPH_PUBLIC void fpheap_stats_get(fpheap *heap, fpheap_stats *stats);

/* fpheap_holders - who has most
 *
 * holders  written, n at most, whoever has most bytes first: live objects of a
 *          size or pool, and what children have; and with FPHEAP_HEADER, once
 *          more, of a tag but 0
 *
 * It allocates nothing, and may be called after a call has failed.
 *
 * Returns  how many were written.
 * Cost     As fpheap_stats_get. */
FPHEAP_API unsigned fpheap_holders(fpheap *heap, fpheap_holder *holders,
                                   unsigned n);

/* fpheap_class_stats_get - the numbers of one class
 *
 * index   0, 1, 2 ... in order of size
 *
 * Returns  0, or -EINVAL: no such class, and nothing was written.
 * Cost     As fpheap_stats_get. */
FPH_PUBLIC int fpheap_class_stats_get(fpheap *heap, unsigned index,
                                      fpheap_class_stats *stats);

/* fpheap_..._stats_get_sized - statistics for a caller of any version
 *
 * bytes   of the struct as the caller knows it: nothing behind them is written
 *
 * For those who call a shared library's functions by name, FPHEAP_EXPORT, and
 * have declared the struct as another version has it.  Of an older struct its
 * own members are filled in.  A later one is zero from stats->struct_bytes on.
 * In C and C++ the functions without _sized are inline and pass sizeof *stats;
 * as symbols they fill in the members of version 0.1.0, whatever the
 * library's. */
FPHEAP_API void fpheap_stats_get_sized(fpheap *heap, fpheap_stats *stats,
                                       size_t bytes);
FPHEAP_API int  fpheap_class_stats_get_sized(fpheap *heap, unsigned index,
                                             fpheap_class_stats *stats,
                                             size_t bytes);
FPHEAP_API void fpheap_pool_stats_get_sized(fpheap_pool *pool,
                                            fpheap_pool_stats *stats,
                                            size_t bytes);
#if FPHEAP_HEADER
FPHEAP_API int  fpheap_tag_stats_get_sized(fpheap *heap, unsigned tag,
                                           fpheap_tag_stats *stats,
                                           size_t bytes);
#endif

/* fpheap_walk - show every live object
 *
 * Of a group its pieces; but none of children, which have a walk each, and none
 * that is critical.
 *
 * visit   called for each; anything but 0 ends the walk.  It must not call the
 *         heap.
 *
 * Returns  0, or what visit returned last; -ENOMEM, of a shared heap only.
 * Threads  No other call on this heap may run.
 * Cost     O(chunks x pages + objects). */
FPHEAP_API int fpheap_walk(fpheap *heap,
                           int (*visit)(void *arg, const fpheap_object *object),
                           void *arg);

/* fpheap_region_walk - show every region
 *
 * visit   called for each; anything but 0 ends the walk.  It may use the heap.
 *
 * A region that comes or goes during the walk may be shown or not, but never
 * after the watcher was told that it leaves.  The region that is shown does not
 * go back to the provider until visit returns; so a call that could have memory
 * only in exchange for it fails.
 *
 * Returns  0, or what visit returned last; -EINVAL: no heap.
 * Cost     O(the most regions that there were at one time). */
FPHEAP_API int fpheap_region_walk(fpheap *heap,
                                  int (*visit)(void *arg,
                                               const fpheap_region *region),
                                  void *arg);

/* fpheap_check - test every invariant of the heap
 *
 * Returns  NULL, or a sentence that names the first that does not hold.
 * Threads  No other call on this heap may run.
 * Cost     O(chunks x pages + objects). */
FPHEAP_API const char *fpheap_check(fpheap *heap);

#if !FPHEAP_NO_STDIO
/* fpheap_dump - print the statistics for people to read
 *
 * out     written to, not closed
 *
 * Blocks   In stdio.
 * Cost     That of fpheap_stats_get. */
FPHEAP_API void fpheap_dump(fpheap *heap, FILE *out);
#endif

/* fpheap_config_string - the settings with which the implementation was built
 *
 * Returns  a constant like "FPHEAP_CHUNK_SHIFT=21 pages=32 ..." */
FPHEAP_API const char *fpheap_config_string(void);

#if !FPHEAP_NO_OS
/* fpheap_provider_mmap, flags */
#define FPHEAP_HUGETLB    1u /* reserved hugepages of 2 MiB, where available */
#define FPHEAP_NO_THP     2u /* do not ask for transparent hugepages */
#define FPHEAP_HUGETLB_1G 4u /* reserved hugepages of 1 GiB before all others */

/* fpheap_provider_mmap - the default provider, with a choice of pages
 *
 * provider  written
 * flags     FPHEAP_HUGETLB, FPHEAP_HUGETLB_1G, FPHEAP_NO_THP, or 0 for
 *           transparent hugepages where the kernel allows them and they cost
 *           little memory: behind what is reserved; in a heap of 32 MiB, behind
 *           chunks that have filled; in one of 256 MiB, behind new chunks of
 *           small objects too
 *
 * Regions are aligned to a chunk, reserved hugepages to their own size.
 * fpheap_stats.backing_bytes counts chunks for which transparent hugepages were
 * asked as FPHEAP_BACKING_THP, unless the system or the process has them
 * switched off.
 *
 * A region of reserved hugepages consists of whole ones, and each is written to
 * before the heap gets it: 70 ms per GiB or more.  If there are too few, or a
 * cgroup allows no more, other pages serve instead; after a cgroup's refusal
 * hugepages are not tried again for a second.  With FPHEAP_HUGETLB_1G the first
 * region takes a gigabyte, which stays with the heap, and each step of growth
 * takes one or more; so give such a heap no limit, or one of whole gigabytes.
 * After a fork each reserved hugepage to which parent or child writes needs
 * another one: if none is free, the kernel ends the child.
 *
 * Returns  0, or -EINVAL: unknown flags. */
FPHEAP_API int fpheap_provider_mmap(fpheap_provider *provider, unsigned flags);
#endif

#if FPHEAP_SHARED
/* --- heaps that several processes share ----------------------------------- */

/* fpheap_open, flags */
#define FPHEAP_CREATE    1u    /* make the partition if there is none */
#define FPHEAP_EXCLUSIVE 2u    /* and fail if there is one */
#define FPHEAP_READ_ONLY 4u

/* fpheap_partition.flags of whoever makes it, and fpheap_recover's: what a
 * member has live when it dies is freed; needs FPHEAP_HEADER */
#define FPHEAP_FREE_DEAD  32u

/* fpheap_partition.flags, with FPHEAP_ON_NODE */
#define FPHEAP_DESCRIPTOR 2u   /* the file is that of .descriptor */
#define FPHEAP_FIXED      4u   /* that file has its memory, and keeps it */
#define FPHEAP_ANY_OWNER  8u   /* another user's file will do */
#define FPHEAP_MAPPED     16u  /* the memory is at .address in every process
                                  already, as a DPDK memzone is, .bytes of it,
                                  and zero at first; the file has only locks */

#define FPHEAP_PARTITION_MAX ((size_t)((uint64_t)(sizeof(void *) > 4 ? 64 : 1) \
                                       << (30 - (sizeof(void *) == 4))))

/* What a partition is.  Zero in a field selects its default. */
typedef struct fpheap_partition {
    size_t      bytes;         /* of it all, up to FPHEAP_PARTITION_MAX, rounded
                                  up to chunks; it takes memory as it is used.
                                  Needed to make one; for one that exists 0, or
                                  what it has */
    const char *directory;     /* of the file; NULL: /dev/shm.  One of hugetlbfs
                                  gives hugepages, and a tmpfs does if its huge=
                                  is advise; a memfd, if the system's
                                  shmem_enabled is */
    int         descriptor;    /* with FPHEAP_DESCRIPTOR: a file that came in
                                  another way, as a memfd; it is opened anew,
                                  and stays the caller's */
    size_t      offset;        /* in that file, a multiple of a chunk */
    size_t      page_bytes;    /* that the file must have; 0: any */
    void       *address;       /* where every process maps it, a multiple of a
                                  chunk; NULL: whoever makes it chooses */
    unsigned    mode;          /* who may open it, as chmod; 0: 0600 */
    int         node;          /* with FPHEAP_ON_NODE and FPHEAP_USE_LIBNUMA: of
                                  its memory; EINVAL if there is no such */
    unsigned    flags;         /* FPHEAP_ON_NODE ... */
    uint64_t  (*iova)(void *ctx, const void *chunk); /* as a provider's; in all
                                  processes or in none */
    void       *ctx;
} fpheap_partition;

/* A process that has a partition open, as fpheap_members shows it. */
typedef struct fpheap_member {
    unsigned number;           /* its place, among those that write or, counted
                                  apart, those that only read */
    int      process;          /* its number, in its own namespace; 0: it only
                                  reads, and nobody knows */
    int      alive;            /* 0: it has died, and is not recovered yet */
    int      read_only;
    size_t   live_bytes;       /* that it has allocated, less those it has
                                  freed, as if negative 0; with FPHEAP_HEADER
                                  the pages in front of large objects too */
    size_t   parked_bytes;     /* in its threads' caches */
    uint32_t owner;            /* what fpheap_owner says of its objects */
} fpheap_member;

/* fpheap_open - a heap that several processes share, by its name
 *
 * name    of the file, 1 .. FPHEAP_NAME_BYTES - 1 characters without '/'; with
 *         FPHEAP_DESCRIPTOR for people to read, or NULL
 * desc    NULL: the defaults
 * flags   FPHEAP_CREATE, FPHEAP_EXCLUSIVE, FPHEAP_READ_ONLY, or 0
 *
 * Every process maps the partition at the same address, so pointers to its
 * objects mean the same in all.  All functions work as on a heap that
 * fpheap_create has made, in any thread of any process that has it open for
 * writing, with the same costs; but callbacks (pools' constructors) are those
 * of the process that calls, fpheap_pool_open.  Members that may write trust
 * each other.
 *
 * With FPHEAP_READ_ONLY the memory may only be read, and of the functions these
 * work: fpheap_walk, _stats_get, _usable_size, _base_of, _owns, _members,
 * _handle, _object and _root.  They trust nothing that is in the partition, and
 * are exact while nobody writes; the others fail, allocations with EROFS.  (A
 * free of what is live faults with FPHEAP_HEADER, as any write does.)
 *
 * A process that is killed, wherever it is, stops no other: see fpheap_recover,
 * which fpheap_open does as well.  The child of a fork has no part in it until
 * it opens it itself: there the memory is gone, and the handle is that of a
 * heap that was destroyed, which no call may have.  (A child for which the
 * system calls no handlers of forks, as of clone, is taken for its parent alive
 * until it ends or executes another program.)
 *
 * Returns  the heap, which the caller gives back to fpheap_close.
 * Errors   NULL and errno: EINVAL, ENAMETOOLONG, ENFILE (512 members are alive,
 *          or this process has FPHEAP_MAX_HEAPS heaps), ENOENT, EEXIST, EACCES
 *          (no right to the file, a symbolic link, no regular file, another
 *          user's, or one with two names), EADDRINUSE (something else is at its
 *          address), EPROTO (it has other settings), ESTALE (no heap is in it,
 *          or a damaged one), ENOMEM (also: the file system is full), ENOTSUP
 *          (FPHEAP_SITES, or FPHEAP_FREE_DEAD without FPHEAP_HEADER), or what
 *          the system says.  FPHEAP_REPORT gets a
 *          line that says what of several causes it was, and the name of the
 *          setting.
 * Threads  Any, but not twice at once for one partition.
 * Blocks   In the system, and while another process cleans up.
 * Cost     To make one, a first touch of its tables.  To open one, a few system
 *          calls; up to 512 members are looked at. */
FPHEAP_API fpheap *fpheap_open(const char *name, const fpheap_partition *desc,
                               unsigned flags);

/* fpheap_close - leave a partition
 *
 * What this process's threads park goes back; its live objects stay.  The
 * partition stays, with its name and for other members.
 *
 * Returns  0, or -EBUSY in a callback of the heap.
 * Threads  No other call on this heap may run in this process.  Thread exit
 *          may.
 * Cost     That of fpheap_flush for each thread. */
FPHEAP_API int fpheap_close(fpheap *heap);

/* fpheap_unlink - take a partition's name away
 *
 * desc    of which only the directory is read
 *
 * Its members keep it; the memory is free when the last of them has left.
 *
 * Returns  0, -EINVAL, or what the system says. */
FPHEAP_API int fpheap_unlink(const char *name, const fpheap_partition *desc);

/* fpheap_recover - clean up after members that have died
 *
 * flags   0, or FPHEAP_FREE_DEAD
 *
 * What they parked, and had in their hands, is free again.  Without
 * FPHEAP_HEADER, of each thread that was in the middle of a call as many
 * objects may be lost as a magazine has.  What the application had live stays
 * live: fpheap_walk shows it, and with FPHEAP_HEADER fpheap_owner whose it is.
 *
 * With FPHEAP_FREE_DEAD what the dead owned is free too, without destructors;
 * it must have no other references, or have got another owner by fpheap_own.
 * Objects of pools with a constructor or destructor stay live.  It is about
 * those that this call finds dead; other members clean up too, when they open
 * the partition or meet a dead cleaner, so a partition can be made with it.
 *
 * Returns  how many they were; -EBUSY: a thread of a member that is alive, but
 *          stopped, is in a call, or this one is; -ENOTSUP: FPHEAP_FREE_DEAD
 *          without FPHEAP_HEADER; nothing has changed.
 * Blocks   Waits until calls of other threads end, FPHEAP_GROWTH_WAIT_MS at
 *          most.  Calls on the heap that begin meanwhile, hits excepted, wait.
 * Cost     O(members); if one has died, O(chunks x pages + magazines), and with
 *          FPHEAP_HEADER O(objects). */
FPHEAP_API int fpheap_recover(fpheap *heap, unsigned flags);

#if FPHEAP_HEADER
/* fpheap_owner - whose an object of a shared heap is
 *
 * object  live
 *
 * Returns  what fpheap_member.owner is of the member that allocated it, or that
 *          called fpheap_own last.  Another member has this number only after
 *          eight million others came. */
FPHEAP_API uint32_t fpheap_owner(const void *object);

/* fpheap_own - the object is this process's from here on
 *
 * object  live; no other thread uses it meanwhile
 *
 * For whoever gets it from another process. */
FPHEAP_API void fpheap_own(fpheap *heap, void *object);
#endif

/* fpheap_members - show the processes that have a partition open
 *
 * visit   called for each; anything but 0 ends the walk.  It may use the heap.
 *
 * Returns  0, or what visit returned last; -EINVAL: no such heap.
 * Cost     O(members x caches x bins), and 1024 system calls. */
FPHEAP_API int fpheap_members(fpheap *heap,
                              int (*visit)(void *arg,
                                           const fpheap_member *member),
                              void *arg);

/* fpheap_handle - an object as a number of 32 bits, the same in all processes
 *
 * object  of the heap, aligned to 16 as all objects are but those of pools with
 *         a smaller alignment
 *
 * Returns  the number; 0: it is not in the heap's memory. */
FPHEAP_API uint32_t fpheap_handle(fpheap *heap, const void *object);

/* fpheap_object - the object of such a number, void *
 *
 * handle  any number
 *
 * It is a macro, as a type has that name; the function is fpheap_object_at.
 *
 * Returns  the object; NULL: none begins there, or it is free.  (Without
 *          FPHEAP_HEADER an object that was freed counts as live while a cache
 *          or a depot parks it.) */
#define fpheap_object(heap, handle) fpheap_object_at(heap, handle)
FPHEAP_API void *fpheap_object_at(fpheap *heap, uint32_t handle);

/* fpheap_set_root, fpheap_root - the object from which others are found
 *
 * object  of the heap, or NULL
 *
 * What a process has written into it before it became the root, others see.
 *
 * Returns  0 or -EINVAL; the object, or NULL: there is none, or it is free. */
FPHEAP_API int   fpheap_set_root(fpheap *heap, const void *object);
FPHEAP_API void *fpheap_root(fpheap *heap);

/* fpheap_pool_open - a pool of a heap that may have it already
 *
 * desc    as for fpheap_pool_create.  If there is a pool of that name, its size
 *         and alignment must be those; of the rest only the callbacks count,
 *         for what this process makes and ends.
 *
 * A process that has a pool from fpheap_pool_lookup has no callbacks for it: an
 * allocation that needs a constructor fails with ENOTSUP, and slabs whose
 * objects need a destructor stay.
 *
 * Errors   as fpheap_pool_create, and EPROTO: it has another size. */
FPHEAP_API fpheap_pool *fpheap_pool_open(fpheap *heap,
                                         const fpheap_pool_desc *desc);
#endif

/* The application's buffer, handed out as a whole, to one heap at a time. */
typedef struct fpheap_buffer {
    void    *base;
    size_t   bytes;
    unsigned taken;            /* 1 while the heap has it */
} fpheap_buffer;

/* fpheap_provider_buffer - a provider that has one buffer
 *
 * provider  written
 * buffer    written; must live as long as the heap
 * base      any memory; all whole pages inside are used
 * bytes     its length, a chunk at least
 *
 * With chunks of 64 KiB, one thread and FPHEAP_NO_OS, objects of 64 bytes can
 * have 62 percent of a buffer of 64 KiB, 75 of 128 KiB, 83 of 192 KiB and 90 of
 * 1 MiB, wherever it begins; if it is aligned to a chunk, 75, 81, 84 and 91.
 * (Without FPHEAP_NO_OS the tables lie elsewhere.) */
FPHEAP_API void fpheap_provider_buffer(fpheap_provider *provider,
                                       fpheap_buffer *buffer, void *base,
                                       size_t bytes);

/* --- names ---------------------------------------------------------------- */

#if FPHEAP_HEADER
#  define FPH_IF_HEADER(functions) functions
#else
#  define FPH_IF_HEADER(functions)
#endif
#if FPHEAP_SHARED
#  define FPH_IF_SHARED(functions) functions
#else
#  define FPH_IF_SHARED(functions)
#endif
#if FPHEAP_NO_STDIO
#  define FPH_IF_STDIO(functions)
#else
#  define FPH_IF_STDIO(functions) functions
#endif
#if FPHEAP_NO_OS
#  define FPH_IF_OS(functions)
#else
#  define FPH_IF_OS(functions) functions
#endif

/* All functions above: those that are called; and those that are inlined, as
 * they hit, or as they tell the size of a struct. */
#define FPH_CALLED(X)                                                        \
    X(fpheap_create) X(fpheap_destroy) X(fpheap_destroy_forced)              \
    X(fpheap_free_bulk) X(fpheap_alloc_burst) X(fpheap_zalloc)               \
    X(fpheap_alloc_critical) X(fpheap_alloc_critical_bulk)                   \
    X(fpheap_pool_get_critical) X(fpheap_holders)                            \
    X(fpheap_calloc) X(fpheap_aligned_alloc) X(fpheap_alloc_on)              \
    X(fpheap_realloc) X(fpheap_aligned_realloc)                              \
    X(fpheap_usable_size) X(fpheap_base_of)                                  \
    X(fpheap_owns) X(fpheap_iova) X(fpheap_self) X(fpheap_pool_create)       \
    X(fpheap_pool_destroy) X(fpheap_pool_lookup) X(fpheap_pool_get_burst)    \
    X(fpheap_pool_for_each) X(fpheap_pool_private) X(fpheap_pool_set_max)    \
    X(fpheap_pool_stats_get_sized) X(fpheap_group_aligned)                   \
    X(fpheap_group_adopt) X(fpheap_group_cleanup)                            \
    X(fpheap_flush) X(fpheap_thread_leave)                                   \
    X(fpheap_reserve) X(fpheap_prefill) X(fpheap_pool_prefill)               \
    X(fpheap_trim) X(fpheap_set_limit)                                       \
    X(fpheap_stats_get_sized) X(fpheap_class_stats_get_sized) X(fpheap_walk) \
    X(fpheap_region_walk) X(fpheap_check) X(fpheap_config_string)            \
    X(fpheap_provider_buffer)                                                \
    FPH_IF_STDIO(X(fpheap_dump)) FPH_IF_OS(X(fpheap_provider_mmap))          \
    FPH_IF_SHARED(X(fpheap_open) X(fpheap_close) X(fpheap_unlink)            \
                  X(fpheap_recover) X(fpheap_members) X(fpheap_handle)       \
                  X(fpheap_object_at) X(fpheap_set_root) X(fpheap_root)      \
                  X(fpheap_pool_open)                                        \
                  FPH_IF_HEADER(X(fpheap_owner) X(fpheap_own)))              \
    FPH_IF_HEADER(X(fpheap_alloc_tagged) X(fpheap_tag_stats_get_sized)       \
                  X(fpheap_destructor_register) X(fpheap_set_destructor)     \
                  X(fpheap_requested) X(fpheap_tag) X(fpheap_flags)          \
                  X(fpheap_set_flags))
#define FPH_HIT(X)                                                           \
    X(fpheap_alloc) X(fpheap_free) X(fpheap_free_sized)                      \
    X(fpheap_alloc_bulk) X(fpheap_free_bulk_sized) X(fpheap_cache_alloc)     \
    X(fpheap_cache_free) X(fpheap_cache_free_sized)                          \
    X(fpheap_cache_alloc_bulk) X(fpheap_cache_free_bulk_sized)               \
    X(fpheap_pool_get) X(fpheap_pool_put) X(fpheap_pool_get_bulk)            \
    X(fpheap_pool_put_bulk) X(fpheap_group_begin) X(fpheap_group_alloc)      \
    X(fpheap_group_mark) X(fpheap_group_rewind) X(fpheap_group_end)          \
    FPH_IF_HEADER(X(fpheap_ref) X(fpheap_unref) X(fpheap_refs))
#define FPH_TOLD(X)                                                          \
    X(fpheap_stats_get) X(fpheap_class_stats_get) X(fpheap_pool_stats_get)   \
    FPH_IF_HEADER(X(fpheap_tag_stats_get))
#define FPH_INLINED(X) FPH_HIT(X) FPH_TOLD(X)

#ifndef FPHEAP_STATIC
#  pragma GCC diagnostic push
#  pragma GCC diagnostic ignored "-Wredundant-decls"
#  define FPH_LINK(f) extern __typeof__(f) f FPH_LINKED(f);
FPH_CALLED(FPH_LINK)
#  if defined(__cplusplus) || FPHEAP_NO_INLINE
FPH_INLINED(FPH_LINK)
#  else
/* Each file has its own, so that the names are free for those of FPH_TWIN. */
#    define FPH_OWNED(f) \
         __asm__(FPH_TEXT(__USER_LABEL_PREFIX__) "fph_inline_" #f)
#    define FPH_OWN(f) static __typeof__(f) f FPH_OWNED(f);
FPH_INLINED(FPH_OWN)
#  endif
#  pragma GCC diagnostic pop
#endif

#if !FPHEAP_NO_INLINE
/* [FASTPATH] ===============================================================
 *
 * Hits only; a miss is one call.  Size 0 is a miss like a size above the
 * largest class, and NULL like an object of no bin, so each pair has one
 * test.
 */
#if __has_attribute(nonblocking) /* but for misses, and thread-local data */
#  pragma clang diagnostic push
#  pragma clang diagnostic ignored "-Wfunction-effects"
#endif

/* The child of a fork finds other threads' caches as they were between two
 * instructions: a slot must be written before the top that counts it, and an
 * object taken must be below no top before the caller can store it anywhere:
 * FPH_KEEP_ORDER.  (A bulk's array has its objects earlier, but then its call
 * was not over.) */
#if FPHEAP_NO_THREADS
#  define FPH_LOAD(p, order)         (*(p))
#  define FPH_STORE(p, v, order)     ((void)(*(p) = (v)))
#  define FPH_FETCH_ADD(p, n, order) ((*(p) += (n)) - (n))
#  define FPH_CAS(p, e, d, yes, no)  ((void)(e), *(p) = (d), 1)
#  define FPH_KEEP_ORDER()           ((void)0)
#else
#  define FPH_LOAD(p, order)         __atomic_load_n(p, __ATOMIC_##order)
#  define FPH_STORE(p, v, order)     __atomic_store_n(p, v, __ATOMIC_##order)
#  define FPH_FETCH_ADD(p, n, order) __atomic_fetch_add(p, n, __ATOMIC_##order)
/* For RISC-V gcc 12 drops the release unless `no` is seq_cst; 13.3 does not. */
#  if defined(__riscv) && !defined(__clang__) && __GNUC__ < 14
#    define FPH_CAS_FENCE(yes)       __atomic_thread_fence(__ATOMIC_##yes)
#  else
#    define FPH_CAS_FENCE(yes)       ((void)0)
#  endif
#  define FPH_CAS(p, e, d, yes, no)                                    \
    (FPH_CAS_FENCE(yes),                                               \
     __atomic_compare_exchange_n(p, e, d, 0 /* strong */,              \
                                 __ATOMIC_##yes, __ATOMIC_##no))
#  define FPH_KEEP_ORDER()           __atomic_signal_fence(__ATOMIC_SEQ_CST)
#endif

/* The bins of a thread without a cache: all empty, all full, never changed. */
#define FPH_ENTRY_1  { fph_no_bins, fph_no_bins }
#define FPH_ENTRY_2  FPH_ENTRY_1, FPH_ENTRY_1
#define FPH_ENTRY_4  FPH_ENTRY_2, FPH_ENTRY_2
#define FPH_ENTRY_8  FPH_ENTRY_4, FPH_ENTRY_4
#define FPH_ENTRY_16 FPH_ENTRY_8, FPH_ENTRY_8
#define FPH_ENTRY_32 FPH_ENTRY_16, FPH_ENTRY_16
#define FPH_ENTRY_64 FPH_ENTRY_32, FPH_ENTRY_32
#define FPH_ENTRY_128 FPH_ENTRY_64, FPH_ENTRY_64
#define FPH_ENTRY_256 FPH_ENTRY_128, FPH_ENTRY_128
#define FPH_ENTRY_512 FPH_ENTRY_256, FPH_ENTRY_256
#define FPH_ENTRY_1024 FPH_ENTRY_512, FPH_ENTRY_512
#define FPH_ENTRIES_(n) { FPH_ENTRY_##n }
#define FPH_ENTRIES(n)  FPH_ENTRIES_(n)

FPHEAP_API fph_bin fph_no_bins[FPH_BINS] FPH_LINKED(fph_no_bins);
FPHEAP_API FPH_TLS fph_entry fph_table[FPHEAP_MAX_HEAPS] FPH_LINKED(fph_table)
#ifdef FPHEAP_STATIC
    = FPH_ENTRIES(FPHEAP_MAX_HEAPS)
#endif
;
#if FPHEAP_SITES
FPHEAP_API FPH_TLS const char *fph_site FPH_LINKED(fph_site); /* of this call */
#endif

FPHEAP_API void *fph_alloc_miss(fpheap *heap, size_t size)
    FPH_LINKED(fph_alloc_miss);
FPHEAP_API void  fph_free_miss(fpheap *heap, void *object)
    FPH_LINKED(fph_free_miss);
FPHEAP_API int   fph_alloc_bulk_miss(fpheap *heap, size_t size, void **objects,
                                     unsigned n)
    FPH_LINKED(fph_alloc_bulk_miss);
FPHEAP_API void  fph_free_bulk_miss(fpheap *heap, void *const *objects,
                                    unsigned n) FPH_LINKED(fph_free_bulk_miss);
FPHEAP_API void *fph_pool_get_miss(fpheap_pool *pool)
    FPH_LINKED(fph_pool_get_miss);
FPHEAP_API int   fph_pool_bulk_miss(fpheap_pool *pool, void **objects,
                                    unsigned n) FPH_LINKED(fph_pool_bulk_miss);
FPHEAP_API void *fph_group_miss(fpheap_group *group, size_t align, size_t size)
    FPH_LINKED(fph_group_miss);
FPHEAP_API void  fph_rewind_miss(fpheap_group *group, const fpheap_mark *mark)
    FPH_LINKED(fph_rewind_miss);
FPHEAP_API int   fph_group_good(const fpheap_group *group)
    FPH_LINKED(fph_group_good);
FPHEAP_API void  fph_group_end_miss(fpheap_group *group)
    FPH_LINKED(fph_group_end_miss);
#if FPHEAP_HEADER
FPHEAP_API void  fph_tally_slow(fpheap *heap, unsigned tag, size_t n,
                                size_t bytes) FPH_LINKED(fph_tally_slow);
FPHEAP_API int   fph_head_end_slow(fpheap *heap, const void *object)
    FPH_LINKED(fph_head_end_slow);
FPHEAP_API void  fph_unref_last(fpheap *heap, void *object)
    FPH_LINKED(fph_unref_last);
#endif
#if FPH_WATCHED
FPHEAP_API void  fph_live_begin_slow(fpheap *heap, void *object, size_t size,
                                     unsigned klass)
    FPH_LINKED(fph_live_begin_slow);
FPHEAP_API int   fph_live_end_slow(fpheap *heap, void *object, unsigned klass)
    FPH_LINKED(fph_live_end_slow);
#endif

/* Where each thread has its bins of a heap: bytes into fph_table. */
FPH_INLINE unsigned
fph_entry_offset(const fpheap *heap)
{
    return (unsigned)(heap->lookup & 0xffffffff);
}

/* This thread's bins of a heap. */
FPH_INLINE const fph_entry *
fph_entry_of(const fpheap *heap)
{
    return (const fph_entry *)(const void *)((const char *)fph_table
                                             + fph_entry_offset(heap));
}

FPH_INLINE fph_bin *
fph_bins_of(const fpheap *heap)
{
    return fph_entry_of(heap)->bins;
}

/* The class of a size that has one, its header included.  Steps of 16 bytes up
 * to 1 << FPH_CLASS_BASE, then 1 << FPHEAP_CLASS_BITS steps per doubling; shift
 * is the log2 of the step.  For FPH_SLACK the lowest bit is added: that moves a
 * size that fills its class to a larger one, of at least the same alignment;
 * any other size stays in its class. */
FPH_INLINE unsigned
fph_class_of(size_t size)
{
    size_t   bytes = size + FPH_HEAD;
    size_t   last  = bytes + (FPH_SLACK ? bytes & (~bytes + 1) : 0) - 1;
    unsigned shift = (unsigned)(63 ^ __builtin_clzll(
        (unsigned long long)last >> FPHEAP_CLASS_BITS | 16));

    return (unsigned)(last >> shift) + (shift << FPHEAP_CLASS_BITS)
         - ((4u << FPHEAP_CLASS_BITS) - 1);
}

/* 0 wraps to the top and has no class, like a size above the largest class. */
FPH_INLINE int
fph_has_class(size_t size)
{
    return size - 1 < FPH_SIZED_MAX;
}

/* What a caller says of an object's class: the class of its size, 0 if that is
 * above the largest class, or nothing: */
#define FPH_ANY_CLASS FPH_CLASSES

FPH_INLINE unsigned
fph_class_said(size_t size)
{
    return FPH_LIKELY(fph_has_class(size)) ? fph_class_of(size)
         : size == 0 ? fph_class_of(1) : 0;
}

/* A bin's place in a cache, as the map has it: its number times this, in units
 * of 8 bytes, which is one addressing mode of the machine. */
#define FPH_BIN_STEP (sizeof(fph_bin) / 8)

/* The place of the bin of the page that an object is in; 0, where no bin is,
 * for a large object and for NULL.  (For memory of others too if it lies near
 * the heap's first region, FPH_NEAR_SHIFT; elsewhere nobody may read the map,
 * and the process ends with a SIGSEGV here.) */
FPH_INLINE unsigned
fph_place_in(const uint16_t *map, size_t mask, const void *object)
{
    size_t page = (size_t)((uintptr_t)object >> FPHEAP_PAGE_SHIFT);

    return FPH_LOAD(&map[page & mask], RELAXED);
}

FPH_INLINE unsigned
fph_place_of(const fpheap *heap, const void *object)
{
    return fph_place_in(heap->map, (size_t)(heap->lookup >> 32), object);
}

/* Take the top object of a bin; NULL if it is empty. */
FPH_INLINE void *
fph_take(fph_bin *bin)
{
    void  *object = bin->next;
    void **top    = bin->top;

    if (FPH_UNLIKELY(object == NULL))
        return NULL;
    bin->next = top[-2];
    FPH_STORE(&bin->top, top - 1, RELAXED);
    FPH_KEEP_ORDER();
    return object;
}

/* Put an object on top of a bin; 0 if it is full. */
FPH_INLINE int
fph_put(fph_bin *bin, void *object)
{
    void **top = bin->top;

    if (FPH_UNLIKELY(top == bin->limit))
        return 0;
    *top = object;
    bin->next = object;
    FPH_KEEP_ORDER();
    FPH_STORE(&bin->top, top + 1, RELAXED);
    return 1;
}

/* GCC leaves the copying loops below rolled, and then their speed depends on
 * where they happen to lie: unrolling by eight takes a quarter off "make
 * bench", rows bulk_32 to bulk_256.  Clang does so by itself. */
#if defined(__clang__)
#  define FPH_UNROLL
#  define FPH_ROLLED
#else
#  define FPH_UNROLL _Pragma("GCC unroll 8")
#  define FPH_ROLLED _Pragma("GCC unroll 1") /* or GCC makes no vectors of it */
#endif

/* Take the n top objects of a bin.  Returns 0, with none taken, if it has fewer
 * or n is 0. */
FPH_INLINE int
fph_take_bulk(fph_bin *bin, void **objects, unsigned n)
{
    void **top = bin->top;
    size_t i;

    if (FPH_UNLIKELY((size_t)n - 1 >= (size_t)(top - bin->base)))
        return 0;
    top -= n;
    FPH_UNROLL
    for (i = 0; i < n; i++)
        objects[i] = top[i];
    bin->next = top[-1];
    FPH_STORE(&bin->top, top, RELAXED);
    return 1;
}

/* Put n objects on top of a bin.  Returns 0, with none put, if they do not all
 * fit, one of them is NULL, or n is 0.  NULL less one has its top bit set; so
 * has an address in the upper half of 64 bits, which is freed one by one. */
FPH_INLINE int
fph_put_bulk(fph_bin *bin, void *const *objects, unsigned n)
{
    void   **top = bin->top;
    uint64_t holes = 0;
    size_t   i;

    if (FPH_UNLIKELY((size_t)n - 1 >= (size_t)(bin->limit - top)))
        return 0;
    FPH_UNROLL
    for (i = 0; i < n; i++) {
        top[i] = objects[i];
        holes |= (uint64_t)(uintptr_t)objects[i] - 1;
    }
    if (FPH_UNLIKELY(holes >> 63 != 0))
        return 0;
    bin->next = top[i - 1];
    FPH_KEEP_ORDER();
    FPH_STORE(&bin->top, top + n, RELAXED);
    return 1;
}

/* --- headers -------------------------------------------------------------- */

FPH_INLINE fph_head *
fph_head_of(const void *object)
{
    return (fph_head *)((uintptr_t)object - sizeof(fph_head));
}

#if FPHEAP_HEADER
FPH_INLINE size_t
fph_head_requested(const fph_head *head)
{
    return (size_t)(head->about & (FPH_HEAD_MAX - 1));
}

FPH_INLINE unsigned
fph_head_tag(const fph_head *head)
{
    return (unsigned)(head->about >> FPH_HEAD_TAG);
}

/* Count n objects of a tag, and their bytes, that begin in this thread; if both
 * are negative, they end. */
FPH_INLINE void
fph_tally_add(fpheap *heap, unsigned tag, size_t n, size_t bytes)
{
    fph_bin   *bins  = fph_bins_of(heap);
    char      *cache = (char *)bins - offsetof(fpheap_cache, bins);
    fph_tally *tally = &((fpheap_cache *)(void *)cache)->tallies[tag];

    if (FPH_UNLIKELY(bins == fph_no_bins)) {
        fph_tally_slow(heap, tag, n, bytes);
        return;
    }
    FPH_STORE(&tally->objects, tally->objects + n, RELAXED);
    FPH_STORE(&tally->bytes, tally->bytes + bytes, RELAXED);
}

/* n objects of one size begin. */
FPH_INLINE void
fph_heads_begin(fpheap *heap, void *const *objects, unsigned n, size_t size,
                unsigned tag, unsigned destructor)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        fph_head *head = fph_head_of(objects[i]);

        head->about = (uint64_t)tag << FPH_HEAD_TAG
                    | (uint64_t)destructor << FPH_HEAD_DESTRUCTOR | size;
        FPH_STORE(&head->hold.refs, 1u, RELAXED);
    }
    fph_tally_add(heap, tag, n, n * size);
}

/* An object ends.  Returns 0: it is NULL, is free, has other references, or has
 * no valid header. */
FPH_INLINE int
fph_head_end(fpheap *heap, void *object)
{
    fph_head *head = fph_head_of(object);

    if (FPH_UNLIKELY(object == NULL || FPH_LOAD(&head->hold.refs, RELAXED) != 1
                     || fph_head_tag(head) >= FPHEAP_TAGS))
        return fph_head_end_slow(heap, object);
    FPH_STORE(&head->hold.both, heap->mine, RELAXED);
    return 1;
}

/* n objects have ended.  Until they are allocated again, their headers say what
 * they were.  Neighbours with the same tag are counted together. */
FPH_INLINE void
fph_heads_count(fpheap *heap, void *const *objects, unsigned n)
{
    unsigned i = 0;

    while (i < n) {
        unsigned tag   = fph_head_tag(fph_head_of(objects[i]));
        unsigned first = i;
        size_t   bytes = 0;

        for (; i < n && fph_head_tag(fph_head_of(objects[i])) == tag; i++)
            bytes += fph_head_requested(fph_head_of(objects[i]));
        fph_tally_add(heap, tag, (size_t)first - i, (size_t)0 - bytes);
    }
}

/* An object's end, which one heap has counted, is another's. */
FPH_INLINE void
fph_head_moves(fpheap *from, fpheap *to, void *object)
{
    fph_tally_add(from, fph_head_tag(fph_head_of(object)), 1,
                  fph_head_requested(fph_head_of(object)));
    fph_heads_count(to, &object, 1);
}

/* Whether a live object has other references. */
FPH_INLINE int
fph_head_is_shared(const void *object)
{
    return FPH_LOAD(&fph_head_of(object)->hold.refs, RELAXED) != 1;
}
#else
#  define fph_heads_begin(heap, objects, n, size, tag, destructor) ((void)0)
#  define fph_head_end(heap, object)         1
#  define fph_heads_count(heap, objects, n)  ((void)0)
#  define fph_head_moves(from, to, object)   ((void)0)
#  define fph_head_is_shared(object)         0
#endif

/* --- who is live ---------------------------------------------------------- */

#if FPH_WATCHED
/* The place of the mark of an offset into a chunk: beside that of the offset
 * 1024 bytes on, so that a line has the marks of many objects of any size. */
FPH_INLINE size_t
fph_mark_place(size_t offset)
{
    return (offset & 1008) * (FPH_MARK_ROW / 16) + offset / 1024;
}

/* Objects of a bulk whose marks are looked for together. */
#define FPH_BLOCK 8

/* Find the marks of n objects, 1 or FPH_BLOCK, by one look at heap->known[].
 * Returns 0: the objects are not all in one chunk and multiples of 16, or there
 * is more to do than to change a mark. */
FPH_INLINE int
fph_marks_find(const fpheap *heap, void *const *objects, unsigned n,
               uintptr_t *mark)
{
    uintptr_t   chunk = (uintptr_t)objects[0] >> FPHEAP_CHUNK_SHIFT;
    uintptr_t   bits  = 0;
    uintptr_t   base;
    const char *known;
    fph_life   *life;
    unsigned    i;

    if (FPHEAP_CHECK != 1 || FPHEAP_SITES != 0 || FPHEAP_TOOL != 0
        || FPH_UNLIKELY(heap == NULL))
        return 0;
    /* By bytes: an index takes GCC a step more. */
    known = (const char *)heap->known + chunk % FPH_KNOWN * sizeof life;
    life = FPH_LOAD((fph_life *const *)(const void *)known, ACQUIRE); /* K2 */
    base = (uintptr_t)FPH_LOAD(&life->base, RELAXED);
    FPH_ROLLED
    for (i = 0; i < n; i++) {
        uintptr_t offset = (uintptr_t)objects[i] - base;

        bits |= offset;
        mark[i] = (uintptr_t)life->mark
                + fph_mark_place(offset) * sizeof(fph_mark);
    }
    return (bits & ~(uintptr_t)(FPHEAP_CHUNK - 16)) == 0;
}

/* Whether a mark is a live object's, of a class or FPH_ANY_CLASS. */
FPH_INLINE int
fph_mark_is(unsigned mark, unsigned klass)
{
    return klass == FPH_ANY_CLASS ? mark != 0 && mark != FPH_FILLED
                                  : mark == 1 + klass;
}

/* An object begins to be live, of a class and with size bytes that were asked
 * for, or ceases to be.  0: it is not to be freed. */
FPH_INLINE int
fph_live_one(fpheap *heap, int found, uintptr_t at, void *object, size_t size,
             unsigned klass, int begins)
{
    fph_mark *mark = (fph_mark *)at;

    if (begins && FPH_LIKELY(found && FPH_LOAD(mark, RELAXED) == 0))
        FPH_STORE(mark, (fph_mark)(1 + klass), RELAXED);
    else if (begins)
        fph_live_begin_slow(heap, object, size, klass);
    else if (FPH_LIKELY(found && fph_mark_is(FPH_LOAD(mark, RELAXED), klass)
                        && !fph_head_is_shared(object)))
        FPH_STORE(mark, (fph_mark)0, RELAXED);
    else if (!fph_live_end_slow(heap, object, klass))
        return 0;
    return begins || fph_head_end(heap, object);
}

/* The same for n objects.  Returns how many, up to the first that is not to be
 * freed.  From the first block on that lies in several chunks each object is
 * looked for. */
FPH_INLINE unsigned
fph_live(fpheap *heap, void *const *objects, unsigned n, size_t size,
         unsigned klass, int begins)
{
    uintptr_t mark[FPH_BLOCK];
    unsigned  done, i;
    int       found;

    for (done = 0; n - done >= FPH_BLOCK; done += FPH_BLOCK) {
        if (!fph_marks_find(heap, objects + done, FPH_BLOCK, mark))
            break;
        FPH_UNROLL
        for (i = 0; i < FPH_BLOCK; i++)
            if (!fph_live_one(heap, 1 /* found */, mark[i], objects[done + i],
                              size, klass, begins))
                return done + i;
    }
    for (; done < n; done++) {
        found = fph_marks_find(heap, objects + done, 1, mark);
        if (!fph_live_one(heap, found, mark[0], objects[done], size, klass,
                          begins))
            break;
    }
    return done;
}
#else
FPH_INLINE unsigned
fph_live(fpheap *heap, void *const *objects, unsigned n, size_t size,
         unsigned klass, int begins)
{
    unsigned done = FPHEAP_HEADER == 0 || begins ? n : 0;

    while (done < n && fph_head_end(heap, objects[done]))
        done++;
    (void)heap, (void)objects, (void)size, (void)klass;
    return done;
}
#endif

/* --- the boundary --------------------------------------------------------- */

/* n objects of a class leave the heap; `size` bytes of each were asked for. */
FPH_INLINE void
fph_born(fpheap *heap, void *const *objects, unsigned n, size_t size,
         unsigned klass, unsigned tag, unsigned destructor)
{
    fph_heads_begin(heap, objects, n, size, tag, destructor);
    fph_live(heap, objects, n, size, klass, 1 /* begins */);
    (void)tag, (void)destructor;
}

/* n objects come back.  Returns how many of them, from the first on, are to be
 * freed: the next one is not, and stays as it is.  A free that has come this
 * far cannot fail. */
FPH_INLINE unsigned
fph_dies_bulk(fpheap *heap, void *const *objects, unsigned n, unsigned klass)
{
    unsigned died = fph_live(heap, objects, n, 0, klass, 0 /* begins */);

    fph_heads_count(heap, objects, died);
    return died;
}

FPH_INLINE int
fph_dies(fpheap *heap, void *object, unsigned klass)
{
    return fph_dies_bulk(heap, &object, 1, klass) == 1;
}

/* --- hits ----------------------------------------------------------------- */

FPH_INLINE void *
fph_alloc(fpheap *heap, fph_bin *local, size_t size)
{
    if (FPH_LIKELY(fph_has_class(size))) {
        unsigned klass  = fph_class_of(size);
        void    *object = fph_take(&local[klass]);

        if (FPH_LIKELY(object != NULL)) {
            fph_born(heap, &object, 1, size, klass, 0, 0);
            return object;
        }
    }
    return fph_alloc_miss(heap, size);
}

FPH_INLINE fph_bin *
fph_bin_at(fph_bin *bins, unsigned place)
{
    return (fph_bin *)(void *)((char *)bins + (size_t)place * 8);
}

FPH_INLINE void
fph_free(fpheap *heap, fph_bin *bins, void *object)
{
    if (!FPH_LIKELY(fph_put(fph_bin_at(bins, fph_place_of(heap, object)),
                            object)))
        fph_free_miss(heap, object);
}

/* Whether the size alone names the bin. */
FPH_INLINE int
fph_size_is_bin(const fpheap *heap, size_t size)
{
    return size - 1 < (FPHEAP_MAX_NODES == 1 ? FPH_SIZED_MAX
                                             : heap->sized_max);
}

FPH_INLINE void
fph_free_sized(fpheap *heap, fph_bin *bins, void *object, size_t size)
{
    if (!FPH_LIKELY(fph_size_is_bin(heap, size)))
        fph_free(heap, bins, object);
    else if (!FPH_LIKELY(object != NULL
                         && fph_put(&bins[fph_class_of(size)], object)))
        fph_free_miss(heap, object);
}

FPH_INLINE int
fph_alloc_bulk(fpheap *heap, fph_bin *local, size_t size, void **objects,
               unsigned n)
{
    if (!FPH_LIKELY(fph_has_class(size)
                    && fph_take_bulk(&local[fph_class_of(size)], objects, n)))
        return fph_alloc_bulk_miss(heap, size, objects, n);
    fph_born(heap, objects, n, size, fph_class_of(size), 0, 0);
    return 0;
}

/* Free n objects of a class: to the bin if all of them are the bin's, and then
 * `one` is set.  An object that may not die is left out. */
FPH_INLINE void
fph_free_bulk(fpheap *heap, int one, fph_bin *bin, void *const *objects,
              unsigned n, unsigned klass)
{
    do {
        unsigned died = fph_dies_bulk(heap, objects, n, klass);

        if (!FPH_LIKELY(one && fph_put_bulk(bin, objects, died)))
            fph_free_bulk_miss(heap, objects, died);
        died += died < n;
        n -= died;
        if (n > 0)               /* objects may be NULL for 0 of them */
            objects += died;
    } while (n > 0);
}

FPH_INLINE void
fph_free_bulk_sized(fpheap *heap, fph_bin *bins, void *const *objects,
                    unsigned n, size_t size)
{
    fph_free_bulk(heap, fph_size_is_bin(heap, size), &bins[fph_class_of(size)],
                  objects, n, fph_class_said(size));
}

/* --- this thread's cache -------------------------------------------------- */

FPH_NOWAIT void *
fpheap_alloc(fpheap *heap, size_t size)
{
    if (FPHEAP_CHECK && FPH_UNLIKELY(heap == NULL))
        return fph_alloc_miss(heap, size);
    return fph_alloc(heap, fph_entry_of(heap)->local, size);
}

FPH_NOWAIT void
fpheap_free(fpheap *heap, void *object)
{
    if (fph_dies(heap, object, FPH_ANY_CLASS))
        fph_free(heap, fph_bins_of(heap), object);
}

FPH_NOWAIT void
fpheap_free_sized(fpheap *heap, void *object, size_t size)
{
    if (fph_dies(heap, object, fph_class_said(size)))
        fph_free_sized(heap, fph_bins_of(heap), object, size);
}

FPH_NOWAIT int
fpheap_alloc_bulk(fpheap *heap, size_t size, void **objects, unsigned n)
{
    if (FPHEAP_CHECK && FPH_UNLIKELY(heap == NULL))
        return fph_alloc_bulk_miss(heap, size, objects, n);
    return fph_alloc_bulk(heap, fph_entry_of(heap)->local, size, objects, n);
}

FPH_NOWAIT void
fpheap_free_bulk_sized(fpheap *heap, void *const *objects, unsigned n,
                       size_t size)
{
    if (FPHEAP_CHECK && FPH_UNLIKELY(heap == NULL))
        fph_free_bulk_miss(heap, objects, n);
    else
        fph_free_bulk_sized(heap, fph_bins_of(heap), objects, n, size);
}

/* --- a cache that the caller keeps ---------------------------------------- */

FPH_NOWAIT void *
fpheap_cache_alloc(fpheap_cache *cache, size_t size)
{
    return fph_alloc(cache->heap, cache->local, size);
}

FPH_NOWAIT void
fpheap_cache_free(fpheap_cache *cache, void *object)
{
    if (fph_dies(cache->heap, object, FPH_ANY_CLASS))
        fph_free(cache->heap, cache->bins, object);
}

FPH_NOWAIT void
fpheap_cache_free_sized(fpheap_cache *cache, void *object, size_t size)
{
    if (fph_dies(cache->heap, object, fph_class_said(size)))
        fph_free_sized(cache->heap, cache->bins, object, size);
}

FPH_NOWAIT int
fpheap_cache_alloc_bulk(fpheap_cache *cache, size_t size, void **objects,
                        unsigned n)
{
    return fph_alloc_bulk(cache->heap, cache->local, size, objects, n);
}

FPH_NOWAIT void
fpheap_cache_free_bulk_sized(fpheap_cache *cache, void *const *objects,
                             unsigned n, size_t size)
{
    fph_free_bulk_sized(cache->heap, cache->bins, objects, n, size);
}

/* --- pools ---------------------------------------------------------------- */

/* The bin of a pool that this thread gets from. */
FPH_INLINE fph_bin *
fph_pool_bin(const fpheap_pool *pool)
{
    const void *at = (const char *)fph_table + pool->entry;

    return (fph_bin *)(void *)((char *)*(fph_bin *const *)at + pool->offset);
}

FPH_INLINE void
fph_pool_born(const fpheap_pool *pool, void *const *objects, unsigned n)
{
    fph_born(pool->heap, objects, n, pool->requested, FPH_SIZES + pool->number,
             pool->tag, pool->destructor);
}

FPH_NOWAIT void *
fpheap_pool_get(fpheap_pool *pool)
{
    void *object = fph_take(fph_pool_bin(pool));

    if (FPH_UNLIKELY(object == NULL))
        return fph_pool_get_miss(pool);
    fph_pool_born(pool, &object, 1);
    return object;
}

FPH_NOWAIT void
fpheap_pool_put(fpheap_pool *pool, void *object)
{
    if (!fph_dies(pool->heap, object, FPH_SIZES + pool->number))
        return;
    if (!FPH_LIKELY(pool->one_bin))
        fph_free(pool->heap, fph_bins_of(pool->heap), object);
    else if (!FPH_LIKELY(object != NULL
                         && fph_put(fph_pool_bin(pool), object)))
        fph_free_miss(pool->heap, object);
}

FPH_NOWAIT int
fpheap_pool_get_bulk(fpheap_pool *pool, void **objects, unsigned n)
{
    if (!FPH_LIKELY(fph_take_bulk(fph_pool_bin(pool), objects, n)))
        return fph_pool_bulk_miss(pool, objects, n);
    fph_pool_born(pool, objects, n);
    return 0;
}

FPH_NOWAIT void
fpheap_pool_put_bulk(fpheap_pool *pool, void *const *objects, unsigned n)
{
    fph_free_bulk(pool->heap, (int)pool->one_bin, fph_pool_bin(pool), objects,
                  n, FPH_SIZES + pool->number);
}

/* --- groups --------------------------------------------------------------- */

FPH_PUBLIC fpheap_group *
fpheap_group_begin(fpheap *heap)
{
    size_t        bytes = FPH_PIECE(FPH_PIECE_FIRST);
    fpheap_group *group = (fpheap_group *)fpheap_alloc(heap, bytes);

    if (FPH_UNLIKELY(group == NULL))
        return NULL;
    group->at = (char *)(group + 1);
    group->end = (char *)group + bytes / 16 * 16;
    group->heap = heap;
    group->pieces = NULL;
    group->endings = NULL;
    if (FPHEAP_CHECK)
        group->self = group;
    return group;
}

/* 0 wraps to the top, and is a miss like a size that would. */
FPH_PUBLIC void *
fpheap_group_alloc(fpheap_group *group, size_t size)
{
    char *object = group->at;

    if (FPH_WATCHED || FPH_UNLIKELY(size - 1 >= (size_t)(group->end - object)))
        return fph_group_miss(group, 16, size);
    group->at = object + ((size + 15) & ~(size_t)15);
    return object;
}

FPH_PUBLIC fpheap_mark
fpheap_group_mark(const fpheap_group *group)
{
    fpheap_mark mark = { group, group->at, group->end, group->pieces,
                         group->endings };

    if (FPHEAP_CHECK)
        (void)fph_group_good(group);
    return mark;
}

FPH_PUBLIC void
fpheap_group_rewind(fpheap_group *group, fpheap_mark mark)
{
    if (FPH_WATCHED
        || FPH_UNLIKELY(mark.group != group || mark.pieces != group->pieces
                        || mark.endings != group->endings))
        fph_rewind_miss(group, &mark);
    else
        group->at = mark.at;
}

FPH_PUBLIC void
fpheap_group_end(fpheap_group *group)
{
    if (group == NULL)
        return;
    if (FPH_WATCHED || FPH_UNLIKELY(((uintptr_t)group->pieces
                                     | (uintptr_t)group->endings) != 0))
        fph_group_end_miss(group);
    else
        fpheap_free_sized(group->heap, group, FPH_PIECE(FPH_PIECE_FIRST));
}

#if FPHEAP_HEADER
/* --- references ------------------------------------------------------------
 *
 *       where                        order    partner  what must be seen
 *   I1  refs: CAS, to one less       acq_rel  I2       what was done with the
 *                                                      object
 *   I2  refs: load, also a failed    acquire  I1       that others are done
 *       CAS's
 *
 * refs never goes from 1 to 0 but by whoever frees the object.  I1 is no release
 * alone, as gcc for POWER gives a CAS that fails what its success acquires.
 */

FPH_NOWAIT unsigned
fpheap_refs(const void *object)
{
    return FPH_LOAD(&fph_head_of(object)->hold.refs, ACQUIRE);          /* I2 */
}

FPH_NOWAIT void
fpheap_ref(void *object)
{
    (void)FPH_FETCH_ADD(&fph_head_of(object)->hold.refs, 1u, RELAXED);
}

/* 1 means that this reference is the last: no other thread has one to copy, and
 * what the others did before they dropped theirs is seen (I2). */
FPH_NOWAIT void
fpheap_unref(fpheap *heap, void *object)
{
    fph_head *head = fph_head_of(object);
    unsigned  refs;

    if (object == NULL)
        return;
    refs = fpheap_refs(object);
    while (refs > 1)
        if (FPH_CAS(&head->hold.refs, &refs, refs - 1, ACQ_REL,     /* I1 */
                    ACQUIRE))
            return;
    if (refs != 0 && (head->about >> FPH_HEAD_DESTRUCTOR & 0xff) != 0)
        fph_unref_last(heap, object);
    else
        fpheap_free(heap, object);
}
#endif

/* --- statistics: the caller's compiler knows the size of its struct ------- */

FPH_PUBLIC void
fpheap_stats_get(fpheap *heap, fpheap_stats *stats)
{
    fpheap_stats_get_sized(heap, stats, sizeof *stats);
}

FPH_PUBLIC int
fpheap_class_stats_get(fpheap *heap, unsigned index, fpheap_class_stats *stats)
{
    return fpheap_class_stats_get_sized(heap, index, stats, sizeof *stats);
}

FPH_PUBLIC void
fpheap_pool_stats_get(fpheap_pool *pool, fpheap_pool_stats *stats)
{
    fpheap_pool_stats_get_sized(pool, stats, sizeof *stats);
}

#if FPHEAP_HEADER
FPH_PUBLIC int
fpheap_tag_stats_get(fpheap *heap, unsigned tag, fpheap_tag_stats *stats)
{
    return fpheap_tag_stats_get_sized(heap, tag, stats, sizeof *stats);
}
#endif

#if __has_attribute(nonblocking)
#  pragma clang diagnostic pop
#endif
#endif /* !FPHEAP_NO_INLINE */

#ifdef __cplusplus
}
#  pragma GCC diagnostic pop
#endif

#endif /* FPHEAP_H */

/* ===========================================================================
 * Implementation
 * ======================================================================== */

#if defined(FPHEAP_IMPLEMENTATION) && !defined(FPH_IMPLEMENTED)
#define FPH_IMPLEMENTED

#if FPHEAP_NO_INLINE
#  error "fpheap: FPHEAP_NO_INLINE and FPHEAP_IMPLEMENTATION exclude each other"
#endif

#if FPHEAP_SITES               /* here they are functions, see the end */
#  undef FPH_SITED
#  define FPH_SITED(f, ...) f(__VA_ARGS__)
#endif

/* [PLATFORM] ===============================================================
 *
 * All that depends on the system, except POSIX threads in CACHE and libnuma:
 * another POSIX system needs changes only here.  Also the atomic operations,
 * named by their order; FPH_LOAD and FPH_STORE, which take it as an argument,
 * are in FASTPATH.
 */
#include <errno.h>
#include <string.h>
#if FPHEAP_TOOL == 1
#  include <sanitizer/asan_interface.h>
#elif FPHEAP_TOOL == 2
#  include <sanitizer/msan_interface.h>
#elif FPHEAP_TOOL == 3
#  include <valgrind/memcheck.h>
#endif
#if !FPHEAP_NO_OS
#  include <signal.h>
#  include <stdlib.h>
#  include <sys/mman.h>
#  include <sys/resource.h>
#  include <time.h>
#  include <unistd.h>
#  ifdef __linux__
#    include <fcntl.h>
#    include <sys/prctl.h>
#    include <sys/stat.h>
#    include <sys/syscall.h>
#    include <sys/vfs.h>
#  endif
#endif
#if !FPHEAP_NO_THREADS
#  include <pthread.h>
#  include <sched.h>
#endif
#if FPHEAP_USE_LIBNUMA
#  include <numa.h>
#  include <sched.h>
#endif

#if !FPHEAP_NO_OS && !defined(MAP_ANONYMOUS)
#  error "fpheap: define _GNU_SOURCE before the first #include of this file"
#endif

#ifdef __cplusplus
#  pragma GCC diagnostic push
#  pragma GCC diagnostic ignored "-Wold-style-cast"
#  pragma GCC diagnostic ignored "-Wzero-as-null-pointer-constant"
#  ifndef __clang__
#    pragma GCC diagnostic ignored "-Wuseless-cast"
#  endif
extern "C" {
#endif

/* What an operation does without threads, and with them. */
#if FPHEAP_NO_THREADS
#  define FPH_EITHER(plain, atomic) plain
#else
#  define FPH_EITHER(plain, atomic) atomic
#endif

/* The operations on words as functions named by their order, fph_load_acquire
 * and so on; each use of a macro makes one. */
#define FPH_LOADS(name, order)                                              \
    static inline uint64_t                                                  \
    fph_load_##name(const fph_word *p)                                      \
    {                                                                       \
        return FPH_EITHER(*p, __atomic_load_n(p, __ATOMIC_##order));        \
    }
#define FPH_STORES(name, order)                                             \
    static inline void                                                      \
    fph_store_##name(fph_word *p, uint64_t v)                               \
    {                                                                       \
        FPH_EITHER(*p = v, __atomic_store_n(p, v, __ATOMIC_##order));       \
    }
#define FPH_FETCHES(what, operation, name, order)                           \
    static inline uint64_t                                                  \
    fph_fetch_##what##_##name(fph_word *p, uint64_t v)                      \
    {                                                                       \
        FPH_EITHER(uint64_t old = *p; *p = old operation v; return old,     \
                   return __atomic_fetch_##what(p, v, __ATOMIC_##order));   \
    }

FPH_LOADS(relaxed, RELAXED)
FPH_LOADS(acquire, ACQUIRE)
FPH_LOADS(seq_cst, SEQ_CST)
FPH_STORES(relaxed, RELAXED)
FPH_STORES(release, RELEASE)
FPH_FETCHES(or, |, release, RELEASE)
FPH_FETCHES(or, |, relaxed, RELAXED)
FPH_FETCHES(and, &, relaxed, RELAXED)
FPH_FETCHES(and, &, acquire, ACQUIRE)
FPH_FETCHES(add, +, relaxed, RELAXED)
FPH_FETCHES(add, +, release, RELEASE)
FPH_FETCHES(add, +, acquire, ACQUIRE)
FPH_FETCHES(add, +, acq_rel, ACQ_REL)
FPH_FETCHES(add, +, seq_cst, SEQ_CST)

#if FPHEAP_NO_THREADS
static inline int
fph_plain_cas(fph_word *p, uint64_t *expected, uint64_t desired)
{
    if (*p != *expected) {
        *expected = *p;
        return 0;
    }
    *p = desired;
    return 1;
}
#endif

/* Each compare-and-swap leaves the word's value in *expected when it fails. */
#define FPH_COMPARES(name, order, failure)                                  \
    static inline int                                                       \
    fph_cas_##name(fph_word *p, uint64_t *expected, uint64_t desired)       \
    {                                                                       \
        return FPH_EITHER(fph_plain_cas(p, expected, desired),              \
                          FPH_CAS(p, expected, desired, order, failure));   \
    }

FPH_COMPARES(relaxed, RELAXED, RELAXED)
FPH_COMPARES(acquire, ACQUIRE, RELAXED)
FPH_COMPARES(release, RELEASE, RELAXED)
FPH_COMPARES(acq_rel, ACQ_REL, ACQUIRE)
FPH_COMPARES(seq_cst, SEQ_CST, RELAXED)

/* The same for other types, where the caller has seen that *p is *e; and an
 * exchange of what is at p: of two threads one gets it. */
#define FPH_CAS_PTR(p, e, d, order) FPH_CAS(p, e, d, order, RELAXED)
#if FPHEAP_NO_THREADS
#  define FPH_SWAP(p, v, old)  ((void)(*(old) = *(p), *(p) = *(v)))
#else
#  define FPH_SWAP(p, v, old)  __atomic_exchange(p, v, old, __ATOMIC_RELAXED)
#endif

/* Raise *p to v if it is lower. */
static inline void
fph_max_relaxed(fph_word *p, uint64_t v)
{
    uint64_t old = fph_load_relaxed(p);

    while (old < v && !fph_cas_relaxed(p, &old, v))
        ;
}

static inline unsigned
fph_lowest_bit(uint64_t word)
{
    return (unsigned)__builtin_ctzll(word);
}

static inline unsigned
fph_highest_bit(uint64_t word)
{
    return 63u ^ (unsigned)__builtin_clzll(word);
}

static inline unsigned
fph_popcount(uint64_t word)
{
    return (unsigned)__builtin_popcountll(word);
}

/* While it is in scope, the system's functions are no cancellation points: at
 * one a thread would end in the middle of a call. */
#if !FPHEAP_NO_THREADS && !FPHEAP_NO_OS && defined(PTHREAD_CANCEL_DISABLE)
static inline int
fph_cancel_stop(void)
{
    int was = PTHREAD_CANCEL_ENABLE;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &was);
    return was;
}

static inline void
fph_cancel_resume(const int *was)
{
    int stopped;

    pthread_setcancelstate(*was, &stopped);
}
#  define FPH_UNCANCELLED                                                  \
    const int fph_cancels __attribute__((cleanup(fph_cancel_resume), unused)) \
        = fph_cancel_stop()
#else
#  define FPH_UNCANCELLED ((void)0)
#endif

__attribute__((noinline, cold, unused)) static void
fph_say(const char *line)
{
#if FPHEAP_NO_OS
    (void)line;
#else
    FPH_UNCANCELLED;
    ssize_t written = write(STDERR_FILENO, line, strlen(line));

    written += write(STDERR_FILENO, "\n", 1);
    (void)written;
#endif
}

#ifndef FPHEAP_REPORT
#  define FPHEAP_REPORT(line) fph_say(line)
#endif

#ifndef FPHEAP_PANIC
#  define FPHEAP_PANIC(message) fph_panic(message)
__attribute__((noinline, cold)) static void
fph_panic(const char *message)
{
    fph_say(message);
#  if FPHEAP_NO_OS
    __builtin_trap();
#  else
    abort();
#  endif
}
#endif

static inline uint64_t
fph_now_ns(void)
{
#if FPHEAP_NO_OS && FPHEAP_NO_THREADS
    return 0;
#elif FPHEAP_NO_OS && defined(FPHEAP_NOW_NS)
    return FPHEAP_NOW_NS();
#elif FPHEAP_NO_OS
    static fph_word looks;     /* atomic, relaxed: only its growth matters */

    return fph_fetch_add_relaxed(&looks, 1) * 1000;
#else
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#endif
}

/* When a wait for another thread ends. */
static inline uint64_t
fph_deadline(void)
{
    return FPHEAP_NO_THREADS ? 0
         : fph_now_ns() + (uint64_t)FPHEAP_GROWTH_WAIT_MS * 1000000u;
}

static inline void
fph_yield(void)
{
#if !FPHEAP_NO_THREADS
    sched_yield();
#endif
}

/* The number of this process. */
static inline uint64_t
fph_process(void)
{
#if FPHEAP_NO_OS
    return 1;
#else
    return (uint32_t)getpid();
#endif
}

/* Whether memory at p can be written: the kernel is asked to store the signal
 * mask there (8 bytes, 16 on MIPS), and says EFAULT where a store here would
 * end the program. */
static int
fph_is_writable(void *p)
{
#if !FPHEAP_NO_OS && defined(__linux__)
    return syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, p,
                   (size_t)(_NSIG / 8)) == 0;
#else
    (void)p;
    return 1;
#endif
}

/* One write to every 4 KiB, so that no page is left to fault in.  The memory is
 * the caller's and stays as it is. */
static void
fph_touch(char *from, char *to)
{
    for (; from < to; from += 4096)
        *(volatile char *)from = *(volatile char *)from;
}

#define FPH_LINE 64u           /* bytes that a processor moves at a time */

/* Where in its memory a block of records begins that lies apart.  Not at a
 * page's start, as most slabs do: a load waits for a store to another address
 * of the same lower 12 bits, which took up to a fifth of a hit's time. */
#define FPH_MAP_SKIP (FPHEAP_CHUNK >= (1u << 21) ? 1024u : FPH_LINE)

#if FPHEAP_NO_OS
#  define fph_map_open(at, bytes)   1
#  define fph_map_apart(bytes)      NULL
#  define fph_map_apart_end(memory) ((void)0)
#else
#ifdef MAP_HUGETLB
#  define FPH_MAP_HUGETLB MAP_HUGETLB
#else
#  define FPH_MAP_HUGETLB 0
#endif
#ifdef MAP_FIXED_NOREPLACE
#  define FPH_MAP_THERE MAP_FIXED_NOREPLACE
#else
#  define FPH_MAP_THERE 0      /* the place is a hint */
#endif

static void *
fph_map(void *at, size_t bytes, int access, int flags)
{
    void *base = mmap(at, bytes, access, MAP_PRIVATE | MAP_ANONYMOUS | flags,
                      -1, 0);

    return base == MAP_FAILED ? NULL : base;
}

/* Where what is mapped next is best, so that it follows what was mapped last:
 * at first the start of a large piece of addresses that nobody uses.  Relaxed,
 * as a place that is taken is refused. */
static fph_word fph_map_next;

/* Map memory at a place if it is free there.  Returns 0 if not. */
static int
fph_map_at(char *at, size_t bytes, fpheap_region *region)
{
    void *base = at == NULL ? NULL
               : fph_map(at, bytes, PROT_READ | PROT_WRITE, FPH_MAP_THERE);

    region->base = base;
    region->bytes = bytes;
    if (base == NULL)
        return 0;
    if (base == at) {
        fph_store_relaxed(&fph_map_next, (uintptr_t)at + bytes);
        return 1;
    }
    munmap(base, bytes);       /* an old kernel takes `at` for a hint */
    return 0;
}

static char *
fph_map_room(size_t align)
{
    size_t    room = (size_t)1 << (sizeof(void *) == 8 ? 36 : 26);
    uintptr_t next = (uintptr_t)fph_load_relaxed(&fph_map_next);

    if (next == 0) {
        next = (uintptr_t)fph_map(NULL, room, PROT_NONE, MAP_NORESERVE);
        if (next == 0)
            return NULL;
        munmap((void *)next, room);
    }
    return (char *)((next + align - 1) & ~(uintptr_t)(align - 1));
}

/* The most bytes of addresses that the process may have. */
static uint64_t
fph_address_space(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY
         ? UINT64_MAX : (uint64_t)limit.rlim_cur;
}

#if UINTPTR_MAX == 0xffffffff
#  define FPH_ADDRESS_BITS 32
#elif defined(__x86_64__)
#  define FPH_ADDRESS_BITS 47
#else
#  define FPH_ADDRESS_BITS 48
#endif

/* Reserve addresses that take no memory, even if the process locks all that it
 * has (hence no access), and that are in no core file.  NULL: there are not so
 * many. */
static void *
fph_map_reserve(size_t bytes)
{
    void *base = fph_map(NULL, bytes, PROT_NONE, MAP_NORESERVE);

    if (base == NULL)
        return NULL;
    munlock(base, bytes);
#ifdef MADV_DONTDUMP
    madvise(base, bytes, MADV_DONTDUMP);
#endif
#ifdef MADV_NOHUGEPAGE
    madvise(base, bytes, MADV_NOHUGEPAGE);
#endif
    return base;
}

/* Allow access to the system's pages in which reserved addresses lie. */
static int
fph_map_allow(void *at, size_t bytes, int access)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
    uintptr_t from = (uintptr_t)at & ~page;
    uintptr_t to   = ((uintptr_t)at + bytes + page) & ~page;

    return mprotect((void *)from, to - from, access) == 0;
}

/* Let reserved addresses read as zeros, and take memory where they are
 * written.  Returns 0: there is none. */
static int
fph_map_open(void *at, size_t bytes)
{
    return fph_map_allow(at, bytes, PROT_READ | PROT_WRITE);
}

static void
fph_map_end(void *base, size_t bytes)
{
    munmap(base, bytes);
}

/* No page of the system is longer. */
#define FPH_MAP_BORDER ((size_t)1 << 16)

/* Memory of zeros between pages that nobody may touch, for at least so many
 * bytes.  It is locked where the process locks all that it maps.  NULL: there
 * is none. */
static void *
fph_map_apart(size_t bytes)
{
    size_t all  = (bytes + FPH_MAP_SKIP + 3 * FPH_MAP_BORDER - 1)
                & ~(FPH_MAP_BORDER - 1);
    char  *base = (char *)fph_map(NULL, all, PROT_NONE, 0);
    char  *from;

    if (base == NULL)
        return NULL;
    from = base + FPH_MAP_BORDER;
    if (!fph_map_open(from, all - 2 * FPH_MAP_BORDER)) {
        fph_map_end(base, all);
        return NULL;
    }
#ifdef MADV_NOHUGEPAGE
    madvise(from, all - 2 * FPH_MAP_BORDER, MADV_NOHUGEPAGE);
#endif
    *(size_t *)(void *)from = all;
    return from + FPH_MAP_SKIP;
}

static void
fph_map_apart_end(void *memory)
{
    char *from = (char *)memory - FPH_MAP_SKIP;

    fph_map_end(from - FPH_MAP_BORDER, *(size_t *)(void *)from);
}

/* Map an aligned region.  If the kernel's first choice is not aligned, map more
 * and unmap both ends; an end that cannot be unmapped (the process has as many
 * mappings as it may) stays in the region.  Returns 0: no memory. */
static int
fph_map_aligned(size_t bytes, size_t align, fpheap_region *region)
{
    char  *base = (char *)fph_map(NULL, bytes, PROT_READ | PROT_WRITE, 0);
    size_t skip;

    region->base = base;
    region->bytes = bytes;
    if (((uintptr_t)base & (align - 1)) == 0)
        return base != NULL;
    if (munmap(base, bytes) != 0)
        return 1;
    base = (char *)fph_map(NULL, bytes + align, PROT_READ | PROT_WRITE, 0);
    if (base == NULL)
        return 0;
    skip = (size_t)(-(uintptr_t)base & (align - 1));
    region->base = base;
    region->bytes = bytes + align;
    if (munmap(base + skip + bytes, align - skip) == 0)
        region->bytes -= align - skip;
    if (skip != 0 && munmap(base, skip) == 0) {
        region->base = base + skip;
        region->bytes -= skip;
    }
    return 1;
}

/* Map a region of whole reserved hugepages of 1 << shift bytes.  Returns 0:
 * there are not enough of that size. */
static int
fph_map_huge(size_t bytes, unsigned shift, fpheap_region *region)
{
    size_t page = (size_t)1 << shift;
    int    size = (int)(shift << 26); /* MAP_HUGE_SHIFT */

    if (FPH_MAP_HUGETLB == 0 || bytes > SIZE_MAX - page)
        return 0;
    region->bytes = (bytes + page - 1) & ~(page - 1);
    region->base = fph_map(NULL, region->bytes, PROT_READ | PROT_WRITE,
                           FPH_MAP_HUGETLB | size);
    return region->base != NULL;
}

/* Write to every page of a region.  Returns 0 if one cannot be written. */
static int
fph_populate(const fpheap_region *region, size_t page)
{
    size_t at;

    for (at = 0; at < region->bytes; at += page)
        if (!fph_is_writable((char *)region->base + at))
            return 0;
    return 1;
}

#ifdef PR_GET_THP_DISABLE
/* The start of a file as text; empty if it cannot be read. */
static void
fph_file_start(const char *path, char text[64])
{
    FPH_UNCANCELLED;
    int     file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n    = file < 0 ? 0 : read(file, text, 63);

    text[n < 0 ? 0 : n] = '\0';
    if (file >= 0)
        close(file);
}

/* What the system's files say, which are read once per process: 1, it may give
 * some; 2, none even where they are asked for; 0: they were not read yet.
 * Relaxed, as nothing else depends on it. */
static fph_word fph_thp_known;

/* Whether the kernel may give transparent hugepages that are asked for.  (The
 * process's own setting: 1, none at all; 3, only those that it asks for.) */
static int
fph_thp_allowed(void)
{
    char text[64];

    if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1)
        return 0;
    if (fph_load_relaxed(&fph_thp_known) == 0) {
        fph_file_start("/sys/kernel/mm/transparent_hugepage/hugepages-2048kB"
                       "/enabled", text);
        if (text[0] == '\0' || (strstr)(text, "[inherit]") != NULL)
            fph_file_start("/sys/kernel/mm/transparent_hugepage/enabled", text);
        fph_store_relaxed(&fph_thp_known,
                          (strstr)(text, "[never]") != NULL ? 2 : 1);
    }
    return fph_load_relaxed(&fph_thp_known) == 1;
}
#else
#  define fph_thp_allowed() 1
#endif

/* How many bytes there have memory of the system's, in its pages; SIZE_MAX: it
 * does not tell. */
static size_t
fph_map_present(char *base, size_t bytes)
{
    size_t        page    = (size_t)sysconf(_SC_PAGESIZE);
    size_t        present = 0;
    size_t        at, i;
    unsigned char in[512];

    for (at = 0; at < bytes; at += sizeof in * page) {
        size_t n = (bytes - at) / page;

        n = n < sizeof in ? n : sizeof in;
        if (mincore(base + at, n * page, in) != 0)
            return SIZE_MAX;
        for (i = 0; i < n; i++)
            present += in[i] & 1 ? page : 0;
    }
    return present;
}

/* Whether 7 of 8 bytes at least have memory. */
static int
fph_map_is_full(char *base, size_t bytes)
{
    size_t present = fph_map_present(base, bytes);

    return present != SIZE_MAX && present >= bytes - bytes / 8;
}

#define FPH_COLLAPSE 25        /* MADV_COLLAPSE of Linux 6.1 */

/* Whether transparent hugepages are asked for from now on.  What is full is
 * made so at once if the kernel can, else it does so some day. */
static int
fph_map_advise(void *base, size_t bytes, fpheap_huge what)
{
#ifdef MADV_HUGEPAGE
    if (what == FPHEAP_HUGE_NONE)
        madvise(base, bytes, MADV_NOHUGEPAGE);
    else if (fph_thp_allowed()
             && (what == FPHEAP_HUGE_NOW
                 || fph_map_is_full((char *)base, bytes))
             && madvise(base, bytes, MADV_HUGEPAGE) == 0) {
        if (what == FPHEAP_HUGE_IF_FULL)
            madvise(base, bytes, FPH_COLLAPSE);
        return 1;
    }
#endif
    (void)base, (void)bytes, (void)what;
    return 0;
}
#endif

#if FPHEAP_SHARED
/* What <fcntl.h> hides without _GNU_SOURCE. */
#  ifndef F_OFD_GETLK
#    define F_OFD_GETLK 36
#    define F_OFD_SETLK 37
#  endif
#  ifndef O_TMPFILE
#    define O_TMPFILE __O_TMPFILE
#  endif
#  define FPH_PUNCH    3       /* FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE */
#  define FPH_POPULATE 23      /* MADV_POPULATE_WRITE of Linux 5.14 */

/* fallocate, which is hidden too.  Returns 0, or a negative errno. */
static int
fph_file_allocate(int file, int mode, uint64_t at, uint64_t bytes)
{
    long rc;

    do {
#  if __SIZEOF_POINTER__ == 8
        rc = syscall(SYS_fallocate, file, mode, at, bytes);
#  elif __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        rc = syscall(SYS_fallocate, file, mode, (long)at, (long)(at >> 32),
                     (long)bytes, (long)(bytes >> 32));
#  else
        rc = syscall(SYS_fallocate, file, mode, (long)(at >> 32), (long)at,
                     (long)(bytes >> 32), (long)bytes);
#  endif
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno == ENOSPC || errno == EDQUOT ? -ENOMEM : -errno;
}
#endif

#if FPHEAP_USE_LIBNUMA
/* How many nodes the machine has; 0: libnuma does not know. */
static unsigned
fph_numa_nodes(void)
{
    return numa_available() < 0 ? 0 : (unsigned)numa_max_node() + 1;
}
#else
#  define fph_numa_nodes() 0u
#endif

#define FPH_STATIC_ASSERT(name, condition) \
    typedef char fph_assert_##name[(condition) ? 1 : -1] FPH_UNUSED

/* [META] ===================================================================
 *
 * The heap's own records: chunks' records, caches, magazines, pools.  They are
 * cut from blocks, RECORD, and stay until the heap ends; each is reused for its
 * own kind.  So a thread may read a record at any time, however long ago it
 * found the way to it, and memory of objects goes back without a grace period.
 *
 * Records are named by 32-bit references: block number and offset in units of
 * 64 bytes.  There is no block 0, so 0 means none.
 */
#define FPH_UNIT_BITS  (FPHEAP_CHUNK_SHIFT - 6)
#if FPHEAP_CHUNK_SHIFT < 24
#  define FPH_TABLE_MAX (FPHEAP_CHUNK >> 9)    /* meta blocks; also regions */
#else
#  define FPH_TABLE_MAX (FPHEAP_CHUNK >> 10)   /* a reference has 32 bits */
#endif
#define FPH_LENGTHS    (FPH_PAGE_BITS + 2)     /* of runs, told apart */

/* Unused bytes before a block in pages, and before the state with its tables: a
 * write past an object's end meets these first.  And behind them, for a write
 * before an object's start. */
#define FPH_GUARD      (FPHEAP_CHUNK >= (1u << 18) ? FPHEAP_CHUNK >> 11 : 128)
#define FPH_GUARD_END  128u
#define FPH_GUARDS     (FPH_GUARD + FPH_GUARD_END)
#if FPHEAP_NO_OS
#  define FPH_STATE_GUARD FPH_GUARD
#else
#  define FPH_STATE_GUARD FPH_MAP_BORDER /* which nobody may touch */
#endif

/* First in every record that stands in a stack. */
typedef struct fph_link {
    uint32_t next;             /* atomic */
    uint32_t self;             /* written before it first stands in one */
} fph_link;

/* What many threads write lies in a line of its own; where there is one thread,
 * its neighbours may share the line. */
#if FPHEAP_NO_THREADS
#  define FPH_OWN_LINE
#else
#  define FPH_OWN_LINE __attribute__((aligned(64)))
#endif

/* A stack's head, or another such word. */
typedef struct fph_line {
    fph_word word;
} FPH_OWN_LINE fph_line;

/* Geometry of a class.  Written by fpheap_create and, a pool's, when it begins;
 * read by whoever has a slab of it, by statistics and by passes, which may meet
 * a pool that ends and the next: hence all but inverse are atomic. */
typedef struct fph_class {
    uint32_t size;
    uint32_t inverse;          /* 2^32 / size, rounded up */
    uint32_t count;            /* objects in a slab */
    uint32_t skip;             /* bytes before a slab's first object: its header
                                  and what aligns it; 0 without headers */
    uint16_t pages;            /* of a slab */
    uint16_t magazine;         /* objects in a full magazine */
} fph_class;

/* Per bin: its two stacks. */
typedef struct fph_depot {
    fph_word full;             /* stack of full magazines, DEPOT */
    fph_word partial;          /* stack of slabs with free objects, SLAB */
} FPH_OWN_LINE fph_depot;

typedef struct fph_chunk  fph_chunk;
typedef struct fph_region fph_region;

/* The watermarks of a heap or a pool, WATER. */
typedef struct fph_water {
    fpheap_water marks;
    fph_word     is;           /* atomic */
} fph_water;

struct fph_state {
    fph_class  classes[FPH_CLASSES];

    /* written at create only */
    unsigned   number;                     /* of the heap's handle, or
                                              FPH_SHARED */
    fph_depot *depots;                     /* one per bin */
    fph_line  *empty;                      /* per node, stack of magazines */

    /* the window, PAGES: written at create, but for what they lead to */
    size_t     bytes;                      /* of the state and the tables */
    size_t     mask;                       /* of pages' numbers */
    uint16_t  *map;                        /* per page; atomic */
    fph_word  *free;                       /* per chunk, a bit per page */
    fph_chunk *chunks;
    fph_region *region;
    size_t     regions_max;
    uint32_t  *groups;                     /* in the order in which they came,
                                              each + 1; atomic */
    uint32_t  *group_at;                   /* by group, where; + 1; atomic */
    size_t     groups_max;
    int        alone;                      /* 1: a chunk is of one region, as
                                              IOVAs are contiguous in it; 2:
                                              objects are in one chunk, but
                                              regions may share it */

    /* written in slow paths */
    char      *end;                        /* atomic; of the last region that
                                              came */
    fph_word   groups_used;
    fph_word   cursor[FPHEAP_MAX_NODES][FPH_LENGTHS]; /* PAGES */
    fph_line   records;                    /* stack: unused chunk records */
    fph_line   meta_cursor;                /* block : 24 | end : 20 | unit of
                                              the next record : 20 */
    fph_word   meta_numbers;               /* of meta[] used up */
    fph_word   regions;                    /* slots of region[] ever used */
    fph_word   growing;                    /* REGION */
    fph_word   growth_tickets;
    fph_word   growth_cap[FPHEAP_MAX_NODES]; /* units; 0: none */
    fph_word   dry_ns[FPHEAP_MAX_NODES];   /* when it could not grow */
    char      *huge_next;                  /* atomic; REGION: where the next
                                              look at full chunks begins */
    fph_word   magazines;                  /* made so far */
    fph_word   empty_pages;                /* of slabs with all objects free,
                                              which a pass can turn into free
                                              pages */
    fph_word   marked;                     /* WATER: of water[], that may have
                                              watermarks; 0: none */
    fph_word   turn;
    fph_word   claimed;                    /* bytes, with a heap's watermarks */
    fph_word   asked;                      /* GROWTH: how often, and when */
    fph_word   asked_ns;
    fph_word   limit;                      /* as it was set; 0: none */
    fph_word   left;                       /* of it, signed, by region_bytes and
                                              what is asked for */
#if FPHEAP_HEADER
    fph_word   tag_objects[FPHEAP_TAGS];   /* by threads without a cache */
    fph_word   tag_bytes[FPHEAP_TAGS];
#endif
    fph_word   moves_begun;                /* see fph_moves_begin */
    fph_word   moves_ended;
    fph_word   moves_stuck;
    fph_word   orphans;                    /* CACHE: 1 + the seat of the thread
                                              that goes on after a fork */
    unsigned   forked;                     /* 1: by a thread that may have left
                                              others in the middle of a call */
    unsigned   ends;                       /* 1: its pools are being destructed,
                                              and no thread has a cache */
    fph_word   names;                      /* POOL: how many were wanted */
    fph_word   pool_is[FPHEAP_MAX_POOLS];
    fpheap_pool *pool[FPHEAP_MAX_POOLS];   /* atomic; set once */

    fph_word   region_bytes;               /* REGION; its steps, and META's, go
                                              by it */
    fph_word   lost;                       /* regions, see fph_lose */
    fph_word   growths;                    /* G15 */

    /* statistics */
    fph_word   peak_region_bytes;
    fph_word   backing_bytes[4];
    fph_word   growth_failures;
    fph_word   growth_max_ns;
    fph_word   releases;
    fph_word   reclaims;

    char          *meta[FPH_TABLE_MAX];    /* blocks; written before use */
    fpheap_cache  *cache[FPHEAP_MAX_THREADS]; /* by seat; atomic; set once */
    fph_water      water[1 + FPHEAP_MAX_POOLS]; /* WATER */
#if FPHEAP_SHARED
    fph_word       made[2];                /* stacks of all chunks' records, and
                                              of all magazines, ever made */
    uint8_t        meta_pages[FPH_TABLE_MAX]; /* that blocks take of chunks */
#endif
};

FPH_STATIC_ASSERT(references_fit,
                  (uint64_t)FPH_TABLE_MAX << FPH_UNIT_BITS
                      <= (uint64_t)1 << 32);
FPH_STATIC_ASSERT(units_fit, FPH_UNIT_BITS < 20);

/*
 * Numbers that one has at a time: of the process's handles, of its threads'
 * seats.
 *
 *       where                        order    partner  what must be seen
 *   M3  taken: CAS                   acquire  M4       the last heap is gone;
 *                                                      the last thread's caches
 *                                                      are empty
 *   M4  taken: store 0               release  M3
 */
static fpheap   fph_heaps[FPHEAP_MAX_HEAPS];
static fph_word fph_heap_used[FPHEAP_MAX_HEAPS]; /* 1: it is */
static fph_word fph_heap_within[FPHEAP_MAX_HEAPS]; /* 1 + its parent; 0: none */
static fph_word fph_heap_name[FPHEAP_MAX_HEAPS][FPHEAP_NAME_BYTES / 8]; /* the
                              same as in the handle; relaxed, for whoever has
                              but the number */

/* One of the n numbers that nobody has, or n. */
static unsigned
fph_number_take(fph_word *taken, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        uint64_t is = fph_load_relaxed(&taken[i]);

        if (is == 0 && fph_cas_acquire(&taken[i], &is, 1))          /* M3 */
            break;
    }
    return i;
}

static void
fph_number_give(fph_word *taken)
{
    fph_store_release(taken, 0);                                    /* M4 */
}

/* A number's handle; NULL: nobody has it.  Relaxed, as whoever is in a call on
 * that heap has seen it come, and a message may be late. */
static inline fpheap *
fph_handle_at(unsigned number)
{
    return fph_load_relaxed(&fph_heap_used[number]) == 1
         ? &fph_heaps[number] : NULL;
}

/* The number of a heap's handle in this process, given the state, which several
 * may share, whatever their FPHEAP_MAX_HEAPS: FPH_SHARED, no handle's number */
#define FPH_SHARED 0xffffu

static inline unsigned
fph_number_of(const fph_state *state)
{
    unsigned i = state->number;

    if (FPHEAP_SHARED && i == FPH_SHARED)
        for (i = 0; i + 1 < FPHEAP_MAX_HEAPS
                    && FPH_LOAD(&fph_heaps[i].state, RELAXED) != state;)
            i++;
    return i;
}

/* Whether a pointer is to a handle, used or not. */
static inline int
fph_is_handle(const fpheap *heap)
{
    uintptr_t at = (uintptr_t)heap - (uintptr_t)fph_heaps;

    return at < sizeof fph_heaps && at % sizeof *heap == 0;
}

#if FPHEAP_SHARED
/* Whether other processes have the heap too. */
static inline int
fph_is_shared(const fpheap *heap)
{
    return heap->partition != NULL;
}

/* Whether this process may only read it. */
static inline int
fph_is_view(const fpheap *heap)
{
    return fph_is_handle(heap) && heap->state == NULL && heap->view != NULL;
}

/* Count objects of a bin, or of the first pages of large ones, that this
 * process takes from what it shares with others, after it has them; or,
 * negative, gives back, before that.  So what it has in its hands when it dies
 * is not counted as the application's. */
static inline void
fph_take_count(const fph_state *state, unsigned bin, size_t n)
{
    fph_word *taken = state->number != FPH_SHARED ? NULL
                    : fph_heaps[fph_number_of(state)].taken;
    size_t    size;

    if (taken == NULL)
        return;
    size = bin == 0 ? FPHEAP_PAGE
         : FPH_LOAD(&state->classes[bin % FPH_CLASSES].size, RELAXED);
    fph_fetch_add_relaxed(taken, (uint64_t)(int64_t)(ptrdiff_t)n * size);
}
#else
#  define fph_is_shared(heap)             ((void)(heap), 0)
#  define fph_is_view(heap)               ((void)(heap), 0)
#  define fph_take_count(state, bin, n)   ((void)(bin))
#endif

#if FPHEAP_SHARED && FPHEAP_HEADER
/* Objects that are not live come into this process's hands, or leave them to be
 * nobody's, SHARED. */
static inline void
fph_heads_own(const fph_state *state, void *const *objects, size_t n, int mine)
{
    uint64_t both = 0;
    size_t   i;

    if (state->number != FPH_SHARED)
        return;
    if (mine)
        both = fph_heaps[fph_number_of(state)].mine;
    for (i = 0; i < n; i++)
        fph_store_relaxed(&fph_head_of(objects[i])->hold.both, both);
}

/* None of the objects of a new slab is anybody's. */
static inline void
fph_heads_clear(const fph_state *state, char *base, size_t size, size_t count)
{
    void *object;

    for (; state->number == FPH_SHARED && count > 0; count--, base += size) {
        object = base;
        fph_heads_own(state, &object, 1, 0);
    }
}
#else
#  define fph_heads_own(state, objects, n, mine)    ((void)(objects))
#  define fph_heads_clear(state, base, size, count) ((void)0)
#endif

static inline void *
fph_meta_at(const fph_state *state, uint32_t ref)
{
    char *block = FPH_LOAD(&state->meta[ref >> FPH_UNIT_BITS], RELAXED);

    return block + (size_t)(ref & ((1u << FPH_UNIT_BITS) - 1)) * FPH_LINE;
}

static inline size_t
fph_meta_units(size_t bytes)
{
    return (bytes + FPH_LINE - 1) / FPH_LINE;
}

#define FPH_META_FIELD (((uint64_t)1 << 20) - 1)

static inline uint64_t
fph_meta_word(uint64_t block, size_t end, size_t unit)
{
    return block << 40 | (uint64_t)end << 20 | unit;
}

/* Whether the block at a cursor has room for a record. */
static inline int
fph_meta_fits(uint64_t cursor, size_t bytes)
{
    return (cursor & FPH_META_FIELD) + fph_meta_units(bytes)
        <= (cursor >> 20 & FPH_META_FIELD);
}

/* Bytes that the current block has left. */
static inline size_t
fph_meta_room(uint64_t cursor)
{
    return (size_t)((cursor >> 20 & FPH_META_FIELD) - (cursor & FPH_META_FIELD))
         * FPH_LINE;
}

/* Cut a record of zeros from the current block.  Returns its reference, or 0
 * when the block has no room for it. */
static uint32_t
fph_meta_cut(fph_state *state, size_t bytes)
{
    uint64_t cursor = fph_load_relaxed(&state->meta_cursor.word);

    do {
        if (!fph_meta_fits(cursor, bytes))
            return 0;
    } while (!fph_cas_acquire(&state->meta_cursor.word, &cursor,    /* M1 */
                              cursor + fph_meta_units(bytes)));
    return (uint32_t)((cursor >> 40) << FPH_UNIT_BITS
                      | (cursor & FPH_META_FIELD));
}

/* The number of the current block. */
static inline uint64_t
fph_meta_block(const fph_state *state)
{
    return fph_load_relaxed(&state->meta_cursor.word) >> 40;
}

#if FPHEAP_SHARED
/* What a cleaner needs to know, SHARED: the pages of a block, and all records
 * of a kind. */
static void
fph_meta_note(fph_state *state, uint64_t block, size_t room)
{
    state->meta_pages[block] = (uint8_t)((room + FPH_GUARDS)
                                         >> FPHEAP_PAGE_SHIFT);
}

#  define fph_made(state, kind, link) fph_stack_push(&(state)->made[kind], link)
#else
#  define fph_meta_note(state, block, room) ((void)0)
#  define fph_made(state, kind, link)       ((void)0)
#endif

/*
 * Make memory the current block in place of the one numbered `full`, unless
 * another thread was first.  In the new block the first `bytes` are the
 * caller's, and others begin within a chunk, as references can say no more.
 * Returns their reference, or 0: the caller keeps the memory, and if
 * there was another thread a record may now be cut from its block.
 *
 *       where                        order    partner  what must be seen
 *   M1  meta_cursor: CAS to cut      acquire  M2       the block's address
 *   M2  meta_cursor: CAS to install  release  M1
 *
 * Whoever gets a reference from another thread gets it by an edge that comes
 * after M1.
 */
static uint32_t
fph_meta_install(fph_state *state, uint64_t full, char *memory, size_t room,
                 size_t bytes)
{
    uint64_t cursor = fph_load_relaxed(&state->meta_cursor.word);
    uint64_t block;

    if (cursor >> 40 != full)
        return 0;
    if (room > FPHEAP_CHUNK)
        room = FPHEAP_CHUNK;
    block = fph_fetch_add_relaxed(&state->meta_numbers, 1);
    if (block >= FPH_TABLE_MAX)
        return 0;
    FPH_STORE(&state->meta[block], memory, RELAXED);
    fph_meta_note(state, block, room);
    do {
        if (cursor >> 40 != full) {
            FPH_STORE(&state->meta[block], (char *)NULL, RELAXED);
            return 0;
        }
    } while (!fph_cas_release(&state->meta_cursor.word, &cursor,    /* M2 */
                              fph_meta_word(block, room / FPH_LINE,
                                            fph_meta_units(bytes))));
    return (uint32_t)(block << FPH_UNIT_BITS);
}

/*
 * Tagged stacks of records: full and empty magazines, slabs with free objects,
 * unused records of chunks.
 *
 *     head    | tag : 32 | reference of the top record, 0: none : 32 |
 *
 * Every change advances the tag, the taking of a whole stack too.  So when a
 * pop's CAS succeeds, no push, pop or take came between it and its load of the
 * head (but for a multiple of 2^32 of them exactly), and the `next` that it
 * read is that of the top record.  That record may have been popped and reused
 * while `next` was read: it is still a record, the read means nothing, and the
 * CAS refuses.
 *
 *       where               order    partner  what must be seen
 *   T1  push, take: load    relaxed  none     a guess; T2, T5 verify it
 *   T2  push: CAS           release  T3       next, and all of the record
 *   T3  pop: load, CAS on   acquire  T2       the same.  Pops in between are
 *       failure                               read-modify-writes and continue
 *                                             the release sequence of each push
 *   T4  next                relaxed  T2, T3   nothing by itself
 *   T5  pop, take: CAS      acquire  T2       as T3; it publishes nothing (and
 *                                             a pop sees nothing new)
 *
 * Progress: lock-free.
 */
static inline uint64_t
fph_stack_next(uint64_t head, uint32_t top)
{
    return ((head >> 32) + 1) << 32 | top;
}

static void
fph_stack_push(fph_word *stack, fph_link *record)
{
    uint64_t head = fph_load_relaxed(stack);                        /* T1 */

    do
        FPH_STORE(&record->next, (uint32_t)head, RELAXED);          /* T4 */
    while (!fph_cas_release(stack, &head,                           /* T2 */
                            fph_stack_next(head, record->self)));
}

static fph_link *
fph_stack_pop(const fph_state *state, fph_word *stack)
{
    uint64_t  head = fph_load_acquire(stack);                       /* T3 */
    fph_link *record;
    uint32_t  next;

    do {
        if ((uint32_t)head == 0)
            return NULL;
        record = (fph_link *)fph_meta_at(state, (uint32_t)head);
        next = FPH_LOAD(&record->next, RELAXED);                    /* T4 */
    } while (!FPH_CAS(stack, &head, fph_stack_next(head, next), /* T3, T5 */
                      ACQUIRE, ACQUIRE));
    return record;
}

/* The top record of a quiet stack; NULL: it is empty. */
static fph_link *
fph_stack_top(const fph_state *state, const fph_word *stack)
{
    uint32_t top = (uint32_t)fph_load_relaxed(stack);

    return top == 0 ? NULL : (fph_link *)fph_meta_at(state, top);
}

/* The record below one that is in the caller's hands or in a quiet stack. */
static fph_link *
fph_stack_below(const fph_state *state, const fph_link *record)
{
    uint32_t next = FPH_LOAD(&record->next, RELAXED);               /* T4 */

    return next == 0 ? NULL : (fph_link *)fph_meta_at(state, next);
}

/* Take all records; the first one leads to the others. */
static fph_link *
fph_stack_take(const fph_state *state, fph_word *stack)
{
    uint64_t head = fph_load_relaxed(stack);                        /* T1 */

    do {
        if ((uint32_t)head == 0)
            return NULL;
    } while (!fph_cas_acquire(stack, &head,                         /* T5 */
                              fph_stack_next(head, 0)));
    return (fph_link *)fph_meta_at(state, (uint32_t)head);
}

/*
 * Records that others find: caches by seat, pools by number.  Each is set once.
 *
 *       where                        order    partner   what must be seen
 *   M5  cache[], pool[]: load        acquire  H8, P11   before it is read
 *
 * The pool that a bin is of; NULL: its class is the heap's own, or no pool has
 * ever had that number.
 */
static inline fpheap_pool *
fph_bin_pool(const fph_state *state, unsigned bin)
{
    unsigned k = bin % FPH_CLASSES;

    return k < FPH_SIZES ? NULL
         : FPH_LOAD(&state->pool[k - FPH_SIZES], ACQUIRE);          /* M5 */
}

/* The next cache, from that of seat *seat on, which then is the seat behind it.
 * NULL: there is none. */
static fpheap_cache *
fph_cache_next(const fph_state *state, size_t *seat)
{
    fpheap_cache *cache = NULL;

    for (; cache == NULL && *seat < FPHEAP_MAX_THREADS; ++*seat)
        cache = FPH_LOAD(&state->cache[*seat], ACQUIRE);            /* M5 */
    return cache;
}

/* [CALL] ===================================================================
 *
 * What a thread is in the middle of: callbacks that call the heap again, waits,
 * and moves of free memory.
 *
 * A callback runs inside a call and may call the heap again.  What that inner
 * call does not do, on the same heap, as others may be waiting for this thread:
 *
 *     inside of                   a call on the same heap
 *     the provider, the watcher   does not grow: EDEADLK; gives nothing back;
 *                                 waits for nobody
 *     a pass, the heap's end      begins no pass; waits for nobody
 *     a constructor, destructor   does not end the pool: EBUSY; a constructor
 *                                 is not called in FPH_NESTED others: EDEADLK
 *     `crossed`, of a pool        does not end the pool: EBUSY
 *     any of these callbacks,     does not end the heap: EBUSY; the call around
 *     and `crossed`, WATER        keeps its cache
 *     thread_node                 does not end the heap; is served by node 0
 *     pthread_setspecific         has no cache, if malloc is made of the heap
 *     a move                      waits for no move
 *
 * On another heap it does all of that; but all calls in one another share the
 * time for which the outermost may wait.  FPH_IN_CALL is a call made of others,
 * which share it too.
 */
enum { FPH_IN_CALL = 0, FPH_IN_PROVIDER = 1, FPH_IN_PASS = 2, FPH_IN_POOL = 4,
       FPH_IN_NODE = 8, FPH_IN_WATER = 16,
       FPH_IN_CALLBACK = FPH_IN_PROVIDER | FPH_IN_POOL | FPH_IN_NODE
                       | FPH_IN_WATER };

/* One of these, on the stack of the call that is in it. */
typedef struct fph_frame {
    unsigned                what;
    const fpheap           *heap;
    const fpheap_pool      *pool;  /* with FPH_IN_POOL, or _WATER of a pool */
    const struct fph_frame *outer;
} fph_frame;

typedef struct fph_thread {
    const fph_frame *frames;       /* innermost first */
    unsigned         nested;       /* constructors in one another */
    unsigned         walks;        /* of regions, in one another */
    uint64_t         wait_end;     /* of the outermost call; 0: it has not
                                      waited yet */
    int              beside;       /* 1: it asks the provider while another
                                      thread does, whose memory may be here and
                                      not be counted: it looks once more before
                                      it fails */
    uint32_t         moves[FPHEAP_MAX_HEAPS];      /* begun, by heap */
    uint32_t         open_moves[FPHEAP_MAX_HEAPS]; /* and not ended */
    uint32_t         depth[FPHEAP_MAX_HEAPS]; /* of calls, if heap->counted */
    uint32_t         did[FPHEAP_MAX_HEAPS];   /* what such a call has, WATER */
#if FPHEAP_SHARED
    fph_word        *calls[FPHEAP_MAX_HEAPS]; /* where those on a shared heap
                                                 are counted */
#endif
    unsigned         seat;         /* its number + 1; 0: it has none, CACHE */
    unsigned         patience;     /* misses until it tries again to have one,
                                      or a cache; or FPH_NEVER: it exits */
} fph_thread;

#define FPH_NEVER (~0u)

static FPH_TLS fph_thread fph_this;

/* Whether this thread is in one of these, of a heap, and of a pool if that is
 * not NULL. */
static int
fph_is_in(unsigned what, const fpheap *heap, const fpheap_pool *pool)
{
    const fph_frame *at = fph_this.frames;

    while (at != NULL && ((at->what & what) == 0 || at->heap != heap
                          || (pool != NULL && at->pool != pool)))
        at = at->outer;
    return at != NULL;
}

#if FPHEAP_SHARED
/*
 * Partitions.  The file of a heap that several processes share begins with what
 * they know of each other, SHARED.  A thread that is inside a call on such a
 * heap is counted: with its cache, or with its process.  Whoever cleans up
 * after a process that has died says so, lets all calls end, and keeps others
 * out.
 *
 *       where                        order    partner  what must be seen
 *   V6  calls: fetch_add 1           seq_cst  V8, V9   of a call and a cleaner
 *       cleaner: load, after it      seq_cst  V10      one sees the other
 *   V7  calls: fetch_add -1, as a    release  V9       what the call has done,
 *       call ends or is counted                        and that it is counted
 *       elsewhere; store 0, as a                       elsewhere; what the last
 *       member comes                                   member has done
 *   V8  cleaner: CAS from 0          seq_cst  V6
 *   V9  calls: load, until it is 0   seq_cst  V6, V7
 *   V10 cleaner: store 0             release  V6       what it has done
 *
 * V6, V8, V9: a call adds to its count and then looks for a cleaner; a cleaner
 * says that it is one and then looks at the counts.  These are in one order.
 * If the cleaner comes first, the call sees it, takes its count back (relaxed:
 * it has done nothing), waits, and begins again with V6; if the call does, the
 * cleaner sees the count and waits until V7.  So from the moment in which all
 * counts were 0 no thread is inside until V10, and each of them sees all that
 * the cleaner did.
 *
 * A call is counted in one place from its beginning to its end, though the
 * thread may get a cache meanwhile, or give it up: fph_this.calls says where.
 * Whoever gives it up counts the call with its process first; whoever sees that
 * the cache counts it no more, V7, or has no thread, H16, sees that too.
 * Calls inside others, as from a constructor, are not counted again.
 *
 * What a process did that has died is seen by whoever gets its lock: the system
 * drops it after the last instruction.
 */
#define FPH_MEMBERS 512u

/* A process that has a partition open.  Who has the lock of the byte of this
 * number in the file writes it. */
typedef struct fph_member {
    fph_word is;               /* 0: none; else when it came, from 1 on */
    fph_word process;          /* its number, for people */
    fph_word calls;            /* threads without a cache that are in a call */
    fph_word taken;            /* what heap->taken leads to */
} __attribute__((aligned(64))) fph_member;

/* In front of a cache of a shared heap: whose it is. */
typedef struct fph_slot {
    fph_word owner;            /* member + 1; 0: none */
    fph_word calls;            /* 1: its thread is in a call */
} __attribute__((aligned(64))) fph_slot;

struct fph_partition {
    fph_word   magic;          /* written last */
    char       settings[512];  /* that all processes must have */
    size_t     bytes;          /* of the file */
    char      *base;           /* where every process has it */
    size_t     head;           /* bytes before the state */
    fph_state *state;
    unsigned   nodes;          /* 1 */
    unsigned   fixed;          /* 1: the file neither grows nor shrinks */
    unsigned   unit;           /* chunks of which it gives and takes memory */
    fph_word   root;           /* atomic */
    fph_word   came;           /* members and cleaners so far */
    fph_word   cleaner;        /* 1 + the member that cleans up, and above it
                                  when it came; 0: none */
    unsigned   frees;          /* FPHEAP_FREE_DEAD, or 0 */
    fph_word   recovered;      /* members that were cleaned up after, */
    fph_word   threads;        /* their threads, */
    fph_word   objects;        /* and the objects that became free */
    fph_member member[FPH_MEMBERS];
    uint8_t    taken[1];       /* by chunk, atomic; 1: a region has it */
};

/* The statistics that only a shared heap has. */
static void
fph_recovered_add(const fph_partition *partition, fpheap_stats *stats)
{
    if (partition == NULL)
        return;
    stats->recovered_members = fph_load_relaxed(&partition->recovered);
    stats->recovered_threads = fph_load_relaxed(&partition->threads);
    stats->recovered_objects = fph_load_relaxed(&partition->objects);
}

/* The slot of a shared heap's cache. */
static inline fph_slot *
fph_slot_of(fpheap_cache *cache)
{
    return (fph_slot *)(void *)cache - 1;
}

/* Where calls of this thread are counted. */
static fph_word *
fph_calls_at(const fpheap *heap)
{
    fph_bin *bins = fph_bins_of(heap);

    return bins == fph_no_bins
         ? &heap->partition->member[heap->member].calls
         : &fph_slot_of((fpheap_cache *)(void *)((char *)bins
                        - offsetof(fpheap_cache, bins)))->calls;
}

/* Begin a call on a shared heap. */
static void
fph_call_begin(fpheap *heap, size_t number)
{
    fph_word *calls;

    for (;;) {
        calls = fph_calls_at(heap);
        fph_fetch_add_seq_cst(calls, 1);                            /* V6 */
        if (fph_load_seq_cst(&heap->partition->cleaner) == 0)       /* V6 */
            break;
        fph_fetch_add_relaxed(calls, ~(uint64_t)0);
        heap->recover(heap);
    }
    fph_this.calls[number] = calls;
}

/* End it, if it is one. */
static void
fph_call_end(size_t number)
{
    fph_word *calls = fph_this.calls[number];

    fph_this.calls[number] = NULL;
    if (calls != NULL)
        fph_fetch_add_release(calls, ~(uint64_t)0);                 /* V7 */
}
#else
#define fph_call_begin(heap, number) ((void)0)
#define fph_call_end(number)         ((void)0)
#define fph_recovered_add(partition, stats) ((void)0)
#endif

typedef fpheap *fph_held;      /* by a call; NULL: it is not counted */

/* Begin a call on a heap; it ends in fph_leave, WATER. */
static fpheap *
fph_enter(fpheap *heap)
{
    size_t number = (size_t)(heap - fph_heaps);

    if (FPH_LIKELY(!FPH_LOAD(&heap->counted, RELAXED)))
        return NULL;
    if (fph_this.depth[number]++ == 0 && fph_is_shared(heap))
        fph_call_begin(heap, number);
    return heap;
}

/*
 * Waiting.  A call waits FPHEAP_GROWTH_WAIT_MS at most, for all that it waits
 * for.
 */
static inline void
fph_wait_begin(void)
{
    if (fph_this.frames != NULL)
        return;
    fph_this.wait_end = 0;
    fph_this.beside = 0;
}

/* Let others go on.  Returns 0: this call has waited enough. */
static int
fph_wait(void)
{
    if (fph_this.wait_end == 0)
        fph_this.wait_end = fph_deadline();
    if (fph_now_ns() >= fph_this.wait_end)
        return 0;
    fph_yield();
    return 1;
}

/*
 * Moves.  A thread that holds free memory for a moment, to give it back, to
 * decommit it, or in a pass that takes parked objects back, begins a
 * move before it takes anything and ends it when all is back.  Whoever finds
 * nothing looks again if a move was under way meanwhile.  That saves failures
 * and growth; nothing else hangs on it.  A claim from a slab is no move: a
 * holder lets its slab go at once.  Pages that go back because a constructor
 * has failed are no move either: they counted as in use.
 *
 *       where                     order    partner  what must be seen
 *   V1  moves_begun: fetch_add    acquire  V4       the looks that missed it
 *   V2  moves_ended: fetch_add    release  V3       what was given back
 *   V3  moves_ended: load         acquire  V2       before the look
 *   V4  moves_begun: fetch_add 0  release  V1       after the look
 *   V5  moves_stuck: load, CAS    relaxed  none     how many to wait for, no
 *                                                   more
 *
 * V1 and V4 change one word, so one comes first.  If V4 does, the look was over
 * before the move took anything; if V1 does, V4 counts the move.  A move that
 * V3 counts had given all back before the look.
 *
 * Moves that somebody has waited for in vain are stuck: their threads may be
 * stopped for good.  Nobody waits for as many again, until fewer are under way.
 */
static void
fph_moves_begin(fph_state *state)
{
    fph_this.moves[fph_number_of(state)]++;
    fph_this.open_moves[fph_number_of(state)]++;
    fph_fetch_add_acquire(&state->moves_begun, 1);                  /* V1 */
}

static void
fph_moves_end(fph_state *state)
{
    fph_this.open_moves[fph_number_of(state)]--;
    fph_fetch_add_release(&state->moves_ended, 1);                  /* V2 */
}

/* Moves that are under way; in a child that was forked in a move, one too
 * few. */
static uint64_t
fph_moves_open(const fph_state *state)
{
    uint64_t ended = fph_load_acquire(&state->moves_ended);         /* V3 */
    uint64_t begun = fph_load_relaxed(&state->moves_begun);

    return (int64_t)(begun - ended) > 0 ? begun - ended : 0;
}

/* Whether none is, but for those that are stuck. */
static int
fph_moves_quiet(const fph_state *state)
{
    return fph_moves_open(state) <= fph_load_relaxed(&state->moves_stuck);
}

/* Before a look: what fph_moves_since is to know after it. */
static uint32_t
fph_moves_mark(const fph_state *state)
{
    return (uint32_t)fph_load_acquire(&state->moves_ended)          /* V3 */
         - fph_this.moves[fph_number_of(state)];
}

/* Whether moves of other threads were under way at a mark, or are since, but
 * for as many as are stuck. */
static int
fph_moves_since(fph_state *state, uint32_t mark)
{
    uint64_t open  = fph_moves_open(state);
    uint64_t begun = fph_fetch_add_release(&state->moves_begun, 0); /* V4 */
    uint64_t stuck = fph_load_relaxed(&state->moves_stuck);         /* V5 */

    if (open < stuck) {
        fph_cas_relaxed(&state->moves_stuck, &stuck, open);         /* V5 */
        stuck = open;
    }
    begun -= fph_this.moves[fph_number_of(state)] + mark;
    return (int32_t)(uint32_t)begun > (int32_t)stuck;
}

/* Whether a call that has found nothing since a mark looks again, after others
 * went on.  Not if nothing moved; not if the call has waited enough, as whoever
 * moves may have lost its processor: those moves are stuck then; and not within
 * the provider's callback, a pass or a move, for which others wait. */
static int
fph_moves_wait(const fpheap *heap, uint32_t mark)
{
    fph_state *state = heap->state;

    if (fph_this.open_moves[fph_number_of(state)] != 0
        || fph_is_in(FPH_IN_PROVIDER | FPH_IN_PASS, heap, NULL)
        || !fph_moves_since(state, mark))
        return 0;
    if (fph_wait())
        return 1;
    fph_max_relaxed(&state->moves_stuck, fph_moves_open(state));    /* V5 */
    return 0;
}

/* [PAGES] ==================================================================
 *
 * Which pages are free.  These tables cover a window of addresses: all that the
 * process may have, where the system can reserve tables for so many, else a
 * smaller power of two.  An address's own bits are its index there, so nothing
 * is searched for, and neighbours in address are neighbours in the tables,
 * whatever regions they came in.
 *
 *     map[]     per page, the place of its slab's bin; 0: it is in no slab
 *     free[]    per chunk, one bit per page; 1: the page is free
 *     chunks[]  per chunk, where it is, and its records
 *     groups[]  the groups of 64 chunks that have ever had memory: a sweep
 *               looks at these, and only their part of the other tables may be
 *               read
 *
 * A run is any number of free pages in a row.  It may begin and end anywhere,
 * and cross from chunk to chunk; but if the provider has IOVAs, which need be
 * contiguous within a chunk only, a run of up to a chunk stays in one.
 *
 *   F1  A page of a region is in exactly one state: its bit in free[] is set;
 *       or it belongs to the thread that cleared the bit; or a record covers
 *       it, RECORD; or it is META's.
 *   F2  cursor[node][k] is a guess: no chunk before it had a run of 1 << k
 *       pages of the node (the last k: of more than a chunk).  So a search
 *       begins there, and looks at all of free[] once before it reports that
 *       there is none.  Pages that are freed behind it at that moment it may
 *       miss, unless a move tells (V1).
 *
 *       where                        order    partner  what must be seen
 *   F3  free: CAS, fetch_and, claim  acquire  F4       the pages' last owner is
 *                                                      done with them; the
 *                                                      chunk's base and node
 *   F4  free: fetch_or, give         release  F3
 *   F5  records: load                acquire  N2       before they are read
 *   F6  info: store, when a record   release  F7       back[], map[], and all
 *       begins or gets pages                           of the record
 *   F7  info: load                   acquire  F6       before these are read by
 *                                                      a thread that has no
 *                                                      object there
 *   F8  groups_used, groups[]: load  relaxed  none     F4 comes later and F3
 *       in a sweep                                     finds what it gave; a
 *                                                      sweep that misses the
 *                                                      group has missed F4
 *   F9  groups_used: CAS             release  F9       group_at[] of all
 *       load                         acquire           before, so that what is
 *                                                      listed is not listed
 *                                                      again
 *   F10 group_at: store              release  F11      the group's tables are
 *                                                      open
 *   F11 group_at: load               acquire  F10      before they are read
 *   F12 groups[]: CAS                acq_rel  F12      the same, by whoever
 *                                                      does F10 for another
 */
#define FPH_ALL_PAGES (~(uint64_t)0 >> (64 - FPH_PAGES))
#define FPH_NO_PAGE   ((size_t)-1)
#define FPH_GROUP     64u      /* chunks */

/* Words of a slab's bitmap: a page of the smallest objects. */
#define FPH_SLAB_WORDS ((FPHEAP_PAGE / 16 + 63) / 64)

/* What a record covers: kind : 8 | bin : 16 << 8 | count : 32 << 32.  A large
 * object that a cache parks is FPH_PARKED; what a child has is FPH_CHILD, with
 * the child's number in the place of the bin. */
enum { FPH_NOTHING, FPH_SLAB, FPH_LARGE, FPH_PARKED, FPH_CHILD };

/* A slab or a large object, SLAB and LARGE; in the place of its first page. */
struct fph_slab {
    fph_link   link;           /* in the stack of its bin */
    fph_word   info;           /* atomic */
    fph_word   state;          /* atomic, SLAB */
    size_t     page;           /* the first one; immutable while it is here */
    char      *base;           /* of the first object; written before any object
                                  leaves, read by whoever holds one */
    uint32_t   size;           /* of an object; as base */
    uint32_t   inverse;        /* of size, see fph_class; as base */
    fph_word   bits[FPH_SLAB_WORDS];  /* atomic; 1: free */
} __attribute__((aligned(64)));

/* The records of a chunk. */
typedef struct fph_records {
    fph_link link;             /* in state->records */
    size_t   chunk;            /* that has them, or had */
    fph_link made;             /* in state->made[0] */
    fph_slab slab[FPH_PAGES];
#if FPH_WATCHED
    fph_life life;
#endif
} fph_records;

#if FPH_WATCHED
/* A chunk's records are those of the chunk at `at` from here on; of none. */
#  define fph_records_lent(records, at) \
    FPH_STORE(&(records)->life.base, at, RELAXED)
#  define fph_records_free(records) \
    FPH_STORE(&(records)->life.base, FPH_NO_BASE, RELAXED)
#else
#  define fph_records_lent(records, at) ((void)0)
#  define fph_records_free(records)     ((void)0)
#endif

/* An entry of the chunk table. */
struct fph_chunk {
    char        *base;         /* atomic; its address, which may be 0, and 1;
                                  NULL: it is not here */
    fph_records *records;      /* atomic; NULL: none yet */
    fph_word     present;      /* atomic; pages that its region has */
    fph_word     meta;         /* atomic; pages of meta blocks */
    fph_word     iova;         /* atomic; of its start, as if its region began
                                  there; written before its pages are free */
    int          node;         /* atomic; as iova */
    uint8_t      reserved;     /* atomic; 1: fpheap_reserve has touched it */
    uint8_t      plain;        /* atomic; 1: its regions have the backing
                                  FPHEAP_BACKING_PAGES */
    uint8_t      huge;         /* atomic; 1: the provider has asked for
                                  hugepages behind it */
    uint16_t     back[FPH_PAGES]; /* atomic; of each page, how many pages before
                                  it its record is; or one nearer to that */
};

/* A region. */
struct fph_region {
    fph_word      used;        /* 1: the slot is taken; FPH_BARRED: by memory
                                  that only the heap's end hands back */
    fph_word      shown;       /* walks that show it, and FPH_HERE; 0: the
                                  memory is not here, or about to leave */
    fpheap_region raw;
};

#define FPH_HERE   ((uint64_t)1 << 63)
#define FPH_BARRED 2u

FPH_STATIC_ASSERT(places_fit, FPH_BINS * FPH_BIN_STEP <= 65536);

static inline uint64_t
fph_info(unsigned kind, unsigned bin, uint64_t count)
{
    return kind | (uint64_t)bin << 8 | count << 32;
}

static inline unsigned
fph_info_kind(uint64_t info)
{
    return (unsigned)(info & 0xff);
}

static inline unsigned
fph_info_bin(uint64_t info)
{
    return (unsigned)(info >> 8 & 0xffff);
}

static inline uint32_t
fph_info_count(uint64_t info)
{
    return (uint32_t)(info >> 32);
}

/* --- from an address, and back -------------------------------------------- */

static inline size_t
fph_page_of(const fph_state *state, const void *at)
{
    return (size_t)((uintptr_t)at >> FPHEAP_PAGE_SHIFT) & state->mask;
}

static inline fph_chunk *
fph_chunk_of_page(const fph_state *state, size_t page)
{
    return &state->chunks[page >> FPH_PAGE_BITS];
}

/* Of a chunk that is here. */
static inline uintptr_t
fph_chunk_address(const fph_chunk *chunk)
{
    return (uintptr_t)FPH_LOAD(&chunk->base, RELAXED) - 1;
}

static inline char *
fph_page_address(const fph_state *state, size_t page)
{
    return (char *)(fph_chunk_address(fph_chunk_of_page(state, page))
                    + (page % FPH_PAGES << FPHEAP_PAGE_SHIFT));
}

/* Whether there are tables for a chunk, as its group has had memory. */
static inline int
fph_is_open(const fph_state *state, size_t chunk)
{
    return FPH_LOAD(&state->group_at[chunk / FPH_GROUP],
                    ACQUIRE) != 0;                                  /* F11 */
}

/* The chunk that an address is in, or NULL: it is in none of the heap's. */
static inline fph_chunk *
fph_chunk_of(const fph_state *state, const void *at)
{
    size_t      page  = fph_page_of(state, at);
    fph_chunk  *chunk = fph_chunk_of_page(state, page);
    const char *base;

    if (!fph_is_open(state, page >> FPH_PAGE_BITS))
        return NULL;
    base = FPH_LOAD(&chunk->base, RELAXED);
    return (uintptr_t)base == ((uintptr_t)at & ~(uintptr_t)FPH_CHUNK_MASK) + 1
         ? chunk : NULL;
}

/* The first page of what looks to cover a page of a chunk that is here. */
static size_t
fph_first_of(const fph_state *state, size_t page)
{
    size_t back;

    do {
        back = FPH_LOAD(&fph_chunk_of_page(state, page)->back[page % FPH_PAGES],
                        RELAXED);
        page -= back;
    } while (back != 0);
    return page;
}

/* A chunk's records; NULL: it has none yet. */
static inline fph_records *
fph_chunk_records(const fph_chunk *chunk)
{
    return FPH_LOAD(&chunk->records, ACQUIRE);                      /* F5 */
}

/* The record of a page; NULL: its chunk has none. */
static inline fph_slab *
fph_record_at(const fph_state *state, size_t page)
{
    fph_records *records = fph_chunk_records(fph_chunk_of_page(state, page));

    return records == NULL ? NULL : &records->slab[page % FPH_PAGES];
}

/* The record of a page that the caller owns and that it is to cover. */
static fph_slab *
fph_record_begin(const fph_state *state, size_t page)
{
    fph_records *records = fph_chunk_records(fph_chunk_of_page(state, page));
    fph_slab    *record  = &records->slab[page % FPH_PAGES];

    record->link.self = records->link.self
                      + (uint32_t)((size_t)((char *)record - (char *)records)
                                   / FPH_LINE);
    record->page = page;
    return record;
}

/* What a record covers; of no record, nothing. */
static inline uint64_t
fph_info_load(const fph_slab *record)
{
    if (record == NULL)
        return FPH_NOTHING;
    return fph_load_acquire(&record->info);                         /* F7 */
}

static inline void
fph_info_store(fph_slab *record, uint64_t info)
{
    fph_store_release(&record->info, info);                         /* F6 */
}

/* Change what a record covers: an object of the caller's, who has it from
 * whoever began it.  Returns 0 if that has changed meanwhile: *info says to
 * what. */
static inline int
fph_info_change(fph_slab *record, uint64_t *info, uint64_t to)
{
    return fph_cas_relaxed(&record->info, info, to);
}

/* The record of what covers the start of a live object.  NULL: that cannot be
 * one. */
static fph_slab *
fph_record_of(const fph_state *state, const void *object)
{
    if (fph_chunk_of(state, object) == NULL)
        return NULL;
    return fph_record_at(state, fph_first_of(state,
                                             fph_page_of(state, object)));
}

/* Make the pages behind the first one lead to it. */
static void
fph_pages_lead(const fph_state *state, size_t first, size_t from, size_t pages)
{
    size_t page;

    for (page = from; page < from + pages; page++) {
        size_t back = page - first;

        FPH_STORE(&fph_chunk_of_page(state, page)->back[page % FPH_PAGES],
                  (uint16_t)(back < UINT16_MAX ? back : UINT16_MAX), RELAXED);
    }
}

/* --- runs in a word ------------------------------------------------------- */

/* Where runs begin: bit i stays if the bits i .. i + pages - 1 are set. */
static inline uint64_t
fph_runs(uint64_t free, unsigned pages)
{
    unsigned step = 1;

    for (pages--; pages > 0; pages -= step, step *= 2) {
        if (step > pages)
            step = pages;
        free &= free >> step;
    }
    return free;
}

/* Where `pages` free pages begin at a multiple of `align` pages, or
 * FPH_PAGES. */
static inline unsigned
fph_run_find(uint64_t free, unsigned pages, unsigned align)
{
    uint64_t places = align == 64 ? 1
                    : ~(uint64_t)0 / (((uint64_t)1 << align) - 1);
    uint64_t runs = fph_runs(free, pages) & places;

    return runs == 0 ? FPH_PAGES : fph_lowest_bit(runs);
}

static inline uint64_t
fph_page_mask(unsigned first, unsigned pages)
{
    return (~(uint64_t)0 >> (64 - pages)) << first;
}

/* Free pages at a word's beginning, and at its end. */
static inline unsigned
fph_run_head(uint64_t free)
{
    return free == FPH_ALL_PAGES ? FPH_PAGES : fph_lowest_bit(~free);
}

static inline unsigned
fph_run_tail(uint64_t free)
{
    uint64_t used = ~free & FPH_ALL_PAGES;

    return used == 0 ? FPH_PAGES : FPH_PAGES - 1 - fph_highest_bit(used);
}

/* The cursor of a length. */
static inline unsigned
fph_length(size_t pages)
{
    return pages > FPH_PAGES ? FPH_LENGTHS - 1
         : pages == 1 ? 0 : fph_highest_bit(pages - 1) + 1;
}

/* --- groups --------------------------------------------------------------- */

/* Chunks have positions: the group's place in groups[], and the place in the
 * group. */
static inline size_t
fph_positions(const fph_state *state)
{
    return (size_t)fph_load_relaxed(&state->groups_used) * FPH_GROUP; /* F8 */
}

/* The number of the chunk at a position, or FPH_NO_PAGE: the window has none
 * there. */
static inline size_t
fph_chunk_number(const fph_state *state, size_t position)
{
    size_t group  = FPH_LOAD(&state->groups[position / FPH_GROUP],
                             RELAXED);                              /* F8 */
    size_t number = (group - 1) * FPH_GROUP + position % FPH_GROUP;

    return group != 0 && number <= state->mask >> FPH_PAGE_BITS ? number
                                                                : FPH_NO_PAGE;
}

/* The position of a chunk. */
static inline size_t
fph_position_of(const fph_state *state, size_t chunk)
{
    size_t at = FPH_LOAD(&state->group_at[chunk / FPH_GROUP], RELAXED);

    return (at - 1) * FPH_GROUP + chunk % FPH_GROUP;
}

/* Add a chunk's group to groups[], after finishing an addition that another
 * thread has begun.  Returns 0: there are too many. */
static int
fph_group_list(fph_state *state, size_t chunk)
{
    size_t group = chunk / FPH_GROUP;

    for (;;) {
        uint64_t at = fph_load_acquire(&state->groups_used);        /* F9 */
        uint32_t in = 0;
        uint32_t listed = FPH_LOAD(&state->group_at[group], RELAXED);

        if (listed != 0 && listed <= at)
            return 1;
        if (at == state->groups_max)
            return 0;
        if (FPH_CAS(&state->groups[at], &in, (uint32_t)(group + 1), /* F12 */
                    ACQ_REL, ACQUIRE))
            in = (uint32_t)(group + 1);
        FPH_STORE(&state->group_at[in - 1], (uint32_t)(at + 1),
                  RELEASE);                                         /* F10 */
        fph_cas_release(&state->groups_used, &at, at + 1);          /* F9 */
    }
}

/* The chunk at a position; NULL: the window has none there. */
static fph_chunk *
fph_chunk_at(const fph_state *state, size_t position)
{
    size_t number = fph_chunk_number(state, position);

    return number == FPH_NO_PAGE ? NULL : &state->chunks[number];
}

/* The next chunk that is here, from position *at on, which then is the one
 * behind it.  NULL: there is none. */
static fph_chunk *
fph_chunk_next(const fph_state *state, size_t *at)
{
    while (*at < fph_positions(state)) {
        fph_chunk *chunk = fph_chunk_at(state, (*at)++);

        if (chunk != NULL && FPH_LOAD(&chunk->base, RELAXED) != NULL)
            return chunk;
    }
    return NULL;
}

/* The same for the records of all chunks; *at counts pages. */
static fph_slab *
fph_record_next(const fph_state *state, size_t *at)
{
    while (*at < fph_positions(state) * FPH_PAGES) {
        fph_chunk   *chunk   = fph_chunk_at(state, *at / FPH_PAGES);
        fph_records *records = chunk == NULL ? NULL
                                             : fph_chunk_records(chunk);

        if (records != NULL)
            return &records->slab[(*at)++ % FPH_PAGES];
        *at += FPH_PAGES - *at % FPH_PAGES;
    }
    return NULL;
}

/* --- free pages ----------------------------------------------------------- */

/* A run of pages, one chunk after the other: a part is what lies in one. */
typedef struct fph_part {
    uintptr_t at;              /* address, or what it is within the window */
    size_t    page;
    unsigned  pages;
    uint64_t  mask;            /* their bits */
    size_t    left;            /* pages from `at` on, to the run's end */
} fph_part;

static inline fph_part
fph_parts(uintptr_t at, size_t pages)
{
    fph_part part = { at, 0, 0, 0, pages };

    return part;
}

/* Go on to the next part, at first to the first one.  Returns 0: there is
 * none. */
static inline int
fph_part_next(const fph_state *state, fph_part *part)
{
    unsigned first;

    part->at += (uintptr_t)part->pages << FPHEAP_PAGE_SHIFT;
    part->left -= part->pages;
    part->page = fph_page_of(state, (const void *)part->at);
    first = (unsigned)(part->page % FPH_PAGES);
    part->pages = FPH_PAGES - first;
    if (part->pages > part->left)
        part->pages = (unsigned)part->left;
    if (part->pages == 0)
        return 0;
    part->mask = fph_page_mask(first, part->pages);
    return 1;
}

/* Whether a chunk and the one before it are neighbours in address too, which
 * they need not be in a window that is smaller than the addresses. */
static inline int
fph_chunk_follows(const fph_state *state, size_t chunk)
{
    const char *other = FPH_LOAD(&state->chunks[chunk - 1].base, RELAXED);
    const char *base;

    if (!fph_is_open(state, chunk))
        return 0;
    base = FPH_LOAD(&state->chunks[chunk].base, RELAXED);
    return (uintptr_t)base - (uintptr_t)other == FPHEAP_CHUNK;
}

/* A chunk has a run of free pages from which a length can be served: have the
 * searches begin there. */
static void
fph_cursors_lower(fph_state *state, size_t chunk, uint64_t free)
{
    fph_word *cursor   = state->cursor[FPH_LOAD(&state->chunks[chunk].node,
                                                RELAXED)];
    size_t    position = fph_position_of(state, chunk);
    unsigned  k;

    for (k = 0; k < FPH_LENGTHS; k++) {
        uint64_t at = fph_load_relaxed(&cursor[k]);

        if (k < FPH_LENGTHS - 1 ? fph_runs(free, 1u << k) == 0
                                : free != FPH_ALL_PAGES)
            return;
        while (at > position && !fph_cas_relaxed(&cursor[k], &at, position))
            ;
    }
}

/* The same for a run that crosses into the chunk from the one before it. */
static void
fph_cursors_cross(fph_state *state, size_t chunk)
{
    unsigned tail, head, run;

    if (chunk == 0 || chunk > state->mask >> FPH_PAGE_BITS
        || !fph_is_open(state, chunk - 1) || !fph_chunk_follows(state, chunk))
        return;
    tail = fph_run_tail(fph_load_relaxed(&state->free[chunk - 1]));
    head = fph_run_head(fph_load_relaxed(&state->free[chunk]));
    run = tail + head < FPH_PAGES ? tail + head : FPH_PAGES;
    if (tail != 0 && head != 0)
        fph_cursors_lower(state, chunk - 1, fph_page_mask(0, run));
}

/* Give pages of one chunk that the caller owns. */
static void
fph_part_give(fph_state *state, size_t chunk, uint64_t mask)
{
    uint64_t free = fph_fetch_or_release(&state->free[chunk], mask); /* F4 */

    free |= mask;
    fph_cursors_lower(state, chunk, free);
    if (free & 1)
        fph_cursors_cross(state, chunk);
    if (free >> (FPH_PAGES - 1))
        fph_cursors_cross(state, chunk + 1);
}

/* Give pages that the caller owns. */
static void
fph_pages_give(fph_state *state, size_t page, size_t pages)
{
    fph_part part = fph_parts(page << FPHEAP_PAGE_SHIFT, pages);

    while (fph_part_next(state, &part))
        fph_part_give(state, part.page >> FPH_PAGE_BITS, part.mask);
}

/* Claim these very pages, or none and return 0.  (Those that are claimed keep
 * their chunks where they are.) */
static int
fph_pages_take(fph_state *state, size_t page, size_t pages)
{
    fph_part part = fph_parts(page << FPHEAP_PAGE_SHIFT, pages);

    if (pages > state->mask + 1 - page)
        return 0;
    while (fph_part_next(state, &part)) {
        size_t    chunk = part.page >> FPH_PAGE_BITS;
        fph_word *word  = &state->free[chunk];
        uint64_t  free  = fph_is_open(state, chunk) ? fph_load_relaxed(word)
                                                    : 0;

        do {
            if ((free & part.mask) != part.mask) {
                fph_pages_give(state, page, pages - part.left);
                return 0;
            }
        } while (!fph_cas_acquire(word, &free, free & ~part.mask)); /* F3 */
        if (part.page != page && !fph_chunk_follows(state, chunk)) {
            fph_pages_give(state, page, pages - part.left + part.pages);
            return 0;
        }
    }
    return 1;
}

/* Claim those pages of one chunk that are free.  Returns their bits. */
static uint64_t
fph_part_take(fph_state *state, size_t chunk, uint64_t mask)
{
    return fph_fetch_and_acquire(&state->free[chunk], ~mask) & mask; /* F3 */
}

/* Claim pages of one chunk.  Returns the first, or FPH_NO_PAGE. */
static size_t
fph_chunk_take(fph_state *state, size_t chunk, unsigned pages, unsigned align)
{
    uint64_t free = fph_load_relaxed(&state->free[chunk]);
    unsigned first;

    do {
        first = fph_run_find(free, pages, align);
        if (first == FPH_PAGES)
            return FPH_NO_PAGE;
    } while (!fph_cas_acquire(&state->free[chunk], &free,           /* F3 */
                              free & ~fph_page_mask(first, pages)));
    return chunk * FPH_PAGES + first;
}

/* What a search is for, and what it has met. */
typedef struct fph_gap {
    size_t   pages;
    unsigned align;            /* pages: a power of two up to a chunk */
    int      node;             /* FPHEAP_ANY_NODE: any */
    int      whole;            /* 1: a run up to a chunk lies in one chunk */
    int      spare;            /* 1: break no chunk that is free as a whole */
    size_t   fresh;            /* the first of these that was met, or -1 */
    size_t   position;         /* where it was found */
    size_t   from, to;         /* chunks from, and before, which a run goes on
                                  that is too short */
} fph_gap;

/* What was claimed, if it is of the node; else it is given back: a chunk has
 * gone since the look at it, and another is here. */
static size_t
fph_pages_keep(fph_state *state, size_t page, size_t pages, int node)
{
    size_t chunk = page >> FPH_PAGE_BITS;

    if (page == FPH_NO_PAGE || node == FPHEAP_ANY_NODE)
        return page;
    for (; chunk <= (page + pages - 1) >> FPH_PAGE_BITS; chunk++) {
        if (FPH_LOAD(&state->chunks[chunk].node, RELAXED) == node)
            continue;
        fph_moves_begin(state);
        fph_pages_give(state, page, pages);
        fph_moves_end(state);
        return FPH_NO_PAGE;
    }
    return page;
}

/* What a search may take of a chunk: its free pages, or 0 if it is of another
 * node. */
static inline uint64_t
fph_gap_free(const fph_state *state, const fph_gap *gap, size_t chunk)
{
    uint64_t free = fph_load_relaxed(&state->free[chunk]);

    return free != 0 && (gap->node == FPHEAP_ANY_NODE
                         || FPH_LOAD(&state->chunks[chunk].node, RELAXED)
                            == gap->node) ? free : 0;
}

/* The end of the free pages that reach from a chunk's end into those that
 * follow it.  It looks no farther than the need. */
static size_t
fph_gap_end(const fph_state *state, fph_gap *gap, size_t chunk)
{
    uint64_t free = FPH_ALL_PAGES;
    size_t   end  = chunk + 1;

    while (free == FPH_ALL_PAGES && (end - chunk - 1) * FPH_PAGES < gap->pages
           && end <= state->mask >> FPH_PAGE_BITS
           && fph_chunk_follows(state, end)) {
        free = fph_gap_free(state, gap, end);
        end += free == FPH_ALL_PAGES;
    }
    gap->from = chunk + 1;
    gap->to = end;
    return end * FPH_PAGES + (free == FPH_ALL_PAGES ? 0 : fph_run_head(free));
}

/* Claim a run that begins at a chunk's end and goes on in those that follow
 * it. */
static size_t
fph_gap_cross(fph_state *state, fph_gap *gap, size_t chunk, uint64_t free)
{
    size_t border = (chunk + 1) * FPH_PAGES;
    size_t first  = (border - fph_run_tail(free) + gap->align - 1)
                  & ~(size_t)(gap->align - 1);

    if (first >= border || (chunk >= gap->from && chunk < gap->to)
        || (gap->whole && gap->pages <= FPH_PAGES)
        || fph_gap_end(state, gap, chunk) < first + gap->pages)
        return FPH_NO_PAGE;
    gap->to = 0;               /* if the run is lost, a part of it may do */
    fph_moves_begin(state);
    first = fph_pages_take(state, first, gap->pages) ? first : FPH_NO_PAGE;
    fph_moves_end(state);
    return fph_pages_keep(state, first, gap->pages, gap->node);
}

/* Claim a run in a chunk of which these pages looked free, or one that begins
 * there. */
static size_t
fph_gap_try(fph_state *state, fph_gap *gap, size_t chunk, uint64_t free)
{
    size_t page = FPH_NO_PAGE;

    if (gap->spare && free == FPH_ALL_PAGES && gap->pages < FPH_PAGES) {
        if (gap->fresh == FPH_NO_PAGE)
            gap->fresh = chunk;
        return page;
    }
    if (gap->pages <= FPH_PAGES)
        page = fph_pages_keep(state, fph_chunk_take(state, chunk,
                                                    (unsigned)gap->pages,
                                                    gap->align),
                              gap->pages, gap->node);
    return page != FPH_NO_PAGE ? page
         : fph_gap_cross(state, gap, chunk, free);
}

/* Look for a run from a position on.  Returns the first page, claimed, or
 * FPH_NO_PAGE. */
static size_t
fph_sweep(fph_state *state, fph_gap *gap, size_t position)
{
    for (; position < fph_positions(state); position++) {
        size_t   chunk = fph_chunk_number(state, position);
        uint64_t free  = chunk == FPH_NO_PAGE ? 0
                       : fph_gap_free(state, gap, chunk);
        size_t   page  = free == 0 ? FPH_NO_PAGE
                       : fph_gap_try(state, gap, chunk, free);

        if (page != FPH_NO_PAGE) {
            gap->position = position;
            return page;
        }
    }
    return FPH_NO_PAGE;
}

/* Whether a page looks free. */
static inline int
fph_page_is_free(const fph_state *state, size_t page)
{
    return page <= state->mask && fph_is_open(state, page >> FPH_PAGE_BITS)
        && (fph_load_relaxed(&state->free[page >> FPH_PAGE_BITS])
            >> page % FPH_PAGES & 1);
}

/* Claim a run of a node: from the cursor on, in chunks that are in use, or else
 * in one that is free as a whole; if there is none, anywhere. */
static size_t
fph_pages_find(const fpheap *heap, int node, size_t pages, unsigned align)
{
    fph_state *state  = heap->state;
    fph_word  *cursor = &state->cursor[node][fph_length(pages)];
    size_t     from   = (size_t)fph_load_relaxed(cursor);
    fph_gap    gap    = { pages, align, heap->nodes > 1 ? node
                                                        : FPHEAP_ANY_NODE,
                          heap->provider.iova != NULL, 1 /* spare */,
                          FPH_NO_PAGE, 0, 0, 0 };
    size_t     page   = fph_sweep(state, &gap, from);

    if (page == FPH_NO_PAGE && gap.fresh != FPH_NO_PAGE) {
        page = fph_pages_keep(state, fph_chunk_take(state, gap.fresh,
                                                    (unsigned)pages, align),
                              pages, gap.node);
        gap.position = fph_position_of(state, gap.fresh);
    }
    if (page == FPH_NO_PAGE) {
        gap.spare = 0;
        page = fph_sweep(state, &gap, 0);
        if (page == FPH_NO_PAGE)
            gap.position = fph_positions(state);
    }
    if (gap.position != from)
        fph_store_relaxed(cursor, gap.position);
    return page;
}

/* --- the window ----------------------------------------------------------- */

/* The whole pages in a piece of memory. */
static size_t
fph_whole_pages(const fpheap_region *raw, char **base)
{
    uintptr_t from = (uintptr_t)raw->base;
    size_t    skip = (size_t)(-from & (FPHEAP_PAGE - 1));

    if (raw->base == NULL || raw->bytes - 1 > UINTPTR_MAX - from
        || raw->bytes < skip)
        return 0;
    *base = (char *)raw->base + skip;
    return (raw->bytes - skip) >> FPHEAP_PAGE_SHIFT;
}

/* Where the state and the tables lie, for a window of `chunks` chunks. */
typedef struct fph_layout {
    size_t chunks, regions, groups; /* how many */
    size_t depots, empty, region, group, group_at, free, chunk, map; /* where */
    size_t bytes;
} fph_layout;

static size_t
fph_layout_add(fph_layout *layout, size_t n, size_t bytes)
{
    size_t at = layout->bytes;

    layout->bytes = (at + n * bytes + FPH_LINE - 1) & ~(size_t)(FPH_LINE - 1);
    return at;
}

/* Whether a heap's state and tables lie in its first region. */
static inline int
fph_is_inside(const fpheap *heap)
{
    return FPHEAP_NO_OS || fph_is_shared(heap);
}

/* The bytes of a first region that are in front of the state, and those that
 * the heap will ever have, as far as that is known. */
#if FPHEAP_SHARED
#  define fph_inside_head(heap, raw)  ((heap)->partition->head)
#  define fph_inside_bytes(heap, raw) ((heap)->bytes)
#else
#  define fph_inside_head(heap, raw) \
    ((size_t)(-(uintptr_t)(raw)->base & (FPH_LINE - 1)))
#  define fph_inside_bytes(heap, raw) ((raw)->bytes)
#endif

static fph_layout
fph_layout_of(const fpheap *heap, size_t chunks)
{
    fph_layout it;

    memset(&it, 0, sizeof it);
    it.chunks = chunks;
    it.groups = (chunks + FPH_GROUP - 1) / FPH_GROUP;
    it.regions = fph_is_inside(heap) && chunks < FPH_TABLE_MAX
               ? chunks : FPH_TABLE_MAX;
    fph_layout_add(&it, 1, FPH_STATE_GUARD);
    fph_layout_add(&it, 1, sizeof(fph_state));
    it.depots = fph_layout_add(&it, heap->bins, sizeof(fph_depot));
    it.empty = fph_layout_add(&it, heap->nodes, sizeof(fph_line));
    it.region = fph_layout_add(&it, it.regions, sizeof(fph_region));
    it.group = fph_layout_add(&it, it.groups, sizeof(uint32_t));
    it.group_at = fph_layout_add(&it, it.groups, sizeof(uint32_t));
    it.free = fph_layout_add(&it, chunks, sizeof(fph_word));
    it.chunk = fph_layout_add(&it, chunks, sizeof(fph_chunk));
    it.map = fph_layout_add(&it, chunks, FPH_PAGES * sizeof(uint16_t));
    fph_layout_add(&it, 1, FPH_GUARD_END);
    return it;
}

/* Open the tables of the groups of new pages.  Returns 0: no memory. */
static int
fph_tables_open(fph_state *state, size_t page, size_t pages)
{
    size_t first = (page >> FPH_PAGE_BITS) / FPH_GROUP * FPH_GROUP;
    size_t end   = (page + pages - 1) >> FPH_PAGE_BITS;
    size_t n     = (end / FPH_GROUP + 1) * FPH_GROUP - first;
    size_t all   = (state->mask + 1) >> FPH_PAGE_BITS;

    if (FPHEAP_NO_OS || state->number == FPH_SHARED)
        return 1;
    if (n > all - first) {     /* around the window's end */
        first = 0;
        n = all;
    }
    return fph_map_open(&state->free[first], n * sizeof(fph_word))
        && fph_map_open(&state->chunks[first], n * sizeof(fph_chunk))
        && fph_map_open(&state->map[first << FPH_PAGE_BITS],
                        (n << FPH_PAGE_BITS) * sizeof(uint16_t));
}

/* Set up a state in memory of zeros, and the tables behind it. */
static fph_state *
fph_state_lay(char *base, const fph_layout *it)
{
    fph_state *state = (fph_state *)(void *)(base + FPH_STATE_GUARD);

    state->bytes = it->bytes;
    state->mask = (it->chunks << FPH_PAGE_BITS) - 1;
    state->regions_max = it->regions;
    state->groups_max = it->groups;
    state->depots = (fph_depot *)(void *)(base + it->depots);
    state->empty = (fph_line *)(void *)(base + it->empty);
    state->region = (fph_region *)(void *)(base + it->region);
    state->groups = (uint32_t *)(void *)(base + it->group);
    state->group_at = (uint32_t *)(void *)(base + it->group_at);
    state->free = (fph_word *)(void *)(base + it->free);
    state->chunks = (fph_chunk *)(void *)(base + it->chunk);
    state->map = (uint16_t *)(void *)(base + it->map);
    return state;
}

#if !FPHEAP_NO_OS
/* The tables take a 10,000th of the addresses that they cover, and never more
 * than this, or than a 64th of what the process may have. */
#define FPH_TABLES_MAX ((uint64_t)1 << (sizeof(void *) == 8 ? 34 : 24))

/* A page takes four bytes or more in them, and its number has 32 bits in
 * fpheap.lookup. */
FPH_STATIC_ASSERT(numbers_fit, FPH_TABLES_MAX / 4 <= (uint64_t)1 << 32);

/* A free of what is not the heap's is to find no bin in the map, rather than
 * end the process, in three pieces of so many bytes of addresses: the one that
 * the first region is in, and its neighbours, as systems place memory together.
 * Of the map that is 96 MiB with pages of 64 KiB, which a process may lock. */
#define FPH_NEAR_SHIFT 40

static void
fph_map_show(const fph_state *state, const void *region)
{
    size_t all   = state->mask + 1;
    size_t piece = (size_t)1 << (FPH_NEAR_SHIFT - FPHEAP_PAGE_SHIFT);
    size_t first = fph_page_of(state, region) & ~(piece - 1);
    size_t pages = all < 3 * piece ? all : 3 * piece;

    first = first < piece ? 0 : first - piece;
    if (first > all - pages)
        first = all - pages;
    (void)fph_map_allow(&state->map[first], pages * sizeof(uint16_t),
                        PROT_READ);
}

/* A state whose tables cover all addresses, or as many as the system lets them.
 * NULL: no memory. */
static fph_state *
fph_state_apart(const fpheap *heap, const fpheap_region *raw)
{
    uint64_t   most = fph_address_space() / 64;
    unsigned   bits = FPH_ADDRESS_BITS - FPHEAP_CHUNK_SHIFT;
    fph_layout it;
    char      *base = NULL;
    fph_state *state;

    for (; bits > 6 && base == NULL; bits--) {
        it = fph_layout_of(heap, (size_t)1 << bits);
        if (it.bytes <= FPH_TABLES_MAX && (it.bytes <= most || bits == 7))
            base = (char *)fph_map_reserve(it.bytes);
    }
    if (base == NULL)
        return NULL;
    if (!fph_map_open(base + FPH_STATE_GUARD, it.free - FPH_STATE_GUARD)) {
        fph_map_end(base, it.bytes);
        return NULL;
    }
    state = fph_state_lay(base, &it);
    fph_map_show(state, raw->base);
    if (fph_map_open(state->map, sizeof *state->map)) /* a free of NULL looks */
        return state;
    fph_map_end(base, it.bytes);
    return NULL;
}

/* The state is needed no more. */
static void
fph_state_end(fph_state *state)
{
    if (state->number != FPH_SHARED)
        fph_map_end((char *)state - FPH_STATE_GUARD, state->bytes);
}
#else
#  define fph_state_end(state)         ((void)(state))
#  define fph_state_apart(heap, raw)   NULL
#endif

/* A state in the region itself, with tables of a 32nd of it, or of what it
 * spans.  NULL: it is too short. */
static fph_state *
fph_state_inside(const fpheap *heap, const fpheap_region *raw)
{
    uintptr_t  from   = (uintptr_t)raw->base;
    size_t     bytes  = fph_inside_bytes(heap, raw);
    size_t     head   = fph_inside_head(heap, raw);
    size_t     spans  = ((from + bytes - 1) >> FPHEAP_CHUNK_SHIFT)
                      - (from >> FPHEAP_CHUNK_SHIFT) + 1;
    size_t     chunks = 1;
    fph_layout it;

    while (chunks < spans)
        chunks *= 2;
    while (FPHEAP_NO_OS && fph_layout_of(heap, 2 * chunks).bytes
                           - fph_layout_of(heap, 0).bytes <= bytes / 32)
        chunks *= 2;
    it = fph_layout_of(heap, chunks);
    if (raw->bytes < it.bytes || raw->bytes - it.bytes < head) /* (it has a
                                                                  whole page) */
        return NULL;
    memset((char *)raw->base + head, 0, it.bytes);
    return fph_state_lay((char *)raw->base + head, &it);
}

static fph_state *
fph_state_new(const fpheap *heap, const fpheap_region *raw)
{
    return fph_is_inside(heap) ? fph_state_inside(heap, raw)
                               : fph_state_apart(heap, raw);
}

/* Pages of the first region that the state takes. */
static size_t
fph_state_pages(const fpheap *heap, const fph_state *state,
                const fpheap_region *raw)
{
    char  *base = NULL;
    char  *end  = (char *)(uintptr_t)state - FPH_STATE_GUARD + state->bytes;
    size_t all  = fph_whole_pages(raw, &base);
    size_t n    = 0;

    while (fph_is_inside(heap) && n < all
           && (uintptr_t)(base + (n << FPHEAP_PAGE_SHIFT)) < (uintptr_t)end)
        n++;
    return n;
}

/* [REGION] =================================================================
 *
 * Memory from the provider: how much is asked for, what comes, and what goes
 * back.
 *
 *   G1  A chunk is here while `present` is not 0.  Pages leave only after one
 *       thread has claimed all of them that are its region's.  Whoever takes
 *       the last ones out of a chunk keeps base until it has the records, so
 *       nobody brings new pages in before that.
 *   G2  A region's raw changes, and the region goes back, only while shown is
 *       0; a walk shows it only while shown counts that walk.  A slot that is
 *       used and not shown is in a thread's hands, and what its raw says may be
 *       in another slot or gone; but not if it is barred.
 *
 *       where                        order    partner  what must be seen
 *   G3  base: CAS from NULL          acquire  G3       the old region is gone,
 *                                                      its records too
 *       base: store NULL             release
 *   G4  present: store, CAS, load    release, G4       node, and what else is
 *                                    acquire           written before
 *   G5  used: CAS, to take a slot    acquire  G6       the old region is gone
 *   G6  used: store                  release  G5
 *   G7  shown: CAS HERE -> 0         acquire  G8       no walk reads raw
 *   G8  shown: fetch_add -1          release  G7
 *   G9  shown: store HERE            release  G10      raw
 *   G10 shown: CAS + 1               acquire  G9       before raw is read
 *
 *   G7 .. G10: all but G9 are read-modify-writes, so G10 reads from G9 or
 *   from what continues it, whatever other walks came between; and G7 finds no
 *   more than HERE only when the last of them has left.
 */

/* --- limit ---------------------------------------------------------------- */

/* What is left of the limit is one word, so a charge and a change of the limit
 * are one after the other.
 *
 *   G13 left: CAS, fetch_add        relaxed  none     a number, nothing else
 *   G14 limit: exchange             relaxed  none     the same
 */
static inline uint64_t
fph_limit_bytes(uint64_t limit)
{
    return limit == 0 || limit > INT64_MAX ? INT64_MAX : limit;
}

static void
fph_limit_set(fph_state *state, uint64_t limit)
{
    uint64_t old;

    FPH_SWAP(&state->limit, &limit, &old);                          /* G14 */
    fph_fetch_add_relaxed(&state->left,                             /* G13 */
                          fph_limit_bytes(limit) - fph_limit_bytes(old));
}

static void
fph_uncharge(fph_state *state, size_t bytes)
{
    if (state != NULL)
        fph_fetch_add_relaxed(&state->left, bytes);                 /* G13 */
}

/* Charge bytes to the heap's limit before the provider is asked.  Returns 0:
 * they would go beyond it.  A heap without a state is being made: fpheap_create
 * looks itself. */
static int
fph_charge(fph_state *state, size_t bytes)
{
    uint64_t left;

    if (state == NULL)
        return 1;
    left = fph_load_relaxed(&state->left);
    do {
        if ((int64_t)left < 0 || bytes > left)
            return 0;
    } while (!fph_cas_relaxed(&state->left, &left, left - bytes));  /* G13 */
    return 1;
}

/* --- asking --------------------------------------------------------------- */

/* The calls to the provider, and the one to the watcher. */
static int
fph_provider_get(const fpheap *heap, size_t bytes, int node, fpheap_region *raw)
{
    fph_frame frame = { FPH_IN_PROVIDER, heap, NULL, fph_this.frames };
    int      rc;

    fph_this.frames = &frame;
    rc = heap->provider.get(heap->provider.ctx, bytes, FPHEAP_CHUNK, node, raw);
    fph_this.frames = frame.outer;
    raw->node = node;
    return rc <= 0 ? rc : -EINVAL;
}

static int
fph_provider_put(const fpheap *heap, const fpheap_region *raw)
{
    fph_frame frame = { FPH_IN_PROVIDER, heap, NULL, fph_this.frames };
    int      rc;

    if (heap->provider.put == NULL)
        return -ENOTSUP;
    fph_this.frames = &frame;
    rc = heap->provider.put(heap->provider.ctx, raw);
    fph_this.frames = frame.outer;
    return rc;
}

static uint64_t
fph_provider_iova(const fpheap *heap, const void *chunk)
{
    fph_frame frame = { FPH_IN_PROVIDER, heap, NULL, fph_this.frames };
    uint64_t iova;

    fph_this.frames = &frame;
    iova = heap->provider.iova(heap->provider.ctx, chunk);
    fph_this.frames = frame.outer;
    return iova;
}

static void
fph_provider_decommit(const fpheap *heap, void *base, size_t bytes)
{
    fph_frame frame = { FPH_IN_PROVIDER, heap, NULL, fph_this.frames };

    fph_this.frames = &frame;
    heap->provider.decommit(heap->provider.ctx, base, bytes);
    fph_this.frames = frame.outer;
}

static int
fph_provider_huge(const fpheap *heap, void *chunk, fpheap_huge what)
{
    fph_frame frame = { FPH_IN_PROVIDER, heap, NULL, fph_this.frames };
    int       is;

    fph_this.frames = &frame;
    is = heap->provider.huge(heap->provider.ctx, chunk, FPHEAP_CHUNK, what);
    fph_this.frames = frame.outer;
    return is;
}

static int
fph_watch(const fpheap *heap, const fpheap_region *raw, int leaving)
{
    fph_frame frame = { FPH_IN_PROVIDER, heap, NULL, fph_this.frames };
    int      rc;

    if (heap->watch == NULL)
        return 0;
    fph_this.frames = &frame;
    rc = heap->watch(heap->watch_ctx, raw, leaving);
    fph_this.frames = frame.outer;
    return rc <= 0 ? rc : -EINVAL;
}

/* Hand back what the watcher has accepted.  Returns what the provider does. */
static int
fph_part_with(const fpheap *heap, const fpheap_region *raw)
{
    (void)fph_watch(heap, raw, 1 /* leaving */);
    return fph_provider_put(heap, raw);
}

/* --- regions -------------------------------------------------------------- */

static inline size_t
fph_region_count(const fph_state *state)
{
    return (size_t)fph_load_relaxed(&state->regions);
}

/* Keep a region here.  Returns 0: it is away. */
static int
fph_region_keep(fph_region *region)
{
    uint64_t shown = fph_load_relaxed(&region->shown);

    do {
        if (shown == 0)
            return 0;
    } while (!fph_cas_acquire(&region->shown, &shown, shown + 1));  /* G10 */
    return 1;
}

static void
fph_region_unkeep(fph_region *region)
{
    fph_fetch_add_release(&region->shown, (uint64_t)0 - 1);         /* G8 */
}

/* The next region that is here, from slot *at on, which then is the one behind
 * it; the caller keeps the region.  NULL: there is none. */
static fph_region *
fph_region_next(const fph_state *state, size_t *at)
{
    while (*at < fph_region_count(state)) {
        fph_region *region = &state->region[(*at)++];

        if (fph_region_keep(region))
            return region;
    }
    return NULL;
}

/* What is asked for: pages in a row, at a multiple of `align` pages, in one
 * chunk if `whole` is set and they fit. */
typedef struct fph_need {
    size_t   pages;
    unsigned align;
    int      whole;
    char    *at;               /* where it would be best; NULL: where the heap
                                  ends */
} fph_need;

static inline fph_need
fph_need_of(const fpheap *heap, size_t pages, unsigned align)
{
    fph_need need = { pages, align, heap->provider.iova != NULL, NULL };

    return need;
}

/* What a heap asks its provider for is so many units, of bytes: chunks, or, of
 * a child, eighths of one. */
static inline size_t
fph_unit_bytes(const fpheap *heap)
{
    return (size_t)heap->unit << FPHEAP_PAGE_SHIFT;
}

static inline size_t
fph_units(const fpheap *heap, size_t pages)
{
    return (pages + heap->unit - 1) / heap->unit;
}

/* Whether memory of `pages` pages from `base` on serves a need. */
static int
fph_serves(const char *base, size_t pages, fph_need need)
{
    size_t first = (uintptr_t)base >> FPHEAP_PAGE_SHIFT;
    size_t align = need.whole && need.pages <= FPH_PAGES
                 ? FPH_PAGES : need.align;
    size_t skip  = -first & (align - 1);
    size_t lead  = -first & (need.align - 1);

    /* (In one chunk: at its start, or in what there is of the first.) */
    return (pages >= skip && pages - skip >= need.pages)
        || (align != need.align
            && lead + need.pages <= (pages < skip ? pages : skip));
}

/* Whether a part is in the table. */
static inline int
fph_part_is_here(const fph_state *state, const fph_part *part)
{
    const fph_chunk *chunk = fph_chunk_of(state, (const void *)part->at);

    return chunk != NULL
        && (fph_load_relaxed(&chunk->present) & part->mask) != 0;
}

/* Whether memory overlaps the chunks of a region.  What another thread obtains
 * at the same moment is not here yet, and not seen. */
static int
fph_overlaps(const fph_state *state, const char *base, size_t pages)
{
    fph_part part = fph_parts((uintptr_t)base, pages);

    while (fph_part_next(state, &part))
        if (fph_part_is_here(state, &part))
            return 1;
    return 0;
}

/* Whether a region can be used: 0, or -EFAULT. */
static int
fph_raw_error(const fpheap *heap, const fpheap_region *raw, fph_need need)
{
    char  *base  = NULL;
    size_t pages = fph_whole_pages(raw, &base);

    if (pages == 0 || !fph_serves(base, pages, need)
        || (heap->state != NULL && fph_overlaps(heap->state, base, pages)))
        return -EFAULT;
    /* That writes there, so it comes last. */
    return fph_is_writable(base)
        && fph_is_writable(base + ((pages << FPHEAP_PAGE_SHIFT) - 64))
         ? 0 : -EFAULT;
}

/* Memory that can neither be used nor handed back: it is waste, and charged for
 * good, but a heap to which that happens more often asks no more. */
#define FPH_LOST_MAX 8

static int
fph_lose(fph_state *state, size_t bytes, int error)
{
    if (state != NULL) {
        fph_fetch_add_relaxed(&state->region_bytes, bytes);
        fph_fetch_add_relaxed(&state->backing_bytes[FPHEAP_BACKING_UNKNOWN],
                              bytes);
        fph_fetch_add_relaxed(&state->lost, 1);
    }
    return error;
}

/* Hand back what was charged with `bytes` and is not to be used.  Returns the
 * error that is the reason. */
static int
fph_hand_back(const fpheap *heap, const fpheap_region *raw, size_t bytes,
              int error)
{
    if (fph_provider_put(heap, raw) != 0)
        return fph_lose(heap->state, bytes, error);
    fph_uncharge(heap->state, bytes);
    return error;
}

/* Charge what was given in place of what was asked for.  What goes beyond the
 * limit is handed back; if it is not taken back, it is used.  Returns 0, or
 * -ENOSPC. */
static int
fph_recharge(const fpheap *heap, const fpheap_region *raw, size_t asked)
{
    if (raw->bytes > asked && !fph_charge(heap->state, raw->bytes - asked)) {
        if (fph_provider_put(heap, raw) == 0) {
            fph_uncharge(heap->state, asked);
            return -ENOSPC;
        }
        fph_fetch_add_relaxed(&heap->state->left,                   /* G13 */
                              (uint64_t)asked - raw->bytes);
    }
    if (raw->bytes < asked)
        fph_uncharge(heap->state, asked - raw->bytes);
    return 0;
}

/* Ask for memory that serves a need, and charge it.  What cannot be used is
 * handed back.  Returns 0, -EFAULT, -ENOSPC, or the provider's error, or the
 * watcher's. */
static int
fph_obtain_bytes(fpheap *heap, int node, fph_need need, size_t units,
                 fpheap_region *raw)
{
    fph_state *state = heap->state;
    size_t     bytes = units * fph_unit_bytes(heap);
    int        rc;

    memset(raw, 0, sizeof *raw);
    if (units > SIZE_MAX / 2 / FPHEAP_CHUNK)
        return -ENOMEM;
    if (state != NULL && fph_load_relaxed(&state->lost) >= FPH_LOST_MAX)
        return -EFAULT;
    if (!fph_charge(state, bytes))
        return -ENOSPC;
    if ((heap->provider.flags & FPHEAP_PARTS) != 0)
        raw->base = need.at != NULL || state == NULL
                  ? need.at : FPH_LOAD(&state->end, RELAXED);
    rc = fph_provider_get(heap, bytes, node, raw);
    if (rc != 0) {
        fph_uncharge(state, bytes);
        return rc;
    }
    rc = fph_raw_error(heap, raw, need);
    if (rc != 0)
        return fph_hand_back(heap, raw, bytes, rc);
    rc = fph_recharge(heap, raw, bytes);
    if (rc != 0)
        return rc;
    rc = fph_watch(heap, raw, 0 /* leaving */);
    return rc == 0 ? 0 : fph_hand_back(heap, raw, raw->bytes, rc);
}

/* Units to ask for on a node: as many as the provider had, where it had less
 * than was asked for, and then twice as many each time. */
static size_t
fph_growth_capped(const fph_state *state, int node, size_t wish)
{
    size_t cap = state == NULL
               ? 0 : (size_t)fph_load_relaxed(&state->growth_cap[node]);

    return cap != 0 && cap < wish ? cap : wish;
}

/* Of the `wish` units that were asked for first, `got` were given. */
static void
fph_growth_learn(fph_state *state, int node, size_t wish, size_t got)
{
    if (state == NULL)
        return;
    if (got < wish)
        fph_store_relaxed(&state->growth_cap[node], got + (got == 0));
    else if (fph_load_relaxed(&state->growth_cap[node]) != 0)
        fph_store_relaxed(&state->growth_cap[node], 2 * got);
}

/* Ask for `wish` units, then for less, and in the end for what is needed, the
 * last time with room to align it. */
static int
fph_obtain(fpheap *heap, int node, fph_need need, size_t wish,
           fpheap_region *raw)
{
    size_t least = fph_units(heap, need.pages);
    size_t asked;
    int    rc;

    wish = fph_growth_capped(heap->state, node, wish);
    for (asked = wish;; asked /= 2) {
        if (asked < least)
            asked = least;
        rc = fph_obtain_bytes(heap, node, need, asked, raw);
        if (rc == 0 || asked == least)
            break;
    }
    /* What went beyond the limit was longer than asked for; now the provider
     * has it back, and may know better. */
    if (rc == -ENOSPC && raw->bytes > asked * fph_unit_bytes(heap))
        rc = fph_obtain_bytes(heap, node, need, least, raw);
    fph_growth_learn(heap->state, node, wish, rc == 0 ? asked : 0);
    if (rc == -EFAULT)
        rc = fph_obtain_bytes(heap, node, need,
                              least + fph_units(heap, FPH_PAGES), raw);
    return rc;
}

/* --- hugepages ------------------------------------------------------------ */

/* From so many bytes on a heap has them behind chunks that have filled, and
 * behind new ones: there what they take too much of is little beside it. */
#define FPH_HUGE_FULL_FROM ((uint64_t)32 << 20)
#define FPH_HUGE_NEW_FROM  ((uint64_t)256 << 20)

/* Chunks that a growth looks at: to make a full one a hugepage costs as much as
 * to touch it. */
#define FPH_HUGE_LOOKS 16

/* Ask the provider for hugepages behind a chunk, or for none.  The caller owns
 * pages in it or keeps its region, so it stays. */
static void
fph_chunk_huge(const fpheap *heap, size_t number, fpheap_huge what)
{
    fph_chunk *chunk = &heap->state->chunks[number];
    int        is    = FPH_LOAD(&chunk->huge, RELAXED);

    if (heap->provider.huge != NULL && is == (what == FPHEAP_HUGE_NONE)
        && fph_load_relaxed(&chunk->present) == FPH_ALL_PAGES
        && FPH_LOAD(&chunk->plain, RELAXED)) {
        is = fph_provider_huge(heap, (void *)fph_chunk_address(chunk), what);
        FPH_STORE(&chunk->huge, (uint8_t)(is > 0), RELAXED);
    }
}

/* Whether a part is a chunk that has filled and has no hugepage yet. */
static int
fph_part_is_full(const fph_state *state, const fph_part *part)
{
    size_t chunk = part->page >> FPH_PAGE_BITS;

    return part->pages == FPH_PAGES && fph_part_is_here(state, part)
        && fph_load_relaxed(&state->free[chunk]) == 0
        && FPH_LOAD(&state->chunks[chunk].plain, RELAXED)
        && FPH_LOAD(&state->chunks[chunk].huge, RELAXED) == 0;
}

/* Look at chunks of a region that the caller keeps, from an address on.
 * Returns where to go on, or NULL: at the next region. */
static char *
fph_region_huge(const fpheap *heap, const fph_region *region, const char *from,
                unsigned *looks)
{
    char    *base  = NULL;
    size_t   pages = fph_whole_pages(&region->raw, &base);
    fph_part part  = fph_parts((uintptr_t)base, pages);

    while (fph_part_next(heap->state, &part)) {
        if ((char *)part.at < from || !fph_part_is_full(heap->state, &part))
            continue;
        if (*looks == FPH_HUGE_LOOKS)
            return (char *)part.at;
        ++*looks;
        fph_chunk_huge(heap, part.page >> FPH_PAGE_BITS, FPHEAP_HUGE_IF_FULL);
    }
    return NULL;
}

/* The heap has grown, so most of its chunks have filled: look at some. */
static void
fph_huge_look(const fpheap *heap)
{
    fph_state  *state = heap->state;
    const char *from  = FPH_LOAD(&state->huge_next, RELAXED);
    char       *next  = NULL;
    unsigned    looks = 0;
    size_t      i     = 0;
    fph_region *region;

    if (heap->provider.huge == NULL
        || fph_load_relaxed(&state->region_bytes) < FPH_HUGE_FULL_FROM)
        return;
    while (next == NULL && (region = fph_region_next(state, &i)) != NULL) {
        next = fph_region_huge(heap, region, from, &looks);
        fph_region_unkeep(region);
    }
    FPH_STORE(&state->huge_next, next, RELAXED);
}

/* --- a region comes ------------------------------------------------------- */

/* Take pages of one chunk, which the caller owns, out of the table. */
static void
fph_part_leave(fph_state *state, const fph_part *part)
{
    fph_chunk   *chunk = fph_chunk_of_page(state, part->page);
    uint64_t     had   = fph_load_relaxed(&chunk->present);
    fph_records *records;

    FPH_STORE(&chunk->huge, (uint8_t)0, RELAXED);
    while (!fph_cas_release(&chunk->present, &had,                  /* G4 */
                            had & ~part->mask))
        ;
    if ((had & ~part->mask) != 0)
        return;
    records = fph_chunk_records(chunk);
    FPH_STORE(&chunk->records, (fph_records *)NULL, RELAXED);
    if (records != NULL) {
        fph_records_free(records);
        fph_stack_push(&state->records.word, &records->link);
    }
    FPH_STORE(&chunk->base, (char *)NULL, RELEASE);                 /* G3 */
}

/* Enter a new chunk in the table. */
static void
fph_chunk_come(fph_chunk *chunk, uint64_t mask, const fpheap_region *raw)
{
    fph_store_relaxed(&chunk->meta, 0);
    fph_store_relaxed(&chunk->iova, FPHEAP_BAD_IOVA);
    FPH_STORE(&chunk->reserved, (uint8_t)0, RELAXED);
    FPH_STORE(&chunk->node, raw->node, RELAXED);
    FPH_STORE(&chunk->plain, (uint8_t)(raw->backing == FPHEAP_BACKING_PAGES),
              RELAXED);
    fph_store_release(&chunk->present, mask);                       /* G4 */
}

/* Whether a part's chunk is here, and of a node. */
static int
fph_chunk_suits(const fph_state *state, const fph_part *part, int node)
{
    const fph_chunk *chunk = fph_chunk_of(state, (const void *)part->at);

    return chunk != NULL && FPH_LOAD(&chunk->node, RELAXED) == node;
}

/* Add a part to a chunk that has others.  Returns 0: it cannot be; *had is
 * what the chunk has. */
static int
fph_chunk_share(fph_state *state, const fph_part *part,
                const fpheap_region *raw, uint64_t *had)
{
    fph_chunk *chunk = fph_chunk_of_page(state, part->page);

    do {
        if (*had == 0 || (*had & part->mask) != 0 || state->alone == 1
            || !fph_chunk_suits(state, part, raw->node))
            return 0;
    } while (!FPH_CAS(&chunk->present, had, *had | part->mask,      /* G4 */
                      ACQUIRE, ACQUIRE));
    /* It stays now; it may have gone, and another have come, before. */
    if (fph_chunk_suits(state, part, raw->node)) {
        if (raw->backing != FPHEAP_BACKING_PAGES)
            FPH_STORE(&chunk->plain, (uint8_t)0, RELAXED);
        return 1;
    }
    fph_part_leave(state, part);
    return 0;
}

/* Take a part into the table: the chunk is new, or has other pages of the node.
 * Returns 0: it cannot be.  A thread that takes the chunk's last pages out, or
 * its first ones in, is waited for.  A chunk that has changed meanwhile is
 * looked at again: it may have gone. */
static int
fph_part_come(fph_state *state, const fph_part *part, const fpheap_region *raw)
{
    fph_chunk *chunk = fph_chunk_of_page(state, part->page);
    char      *start = (char *)((part->at & ~(uintptr_t)FPH_CHUNK_MASK) + 1);
    char      *other = NULL;
    uint64_t   had;

    if (!fph_group_list(state, part->page >> FPH_PAGE_BITS))
        return 0;
    do {
        had = fph_load_acquire(&chunk->present);                    /* G4 */
        if (fph_chunk_share(state, part, raw, &had))
            return 1;
        other = NULL;
        if (had == 0
            && FPH_CAS_PTR(&chunk->base, &other, start, ACQUIRE)) { /* G3 */
            fph_chunk_come(chunk, part->mask, raw);
            return 1;
        }
    } while (had != 0 ? fph_fetch_or_relaxed(&chunk->present, 0) != had
                      : other == start && fph_wait());
    return 0;
}

/* The same for many pages. */
static void
fph_pages_leave(fph_state *state, char *base, size_t pages)
{
    fph_part part = fph_parts((uintptr_t)base, pages);

    while (fph_part_next(state, &part))
        if (fph_part_is_here(state, &part))
            fph_part_leave(state, &part);
}

/* Take pages into the table, none free yet.  The part of a chunk at an end that
 * cannot be taken is left out.  Returns 0, or a negative errno. */
static int
fph_pages_come(fph_state *state, char *base, size_t pages,
               const fpheap_region *raw)
{
    fph_part part = fph_parts((uintptr_t)base, pages);
    int      rc   = -EFAULT;

    if (!fph_tables_open(state, fph_page_of(state, base), pages))
        return -ENOMEM;
    while (fph_part_next(state, &part)) {
        if (fph_part_come(state, &part, raw)) {
            rc = 0;
        } else if (part.pages == FPH_PAGES) {
            fph_pages_leave(state, base, pages - part.left);
            return fph_chunk_of(state, (void *)part.at) != NULL ? -EFAULT
                                                                : -ENOMEM;
        }
    }
    return rc;
}

/* Pages are META's from here on, or no longer. */
static void
fph_meta_mark(fph_state *state, char *base, size_t pages, int marked)
{
    fph_part part = fph_parts((uintptr_t)base, pages);

    while (fph_part_next(state, &part)) {
        fph_word *meta = &fph_chunk_of_page(state, part.page)->meta;

        if (marked)
            fph_fetch_or_relaxed(meta, part.mask);
        else
            fph_fetch_and_relaxed(meta, ~part.mask);
    }
}

/* Ask the provider for the IOVAs of pages that have come and are not free yet:
 * a call on a packet's way must not wait for that. */
static void
fph_pages_ask(const fpheap *heap, fph_state *state, char *base, size_t pages)
{
    fph_part part = fph_parts((uintptr_t)base, pages);

    while (heap->provider.iova != NULL && fph_part_next(state, &part)) {
        uint64_t iova;

        if (!fph_part_is_here(state, &part))
            continue;
        iova = fph_provider_iova(heap, (void *)part.at);
        if (iova != FPHEAP_BAD_IOVA)
            iova -= part.at & FPH_CHUNK_MASK;
        fph_store_relaxed(&fph_chunk_of_page(state, part.page)->iova, iova);
    }
}

/* Make new pages available, except the window's first, where a free of NULL
 * looks: it counts as META's. */
static void
fph_pages_open(fph_state *state, char *base, size_t pages)
{
    fph_part part = fph_parts((uintptr_t)base, pages);

    while (fph_part_next(state, &part)) {
        uint64_t null = part.page == 0;

        if (!fph_part_is_here(state, &part))
            continue;
        fph_fetch_or_relaxed(&fph_chunk_of_page(state, part.page)->meta, null);
        fph_part_give(state, part.page >> FPH_PAGE_BITS, part.mask & ~null);
    }
}

/* A slot for a region; NULL: the table is full. */
static fph_region *
fph_region_slot(fph_state *state)
{
    size_t i;

    for (i = 0; i < state->regions_max; i++) {
        uint64_t unused = 0;

        if (fph_load_relaxed(&state->region[i].used) == 0
            && fph_cas_acquire(&state->region[i].used, &unused, 1)) { /* G5 */
            fph_max_relaxed(&state->regions, i + 1);
            return &state->region[i];
        }
    }
    return NULL;
}

static void
fph_count_region(fph_state *state, const fpheap_region *raw)
{
    uint64_t bytes = fph_fetch_add_relaxed(&state->region_bytes, raw->bytes);

    fph_max_relaxed(&state->peak_region_bytes, bytes + raw->bytes);
    fph_fetch_add_relaxed(&state->backing_bytes[raw->backing & 3], raw->bytes);
}

/* Fill a slot with memory that is here. */
static void
fph_region_show(fph_region *region, const fpheap_region *raw)
{
    region->raw = *raw;
    fph_store_release(&region->shown, FPH_HERE);                    /* G9 */
}

/* Take a region that the caller keeps, unless a walk shows it.  The caller
 * keeps it no more.  Returns 0: it stays. */
static int
fph_region_hide(fph_region *region)
{
    uint64_t only = FPH_HERE + 1;

    if (fph_cas_acquire(&region->shown, &only, 0))                  /* G7 */
        return 1;
    fph_region_unkeep(region);
    return 0;
}

/* Add a region to a piece of memory if it is a neighbour of the same kind, and
 * no walk shows it.  Returns 0: it is not. */
static int
fph_region_join(fph_region *region, fpheap_region *to)
{
    const fpheap_region *raw = &region->raw;

    if (!fph_region_keep(region))
        return 0;
    if (to->node != raw->node || to->backing != raw->backing
        || to->cookie != raw->cookie
        || ((char *)to->base + to->bytes != (char *)raw->base
            && (char *)raw->base + raw->bytes != (char *)to->base)) {
        fph_region_unkeep(region);
        return 0;
    }
    if (!fph_region_hide(region))
        return 0;
    if ((char *)raw->base < (char *)to->base)
        to->base = raw->base;
    to->bytes += raw->bytes;
    return 1;
}

/* The region that has joined a piece of memory, and is the caller's; NULL:
 * there is no neighbour. */
static fph_region *
fph_regions_join(fph_state *state, fpheap_region *to)
{
    size_t i;

    for (i = fph_region_count(state); i-- > 0;)
        if (fph_region_join(&state->region[i], to))
            return &state->region[i];
    return NULL;
}

/* Enter memory in the table of regions: in a slot of its own; or, where the
 * provider takes parts, joined with its neighbours, in the slot of one. */
static void
fph_region_list(const fpheap *heap, fph_state *state, fph_region *slot,
                const fpheap_region *raw)
{
    fpheap_region whole = *raw;
    fph_region   *other;

    while ((heap->provider.flags & FPHEAP_PARTS) != 0
           && (other = fph_regions_join(state, &whole)) != NULL) {
        fph_store_release(&slot->used, 0);                          /* G6 */
        slot = other;
    }
    fph_region_show(slot, &whole);
}

/* Use a region that fph_obtain has accepted, in a slot; its first `taken` pages
 * are META's.  Returns 0, or a negative errno: nothing has changed. */
static int
fph_region_enter(const fpheap *heap, fph_state *state, fph_region *slot,
                 const fpheap_region *raw, size_t taken)
{
    char  *base  = NULL;
    size_t pages = fph_whole_pages(raw, &base);
    int    rc    = fph_pages_come(state, base, pages, raw);

    if (rc != 0)
        return rc;
    fph_pages_ask(heap, state, base, pages);
    fph_count_region(state, raw);
    FPH_STORE(&state->end, (char *)raw->base + raw->bytes, RELAXED);
    fph_region_list(heap, state, slot, raw);
    fph_meta_mark(state, base, taken, 1 /* marked */);
    fph_pages_open(state, base + (taken << FPHEAP_PAGE_SHIFT), pages - taken);
    return 0;
}

/* --- growth --------------------------------------------------------------- */

/*
 * One thread at a time asks the provider, or takes parked objects back instead;
 * another that needs memory waits until `growing`, the first one's ticket,
 * changes, and then looks for memory again.  This saves regions and is no lock:
 * whoever has waited enough puts its own ticket there and goes on; and threads
 * reclaim without a ticket after a failure and in fpheap_trim.
 *
 *       where                       order    partner  what must be seen
 *   G11 growing: CAS, load          acquire  G12      what the first obtained
 *   G12 growing: CAS, leave         release  G11
 *   G17 growing: CAS, to overtake   relaxed  none     no more than G11 has: it
 *                                                     found the same ticket
 *   G15 growths: fetch_add          release  G16      the region, before a look
 *   G16 growths: load               acquire  G15
 *
 * Returns 1, and in *ticket what to give to fph_growth_leave, 0 for no ticket;
 * or 0: another thread's growth has ended, or has been overtaken.  A thread in
 * a pass, or in the provider's callback, gets no ticket and does not wait:
 * those that wait may be waiting for it.
 */
static int
fph_growth_enter(const fpheap *heap, uint64_t *ticket)
{
    fph_state *state = heap->state;
    uint64_t   other = 0;

    *ticket = 0;
    if (fph_is_in(FPH_IN_PROVIDER | FPH_IN_PASS, heap, NULL)) {
        fph_this.beside = 1;
        return 1;
    }
    *ticket = fph_fetch_add_relaxed(&state->growth_tickets, 1) + 1;
    if (fph_cas_acquire(&state->growing, &other, *ticket))          /* G11 */
        return 1;
    while (fph_load_acquire(&state->growing) == other)              /* G11 */
        if (!fph_wait()) {
            fph_this.beside = 1;
            return fph_cas_relaxed(&state->growing, &other, *ticket); /* G17 */
        }
    return 0;
}

static uint64_t
fph_growths(const fph_state *state)
{
    return fph_load_acquire(&state->growths);                       /* G16 */
}

static void
fph_growth_leave(fph_state *state, uint64_t ticket)
{
    fph_cas_release(&state->growing, &ticket, 0);                   /* G12 */
}

static size_t
fph_growth_clamp(const fpheap *heap, size_t units)
{
    size_t most = heap->growth_max / fph_unit_bytes(heap);

    return units < most ? units : most;
}

/* Units to ask for: one while there are few, then two, or the 16th part of
 * what there is.  So what is obtained and not needed yet is little, and the
 * regions stay few: 80 in a gigabyte, 1,100 in a terabyte with the default
 * growth_max. */
static size_t
fph_growth_step(const fpheap *heap)
{
    size_t units = (size_t)fph_load_relaxed(&heap->state->region_bytes)
                 / fph_unit_bytes(heap);
    size_t least = units < 8 ? 1 : 2;

    units /= 16;
    return fph_growth_clamp(heap, units > least ? units : least);
}

/* Get a region of `wish` units, or fewer, but so many that it serves a need,
 * and use it. */
static int
fph_grow_now(fpheap *heap, int node, fph_need need, size_t wish)
{
    fph_state    *state = heap->state;
    fph_region   *slot  = fph_region_slot(state);
    uint64_t      began = fph_now_ns();
    fpheap_region raw;
    int           rc;

    if (slot == NULL)
        return -ENOMEM;
    rc = fph_obtain(heap, node, need, wish, &raw);
    if (!FPHEAP_NO_OS)
        fph_max_relaxed(&state->growth_max_ns, fph_now_ns() - began);
    if (rc == 0) {
        rc = fph_region_enter(heap, state, slot, &raw, 0 /* taken */);
        if (rc == 0)
            return 0;
        (void)fph_watch(heap, &raw, 1 /* leaving */);
        fph_hand_back(heap, &raw, raw.bytes, rc);
    }
    fph_store_release(&slot->used, 0);                              /* G6 */
    return rc;
}

/* Grow by a region that serves a need, of `wish` units if the provider has as
 * many, unless there were more growths than `seen` meanwhile.  Returns 0: there
 * is a new region, or another thread has tried, perhaps in vain; or a negative
 * errno. */
static int
fph_grow(fpheap *heap, int node, fph_need need, size_t wish, uint64_t seen)
{
    fph_state *state = heap->state;
    uint64_t   ticket;
    int        rc;

    if (fph_is_in(FPH_IN_PROVIDER, heap, NULL))
        return -EDEADLK;
    if (!fph_growth_enter(heap, &ticket))
        return 0;
    if (fph_growths(state) > seen) {
        fph_growth_leave(state, ticket);
        return 0;
    }
    rc = fph_grow_now(heap, node, need, fph_growth_clamp(heap, wish));
    fph_fetch_add_release(rc == 0 ? &state->growths                 /* G15 */
                                  : &state->growth_failures, 1);
    fph_growth_leave(state, ticket);
    if (rc == 0)
        fph_huge_look(heap);   /* nobody waits for that */
    return rc;
}

/* --- a region goes -------------------------------------------------------- */

/* Claim the free pages of a region from `base` on, as many as are asked for, if
 * all are free.  Returns 0 if not. */
static int
fph_fresh_take(fph_state *state, char *base, size_t pages)
{
    fph_part part = fph_parts((uintptr_t)base, pages);

    while (fph_part_next(state, &part))
        if (fph_part_is_here(state, &part)
            && !fph_pages_take(state, part.page, part.pages)) {
            fph_pages_open(state, base, pages - part.left);
            return 0;
        }
    return 1;
}

/* Whether a part looks free, and may go. */
static int
fph_part_may_go(const fph_state *state, const fph_part *part, int keep)
{
    size_t chunk = part->page >> FPH_PAGE_BITS;

    if (!fph_part_is_here(state, part))
        return 1;
    return !(keep && FPH_LOAD(&state->chunks[chunk].reserved, RELAXED))
        && (fph_load_relaxed(&state->free[chunk]) & part->mask) == part->mask;
}

/* The last part of the pages from `base` to `end`. */
static fph_part
fph_last_part(const fph_state *state, const char *base, const char *end)
{
    uintptr_t at   = ((uintptr_t)end - 1) & ~(uintptr_t)FPH_CHUNK_MASK;
    fph_part  part;

    if (at < (uintptr_t)base)
        at = (uintptr_t)base;
    part = fph_parts(at, ((uintptr_t)end - at) >> FPHEAP_PAGE_SHIFT);
    fph_part_next(state, &part);
    return part;
}

/* Bytes that a heap has beyond what is to stay. */
static size_t
fph_region_spare(const fpheap *heap)
{
    uint64_t have = fph_load_relaxed(&heap->state->region_bytes);

    return have < heap->reserve ? 0 : (size_t)(have - heap->reserve);
}

/* Claim the last chunks in a row below `end` that are free in a region of a
 * provider that takes parts, or else the whole region.  *part is what may leave
 * then.  Returns 0: there is nothing.  The caller keeps the region. */
static int
fph_region_fresh(const fpheap *heap, fph_region *region, char *end, int keep,
                 fpheap_region *part)
{
    fph_state *state = heap->state;
    int        parts = (heap->provider.flags & FPHEAP_PARTS) != 0;
    char      *base  = NULL;
    size_t     bytes = fph_whole_pages(&region->raw, &base)
                     << FPHEAP_PAGE_SHIFT;
    size_t     spare = fph_region_spare(heap);
    char      *first, *at;

    *part = region->raw;
    if (end == NULL || end > base + bytes) /* the slot has another by then */
        end = base + bytes;
    for (first = end; first > base; first = at) {
        fph_part last = fph_last_part(state, base, first);

        at = (char *)last.at;
        if ((size_t)(end - at) <= spare && fph_part_may_go(state, &last, keep))
            continue;
        if (!parts)
            return 0;
        if (first != end)
            break;
        end = at;
    }
    if (first == end || !fph_fresh_take(state, first, (size_t)(end - first)
                                                      >> FPHEAP_PAGE_SHIFT))
        return 0;
    if (parts) {
        part->base = first;
        part->bytes = (size_t)(end - first);
    }
    return 1;
}

/* Count memory that is about to leave.  Returns 0: the heap has no more than
 * what is to stay. */
static int
fph_region_may_leave(const fpheap *heap, size_t bytes)
{
    fph_word *all  = &heap->state->region_bytes;
    uint64_t  have = fph_load_relaxed(all);

    do {
        if (have < heap->reserve + bytes)
            return 0;
    } while (!fph_cas_relaxed(all, &have, have - bytes));
    return 1;
}

/* The provider has taken memory back. */
static void
fph_region_gone(fph_state *state, const fpheap_region *raw)
{
    fph_uncharge(state, raw->bytes);
    fph_fetch_add_relaxed(&state->backing_bytes[raw->backing & 3],
                          (uint64_t)0 - raw->bytes);
    fph_fetch_add_relaxed(&state->releases, 1);
}

/* What is left of a region before and behind a part of it. */
static void
fph_region_split(const fpheap_region *raw, const fpheap_region *part,
                 fpheap_region *front, fpheap_region *rest)
{
    *front = *raw;
    *rest = *raw;
    front->bytes = (size_t)((char *)part->base - (char *)raw->base);
    rest->base = (char *)part->base + part->bytes;
    rest->bytes = raw->bytes - front->bytes - part->bytes;
}

/* Move a part of a region, which nobody shows, to a slot of its own, and show
 * what is left: the slot keeps what is in front, if there is any.  Returns the
 * part's slot; NULL: the table is full. */
static fph_region *
fph_region_cut(fph_state *state, fph_region *region, const fpheap_region *part)
{
    fph_region   *second = NULL;
    fph_region   *own;
    fpheap_region front, rest;

    fph_region_split(&region->raw, part, &front, &rest);
    if (front.bytes == 0 && rest.bytes == 0)
        return region;
    own = fph_region_slot(state);
    if (own != NULL && front.bytes != 0 && rest.bytes != 0) {
        second = fph_region_slot(state);
        if (second == NULL) {
            fph_store_release(&own->used, 0);                       /* G6 */
            return NULL;
        }
        fph_region_show(second, &rest);
    }
    if (own != NULL)
        fph_region_show(region, front.bytes != 0 ? &front : &rest);
    return own;
}

/* Hand a part of a region back that the caller has claimed and that nobody
 * shows any more.  Returns 1: it is gone; 0: it is here again; -1: it is, but
 * the watcher forbids its use, and the heap's end tries once more. */
static int
fph_part_send(fpheap *heap, const fpheap_region *part)
{
    char  *base  = NULL;
    size_t pages = fph_whole_pages(part, &base);

    fph_pages_leave(heap->state, base, pages);
    if (fph_provider_put(heap, part) == 0) {
        fph_region_gone(heap->state, part);
        return 1;
    }
    if (fph_watch(heap, part, 0 /* leaving */) != 0)
        return -1;
    if (fph_pages_come(heap->state, base, pages, part) != 0) {
        (void)fph_watch(heap, part, 1 /* leaving */);
        return -1;
    }
    fph_pages_ask(heap, heap->state, base, pages);
    return 0;
}

/* Hand a part of a region back that the caller has claimed; the region is the
 * caller's to keep until here, and not afterwards.  Returns the bytes. */
static size_t
fph_region_send(fpheap *heap, fph_region *region, const fpheap_region *part)
{
    fph_state  *state = heap->state;
    char       *base  = NULL;
    size_t      pages = fph_whole_pages(part, &base);
    fph_region *own   = NULL;
    int         left  = 0;

    if (fph_region_hide(region)) {
        own = fph_region_cut(state, region, part);
        if (own == NULL)
            fph_store_release(&region->shown, FPH_HERE);            /* G9 */
        else if (fph_region_may_leave(heap, part->bytes)) {
            if (fph_watch(heap, part, 1 /* leaving */) == 0)
                left = fph_part_send(heap, part);
            if (left <= 0)
                fph_fetch_add_relaxed(&state->region_bytes, part->bytes);
        }
    }
    if (left > 0) {
        fph_store_release(&own->used, 0);                           /* G6 */
        return part->bytes;
    }
    if (left < 0) {
        own->raw = *part;
        fph_store_release(&own->used, FPH_BARRED);                  /* G6 */
        return 0;
    }
    if (own != NULL)
        fph_region_list(heap, state, own, part);
    fph_pages_open(state, base, pages);
    return 0;
}

/* Give back what is free as a whole, of a node or of all: chunks where the
 * provider takes parts, else regions; but not what fpheap_reserve has made
 * ready, if `keep` is set; until it is `most` bytes; and nothing while this
 * thread is in the provider's callback.  Returns the bytes. */
static size_t
fph_regions_release(fpheap *heap, int node, int keep, size_t most)
{
    fph_state *state = heap->state;
    size_t     bytes = 0;
    size_t     i;

    if (heap->provider.put == NULL || fph_is_in(FPH_IN_PROVIDER, heap, NULL))
        return 0;
    fph_moves_begin(state);
    for (i = fph_region_count(state); i-- > 0 && bytes < most;) {
        fph_region   *region = &state->region[i];
        char         *end    = NULL;
        fpheap_region part;

        while (bytes < most && fph_region_keep(region)) {
            if ((node != FPHEAP_ANY_NODE && region->raw.node != node)
                || !fph_region_fresh(heap, region, end, keep, &part)) {
                fph_region_unkeep(region);
                break;
            }
            end = (char *)part.base;
            bytes += fph_region_send(heap, region, &part);
        }
    }
    fph_moves_end(state);
    return bytes;
}

/* Bytes of a region that look free as a whole; the caller keeps it. */
static size_t
fph_region_fresh_bytes(const fpheap *heap, const fph_region *region)
{
    char    *base  = NULL;
    size_t   bytes = fph_whole_pages(&region->raw, &base) << FPHEAP_PAGE_SHIFT;
    size_t   fresh = 0;
    fph_part part  = fph_parts((uintptr_t)base, bytes >> FPHEAP_PAGE_SHIFT);

    while (fph_part_next(heap->state, &part)) {
        if (fph_part_may_go(heap->state, &part, 0 /* keep */))
            fresh += (size_t)part.pages << FPHEAP_PAGE_SHIFT;
        else if ((heap->provider.flags & FPHEAP_PARTS) == 0)
            return 0;
    }
    return fresh == bytes ? region->raw.bytes : fresh;
}

/* Bytes that fph_regions_release could give back. */
static size_t
fph_regions_fresh(const fpheap *heap)
{
    fph_region *region;
    size_t      bytes = 0, i = 0;

    for (; (region = fph_region_next(heap->state, &i)) != NULL;
         fph_region_unkeep(region))
        bytes += fph_region_fresh_bytes(heap, region);
    return bytes;
}

/* [RECORD] =================================================================
 *
 * What covers the pages that are not free.  Each chunk has a record per page,
 * made when one is first needed; the record of a slab's or a large object's
 * first page describes it.  Records are META's, whose blocks lie apart, or are
 * runs of pages where the system has no memory.
 *
 *   N1  A record covers the pages from its own on, as many as its info says,
 *       while that is not 0; back[] of each leads to it.  What back[] says of
 *       other pages means nothing.
 *
 *       where                        order    partner  what must be seen
 *   N2  records: CAS, when made      release  F5       what they lead to
 */

/* Pages of a block that is for one record. */
static size_t
fph_meta_least(size_t bytes)
{
    return (bytes + FPH_GUARDS + FPHEAP_PAGE - 1) >> FPHEAP_PAGE_SHIFT;
}

/* Pages of a block: few at first, for small heaps, and later a chunk, as there
 * can be only so many blocks. */
static size_t
fph_block_wish(const fph_state *state, size_t least)
{
    size_t number = (size_t)fph_load_relaxed(&state->meta_numbers);
    size_t pages  = number > FPH_TABLE_MAX / 4 ? FPH_PAGES : least + number / 4;

    return pages < FPH_PAGES ? pages : FPH_PAGES;
}

/* Claim pages for a block in which a record is to have so many bytes: of the
 * node, or of any, if need be no more than that takes.  Returns the first, or
 * FPH_NO_PAGE. */
static size_t
fph_block_pages(const fpheap *heap, int node, size_t bytes, size_t *pages)
{
    size_t   least = fph_meta_least(bytes);
    size_t   wish  = fph_block_wish(heap->state, least);
    size_t   page  = FPH_NO_PAGE;
    unsigned i;

    for (i = 0; page == FPH_NO_PAGE && i <= heap->nodes; i++) {
        unsigned on = (unsigned)node + i - (i != 0);

        *pages = i == 0 ? wish : least;
        page = fph_pages_find(heap, (int)(on % heap->nodes), *pages,
                              1 /* align */);
    }
    return page;
}

/* Pages of a block that a shared heap takes ahead.  None of its records lie
 * apart; so that a free finds magazines all the same, a 64th of the heap is for
 * them, in few blocks, as no chunk goes back that has one.  0: it has them. */
static size_t
fph_block_ahead(const fph_state *state)
{
    uint64_t cursor = fph_load_relaxed(&state->meta_cursor.word);
    size_t   want   = (size_t)fph_load_relaxed(&state->region_bytes) / 64;
    size_t   step   = want < 2 * FPHEAP_CHUNK ? want / 2 : FPHEAP_CHUNK;
    size_t   have   = (size_t)fph_load_relaxed(&state->magazines)
                      * FPHEAP_MAGAZINE * sizeof(void *)
                  + fph_meta_room(cursor);

    if (state->number != FPH_SHARED || have + step > want
        || want < FPHEAP_CHUNK / 8)
        return 0;
    return (want - have < FPHEAP_CHUNK ? want - have : FPHEAP_CHUNK)
           >> FPHEAP_PAGE_SHIFT;
}

/* Memory of zeros for a block, *room bytes: the system's, which no write past
 * an object reaches; or else free pages, unless the node is FPH_NO_NODE.  NULL:
 * there are none. */
#define FPH_NO_NODE (-1)

static char *
fph_block_new(const fpheap *heap, int node, size_t bytes, size_t *room)
{
    fph_state *state = heap->state;
    char      *block;
    size_t     page, pages;

    *room = FPHEAP_CHUNK - FPH_MAP_SKIP;
    if (*room < bytes)
        *room = bytes;
    block = state->number == FPH_SHARED ? NULL : (char *)fph_map_apart(*room);
    pages = block == NULL && node == FPH_NO_NODE ? fph_block_ahead(state) : 0;
    if (block != NULL || (node == FPH_NO_NODE && pages == 0))
        return block;
    page = pages != 0 ? fph_pages_find(heap, 0 /* node */, pages, 1 /* align */)
                      : fph_block_pages(heap, node, bytes, &pages);
    if (page == FPH_NO_PAGE)
        return NULL;
    *room = (pages << FPHEAP_PAGE_SHIFT) - FPH_GUARDS;
    block = fph_page_address(state, page);
    fph_meta_mark(state, block, pages, 1 /* marked */);
    memset(block, 0, *room + FPH_GUARDS);
    return block + FPH_GUARD;
}

/* Whether an address is in a page of META's.  A block that lies apart may have
 * its address in a chunk of which a region has other pages. */
static int
fph_is_meta_page(const fph_state *state, const void *at)
{
    const fph_chunk *chunk = fph_chunk_of(state, at);

    return chunk != NULL
        && (fph_load_relaxed(&chunk->meta)
            >> fph_page_of(state, at) % FPH_PAGES & 1) != 0;
}

/* A block that was not installed. */
static void
fph_block_drop(fph_state *state, char *block, size_t room)
{
    size_t page  = fph_page_of(state, block);
    size_t pages = (room + FPH_GUARDS) >> FPHEAP_PAGE_SHIFT;

    if (!fph_is_meta_page(state, block)) {
        fph_map_apart_end(block);
        return;
    }
    fph_meta_mark(state, block - FPH_GUARD, pages, 0 /* marked */);
    fph_pages_give(state, page, pages);
}

/* The next block that lies apart, from number *at on, which then is the one
 * behind it.  NULL: there is none. */
static char *
fph_block_next(const fph_state *state, size_t *at)
{
    size_t used = (size_t)fph_load_relaxed(&state->meta_numbers);

    while (*at < used && *at < FPH_TABLE_MAX) {
        char *block = FPH_LOAD(&state->meta[*at], RELAXED);

        ++*at;
        if (block != NULL && !fph_is_meta_page(state, block))
            return block;
    }
    return NULL;
}

/* The heap ends, but its regions are here. */
static void
fph_blocks_end(const fph_state *state)
{
    char  *block;
    size_t at = 0;

    while ((block = fph_block_next(state, &at)) != NULL)
        fph_map_apart_end(block);
}

/* Cut a record from a new block.  Returns its reference or 0; *found tells
 * whether there was memory. */
static uint32_t
fph_meta_extend(fpheap *heap, int node, uint64_t full, size_t bytes, int *found)
{
    fph_state *state = heap->state;
    uint32_t   ref   = 0;
    size_t     room;
    char      *block;

    fph_moves_begin(state);
    block = fph_block_new(heap, node, bytes, &room);
    *found = block != NULL;
    if (block != NULL)
        ref = fph_meta_install(state, full, block, room, bytes);
    if (block != NULL && ref == 0)
        fph_block_drop(state, block, room);
    fph_moves_end(state);
    return ref;
}

/* Whether there can be no more blocks. */
static int
fph_meta_full(const fph_state *state)
{
    return fph_load_relaxed(&state->meta_numbers) >= FPH_TABLE_MAX;
}

/* Cut a record from what there is, from a new block if need be.  Returns its
 * reference, or 0. */
static uint32_t
fph_meta_find(fpheap *heap, int node, size_t bytes)
{
    fph_state *state = heap->state;
    int        found = 1;

    while (found && !fph_meta_full(state)) {
        uint64_t full = fph_meta_block(state);
        uint32_t ref  = fph_meta_cut(state, bytes);

        if (ref == 0)
            ref = fph_meta_extend(heap, node, full, bytes, &found);
        if (ref != 0)
            return ref;
    }
    return fph_meta_cut(state, bytes);
}

/* Grow by a chunk on a node, and cut a record.  A growth that another thread
 * has ended may have failed, or others may have all of it: hence some tries. */
static uint32_t
fph_meta_grow(fpheap *heap, int node, size_t bytes, int *error)
{
    fph_need need = fph_need_of(heap, fph_meta_least(bytes), 1);
    uint64_t seen = fph_growths(heap->state);
    uint32_t ref  = fph_meta_find(heap, node, bytes);
    int      tries;

    for (tries = 0; tries < 4 && ref == 0; tries++) {
        *error = fph_grow(heap, node, need, 1 /* unit */, seen);
        if (*error != 0)
            return fph_this.beside ? fph_meta_find(heap, node, bytes) : 0;
        seen = fph_growths(heap->state);
        ref = fph_meta_find(heap, node, bytes);
        *error = -ENOMEM;
    }
    return ref;
}

/* Cut a record, and grow for it if need be: on a node, or with FPHEAP_SPILL on
 * another.  Returns its reference, or 0 and in *error a negative errno; with
 * NULL for error the provider is not asked. */
static uint32_t
fph_meta_get(fpheap *heap, int node, size_t bytes, int *error)
{
    uint32_t ref = fph_meta_find(heap, node, bytes);
    int      on;

    if (ref != 0 || error == NULL)
        return ref;
    *error = -ENOMEM;
    if (fph_meta_full(heap->state))
        return ref;            /* no growth would help */
    ref = fph_meta_grow(heap, node, bytes, error);
    for (on = 0; ref == 0 && on < (int)heap->nodes; on++)
        if (on != node && (heap->flags & FPHEAP_SPILL) != 0)
            ref = fph_meta_grow(heap, on, bytes, error);
    return ref;
}

/* Records for a chunk, unused or new; NULL: no memory for them. */
static fph_records *
fph_records_make(fpheap *heap, int node)
{
    fph_records *records = (fph_records *)(void *)
        fph_stack_pop(heap->state, &heap->state->records.word);
    uint32_t     ref;

    if (records != NULL)
        return records;
    ref = fph_meta_find(heap, node, sizeof *records);
    if (ref == 0)
        return NULL;
    records = (fph_records *)fph_meta_at(heap->state, ref);
    records->link.self = ref;
    records->made.self = ref;
    fph_made(heap->state, 0, &records->made);
    return records;
}

/* Whether a new chunk could get no records, as there can be no more blocks. */
static int
fph_records_out(const fph_state *state)
{
    return fph_meta_full(state)
        && (uint32_t)fph_load_relaxed(&state->records.word) == 0
        && !fph_meta_fits(fph_load_relaxed(&state->meta_cursor.word),
                          sizeof(fph_records));
}

/* Make sure that a chunk has records; the caller owns pages in it.  Returns 0:
 * no memory for them. */
static int
fph_chunk_ready(fpheap *heap, size_t number)
{
    fph_chunk   *chunk = &heap->state->chunks[number];
    fph_records *none  = NULL;
    fph_records *records;

    if (fph_chunk_records(chunk) != NULL)
        return 1;
    records = fph_records_make(heap, chunk->node);
    if (records == NULL)
        return 0;
    records->chunk = number;
    fph_records_lent(records, (char *)fph_chunk_address(chunk));
    if (!FPH_CAS_PTR(&chunk->records, &none, records, RELEASE)) {   /* N2 */
        fph_records_free(records);
        fph_stack_push(&heap->state->records.word, &records->link);
    }
    return 1;
}

/* A few pages were claimed: of a chunk that was free as a whole, a large heap's
 * others follow. */
static void
fph_huge_new(const fpheap *heap, size_t page, size_t pages)
{
    const fph_state *state = heap->state;
    size_t           chunk = page >> FPH_PAGE_BITS;

    if (pages <= FPH_PAGES / 4
        && fph_popcount(fph_load_relaxed(&state->free[chunk]))
           == FPH_PAGES - pages
        && fph_load_relaxed(&state->region_bytes) >= FPH_HUGE_NEW_FROM)
        fph_chunk_huge(heap, chunk, FPHEAP_HUGE_NOW);
}

/* Claim `pages` pages of a node in a row, at a multiple of `align` pages, the
 * first of which has a record; with FPHEAP_CHECK all chunks have.  Returns the
 * first, or FPH_NO_PAGE: no memory without growth. */
static size_t
fph_pages_claim(fpheap *heap, int node, size_t pages, unsigned align)
{
    fph_state *state = heap->state;
    size_t     page  = fph_pages_find(heap, node, pages, align);
    size_t     chunk, last;

    if (page == FPH_NO_PAGE)
        return page;
    chunk = page >> FPH_PAGE_BITS;
    fph_huge_new(heap, page, pages);
    last = FPHEAP_CHECK ? (page + pages - 1) >> FPH_PAGE_BITS : chunk;
    for (; chunk <= last; chunk++) {
        if (fph_chunk_ready(heap, chunk))
            continue;
        fph_moves_begin(state); /* whoever missed these pages looks again */
        fph_pages_give(state, page, pages);
        fph_moves_end(state);
        return FPH_NO_PAGE;
    }
    return page;
}

/* --- what is at an address ------------------------------------------------ */

static inline const fph_class *
fph_bin_class(const fph_state *state, unsigned bin)
{
    return &state->classes[bin % FPH_CLASSES];
}

/* The first object of a slab of a class that starts at an address. */
static inline char *
fph_slab_first(const fph_class *klass, char *start)
{
    return start + FPH_LOAD(&klass->skip, RELAXED);
}

static inline int
fph_bin_node(unsigned bin)
{
    return (int)(bin / FPH_CLASSES);
}

/* The bytes that an object has room for, by what covers it. */
static size_t
fph_info_bytes(const fph_state *state, uint64_t info)
{
    if (fph_info_kind(info) == FPH_SLAB)
        return fph_bin_class(state, fph_info_bin(info))->size - FPH_HEAD;
    return (size_t)(fph_info_count(info) - fph_info_bin(info))
        << FPHEAP_PAGE_SHIFT;  /* L1 */
}

/* The pages of it. */
static size_t
fph_info_pages(const fph_state *state, uint64_t info)
{
    switch (fph_info_kind(info)) {
    case FPH_NOTHING:
        return 0;
    case FPH_SLAB:
        return FPH_LOAD(&fph_bin_class(state, fph_info_bin(info))->pages,
                        RELAXED);
    default:
        return fph_info_count(info);
    }
}

/* What covers a live object; FPH_NOTHING for memory that looks like none. */
static uint64_t
fph_info_of(const fph_state *state, const void *object)
{
    return fph_info_load(fph_record_of(state, object));
}

static size_t
fph_room_of(const fpheap *heap, const void *object)
{
    return fph_info_bytes(heap->state, fph_info_of(heap->state, object));
}

/* The start of the object that `at` is in, given where the first page of its
 * record begins.  Only the record's info is read, which is atomic: `at` may be
 * anything. */
static char *
fph_object_base(const fph_state *state, char *start, uint64_t info,
                const char *at)
{
    const fph_class *klass = fph_bin_class(state, fph_info_bin(info));
    char            *base;
    size_t           size, number;

    switch (fph_info_kind(info)) {
    case FPH_SLAB:
        base = fph_slab_first(klass, start);
        if (at < base)
            return NULL;
        size = FPH_LOAD(&klass->size, RELAXED);
        number = (size_t)(at - base) / size;
        return number < fph_info_count(info)
            && (size_t)(at - base) - number * size < size - FPH_HEAD
             ? base + number * size : NULL;
    case FPH_LARGE:
        base = start + ((size_t)fph_info_bin(info) << FPHEAP_PAGE_SHIFT);
        return at >= base ? base : NULL;                            /* L1 */
    default:
        return NULL;
    }
}

/* The heap that a live object is from: this one, or a child of its children.
 * (Into one that may end meanwhile nobody may look.) */
static fpheap *
fph_heap_of(fpheap *heap, const void *object)
{
    while (fph_chunk_of(heap->state, object) != NULL) {
        size_t   page  = fph_page_of(heap->state, object);
        size_t   first = fph_first_of(heap->state, page);
        uint64_t info  = fph_info_load(fph_record_at(heap->state, first));

        if (fph_info_kind(info) != FPH_CHILD
            || page - first >= fph_info_count(info))
            break;
        heap = &fph_heaps[fph_info_bin(info)];
    }
    return heap;
}

/* The start of the object that a pointer is into; NULL: none. */
static void *
fph_base_of(const fph_state *state, const void *interior)
{
    char           *at = (char *)(uintptr_t)interior;
    size_t          page, first;
    const fph_slab *record;
    uint64_t        info;

    if (fph_chunk_of(state, interior) == NULL)
        return NULL;
    page = fph_page_of(state, interior);
    first = fph_first_of(state, page);
    record = fph_record_at(state, first);
    info = fph_info_load(record);
    /* If the chunk still has these records, all that was read belongs
     * together. */
    if (page - first >= fph_info_pages(state, info)
        || fph_record_at(state, first) != record)
        return NULL;
    return fph_object_base(state,
                           at - ((uintptr_t)at & (FPHEAP_PAGE - 1))
                              - ((page - first) << FPHEAP_PAGE_SHIFT),
                           info, at);
}

/* [DEBUG] ==================================================================
 *
 * The messages about misuse, in every build, and all that FPHEAP_CHECK,
 * FPHEAP_SITES and FPHEAP_TOOL add.  The sections below use these by names that
 * are empty without the settings, most of them at the end of this one; FASTPATH
 * says which objects begin and cease to be live, PAGES which chunks have
 * records.
 *
 * With FPHEAP_CHECK each live object has a mark.  Whoever allocates sets it and
 * whoever frees clears it, both as the object's owner, so two threads write one
 * at the same time only if one of them is mistaken.  No look for it touches the
 * object's memory, which may not be there: heap->known[] leads from a chunk's
 * number to its marks; of the chunks that share a place there, the last one
 * used has it.  Each mark of a bulk is changed before the next one is read, so
 * that a pointer that is there twice is told; the others are freed.
 *
 *       where                        order    partner  what must be seen
 *   K1  known[]: store               release  K2       life.base
 *   K2  known[]: load                acquire  K1
 *
 * At level 2, with sites or for a tool, all objects go the slow way.  The mark
 * of a free one says whether it is filled; the number of bytes behind a live
 * one is kept beside its mark, where a write beyond it does not reach, and so
 * is its site.  Tools are told last, so that what the heap fills and verifies
 * is allowed.
 */
/* The messages of every build; those of the checks name the object as well. */
#define FPH_SAY_NULL      "fpheap: a call with NULL for a heap"
#define FPH_SAY_DESTROYED "fpheap: a call with a heap that was destroyed"
#define FPH_SAY_NO_HEAP   "fpheap: a call with what is no heap, or a copy " \
                          "of one, or is the heap of another copy of fpheap.h"
#define FPH_SAY_FOREIGN   "fpheap: free of a pointer that is not from this heap"
#define FPH_SAY_NOWHERE   "fpheap: free of a pointer that is into no object"
#define FPH_SAY_INSIDE    "fpheap: free of a pointer that is not the start " \
                          "of an object"
#define FPH_SAY_DEAD      "fpheap: free of a pointer that is no live object"
#define FPH_SAY_TWICE     "fpheap: double free"
#define FPH_SAY_SHARED    "fpheap: free of an object with references"
#define FPH_SAY_HEADER    "fpheap: the header of an object was overwritten"
#define FPH_SAY_REALLOC   "fpheap: realloc of a pointer that is no live object"
#define FPH_SAY_SLAB      "fpheap: the record of a slab was overwritten"
#define FPH_SAY_MAGAZINE  "fpheap: a magazine was overwritten, or has an " \
                          "object twice"
#define FPH_SAY_GROUP     "fpheap: a call with what is no group, or one that " \
                          "has ended"
#define FPH_SAY_MARK      "fpheap: rewind to a mark of another group, or of " \
                          "a later moment"
#define FPH_SAY_LIVE      "fpheap: an object was handed out that is live: " \
                          "its magazine or slab was overwritten"

FPH_NOINLINE static void
fph_blame_handle(const fpheap *heap)
{
    if (heap == NULL)
        FPHEAP_PANIC(FPH_SAY_NULL);
    else if (fph_is_handle(heap))
        FPHEAP_PANIC(FPH_SAY_DESTROYED);
    else
        FPHEAP_PANIC(FPH_SAY_NO_HEAP);
}

/* Whether a handle is that of an existing heap of this copy of the
 * implementation.  In a release only misses ask: before that, a handle of
 * another copy may have hits in a heap of this one. */
static int
fph_heap_good(const fpheap *heap)
{
    if (FPH_LIKELY(fph_is_handle(heap) && heap->state != NULL))
        return 1;
    if (!fph_is_view(heap))
        fph_blame_handle(heap);
    return 0;
}

/* At level 2, verify what a slow operation has changed. */
#define fph_verify(good, message)           \
    do {                                    \
        if (FPHEAP_CHECK > 1 && !(good))    \
            FPHEAP_PANIC(message);          \
    } while (0)

/* What a tool is told: that bytes may be used, or may not; that an object
 * begins, is resized in place, or ends. */
#if FPHEAP_TOOL == 1
#  define FPH_TOOL_ALLOW(at, bytes)  __asan_unpoison_memory_region(at, bytes)
#  define FPH_TOOL_FORBID(at, bytes) __asan_poison_memory_region(at, bytes)
#  define FPH_TOOL_BEGIN(at, bytes)  FPH_TOOL_ALLOW(at, bytes)
#elif FPHEAP_TOOL == 2
#  define FPH_TOOL_ALLOW(at, bytes)  __msan_unpoison(at, bytes)
#  define FPH_TOOL_FORBID(at, bytes) __msan_allocated_memory(at, bytes)
#  define FPH_TOOL_BEGIN(at, bytes)  FPH_TOOL_FORBID(at, bytes)
#elif FPHEAP_TOOL == 3
#  define FPH_TOOL_ALLOW(at, bytes)  VALGRIND_MAKE_MEM_DEFINED(at, bytes)
#  define FPH_TOOL_FORBID(at, bytes) VALGRIND_MAKE_MEM_NOACCESS(at, bytes)
#  define FPH_TOOL_BEGIN(at, bytes)  VALGRIND_MALLOCLIKE_BLOCK(at, bytes, 0, 0)
#  define FPH_TOOL_RESIZE(at, old, bytes) \
    VALGRIND_RESIZEINPLACE_BLOCK(at, old, bytes, 0)
#  define FPH_TOOL_END(at)           VALGRIND_FREELIKE_BLOCK(at, 0)
#else
#  define FPH_TOOL_ALLOW(at, bytes)  ((void)0)
#  define FPH_TOOL_FORBID(at, bytes) ((void)(at), (void)(bytes))
#  define FPH_TOOL_BEGIN(at, bytes)  FPH_TOOL_FORBID(at, bytes)
#endif
#if FPHEAP_TOOL != 3
#  define FPH_TOOL_RESIZE(at, old, bytes) ((void)(old), (void)(bytes))
#  define FPH_TOOL_END(at)                ((void)0)
#endif

#if FPH_WATCHED || FPHEAP_SHARED
typedef struct fph_text {
    char   at[FPHEAP_NAME_BYTES + 384];
    size_t bytes;
} fph_text;

static void
fph_text_add(fph_text *text, const char *word)
{
    while (*word != '\0' && text->bytes + 1 < sizeof text->at)
        text->at[text->bytes++] = *word++;
    text->at[text->bytes] = '\0';
}

static void
fph_text_number(fph_text *text, uint64_t number, unsigned radix)
{
    char  digits[24];
    char *at = digits + sizeof digits - 1;

    *at = '\0';
    do
        *--at = "0123456789abcdef"[number % radix];
    while ((number /= radix) != 0);
    fph_text_add(text, radix == 16 ? "0x" : "");
    fph_text_add(text, at);
}

#endif

#if FPH_WATCHED
/* --- marks ---------------------------------------------------------------- */

/* Stands in known[] for a chunk that is not known: it has no live object. */
static fph_life fph_no_life;

static void
fph_known_init(fpheap *heap)
{
    unsigned i;

    FPH_STORE(&fph_no_life.base, FPH_NO_BASE, RELAXED);
    for (i = 0; i < FPH_KNOWN; i++)
        heap->known[i] = &fph_no_life;
}

/* The marks of the chunk that an address is in; NULL: none of the heap's. */
static fph_life *
fph_life_of(const fph_state *state, const void *at)
{
    fph_chunk   *chunk   = fph_chunk_of(state, at);
    fph_records *records = chunk == NULL ? NULL : fph_chunk_records(chunk);

    return records == NULL ? NULL : &records->life;
}

/* The place of an object's mark. */
static size_t
fph_mark_index(const void *object)
{
    return fph_mark_place((size_t)((uintptr_t)object & FPH_CHUNK_MASK));
}

/* The mark of an address, which a look at heap->known[] finds from here on, or
 * NULL: it is in no chunk that has objects. */
static fph_mark *
fph_mark_of(fpheap *heap, const void *object)
{
    fph_life *life = fph_life_of(heap->state, object);

    if (life == NULL)
        return NULL;
    FPH_STORE(&heap->known[((uintptr_t)object >> FPHEAP_CHUNK_SHIFT)
                           % FPH_KNOWN], life, RELEASE);            /* K1 */
    return &life->mark[fph_mark_index(object)];
}

static uint32_t *
fph_slack_at(const fph_state *state, const void *object)
{
    return &fph_life_of(state, object)->slack[fph_mark_index(object)];
}

/* The bytes of a live object that are not the application's. */
static size_t
fph_slack_of(const fph_state *state, const void *object)
{
    return FPHEAP_CHECK > 1 ? *fph_slack_at(state, object) : 0;
}

static size_t
fph_usable(const fpheap *heap, const void *object)
{
    return fph_room_of(heap, object) - fph_slack_of(heap->state, object);
}

/* --- messages ------------------------------------------------------------- */

static void
fph_text_heap(fph_text *text, const char *before, const fpheap *heap)
{
    fph_text_add(text, before);
    fph_text_add(text, heap->name);
    fph_text_add(text, "'");
}

/* "fpheap: CALL of POINTER, heap 'NAME': " */
static void
fph_text_begin(fph_text *text, const char *call, const fpheap *heap,
               const void *object)
{
    text->bytes = 0;
    fph_text_add(text, "fpheap: ");
    fph_text_add(text, call);
    fph_text_add(text, " of ");
    fph_text_number(text, (uintptr_t)object, 16);
    fph_text_heap(text, ", heap '", heap);
    fph_text_add(text, ": ");
}

#if FPHEAP_SITES
/* --- sites ---------------------------------------------------------------- */

#ifndef FPHEAP_STATIC
FPH_TLS const char *fph_site;
#endif

#define fph_site_get()     fph_site
#define fph_site_set(site) ((void)(fph_site = (site)))

static uint16_t *
fph_site_of(const fpheap *heap, const void *object)
{
    return &fph_life_of(heap->state, object)->site[fph_mark_index(object)];
}

/* ", allocated at FILE:LINE", or nothing if the site is not known. */
static void
fph_text_site(fph_text *text, const fpheap *heap, unsigned number)
{
    uintptr_t at = (uintptr_t)fph_load_relaxed(&heap->sites[number].at);

    if (at != 0) {
        fph_text_add(text, ", allocated at ");
        fph_text_add(text, (const char *)at);
    }
}

static void
fph_text_origin(fph_text *text, const fpheap *heap, const void *object)
{
    fph_text_site(text, heap, *fph_site_of(heap, object));
}

/* The number of a site; 0: it has no name, or there are too many. */
static unsigned
fph_site_number(fpheap *heap, const char *site)
{
    uint64_t at = (uintptr_t)site;
    unsigned i  = (unsigned)(at / 2 % (FPH_SITE_MAX - 1));
    unsigned left;

    for (left = FPH_SITE_MAX - 1; left > 0 && at != 0; left--) {
        fph_word *slot = &heap->sites[1 + i].at;
        uint64_t  is   = fph_load_relaxed(slot);

        if (is == 0 && fph_cas_relaxed(slot, &is, at))
            is = at;
        if (is == at)
            return 1 + i;
        i = (i + 1) % (FPH_SITE_MAX - 1);
    }
    return 0;
}

/* Count a live object for its site; a sign of -1 takes it out again. */
static void
fph_site_count(fpheap *heap, const void *object, size_t bytes, int sign)
{
    fph_site_tally *tally = &heap->sites[*fph_site_of(heap, object)];

    fph_fetch_add_relaxed(&tally->objects, (uint64_t)(int64_t)sign);
    fph_fetch_add_relaxed(&tally->bytes,
                          sign < 0 ? 0 - (uint64_t)bytes : bytes);
}

static void
fph_site_begin(fpheap *heap, const void *object)
{
    *fph_site_of(heap, object) = (uint16_t)fph_site_number(heap, fph_site);
    fph_site_count(heap, object, fph_usable(heap, object), 1);
}

/* Write the line of the site that comes after *rank in a list from most bytes
 * to least, and have *rank name it: the bytes, then the number.  Returns 0 if
 * there is none. */
static int
fph_site_next(const fpheap *heap, uint64_t *rank, fph_text *text)
{
    uint64_t best = 0;
    unsigned i;

    for (i = 0; i < FPH_SITE_MAX; i++) {
        uint64_t its = fph_load_relaxed(&heap->sites[i].bytes) * FPH_SITE_MAX
                     + (FPH_SITE_MAX - 1 - i);

        if (fph_load_relaxed(&heap->sites[i].objects) != 0 && its < *rank
            && its > best)
            best = its;
    }
    if (best == 0)
        return 0;
    *rank = best;
    i = FPH_SITE_MAX - 1 - (unsigned)(best % FPH_SITE_MAX);
    text->bytes = 0;
    fph_text_number(text, best / FPH_SITE_MAX, 10);
    fph_text_add(text, " bytes in ");
    fph_text_number(text, fph_load_relaxed(&heap->sites[i].objects), 10);
    fph_text_add(text, " live objects");
    fph_text_site(text, heap, i);
    return 1;
}

#define FPH_SITE_LINES 16      /* of a list, at most */

/* Report the objects that keep fpheap_destroy from ending the heap. */
static void
fph_sites_report(const fpheap *heap)
{
    uint64_t rank = UINT64_MAX;
    unsigned lines;
    fph_text text;

    text.bytes = 0;
    fph_text_heap(&text, "fpheap: live objects in heap '", heap);
    FPHEAP_REPORT(text.at);
    for (lines = 0; lines < FPH_SITE_LINES
         && fph_site_next(heap, &rank, &text); lines++)
        FPHEAP_REPORT(text.at);
}

#if !FPHEAP_NO_STDIO
static void
fph_sites_dump(const fpheap *heap, FILE *out)
{
    uint64_t rank = UINT64_MAX;
    unsigned lines;
    fph_text text;

    for (lines = 0; lines < FPH_SITE_LINES
         && fph_site_next(heap, &rank, &text); lines++)
        fprintf(out, "  %s\n", text.at);
}
#endif
#else
#  define fph_text_origin(text, heap, object)       ((void)(object))
#  define fph_site_count(heap, object, bytes, sign) ((void)0)
#  define fph_site_begin(heap, object)              ((void)0)
#endif

/* --- what is wrong -------------------------------------------------------- */

/* Say that a pointer is not into the heap's memory. */
static void
fph_blame_foreign(const fpheap *heap, const void *object)
{
    fph_text text;
    unsigned i;

    fph_text_begin(&text, "free", heap, object);
    fph_text_add(&text, "it is not from this heap");
    for (i = 0; i < FPHEAP_MAX_HEAPS; i++) {
        const fpheap *other = fph_handle_at(i);

        if (other != NULL && other != heap && other->state != NULL
            && fph_life_of(other->state, object) != NULL)
            fph_text_heap(&text, " but from heap '", other);
    }
    FPHEAP_PANIC(text.at);
}

/* A pointer into the heap's memory is not the start of a live object: say
 * whether it is into a live object, into a free one, or into none. */
static void
fph_blame_pointer(fpheap *heap, const void *object)
{
    const char *start = (const char *)fph_base_of(heap->state, object);
    fph_text    text;

    fph_text_begin(&text, "free", heap, object);
    if (start == NULL) {
        fph_text_add(&text, "there is no object");
        FPHEAP_PANIC(text.at);
        return;
    }
    if (start == object) {
        fph_text_add(&text, "double free: the object is free already");
    } else {
        fph_text_number(&text, (uint64_t)((const char *)object - start), 10);
        fph_text_add(&text, fph_mark_is(*fph_mark_of(heap, start),
                                        FPH_ANY_CLASS)
                     ? " bytes into the live object at "
                     : " bytes into the free object at ");
        fph_text_number(&text, (uintptr_t)start, 16);
    }
    fph_text_add(&text, ", of ");
    fph_text_number(&text, fph_usable(heap, start), 10);
    fph_text_add(&text, " bytes");
    fph_text_origin(&text, heap, start);
    FPHEAP_PANIC(text.at);
}

/* Say that an object's class is not the one that the caller names. */
static void
fph_blame_class(const fpheap *heap, const void *object, unsigned klass,
                unsigned is)
{
    const fph_state *state = heap->state;
    fph_text         text;

    fph_text_begin(&text, "free", heap, object);
    fph_text_add(&text, is >= FPH_SIZES ? "the object is of a pool of "
                      : is == 0         ? "the object is larger, above "
                                        : "the object is of ");
    fph_text_number(&text, is == 0 ? FPH_SIZED_MAX
                                   : state->classes[is].size - FPH_HEAD, 10);
    fph_text_add(&text, klass >= FPH_SIZES ? " bytes, put into another pool of "
                      : klass == 0 ? " bytes, freed with a size above "
                                   : " bytes, freed with a size of up to ");
    fph_text_number(&text, klass == 0 ? FPH_SIZED_MAX
                                      : state->classes[klass].size - FPH_HEAD,
                    10);
    fph_text_origin(&text, heap, object);
    FPHEAP_PANIC(text.at);
}

/* The mark of an object that is live and of a class; otherwise NULL, after
 * FPHEAP_PANIC. */
static fph_mark *
fph_live_mark(fpheap *heap, const void *object, unsigned klass)
{
    fph_mark *mark;

    if (!fph_heap_good(heap))
        return NULL;
    mark = fph_mark_of(heap, object);
    if (mark == NULL || !fph_mark_is(*mark, FPH_ANY_CLASS)
        || ((uintptr_t)object & 15) != 0) {
        if (fph_chunk_of(heap->state, object) != NULL)
            fph_blame_pointer(heap, object);
        else
            fph_blame_foreign(heap, object);
        return NULL;
    }
    if (!fph_mark_is(*mark, klass)) {
        fph_blame_class(heap, object, klass, *mark - 1u);
        return NULL;
    }
    return mark;
}

/* Whether an object is live, as far as is known; if not, call FPHEAP_PANIC. */
static int
fph_live_check(fpheap *heap, const void *object)
{
    return !FPHEAP_CHECK
        || fph_live_mark(heap, object, FPH_ANY_CLASS) != NULL;
}

/* --- bytes that nobody may write ------------------------------------------ */

#define FPH_FILL 0xfb

/* Whether an object keeps its contents while it is free. */
static int
fph_keeps_contents(const fpheap *heap, const void *object)
{
    uint64_t           info = fph_info_of(heap->state, object);
    const fpheap_pool *pool = fph_info_kind(info) != FPH_SLAB ? NULL
                            : fph_bin_pool(heap->state, fph_info_bin(info));

    return pool != NULL && (pool->flags & FPHEAP_SCRATCH) == 0;
}

/* Whether a tool is told of an object: not of one that other processes allocate
 * and free too, which it does not see. */
static int
fph_is_told(const fpheap *heap, const void *object)
{
    return !fph_is_shared(heap) && !fph_keeps_contents(heap, object);
}

static void
fph_fill(void *object, size_t from, size_t to)
{
    FPH_TOOL_ALLOW((char *)object + from, to - from);
    memset((char *)object + from, FPH_FILL, to - from);
}

/* The offset of an object's first byte that is not filled; `to` if all are. */
static size_t
fph_fill_end(const char *object, size_t from, size_t to)
{
    const uint64_t filled = UINT64_MAX / 255 * FPH_FILL;

    while (to - from >= sizeof filled
           && memcmp(object + from, &filled, sizeof filled) == 0)
        from += sizeof filled;
    while (from < to && (unsigned char)object[from] == FPH_FILL)
        from++;
    return from;
}

/* Verify an object's filled bytes; FPHEAP_PANIC names the first that has
 * changed. */
static void
fph_fill_verify(const fpheap *heap, const char *call, const void *object,
                size_t from, size_t to)
{
    size_t   i;
    fph_text text;

    FPH_TOOL_ALLOW((const char *)object + from, to - from);
    i = fph_fill_end((const char *)object, from, to);
    if (i == to)
        return;
    fph_text_begin(&text, call, heap, object);
    fph_text_add(&text, "the byte at offset ");
    fph_text_number(&text, i, 10);
    fph_text_add(&text, from == 0 ? " was written after the free of this "
                                    "object of "
                                  : " was written, beyond the object's ");
    fph_text_number(&text, from == 0 ? to : from, 10);
    fph_text_add(&text, " bytes");
    fph_text_origin(&text, heap, object);
    FPHEAP_PANIC(text.at);
}

/* size 0 has one byte. */
static void
fph_slack_set(const fpheap *heap, void *object, size_t size)
{
    size_t room = fph_room_of(heap, object);

    if (FPHEAP_CHECK < 2)
        return;
    size += size == 0;
    *fph_slack_at(heap->state, object) = (uint32_t)(room - size);
    fph_fill(object, size, room);
}

/* Verify an object of `bytes` bytes if its mark says that it is filled. */
static void
fph_filled_verify(const fpheap *heap, const fph_mark *mark, const char *call,
                  const void *object, size_t bytes)
{
    if (FPHEAP_CHECK > 1 && *mark == FPH_FILLED)
        fph_fill_verify(heap, call, object, 0, bytes);
}

static void
fph_verify_free(fpheap *heap, const void *object, size_t bytes)
{
    fph_filled_verify(heap, fph_mark_of(heap, object), "end", object, bytes);
}

/* A slab ends, with all objects free: nothing of it stays filled or
 * forbidden. */
static void
fph_slab_retired(const fph_state *state, const fph_slab *slab)
{
    size_t        count = fph_info_count(fph_load_relaxed(&slab->info));
    const fpheap *heap  = fph_handle_at(fph_number_of(state));
    size_t        i;

    for (i = 0; FPHEAP_CHECK > 1 && i < count; i++) {
        const char *object = slab->base + i * slab->size;
        fph_mark   *mark   = &fph_life_of(state, object)
                              ->mark[fph_mark_index(object)];

        fph_filled_verify(heap, mark, "end of the slab", object,
                          slab->size - FPH_HEAD);
        *mark = 0;
    }
    FPH_TOOL_ALLOW(slab->base, count * slab->size);
}

/* Verify a bin of this thread's cache, if it has one. */
static void
fph_verify_bin(const fpheap_cache *cache, unsigned number)
{
    const fph_bin *bin  = cache == NULL ? NULL : &cache->bins[number];
    int            good = 1;
    void         **slot;

    if (FPHEAP_CHECK < 2 || bin == NULL || bin->base == NULL)
        return;
    good = bin->top >= bin->base && bin->top <= bin->limit
        && bin->next == bin->top[-1];
    for (slot = bin->base; good && slot < bin->top; slot++) {
        const fph_mark *mark = fph_mark_of(cache->heap, *slot);

        good = mark != NULL && !fph_mark_is(*mark, FPH_ANY_CLASS)
            && fph_place_of(cache->heap, *slot) == number * FPH_BIN_STEP;
    }
    fph_verify(good, FPH_SAY_MAGAZINE);
}

/* --- begin, another size, end --------------------------------------------- */

static void
fph_mark_begin(fpheap *heap, void *object, size_t size, unsigned klass)
{
    fph_mark *mark = fph_mark_of(heap, object);

    if (fph_mark_is(FPH_LOAD(mark, RELAXED), FPH_ANY_CLASS))
        FPHEAP_PANIC(FPH_SAY_LIVE);
    fph_filled_verify(heap, mark, "allocation", object,
                      fph_room_of(heap, object));
    fph_slack_set(heap, object, size);
    fph_site_begin(heap, object);
    FPH_STORE(mark, (fph_mark)(1 + klass), RELAXED);
}

FPH_NOINLINE FPHEAP_API void
fph_live_begin_slow(fpheap *heap, void *object, size_t size, unsigned klass)
{
    size_t bytes;

    if (FPHEAP_CHECK)
        fph_mark_begin(heap, object, size, klass);
    if (FPHEAP_TOOL == 0)
        return;
    bytes = fph_usable(heap, object);
    if (fph_is_told(heap, object))
        FPH_TOOL_BEGIN(object, bytes);
    if (!fph_is_shared(heap))
        FPH_TOOL_FORBID((char *)object + bytes,
                        fph_slack_of(heap->state, object));
}

/* A live object that had room for `room` bytes gets another size, and perhaps
 * other pages. */
static void
fph_live_resize(fpheap *heap, void *object, size_t room, size_t size)
{
    size_t old = room - fph_slack_of(heap->state, object);
    size_t bytes;

    fph_fill_verify(heap, "realloc", object, old, room);
    fph_site_count(heap, object, old, -1);
    fph_slack_set(heap, object, size);
    bytes = fph_usable(heap, object);
    fph_site_count(heap, object, bytes, 1);
    if (fph_is_told(heap, object))
        FPH_TOOL_RESIZE(object, old, bytes);
    if (!fph_is_shared(heap))
        FPH_TOOL_FORBID((char *)object + bytes,
                        fph_slack_of(heap->state, object));
}

/* The mark that an object has when it is freed. */
static fph_mark
fph_fill_freed(const fpheap *heap, void *object, unsigned mark)
{
    size_t room = fph_room_of(heap, object);

    fph_fill_verify(heap, "free", object, fph_usable(heap, object), room);
    *fph_slack_at(heap->state, object) = 0;
    if (mark == 1 || fph_keeps_contents(heap, object))
        return 0;              /* above all classes, or a pool's */
    fph_fill(object, 0, room);
    return FPH_FILLED;
}

static int
fph_mark_end(fpheap *heap, void *object, unsigned klass)
{
    fph_mark *mark = object == NULL ? NULL
                                    : fph_live_mark(heap, object, klass);

    if (mark == NULL)
        return 0;
    if (fph_head_is_shared(object)) {
        FPHEAP_PANIC(FPH_SAY_SHARED);
        return 0;
    }
    fph_site_count(heap, object, fph_usable(heap, object), -1);
    FPH_STORE(mark, FPHEAP_CHECK < 2 ? (fph_mark)0
                                     : fph_fill_freed(heap, object, *mark),
              RELAXED);
    return 1;
}

/* A tool is told of the end if the pointer is to what may be freed. */
FPH_NOINLINE FPHEAP_API int
fph_live_end_slow(fpheap *heap, void *object, unsigned klass)
{
    fpheap *own = object != NULL && fph_is_handle(heap) && heap->state != NULL
                ? fph_heap_of(heap, object) : heap;

    if (own != heap) {
        fpheap_free(own, object);
        return 0;
    }
    if (FPHEAP_CHECK ? !fph_mark_end(heap, object, klass)
                     : object == NULL || !fph_heap_good(heap))
        return 0;
    if (FPHEAP_TOOL == 0 || fph_base_of(heap->state, object) != object
        || fph_head_is_shared(object) || !fph_is_told(heap, object))
        return 1;
    FPH_TOOL_END(object);
    FPH_TOOL_FORBID(object, fph_room_of(heap, object));
    return 1;
}
#else
#  define fph_known_init(heap)                      ((void)0)
#  define fph_live_check(heap, object)              1
#  define fph_live_resize(heap, object, room, size) \
    ((void)(heap), (void)(object), (void)(room))
#  define fph_slack_of(state, object)               ((void)(state), (size_t)0)
#  define fph_usable(heap, object)                  fph_room_of(heap, object)
#  define fph_slab_retired(state, slab)             ((void)0)
#  define fph_verify_bin(cache, number)             ((void)0)
#  define fph_verify_free(heap, object, bytes) ((void)(heap), (void)(object))
#endif
#if !FPHEAP_SITES
#  define fph_site_get()                            NULL
#  define fph_site_set(site)                        ((void)(site))
#  define fph_sites_report(heap)                    ((void)0)
#  define fph_sites_dump(heap, out)                 ((void)0)
#endif

/* [OBJECT] =================================================================
 *
 * What an object carries: with FPHEAP_HEADER its header, tag, destructor and
 * references.  Headers begin and end in FASTPATH, with the objects.  Each cache
 * has its own counts by tag, so that no two threads write the same line; a
 * thread may free what another has counted.
 */
#if FPHEAP_HEADER

/* The destructors of the process.  A number is taken first, then filled in:
 *
 *       where                        order    partner  what must be seen
 *   E1  fn: store                    release  E2       arg
 *   E2  fn: load                     acquire  E1
 */
typedef struct fph_destructor {
    fpheap_destructor fn;      /* atomic; NULL: not registered */
    void             *arg;
} fph_destructor;

static fph_destructor fph_destructors[256];
static fph_word       fph_destructor_count;

static fpheap_destructor
fph_destructor_fn(unsigned number)
{
    return FPH_LOAD(&fph_destructors[number].fn, ACQUIRE);          /* E2 */
}

/* A byte of what a header says. */
static unsigned
fph_head_get(const fph_head *head, unsigned at)
{
    return (unsigned)(head->about >> at & 0xff);
}

static void
fph_head_set(fph_head *head, unsigned at, unsigned byte)
{
    head->about = (head->about & ~((uint64_t)0xff << at))
                | (uint64_t)(byte & 0xff) << at;
}

static int
fph_destructor_known(unsigned number)
{
    return number == 0 || (number < 256 && fph_destructor_fn(number) != NULL);
}

FPHEAP_API int
fpheap_destructor_register(fpheap_destructor destructor, void *arg)
{
    uint64_t count = fph_load_relaxed(&fph_destructor_count);

    if (destructor == NULL)
        return -EINVAL;
    do {
        if (count == 255)
            return -ENOSPC;
    } while (!fph_cas_relaxed(&fph_destructor_count, &count, count + 1));
    fph_destructors[count + 1].arg = arg;
    FPH_STORE(&fph_destructors[count + 1].fn, destructor, RELEASE); /* E1 */
    return (int)count + 1;
}

FPHEAP_API int
fpheap_set_destructor(void *object, unsigned number)
{
    if (!fph_destructor_known(number))
        return -EINVAL;
    fph_head_set(fph_head_of(object), FPH_HEAD_DESTRUCTOR, number);
    return 0;
}

FPH_NOINLINE FPHEAP_API void
fph_unref_last(fpheap *heap, void *object)
{
    unsigned          number = fph_head_get(fph_head_of(object),
                                            FPH_HEAD_DESTRUCTOR);
    fpheap_destructor fn     = fph_destructor_fn(number);

    if (fn(fph_destructors[number].arg, object) != FPHEAP_KEPT)
        fpheap_free(heap, object);
}

/* fph_tally_add for a thread without a cache. */
FPH_NOINLINE FPHEAP_API void
fph_tally_slow(fpheap *heap, unsigned tag, size_t n, size_t bytes)
{
    fph_fetch_add_relaxed(&heap->state->tag_objects[tag],
                          (uint64_t)(int64_t)(ptrdiff_t)n);
    fph_fetch_add_relaxed(&heap->state->tag_bytes[tag],
                          (uint64_t)(int64_t)(ptrdiff_t)bytes);
}

/* Say why an object cannot end.  Returns 0. */
FPH_NOINLINE FPHEAP_API int
fph_head_end_slow(fpheap *heap, const void *object)
{
    unsigned refs;

    if (object == NULL || !fph_heap_good(heap))
        return 0;
    if (fph_chunk_of(heap->state, object) == NULL) {
        FPHEAP_PANIC(FPH_SAY_FOREIGN);
        return 0;
    }
    refs = fpheap_refs(object);
    FPHEAP_PANIC(refs == 0   ? FPH_SAY_TWICE
                 : refs == 1 ? FPH_SAY_HEADER
                             : FPH_SAY_SHARED);
    return 0;
}

static void
fph_head_set_tag(fpheap *heap, fph_head *head, unsigned tag)
{
    size_t bytes = fph_head_requested(head);

    if (tag == fph_head_tag(head))
        return;
    fph_tally_add(heap, fph_head_tag(head), (size_t)-1, (size_t)0 - bytes);
    fph_tally_add(heap, tag, 1, bytes);
    fph_head_set(head, FPH_HEAD_TAG, tag);
}

static void
fph_head_resize(fpheap *heap, void *object, size_t size)
{
    fph_head *head = fph_head_of(object);

    fph_tally_add(heap, fph_head_tag(head), 0, size - fph_head_requested(head));
    head->about = (head->about & ~(FPH_HEAD_MAX - 1)) | size;
}

/* Give an object the tag, the flags and the destructor of another. */
static void
fph_head_copy(fpheap *heap, void *object, const void *other)
{
    const fph_head *from = fph_head_of(other);
    fph_head       *head = fph_head_of(object);

    fph_head_set_tag(heap, head, fph_head_tag(from));
    head->about = (from->about & ~(FPH_HEAD_MAX - 1))
                | fph_head_requested(head);
}

/* What is live of a tag.  A sum of counts read one by one may be below 0. */
static fph_tally
fph_tag_live(const fpheap *heap, unsigned tag)
{
    const fph_state    *state = heap->state;
    const fpheap_cache *cache;
    fph_tally           live;
    size_t              seat  = 0;

    live.objects = (size_t)fph_load_relaxed(&state->tag_objects[tag]);
    live.bytes = (size_t)fph_load_relaxed(&state->tag_bytes[tag]);
    while ((cache = fph_cache_next(state, &seat)) != NULL) {
        live.objects += FPH_LOAD(&cache->tallies[tag].objects, RELAXED);
        live.bytes += FPH_LOAD(&cache->tallies[tag].bytes, RELAXED);
    }
    if (live.objects > SIZE_MAX / 2)
        live.objects = 0;
    if (live.bytes > SIZE_MAX / 2)
        live.bytes = 0;
    return live;
}

FPHEAP_API void *
fpheap_alloc_tagged(fpheap *heap, size_t size, unsigned tag)
{
    void *object;

    if (tag >= FPHEAP_TAGS) {
        errno = EINVAL;
        return NULL;
    }
    object = fpheap_alloc(heap, size);
    if (object != NULL)
        fph_head_set_tag(heap, fph_head_of(object), tag);
    return object;
}

FPHEAP_API size_t
fpheap_requested(const void *object)
{
    return fph_head_requested(fph_head_of(object));
}

FPHEAP_API unsigned
fpheap_tag(const void *object)
{
    return fph_head_tag(fph_head_of(object));
}

FPHEAP_API unsigned
fpheap_flags(const void *object)
{
    return fph_head_get(fph_head_of(object), FPH_HEAD_FLAGS);
}

FPHEAP_API void
fpheap_set_flags(void *object, unsigned flags)
{
    fph_head_set(fph_head_of(object), FPH_HEAD_FLAGS, flags);
}
#else
#  define fph_destructor_known(number)        1
#  define fph_head_resize(heap, object, size) ((void)(size))
#  define fph_head_copy(heap, object, other)  ((void)(other))
static inline fph_tally
fph_tag_live(const fpheap *heap, unsigned tag)
{
    fph_tally none = { 0, 0 };

    (void)heap, (void)tag;
    return none;
}
#endif

/* A live object that had room for `room` bytes now has `size`, and may have
 * other pages. */
static void
fph_resized(fpheap *heap, void *object, size_t room, size_t size)
{
    fph_live_resize(heap, object, room, size);
    fph_head_resize(heap, object, size);
}

/* [SLAB] ===================================================================
 *
 * A slab's objects are bits.  One thread at a time, the holder, clears bits;
 * any thread that gives objects back sets them:
 *
 *     bits[]   1: the object is free
 *     state    | free objects, signed : 63 | listed : 1 |
 *
 *   S1  A slab that is listed is either in the stack of its bin, or held by the
 *       one thread that popped, took or carved it.  One that is not listed is
 *       in no stack and has no holder.
 *   S2  free objects = bits announced by givers - bits cleared by holders.  A
 *       giver sets bits, then announces them, so the number in the state of a
 *       slab that has no holder may be low, never high; with no giver between
 *       the two it is the number of set bits.
 *   S3  A giver's announcement is its last access to the slab, unless the giver
 *       sets `listed`: it then pushes the slab, which until then no other
 *       thread can hold.  So a slab whose objects are all announced belongs to
 *       its holder alone, which may retire it.
 *   S4  A holder drops a slab (clears `listed`) only while no free object is
 *       announced; the next announcement lists it again.  So no free object is
 *       lost.
 *
 *       where                      order    partner  what must be seen
 *   B1  claim: load bits           acquire  B3       all that the last owner of
 *                                                    the object did to it
 *   B2  claim: fetch_and bits      relaxed  none     only the holder clears,
 *                                                    what it has seen in B1
 *   B3  give: fetch_or bits        release  B1       as B1
 *   B4  give: CAS state, announce  acq_rel  B5, B6   release: B3, for whoever
 *                                                    retires; acquire: the last
 *                                                    holder's writes, before it
 *                                                    is pushed
 *   B5  retire: load state         acquire  B4       all B3 of what is counted
 *   B6  drop: CAS state            release  B4       the holder is done with it
 *   B7  claim: fetch_add state     relaxed  none     B6 or a T2 publishes it
 *   B8  serve: load state          acquire  B4       the bits of all B3 that it
 *                                                    counts: what the quota was
 *                                                    taken for is there
 *
 * A bit that is already set when its object is given back is a double free.
 * Progress: lock-free; a giver never waits for a holder.
 */
static inline uint64_t
fph_slab_state(int64_t free_objects, unsigned listed)
{
    return (uint64_t)free_objects << 1 | listed;
}

static inline int64_t
fph_slab_free_objects(uint64_t state)
{
    return (int64_t)state >> 1;
}

/* The bits of word w of a slab with `count` objects. */
static inline uint64_t
fph_slab_mask(size_t count, size_t w)
{
    if (count >= (w + 1) * 64)
        return ~(uint64_t)0;
    return count <= w * 64 ? 0 : ~(uint64_t)0 >> (64 - (count - w * 64));
}

/* --- what a pool adds ------------------------------------------------------
 *
 *   Q1  A pool's quota counts the objects that are not free in their slabs: it
 *       is raised before a holder clears their bits, and lowered after a giver
 *       has set them.  So live + parked <= claimed <= max.  Both are in one
 *       word, so a change of max comes before a claim or after it.
 *   Q2  slabs and objects count what was constructed and not yet destructed.
 *
 *       where                       order    partner  what must be seen
 *   Q3  quota: CAS, fetch_add       relaxed  none     a number, nothing else
 *   Q4  objects: CAS, fetch_add     relaxed  none     the same
 *   Q5  slabs: fetch_add -1         release  Q6       the destructors are done
 *   Q6  slabs: load                 acquire  Q5       before the pool ends
 *   Q7  nth: fetch_add              relaxed  none     a number, nothing else
 *   Q8  claimed: fetch_add          relaxed  none     the same
 */

/* The pages in which the objects of a slab lie. */
static inline size_t
fph_slab_pages(size_t size, size_t count)
{
    return (size * count + FPHEAP_PAGE - 1) >> FPHEAP_PAGE_SHIFT;
}

/* The slabs of a pool that has this record. */
static inline uint64_t
fph_pool_slabs(const fpheap_pool *record)
{
    return fph_load_acquire(&record->slabs);                        /* Q6 */
}

/* Whether empty slabs of a pool may stay as they are. */
static inline int
fph_keeps_slabs(const fpheap_pool *pool)
{
    return pool != NULL && FPH_LOAD(&pool->keeps, RELAXED) != 0;
}

/* Count the pages of a slab that the caller holds and that is empty, 1, or -1
 * no longer. */
static void
fph_count_empty(fph_state *state, const fph_slab *slab, int slabs)
{
    uint64_t info  = fph_load_relaxed(&slab->info);
    int64_t  pages = (int64_t)fph_slab_pages(slab->size, fph_info_count(info));

    if (!fph_keeps_slabs(fph_bin_pool(state, fph_info_bin(info))))
        fph_fetch_add_relaxed(&state->empty_pages, (uint64_t)(slabs * pages));
}

static inline size_t
fph_quota_left(uint64_t quota)
{
    return (uint32_t)quota < quota >> 32
         ? (size_t)((quota >> 32) - (uint32_t)quota) : 0;
}

/* Count n objects as claimed, or as many as max allows.  Returns how many. */
static size_t
fph_quota_take(fpheap_pool *pool, size_t n)
{
    uint64_t quota;

    if (pool == NULL)
        return n;
    quota = fph_load_relaxed(&pool->quota);
    do {
        if (n > fph_quota_left(quota))
            n = fph_quota_left(quota);
    } while (n != 0
             && !fph_cas_relaxed(&pool->quota, &quota, quota + n)); /* Q3 */
    return n;
}

static void
fph_quota_give(fpheap_pool *pool, size_t n)
{
    if (pool != NULL)
        fph_fetch_add_relaxed(&pool->quota, (uint64_t)0 - n);       /* Q3 */
}

/* What a call on a heap that has watermarks has done, WATER. */
enum { FPH_TOOK = 1, FPH_GAVE = 2, FPH_STOWED = 4, FPH_FAILED = 8 };

/* It has: with claimed or given bytes, or a magazine into a depot. */
static inline void
fph_did(fph_state *state, size_t bytes, unsigned what)
{
    if (FPH_LIKELY(fph_load_relaxed(&state->marked) == 0))
        return;
    if (state->water[0].marks.crossed != NULL)
        fph_fetch_add_relaxed(&state->claimed,                      /* Q8 */
                              what == FPH_GAVE ? 0 - (uint64_t)bytes : bytes);
    fph_this.did[fph_number_of(state)] |= what;
}

#define FPH_NESTED 8           /* constructors inside one another, at most */

#if FPHEAP_SHARED
/* This process's handle of a pool, with its callbacks; NULL: it has none. */
static fpheap_pool *
fph_pool_here(const fph_state *state, fpheap_pool *record)
{
    fpheap_pool *pool;

    if (state->number != FPH_SHARED)
        return record;
    pool = fph_heaps[fph_number_of(state)].pools + record->number;
    return pool->record == record
        && pool->version == fph_load_relaxed(
                                &state->pool_is[record->number]) / 8
         ? pool : NULL;
}
#else
#  define fph_pool_here(state, record) ((void)(state), (record))
#endif

/* Destruct n objects, the last one first. */
static void
fph_pool_destruct(const fpheap_pool *pool, char *base, size_t size, size_t n)
{
    fph_frame frame = { FPH_IN_POOL, pool->heap, pool, fph_this.frames };

    if (pool->destruct == NULL)
        return;
    if (pool->front != NULL) {
        frame.pool = pool->front;
        frame.heap = pool->front->heap;
    }
    fph_this.frames = &frame;
    while (n-- > 0)
        pool->destruct(pool->arg, base + n * size);
    fph_this.frames = frame.outer;
}

/* Construct the objects of a new slab.  Returns 0, or a negative errno after
 * destructing those that were constructed. */
static int
fph_pool_construct(const fph_state *state, fpheap_pool *record, char *base,
                   size_t size, size_t count)
{
    fpheap_pool *pool  = fph_pool_here(state, record);
    fph_frame    frame = { FPH_IN_POOL, NULL, pool, fph_this.frames };
    size_t       nth, i;
    int          rc    = 0;

    if (!record->constructs)
        return 0;
    if (record->front != NULL)
        frame.pool = record = pool = record->front;
    if (pool == NULL || (pool->construct == NULL
                         && pool->construct_nth == NULL))
        return -ENOTSUP;
    frame.heap = pool->heap;
    if (fph_this.nested == FPH_NESTED)
        return -EDEADLK;
    nth = (size_t)fph_fetch_add_relaxed(&record->nth, count);       /* Q7 */
    fph_this.nested++;
    fph_this.frames = &frame;
    for (i = 0; i < count && rc == 0; i++)
        rc = pool->construct != NULL
           ? pool->construct(pool->arg, base + i * size)
           : pool->construct_nth(pool, pool->arg, base + i * size, nth + i);
    fph_this.frames = frame.outer;
    fph_this.nested--;
    if (rc == 0)
        return 0;
    fph_pool_destruct(pool, base, size, i - 1);
    return rc < 0 ? rc : -EINVAL;
}

/* Whether a slab of a pool may be given up; if so, uncount its objects. */
static int
fph_pool_spares(fpheap_pool *pool, size_t count)
{
    uint64_t objects = fph_load_relaxed(&pool->objects);
    uint64_t ending  = fph_load_relaxed(&pool->ending);             /* P12 */
    uint64_t min     = ending ? 0 : pool->min;

    if (!ending && (pool->flags & FPHEAP_TYPE_STABLE) != 0)
        return 0;
    do {
        if (objects < min + count)
            return 0;
    } while (!fph_cas_relaxed(&pool->objects, &objects,             /* Q4 */
                              objects - count));
    return 1;
}

/* --- slabs ---------------------------------------------------------------- */

/* Lead the pages of a slab to a bin's place; 0: to none. */
static void
fph_slab_map(fph_state *state, size_t page, unsigned pages, unsigned place)
{
    for (; pages > 0; page++, pages--)
        FPH_STORE(&state->map[page], (uint16_t)place, RELAXED);
}

/* Make the pages from `page` on a slab of a bin, held, all objects free. */
static fph_slab *
fph_slab_make(fph_state *state, size_t page, unsigned bin)
{
    const fph_class *klass = fph_bin_class(state, bin);
    fph_slab        *slab  = fph_record_begin(state, page);
    size_t           count = klass->count;
    size_t           w;

    slab->base = fph_slab_first(klass, fph_page_address(state, page));
    slab->size = klass->size;
    slab->inverse = klass->inverse;
    for (w = 0; w * 64 < count; w++)
        fph_store_relaxed(&slab->bits[w], fph_slab_mask(count, w));
    fph_store_relaxed(&slab->state, fph_slab_state((int64_t)count, 1));
    fph_pages_lead(state, page, page, klass->pages);
    fph_slab_map(state, page, klass->pages, bin * (unsigned)FPH_BIN_STEP);
    fph_heads_clear(state, slab->base, slab->size, count);
    fph_info_store(slab, fph_info(FPH_SLAB, bin, count));
    fph_count_empty(state, slab, 1);
    return slab;
}

/* Cut pages into a new slab and hold it.  NULL: there are no pages without
 * growth, or *refused is the constructor's error. */
static fph_slab *
fph_slab_carve(fpheap *heap, unsigned bin, int *refused)
{
    fph_state       *state = heap->state;
    const fph_class *klass = fph_bin_class(state, bin);
    fpheap_pool     *pool  = fph_bin_pool(state, bin);
    size_t           page  = fph_pages_claim(heap, fph_bin_node(bin),
                                             klass->pages, 1 /* align */);

    if (page == FPH_NO_PAGE)
        return NULL;
    if (pool != NULL) {
        char *first = fph_slab_first(klass, fph_page_address(state, page));

        *refused = fph_pool_construct(state, pool, first, klass->size,
                                      klass->count);
        if (*refused != 0) {
            fph_pages_give(state, page, klass->pages);
            return NULL;
        }
        fph_fetch_add_relaxed(&pool->objects, klass->count);        /* Q4 */
        fph_fetch_add_relaxed(&pool->slabs, 1);
    }
    return fph_slab_make(state, page, bin);
}

/* Give back the pages of a slab that the caller holds and whose objects are all
 * free and announced (S3), unless its pool keeps it.  Returns whether it
 * did. */
static int
fph_slab_retire(fph_state *state, fph_slab *slab)
{
    uint64_t     info  = fph_load_relaxed(&slab->info);
    unsigned     bin   = fph_info_bin(info);
    unsigned     pages = fph_bin_class(state, bin)->pages;
    fpheap_pool *pool  = fph_bin_pool(state, bin);

    if (pool != NULL) {
        const fpheap_pool *here = fph_pool_here(state, pool);

        if ((pool->destructs && (here == NULL || here->destruct == NULL))
            || !fph_pool_spares(pool, fph_info_count(info)))
            return 0;
        if (here != NULL)
            fph_pool_destruct(here, slab->base, slab->size,
                              fph_info_count(info));
    }
    fph_slab_retired(state, slab);
    fph_count_empty(state, slab, -1);
    fph_store_relaxed(&slab->info, 0);
    fph_slab_map(state, slab->page, pages, 0);
    fph_pages_give(state, slab->page, pages);
    if (pool != NULL)
        fph_fetch_add_release(&pool->slabs, ~(uint64_t)0);          /* Q5 */
    return 1;
}

/* Turn the bits of a word, highest first, into pointers. */
static inline void **
fph_slab_pointers(const fph_slab *slab, size_t w, uint64_t bits, void **out)
{
    char  *at   = slab->base + w * 64 * slab->size;
    size_t size = slab->size;

    if (bits == ~(uint64_t)0) {
        size_t i;

        for (i = 64; i-- > 0;)
            *out++ = at + i * size;
        return out;
    }
    for (; bits != 0; bits ^= (uint64_t)1 << fph_highest_bit(bits))
        *out++ = at + fph_highest_bit(bits) * size;
    return out;
}

/* The n highest set bits of a word, or all of them if it has fewer. */
static inline uint64_t
fph_some_bits(uint64_t word, size_t n)
{
    uint64_t rest = word;

    if (n >= 64)
        return word;
    for (; n > 0 && rest != 0; n--)
        rest ^= (uint64_t)1 << fph_highest_bit(rest);
    return word ^ rest;
}

/*
 * Claim up to n objects of a slab that the caller holds.  Returns how many.
 * It goes from the slab's end to its beginning: a magazine is emptied from its
 * top, so objects come out in the order of their addresses.
 */
static size_t
fph_slab_claim(fph_state *state, fph_slab *slab, void **objects, size_t n)
{
    uint64_t info  = fph_load_relaxed(&slab->info);
    size_t   count = fph_info_count(info);
    size_t   w     = (count + 63) / 64;
    void   **out   = objects;
    size_t   got;
    uint64_t old;

    while (w-- > 0 && (got = (size_t)(out - objects)) < n) {
        uint64_t take = fph_load_acquire(&slab->bits[w]);           /* B1 */

        if (take == 0)
            continue;
        take = fph_some_bits(take, n - got);
        fph_fetch_and_relaxed(&slab->bits[w], ~take);               /* B2 */
        out = fph_slab_pointers(slab, w, take, out);
    }
    got = (size_t)(out - objects);
    fph_heads_own(state, objects, got, 1 /* mine */);
    old = fph_fetch_add_relaxed(&slab->state,                       /* B7 */
                                fph_slab_state(-(int64_t)got, 0));
    fph_did(state, got * slab->size, FPH_TOOK);
    fph_take_count(state, fph_info_bin(info), got);
    if (got != 0 && fph_slab_free_objects(old) == (int64_t)count)
        fph_count_empty(state, slab, -1);
    return got;
}

/* Let go of a slab: push it on its bin's stack if it has free objects, else
 * drop it until a thread gives one back (S4). */
static void
fph_slab_let_go(fph_state *state, fph_slab *slab)
{
    uint64_t word = fph_load_relaxed(&slab->state);
    unsigned bin  = fph_info_bin(fph_load_relaxed(&slab->info));

    do {
        if (fph_slab_free_objects(word) > 0) {
            fph_stack_push(&state->depots[bin].partial, &slab->link);
            return;
        }
    } while (!fph_cas_release(&slab->state, &word,                  /* B6 */
                              word & ~(uint64_t)1));
}

/* Add n objects to the number in a slab's state.  This is the caller's last
 * access to the slab and its pool, unless the caller lists the slab (S3). */
static void
fph_slab_announce(fph_state *state, fph_slab *slab, size_t n)
{
    uint64_t     info  = fph_load_relaxed(&slab->info);
    uint64_t     word  = fph_load_relaxed(&slab->state);
    fpheap_pool *pool  = fph_bin_pool(state, fph_info_bin(info));
    int          keeps = fph_keeps_slabs(pool);
    size_t       size  = slab->size;
    uint64_t     told;

    fph_quota_give(pool, n);
    do
        told = (word + fph_slab_state((int64_t)n, 0)) | 1;
    while (!FPH_CAS(&slab->state, &word, told, ACQ_REL, RELAXED));  /* B4 */
    if (!keeps && fph_slab_free_objects(told) == (int64_t)fph_info_count(info))
        fph_fetch_add_relaxed(&state->empty_pages,
                              fph_slab_pages(size, fph_info_count(info)));
    if ((word & 1) == 0)
        fph_stack_push(&state->depots[fph_info_bin(info)].partial, &slab->link);
    fph_did(state, n * size, FPH_GAVE);
}

/* The slab that an object of this heap is in, or NULL after an FPHEAP_PANIC
 * that returned. */
static fph_slab *
fph_slab_of(const fph_state *state, const void *object)
{
    fph_slab *slab = fph_record_of(state, object);

    if (slab == NULL) {
        FPHEAP_PANIC(FPH_SAY_FOREIGN);
        return NULL;
    }
    if (fph_info_kind(fph_load_relaxed(&slab->info)) != FPH_SLAB) {
        FPHEAP_PANIC(FPH_SAY_NOWHERE);
        return NULL;
    }
    return slab;
}

/* Set bits in a word of a slab.  Returns how many. */
static size_t
fph_slab_set_bits(fph_slab *slab, size_t word, uint64_t bits)
{
    uint64_t old;

    if (bits == 0)
        return 0;
    old = fph_fetch_or_release(&slab->bits[word], bits);            /* B3 */
    if (old & bits)
        FPHEAP_PANIC(FPH_SAY_TWICE);
    return fph_popcount(bits & ~old);
}

/* Give back the first of n objects, as many as lie in the slab.  Returns how
 * many.  Neighbours in a word go back in one step, and all are announced in
 * one.  The product with the inverse is exact for the start of an object:
 * number * (inverse * size - 2^32) < number * size < 2^32. */
static size_t
fph_slab_give_run(fph_state *state, fph_slab *slab, void *const *objects,
                  size_t n)
{
    size_t   bytes = (size_t)slab->size
                   * fph_info_count(fph_load_relaxed(&slab->info));
    size_t   word  = 0;
    uint64_t bits  = 0;
    size_t   given = 0;
    size_t   i;

    for (i = 0; i < n; i++) {
        size_t   offset = (size_t)((const char *)objects[i] - slab->base);
        size_t   number = (size_t)((uint64_t)offset * slab->inverse >> 32);
        uint64_t bit    = (uint64_t)1 << number % 64;

        if (offset >= bytes)
            break;
        if (number * slab->size != offset) {
            FPHEAP_PANIC(FPH_SAY_INSIDE);
            continue;
        }
        if (number / 64 != word) {
            given += fph_slab_set_bits(slab, word, bits);
            word = number / 64;
            bits = 0;
        }
        if (bits & bit)
            FPHEAP_PANIC(FPH_SAY_TWICE);
        bits |= bit;
        fph_heads_own(state, &objects[i], 1, 0 /* mine */);
    }
    given += fph_slab_set_bits(slab, word, bits);
    if (given != 0) {
        fph_take_count(state, fph_info_bin(fph_load_relaxed(&slab->info)),
                       (size_t)0 - given);
        fph_slab_announce(state, slab, given);
    }
    return i;
}

/* Give objects back to their slabs; NULLs are skipped. */
static void
fph_slab_give(fph_state *state, void *const *objects, size_t n)
{
    size_t run;

    for (; n > 0; n -= run, objects += run) {
        fph_slab *slab = *objects == NULL ? NULL
                                          : fph_slab_of(state, *objects);

        run = 1;
        if (slab == NULL)
            continue;
        run = fph_slab_give_run(state, slab, objects, n);
        if (run == 0) {        /* beyond the slab's last object */
            FPHEAP_PANIC(FPH_SAY_INSIDE);
            run = 1;
        }
    }
}

/* How many bits of a slab are set; SIZE_MAX: some are above its last object. */
static size_t
fph_slab_bits(const fph_slab *slab)
{
    size_t count = fph_info_count(fph_load_relaxed(&slab->info));
    size_t set   = 0;
    size_t w;

    for (w = 0; w < FPH_SLAB_WORDS && w * 64 < count; w++) {
        uint64_t bits = fph_load_relaxed(&slab->bits[w]);

        if ((bits & ~fph_slab_mask(count, w)) != 0)
            return SIZE_MAX;
        set += fph_popcount(bits);
    }
    return set;
}

/* Whether the record of a slab that the caller holds is plausible, S2. */
static int
fph_slab_good(const fph_slab *slab)
{
    uint64_t state = fph_load_acquire(&slab->state);                /* B5 */
    size_t   set   = fph_slab_bits(slab);

    return set != SIZE_MAX && fph_slab_free_objects(state) <= (int64_t)set;
}

/* Claim up to n objects of a slab that the caller holds, as far as its pool's
 * quota allows, and let the slab go.  What is announced is there (S2), so only
 * what is claimed is counted. */
static size_t
fph_slab_serve(fph_state *state, fpheap_pool *pool, fph_slab *slab,
               void **objects, size_t n)
{
    size_t got;

    if (pool != NULL) {
        size_t free = (size_t)fph_slab_free_objects(
            fph_load_acquire(&slab->state));                        /* B8 */

        n = fph_quota_take(pool, n < free ? n : free);
    }
    got = fph_slab_claim(state, slab, objects, n);
    fph_verify(fph_slab_good(slab), FPH_SAY_SLAB);
    fph_slab_let_go(state, slab);
    return got;
}

/* Claim up to n objects of a bin: from slabs that have some, or else from one
 * new slab.  Returns how many.  0: no memory without growth, or *refused says
 * why none can be had: the pool's max, or its constructor's error. */
static size_t
fph_bin_claim(fpheap *heap, unsigned bin, void **objects, size_t n,
              int *refused)
{
    fph_state   *state = heap->state;
    fpheap_pool *pool  = fph_bin_pool(state, bin);
    size_t       got   = 0;

    while (got < n) {
        fph_slab *slab;

        if (pool != NULL
            && fph_quota_left(fph_load_relaxed(&pool->quota)) == 0) {
            *refused = -ENOSPC;
            break;
        }
        slab = (fph_slab *)(void *)
            fph_stack_pop(state, &state->depots[bin].partial);
        if (slab == NULL && got == 0)
            slab = fph_slab_carve(heap, bin, refused);
        if (slab == NULL)
            break;
        got += fph_slab_serve(state, pool, slab, objects + got, n - got);
    }
    return got;
}

/* What a slab of a bin needs. */
static fph_need
fph_bin_need(const fpheap *heap, unsigned bin)
{
    return fph_need_of(heap, FPH_LOAD(&fph_bin_class(heap->state, bin)->pages,
                                      RELAXED), 1 /* align */);
}

/* Whether a bin may have a slab to retire. */
static int
fph_bin_has_empty(const fph_state *state, unsigned bin)
{
    const fpheap_pool *pool  = fph_bin_pool(state, bin);
    uint64_t           count = FPH_LOAD(&fph_bin_class(state, bin)->count,
                                        RELAXED);
    uint64_t           objects;

    if (!fph_keeps_slabs(pool))
        return (int64_t)fph_load_relaxed(&state->empty_pages) > 0;
    objects = fph_load_relaxed(&pool->objects);
    return (FPH_LOAD(&pool->flags, RELAXED) & FPHEAP_TYPE_STABLE) == 0
        && objects >= FPH_LOAD(&pool->min, RELAXED) + count
        && objects - (uint32_t)fph_load_relaxed(&pool->quota) >= count;
}

/* Whether all objects of a slab that the caller holds are free and
 * announced. */
static int
fph_slab_is_empty(const fph_slab *slab)
{
    uint64_t word = fph_load_acquire(&slab->state);                 /* B5 */

    return fph_slab_free_objects(word)
        == (int64_t)fph_info_count(fph_load_relaxed(&slab->info));
}

/* Let go of slabs that were taken from a stack; first retire those that are
 * empty, if `retire` is set. */
static void
fph_slabs_let_go(fph_state *state, fph_link *link, int retire)
{
    while (link != NULL) {
        fph_slab *slab = (fph_slab *)(void *)link;

        link = fph_stack_below(state, link);
        if (!retire || !fph_slab_is_empty(slab)
            || !fph_slab_retire(state, slab))
            fph_slab_let_go(state, slab);
    }
}

/* Retire the empty slabs of a bin. */
static void
fph_bin_retire(fph_state *state, unsigned bin)
{
    fph_word *stack = &state->depots[bin].partial;

    if ((uint32_t)fph_load_relaxed(stack) == 0)
        return;
    fph_moves_begin(state);
    fph_slabs_let_go(state, fph_stack_take(state, stack), 1 /* retire */);
    fph_moves_end(state);
}

/* The same for the slab that was listed last, of a bin that is no pool's. */
static void
fph_bin_retire_last(fph_state *state, unsigned bin)
{
    fph_slab *slab;

    fph_moves_begin(state);
    slab = (fph_slab *)(void *)fph_stack_pop(state,
                                             &state->depots[bin].partial);
    if (slab != NULL && fph_slab_is_empty(slab))
        (void)fph_slab_retire(state, slab);
    else if (slab != NULL)
        fph_slab_let_go(state, slab);
    fph_moves_end(state);
}

/* --- geometry ------------------------------------------------------------- */

/* Objects of a class in a slab of `pages` pages.  Each takes its size, which
 * ends where the header of the next begins. */
static uint32_t
fph_shape_count(const fph_class *klass, unsigned pages)
{
    size_t bytes = (size_t)pages << FPHEAP_PAGE_SHIFT;
    size_t align = klass->skip - FPH_HEAD;

    size_t count = bytes < align ? 0 : (bytes - align) / klass->size;

    return (uint32_t)(count < FPH_SLAB_WORDS * 64 ? count
                                                  : FPH_SLAB_WORDS * 64);
}

/* Pages of a slab, up to half a chunk or as many as one object needs: the
 * fewest that hold 8 objects and leave less than a 64th over.  If no number
 * does, the one that leaves the least over per page; the largest of several, as
 * a slab costs as much as several claims. */
static unsigned
fph_shape_pages(const fph_class *klass)
{
    unsigned least = (unsigned)((klass->size + klass->skip - FPH_HEAD
                                 + FPHEAP_PAGE - 1) >> FPHEAP_PAGE_SHIFT);
    unsigned best  = least;
    unsigned pages;
    size_t   used  = 0;        /* of the best, per page */

    for (pages = least; pages <= FPH_PAGES / 2; pages++) {
        uint32_t count = fph_shape_count(klass, pages);
        size_t   bytes = (size_t)pages << FPHEAP_PAGE_SHIFT;

        if (count >= 8 && bytes - count * klass->size < bytes / 64)
            return pages;
        if (count * klass->size / pages >= used) {
            used = count * klass->size / pages;
            best = pages;
        }
    }
    return best;
}

/* The largest bulk that programs take and give often; VPP's vectors are so
 * long.  A magazine has room for one if that is no more than half a chunk. */
#define FPH_BURST ((size_t)256)

/* The geometry of a class, given the bytes from one object to the next and
 * their alignment, up to a page. */
static void
fph_shape(fph_class *klass, size_t size, size_t align)
{
    size_t fill = FPHEAP_CHUNK / 8 / size;

    if (fill < FPH_BURST && FPH_BURST * size <= FPHEAP_CHUNK / 2)
        fill = FPH_BURST;
    memset(klass, 0, sizeof *klass);
    klass->size = (uint32_t)size;
    if (FPHEAP_HEADER)
        klass->skip = (uint32_t)(align < sizeof(fph_head) ? sizeof(fph_head)
                                 : align > FPHEAP_PAGE ? FPHEAP_PAGE : align);
    klass->inverse = (uint32_t)((((uint64_t)1 << 32) + size - 1) / size);
    klass->pages = (uint16_t)fph_shape_pages(klass);
    klass->count = fph_shape_count(klass, klass->pages);
    klass->magazine = (uint16_t)(fill < 2 ? 2 : fill > FPHEAP_MAGAZINE
                                 ? FPHEAP_MAGAZINE : fill);
}

static void
fph_classes_init(fph_state *state)
{
    unsigned k;

    for (k = 1; k < FPH_SIZES; k++) {
        fph_class *klass = &state->classes[k];
        unsigned   step  = (k - 1) >> FPHEAP_CLASS_BITS;
        unsigned   part  = (k - 1) & ((1u << FPHEAP_CLASS_BITS) - 1);
        size_t     size  = step == 0 ? (part + 1) * 16
                         : (size_t)((1u << FPHEAP_CLASS_BITS) + part + 1)
                           << (step + 3);

        fph_shape(klass, size, size & (~size + 1));
    }
}

/* [DEPOT] ==================================================================
 *
 * Full magazines wait in a stack per bin, empty ones in a stack per node.  Both
 * move whole: nothing is copied and no object is touched.
 *
 *   D1  A magazine is in one place: a stack, a cache (loaded or spare), or one
 *       thread's hands.
 *   D2  A magazine in a depot is full, so a depot parks the depth of its top
 *       one times the capacity.
 *
 * Slots are plain: they pass from owner to owner with the stack's T2 and T3.
 * So do count and depth, which statistics also read, relaxed.
 */
struct fph_magazine {
    fph_link link;
    uint32_t count;            /* atomic; objects, while it is not loaded */
    uint32_t depth;            /* atomic; magazines in the depot, this one
                                  included */
    fph_link made;             /* in state->made[1] */
    uint32_t round;            /* of the cleaner that has met it last */
    uint32_t unused;
    void    *none[32 / sizeof(void *)]; /* NULL: the last one is what fph_take
                                           finds below the first slot */
    void    *slot[FPHEAP_MAGAZINE];
};

FPH_STATIC_ASSERT(slots_begin_a_line, offsetof(fph_magazine, slot) == FPH_LINE);

/* The slots of a short magazine, which ends behind them.  It is no stack's, so
 * it has no reference to itself. */
#define FPH_SHORT 16u
#define FPH_SHORT_BYTES (offsetof(fph_magazine, slot) \
                         + FPH_SHORT * sizeof(void *))

static inline int
fph_is_short(const fph_magazine *magazine)
{
    return magazine->link.self == 0;
}

static inline fph_magazine *
fph_magazine_of(void **base)
{
    return (fph_magazine *)(void *)((char *)base
                                    - offsetof(fph_magazine, slot));
}

static inline void
fph_magazine_set_count(fph_magazine *magazine, size_t count)
{
    FPH_STORE(&magazine->count, (uint32_t)count, RELAXED);
}

static inline fph_word *
fph_empties(const fph_state *state, unsigned bin)
{
    return &state->empty[fph_bin_node(bin)].word;
}

/* The number of magazines in a depot's stack, given its head. */
static uint32_t
fph_depth(const fph_state *state, uint64_t head)
{
    const fph_magazine *top;

    if ((uint32_t)head == 0)
        return 0;
    top = (const fph_magazine *)fph_meta_at(state, (uint32_t)head);
    return FPH_LOAD(&top->depth, RELAXED);
}

/* The number of magazines in a depot; exact while no thread moves one. */
static size_t
fph_depot_count(const fph_state *state, unsigned bin)
{
    return fph_depth(state,
                     fph_load_acquire(&state->depots[bin].full));   /* T3 */
}

/* The objects in them. */
static size_t
fph_depot_objects(const fph_state *state, unsigned bin)
{
    size_t count = fph_depot_count(state, bin);

    return count == 0 ? 0
         : count * FPH_LOAD(&fph_bin_class(state, bin)->magazine, RELAXED);
}

/* A push that keeps D2: if the CAS succeeds, the head has not moved, so the
 * depth that was read is the top record's. */
static void
fph_depot_put(fph_state *state, unsigned bin, fph_magazine *full)
{
    fph_word *stack = &state->depots[bin].full;
    uint64_t  head  = fph_load_acquire(stack);                      /* T3 */

    fph_take_count(state, bin, (size_t)0 - full->count);
    do {
        FPH_STORE(&full->depth, fph_depth(state, head) + 1, RELAXED);
        FPH_STORE(&full->link.next, (uint32_t)head, RELAXED);       /* T4 */
    } while (!fph_cas_acq_rel(stack, &head,                         /* T2, T3 */
                              fph_stack_next(head, full->link.self)));
}

static fph_magazine *
fph_depot_get(fph_state *state, unsigned bin)
{
    fph_magazine *full = (fph_magazine *)(void *)
        fph_stack_pop(state, &state->depots[bin].full);

    if (full != NULL) {
        fph_heads_own(state, full->slot, full->count, 1 /* mine */);
        fph_take_count(state, bin, full->count);
    }
    return full;
}

/* Give the objects of a magazine back to their slabs.  They leave it first, as
 * B3 is a release, so that where this thread ends in between none is given
 * twice. */
static void
fph_magazine_clear(fph_state *state, fph_magazine *magazine)
{
    size_t count = magazine->count;

    fph_magazine_set_count(magazine, 0);
    fph_slab_give(state, magazine->slot, count);
}

/* Take a full magazine from any depot of a bin's node and empty it into its
 * slabs.  The bin's own depot comes first if it has more than one, else last: a
 * thread that allocates is likely to need that one. */
static fph_magazine *
fph_depot_rob(fph_state *state, unsigned bin)
{
    unsigned      end   = ((unsigned)fph_bin_node(bin) + 1) * FPH_CLASSES;
    unsigned      other = end - FPH_CLASSES;
    fph_magazine *magazine;

    if (fph_depot_count(state, bin) < 2) {
        while (other < end
               && (other == bin || fph_depot_count(state, other) == 0))
            other++;
        if (other < end)
            bin = other;
    }
    if (fph_depot_count(state, bin) == 0)
        return NULL;
    fph_moves_begin(state);
    magazine = fph_depot_get(state, bin);
    if (magazine != NULL)
        fph_magazine_clear(state, magazine);
    fph_moves_end(state);
    return magazine;
}

/* The caller has set the magazine's count to 0.  A short one stays with its
 * bin. */
static void
fph_empty_put(fph_state *state, unsigned bin, fph_magazine *magazine)
{
    if (!fph_is_short(magazine))
        fph_stack_push(fph_empties(state, bin), &magazine->link);
}

static fph_magazine *
fph_magazine_make(fph_state *state, uint32_t ref)
{
    fph_magazine *magazine = (fph_magazine *)fph_meta_at(state, ref);

    magazine->link.self = ref;
    magazine->made.self = ref;
    fph_made(state, 1, &magazine->made);
    fph_fetch_add_relaxed(&state->magazines, 1);
    return magazine;
}

/* Whether a bin may have more magazines, as all of them take less than a 32nd
 * of the heap's memory.  Then even a free may make one, as objects that go back
 * to their slabs one by one cost more than those that wait in a depot; but not
 * of a size of which one holds few. */
static int
fph_magazines_few(const fph_state *state, unsigned bin)
{
    return fph_load_relaxed(&state->magazines) * sizeof(fph_magazine)
           < fph_load_relaxed(&state->region_bytes) / 32
        && FPH_LOAD(&fph_bin_class(state, bin)->magazine, RELAXED)
           >= FPHEAP_MAGAZINE / 16;
}

/* An empty magazine: an unused one, or a new one, or a full one from a depot
 * after its objects went back to their slabs.  (Then the caller's can take its
 * place in a depot, where a thread that allocates what another frees finds it.)
 * A block of pages is taken for it only with `more`, for an allocation, and not
 * if a pass has made them free; and before a depot is robbed, one that lies
 * apart, while there are few.  So the records grow with what is live, and
 * little with what is parked.  NULL: there is none without growth. */
static fph_magazine *
fph_empty_get(fpheap *heap, unsigned bin, int more)
{
    fph_state    *state    = heap->state;
    fph_magazine *magazine = (fph_magazine *)(void *)
        fph_stack_pop(state, fph_empties(state, bin));
    uint32_t      ref;

    if (magazine != NULL)
        return magazine;
    ref = fph_meta_cut(state, sizeof *magazine);
    if (ref == 0 && fph_magazines_few(state, bin))
        ref = fph_meta_find(heap, FPH_NO_NODE, sizeof *magazine);
    if (ref == 0) {
        magazine = fph_depot_rob(state, bin);
        if (magazine != NULL)
            return magazine;
    }
    if (ref == 0 && more)
        ref = fph_meta_find(heap, fph_bin_node(bin), sizeof *magazine);
    return ref == 0 ? NULL : fph_magazine_make(state, ref);
}

static void
fph_magazine_drain(fph_state *state, unsigned bin, fph_magazine *magazine)
{
    fph_magazine_clear(state, magazine);
    fph_empty_put(state, bin, magazine);
}

/* Empty a depot into its slabs: only what it has at first, as others go on. */
static void
fph_depot_drain(fph_state *state, unsigned bin)
{
    size_t        left = fph_depot_count(state, bin);
    fph_magazine *magazine;

    if (left == 0)
        return;
    fph_moves_begin(state);
    for (; left > 0 && (magazine = fph_depot_get(state, bin)) != NULL; left--)
        fph_magazine_drain(state, bin, magazine);
    fph_moves_end(state);
}

/* [WATER] ==================================================================
 *
 * Watermarks of a heap and its pools: water[0] and those behind it.  A call
 * that has taken or given something looks at them when it ends, notes what is
 * crossed, and tells it.
 *
 *     is    | crossings : 32 | not yet told : 30 | open : 1 | telling : 1 |
 *     turn  | calls that failed : 32 | calls that gave something : 32 |
 *
 *   U1  After an odd number of crossings little is left, until something is
 *       given and `high` is there.  What a call that fails gives itself counts
 *       before it says that it fails, and what a bulk only had in its hands
 *       counts if others failed meanwhile: else what is told would try again
 *       for ever.
 *   U2  While little is left, nothing stays in a depot, and a bin has no
 *       magazine after its thread's next miss, so calls are no hits.
 *   U3  Whoever has told a crossing looks for others, which found it telling.
 *
 *       where                  order    partner  what must be seen
 *   U4  turn: fetch_add        acq_rel  U4       what was done and noted before
 *       load, as a call begins acquire           an earlier turn
 *   U5  is: load, CAS,         acquire  U6       the same, before they are read
 *       fetch_and, to close
 *   U6  is: store, to open;    release  U5       the watermarks, the pool; what
 *       fetch_add, when told                     was told
 *
 * U4: a call does what it does, takes its turn, and looks; if it notes a
 * crossing, it takes another turn and looks again.  Each turn reads what the
 * last one wrote, so the last of all sees what all did, and nothing is done or
 * noted after its look: room that is there in the end is not overlooked, on any
 * machine.
 */
#define FPH_TELLING  ((uint64_t)1)
#define FPH_OPEN     ((uint64_t)2)
#define FPH_UNTOLD   ((uint64_t)4)
#define FPH_CROSSING ((uint64_t)1 << 32)
#define FPH_FAILURE  ((uint64_t)1 << 32) /* in turn */

/* Which watermarks a bin's pool has; 0, the heap's: it is no pool's. */
static inline unsigned
fph_water_of(unsigned bin)
{
    return bin % FPH_CLASSES < FPH_SIZES ? 0
         : bin % FPH_CLASSES - FPH_SIZES + 1;
}

/* Whether little is left for a bin. */
static inline int
fph_is_low(const fph_state *state, unsigned bin)
{
    return FPH_UNLIKELY(fph_load_relaxed(&state->marked) != 0)
        && ((fph_load_relaxed(&state->water[0].is)
             | fph_load_relaxed(&state->water[fph_water_of(bin)].is))
            & FPH_CROSSING) != 0;
}

static uint64_t
fph_room(const fph_state *state, unsigned i)
{
    uint64_t limit   = fph_limit_bytes(fph_load_relaxed(&state->limit));
    uint64_t claimed = fph_load_relaxed(&state->claimed);

    return i != 0 ? fph_quota_left(fph_load_relaxed(
                        &FPH_LOAD(&state->pool[i - 1], RELAXED)->quota))
         : limit > claimed ? limit - claimed : 0;
}

/* Empty the depots of a pool, or of the heap. */
static void
fph_water_drain(fpheap *heap, unsigned i)
{
    unsigned bin = i != 0 ? FPH_SIZES - 1 + i : 0;

    for (; bin < heap->bins; bin += i != 0 ? FPH_CLASSES : 1)
        fph_depot_drain(heap->state, bin);
}

/* Look at watermarks after what a call has done, and note what is crossed. */
static void
fph_water_look(fpheap *heap, unsigned i, unsigned did)
{
    fph_state *state = heap->state;
    fph_water *water = &state->water[i];
    uint64_t   is    = fph_load_acquire(&water->is);                /* U5 */

    while ((is & FPH_OPEN) != 0) {
        uint64_t room = fph_room(state, i);
        uint64_t next = is + FPH_CROSSING
                      + (FPH_LOAD(&water->marks.crossed, RELAXED) != NULL
                         ? FPH_UNTOLD : 0);

        if ((is & FPH_CROSSING) != 0
            ? (did & FPH_GAVE) == 0
              || room < FPH_LOAD(&water->marks.high, RELAXED)
            : (did & FPH_FAILED) == 0
              && room > FPH_LOAD(&water->marks.low, RELAXED))
            break;
        if (!FPH_CAS(&water->is, &is, next, ACQUIRE, ACQUIRE))      /* U5 */
            continue;
        is = next;
        fph_fetch_add_relaxed(&state->asked, (is & FPH_CROSSING) != 0);
        if ((did & FPH_FAILED) != 0)
            return;
        did = FPH_GAVE | FPH_STOWED; /* others may have, before this turn */
        fph_fetch_add_acq_rel(&state->turn, 0);                     /* U4 */
    }
    if ((is & FPH_CROSSING) != 0 && (did & FPH_STOWED) != 0)
        fph_water_drain(heap, i);                                   /* U2 */
}

static void
fph_water_look_all(fpheap *heap, unsigned did)
{
    unsigned i;

    for (i = 0; i < fph_load_relaxed(&heap->state->marked); i++)
        fph_water_look(heap, i, did);
}

/* The turn, as a call begins, which sees what was given before it: else what it
 * had overlooked would not count as given meanwhile. */
static inline uint64_t
fph_water_turn(const fph_state *state)
{
    return fph_load_acquire(&state->turn);                          /* U4 */
}

/* A call fails that wanted n objects of a bin; `turn` was when it began. */
static void
fph_water_failed(fpheap *heap, unsigned bin, unsigned n, uint64_t turn)
{
    fph_state *state = heap->state;
    unsigned   i     = fph_water_of(bin);
    uint32_t  *did   = &fph_this.did[fph_number_of(state)];
    uint32_t   gave;
    uint64_t   now;

    if (i != 0)
        fph_water_drain(heap, i);
    gave = (*did & FPH_GAVE) != 0;
    now = fph_fetch_add_acq_rel(&state->turn, gave | (n > 1));      /* U4 */
    if (gave || (n > 1 && (now ^ turn) >= FPH_FAILURE))
        fph_water_look_all(heap, FPH_GAVE);                         /* U1 */
    *did = FPH_TOOK | FPH_STOWED;
    if (i == 0 || fph_room(state, i) >= n)
        fph_water_look(heap, 0, FPH_FAILED);
    if (i != 0)
        fph_water_look(heap, i, FPH_FAILED);
    now = fph_fetch_add_acq_rel(&state->turn, FPH_FAILURE);         /* U4 */
    if ((uint32_t)(now - turn) != (gave | (n > 1)))
        fph_water_look_all(heap, FPH_GAVE); /* others have, meanwhile */
}

/* Tell one crossing, unless another thread does.  Returns 1: there may be
 * others. */
static int
fph_water_tell(fpheap *heap, unsigned i)
{
    fph_frame    frame = { FPH_IN_WATER, heap, NULL, fph_this.frames };
    fph_water   *water = &heap->state->water[i];
    uint64_t     is    = fph_load_relaxed(&water->is);
    fpheap_pool *pool;

    do
        if ((is & (FPH_OPEN | FPH_TELLING)) != FPH_OPEN
            || (uint32_t)is < FPH_UNTOLD)
            return 0;
    while (!fph_cas_acquire(&water->is, &is, is | FPH_TELLING));    /* U5 */
    pool = i != 0 ? FPH_LOAD(&heap->state->pool[i - 1], RELAXED) : NULL;
    frame.pool = pool;
    fph_this.frames = &frame;
    fph_this.wait_end = 0;
    water->marks.crossed(water->marks.arg, heap, pool,
                         ((is / FPH_CROSSING ^ is / FPH_UNTOLD) & 1) != 0);
    fph_this.frames = frame.outer;
    fph_fetch_add_release(&water->is, 0 - FPH_UNTOLD - FPH_TELLING); /* U6 */
    return 1;
}

/* A thread's outermost call on a heap ends and has done something.  (A call in
 * `crossed` only looks.) */
static void
fph_water_end(fpheap *heap, uint32_t *did)
{
    int      error = errno;
    unsigned was, i, told;

    do {
        while ((was = *did) != 0) {
            *did = 0;
            fph_fetch_add_acq_rel(&heap->state->turn,               /* U4 */
                                  (was & FPH_GAVE) != 0);
            fph_water_look_all(heap, was);
        }
        told = 0;
        for (i = 0; !fph_is_in(FPH_IN_WATER, heap, NULL)
                    && i < fph_load_relaxed(&heap->state->marked); i++)
            told |= (unsigned)fph_water_tell(heap, i);
    } while (told);
    errno = error;
}

/* End a call.  (The compiler calls this wherever its function ends.) */
static void
fph_leave(fpheap *const *inside)
{
    size_t number = (size_t)(*inside - fph_heaps);

    if (*inside == NULL || --fph_this.depth[number] != 0)
        return;
    fph_call_end(number);
    if (fph_this.did[number] != 0 && !(*inside)->state->ends)
        fph_water_end(*inside, &fph_this.did[number]);
}

/* The caller is in a call on a heap until its function ends. */
#define FPH_INSIDE(heap)                                             \
    fph_held fph_inside __attribute__((cleanup(fph_leave), unused))  \
        = fph_enter(heap)

/* Whether watermarks are none, or can be of so much. */
static int
fph_water_good(const fpheap_water *marks, size_t most)
{
    return marks->crossed == NULL
        || (marks->low < marks->high && marks->high <= most);
}

/* Open watermarks.  The heap's are always open, and then may be told to nobody:
 * its calls that fail count for pools.  The crossings go on behind the last
 * pool's: whoever looked at its watermarks notes nothing of this one's. */
static void
fph_water_open(fpheap *heap, unsigned i, const fpheap_water *marks)
{
    fph_state *state = heap->state;
    fph_water *water = &state->water[i];
    uint64_t   ended = fph_load_relaxed(&water->is) / FPH_CROSSING;

    if (marks->crossed == NULL)
        return;
    fph_fetch_or_relaxed(&state->water[0].is, FPH_OPEN);
    FPH_STORE(&water->marks.low, marks->low, RELAXED);
    FPH_STORE(&water->marks.high, marks->high, RELAXED);
    FPH_STORE(&water->marks.crossed, marks->crossed, RELAXED);
    water->marks.arg = marks->arg;
    fph_store_release(&water->is,                                   /* U6 */
                      (ended + 2) * FPH_CROSSING | FPH_OPEN);
    FPH_STORE(&heap->counted, 1u, RELAXED);
    fph_max_relaxed(&state->marked, i + 1);
}

/* Close a pool's watermarks, as it is to end.  Returns 0: another thread tells
 * what is crossed, and time is up. */
static int
fph_water_close(fph_word *is)
{
    while ((fph_fetch_and_acquire(is, ~FPH_OPEN) & FPH_TELLING) != 0) /* U5 */
        if (!fph_wait())
            return 0;
    return 1;
}

/* A pool has ended: its crossings are told to nobody, and are even. */
static void
fph_water_forget(fph_word *is)
{
    uint64_t crossings = fph_load_relaxed(is) / FPH_CROSSING;

    fph_store_relaxed(is, (crossings + crossings % 2) * FPH_CROSSING);
}

/* [CACHE] ==================================================================
 *
 * A thread that misses for the first time takes a seat, one for all heaps, and
 * makes a cache in the heap at hand.  The cache's memory belongs to the seat
 * and serves the next thread that sits there.
 *
 *   H1  Only its thread writes the entries of an fph_table, except that
 *       fpheap_destroy resets those of its heap: each cache that has a thread
 *       leads to its entry.  So a thread never meets the cache of a heap that
 *       is gone.
 *   H2  A thread that exits passes the gate of each heap in which it has a
 *       cache, to leave that; fpheap_destroy has its heap's gate alone, so the
 *       entries that it finds exist.  No other thread waits at a gate.
 *   H3  A bin's loaded magazine and its spare belong to the cache (D1).  A bin
 *       without magazines is all zero.
 *   H4  Only its owner puts a magazine into a cache, in a call that allocates
 *       or frees an object of that bin.  Taking one out is a swap: of the
 *       owner's flush and an fpheap_pool_destroy beside it only one gets it.
 *       Calls that came before the destroy put into it what it has.
 *   H14 A bin begins with a short magazine, which saves a page of memory for a
 *       size that a thread hardly uses.  It is the bin's for ever, and in no
 *       stack; in a bulk's list it comes first, as it has no reference by which
 *       another could lead to it.  After a call it is loaded, and there is no
 *       spare, or it is empty.
 *   H17 What is loaded in a bin that fpheap_prefill has filled has at least as
 *       many objects as fills[] says, less those allocated since.  So a free
 *       that finds it full leaves as many in what it loads, and others'
 *       requests and idleness take the spare at most.  An allocation that
 *       misses there has had them all, and ends it, as does any other flush.
 *
 *       where                        order    partner  what must be seen
 *   H5  entry: store, load           relaxed  none     H6, H7; and no call runs
 *                                                      beside a destroy
 *   H6  gate: CAS, to enter          acquire  H7       what those before have
 *                                                      done: threads that exit
 *                                                      continue each other's
 *                                                      release sequences
 *   H7  gate: fetch_add -1, store 0, release  H6       the cache is empty; or
 *       to leave                                       the entries are reset
 *   H8  cache[]: store               release  M5       the cache is set up
 *   H9  made: CAS                    acq_rel  H9, H10 the key, and the fork
 *                                                      handler
 *   H10 made: load                   acquire  H9       the same; also before
 *                                                      the key is deleted
 *   H11 orphans: load                acquire  H12      the caches are empty
 *   H12 orphans: store 0             release  H11
 *   H13 orphans: CAS, to adopt       relaxed  none     the child's threads come
 *                                                      after the fork
 *   H15 owner: CAS; load, by a       acquire  H16      the cache is empty; and
 *       cleaner                                        where a call is counted
 *                                                      that gave it up, CALL
 *   H16 owner: store 0               release  H15
 *
 * A thread whose destructor has run, one without a seat, and one that finds no
 * memory for a cache work without a cache: they claim from slabs and give back
 * to slabs.
 */
#ifndef FPHEAP_STATIC
fph_bin fph_no_bins[FPH_BINS];
FPH_TLS fph_entry fph_table[FPHEAP_MAX_HEAPS] = FPH_ENTRIES(FPHEAP_MAX_HEAPS);
#endif

/* The map of a heap that is gone. */
static const uint16_t fph_no_map[1] = { 0 };

/* Let frees of untold size look here. */
static void
fph_map_set(fpheap *heap, const uint16_t *map, size_t mask)
{
    size_t entry = (size_t)(heap - fph_heaps) * sizeof(fph_entry);

    heap->map = map;
    heap->lookup = (uint64_t)mask << 32 | entry;
}

static fph_word fph_seats[FPHEAP_MAX_THREADS]; /* 1: taken */

static inline fph_entry *
fph_my_entry(const fpheap *heap)
{
    return (fph_entry *)(void *)((char *)fph_table + fph_entry_offset(heap));
}

static inline fpheap_cache *
fph_cache_of(fph_bin *bins)
{
    return (fpheap_cache *)(void *)((char *)bins
                                    - offsetof(fpheap_cache, bins));
}

/* This thread's cache if it has one. */
static inline fpheap_cache *
fph_cache_mine(const fpheap *heap)
{
    fph_bin *bins = fph_my_entry(heap)->bins;

    return bins == fph_no_bins ? NULL : fph_cache_of(bins);
}

static void
fph_entry_set(fph_entry *entry, fph_bin *bins, fph_bin *local)
{
    FPH_STORE(&entry->bins, bins, RELAXED);
    FPH_STORE(&entry->local, local, RELAXED);
}

/* --- bins ----------------------------------------------------------------- */

static void
fph_bin_load(fpheap_cache *cache, unsigned number, fph_magazine *magazine)
{
    fph_bin *bin   = &cache->bins[number];
    void   **slot  = magazine->slot;
    size_t   count = magazine->count;

    FPH_STORE(&bin->base, slot, RELAXED);
    FPH_STORE(&bin->limit, slot + (fph_is_short(magazine) ? FPH_SHORT
              : fph_bin_class(cache->heap->state, number)->magazine), RELAXED);
    FPH_STORE(&bin->top, slot + count, RELAXED);
    bin->next = count == 0 ? NULL : slot[count - 1];
}

/* A bin that has no base has nothing. */
static void
fph_bin_clear(fph_bin *bin)
{
    bin->next = NULL;
    FPH_STORE(&bin->top, (void **)NULL, RELAXED);
    FPH_STORE(&bin->limit, (void **)NULL, RELAXED);
}

/* Take the loaded magazine out; NULL if there is none.  It is a swap because
 * fpheap_pool_destroy does this to the caches of other threads, H4. */
static fph_magazine *
fph_bin_unload(fpheap_cache *cache, unsigned number)
{
    fph_bin      *bin  = &cache->bins[number];
    void        **none = NULL;
    void        **base;
    fph_magazine *magazine;

    FPH_SWAP(&bin->base, &none, &base);
    if (base == NULL)
        return NULL;
    magazine = fph_magazine_of(base);
    fph_magazine_set_count(magazine, (size_t)(bin->top - base));
    fph_bin_clear(bin);
    return magazine;
}

/* The objects in the spare magazine; 0 also if there is none. */
static size_t
fph_spare_count(const fpheap_cache *cache, unsigned number)
{
    const fph_magazine *spare = FPH_LOAD(&cache->spare[number], RELAXED);

    return spare == NULL ? 0 : FPH_LOAD(&spare->count, RELAXED);
}

/* Objects in the magazines of a bin, as another thread sees them: between two
 * of the owner's stores the pointers may belong to different magazines, which
 * shows as more slots than one has. */
static size_t
fph_cache_objects(const fph_state *state, const fpheap_cache *cache,
                  unsigned number)
{
    const fph_bin *bin   = &cache->bins[number];
    void         **base  = FPH_LOAD(&bin->base, RELAXED);
    void         **limit = FPH_LOAD(&bin->limit, RELAXED);
    void         **top   = FPH_LOAD(&bin->top, RELAXED);
    size_t         most  = FPH_LOAD(&fph_bin_class(state, number)->magazine,
                                    RELAXED);

    return (base != NULL && base <= top && top <= limit
            && (size_t)(limit - base) <= most ? (size_t)(top - base) : 0)
         + fph_spare_count(cache, number);
}

/* Replace the spare magazine with another, or with none, and return the old
 * one. */
static fph_magazine *
fph_bin_spare(fpheap_cache *cache, unsigned number, fph_magazine *magazine)
{
    fph_magazine *old;

    FPH_SWAP(&cache->spare[number], &magazine, &old);
    return old;
}

/* The reference of a bin's short magazine; 0: it has none yet. */
static inline uint32_t *
fph_bin_small(const fpheap_cache *cache, unsigned number)
{
    return (uint32_t *)(void *)(cache->spare + cache->heap->bins) + number;
}

/* Not if others are hardly longer. */
static inline int
fph_bin_begins_short(const fph_state *state, unsigned number)
{
    return fph_bin_class(state, number)->magazine >= 2 * FPH_SHORT;
}

/* The short magazine of a bin that has no other, empty; NULL: the bin does
 * without. */
static fph_magazine *
fph_bin_short(fpheap_cache *cache, unsigned number)
{
    fph_state    *state = cache->heap->state;
    uint32_t     *ref   = fph_bin_small(cache, number);
    fph_magazine *magazine;

    if (FPH_LOAD(&cache->spare[number], RELAXED) != NULL
        || !fph_bin_begins_short(state, number))
        return NULL;
    if (*ref == 0)
        *ref = fph_meta_cut(state, FPH_SHORT_BYTES);
    if (*ref == 0)
        return NULL;
    magazine = (fph_magazine *)fph_meta_at(state, *ref);
    fph_magazine_set_count(magazine, 0); /* an orphan's thread had it in hand */
    return magazine;
}

/* Exchange the loaded magazine with the spare. */
static void
fph_bin_swap(fpheap_cache *cache, unsigned number)
{
    fph_magazine *loaded = fph_bin_unload(cache, number);
    fph_magazine *spare  = fph_bin_spare(cache, number, loaded);

    if (spare != NULL)
        fph_bin_load(cache, number, spare);
}

/* Put a magazine where other threads find what is in it: a full one into the
 * depot, unless `drain` is set, or else the objects into their slabs. */
static void
fph_magazine_return(fph_state *state, unsigned bin, fph_magazine *magazine,
                    int drain)
{
    if (magazine == NULL)
        return;
    if (!drain && magazine->count != 0
        && magazine->count == fph_bin_class(state, bin)->magazine) {
        fph_depot_put(state, bin, magazine);
        fph_did(state, 0, FPH_STOWED);
    } else {
        fph_magazine_drain(state, bin, magazine);
    }
}

/* Give back the pages of an object whose record is nobody else's any more. */
static void
fph_large_end(fph_state *state, fph_slab *record, uint64_t info)
{
    FPH_TOOL_ALLOW(record->base,
                   (size_t)(fph_info_count(info) - fph_info_bin(info))
                   << FPHEAP_PAGE_SHIFT);
    fph_take_count(state, 0, (size_t)0 - fph_info_count(info));
    fph_pages_give(state, record->page, fph_info_count(info));
    fph_did(state, (size_t)(fph_info_count(info) - fph_info_bin(info))
                       << FPHEAP_PAGE_SHIFT, FPH_GAVE);
}

/* Give back the large object that a cache parks.  Returns 0: there is none. */
static int
fph_large_drop(fpheap_cache *cache)
{
    fph_slab *record = cache->large;
    uint64_t  info;

    if (record == NULL)
        return 0;
    cache->large = NULL;
    fph_moves_begin(cache->heap->state);
    info = fph_load_relaxed(&record->info);
    fph_store_relaxed(&record->info, 0);
    fph_large_end(cache->heap->state, record, info);
    fph_moves_end(cache->heap->state);
    return 1;
}

/* A bin keeps this less FPH_KEPT, in 16ths of a magazine, rounded up. */
#define FPH_KEPT 32u

static inline int
fph_bin_is_kept(const fpheap_cache *cache, unsigned number)
{
    return FPH_LOAD(&cache->fills[number], RELAXED) > FPH_KEPT;
}

/* The objects that a bin keeps loaded, H17; 0: none. */
static size_t
fph_bin_kept(const fpheap_cache *cache, unsigned number)
{
    size_t most = fph_bin_class(cache->heap->state, number)->magazine;

    return !fph_bin_is_kept(cache, number) ? 0
         : ((cache->fills[number] - FPH_KEPT) * most + 15) / 16;
}

static void
fph_bin_keep(fpheap_cache *cache, unsigned number, size_t n)
{
    size_t most = fph_bin_class(cache->heap->state, number)->magazine;

    FPH_STORE(&cache->fills[number],
              (uint8_t)(FPH_KEPT + (n * 16 + most - 1) / most), RELAXED);
}

static void
fph_bin_keep_none(fpheap_cache *cache, unsigned number)
{
    if (fph_bin_is_kept(cache, number))
        FPH_STORE(&cache->fills[number], (uint8_t)0, RELAXED);
}

/* Take both magazines of a bin out of a cache. */
static void
fph_bin_flush(fph_state *state, fpheap_cache *cache, unsigned number, int drain)
{
    fph_magazine_return(state, number, fph_bin_spare(cache, number, NULL),
                        drain);
    fph_magazine_return(state, number, fph_bin_unload(cache, number), drain);
    fph_bin_keep_none(cache, number);
    if (drain)                 /* memory is short: refill little by little */
        FPH_STORE(&cache->fills[number], (uint8_t)0, RELAXED);
}

/* Take all magazines out of a cache, and the parked large object; to drain it,
 * as others ask for that, not what is kept. */
static void
fph_cache_flush(fpheap_cache *cache, int drain)
{
    fph_state *state = cache->heap->state;
    unsigned   i;

    fph_large_drop(cache);
    for (i = 0; i < cache->heap->bins; i++) {
        int kept = drain && fph_bin_is_kept(cache, i);

        if ((kept || FPH_LOAD(&cache->bins[i].base, RELAXED) == NULL)
            && FPH_LOAD(&cache->spare[i], RELAXED) == NULL)
            continue;
        fph_moves_begin(state);
        if (kept)
            fph_magazine_return(state, i, fph_bin_spare(cache, i, NULL), drain);
        else
            fph_bin_flush(state, cache, i, drain);
        fph_moves_end(state);
    }
}

#if FPHEAP_SHARED
/* Give up a cache's slot.  The call that this thread is in counts for its
 * process from here on. */
static void
fph_slot_leave(fpheap_cache *cache)
{
    fpheap    *heap   = cache->heap;
    fph_slot  *slot   = fph_slot_of(cache);
    fph_word **calls  = &fph_this.calls[heap - fph_heaps];

    if (heap->partition == NULL)
        return;
    if (*calls == &slot->calls) {
        *calls = &heap->partition->member[heap->member].calls;
        fph_fetch_add_relaxed(*calls, 1);
        fph_fetch_add_release(&slot->calls, ~(uint64_t)0);          /* V7 */
    }
    fph_store_release(&slot->owner, 0);                             /* H16 */
}

/* Take a slot that no thread has, with its cache; NULL: all that were made have
 * threads. */
static fpheap_cache *
fph_slot_take(const fpheap *heap)
{
    fpheap_cache *cache;
    size_t        seat = 0;

    while ((cache = fph_cache_next(heap->state, &seat)) != NULL) {
        fph_word *owner = &fph_slot_of(cache)->owner;
        uint64_t  none  = fph_load_relaxed(owner);

        if (none == 0
            && fph_cas_acquire(owner, &none, heap->member + 1))     /* H15 */
            return cache;
    }
    return NULL;
}

/* Find a place for a cache that was made.  Returns 0: there are too many. */
static int
fph_slot_show(fph_state *state, fpheap_cache *cache)
{
    size_t i;

    for (i = 0; i < FPHEAP_MAX_THREADS; i++) {
        fpheap_cache *none = NULL;

        if (FPH_CAS_PTR(&state->cache[i], &none, cache, RELEASE))   /* H8 */
            return 1;
    }
    return 0;
}
#else
#  define fph_slot_leave(cache) ((void)0)
#endif

/* Flush a cache and take it from its thread. */
static void
fph_cache_leave(fpheap_cache *cache, fph_entry *entry)
{
    fph_entry_set(entry, fph_no_bins, fph_no_bins);
    fph_cache_flush(cache, 0 /* drain */);
    FPH_STORE(&cache->entry, (fph_entry *)NULL, RELAXED);           /* H5 */
    fph_slot_leave(cache);
}

/* Look at this thread's next class, but for the bin that is about to be filled.
 * The loaded magazine becomes the spare, which costs the next call of that size
 * an exchange; if it is still there at the next look, no call came, and its
 * objects go back to their slabs.  What a short one has goes back at once.
 * Each claim looks at one class, so what a thread no longer uses is parked
 * while it claims twice as often as there are classes.  (Not a claim that a
 * short magazine has room for: each would empty one whose next call claims as
 * few.) */
static void
fph_idle_flush(fpheap_cache *cache, unsigned filled)
{
    fph_state    *state = cache->heap->state;
    unsigned      k     = cache->looked + 1 < FPH_SIZES ? cache->looked + 1 : 1;
    unsigned      bin   = (unsigned)(cache->local - cache->bins) + k;
    fph_magazine *loaded, *spare;

    cache->looked = k;
    if (bin == filled || fph_bin_is_kept(cache, bin)
        || (FPH_LOAD(&cache->bins[bin].base, RELAXED) == NULL
            && FPH_LOAD(&cache->spare[bin], RELAXED) == NULL))
        return;
    fph_moves_begin(state);
    loaded = fph_bin_unload(cache, bin);
    if (loaded != NULL && fph_is_short(loaded)) {
        spare = loaded;
        loaded = NULL;
    } else {
        spare = fph_bin_spare(cache, bin, loaded);
    }
    fph_magazine_return(state, bin, spare, loaded == NULL /* drain */);
    fph_moves_end(state);
    if (loaded != NULL)
        return;
    FPH_STORE(&cache->fills[bin], (uint8_t)0, RELAXED);
    fph_bin_retire_last(state, bin);
}

/*
 * Orphans.  In the child of a fork the caches of the threads that are gone
 * belong to no thread, and the first thread that misses empties them.  Each was
 * stopped between two instructions, and the compiled code stores a slot before
 * the top that counts it, so all objects below a top are parked:
 *
 *     base, top      loaded: what is below top.  A thread that was taking the
 *                    last of them did not have it yet.
 *     base, no top   being loaded: as the magazine's count says
 *     limit, no base being unloaded: below top, or else as its count says
 *
 * What those threads were moving is lost: magazines, slabs, pages.
 */
#define FPH_ADOPTING UINT64_MAX

/* The slots of the magazine that ends at a bin's limit. */
static size_t
fph_bin_slots(const fpheap_cache *cache, unsigned number)
{
    const fph_state    *state = cache->heap->state;
    const uint32_t     *ref   = fph_bin_small(cache, number);
    const fph_magazine *small;

    if (*ref != 0) {
        small = (fph_magazine *)fph_meta_at(state, *ref);
        if (cache->bins[number].limit == small->slot + FPH_SHORT)
            return FPH_SHORT;
    }
    return fph_bin_class(state, number)->magazine;
}

/* Repair a bin that a thread which is gone may have left half changed. */
static void
fph_bin_mend(fpheap_cache *cache, unsigned number)
{
    fph_bin *bin = &cache->bins[number];

    if (bin->base == NULL && bin->limit != NULL)
        FPH_STORE(&bin->base, bin->limit - fph_bin_slots(cache, number),
                  RELAXED);
    if (bin->base != NULL && bin->top == NULL)
        FPH_STORE(&bin->top, bin->base + fph_magazine_of(bin->base)->count,
                  RELAXED);
}

static void
fph_cache_adopt(fpheap_cache *cache)
{
    unsigned i;

    for (i = 0; i < cache->heap->bins; i++) {
        fph_bin_mend(cache, i);
        FPH_STORE(&cache->fills[i], (uint8_t)0, RELAXED);
    }
    fph_cache_flush(cache, 1 /* drain */);
    FPH_STORE(&cache->entry, (fph_entry *)NULL, RELAXED);           /* H5 */
}

/* Empty the caches of gone threads.  Returns 0: another thread is doing so. */
static int
fph_orphans_adopt(fpheap *heap)
{
    fph_state    *state   = heap->state;
    uint64_t      orphans = fph_load_acquire(&state->orphans);      /* H11 */
    size_t        seat    = 0;
    fpheap_cache *cache;

    if (FPH_LIKELY(orphans == 0))
        return 1;
    if (orphans == FPH_ADOPTING
        || !fph_cas_relaxed(&state->orphans, &orphans,              /* H13 */
                            FPH_ADOPTING))
        return 0;
    fph_moves_begin(state);
    while ((cache = fph_cache_next(state, &seat)) != NULL)
        if (seat != orphans)
            fph_cache_adopt(cache);
    fph_moves_end(state);
    fph_store_release(&state->orphans, 0);                          /* H12 */
    return 1;
}

/* --- seats ---------------------------------------------------------------- */

/*
 *     gate    | process : 32 | destroy : 1 | threads that exit : 31 |
 *
 * The process is the one of the last thread to enter: in the child of a fork
 * the threads that were in a gate do not exist, even if no fork handler has
 * run.
 */
static fph_word fph_gates[FPHEAP_MAX_HEAPS];

#define FPH_EXIT    1u
#define FPH_DESTROY 0x80000000u

/* Returns 0: try again later. */
static int
fph_gate_enter(fph_word *gate, uint32_t how)
{
    uint64_t process = fph_process();
    uint64_t old     = fph_load_relaxed(gate);
    uint32_t inside  = old >> 32 == process ? (uint32_t)old : 0;

    if (inside != 0 && (inside == FPH_DESTROY || how == FPH_DESTROY))
        return 0;
    return fph_cas_acquire(gate, &old,                              /* H6 */
                           process << 32 | (inside + how));
}

#if !FPHEAP_NO_THREADS
static void
fph_seat_leave_heap(fph_entry *entry)
{
    fpheap_cache *cache = fph_cache_of(entry->bins);

    FPH_INSIDE(cache->heap);
    fph_cache_leave(cache, entry);
}

/* Thread exit: leave the caches and give up the seat. */
static void
fph_seat_leave(void *table_)
{
    fph_entry *table = (fph_entry *)table_;
    unsigned   seat  = fph_this.seat;
    unsigned   i;

    fph_this.patience = FPH_NEVER;
    fph_this.seat = 0;
    for (i = 0; i < FPHEAP_MAX_HEAPS; i++) {
        if (FPH_LOAD(&table[i].bins, RELAXED) == fph_no_bins)
            continue;
        while (!fph_gate_enter(&fph_gates[i], FPH_EXIT))
            fph_yield();
        if (table[i].bins != fph_no_bins)
            fph_seat_leave_heap(&table[i]);
        fph_fetch_add_release(&fph_gates[i], ~(uint64_t)0);         /* H7 */
    }
    if (seat != 0)
        fph_number_give(&fph_seats[seat - 1]);
}

/* In the child of a fork: of threads that are gone none shows a region, and
 * none will put one into a slot. */
static void
fph_forked_regions(fph_state *state)
{
    size_t i;

    for (i = 0; i < fph_region_count(state); i++) {
        fph_region *region = &state->region[i];

        if (fph_load_relaxed(&region->shown) != 0)
            fph_store_relaxed(&region->shown, FPH_HERE);
        else if (fph_load_relaxed(&region->used) != FPH_BARRED)
            fph_store_relaxed(&region->used, 0);
    }
}

/* In the child of a fork: a chunk without pages is not here.  A thread that is
 * gone has just taken its last ones out, or was about to bring its first in. */
static void
fph_forked_chunks(const fph_state *state)
{
    fph_chunk *chunk;
    size_t     at = 0;

    while ((chunk = fph_chunk_next(state, &at)) != NULL) {
        if (fph_load_relaxed(&chunk->present) != 0)
            continue;
        FPH_STORE(&chunk->records, (fph_records *)NULL, RELAXED);
        FPH_STORE(&chunk->base, (char *)NULL, RELAXED);
    }
}

/* In the child of a fork: reset the words of a heap that threads which are gone
 * would have changed back. */
static void
fph_forked_heap(fpheap *heap)
{
    fph_state *state = heap->state;
    int        mine  = fph_cache_mine(heap) != NULL;
    unsigned   i;

    fph_store_relaxed(&state->growing, 0);
    fph_store_relaxed(&state->moves_ended,
                      fph_load_relaxed(&state->moves_begun));
    fph_store_relaxed(&state->moves_stuck, 0);
    for (i = 0; i < fph_load_relaxed(&state->marked); i++)
        if (!fph_is_in(FPH_IN_WATER, heap, NULL))
            fph_fetch_and_relaxed(&state->water[i].is, ~FPH_TELLING);
    if (!fph_is_in(FPH_IN_PROVIDER, heap, NULL)) {
        fph_store_relaxed(&state->left,
                          fph_limit_bytes(fph_load_relaxed(&state->limit))
                          - fph_load_relaxed(&state->region_bytes));
        if (fph_this.walks == 0)
            fph_forked_regions(state);
    }
    fph_forked_chunks(state);
    fph_store_relaxed(&state->orphans, mine ? fph_this.seat
                                            : 1 + FPHEAP_MAX_THREADS);
    state->forked = 1;
}

#if FPHEAP_SHARED
#define FPH_POOLS_BYTES (FPHEAP_MAX_POOLS * sizeof(fpheap_pool))

/* The handle of a partition is that of no heap any more. */
static void
fph_handle_end(fpheap *heap)
{
    FPH_UNCANCELLED;

    FPH_STORE(&heap->state, (fph_state *)NULL, RELAXED);
    fph_map_set(heap, fph_no_map, 0);
    heap->partition = NULL;
    heap->view = NULL;
    if (heap->pools != NULL)
        fph_map_end(heap->pools, FPH_POOLS_BYTES);
    if (heap->file >= 0)
        close(heap->file);     /* and this process's locks are gone */
    fph_number_give(&fph_heap_used[heap - fph_heaps]);
}

/* In the child of a fork: it has no partition that its parent has, whose locks
 * stay.  Returns 0: the heap is none. */
static int
fph_forked_partition(fpheap *heap)
{
    size_t number = (size_t)(heap - fph_heaps);

    if (heap->partition == NULL)
        return 0;
    fph_entry_set(fph_my_entry(heap), fph_no_bins, fph_no_bins);
    fph_this.depth[number] = 0;
    fph_this.calls[number] = NULL;
    fph_handle_end(heap);
    return 1;
}
#else
#  define fph_forked_partition(heap) 0
#endif

/* In the child of a fork: all seats but this thread's are free. */
static void
fph_forked(void)
{
    unsigned i;

    for (i = 0; i < FPHEAP_MAX_THREADS; i++)
        if (i + 1 != fph_this.seat && fph_load_relaxed(&fph_seats[i]) != 0)
            fph_store_relaxed(&fph_seats[i], 0);
    for (i = 0; i < FPHEAP_MAX_HEAPS; i++)
        if (!fph_forked_partition(&fph_heaps[i]) && fph_heaps[i].state != NULL)
            fph_forked_heap(&fph_heaps[i]);
}

/* Register a function to run in a fork's child.  Returns 0: no memory. */
static int
fph_at_fork(void (*handler)(void))
{
#if FPHEAP_NO_OS
    (void)handler;
    return 1;
#else
    return pthread_atfork(NULL, NULL, handler) == 0;
#endif
}

static fph_word fph_key_made; /* the key + 1; 0: not yet; or FPH_KEY_GONE */
#define FPH_KEY_GONE UINT64_MAX

/* The library that has this copy is unloaded, or the program ends: threads that
 * live on must not call it when they exit. */
__attribute__((destructor)) static void
fph_unloaded(void)
{
    uint64_t made = fph_load_acquire(&fph_key_made);                /* H10 */

    fph_store_relaxed(&fph_key_made, FPH_KEY_GONE);
    if (made != 0)
        pthread_key_delete((pthread_key_t)(made - 1));
}

/* Arrange a call of fph_seat_leave for this thread's exit.  Threads that come
 * first at the same time each make a key, and all but one delete theirs; a fork
 * may call fph_forked more than once.  Returns 0: there will be no call. */
static int
fph_exit_watch(void)
{
    uint64_t      made = fph_load_acquire(&fph_key_made);           /* H10 */
    pthread_key_t key;

    if (made == 0) {
        if (pthread_key_create(&key, fph_seat_leave) != 0)
            return 0;
        if (fph_at_fork(fph_forked)
            && fph_cas_acq_rel(&fph_key_made, &made,                /* H9 */
                               (uint64_t)key + 1))
            made = (uint64_t)key + 1;
        else
            pthread_key_delete(key);
    }
    return made != 0 && made != FPH_KEY_GONE
        && pthread_setspecific((pthread_key_t)(made - 1), fph_table) == 0;
}
#else
#  define fph_exit_watch() 1
#endif

/* Whether to try again what has failed and probably will: after 1000 misses. */
static int
fph_try_again(void)
{
    if (fph_this.patience == 0) {
        fph_this.patience = 1000;
        return 1;
    }
    if (fph_this.patience != FPH_NEVER)
        fph_this.patience--;
    return 0;
}

/* Whether this thread has a seat, taken if need be.  pthread_setspecific may
 * allocate and, if the heap serves malloc, come back here: that call has no
 * seat yet. */
static int
fph_seated(void)
{
    unsigned number;

    if (fph_this.seat != 0)
        return 1;
    if (!fph_try_again() || !fph_exit_watch())
        return 0;
    number = fph_number_take(fph_seats, FPHEAP_MAX_THREADS);
    if (number == FPHEAP_MAX_THREADS)
        return 0;
    fph_this.seat = number + 1;
    fph_this.patience = 0;
    return 1;
}

/* --- caches --------------------------------------------------------------- */

/* If the heap serves malloc, thread_node or libnuma may allocate and come back
 * here: node 0 serves that call. */
static int
fph_thread_node(const fpheap *heap)
{
    fph_frame frame = { FPH_IN_NODE, heap, NULL, fph_this.frames };
    int       node  = 0;

    if (fph_is_in(FPH_IN_NODE, heap, NULL))
        return 0;
    fph_this.frames = &frame;
    if (heap->thread_node != NULL)
        node = heap->thread_node(heap->thread_node_ctx);
#if FPHEAP_USE_LIBNUMA
    else if (heap->nodes > 1)
        node = numa_node_of_cpu(sched_getcpu());
#endif
    fph_this.frames = frame.outer;
    return node >= 0 && (unsigned)node < heap->nodes ? node : 0;
}

/* Memory for a cache, `front` bytes behind a record's start; NULL: there is
 * none.  For a thread that frees, it comes from what the heap has. */
static fpheap_cache *
fph_cache_make(fpheap *heap, int node, int grow, size_t front)
{
    size_t        bytes = front + offsetof(fpheap_cache, bins)
                        + heap->bins * (sizeof(fph_bin)
                                        + sizeof(fph_magazine *)
                                        + sizeof(uint32_t) + 1);
    uint32_t      ref   = fph_meta_cut(heap->state, bytes);
    fpheap_cache *cache;
    int           error;

    if (ref == 0 && (grow || fph_try_again()))
        ref = fph_meta_get(heap, node, bytes, grow ? &error : NULL);
    if (ref == 0)
        return NULL;
    fph_this.patience = 0;
    cache = (fpheap_cache *)(void *)((char *)fph_meta_at(heap->state, ref)
                                     + front);
    cache->heap = heap;
    cache->spare = (fph_magazine **)(void *)(cache->bins + heap->bins);
    cache->fills = (uint8_t *)fph_bin_small(cache, heap->bins);
    return cache;
}

/* The cache of this seat in a heap, or NULL. */
static fpheap_cache *
fph_cache_of_seat(fpheap *heap, int node, int grow)
{
    fpheap_cache **slot  = &heap->state->cache[fph_this.seat - 1];
    fpheap_cache  *cache = *slot;

    if (cache != NULL)
        return cache;
    cache = fph_cache_make(heap, node, grow, 0 /* front */);
    if (cache == NULL || *slot != NULL)
        return *slot;          /* the provider's callback may have made it */
    FPH_STORE(slot, cache, RELEASE);                                /* H8 */
    return cache;
}

#if FPHEAP_SHARED
/* A cache for this thread, or NULL. */
static fpheap_cache *
fph_cache_memory(fpheap *heap, int node, int grow)
{
    fpheap_cache *cache;

    if (heap->partition == NULL)
        return fph_cache_of_seat(heap, node, grow);
    cache = fph_slot_take(heap);
    if (cache == NULL) {
        if (FPH_LOAD(&heap->state->cache[FPHEAP_MAX_THREADS - 1],
                     RELAXED) != NULL)
            return NULL;
        cache = fph_cache_make(heap, node, grow, sizeof(fph_slot));
        if (cache == NULL)
            return NULL;
        fph_slot_of(cache)->owner = heap->member + 1;
        if (!fph_slot_show(heap->state, cache))
            return NULL;
    }
    cache->heap = heap;
    return cache;
}
#else
#  define fph_cache_memory(heap, node, grow) fph_cache_of_seat(heap, node, grow)
#endif

/* This thread's cache, made if need be; NULL: the thread does without.  Every
 * miss begins here, before it holds any object or magazine.  The first one
 * after a pass gives up what the cache parks: a few objects in a magazine that
 * is never used again may keep as many slabs. */
static fpheap_cache *
fph_cache_here(fpheap *heap, int grow)
{
    fpheap_cache *cache = fph_cache_mine(heap);
    uint64_t      asked = fph_load_relaxed(&heap->state->asked);
    unsigned      bin;
    int           node;

    fph_wait_begin();
    if (FPH_UNLIKELY(!fph_orphans_adopt(heap) || heap->state->ends)
        && cache == NULL)
        return NULL;
    if (FPH_LIKELY(cache != NULL)) {
        if (FPH_UNLIKELY(cache->asked != asked)) {
            cache->asked = asked;
            fph_cache_flush(cache, 1 /* drain */);
        }
        return cache;
    }
    if (heap->critical || !fph_seated())
        return NULL;
    node = fph_thread_node(heap);
    cache = fph_cache_memory(heap, node, grow);
    if (cache == NULL)
        return NULL;
    cache->node = node;
    cache->local = cache->bins + (unsigned)node * FPH_CLASSES;
    for (bin = 0; bin < heap->bins; bin++)
        FPH_STORE(&cache->fills[bin], (uint8_t)0, RELAXED);
    FPH_STORE(&cache->entry, fph_my_entry(heap), RELAXED);          /* H5 */
    fph_entry_set(cache->entry, cache->bins, cache->local);
    return cache;
}

FPHEAP_API void
fpheap_flush(fpheap *heap)
{
    fpheap_cache *cache = fph_heap_good(heap) ? fph_cache_mine(heap) : NULL;

    if (cache == NULL)
        return;
    FPH_INSIDE(heap);
    fph_cache_flush(cache, 0 /* drain */);
}

FPHEAP_API void
fpheap_thread_leave(fpheap *heap)
{
    fpheap_cache *cache = fph_heap_good(heap) ? fph_cache_mine(heap) : NULL;

    if (cache == NULL)
        return;
    FPH_INSIDE(heap);
    if (fph_is_in(FPH_IN_CALLBACK, heap, NULL)) /* a call goes on with it */
        fph_cache_flush(cache, 0 /* drain */);
    else
        fph_cache_leave(cache, fph_my_entry(heap));
}

FPHEAP_API fpheap_cache *
fpheap_self(fpheap *heap)
{
    fpheap_cache *cache;

    if (!fph_heap_good(heap)) {
        errno = EINVAL;
        return NULL;
    }
    FPH_INSIDE(heap);
    cache = fph_cache_here(heap, 1 /* grow */);
    if (cache == NULL)
        errno = fph_this.seat != 0 ? ENOMEM : EAGAIN;
    return cache;
}

/* The node of this thread, which has this cache or none. */
static int
fph_home(const fpheap *heap, const fpheap_cache *cache)
{
    return cache != NULL ? cache->node : fph_thread_node(heap);
}

/* [VIEW] ===================================================================
 *
 * Partitions that this process may only read, and what each member of one has.
 * Whoever writes them may be changing them at this moment, may have been killed
 * in the middle, or may mean harm.  So nothing in them is trusted: each piece
 * is copied first, by a system call that cannot fault, then checked, and only
 * the copy is used; a loop ends when it has taken more steps than the partition
 * has room for.  A view of a partition at rest is exact.
 *
 *     of                 is checked                         else
 *     any pointer        that all bytes are in the file     nothing is there
 *     the tables         when it is opened, as a whole      ESTALE
 *     a chunk            that it says where it is           it is not here
 *     back[]             that it leads to a page before,    no object
 *                        and not for ever
 *     a record           that it is of its page, that its   it covers nothing
 *                        class and count fit its pages
 *     a magazine         that it has no more than fit       it has none
 *     a list             that it ends                       it ends there
 */
#if FPHEAP_SHARED
struct fph_view {
    char        *base;         /* of the partition, as fpheap_open checked it */
    size_t       bytes;
    size_t       mask;         /* of pages' numbers */
    unsigned     bins;
    const fph_state *state;    /* in the partition, as the next two */
    const void  *chunks;
    const void  *depots;
};

static fph_view fph_views[FPHEAP_MAX_HEAPS];

/* Whether bytes from an address on are in the partition. */
static int
fph_view_has(const fph_view *view, const void *at, size_t bytes)
{
    uintptr_t offset = (uintptr_t)at - (uintptr_t)view->base;

    return offset < view->bytes && bytes <= view->bytes - offset;
}

/* The address behind another, which may be any. */
static inline const void *
fph_view_at(const void *base, size_t offset)
{
    return (const void *)((uintptr_t)base + offset);
}

/* Copy what is at an address of the partition.  Returns 0: it is not there.
 * (Who may write trusts the others, and needs no system call.) */
static int
fph_peek(const fpheap *heap, void *to, const void *at, size_t bytes)
{
    const fph_view *view   = heap->view;
    size_t          offset = (size_t)((const char *)at - view->base);

    if (!fph_view_has(view, at, bytes))
        return 0;
    if (heap->mapped || !fph_is_view(heap)) {
        memcpy(to, at, bytes);
        return 1;
    }
    return pread(heap->file, to, bytes, (off_t)(heap->start + offset))
        == (ssize_t)bytes;
}

/* The pointer that is there; NULL: none is. */
static const void *
fph_peek_pointer(const fpheap *heap, const void *at)
{
    const char *pointer;

    return fph_peek(heap, &pointer, at, sizeof pointer) ? pointer : NULL;
}

/* Look at the head and the state of a partition that was mapped, and remember
 * where the tables are.  Returns 0: it is damaged. */
static int
fph_view_begin(fpheap *heap, const fph_partition *head)
{
    fph_view        *view  = &fph_views[heap - fph_heaps];
    const fph_state *state = head->state;
    size_t           n;

    heap->view = view;
    view->base = head->base;
    view->bytes = head->bytes;
    view->bins = head->nodes * FPH_CLASSES;
    view->state = state;
    if (!fph_peek(heap, &view->mask, &state->mask, sizeof view->mask))
        return 0;
    view->chunks = fph_peek_pointer(heap, &state->chunks);
    view->depots = fph_peek_pointer(heap, &state->depots);
    n = (view->mask >> FPH_PAGE_BITS) + 1;
    return (view->mask & (view->mask + 1)) == 0
        && view->mask >= FPH_PAGES - 1
        && n >= view->bytes >> FPHEAP_CHUNK_SHIFT
        && n <= view->bytes / sizeof(fph_chunk)
        && fph_view_has(view, view->chunks, n * sizeof(fph_chunk))
        && fph_view_has(view, view->depots, view->bins * sizeof(fph_depot));
}

/* The chunk that an address is in.  Returns 0: it is not here. */
static int
fph_view_chunk(const fpheap *heap, const void *at, fph_chunk *chunk)
{
    const fph_view *view  = heap->view;
    uintptr_t       start = (uintptr_t)at & ~(uintptr_t)FPH_CHUNK_MASK;
    size_t          page  = (size_t)((uintptr_t)at >> FPHEAP_PAGE_SHIFT)
                          & view->mask;

    return fph_view_has(view, (const void *)start, FPHEAP_CHUNK)
        && fph_peek(heap, chunk,
                    fph_view_at(view->chunks, (page >> FPH_PAGE_BITS)
                                              * sizeof *chunk), sizeof *chunk)
        && (uintptr_t)chunk->base == start + 1 && chunk->present != 0;
}

/* The class of a bin.  Returns 0: there is none. */
static int
fph_view_class(const fpheap *heap, unsigned bin, fph_class *klass)
{
    return bin < heap->view->bins
        && fph_peek(heap, klass, &heap->view->state->classes[bin % FPH_CLASSES],
                    sizeof *klass)
        && klass->size >= 16 && klass->size <= 2 * FPHEAP_CHUNK
        && klass->pages != 0 && klass->pages <= FPH_PAGES
        && klass->skip <= FPHEAP_PAGE;
}

/* Bytes of an object of a bin, or for the first of a page of large ones. */
static size_t
fph_view_size(const fpheap *heap, unsigned bin)
{
    fph_class klass;

    return bin == 0 ? FPHEAP_PAGE
         : fph_view_class(heap, bin, &klass) ? klass.size : 0;
}

/* The record that a reference names; NULL: none. */
static const void *
fph_view_meta(const fpheap *heap, uint32_t ref)
{
    uint32_t    number = ref >> FPH_UNIT_BITS;
    size_t      offset = (size_t)(ref & ((1u << FPH_UNIT_BITS) - 1)) * FPH_LINE;
    const void *block  = number == 0 || number >= FPH_TABLE_MAX ? NULL
                       : fph_peek_pointer(heap,
                                          &heap->view->state->meta[number]);

    return block == NULL ? NULL : fph_view_at(block, offset);
}

/* What a record says, and whether that can be. */
typedef struct fph_viewed {
    fph_slab record;
    char    *start;            /* of its first page */
    unsigned kind;
    size_t   size;             /* from one object to the next, */
    size_t   bytes;            /* and what is usable of that */
    size_t   count;
    size_t   pages;
    char    *first;            /* object */
} fph_viewed;

/* Fill in what a slab or a large object is.  Returns 0: it is none. */
static int
fph_view_shape(const fpheap *heap, fph_viewed *it)
{
    uint64_t  info = it->record.info;
    size_t    skip = fph_info_kind(info) == FPH_PARKED ? 0 /* all its pages */
                   : (size_t)fph_info_bin(info) << FPHEAP_PAGE_SHIFT;
    fph_class klass;

    it->kind = fph_info_kind(info);
    it->count = 1;
    it->pages = fph_info_count(info);
    it->size = (it->pages << FPHEAP_PAGE_SHIFT) - skip;
    it->bytes = it->size;
    if (it->kind == FPH_SLAB) {
        if (!fph_view_class(heap, fph_info_bin(info), &klass))
            return 0;
        it->count = fph_info_count(info);
        it->pages = klass.pages;
        it->size = klass.size;
        it->bytes = it->size - FPH_HEAD;
        skip = klass.skip;
    } else if (it->kind != FPH_LARGE && it->kind != FPH_PARKED) {
        return 0;
    }
    it->first = (char *)(uintptr_t)fph_view_at(it->start, skip);
    return it->size != 0 && it->size <= heap->view->bytes
        && it->count != 0 && it->count <= FPH_SLAB_WORDS * 64
        && skip + it->count * it->size - (it->size - it->bytes)
           <= it->pages << FPHEAP_PAGE_SHIFT
        && fph_view_has(heap->view, it->start, it->pages << FPHEAP_PAGE_SHIFT);
}

/* The record of the page that begins at an address, of a chunk that was looked
 * at.  Returns 0: it covers nothing. */
static int
fph_view_record(const fpheap *heap, const fph_chunk *chunk, char *start,
                fph_viewed *it)
{
    size_t      page = (size_t)((uintptr_t)start >> FPHEAP_PAGE_SHIFT)
                     & heap->view->mask;
    const void *at   = fph_view_at(chunk->records,
                                   offsetof(fph_records, slab)
                                   + page % FPH_PAGES * sizeof it->record);

    it->start = start;
    return chunk->records != NULL
        && fph_peek(heap, &it->record, at, sizeof it->record)
        && it->record.page == page && fph_view_shape(heap, it);
}

/* What covers an address.  Returns 0: nothing does. */
static int
fph_view_cover(const fpheap *heap, const void *object, fph_viewed *it)
{
    char     *at    = (char *)(uintptr_t)object
                    - ((uintptr_t)object & (FPHEAP_PAGE - 1));
    char     *start = at;
    fph_chunk chunk;
    size_t    back;

    do {
        size_t page = (size_t)((uintptr_t)start >> FPHEAP_PAGE_SHIFT);

        if (!fph_view_chunk(heap, start, &chunk))
            return 0;
        back = chunk.back[page % FPH_PAGES];
        if (back << FPHEAP_PAGE_SHIFT > (size_t)(start - heap->view->base))
            return 0;
        start -= back << FPHEAP_PAGE_SHIFT;
    } while (back != 0);
    return fph_view_record(heap, &chunk, start, it)
        && (size_t)(at - start) < it->pages << FPHEAP_PAGE_SHIFT;
}

/* The start of the object that an address is in; NULL: none. */
static char *
fph_view_object(const fpheap *heap, const void *at, fph_viewed *it)
{
    size_t offset;

    if (!fph_view_cover(heap, at, it) || it->kind == FPH_PARKED
        || (const char *)at < it->first)
        return NULL;
    offset = (size_t)((const char *)at - it->first);
    return offset / it->size < it->count && offset % it->size < it->bytes
         ? it->first + offset / it->size * it->size : NULL;
}

/* fpheap_base_of, and fpheap_usable_size, for whoever only reads. */
static void *
fph_view_base(const fpheap *heap, const void *at)
{
    fph_viewed it;

    return fph_view_object(heap, at, &it);
}

static size_t
fph_view_usable(const fpheap *heap, const void *object)
{
    fph_viewed it;

    return fph_view_object(heap, object, &it) == object ? it.bytes : 0;
}

/* Whether an object is free, as far as it shows. */
static int
fph_view_free(const fpheap *heap, const fph_viewed *it, const void *object)
{
    size_t   number = (size_t)((const char *)object - it->first) / it->size;
    uint32_t refs   = 1;

    if (it->kind == FPH_SLAB
        && (it->record.bits[number / 64] >> number % 64 & 1) != 0)
        return 1;
    return FPHEAP_HEADER
        && (!fph_peek(heap, &refs, (const char *)object - sizeof(fph_head)
                                   + offsetof(fph_head, hold), sizeof refs)
            || refs == 0);
}

/* --- what is parked ------------------------------------------------------- */

/* What magazines and caches park, as far as it was looked at. */
typedef struct fph_parked {
    const fpheap *heap;
    size_t        steps;       /* left: no list is longer than the partition */
    size_t        objects;
    size_t        bytes;
    uint64_t     *bits;        /* of each 16 bytes of the partition, whether an
                                  object is there; NULL: only sums are wanted */
} fph_parked;

static fph_parked
fph_parked_none(const fpheap *heap)
{
    fph_parked parked = { heap, heap->view->bytes / 64, 0, 0, NULL };

    return parked;
}

/* Whether an object was noted. */
static int
fph_is_parked(const fph_parked *parked, const void *object)
{
    size_t unit = (size_t)((const char *)object - parked->heap->view->base)
                / 16;

    return (int)(parked->bits[unit / 64] >> unit % 64 & 1);
}

/* Note the objects of a magazine's slots. */
static void
fph_parked_slots(fph_parked *parked, unsigned bin, const void *slot,
                 size_t count)
{
    const fph_view *view = parked->heap->view;
    void           *objects[FPHEAP_MAGAZINE];
    size_t          i;

    if (count > FPHEAP_MAGAZINE)
        return;
    parked->objects += count;
    if (parked->bits == NULL) {
        parked->bytes += count * fph_view_size(parked->heap, bin);
        return;
    }
    if (!fph_peek(parked->heap, objects, slot, count * sizeof *objects))
        return;
    for (i = 0; i < count; i++) {
        size_t unit = (size_t)((char *)objects[i] - view->base) / 16;

        if (fph_view_has(view, objects[i], 16))
            parked->bits[unit / 64] |= (uint64_t)1 << unit % 64;
    }
}

/* Note those of a magazine.  Returns the reference of the one below it; 0:
 * there is none. */
static uint32_t
fph_parked_magazine(fph_parked *parked, unsigned bin, const void *magazine)
{
    uint32_t head[3];          /* next, self, count */

    if (magazine == NULL
        || !fph_peek(parked->heap, head, magazine, sizeof head))
        return 0;
    fph_parked_slots(parked, bin,
                     fph_view_at(magazine, offsetof(fph_magazine, slot)),
                     head[2]);
    return head[0];
}

/* Note those of a depot. */
static void
fph_parked_depot(fph_parked *parked, unsigned bin)
{
    const fpheap *heap = parked->heap;
    uint64_t      head = 0;
    uint32_t      ref;

    (void)fph_peek(heap, &head,
                   fph_view_at(heap->view->depots,
                               bin * sizeof(fph_depot)
                               + offsetof(fph_depot, full)), sizeof head);
    for (ref = (uint32_t)head; ref != 0 && parked->steps != 0;
         parked->steps--)
        ref = fph_parked_magazine(parked, bin, fph_view_meta(heap, ref));
}

/* Note those of a cache: below the top of what is loaded, the spare's, and the
 * large one. */
static void
fph_parked_cache(fph_parked *parked, const void *cache)
{
    const fpheap *heap  = parked->heap;
    const void   *spare = fph_peek_pointer(
        heap, fph_view_at(cache, offsetof(fpheap_cache, spare)));
    const void   *large = fph_peek_pointer(
        heap, fph_view_at(cache, offsetof(fpheap_cache, large)));
    uint64_t      info;
    fph_bin       bin;
    unsigned      i;

    for (i = 0; i < heap->view->bins; i++) {
        if (fph_peek(heap, &bin,
                     fph_view_at(cache, offsetof(fpheap_cache, bins)
                                        + i * sizeof bin), sizeof bin)
            && bin.base != NULL && bin.top > bin.base)
            fph_parked_slots(parked, i, bin.base,
                             (size_t)(bin.top - bin.base));
        (void)fph_parked_magazine(
            parked, i, fph_peek_pointer(
                           heap, fph_view_at(spare, i * sizeof spare)));
    }
    if (large == NULL
        || !fph_peek(heap, &info,
                     fph_view_at(large, offsetof(fph_slab, info)), sizeof info))
        return;
    parked->objects++;
    parked->bytes += fph_info_count(info) * fph_view_size(heap, 0);
}

/* Note those of the caches of a member; FPH_MEMBERS: of all.  Caches have the
 * first places. */
static void
fph_parked_caches(fph_parked *parked, unsigned member)
{
    const fpheap *heap = parked->heap;
    const void   *cache;
    fph_slot      slot;
    unsigned      i;

    for (i = 0; i < FPHEAP_MAX_THREADS; i++) {
        cache = fph_peek_pointer(heap, &heap->view->state->cache[i]);
        if (cache == NULL)
            return;
        if (member == FPH_MEMBERS
            || (fph_peek(heap, &slot, fph_view_at(cache, -sizeof slot),
                         sizeof slot) && slot.owner == member + 1))
            fph_parked_cache(parked, cache);
    }
}

static void
fph_parked_all(fph_parked *parked)
{
    unsigned i;

    for (i = 0; i < parked->heap->view->bins; i++)
        fph_parked_depot(parked, i);
    fph_parked_caches(parked, FPH_MEMBERS);
}

/* --- all that is there ---------------------------------------------------- */

/* The next record that covers something, from the page at *at on, which then is
 * the one behind it.  Returns 0: there is none.  *chunk is the one that it is
 * in. */
static int
fph_view_next(const fpheap *heap, char **at, fph_chunk *chunk, fph_viewed *it)
{
    const char *end = heap->view->base + heap->view->bytes;

    while (*at < end) {
        char *start = *at;

        if (((uintptr_t)start & FPH_CHUNK_MASK) == 0
            && !fph_view_chunk(heap, start, chunk)) {
            *at += FPHEAP_CHUNK;
            continue;
        }
        *at += FPHEAP_PAGE;
        if (fph_view_record(heap, chunk, start, it))
            return 1;
    }
    return 0;
}

/* Show the live objects of a record. */
static int
fph_view_show(const fph_parked *parked, const fph_viewed *it,
              int (*visit)(void *arg, const fpheap_object *object), void *arg)
{
    fpheap_object object;
    size_t        i;
    int           rc = 0;

    if (it->kind == FPH_PARKED)
        return 0;
    for (i = 0; rc == 0 && i < it->count; i++) {
        object.base = it->first + i * it->size;
        object.bytes = it->bytes;
        object.node = 0;
        if (!fph_view_free(parked->heap, it, object.base)
            && !fph_is_parked(parked, object.base))
            rc = visit(arg, &object);
    }
    return rc;
}

/* fpheap_walk for whoever only reads.  What is parked is noted first; what
 * moves meanwhile may show or not. */
static int
fph_view_objects(const fpheap *heap,
                 int (*visit)(void *arg, const fpheap_object *object),
                 void *arg)
{
    char      *at     = heap->view->base;
    size_t     room   = heap->view->bytes / 128;
    fph_parked parked = fph_parked_none(heap);
    fph_chunk  chunk;
    fph_viewed it;
    int        rc     = 0;

    parked.bits = (uint64_t *)fph_map(NULL, room, PROT_READ | PROT_WRITE,
                                      MAP_NORESERVE);
    if (parked.bits == NULL)
        return -ENOMEM;
    fph_parked_all(&parked);
    while (rc == 0 && fph_view_next(heap, &at, &chunk, &it))
        rc = fph_view_show(&parked, &it, visit, arg);
    fph_map_end(parked.bits, room);
    return rc;
}

/* Count the objects of a record; those that are parked count as live. */
static void
fph_view_count(const fph_viewed *it, fpheap_stats *stats)
{
    size_t free = it->kind == FPH_SLAB ? fph_slab_bits(&it->record) : 0;

    if (free > it->count)
        free = it->count;
    stats->live_objects += it->count - free;
    stats->live_bytes += (it->count - free) * it->size;
    stats->slab_free_bytes += free * it->size;
    stats->waste_bytes += (it->pages << FPHEAP_PAGE_SHIFT)
                        - it->count * it->size;
}

/* What is left of a number; 0 where the image is damaged. */
static size_t
fph_view_rest(size_t all, size_t part)
{
    return all > part ? all - part : 0;
}

/* The statistics that records and chunks tell. */
static void
fph_view_stats(const fpheap *heap, fpheap_stats *stats)
{
    char         *at     = heap->view->base;
    char         *end    = at + heap->view->bytes;
    fph_parked    parked = fph_parked_none(heap);
    fph_partition head;
    fph_viewed    it;
    fph_chunk     chunk;

    memset(stats, 0, sizeof *stats);
    if (fph_peek(heap, &head, heap->partition, sizeof head))
        fph_recovered_add(&head, stats);
    while (fph_view_next(heap, &at, &chunk, &it))
        fph_view_count(&it, stats);
    for (at = heap->view->base; at < end; at += FPHEAP_CHUNK)
        if (fph_view_chunk(heap, at, &chunk)) {
            stats->region_bytes += fph_popcount(chunk.present) * FPHEAP_PAGE;
            stats->metadata_bytes += fph_popcount(chunk.meta) * FPHEAP_PAGE;
        }
    stats->page_free_bytes = fph_view_rest(
        stats->region_bytes, stats->metadata_bytes + stats->live_bytes
                             + stats->slab_free_bytes + stats->waste_bytes);
    fph_parked_all(&parked);
    stats->parked_objects = parked.objects;
    stats->parked_bytes = parked.bytes;
    stats->live_objects = fph_view_rest(stats->live_objects, parked.objects);
    stats->live_bytes = fph_view_rest(stats->live_bytes, parked.bytes);
}
#else
/* No heap is one that this process may only read. */
#  define fph_view_objects(heap, visit, arg) 0
#  define fph_view_base(heap, at)            NULL
#  define fph_view_usable(heap, object)      (size_t)0
#  define fph_view_stats(heap, stats)        ((void)(stats))
#endif

/* [GROWTH] =================================================================
 *
 * How a call gets memory when the heap has none.  A pass takes back what a
 * node's depots and this thread's cache park, and the node's empty slabs.
 * Other threads follow at their next miss, with what their caches park.
 *
 * The ladder.  Each call looks for what it wants with a function of its own,
 * which takes it from what the heap has, and neither grows nor waits.  Between
 * two looks the ladder does what costs least and has not been done yet:
 *
 *     look
 *     parked     take back what is parked, if that pays
 *     look
 *     grow       ask the provider, and look, until it gives no more.  For a run
 *                above a chunk, first give back what is free as a whole, which
 *                is too short
 *     all        take back all that is parked
 *     look
 *     exchange   give back all that is free as a whole, of other nodes too, and
 *                grow again; FPH_TRIES times at most, as what comes may lack a
 *                page for records
 *     fail
 *
 *   R1  A step that has done nothing is not followed by a look.  So a call that
 *       fails again with nothing freed since is one look, one call to the
 *       provider, for each bin a test that nothing is parked there, and for
 *       each region one that nothing can be given back.
 *   R2  What another thread makes available while a call climbs is not missed:
 *       - by growth: `growths` is read before each look, and what was added
 *         after it counts as the call's own growth.  If the call asks while the
 *         other has not added yet, and is refused, it looks once more (beside);
 *       - by the end of a move, which the look did not see, or whose memory
 *         went to the provider after that had refused the call: the mark, set
 *         before the first look, tells (V4), and the call begins anew;
 *       - by a free: that came after the call's last look.
 *   R3  It begins anew FPH_TRIES times at most, as the passes of calls that
 *       fail are moves too, and not while a move is under way; else it only
 *       looks.  It fails with the first look during which nothing moved, or
 *       when it has waited as long as it may.
 */

/* Bytes parked in a node's depots and, if `cache` is not NULL, in objects of a
 * page or more in that.  (They are few, and each holds a slab.) */
static size_t
fph_parked_bytes(const fpheap *heap, int node, const fpheap_cache *cache)
{
    const fph_state *state = heap->state;
    unsigned         bin   = (unsigned)node * FPH_CLASSES;
    size_t           bytes = 0;
    unsigned         i;

    for (i = 0; i < FPH_CLASSES; i++, bin++) {
        size_t size = FPH_LOAD(&fph_bin_class(state, bin)->size, RELAXED);

        if (!fph_keeps_slabs(fph_bin_pool(state, bin)))
            bytes += fph_depot_objects(state, bin) * size;
        if (cache != NULL && size >= FPHEAP_PAGE
            && !fph_bin_is_kept(cache, bin))
            bytes += fph_cache_objects(state, cache, bin) * size;
    }
    return bytes;
}

/* Calls that keep failing do this at most once a millisecond: ask other threads
 * to drain their caches, and ask the provider for a node that spills. */
#define FPH_PAUSE_NS 1000000u

/* Whether that was done a moment ago; 0: it never was, or there is no clock. */
static int
fph_just_done(const fph_word *when, uint64_t now)
{
    uint64_t then = fph_load_relaxed(when);

    return then != 0 && now - then < FPH_PAUSE_NS;
}

/* Ask the others to follow at their next miss. */
static void
fph_pass_ask(fph_state *state, int always)
{
    uint64_t now = fph_now_ns();

    if (!always && fph_just_done(&state->asked_ns, now))
        return;
    fph_store_relaxed(&state->asked_ns, now);
    fph_fetch_add_relaxed(&state->asked, 1);
}

/* Drain this thread's cache; empty the depots of a node and retire its empty
 * slabs; and have other threads follow, always or now and then.  A destructor
 * that this calls may use the heap, but starts no pass of its own.  Returns 0:
 * nothing was parked. */
static int
fph_reclaim(fpheap *heap, int node, int always)
{
    fph_state    *state = heap->state;
    fph_frame     frame = { FPH_IN_PASS, heap, NULL, fph_this.frames };
    fpheap_cache *cache;
    uint32_t      moves = fph_this.moves[fph_number_of(state)];
    unsigned      bin   = (unsigned)node * FPH_CLASSES;
    unsigned      i;

    if (fph_is_in(FPH_IN_PASS, heap, NULL))
        return 0;
    fph_this.frames = &frame;
    fph_fetch_add_relaxed(&state->reclaims, 1);
    fph_pass_ask(state, always);
    cache = fph_cache_mine(heap);
    if (cache != NULL) {
        cache->asked = fph_load_relaxed(&state->asked);
        fph_cache_flush(cache, 1 /* drain */);
    }
    for (i = 0; i < FPH_CLASSES; i++, bin++) {
        fph_depot_drain(state, bin);
        if (fph_bin_has_empty(state, bin))
            fph_bin_retire(state, bin);
    }
    fph_this.frames = frame.outer;
    return fph_this.moves[fph_number_of(state)] != moves;
}

#define FPH_TRIES 3

/* The most to give back before the provider is asked for a need: where it takes
 * parts, what will be asked for; else everything. */
static size_t
fph_need_exchange(const fpheap *heap, fph_need need)
{
    size_t units = fph_units(heap, need.pages);
    size_t step  = fph_growth_step(heap);

    return (heap->provider.flags & FPHEAP_PARTS) != 0
         ? (units > step ? units : step) * fph_unit_bytes(heap) : SIZE_MAX;
}

/* A call on the ladder. */
typedef struct fph_search {
    fpheap       *heap;
    int           node;
    unsigned      bin;
    fph_need      need;
    fpheap_cache *cache;       /* this thread's for the bin; or NULL */
    int         (*look)(struct fph_search *search); /* 1: it has what is wanted;
                                  0: no memory; or a negative errno: memory
                                  would not help */
    void         *found;       /* by the look, of one object */
    size_t        n;           /* objects that a bulk wants, */
    size_t        objects;     /* and has gathered, */
    struct fph_magazine *first;    /* in a list of magazines */
    int           grow;        /* 0: look, and no more */
    int           tight;       /* 1: take no page for magazines */
    const struct fpheap *child; /* for which pages are wanted */
    int           error;       /* of the last growth */
    uint64_t      growths;     /* before the last look */
} fph_search;

static int
fph_look(fph_search *search)
{
    search->growths = fph_growths(search->heap->state);             /* R2 */
    return search->look(search);
}

/* Whether a chunk or more can be taken back.  A pass costs what is parked, and
 * saves a call to the provider and the first touch of a chunk. */
static int
fph_reclaim_pays(const fpheap *heap, int node)
{
    int64_t pages = (int64_t)fph_load_relaxed(&heap->state->empty_pages);
    size_t  bytes = fph_parked_bytes(heap, node, fph_cache_mine(heap));

    /* It may be below 0 while a slab is claimed that is just announced. */
    if (pages > 0)
        bytes += (size_t)pages << FPHEAP_PAGE_SHIFT;
    return bytes >= FPHEAP_CHUNK;
}

/* Whether the limit has room for a need in place of what is fresh as a whole,
 * which is too short or of another node. */
static int
fph_limit_fits(const fpheap *heap, fph_need need)
{
    int64_t left  = (int64_t)fph_load_relaxed(&heap->state->left);
    size_t  bytes = fph_units(heap, need.pages) * fph_unit_bytes(heap);

    return left + (int64_t)fph_regions_fresh(heap) >= (int64_t)bytes;
}

/* Take back what is parked, if that is worth it.  Returns 1: look again. */
static int
fph_climb_parked(fpheap *heap, int node)
{
    uint64_t ticket;

    if (!fph_reclaim_pays(heap, node)) {
        fpheap_cache *cache = fph_cache_mine(heap);

        return cache != NULL && fph_large_drop(cache);
    }
    if (!fph_growth_enter(heap, &ticket))
        return 1;              /* another thread has done so meanwhile */
    fph_reclaim(heap, node, 1 /* always */);
    fph_growth_leave(heap->state, ticket);
    return 1;
}

/* Give back what is free as a whole, if that is all that is in the way: it is
 * too short, or of other nodes.  Returns 0: it is not, or is none. */
static int
fph_climb_exchange(const fph_search *search)
{
    return (search->error != -ENOSPC
            || fph_limit_fits(search->heap, search->need))
        && fph_regions_release(search->heap, FPHEAP_ANY_NODE, 0 /* keep */,
                               SIZE_MAX) != 0;
}

/* Have room for the magazines of a heap that has grown.  What a block has left
 * when the next one comes are magazines too. */
static void
fph_magazines_ahead(fpheap *heap)
{
    fph_state *state = heap->state;
    size_t     bytes = sizeof(fph_magazine);
    uint32_t   ref;
    int        found;

    if (fph_block_ahead(state) == 0)
        return;
    while ((ref = fph_meta_cut(state, bytes)) != 0)
        fph_stack_push(&state->empty[0].word,
                       &fph_magazine_make(state, ref)->link);
    ref = fph_meta_extend(heap, FPH_NO_NODE, fph_meta_block(state), bytes,
                          &found);
    if (ref != 0)
        fph_stack_push(&state->empty[0].word,
                       &fph_magazine_make(state, ref)->link);
}

/* Grow and look until there is what is wanted or, 0, the provider has no
 * more. */
static int
fph_climb_grow(fph_search *search)
{
    int rc = 0;

    while (rc == 0 && !fph_records_out(search->heap->state)) {
        int error = fph_grow(search->heap, search->node, search->need,
                             fph_growth_step(search->heap), search->growths);

        search->error = error != 0 ? error : -ENOMEM; /* it may not serve */
        search->tight = error != 0;
        if (error != 0 && !fph_this.beside)
            return 0;
        rc = fph_look(search);
        if (error != 0)
            break;
        fph_magazines_ahead(search->heap);
    }
    return rc;
}

/* Climb the ladder.  Returns what the last look did. */
static int
fph_climb(fph_search *search)
{
    fpheap  *heap = search->heap;
    int      node = search->node;
    int      rc   = fph_look(search);
    unsigned i;

    if (rc != 0 || !search->grow)
        return rc;
    search->tight = fph_climb_parked(heap, node);
    if (search->tight)                                              /* R1 */
        rc = fph_look(search);
    if (rc == 0 && search->need.pages > FPH_PAGES)
        fph_regions_release(heap, node, 1 /* keep */,
                            fph_need_exchange(heap, search->need));
    if (rc == 0)
        rc = fph_climb_grow(search);
    if (rc == 0 && fph_reclaim(heap, node, 0 /* always */))         /* R1 */
        rc = fph_look(search);
    for (i = 0; rc == 0 && i < FPH_TRIES && fph_climb_exchange(search); i++)
        rc = fph_climb_grow(search);
    return rc;
}

/* Find what a call wants.  Returns 0, or a negative errno. */
static int
fph_find(fph_search *search)
{
    fph_state *state = search->heap->state;
    unsigned   tries = 0;
    uint32_t   mark;
    int        rc;

    search->error = -ENOMEM;
    if (search->need.pages == 0)
        return -ENOMEM;        /* it is too large */
    do {
        mark = fph_moves_mark(state);                               /* R2 */
        if (tries == 0 || (tries < FPH_TRIES && fph_moves_quiet(state))) {
            tries++;                                                /* R3 */
            rc = fph_climb(search);
        } else {
            rc = fph_look(search);
        }
    } while (rc == 0 && search->grow && fph_moves_wait(search->heap, mark));
    return rc > 0 ? 0 : rc < 0 ? rc : search->error;
}

/* --- memory --------------------------------------------------------------- */

/* Make a chunk's records, if there is memory for them. */
static void
fph_chunk_record(fpheap *heap, size_t chunk)
{
    fph_state *state = heap->state;
    uint64_t   free;

    if (FPH_LOAD(&state->chunks[chunk].records, RELAXED) != NULL)
        return;
    free = fph_part_take(state, chunk, FPH_ALL_PAGES);
    if (free == 0)
        return;
    (void)fph_chunk_ready(heap, chunk);
    fph_part_give(state, chunk, free);
}

/* Touch the free pages of a chunk while they are the caller's.  Returns how
 * many. */
static size_t
fph_chunk_touch(const fpheap *heap, size_t chunk)
{
    fph_state *state = heap->state;
    uint64_t   free  = fph_part_take(state, chunk, FPH_ALL_PAGES);
    uint64_t   left;

    if (free == 0)
        return 0;
    fph_chunk_huge(heap, chunk, FPHEAP_HUGE_NOW);
    for (left = free; left != 0; left &= left - 1) {
        char *page = fph_page_address(state, chunk * FPH_PAGES
                                             + fph_lowest_bit(left));

        fph_touch(page, page + FPHEAP_PAGE);
    }
    FPH_STORE(&state->chunks[chunk].reserved, (uint8_t)1, RELAXED);
    fph_part_give(state, chunk, free);
    return fph_popcount(free);
}

/* Make records for all chunks of a node, and then touch all its free memory.
 * Returns how many pages are free. */
static size_t
fph_node_touch(fpheap *heap, int node)
{
    fph_state *state = heap->state;
    size_t     pages = 0, at;
    fph_chunk *chunk;

    fph_moves_begin(state);
    for (at = 0; (chunk = fph_chunk_next(state, &at)) != NULL;)
        if (FPH_LOAD(&chunk->node, RELAXED) == node)
            fph_chunk_record(heap, (size_t)(chunk - state->chunks));
    for (at = 0; (chunk = fph_chunk_next(state, &at)) != NULL;)
        if (FPH_LOAD(&chunk->node, RELAXED) == node)
            pages += fph_chunk_touch(heap, (size_t)(chunk - state->chunks));
    fph_moves_end(state);
    return pages;
}

/* Grow until so many pages of a node are free and ready. */
static int
fph_ready_grow(fpheap *heap, int node, size_t pages)
{
    uint64_t seen = fph_growths(heap->state);
    size_t   ready;

    while ((ready = fph_node_touch(heap, node)) < pages) {
        int rc = fph_grow(heap, node, fph_need_of(heap, 1, 1),
                          fph_units(heap, pages - ready), seen);

        if (rc != 0)
            return fph_this.beside && fph_node_touch(heap, node) >= pages
                 ? 0 : rc;
        seen = fph_growths(heap->state);
    }
    return 0;
}

/* Make n empty magazines.  Returns 0, or a negative errno. */
static int
fph_magazines_add(fpheap *heap, int node, size_t n)
{
    fph_state *state = heap->state;
    size_t     bytes = sizeof(fph_magazine);

    for (; n > 0; n--) {
        uint32_t ref   = fph_meta_cut(state, bytes);
        int      error = 0;

        if (ref == 0)
            ref = fph_meta_get(heap, node, bytes, &error);
        if (ref == 0)
            return error;
        fph_stack_push(&state->empty[node].word,
                       &fph_magazine_make(state, ref)->link);
    }
    return 0;
}

FPHEAP_API int
fpheap_reserve(fpheap *heap, size_t bytes, int node)
{
    size_t pages = (bytes >> FPHEAP_PAGE_SHIFT)
                 + ((bytes & (FPHEAP_PAGE - 1)) != 0);
    size_t have, want;
    int    rc;

    if (!fph_heap_good(heap))
        return -EINVAL;
    FPH_INSIDE(heap);
    if (node == FPHEAP_ANY_NODE)
        node = fph_home(heap, fph_cache_here(heap, 1 /* grow */));
    if (node < 0 || (unsigned)node >= heap->nodes)
        return -EINVAL;
    fph_wait_begin();
    rc = fph_ready_grow(heap, node, pages);
    if (rc != 0)
        return rc;
    /* Magazines for what these pages can hold: of large objects one holds an
     * eighth of a chunk.  Where there is no memory for them, the pages serve
     * all the same. */
    have = (size_t)fph_load_relaxed(&heap->state->magazines);
    want = pages / (FPH_PAGES / 8);
    (void)fph_magazines_add(heap, node, want > have ? want - have : 0);
    return fph_ready_grow(heap, node, pages);
}

/* Free what is behind the free pages of one chunk. */
static void
fph_part_decommit(fpheap *heap, const fph_part *part)
{
    fph_state *state = heap->state;
    size_t     chunk = part->page >> FPH_PAGE_BITS;
    uint64_t   free, mask;

    if (!fph_part_is_here(state, part))
        return;
    free = fph_part_take(state, chunk, part->mask);
    mask = free;
    if (free != 0)
        fph_chunk_huge(heap, chunk, FPHEAP_HUGE_NONE);
    while (mask != 0) {
        unsigned first = fph_lowest_bit(mask);
        unsigned pages = fph_run_head(mask >> first);

        fph_provider_decommit(heap,
                              fph_page_address(state, chunk * FPH_PAGES
                                                      + first),
                              (size_t)pages << FPHEAP_PAGE_SHIFT);
        mask &= ~fph_page_mask(first, pages);
    }
    if (free != 0)
        fph_part_give(state, chunk, free);
}

/* Free what is behind free pages. */
static void
fph_pages_decommit(fpheap *heap)
{
    fph_state  *state = heap->state;
    fph_region *region;
    size_t      i     = 0;

    for (; (region = fph_region_next(state, &i)) != NULL;
         fph_region_unkeep(region)) {
        char    *base  = NULL;
        size_t   pages = fph_whole_pages(&region->raw, &base);
        fph_part part  = fph_parts((uintptr_t)base, pages);

        if (region->raw.backing != FPHEAP_BACKING_PAGES)
            continue;
        while (fph_part_next(state, &part))
            fph_part_decommit(heap, &part);
    }
}

/* Free objects of so many bytes are worth a call to the provider. */
#define FPH_DECOMMIT_FROM 16384u

/* Free what is behind the free objects of a slab that the caller holds and lets
 * go.  A slab lies in two chunks at most. */
static void
fph_slab_decommit(fpheap *heap, fph_slab *slab)
{
    fph_state *state = heap->state;
    size_t     size  = slab->size - FPH_HEAD; /* the next one's is behind it */
    size_t     first = slab->page >> FPH_PAGE_BITS;
    size_t     last  = (slab->page - 1 + fph_info_pages(state,
                        fph_load_relaxed(&slab->info))) >> FPH_PAGE_BITS;
    void      *objects[96];   /* it has 85 of them with chunks of 16 MiB */
    size_t     n = 0, i;

    if (FPH_LOAD(&state->chunks[first].plain, RELAXED)
        && FPH_LOAD(&state->chunks[last].plain, RELAXED))
        n = fph_slab_claim(state, slab, objects, 96);
    fph_slab_let_go(state, slab);
    for (i = 0; i < n; i++) {
        fph_chunk_huge(heap, first, FPHEAP_HUGE_NONE);
        fph_chunk_huge(heap, last, FPHEAP_HUGE_NONE);
        fph_provider_decommit(heap, objects[i], size);
    }
    fph_slab_give(state, objects, n);
}

/* The same for all free objects that are large, but for those of pools, which
 * stay constructed, and those that are filled. */
static void
fph_objects_decommit(fpheap *heap)
{
    fph_state *state = heap->state;
    fph_link  *link;
    unsigned   bin;

    for (bin = 0; bin < heap->bins && FPHEAP_CHECK < 2; bin++) {
        if (fph_bin_class(state, bin)->size < FPH_DECOMMIT_FROM
            || bin % FPH_CLASSES >= FPH_SIZES)
            continue;
        link = fph_stack_take(state, &state->depots[bin].partial);
        while (link != NULL) {
            fph_slab *slab = (fph_slab *)(void *)link;

            link = fph_stack_below(state, link);
            fph_slab_decommit(heap, slab);
        }
    }
}

FPHEAP_API size_t
fpheap_trim(fpheap *heap)
{
    size_t bytes;
    int    node;

    if (!fph_heap_good(heap))
        return 0;
    FPH_INSIDE(heap);
    fph_wait_begin();
    for (node = 0; (unsigned)node < heap->nodes; node++)
        fph_reclaim(heap, node, 1 /* always */);
    bytes = fph_regions_release(heap, FPHEAP_ANY_NODE, 0 /* keep */, SIZE_MAX);
    if (heap->provider.decommit != NULL) {
        fph_moves_begin(heap->state);
        fph_pages_decommit(heap);
        fph_objects_decommit(heap);
        fph_moves_end(heap->state);
    }
    return bytes;
}

FPHEAP_API void
fpheap_set_limit(fpheap *heap, size_t bytes)
{
    if (!fph_heap_good(heap))
        return;
    FPH_INSIDE(heap);
    fph_limit_set(heap->state, bytes);
    fph_did(heap->state, 0, FPH_GAVE);
}

/* [MISS] ===================================================================
 *
 * What a miss does in a bin; ALLOC calls it.  It exchanges whole magazines:
 * loaded with spare, then spare with the depot; only when the depot has none
 * are objects claimed from slabs.
 *
 * While a call fills a magazine or makes room, it holds the magazine itself, or
 * a few objects, and then looks at the bin again: the provider's callback or a
 * constructor may have used the bin meanwhile.
 */

/* Prefetch n slots of a magazine: most likely another thread wrote them last,
 * and one at a time they cost a miss each. */
static void
fph_slots_fetch(void *const *slot, size_t n)
{
    size_t i;

    for (i = 0; i < n; i += FPH_LINE / sizeof *slot)
        __builtin_prefetch(&slot[i], 1 /* to write */);
}

/* Empty a short magazine into another if that has room, or into the slabs. */
static void
fph_short_empty(fph_state *state, unsigned bin, fph_magazine *from,
                fph_magazine *to)
{
    size_t count = to->count + from->count;

    if (count <= fph_bin_class(state, bin)->magazine) {
        memcpy(to->slot + to->count, from->slot,
               from->count * sizeof *from->slot);
        fph_magazine_set_count(from, 0);
        FPH_KEEP_ORDER();      /* no object is in both, D1 */
        fph_magazine_set_count(to, count);
    } else {
        fph_magazine_clear(state, from);
    }
}

/* Load a magazine; the one that was loaded becomes the spare. */
static void
fph_bin_exchange(fpheap_cache *cache, unsigned number, fph_magazine *magazine)
{
    fph_magazine *loaded = fph_bin_unload(cache, number);

    if (loaded != NULL && fph_is_short(loaded))
        fph_short_empty(cache->heap->state, number, loaded, magazine);
    else if (loaded != NULL)
        fph_magazine_return(cache->heap->state, number,
                            fph_bin_spare(cache, number, loaded),
                            0 /* drain */);
    fph_bin_load(cache, number, magazine);
}

/*
 * Divide a full magazine: the loaded one is empty and the spare full, or the
 * reverse.  The upper half, used last, is loaded, so that either end is half a
 * magazine away.  (If they were only exchanged, a thread that stays at this
 * edge would come here at every second call.)  n is half the capacity.
 */
static void
fph_bin_halve(fpheap_cache *cache, unsigned number, size_t n)
{
    fph_magazine *full  = fph_bin_unload(cache, number);
    fph_magazine *empty = fph_bin_spare(cache, number, NULL);

    if (full == NULL || (full->count == 0 && empty != NULL)) {
        fph_magazine *loaded = full;

        full = empty;
        empty = loaded;
    }
    if (empty == NULL) {       /* there is only one, or none, H4 */
        if (full != NULL)
            fph_bin_load(cache, number, full);
        return;
    }
    fph_magazine_set_count(full, full->count - n);
    memcpy(empty->slot, full->slot + full->count, n * sizeof *full->slot);
    FPH_KEEP_ORDER();
    fph_magazine_set_count(empty, n);
    fph_bin_spare(cache, number, full);
    fph_bin_load(cache, number, empty);
}

/* Claims of a bin by one thread that take one object, and no magazine. */
#define FPH_COLD 2

/* How many objects to claim for an empty bin: one while it is cold, then a 32nd
 * of a magazine, and twice as many each time, so that a size that a thread
 * hardly uses parks nothing. */
static size_t
fph_bin_claims(fpheap_cache *cache, unsigned number)
{
    size_t   most  = fph_bin_class(cache->heap->state, number)->magazine;
    unsigned fills = cache->fills[number];
    size_t   n     = fills < FPH_COLD ? 1 : most >> (FPH_COLD + 5 - fills);

    if (fph_is_low(cache->heap->state, number))
        return 1;
    if (fills < FPH_COLD + 5)
        FPH_STORE(&cache->fills[number], (uint8_t)(fills + 1), RELAXED);
    return n + (n == 0);
}

/* Claim up to n objects, of which a short magazine has room for all, and take
 * one.  They wait here, since a constructor may use the bin.  Returns 0: there
 * is no memory for them, or *refused says why there are none. */
static int
fph_bin_fill_few(fph_search *search, size_t n, int *refused)
{
    fpheap_cache *cache = search->cache;
    fph_bin      *bin   = &cache->bins[search->bin];
    fph_magazine *magazine;
    void         *few[FPH_SHORT];

    n = fph_bin_claim(search->heap, search->bin, few, n, refused);
    if (n == 0)
        return 0;
    search->found = few[--n];
    if (n > 0 && bin->base == NULL) {
        magazine = fph_bin_short(cache, search->bin);
        if (magazine == NULL)
            magazine = fph_empty_get(search->heap, search->bin, !search->tight);
        if (magazine != NULL)
            fph_bin_exchange(cache, search->bin, magazine);
    }
    while (n > 0 && fph_put(bin, few[n - 1]))
        n--;
    fph_slab_give(search->heap->state, few, n);
    return 1;
}

/* Claim as many objects as an empty bin claims at a time, and take one.
 * Returns the same. */
static int
fph_bin_fill(fph_search *search, int *refused)
{
    fpheap       *heap     = search->heap;
    fpheap_cache *cache    = search->cache;
    unsigned      number   = search->bin;
    size_t        n        = fph_bin_claims(cache, number);
    fph_magazine *magazine;

    if (n > FPH_SHORT || !fph_bin_begins_short(heap->state, number))
        fph_idle_flush(cache, number); /* first, as what it frees may serve */
    if (n <= FPH_SHORT)
        return fph_bin_fill_few(search, n, refused);
    magazine = fph_bin_unload(cache, number);
    if (magazine == NULL || fph_is_short(magazine))
        magazine = fph_empty_get(heap, number, !search->tight);
    if (magazine == NULL)
        return fph_bin_fill_few(search, 1, refused);
    fph_magazine_set_count(magazine, fph_bin_claim(heap, number, magazine->slot,
                                                   n, refused));
    if (magazine->count == 0) {
        fph_empty_put(heap->state, number, magazine);
        return 0;
    }
    fph_bin_exchange(cache, number, magazine);
    search->found = fph_take(&cache->bins[number]);
    return 1;
}

/* Take an object from a bin of this thread's cache, after getting some into it
 * if there are none.  Returns as fph_bin_fill. */
static int
fph_bin_refill(fph_search *search, int *refused)
{
    fph_state    *state    = search->heap->state;
    fpheap_cache *cache    = search->cache;
    unsigned      number   = search->bin;
    fph_bin      *bin      = &cache->bins[number];
    size_t        capacity = fph_bin_class(state, number)->magazine;
    size_t        parked   = fph_spare_count(cache, number);
    fph_magazine *full;

    if (bin->next == NULL)
        fph_bin_keep_none(cache, number);
    if (bin->next == NULL && parked == capacity)
        fph_bin_halve(cache, number, (capacity + 1) / 2);
    else if (bin->next == NULL && parked != 0)
        fph_bin_swap(cache, number);
    if (bin->next == NULL) {
        full = fph_depot_get(state, number);
        if (full == NULL)
            return fph_bin_fill(search, refused);
        fph_slots_fetch(full->slot, full->count);
        fph_bin_exchange(cache, number, full);
    }
    search->found = fph_take(bin);
    return 1;
}

/* Make room in a bin of this thread's cache, and keep what it has to keep
 * loaded.  A free does not grow the heap: if no other magazine can be had, one
 * at hand is emptied into the slabs.  Returns 0: there is none at hand. */
static int
fph_bin_make_room(fpheap_cache *cache, unsigned number)
{
    fpheap       *heap     = cache->heap;
    size_t        capacity = fph_bin_class(heap->state, number)->magazine;
    size_t        parked   = fph_spare_count(cache, number);
    size_t        kept     = fph_bin_kept(cache, number);
    fph_magazine *empty    = NULL;

    if (kept == capacity)
        return 0;
    if (parked == 0 && cache->spare[number] != NULL)
        fph_bin_halve(cache, number, kept > capacity / 2 ? kept : capacity / 2);
    else if (parked != 0 && parked >= kept && parked < capacity)
        fph_bin_swap(cache, number);
    if (cache->bins[number].top != cache->bins[number].limit)
        return 1;
    if (cache->bins[number].base == NULL)
        empty = fph_bin_short(cache, number);
    if (empty == NULL)
        empty = fph_empty_get(heap, number, 0 /* more */);
    if (empty == NULL) {
        empty = fph_bin_spare(cache, number, NULL);
        if (empty == NULL && kept == 0)
            empty = fph_bin_unload(cache, number);
        if (empty == NULL)
            return 0;
        fph_magazine_clear(heap->state, empty);
    }
    if (!fph_is_short(empty))
        fph_slots_fetch(empty->slot, capacity);
    fph_bin_exchange(cache, number, empty);
    if (kept != 0)
        fph_bin_halve(cache, number, kept);
    return 1;
}

/* Take an object straight from the slabs, or from the depot if a pool may claim
 * no others.  Returns as fph_bin_fill. */
static int
fph_claim_one(fph_search *search, int *refused)
{
    fph_state *state = search->heap->state;

    while (fph_bin_claim(search->heap, search->bin, &search->found, 1,
                         refused) == 0) {
        if (*refused == 0 || fph_depot_count(state, search->bin) == 0)
            return 0;
        fph_depot_drain(state, search->bin);
        *refused = 0;
    }
    return 1;
}

/* Look for an object of a bin, by way of this thread's cache if it has one. */
static int
fph_bin_look(fph_search *search)
{
    int refused = 0;
    int found   = search->cache != NULL ? fph_bin_refill(search, &refused)
                                        : fph_claim_one(search, &refused);

    fph_verify_bin(search->cache, search->bin);
    return found ? 1 : refused;
}

static void
fph_bin_free(fpheap *heap, unsigned number, void *object)
{
    fpheap_cache *cache = fph_cache_here(heap, 0 /* grow */);

    if (cache == NULL || fph_is_low(heap->state, number)
        || (cache->bins[number].top == cache->bins[number].limit
            && !fph_bin_make_room(cache, number)))
        fph_slab_give(heap->state, &object, 1);
    else
        fph_put(&cache->bins[number], object);
    fph_verify_bin(cache, number);
}

/* [LARGE] ==================================================================
 *
 * Above FPH_CLASS_MAX an object is a run of pages of its own.
 *
 *   L1  With headers the pages before an object, as many as it is aligned to,
 *       are its own too, and its header is at their end; info has their number
 *       in the place of the bin.
 *   L2  info goes from FPH_LARGE to another kind by one CAS: whoever
 *       makes it frees.
 *   L3  Only a live object's owner changes its length, at its end.  To grow, it
 *       claims pages (F3), has back[] lead here, and then stores info.  To
 *       shrink, it stores info and then gives pages back (F4).  So what info
 *       covers is the object's.
 *   L4  The last one that a thread freed is parked in its cache, as FPH_PARKED,
 *       since to claim its pages again costs ten times as much.  Only that
 *       thread takes it out, to allocate it or to free its pages.
 */

static size_t
fph_large_pages(size_t size)
{
    return size == 0 ? 1 : ((size - 1) >> FPHEAP_PAGE_SHIFT) + 1;
}

/* What an object needs, aligned to a multiple of a page up to a chunk; no pages
 * if it is too large. */
static fph_need
fph_run_need(const fpheap *heap, size_t size, size_t align)
{
    unsigned step  = align <= FPHEAP_PAGE
                   ? 1 : (unsigned)(align >> FPHEAP_PAGE_SHIFT);
    size_t   pages = (FPHEAP_HEADER ? step : 0) + fph_large_pages(size);
    int      fits  = size <= SIZE_MAX / 2 && pages <= heap->state->mask
                  && pages <= UINT32_MAX
                  && (!FPHEAP_HEADER || (uint64_t)size >> FPH_HEAD_FLAGS == 0);

    return fph_need_of(heap, fits ? pages : 0, step);
}

static void *
fph_run_alloc(fpheap *heap, int node, fph_need need)
{
    fph_state *state = heap->state;
    unsigned   front = FPHEAP_HEADER ? need.align : 0;
    size_t     first = fph_pages_claim(heap, node, need.pages, need.align);
    fph_slab  *record;
    void      *object;

    if (first == FPH_NO_PAGE)
        return NULL;
    record = fph_record_begin(state, first);
    record->base = fph_page_address(state, first)
                 + ((size_t)front << FPHEAP_PAGE_SHIFT);
    object = record->base;
    fph_heads_own(state, &object, 1, 1 /* mine */);
    fph_pages_lead(state, first, first, need.pages);
    fph_info_store(record, fph_info(FPH_LARGE, front, need.pages));
    fph_did(state, (need.pages - front) << FPHEAP_PAGE_SHIFT, FPH_TOOK);
    fph_take_count(state, 0, need.pages);
    return object;
}

/* What this thread parks if its record says just that, or NULL. */
static void *
fph_large_unpark(fpheap *heap, int node, fph_need need)
{
    fpheap_cache *cache  = fph_cache_mine(heap);
    fph_slab     *record = cache == NULL ? NULL : cache->large;
    uint64_t      info   = fph_info(FPH_LARGE, FPHEAP_HEADER ? need.align : 0,
                                    need.pages);
    size_t        align  = (size_t)need.align << FPHEAP_PAGE_SHIFT;

    if (record == NULL
        || fph_load_relaxed(&record->info) != info - FPH_LARGE + FPH_PARKED
        || fph_chunk_of_page(heap->state, record->page)->node != node
        || ((uintptr_t)record->base & (align - 1)) != 0)
        return NULL;
    cache->large = NULL;
    fph_info_store(record, info);                                   /* L4 */
    return record->base;
}

/* Look for an object of pages of its own. */
static int
fph_large_look(fph_search *search)
{
    search->found = fph_large_unpark(search->heap, search->node, search->need);
    if (search->found == NULL)
        search->found = fph_run_alloc(search->heap, search->node, search->need);
    return search->found != NULL;
}

/* --- free ----------------------------------------------------------------- */

/* The cache in which this thread may park a large object, or NULL.  What it
 * parks is at most two chunks and an eighth of the heap, as others may need
 * it. */
static fpheap_cache *
fph_large_cache(const fpheap *heap, uint64_t pages)
{
    if (pages > 2 * FPH_PAGES || fph_is_low(heap->state, 0)
        || pages << (FPHEAP_PAGE_SHIFT + 3)
           > fph_load_relaxed(&heap->state->region_bytes))
        return NULL;
    return fph_cache_mine(heap);
}

/* Free an object that is not in a slab. */
static void
fph_large_free(fpheap *heap, void *object)
{
    fph_slab     *record = fph_record_of(heap->state, object);
    uint64_t      info   = fph_info_load(record);
    fpheap_cache *cache  = fph_large_cache(heap, fph_info_count(info));

    if (fph_info_kind(info) != FPH_LARGE || record->base != (char *)object
        || !fph_info_change(record, &info,                          /* L2 */
                            cache != NULL                           /* L4 */
                            ? info - FPH_LARGE + FPH_PARKED : 0)) {
        FPHEAP_PANIC(FPH_SAY_DEAD);
        return;
    }
    if (cache == NULL) {
        fph_large_end(heap->state, record, info);
        return;
    }
    fph_large_drop(cache);
    cache->large = record;
}

/* --- memory of children --------------------------------------------------- */

static int
fph_span_look(fph_search *search)
{
    fph_state *state = search->heap->state;
    size_t     first = fph_pages_claim(search->heap, search->node,
                                       search->need.pages, 1 /* align */);
    fph_slab  *record;

    if (first == FPH_NO_PAGE)
        return 0;
    record = fph_record_begin(state, first);
    record->base = fph_page_address(state, first);
    fph_pages_lead(state, first, first, search->need.pages);
    fph_info_store(record, fph_info(FPH_CHILD,
                                    (unsigned)(search->child - fph_heaps),
                                    search->need.pages));
    fph_did(state, search->need.pages << FPHEAP_PAGE_SHIFT, FPH_TOOK);
    search->found = record->base;
    return 1;
}

/* Pages for a child.  Returns 0, or a negative errno. */
static int
fph_span_get(const fpheap *child, int node, size_t pages, void **base)
{
    fpheap    *heap = child->parent;
    fph_search search;
    int        rc;

    memset(&search, 0, sizeof search);
    search.heap = heap;
    search.node = node;
    search.look = fph_span_look;
    search.need = fph_need_of(heap, pages <= heap->state->mask ? pages : 0, 1);
    search.child = child;
    search.grow = 1;
    FPH_INSIDE(heap);
    fph_wait_begin();
    rc = fph_find(&search);
    *base = search.found;
    return rc;
}

/* Take them back. */
static void
fph_span_put(fpheap *heap, void *base)
{
    fph_slab *record = fph_record_of(heap->state, base);
    size_t    pages  = fph_info_count(fph_info_load(record));

    FPH_INSIDE(heap);
    fph_did(heap->state, pages << FPHEAP_PAGE_SHIFT, FPH_GAVE);
    fph_info_store(record, 0);
    fph_pages_give(heap->state, record->page, pages);
}

/* --- another size --------------------------------------------------------- */

#define FPH_ROOM_MAX ((size_t)1 << 30)

/* The bytes to allocate for an object that realloc makes larger: an eighth more
 * and a page, for one that grows by an eighth and a little each time. */
static size_t
fph_large_room(size_t size)
{
    size_t more = size / 8 + FPHEAP_PAGE;

    return size > SIZE_MAX / 2 ? size
         : size + (more < FPH_ROOM_MAX ? more : FPH_ROOM_MAX);
}

/* Whether a run would be in two chunks that should be in one, as IOVAs are
 * contiguous in a chunk. */
static int
fph_run_crosses(const fph_state *state, size_t page, size_t pages)
{
    return state->alone && pages <= FPH_PAGES
        && page / FPH_PAGES != (page + pages - 1) / FPH_PAGES;
}

/* Claim these very pages behind an object, unless one is of another node, or
 * they are no neighbours in address, or the object must not cross to them. */
static int
fph_large_take(fph_state *state, const fph_slab *record, size_t page,
               size_t pages)
{
    int node = fph_chunk_of_page(state, record->page)->node;

    if (fph_run_crosses(state, record->page, page + pages - record->page)
        || !fph_pages_take(state, page, pages))
        return 0;
    if (page % FPH_PAGES != 0
        || fph_chunk_follows(state, page >> FPH_PAGE_BITS))
        return fph_pages_keep(state, page, pages, node) != FPH_NO_PAGE;
    fph_pages_give(state, page, pages);
    return 0;
}

/* Claim pages behind an object, `most` or at least `least`.  Returns how many,
 * or 0. */
static size_t
fph_large_extend(fph_state *state, const fph_slab *record, uint64_t info,
                 size_t least, size_t most)
{
    size_t next = record->page + fph_info_count(info);
    size_t n    = most;

    if (most > UINT32_MAX - fph_info_count(info))
        return 0;
    fph_moves_begin(state);
    if (!fph_large_take(state, record, next, n)) {
        n = least;
        if (!fph_large_take(state, record, next, n))
            n = 0;
    }
    fph_moves_end(state);
    fph_pages_lead(state, record->page, next, n);
    return n;
}

/* Free pages behind an object, `most` at most. */
static size_t
fph_large_behind(const fph_state *state, const fph_slab *record, uint64_t info,
                 size_t most)
{
    size_t next = record->page + fph_info_count(info);
    size_t n    = 0;

    while (n < most && fph_page_is_free(state, next + n))
        n++;
    return n;
}

/* The same, with new memory behind the object if there is none. */
static size_t
fph_large_grow(fpheap *heap, const fph_slab *record, uint64_t info,
               size_t least, size_t most)
{
    fph_state *state = heap->state;
    size_t     n     = fph_large_extend(state, record, info, least, most);
    size_t     free  = fph_large_behind(state, record, info, least);
    int        node  = fph_chunk_of_page(state, record->page)->node;
    char      *end   = record->base
                     + ((size_t)(fph_info_count(info) - fph_info_bin(info))
                        << FPHEAP_PAGE_SHIFT);
    fph_need   need;

    if (n != 0 || (heap->provider.flags & FPHEAP_PARTS) == 0
        || fph_chunk_of(state, end + (free << FPHEAP_PAGE_SHIFT)) != NULL)
        return n;
    fph_regions_release(heap, node, 1 /* keep */,
                        (most - free) << FPHEAP_PAGE_SHIFT);
    free = fph_large_behind(state, record, info, least);
    if (free < least) {        /* else another thread's memory has come there */
        need = fph_need_of(heap, least - free, 1 /* align */);
        need.at = end + (free << FPHEAP_PAGE_SHIFT);
        if (fph_grow(heap, node, need,
                     fph_units(heap, most - free), UINT64_MAX))
            return 0;
    }
    return fph_large_extend(state, record, info, least, most);
}

/* Give a live large object another size where it is.  Returns 0: that cannot
 * be, or it is no such object, and nothing has changed. */
static int
fph_large_resize(fpheap *heap, void *object, uint64_t info, size_t size)
{
    size_t    have = fph_info_count(info) - fph_info_bin(info);     /* L1 */
    size_t    need = fph_large_pages(size);
    size_t    room = fph_large_pages(fph_large_room(size));
    size_t    more = 0, less = 0;
    fph_slab *record;

    if (fph_info_kind(info) != FPH_LARGE || size > SIZE_MAX / 2)
        return 0;
    record = fph_record_of(heap->state, object);
    if (record->base != (char *)object)
        return 0;
    if (need > have) {
        more = fph_large_grow(heap, record, info, need - have, room - have);
        if (more == 0)
            return 0;
    } else {
        less = have > room ? have - need : 0;
        if (need <= (have - less) / 2
            || fph_run_crosses(heap->state, record->page,
                               fph_info_count(info) - less))
            return 0;
    }
    info += (uint64_t)more << 32;
    info -= (uint64_t)less << 32;
    fph_info_store(record, info);                                   /* L3 */
    fph_take_count(heap->state, 0, more - less);
    fph_did(heap->state, (more != 0 ? more : less) << FPHEAP_PAGE_SHIFT,
                more != 0 ? FPH_TOOK : FPH_GAVE);
    fph_resized(heap, object, have << FPHEAP_PAGE_SHIFT, size);
    fph_pages_give(heap->state, record->page + fph_info_count(info), less);
    return 1;
}

/* [ALLOC] ==================================================================
 *
 * The misses that FASTPATH names, for any size, one and many, and the other
 * ways to allocate.
 */

/* What a call wants: n objects, or none, of a class or, above all classes, of
 * `size` bytes. */
typedef struct fph_want {
    unsigned k;                /* the class; 0: by size */
    size_t   size;
    size_t   align;            /* of objects without a class */
    void   **objects;
    unsigned n;
    int      node;             /* FPHEAP_ANY_NODE: the thread's */
    unsigned tag;
    unsigned destructor;
    fpheap_cache *cache;       /* this thread's, or NULL */
} fph_want;

static fph_want
fph_want_size(size_t size, void **objects, unsigned n)
{
    fph_want want = { fph_class_said(size), size, FPHEAP_PAGE, objects, n,
                      FPHEAP_ANY_NODE, 0, 0, NULL };

    return want;
}

/* --- bulk -----------------------------------------------------------------
 *
 * A bulk gathers all its objects, in magazines, before it writes the first one
 * out.
 */

static void
fph_batch_push(fph_search *search, fph_magazine *magazine)
{
    if (magazine == NULL)
        return;
    FPH_STORE(&magazine->link.next,
              search->first == NULL ? 0 : search->first->link.self, RELAXED);
    search->first = magazine;
    search->objects += magazine->count;
}

static fph_magazine *
fph_batch_pop(fph_search *search)
{
    fph_magazine *magazine = search->first;

    if (magazine != NULL)
        search->first = (fph_magazine *)(void *)
            fph_stack_below(search->heap->state, &magazine->link);
    return magazine;
}

/* Whether a bin's number stands for large objects. */
static inline int
fph_is_large(unsigned bin)
{
    return bin % FPH_CLASSES == 0;
}

/* A magazine for more objects: a gathered one that has room, or an empty one.
 * NULL: there is none without growth. */
static fph_magazine *
fph_batch_room(fph_search *search)
{
    fph_magazine *magazine = search->first;

    while (magazine != NULL && magazine->count == FPHEAP_MAGAZINE)
        magazine = (fph_magazine *)(void *)
            fph_stack_below(search->heap->state, &magazine->link);
    if (magazine == NULL) {
        magazine = fph_empty_get(search->heap, search->bin, !search->tight);
        fph_batch_push(search, magazine);
    }
    return magazine;
}

/* Gather up to n objects more: a magazine of the depot, or what one has room
 * for.  Returns as a look. */
static int
fph_batch_add(fph_search *search, size_t n)
{
    fpheap       *heap     = search->heap;
    int           large    = fph_is_large(search->bin);
    fph_magazine *magazine = large ? NULL : fph_depot_get(heap->state,
                                                          search->bin);
    int           refused  = 0;
    size_t        got;

    if (magazine != NULL) {
        fph_slots_fetch(magazine->slot, magazine->count);
        fph_batch_push(search, magazine);
        return 1;
    }
    magazine = fph_batch_room(search);
    if (magazine == NULL)
        return fph_meta_full(heap->state) ? -ENOMEM : 0;
    if (n > FPHEAP_MAGAZINE - magazine->count)
        n = FPHEAP_MAGAZINE - magazine->count;
    if (large) {
        got = (size_t)fph_large_look(search);
        magazine->slot[magazine->count] = search->found;
    } else {
        got = fph_bin_claim(heap, search->bin, magazine->slot + magazine->count,
                            n, &refused);
    }
    fph_magazine_set_count(magazine, magazine->count + got);
    search->objects += got;
    return got != 0 ? 1 : refused;
}

/* Look for all objects of a bulk; those in the cache count too. */
static int
fph_batch_look(fph_search *search)
{
    int rc = 1;

    while (rc == 1) {
        size_t have = search->objects;

        if (search->cache != NULL)
            have += fph_cache_objects(search->heap->state, search->cache,
                                      search->bin);
        if (have >= search->n)
            break;
        rc = fph_batch_add(search, search->n - have);
    }
    return rc;
}

/* Put what is left into the thread's bin or, without a cache, where others find
 * it. */
static void
fph_batch_end(fph_search *search, fpheap_cache *cache)
{
    fpheap       *heap = search->heap;
    fph_magazine *magazine;
    size_t        i;

    while ((magazine = fph_batch_pop(search)) != NULL) {
        if (fph_is_large(search->bin)) {
            for (i = 0; i < magazine->count; i++)
                fph_large_free(heap, magazine->slot[i]);
            fph_magazine_set_count(magazine, 0);
            fph_empty_put(heap->state, search->bin, magazine);
        } else if (cache != NULL
                   && magazine->count <= fph_bin_class(heap->state,
                                                       search->bin)->magazine) {
            fph_bin_exchange(cache, search->bin, magazine);
        } else {
            fph_magazine_return(heap->state, search->bin, magazine,
                                0 /* drain */);
        }
    }
}

/* Write out the first n objects. */
static void
fph_batch_take(fph_search *search, void **objects)
{
    size_t        n = search->n;
    fph_magazine *magazine;

    while (n > 0 && (magazine = fph_batch_pop(search)) != NULL) {
        size_t take = n < magazine->count ? n : magazine->count;

        fph_magazine_set_count(magazine, magazine->count - take);
        memcpy(objects, magazine->slot + magazine->count,
               take * sizeof *objects);
        objects += take;
        n -= take;
        if (magazine->count != 0)
            fph_batch_push(search, magazine);
        else
            fph_empty_put(search->heap->state, search->bin, magazine);
    }
}

/* Serve a bulk from the loaded magazine and the spare; 0: they have fewer. */
static int
fph_bulk_from_two(fpheap_cache *cache, unsigned number, const fph_want *want)
{
    fph_bin      *bin    = &cache->bins[number];
    size_t        loaded = (size_t)(bin->top - bin->base);
    fph_magazine *spare  = fph_bin_spare(cache, number, NULL);

    if (spare == NULL || loaded >= want->n
        || loaded + spare->count < want->n) {
        fph_bin_spare(cache, number, spare);
        return 0;
    }
    fph_take_bulk(bin, want->objects, (unsigned)loaded);
    fph_bin_spare(cache, number, fph_bin_unload(cache, number));
    fph_bin_load(cache, number, spare);
    return fph_take_bulk(bin, want->objects + loaded,
                         (unsigned)(want->n - loaded));
}

/* Serve n objects, or none.  Returns 0, or a negative errno.  The cache's own
 * objects are gathered last, so they are served first, and only in the last
 * magazine is anything left. */
static int
fph_bulk_find(fph_search *search, const fph_want *want)
{
    fpheap_cache *cache = search->cache;
    unsigned      bin   = search->bin;
    uint32_t     *did   = &fph_this.did[fph_number_of(search->heap->state)];
    uint32_t      was;
    int           rc;

    if (cache != NULL)
        fph_bin_keep_none(cache, bin);
    if (cache != NULL && fph_bulk_from_two(cache, bin, want))
        return 0;
    search->look = fph_batch_look;
    rc = fph_find(search);
    if (rc == 0 && cache != NULL) {
        fph_batch_push(search, fph_bin_spare(cache, bin, NULL));
        fph_batch_push(search, fph_bin_unload(cache, bin)); /* last, H14 */
    }
    if (rc == 0)
        fph_batch_take(search, want->objects);
    was = *did;
    fph_batch_end(search, rc == 0 ? cache : NULL);
    if (rc != 0)
        *did = was;
    return rc;
}

/* --- one ------------------------------------------------------------------ */

/* Begin to look for what a call wants, on a node.  (It is set member by member:
 * a copy would load what was just stored, in pieces of other lengths, and so
 * wait for all the caller's stores, some to lines that other threads have.) */
static void
fph_search_begin(fph_search *search, fpheap *heap, int node,
                 const fph_want *want, int grow)
{
    search->heap = heap;
    search->node = node;
    search->bin = (unsigned)node * FPH_CLASSES + want->k;
    search->cache = want->k == 0 ? NULL : want->cache;
    search->look = want->k == 0 ? fph_large_look : fph_bin_look;
    search->need = want->k == 0 ? fph_run_need(heap, want->size, want->align)
                                : fph_bin_need(heap, search->bin);
    search->n = want->n;
    search->objects = 0;
    search->first = NULL;
    search->grow = grow;
    search->tight = 0;
}

/* Serve from one node, by growth too or from what it has.  Returns 0, or a
 * negative errno. */
static int
fph_serve_on_node(fpheap *heap, int node, const fph_want *want, int grow)
{
    const char *site = fph_site_get();
    fph_search  search;
    int         rc;

    fph_search_begin(&search, heap, node, want, grow);
    if (want->n > 1) {
        rc = fph_bulk_find(&search, want);
    } else {
        rc = fph_find(&search);
        if (rc == 0)
            want->objects[0] = search.found;
    }
    fph_site_set(site);        /* a callback may have allocated */
    if (rc == 0)
        fph_born(heap, want->objects, want->n, want->size, want->k, want->tag,
                 want->destructor);
    return rc;
}

/* Serve from the first node other than home that can. */
static int
fph_serve_on_others(fpheap *heap, int home, const fph_want *want, int grow)
{
    int rc = -ENOMEM;
    int node;

    for (node = 0; rc != 0 && (unsigned)node < heap->nodes; node++)
        if (node != home)
            rc = fph_serve_on_node(heap, node, want, grow);
    return rc;
}

/* Serve from home, else from another node.  If home has just failed to grow,
 * what other nodes have comes before a pass and a call to the provider, which
 * would most likely fail again. */
static int
fph_spill(fpheap *heap, int home, const fph_want *want)
{
    fph_word *dry = &heap->state->dry_ns[home];
    int       rc  = fph_serve_on_node(heap, home, want, 0 /* grow */);

    if (rc == 0)
        return 0;
    if (fph_just_done(dry, fph_now_ns())
        && fph_serve_on_others(heap, home, want, 0 /* grow */) == 0)
        return 0;
    rc = fph_serve_on_node(heap, home, want, 1 /* grow */);
    if (rc == 0)
        return 0;
    fph_store_relaxed(dry, fph_now_ns());
    return fph_serve_on_others(heap, home, want, 1 /* grow */) == 0 ? 0 : rc;
}

/* Serve from the node that is wanted, or with FPHEAP_SPILL from another than
 * the thread's. */
static int
fph_serve_inside(fpheap *heap, fph_want *want)
{
    int home;

    want->cache = fph_cache_here(heap, 1 /* grow */);
    if (want->node != FPHEAP_ANY_NODE)
        return fph_serve_on_node(heap, want->node, want, 1 /* grow */);
    home = fph_home(heap, want->cache);
    return (heap->flags & FPHEAP_SPILL) != 0 && heap->nodes > 1
         ? fph_spill(heap, home, want)
         : fph_serve_on_node(heap, home, want, 1 /* grow */);
}

static int
fph_serve_want(fpheap *heap, fph_want *want)
{
    uint64_t turn;
    int      rc;

    if (!fph_heap_good(heap))
        return fph_is_view(heap) ? -EROFS : -EINVAL;
    if (want->k >= FPH_SIZES && heap->state->ends)
        return -EBUSY;         /* a pool's */
    FPH_INSIDE(heap);
    turn = fph_water_turn(heap->state);
    rc = fph_serve_inside(heap, want);
    if (FPH_UNLIKELY(rc != 0) && fph_load_relaxed(&heap->state->marked) != 0)
        fph_water_failed(heap, want->k, want->n, turn);
    return rc;
}

static void *
fph_result(int rc, void *object)
{
    if (rc == 0)
        return object;
    errno = -rc;
    return NULL;
}

static void *
fph_serve_one(fpheap *heap, fph_want want)
{
    void *object = NULL;
    int   rc;

    want.objects = &object;
    rc = fph_serve_want(heap, &want);
    return fph_result(rc, object);
}

FPH_NOINLINE FPHEAP_API void *
fph_alloc_miss(fpheap *heap, size_t size)
{
    fph_want want = fph_want_size(size, NULL, 1);

    return fph_serve_one(heap, want);
}

FPHEAP_API void *
fpheap_alloc_on(fpheap *heap, size_t size, int node)
{
    fph_want want = fph_want_size(size, NULL, 1);

    if (!fph_heap_good(heap))
        return fph_result(-EINVAL, NULL);
    if (node == FPHEAP_ANY_NODE)
        return fpheap_alloc(heap, size);
    if (node < 0 || (unsigned)node >= heap->nodes)
        return fph_result(-EINVAL, NULL);
    want.node = node;
    return fph_serve_one(heap, want);
}

/* What an object counts in critical_left: all that it takes. */
static size_t
fph_critical_bytes(const fpheap *heap, const void *object)
{
    const fph_slab *record = fph_record_of(heap->state, object);
    uint64_t        info   = fph_info_load(record);

    return fph_info_kind(info) == FPH_SLAB
         ? record->size : (size_t)fph_info_count(info) << FPHEAP_PAGE_SHIFT;
}

/* Take bytes of critical_left.  Returns 0: there are too few. */
static int
fph_critical_charge(fpheap *heap, size_t bytes)
{
    uint64_t left = fph_load_relaxed(&heap->critical_left);

    do {
        if (left < bytes)
            return 0;
    } while (!fph_cas_relaxed(&heap->critical_left, &left, left - bytes));
    return 1;
}

/* Serve from what a heap has for critical objects, when all else has failed
 * with `error`. */
static int
fph_serve_critical(const fpheap *heap, fph_want want, int error)
{
    fpheap *from  = heap->emergency;
    size_t  bytes;

    if (from == NULL)
        return error;
    bytes = want.k != 0
          ? FPH_LOAD(&from->state->classes[want.k].size, RELAXED)
          : fph_run_need(from, want.size, want.align).pages
            << FPHEAP_PAGE_SHIFT;
    if (__builtin_mul_overflow(bytes, want.n, &bytes)
        || !fph_critical_charge(from, bytes))
        return -ENOMEM;
    error = fph_serve_want(from, &want);
    if (error != 0)
        fph_fetch_add_relaxed(&from->critical_left, bytes);
    return error == -ENOSPC ? -ENOMEM : error; /* it may not grow */
}

FPHEAP_API void *
fpheap_alloc_critical(fpheap *heap, size_t size)
{
    void *object = fpheap_alloc(heap, size);
    int   rc     = 0;

    if (object == NULL && fph_heap_good(heap))
        rc = fph_serve_critical(heap, fph_want_size(size, &object, 1), -errno);
    return fph_result(rc, object);
}

FPHEAP_API int
fpheap_alloc_critical_bulk(fpheap *heap, size_t size, void **objects,
                           unsigned n)
{
    int rc = fpheap_alloc_bulk(heap, size, objects, n);

    return rc == 0 || !fph_heap_good(heap)
         ? rc : fph_serve_critical(heap, fph_want_size(size, objects, n), rc);
}

/* Free an object of a child through its parent, which has counted its end. */
static void
fph_child_free(fpheap *heap, fpheap *own, void *object)
{
    (void)heap;
    fph_head_moves(heap, own, object);
    fph_free(own, fph_bins_of(own), object);
}

/* Free what is critical: it serves the next such object at once. */
static void
fph_critical_free(fpheap *heap, unsigned bin, void *object)
{
    size_t bytes = fph_critical_bytes(heap, object);

    if (bin == 0)
        fph_large_free(heap, object);
    else
        fph_slab_give(heap->state, &object, 1);
    fph_fetch_add_relaxed(&heap->critical_left, bytes);
}

FPH_NOINLINE FPHEAP_API void
fph_free_miss(fpheap *heap, void *object)
{
    fpheap  *own;
    unsigned bin;

    if (object == NULL || !fph_heap_good(heap))
        return;
    FPH_INSIDE(heap);
    if (fph_chunk_of(heap->state, object) == NULL) {
        FPHEAP_PANIC(FPH_SAY_FOREIGN);
        return;
    }
    bin = fph_place_of(heap, object) / (unsigned)FPH_BIN_STEP;
    own = bin == 0 ? fph_heap_of(heap, object) : heap;
    if (own != heap)
        fph_child_free(heap, own, object);
    else if (heap->critical)
        fph_critical_free(heap, bin, object);
    else if (bin == 0)
        fph_large_free(heap, object);
    else
        fph_bin_free(heap, bin, object);
}

FPH_NOINLINE FPHEAP_API int
fph_alloc_bulk_miss(fpheap *heap, size_t size, void **objects, unsigned n)
{
    fph_want want = fph_want_size(size, objects, n);

    return n == 0 ? 0 : fph_serve_want(heap, &want);
}

FPHEAP_API unsigned
fpheap_alloc_burst(fpheap *heap, size_t size, void **objects, unsigned n)
{
    fph_frame frame = { FPH_IN_CALL, heap, NULL, fph_this.frames };
    void     *object;
    unsigned  got   = 0;

    if (fpheap_alloc_bulk(heap, size, objects, n) == 0)
        return n;
    fph_this.frames = &frame;
    while (got < n && (object = fpheap_alloc(heap, size)) != NULL)
        objects[got++] = object;
    fph_this.frames = frame.outer;
    return got;
}

/* Put n objects, for which there is room, on top of the bin at place, up to the
 * first that is another bin's by the map: four at a time, so that the loads do
 * not wait for each other.  Returns how many. */
static unsigned
fph_put_run(const fpheap *heap, fph_bin *bin, void *const *objects, unsigned n,
            unsigned place)
{
    const uint16_t *map  = heap->map;
    size_t          mask = (size_t)(heap->lookup >> 32);
    void *const    *from = objects, *const *end = objects + n;
    void          **top  = bin->top;

    for (; end - from >= 4; from += 4, top += 4) {
        void *a = from[0], *b = from[1], *c = from[2], *d = from[3];

        if (((fph_place_in(map, mask, a) ^ place)
             | (fph_place_in(map, mask, b) ^ place)
             | (fph_place_in(map, mask, c) ^ place)
             | (fph_place_in(map, mask, d) ^ place)) != 0)
            break;
        top[0] = a, top[1] = b, top[2] = c, top[3] = d;
    }
    for (; from < end && fph_place_in(map, mask, *from) == place; from++)
        *top++ = *from;
    if (from == objects)
        return 0;
    bin->next = top[-1];
    FPH_KEEP_ORDER();
    FPH_STORE(&bin->top, top, RELAXED);
    return (unsigned)(from - objects);
}

/* Free the first of n objects, and together with it as many of those after it
 * as belong to the same bin and fit.  Returns how many. */
static unsigned
fph_free_run(fpheap *heap, void *const *objects, unsigned n)
{
    fph_bin *bins  = fph_bins_of(heap);
    unsigned place = fph_place_of(heap, objects[0]);
    fph_bin *bin   = fph_bin_at(bins, place);
    size_t   room  = (size_t)(bin->limit - bin->top);
    unsigned run   = fph_put_run(heap, bin, objects,
                                 n < room ? n : (unsigned)room, place);

    if (run == 0) {
        fph_free(heap, bins, objects[0]);
        run = 1;
    }
    return run;
}

FPH_NOINLINE FPHEAP_API void
fph_free_bulk_miss(fpheap *heap, void *const *objects, unsigned n)
{
    unsigned run;

    if (n == 0 || !fph_heap_good(heap))
        return;
    FPH_INSIDE(heap);
    for (; n > 0; n -= run, objects += run)
        run = fph_free_run(heap, objects, n);
}

FPHEAP_API void
fpheap_free_bulk(fpheap *heap, void *const *objects, unsigned n)
{
    if (n != 0 && fph_heap_good(heap))
        fph_free_bulk(heap, 0 /* one */, fph_no_bins, objects, n,
                      FPH_ANY_CLASS);
}

/* --- other ways to allocate ----------------------------------------------- */

#if FPHEAP_NO_OS
#  define fph_is_untouched(heap, base, bytes) 0
#else
/* Whether memory is as the provider gave it, and zero: whole pages of which the
 * system has none yet.  It may have swapped some out; hence the decommit. */
static int
fph_is_untouched(const fpheap *heap, char *base, size_t bytes)
{
    const fph_chunk *first = fph_chunk_of(heap->state, base);
    const fph_chunk *last  = fph_chunk_of(heap->state, base + bytes - 1);

    if (FPHEAP_TOOL || (heap->provider.flags & FPHEAP_ZEROES) == 0
        || heap->provider.decommit == NULL
        || !FPH_LOAD(&first->plain, RELAXED) || !FPH_LOAD(&last->plain, RELAXED)
        || ((uintptr_t)base | bytes) % (size_t)sysconf(_SC_PAGESIZE) != 0
        || fph_map_present(base, bytes) != 0)
        return 0;
    fph_provider_decommit(heap, base, bytes);
    return 1;
}
#endif

/* To look whether so much must be zeroed costs a tenth of zeroing it. */
#define FPH_ZERO_STEP (FPHEAP_CHUNK / 16)

/* Zero an object, in steps if it is larger, as it may be fresh in part. */
static void
fph_zero(fpheap *heap, char *object)
{
    size_t bytes = fph_usable(heap, object);
    size_t step;

    for (; bytes > 0; bytes -= step, object += step) {
        step = bytes < FPH_ZERO_STEP ? bytes : FPH_ZERO_STEP;
        if (step < FPH_ZERO_STEP || !fph_is_untouched(heap, object, step))
            memset(object, 0, step);
    }
}

FPHEAP_API void *
fpheap_zalloc(fpheap *heap, size_t size)
{
    void *object = fpheap_alloc(heap, size);

    if (object != NULL)
        fph_zero(heap, (char *)object);
    return object;
}

FPHEAP_API void *
fpheap_calloc(fpheap *heap, size_t n, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes))
        return fph_result(-ENOMEM, NULL);
    return fpheap_zalloc(heap, bytes);
}

/* Fill a bin for the next n calls.  What was gathered last is one magazine of
 * them: the depot's are full, and one that is filled here has room for all.
 * (What the cache parks went to where a bulk gathers from.)  Returns 0, or a
 * negative errno. */
static int
fph_prefill_bin(fpheap *heap, int node, const fph_want *want)
{
    fpheap_cache *cache = want->cache;
    fph_search    search;
    int           rc;

    fph_search_begin(&search, heap, node, want, 1 /* grow */);
    search.look = fph_batch_look;
    search.cache = NULL;
    fph_moves_begin(heap->state);
    fph_bin_flush(heap->state, cache, search.bin, 0 /* drain */);
    fph_moves_end(heap->state);
    rc = fph_find(&search);
    if (rc == 0) {
        fph_bin_exchange(cache, search.bin, fph_batch_pop(&search));
        fph_bin_keep(cache, search.bin, want->n);
    }
    fph_batch_end(&search, NULL /* cache */);
    fph_verify_bin(cache, search.bin);
    return rc;
}

static int
fph_prefill(fpheap *heap, fph_want want)
{
    const fph_bin *bin;
    unsigned       number;
    int            node;

    if (!fph_heap_good(heap))
        return fph_is_view(heap) ? -EROFS : -EINVAL;
    if (want.k == 0 || want.n > heap->state->classes[want.k].magazine)
        return -EINVAL;
    if (fph_is_in(FPH_IN_CALLBACK | FPH_IN_PASS, heap, NULL))
        return -EBUSY;         /* a call goes on with the cache */
    FPH_INSIDE(heap);
    want.cache = fph_cache_here(heap, 1 /* grow */);
    if (want.cache == NULL)
        return fph_this.seat != 0 ? -ENOMEM : -EAGAIN;
    node = want.node != FPHEAP_ANY_NODE ? want.node : want.cache->node;
    number = (unsigned)node * FPH_CLASSES + want.k;
    bin = &want.cache->bins[number];
    fph_bin_keep_none(want.cache, number);
    if ((size_t)(bin->top - bin->base) < want.n)
        return fph_prefill_bin(heap, node, &want);
    if (want.n != 0)
        fph_bin_keep(want.cache, number, want.n);
    return 0;
}

FPHEAP_API int
fpheap_prefill(fpheap *heap, size_t size, unsigned n)
{
    return fph_prefill(heap, fph_want_size(size, NULL, n));
}

static int
fph_is_align(size_t align)
{
    return align != 0 && (align & (align - 1)) == 0 && align <= FPHEAP_CHUNK;
}

/* The smallest class for a size whose objects are aligned so, or 0: pages of
 * its own.  The largest class is aligned to a page. */
static unsigned
fph_aligned_class(const fpheap *heap, size_t align, size_t size)
{
    unsigned k = align > FPHEAP_PAGE ? 0 : fph_class_said(size);

    while (k != 0 && (heap->state->classes[k].size & (align - 1)) != 0)
        k++;
    return k;
}

FPHEAP_API void *
fpheap_aligned_alloc(fpheap *heap, size_t align, size_t size)
{
    fph_want want = fph_want_size(size, NULL, 1);
    size_t   stride;
    void    *object;

    if (!fph_heap_good(heap) || !fph_is_align(align))
        return fph_result(-EINVAL, NULL);
    want.k = fph_aligned_class(heap, align, size);
    want.align = align;
    if (want.k == 0)
        return fph_serve_one(heap, want);
    stride = heap->state->classes[want.k].size;
    object = fpheap_alloc(heap, stride - FPH_HEAD - FPH_SLACK);
    if (object != NULL)
        fph_resized(heap, object, stride - FPH_HEAD, size);
    return object;
}

/* [QUERY] ==================================================================
 *
 * What an object is, and how it gets another size.
 */

FPHEAP_API size_t
fpheap_usable_size(fpheap *heap, const void *object)
{
    if (object == NULL)
        return 0;
    if (fph_is_view(heap))
        return fph_view_usable(heap, object);
    return fph_heap_good(heap) ? fph_usable(fph_heap_of(heap, object), object)
                               : 0;
}

FPHEAP_API void *
fpheap_base_of(fpheap *heap, const void *interior)
{
    void *base;

    if (fph_is_view(heap))
        return fph_view_base(heap, interior);
    if (!fph_heap_good(heap))
        return NULL;
    base = fph_base_of(heap->state, interior);
    return base == NULL && heap->emergency != NULL
         ? fph_base_of(heap->emergency->state, interior) : base;
}

FPHEAP_API int
fpheap_owns(fpheap *heap, const void *pointer)
{
    return fpheap_base_of(heap, pointer) != NULL;
}

FPHEAP_API uint64_t
fpheap_iova(fpheap *heap, const void *object)
{
    fph_chunk *chunk;
    uint64_t   iova;

    if (!fph_heap_good(heap))
        return FPHEAP_BAD_IOVA;
    chunk = fph_chunk_of(heap->state, object);
    if (chunk == NULL)
        return FPHEAP_BAD_IOVA;
    iova = fph_load_relaxed(&chunk->iova);
    return iova == FPHEAP_BAD_IOVA
         ? iova : iova + ((uintptr_t)object & FPH_CHUNK_MASK);
}

/* --- another size --------------------------------------------------------- */

/* Give a live object another size where it is; k is its class then.  Returns 0:
 * it has to move. */
static int
fph_resize(fpheap *heap, void *object, uint64_t info, unsigned k, size_t size)
{
    size_t   usable = fph_info_bytes(heap->state, info);
    unsigned own    = fph_info_bin(info) % FPH_CLASSES;

    if (fph_info_kind(info) != FPH_SLAB)
        return k == 0 && fph_large_resize(heap, object, info, size);
    if (own >= FPH_SIZES ? size > usable : own != k)
        return 0;
    fph_resized(heap, object, usable, size);
    return 1;
}

/* Whether a large object grows, or a smaller one grows to be large. */
static int
fph_grows_large(uint64_t info, size_t usable, size_t size)
{
    if (fph_info_kind(info) == FPH_SLAB
        && fph_info_bin(info) % FPH_CLASSES >= FPH_SIZES)
        return 0;              /* a pool's object */
    return size > usable && size > FPH_SIZED_MAX;
}

/* The object to which another moves, with its tag, flags and destructor, and
 * with room to grow if there is memory. */
static void *
fph_alloc_moved(fpheap *heap, size_t align, size_t size, const void *other,
                int grows)
{
    void *moved = NULL;

    if (grows)
        moved = fpheap_aligned_alloc(heap, align, fph_large_room(size));
    if (moved == NULL)
        moved = fpheap_aligned_alloc(heap, align, size);
    if (moved == NULL)
        return NULL;
    fph_head_copy(heap, moved, other);
    if (grows)
        fph_resized(heap, moved, fph_room_of(heap, moved), size);
    return moved;
}

/* (It copies.  Pages that the system moves, by mremap, would leave memory that
 * a device or mlock knows, and up to two mappings more each time; and where
 * both places have memory they cost more than a copy.) */
static void *
fph_realloc(fpheap *heap, void *object, size_t align, size_t size)
{
    fph_frame frame = { FPH_IN_CALL, heap, NULL, fph_this.frames };
    uint64_t  info  = fph_info_of(heap->state, object);
    unsigned  k     = fph_aligned_class(heap, align, size);
    size_t    usable;
    void     *moved;

    FPH_INSIDE(heap);
    fph_wait_begin();
    if (((uintptr_t)object & (align - 1)) == 0
        && fph_resize(heap, object, info, k, size))
        return object;
    if (fph_base_of(heap->state, object) != object) {
        FPHEAP_PANIC(FPH_SAY_REALLOC);
        return fph_result(-EINVAL, NULL);
    }
    usable = fph_info_bytes(heap->state, info);
    fph_this.frames = &frame;
    moved = fph_alloc_moved(heap, align, size, object,
                            fph_grows_large(info, usable, size));
    fph_this.frames = frame.outer;
    if (moved == NULL)
        return NULL;
    usable -= fph_slack_of(heap->state, object);
    memcpy(moved, object, size < usable ? size : usable);
    fpheap_free(heap, object);
    return moved;
}

/* The same of an object that may be a child's, or critical: that one becomes an
 * object like others. */
static void *
fph_realloc_any(fpheap *heap, void *object, size_t align, size_t size)
{
    fpheap *own = fph_heap_good(heap) ? fph_heap_of(heap, object) : NULL;
    size_t  usable;
    void   *moved;

    if (own == NULL || !fph_live_check(own, object))
        return fph_result(-EINVAL, NULL);
    if (!own->critical)
        return fph_realloc(own, object, align, size);
    usable = fph_usable(own, object);
    moved = fph_alloc_moved(own->parent, align, size, object, 0 /* grows */);
    if (moved == NULL)
        return NULL;
    memcpy(moved, object, size < usable ? size : usable);
    fpheap_free(own, object);
    return moved;
}

FPHEAP_API void *
fpheap_realloc(fpheap *heap, void *object, size_t size)
{
    return object == NULL ? fpheap_alloc(heap, size)
         : fph_realloc_any(heap, object, 1 /* align */, size);
}

FPHEAP_API void *
fpheap_aligned_realloc(fpheap *heap, void *object, size_t align, size_t size)
{
    if (object == NULL)
        return fpheap_aligned_alloc(heap, align, size);
    return !fph_is_align(align) ? fph_result(-EINVAL, NULL)
         : fph_realloc_any(heap, object, align, size);
}

/* [POOL] ===================================================================
 *
 * Pools begin and end while the heap is in use.  A pool is a number, which
 * makes it a class, and a record that stays with the number.
 *
 *     pool_is  | version | free, taken, wants a name, named, or ready : 3 |
 *
 *     free -> taken -> wants -> named -> ready -> named -> free
 *                  <-       ->                     taken -> free
 *
 *   P1  Of several that want a name at once the lowest number gets it.  Each
 *       says that it wants one, P7, and then looks at all others: it gives way
 *       to a pool that is named, and to a lower number that wants the name, and
 *       makes a higher one that wants it taken again, which ends the other's
 *       try.  Of two at least one sees the other.
 *   P2  A number's name is written while the number is taken, which gives it a
 *       new version.  So what is read between two loads of the same version is
 *       one name.
 *   P3  The class of a pool is written while it has no slabs, magazines or
 *       pages anywhere.
 *   P4  A pool ends while named, when it has no slabs (Q6); then none of its
 *       objects exists.
 *
 *       where                        order    partner  what must be seen
 *   P5  pool_is: CAS free -> taken   acquire  P6       the last pool is gone
 *   P6  pool_is: store free          release  P5
 *   P7  names: fetch_add             acq_rel  P7       of two that want names,
 *                                                      the first, by the second
 *   P8  pool_is: store wants, named, release  P9       the pool and its name
 *       ready
 *   P9  pool_is: load in a look      acquire  P8       before it reads them
 *   P10 name: store release, load acquire: P5, before the second load of P2
 *   P11 pool[]: store                release  M5       the record, all zero
 *   P12 ending: store, load          relaxed  none     only the thread that
 *                                                      holds all slabs reads
 *                                                      a 1
 */
enum { FPH_POOL_FREE, FPH_POOL_TAKEN, FPH_POOL_WANTS, FPH_POOL_NAMED,
       FPH_POOL_READY };

/* A name as words, as a pool stores it. */
typedef struct fph_name {
    uint64_t word[FPHEAP_NAME_BYTES / 8];
} fph_name;

static fph_name
fph_name_of(const char *text)
{
    fph_name name;

    memset(&name, 0, sizeof name);
    memcpy(&name, text, strlen(text));
    return name;
}

static void
fph_pool_set_name(fpheap_pool *pool, const fph_name *name)
{
    unsigned i;

    for (i = 0; i < FPHEAP_NAME_BYTES / 8; i++)
        fph_store_release(&pool->name[i], name->word[i]);           /* P10 */
}

/* The pool_is of a number that has this name, or wants it; else 0. */
static uint64_t
fph_pool_named(const fph_state *state, unsigned number, const fph_name *name)
{
    const fph_word    *word = &state->pool_is[number];
    uint64_t           is   = fph_load_acquire(word);               /* P9 */
    const fpheap_pool *pool = FPH_LOAD(&state->pool[number], RELAXED);
    unsigned           i;

    if (is % 8 < FPH_POOL_WANTS)
        return 0;
    for (i = 0; i < FPHEAP_NAME_BYTES / 8; i++)
        if (fph_load_acquire(&pool->name[i]) != name->word[i])      /* P10 */
            return 0;
    return fph_load_relaxed(word) / 8 == is / 8 ? is : 0;           /* P2 */
}

/* Say what the caller's pool is now. */
static void
fph_pool_set(fph_state *state, unsigned number, unsigned what)
{
    fph_word *is = &state->pool_is[number];

    fph_store_release(is, fph_load_relaxed(is) / 8 * 8 + what);     /* P6, P8 */
}

/* Get the name that was written for a number that is taken.  Returns 0: another
 * pool has it. */
static int
fph_pool_get_name(fph_state *state, unsigned number, const fph_name *name)
{
    uint64_t wants = fph_load_relaxed(&state->pool_is[number])
                   - FPH_POOL_TAKEN + FPH_POOL_WANTS;
    uint64_t is;
    unsigned i;

    fph_pool_set(state, number, FPH_POOL_WANTS);
    fph_fetch_add_acq_rel(&state->names, 1);                        /* P7 */
    for (i = 0; i < FPHEAP_MAX_POOLS; i++) {
        while (i != number && (is = fph_pool_named(state, i, name)) != 0) {
            if (i < number || is % 8 != FPH_POOL_WANTS)
                return 0;
            fph_cas_relaxed(&state->pool_is[i], &is,                /* P1 */
                            is - FPH_POOL_WANTS + FPH_POOL_TAKEN);
        }
    }
    /* Whoever reads this synchronizes with the store of what it is made of. */
    return fph_cas_relaxed(&state->pool_is[number], &wants,
                           wants - FPH_POOL_WANTS + FPH_POOL_NAMED);
}

/* Take a number.  FPHEAP_MAX_POOLS: all are taken. */
static unsigned
fph_pool_number(fph_state *state)
{
    unsigned i;

    for (i = 0; i < FPHEAP_MAX_POOLS; i++) {
        uint64_t is = fph_load_relaxed(&state->pool_is[i]);

        if (is % 8 == FPH_POOL_FREE
            && fph_cas_acquire(&state->pool_is[i], &is,             /* P5 */
                               is + 8 + FPH_POOL_TAKEN))
            break;
    }
    return i;
}

/* --- geometry ------------------------------------------------------------- */

static size_t
fph_common_divisor(size_t a, size_t b)
{
    while (b != 0) {
        size_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* Bytes from one object to the next.  With memory channels it is a number of
 * lines that has no divisor in common with theirs, so that neighbours begin on
 * different channels (as rte_mempool does). */
static size_t
fph_pool_stride(const fpheap_pool_desc *desc, size_t align)
{
    size_t slack = desc->size < FPHEAP_POOL_SIZE_MAX - FPHEAP_PAGE ? FPH_SLACK
                                                                   : 0;
    size_t size  = FPH_HEAD + (desc->size < 16 ? 16 : desc->size) + slack;
    size_t banks = (size_t)desc->channels * (desc->ranks ? desc->ranks : 1);
    size_t lines;

    if (banks == 0)
        return (size + align - 1) & ~(align - 1);
    lines = (size + FPH_LINE - 1) / FPH_LINE;
    while (fph_common_divisor(lines, banks) != 1)
        lines++;
    return lines * FPH_LINE;
}

/* 0, or why such a pool cannot be. */
static int
fph_desc_error(const fpheap *heap, const fpheap_pool_desc *desc)
{
    const unsigned flags = FPHEAP_ON_NODE | FPHEAP_TYPE_STABLE
                         | FPHEAP_PAGE_ISOLATED | FPHEAP_SCRATCH;

    if (desc->name == NULL || desc->name[0] == 0)
        return -EINVAL;
    if (strlen(desc->name) >= FPHEAP_NAME_BYTES)
        return -ENAMETOOLONG;
    if (desc->size == 0 || desc->size > FPHEAP_POOL_SIZE_MAX
        || (desc->align & (desc->align - 1)) != 0
        || desc->align > FPHEAP_PAGE || desc->channels > 1024
        || desc->ranks > 1024 || (desc->flags & ~flags) != 0)
        return -EINVAL;
    if ((desc->construct != NULL) + (desc->construct_nth != NULL)
        + ((desc->flags & FPHEAP_SCRATCH) != 0) > 1
        || ((desc->flags & FPHEAP_SCRATCH) != 0 && desc->destruct != NULL))
        return -EINVAL;
    if (desc->channels != 0
        && (desc->align > FPH_LINE
            || fph_pool_stride(desc, FPH_LINE) > FPHEAP_POOL_SIZE_MAX))
        return -EINVAL;
    if (desc->max > UINT32_MAX || desc->min > UINT32_MAX
        || (desc->max != 0 && desc->min > desc->max)
        || desc->magazine == 1 || desc->magazine > FPHEAP_MAGAZINE
        || desc->private_bytes > FPHEAP_CHUNK / 2
        || !fph_water_good(&desc->water, desc->max))
        return -EINVAL;
    if (desc->water.crossed != NULL && fph_is_shared(heap))
        return -ENOTSUP;
    if (FPHEAP_HEADER && (desc->tag >= FPHEAP_TAGS
                          || !fph_destructor_known(desc->destructor)))
        return -EINVAL;
    if ((desc->flags & FPHEAP_ON_NODE) != 0
        && (desc->node < 0 || (unsigned)desc->node >= heap->nodes))
        return -EINVAL;
    return 0;
}

/* Write the class of a pool, field by field, as others may look meanwhile. */
static void
fph_pool_shape(fph_class *klass, const fpheap_pool_desc *desc)
{
    size_t    align = desc->align == 0 ? 16
                    : FPHEAP_CHECK && desc->align < 16 ? 16
                    : FPHEAP_HEADER && desc->align < 8 ? 8
                                                       : desc->align;
    size_t    most  = desc->water.crossed == NULL ? desc->max
                    : desc->water.high - desc->water.low;
    size_t    fill  = most == 0 || most > 16 * (size_t)FPHEAP_MAGAZINE
                    ? FPHEAP_MAGAZINE : most / 16;
    fph_class shape;

    fph_shape(&shape, fph_pool_stride(desc, align), align);
    if (shape.magazine > fill)
        shape.magazine = (uint16_t)(fill < 2 ? 2 : fill);
    if (desc->magazine != 0)
        shape.magazine = (uint16_t)desc->magazine;
    FPH_STORE(&klass->size, shape.size, RELAXED);
    FPH_STORE(&klass->skip, shape.skip, RELAXED);
    FPH_STORE(&klass->pages, shape.pages, RELAXED);
    FPH_STORE(&klass->magazine, shape.magazine, RELAXED);
    klass->inverse = shape.inverse;
    FPH_STORE(&klass->count, shape.count, RELAXED);
}

/* --- begin ---------------------------------------------------------------- */

/* The record of a number, all zero except what stays; or NULL and *error. */
static fpheap_pool *
fph_pool_record(fpheap *heap, unsigned number, int *error)
{
    fpheap_pool **slot = &heap->state->pool[number];
    fpheap_pool  *pool = FPH_LOAD(slot, RELAXED);
    uint32_t      ref;

    if (pool != NULL)
        return pool;
    ref = fph_meta_get(heap, 0 /* node */, sizeof *pool, error);
    if (ref == 0)
        return NULL;
    pool = (fpheap_pool *)fph_meta_at(heap->state, ref);
    pool->record = pool;
    pool->heap = heap;
    pool->number = number;
    FPH_STORE(slot, pool, RELEASE);                                 /* P11 */
    return pool;
}

/* A private area: the one of the number's last pool if it is large enough.
 * Sizes are powers of two, so what is left unused is less than what is in
 * use. */
static int
fph_pool_private(fpheap *heap, fpheap_pool *pool, size_t bytes)
{
    size_t   room = FPH_LINE;
    uint32_t ref;
    int      error;

    while (room < bytes)
        room *= 2;
    if (pool->private_room < room && bytes != 0) {
        ref = fph_meta_get(heap, 0 /* node */, room, &error);
        if (ref == 0)
            return error;
        pool->private_area = (char *)fph_meta_at(heap->state, ref);
        pool->private_room = room;
    }
    pool->private_bytes = bytes;
    if (bytes != 0)
        memset(pool->private_area, 0, bytes);
    return 0;
}

/* Fill in what this process reads of a pool, and calls. */
static void
fph_pool_handle(fpheap *heap, fpheap_pool *pool, const fpheap_pool_desc *desc)
{
    unsigned k       = FPH_SIZES + pool->number;
    int      on_node = (desc->flags & FPHEAP_ON_NODE) != 0;

    pool->node = on_node ? desc->node : FPHEAP_ANY_NODE;
    pool->one_bin = (on_node || heap->nodes == 1) && heap->emergency == NULL;
    pool->entry = fph_entry_offset(heap)
                + (on_node ? offsetof(fph_entry, bins)
                           : offsetof(fph_entry, local));
    pool->offset = sizeof(fph_bin)
                 * (k + (on_node ? (unsigned)desc->node * FPH_CLASSES : 0));
    pool->tag = desc->tag;
    pool->destructor = desc->destructor;
    pool->requested = desc->size;
    pool->construct = desc->construct;
    pool->construct_nth = desc->construct_nth;
    pool->destruct = desc->destruct;
    pool->arg = desc->arg;
    pool->emergency = NULL;
    pool->front = NULL;
}

/* Fill in the record of a pool that has no objects yet. */
static void
fph_pool_init(fpheap *heap, fpheap_pool *pool, const fpheap_pool_desc *desc)
{
    unsigned k     = FPH_SIZES + pool->number;
    unsigned keeps = (desc->flags & FPHEAP_TYPE_STABLE) != 0 || desc->min != 0;

    fph_pool_handle(heap, pool, desc);
    pool->constructs = desc->construct != NULL || desc->construct_nth != NULL;
    pool->destructs = desc->destruct != NULL;
    FPH_STORE(&pool->flags, desc->flags, RELAXED);
    FPH_STORE(&pool->keeps, keeps, RELAXED);
    FPH_STORE(&pool->min, desc->min, RELAXED);
    fph_store_relaxed(&pool->ending, 0);
    fph_store_relaxed(&pool->objects, 0);
    fph_store_relaxed(&pool->nth, 0);
    fph_store_relaxed(&pool->slabs, 0);
    fph_store_relaxed(&pool->quota, (uint64_t)(desc->max == 0 ? UINT32_MAX
                                                              : desc->max)
                                    << 32);
    fph_pool_shape(&heap->state->classes[k], desc);                 /* P3 */
}

/* Look for as many slabs as make min objects of a pool. */
static int
fph_pool_look(fph_search *search)
{
    fph_state         *state   = search->heap->state;
    const fpheap_pool *pool    = fph_bin_pool(state, search->bin);
    int                refused = 0;

    while (fph_load_relaxed(&pool->objects) < pool->min) {
        fph_slab *slab = fph_slab_carve(search->heap, search->bin, &refused);

        if (slab == NULL)
            return refused;
        fph_slab_let_go(state, slab);
    }
    return 1;
}

/* Make objects ahead until there are min.  Returns 0, or a negative errno. */
static int
fph_pool_fill(fpheap *heap, const fpheap_pool *pool)
{
    unsigned        k      = FPH_SIZES + pool->number;
    const fph_class *klass = &heap->state->classes[k];
    int             node   = pool->node != FPHEAP_ANY_NODE ? pool->node
                           : fph_home(heap, fph_cache_mine(heap));
    fph_want        want   = fph_want_size(pool->requested, NULL, 0);
    fph_search      search;
    int             rc;

    if (pool->record->min == 0)
        return 0;
    want.k = k;
    fph_search_begin(&search, heap, node, &want, 1 /* grow */);
    search.look = fph_pool_look;
    rc = fph_find(&search);
    return rc != 0 ? rc
         : fph_magazines_add(heap, node,
                             pool->record->min / klass->magazine + 2);
}

#if FPHEAP_SHARED
/* This process's handle of a pool, without callbacks.  It is made anew when the
 * number has got another pool. */
static fpheap_pool *
fph_pool_own(fpheap *heap, fpheap_pool *record)
{
    fpheap_pool *pool;

    if (heap->partition == NULL)
        return record;
    pool = &heap->pools[record->number];
    if (fph_pool_here(heap->state, record) == pool)
        return pool;
    memset(pool, 0, sizeof *pool);
    pool->entry = fph_entry_offset(heap)
                + (record->node != FPHEAP_ANY_NODE
                   ? offsetof(fph_entry, bins) : offsetof(fph_entry, local));
    pool->offset = record->offset;
    pool->one_bin = record->one_bin;
    pool->tag = record->tag;
    pool->destructor = record->destructor;
    pool->requested = record->requested;
    pool->node = record->node;
    pool->number = record->number;
    pool->heap = heap;
    pool->record = record;
    pool->version = fph_load_relaxed(&heap->state->pool_is[record->number]) / 8;
    return pool;
}
#else
#  define fph_pool_own(heap, record) ((void)(heap), (record))
#endif

/* Give this process's handle of a pool its callbacks.  Those of a pool that
 * several processes share are nowhere else. */
static fpheap_pool *
fph_pool_adopt(fpheap *heap, fpheap_pool *record, const fpheap_pool_desc *desc)
{
    fpheap_pool *pool = fph_pool_own(heap, record);

    if (pool == record)
        return pool;
    pool->construct = desc->construct;
    pool->construct_nth = desc->construct_nth;
    pool->destruct = desc->destruct;
    pool->arg = desc->arg;
    record->heap = NULL;
    record->construct = NULL;
    record->construct_nth = NULL;
    record->destruct = NULL;
    record->arg = NULL;
    return pool;
}

static int fph_pool_empty(fpheap_pool *pool);

/* Make the pool of a claimed number.  Returns 0, or a negative errno. */
static int
fph_pool_make(fpheap *heap, unsigned number, const fpheap_pool_desc *desc)
{
    int          rc   = 0;
    fpheap_pool *pool = fph_pool_record(heap, number, &rc);
    fph_name     name = fph_name_of(desc->name);

    if (pool == NULL)
        return rc;
    fph_pool_set_name(pool, &name);
    if (!fph_pool_get_name(heap->state, number, &name))
        return -EEXIST;
    rc = fph_pool_private(heap, pool, desc->private_bytes);
    if (rc != 0)
        return rc;
    fph_pool_init(heap, pool, desc);
    pool = fph_pool_adopt(heap, pool, desc);
    rc = fph_pool_fill(heap, pool);
    if (rc != 0)
        fph_pool_empty(pool);
    else
        fph_water_open(heap, 1 + number, &desc->water);
    return rc;
}

/* Make a pool, whose critical objects `emergency` has, if there is one. */
static fpheap_pool *
fph_pool_new(fpheap *heap, const fpheap_pool_desc *desc, fpheap_pool *emergency)
{
    fph_state   *state;
    int          rc = fph_desc_error(heap, desc);
    unsigned     number;
    fpheap_pool *pool;

    if (rc == 0 && heap->state->ends)
        rc = -EBUSY;
    if (rc != 0)
        return (fpheap_pool *)fph_result(rc, NULL);
    FPH_INSIDE(heap);
    (void)fph_cache_here(heap, 1 /* grow */);
    state = heap->state;
    number = fph_pool_number(state);
    if (number == FPHEAP_MAX_POOLS)
        return (fpheap_pool *)fph_result(-ENFILE, NULL);
    rc = fph_pool_make(heap, number, desc);
    pool = FPH_LOAD(&state->pool[number], RELAXED);
    /* If a stopped thread holds a slab of a pool that could not be made, the
     * number is lost to the heap. */
    if (rc == 0) {
        pool = fph_pool_own(heap, pool);
        pool->emergency = emergency;
        if (emergency != NULL)
            emergency->front = pool;
        fph_pool_set(state, number, FPH_POOL_READY);
    } else if (pool == NULL
               || fph_pool_slabs(pool) == 0) {
        fph_pool_set(state, number, FPH_POOL_FREE);
    }
    return (fpheap_pool *)fph_result(rc, pool);
}

/* The pool of a heap's critical objects that stands for one that is made. */
static fpheap_pool *
fph_pool_critical(fpheap *from, const fpheap_pool_desc *desc)
{
    fpheap_pool_desc own = *desc;

    own.max = own.min = own.private_bytes = 0;
    own.magazine = 0;
    own.flags &= ~FPHEAP_ON_NODE;
    return fph_pool_new(from, &own, NULL);
}

FPHEAP_API fpheap_pool *
fpheap_pool_create(fpheap *heap, const fpheap_pool_desc *desc)
{
    fpheap_pool *emergency = NULL;
    fpheap_pool *pool;
    int          error;

    if (!fph_heap_good(heap))
        return (fpheap_pool *)fph_result(-EINVAL, NULL);
    if (heap->emergency != NULL) {
        emergency = fph_pool_critical(heap->emergency, desc);
        if (emergency == NULL)
            return NULL;
    }
    pool = fph_pool_new(heap, desc, emergency);
    if (pool == NULL && emergency != NULL) {
        error = errno;
        (void)fpheap_pool_destroy(emergency, NULL);
        errno = error;
    }
    return pool;
}

FPHEAP_API fpheap_pool *
fpheap_pool_lookup(fpheap *heap, const char *name)
{
    fph_name words;
    unsigned i;

    if (!fph_heap_good(heap))
        return (fpheap_pool *)fph_result(-EINVAL, NULL);
    if (name == NULL || strlen(name) >= FPHEAP_NAME_BYTES)
        return (fpheap_pool *)fph_result(-ENOENT, NULL);
    words = fph_name_of(name);
    for (i = 0; i < FPHEAP_MAX_POOLS; i++)
        if (fph_pool_named(heap->state, i, &words) % 8 == FPH_POOL_READY)
            return fph_pool_own(heap, FPH_LOAD(&heap->state->pool[i],
                                               RELAXED));
    return (fpheap_pool *)fph_result(-ENOENT, NULL);
}

#if FPHEAP_SHARED
FPHEAP_API fpheap_pool *
fpheap_pool_open(fpheap *heap, const fpheap_pool_desc *desc)
{
    int          error;
    fpheap_pool *pool;
    fph_class    shape;

    do {
        pool = fpheap_pool_create(heap, desc);
        error = errno;
        if (pool != NULL || error != EEXIST)
            return pool;
        pool = fpheap_pool_lookup(heap, desc->name);
    } while (pool == NULL);    /* it is being made, or has just ended */
    fph_pool_shape(&shape, desc);
    if (shape.size != heap->state->classes[FPH_SIZES + pool->number].size
        || pool->requested != desc->size)
        return (fpheap_pool *)fph_result(-EPROTO, NULL);
    return fph_pool_adopt(heap, pool->record, desc);
}
#endif

/* --- end ------------------------------------------------------------------ */

/* Objects of a pool in magazines. */
static size_t
fph_pool_parked(const fpheap_pool *pool)
{
    const fph_state    *state  = pool->heap->state;
    size_t              parked = 0;
    unsigned            bin    = FPH_SIZES + pool->number;
    const fpheap_cache *cache;

    for (; bin < pool->heap->bins; bin += FPH_CLASSES) {
        size_t seat = 0;

        parked += fph_depot_objects(state, bin);
        while ((cache = fph_cache_next(state, &seat)) != NULL)
            parked += fph_cache_objects(state, cache, bin);
    }
    return parked;
}

/* The live objects, counted while no thread moves parked ones, or once this
 * call has waited as long as it may. */
static size_t
fph_pool_live_exact(const fpheap_pool *pool)
{
    size_t   claimed, parked;
    uint32_t mark;

    do {
        mark = fph_moves_mark(pool->heap->state);
        claimed = (uint32_t)fph_load_relaxed(&pool->record->quota);
        parked = fph_pool_parked(pool);
    } while (fph_moves_wait(pool->heap, mark));
    return claimed > parked ? claimed - parked : 0;
}

/* Move a pool's objects from caches and depots into its slabs. */
static void
fph_pool_unpark(fpheap_pool *pool)
{
    fpheap       *heap  = pool->heap;
    fph_state    *state = heap->state;
    unsigned      bin   = FPH_SIZES + pool->number;
    fpheap_cache *cache;

    for (; bin < heap->bins; bin += FPH_CLASSES) {
        size_t seat = 0;

        while ((cache = fph_cache_next(state, &seat)) != NULL)
            fph_bin_flush(state, cache, bin, 1 /* drain */);
        fph_depot_drain(state, bin);
    }
}

/* Hold the slabs that are in a pool's stacks, by node.  Returns how many of
 * them are empty. */
static size_t
fph_pool_hold(const fpheap_pool *pool, fph_link **held)
{
    fph_state *state = pool->heap->state;
    unsigned   bin   = FPH_SIZES + pool->number;
    size_t     empty = 0;
    fph_link  *link;

    for (; bin < pool->heap->bins; bin += FPH_CLASSES) {
        link = fph_stack_take(state, &state->depots[bin].partial);
        held[fph_bin_node(bin)] = link;
        for (; link != NULL; link = fph_stack_below(state, link))
            empty += fph_slab_is_empty((fph_slab *)(void *)link) != 0;
    }
    return empty;
}

/* Retire all slabs of a pool, once all objects are in them and this thread
 * holds them all: none before that, as the pool may go on.  Returns 0; or
 * -EBUSY: time is up, as another thread still holds one. */
static int
fph_pool_empty(fpheap_pool *pool)
{
    fph_state *state = pool->heap->state;
    fph_link  *held[FPHEAP_MAX_NODES];
    unsigned   node;
    int        all;

    do {
        fph_pool_unpark(pool);
        fph_moves_begin(state);
        all = fph_pool_hold(pool, held)
              == fph_pool_slabs(pool->record);
        fph_store_relaxed(&pool->record->ending, (uint64_t)all);    /* P12 */
        for (node = 0; node < pool->heap->nodes; node++)
            fph_slabs_let_go(state, held[node], all);
        fph_moves_end(state);
    } while (!all && fph_wait());
    fph_store_relaxed(&pool->record->ending, 0);                    /* P12 */
    return all ? 0 : -EBUSY;
}

FPHEAP_API int
fpheap_pool_destroy(fpheap_pool *pool, size_t *live)
{
    fph_state   *state     = pool->heap->state;
    fpheap_pool *emergency = pool->emergency;
    fph_word    *water     = &state->water[1 + pool->number].is;
    uint64_t     open      = fph_load_relaxed(water) & FPH_OPEN;
    size_t       objects;
    int          may;
    int          rc        = -EBUSY;

    FPH_INSIDE(pool->heap);
    fph_wait_begin();
    (void)fph_orphans_adopt(pool->heap);
    may = !fph_is_in(FPH_IN_POOL | FPH_IN_WATER, pool->heap, pool)
       && fph_water_close(water);
    objects = fph_pool_live_exact(pool);
    if (emergency != NULL)
        objects += fph_pool_live_exact(emergency);
    if (live != NULL)
        *live = objects;
    if (may && objects == 0 && !state->ends) {
        fph_pool_set(state, pool->number, FPH_POOL_NAMED);          /* P4 */
        rc = fph_pool_empty(pool);
        if (rc == 0 && emergency != NULL)
            (void)fpheap_pool_destroy(emergency, NULL);
        if (rc == 0)
            fph_water_forget(water);
        fph_pool_set(state, pool->number, rc == 0 ? FPH_POOL_FREE
                                                  : FPH_POOL_READY);
    }
    if (rc != 0 && open != 0) {
        fph_fetch_or_relaxed(water, open);
        fph_did(state, 0, FPH_GAVE);
    }
    return rc;
}

/* --- objects -------------------------------------------------------------- */

static fph_want
fph_pool_want(const fpheap_pool *pool, void **objects, unsigned n)
{
    fph_want want = { FPH_SIZES + pool->number, pool->requested, 0, objects, n,
                      pool->node, pool->tag, pool->destructor, NULL };

    return want;
}

FPH_NOINLINE FPHEAP_API void *
fph_pool_get_miss(fpheap_pool *pool)
{
    fph_want want = fph_pool_want(pool, NULL, 1);

    return fph_serve_one(pool->heap, want);
}

FPH_NOINLINE FPHEAP_API int
fph_pool_bulk_miss(fpheap_pool *pool, void **objects, unsigned n)
{
    fph_want want = fph_pool_want(pool, objects, n);

    return n == 0 ? 0 : fph_serve_want(pool->heap, &want);
}

FPHEAP_API void *
fpheap_pool_get_critical(fpheap_pool *pool)
{
    void *object = fpheap_pool_get(pool);
    int   rc     = 0;

    if (object == NULL && pool->emergency != NULL)
        rc = fph_serve_critical(pool->heap,
                                fph_pool_want(pool->emergency, &object, 1),
                                -errno);
    return fph_result(rc, object);
}

FPHEAP_API int
fpheap_pool_prefill(fpheap_pool *pool, unsigned n)
{
    return fph_prefill(pool->heap, fph_pool_want(pool, NULL, n));
}

FPHEAP_API unsigned
fpheap_pool_get_burst(fpheap_pool *pool, void **objects, unsigned n)
{
    fph_frame frame = { FPH_IN_CALL, pool->heap, NULL, fph_this.frames };
    void     *object;
    unsigned  got   = 0;

    if (fpheap_pool_get_bulk(pool, objects, n) == 0)
        return n;
    fph_this.frames = &frame;
    while (got < n && (object = fpheap_pool_get(pool)) != NULL)
        objects[got++] = object;
    fph_this.frames = frame.outer;
    return got;
}

/* --- questions ------------------------------------------------------------ */

FPHEAP_API void *
fpheap_pool_private(fpheap_pool *pool)
{
    const fpheap_pool *record = pool->record;

    return record->private_bytes == 0 ? NULL : record->private_area;
}

FPHEAP_API int
fpheap_pool_set_max(fpheap_pool *pool, size_t max)
{
    fph_word *word  = &pool->record->quota;
    uint64_t  quota = fph_load_relaxed(word);

    if (max == 0)
        max = UINT32_MAX;
    if (max > UINT32_MAX || max < pool->record->min)
        return -EINVAL;
    FPH_INSIDE(pool->heap);
    while (!fph_cas_relaxed(word, &quota,                   /* Q3 */
                            (uint64_t)max << 32 | (uint32_t)quota))
        ;
    fph_did(pool->heap->state, 0, FPH_GAVE);
    return 0;
}

/* [GROUP] ==================================================================
 *
 * What of groups is no hit.  A group is the head of its first piece; the others
 * are a list.  So one pointer is all of it.
 *
 *     | group | objects and endings | at ...  end |
 *        `-> | fph_piece | objects and endings | `-> | fph_piece | one object |
 *
 * at and end are of the newest piece that is not one object's own.  Pieces go
 * after the endings, which lie in them.
 */
typedef struct fph_piece {
    struct fph_piece *next;    /* the one before */
    size_t            step;    /* bytes of the next that is no object's own */
} __attribute__((aligned(16))) fph_piece;

typedef struct fph_ending {
    struct fph_ending *next;   /* the one before */
    void             (*fn)(void *arg); /* NULL: an adopted object */
    void              *arg;
} fph_ending;

#define FPH_PIECE_LARGEST (FPH_CLASS_MAX < 32768 ? FPH_CLASS_MAX : 32768)
#if FPHEAP_HEADER
#  define fph_adopted_end fpheap_unref
#else
#  define fph_adopted_end fpheap_free
#endif

/* Whether a group has not ended, as far as is known. */
FPHEAP_API int
fph_group_good(const fpheap_group *group)
{
    if (!FPHEAP_CHECK || group->self == group)
        return 1;
    FPHEAP_PANIC(FPH_SAY_GROUP);
    return 0;
}

/* Tell a tool that of the rest of the piece in use only an object may be used,
 * if any. */
static void
fph_group_tell(const fpheap_group *group, void *object, size_t size)
{
    if (FPHEAP_TOOL == 0 || fph_is_shared(group->heap))
        return;
    FPH_TOOL_FORBID(group->at, (size_t)(group->end - group->at));
    if (FPHEAP_TOOL != 2 && object != NULL) /* its bytes have no values yet */
        FPH_TOOL_ALLOW(object, size);
    (void)size;
}

/* The bytes from here to where it is aligned so. */
static size_t
fph_align_skip(const char *at, size_t align)
{
    return (0 - (uintptr_t)at) & (align - 1);
}

/* Cut an object from the piece in use; NULL: it does not fit. */
static void *
fph_group_cut(fpheap_group *group, size_t align, size_t size)
{
    size_t room   = (size_t)(group->end - group->at);
    size_t skip   = fph_align_skip(group->at, align);
    char  *object;

    if (skip > room || size > room - skip)
        return NULL;
    object = group->at + skip;
    fph_group_tell(group, object, size);
    group->at = object + ((size + 15) & ~(size_t)15);
    return object;
}

/* Cut an object from a new piece. */
static void *
fph_group_grow(fpheap_group *group, size_t align, size_t size)
{
    size_t     most = SIZE_MAX / 2;
    size_t     need = sizeof(fph_piece) + align + (size < most ? size : most);
    size_t     step = group->pieces == NULL ? FPH_PIECE_FIRST
                                            : group->pieces->step;
    int        own  = need > step / 4;
    fph_piece *piece;
    char      *at;

    piece = (fph_piece *)fpheap_alloc(group->heap,
                                      own ? need - 16 : FPH_PIECE(step));
    if (piece == NULL)
        return NULL;
    piece->next = group->pieces;
    piece->step = own || step >= FPH_PIECE_LARGEST ? step : 2 * step;
    group->pieces = piece;
    at = (char *)(piece + 1);
    if (own)
        return at + fph_align_skip(at, align);
    group->at = at;
    group->end = (char *)piece + FPH_PIECE(step) / 16 * 16;
    return fph_group_cut(group, align, size);
}

FPH_NOINLINE FPHEAP_API void *
fph_group_miss(fpheap_group *group, size_t align, size_t size)
{
    void *object;

    if (!fph_group_good(group))
        return fph_result(-EINVAL, NULL);
    size += size == 0;
    object = fph_group_cut(group, align, size);
    if (object == NULL)
        object = fph_group_grow(group, align, size);
    return object;
}

FPHEAP_API void *
fpheap_group_aligned(fpheap_group *group, size_t align, size_t size)
{
    if (!fph_is_align(align))
        return fph_result(-EINVAL, NULL);
    return fph_group_miss(group, align < 16 ? 16 : align, size);
}

static int
fph_ending_add(fpheap_group *group, void (*fn)(void *arg), void *arg)
{
    fph_ending *ending = (fph_ending *)fpheap_group_alloc(group,
                                                          sizeof *ending);

    if (ending == NULL)
        return -errno;
    ending->next = group->endings;
    ending->fn = fn;
    ending->arg = arg;
    group->endings = ending;
    return 0;
}

FPHEAP_API int
fpheap_group_adopt(fpheap_group *group, void *object)
{
    if (object == NULL || !fph_group_good(group)
        || !fph_live_check(group->heap, object))
        return -EINVAL;
    return fph_ending_add(group, NULL, object);
}

FPHEAP_API int
fpheap_group_cleanup(fpheap_group *group, void (*fn)(void *arg), void *arg)
{
    return fn == NULL ? -EINVAL : fph_ending_add(group, fn, arg);
}

/* End what came after these.  A cleanup that is called may add others. */
static void
fph_group_unwind(fpheap_group *group, const fph_piece *pieces,
                 const fph_ending *endings)
{
    const fph_ending *ending;
    fph_piece        *piece;

    while ((ending = group->endings) != endings) {
        group->endings = ending->next;
        if (ending->fn != NULL)
            ending->fn(ending->arg);
        else
            fph_adopted_end(group->heap, ending->arg);
    }
    while ((piece = group->pieces) != pieces) {
        group->pieces = piece->next;
        fpheap_free(group->heap, piece);
    }
}

FPH_NOINLINE FPHEAP_API void
fph_group_end_miss(fpheap_group *group)
{
    if (!fph_group_good(group))
        return;
    fph_group_unwind(group, NULL, NULL);
    group->self = NULL;
    fpheap_free_sized(group->heap, group, FPH_PIECE(FPH_PIECE_FIRST));
}

/* Whether a mark is of the group's past, as far as can be seen. */
static int
fph_mark_is_past(const fpheap_group *group, const fpheap_mark *mark)
{
    const fph_piece  *piece  = group->pieces;
    const fph_ending *ending = group->endings;

    while (piece != NULL && piece != mark->pieces)
        piece = piece->next;
    while (ending != NULL && ending != mark->endings)
        ending = ending->next;
    return mark->group == group && piece == mark->pieces
        && ending == mark->endings
        && (mark->end != group->end || mark->at <= group->at);
}

FPH_NOINLINE FPHEAP_API void
fph_rewind_miss(fpheap_group *group, const fpheap_mark *mark)
{
    if (!fph_group_good(group))
        return;
    if (!fph_mark_is_past(group, mark)) {
        FPHEAP_PANIC(FPH_SAY_MARK);
        return;
    }
    fph_group_unwind(group, mark->pieces, mark->endings);
    group->at = mark->at;
    group->end = mark->end;
    fph_group_tell(group, NULL, 0);
}

/* [STATS] ==================================================================
 *
 * Counts of all that the heap and its pools have, and fpheap_dump.
 */

/* The statistics of a heap, and of its classes.  Class 0 has the large objects,
 * whose bytes are counted one by one.  Until fph_census_sum all objects count
 * as live. */
typedef struct fph_census {
    fpheap_stats       stats;
    fpheap_class_stats classes[FPH_CLASSES];
    size_t             huge;   /* bytes of chunks that have hugepages */
    size_t             child[FPHEAP_MAX_HEAPS]; /* bytes, by number */
} fph_census;

static void
fph_census_record(const fph_state *state, fph_census *census,
                  const fph_slab *slab)
{
    uint64_t            info  = fph_info_load(slab);
    size_t              count = fph_info_count(info);
    unsigned            k     = fph_info_bin(info) % FPH_CLASSES;
    fpheap_class_stats *klass = &census->classes[k];
    int64_t             free;

    switch (fph_info_kind(info)) {
    case FPH_SLAB:
        free = fph_slab_free_objects(fph_load_relaxed(&slab->state));
        klass->slabs++;
        klass->live_objects += count;
        if (free > 0)
            klass->free_objects += (size_t)free < count ? (size_t)free : count;
        census->stats.waste_bytes += (fph_info_pages(state, info)
                                      << FPHEAP_PAGE_SHIFT)
                                   - count * klass->size;
        break;
    case FPH_LARGE:
        census->classes[0].live_objects++;
        census->stats.live_bytes += fph_info_bytes(state, info);
        census->stats.waste_bytes += fph_info_bin(info) * FPHEAP_PAGE; /* L1 */
        break;
    case FPH_PARKED:
        census->classes[0].live_objects++;
        census->classes[0].parked_objects++;
        census->stats.parked_bytes += count << FPHEAP_PAGE_SHIFT;
        break;
    case FPH_CHILD:
        census->child[fph_info_bin(info)] += count << FPHEAP_PAGE_SHIFT;
        census->stats.child_bytes += count << FPHEAP_PAGE_SHIFT;
        census->stats.live_bytes += count << FPHEAP_PAGE_SHIFT;
        break;
    default:
        break;
    }
}

/* Pages, and what they are used for. */
static void
fph_census_pages(const fph_state *state, fph_census *census)
{
    fpheap_stats    *stats = &census->stats;
    size_t           here  = 0, at = 0, i;
    const fph_chunk *chunk;
    const fph_slab  *slab;

    for (i = 0; i < fph_region_count(state); i++)
        stats->regions += fph_load_relaxed(&state->region[i].shown) != 0
                       || fph_load_relaxed(&state->region[i].used)
                          == FPH_BARRED;
    while ((chunk = fph_chunk_next(state, &at)) != NULL) {
        uint64_t free = fph_load_relaxed(&state->free[chunk - state->chunks]);

        here += fph_popcount(fph_load_relaxed(&chunk->present));
        stats->page_free_bytes += fph_popcount(free) * FPHEAP_PAGE;
        stats->metadata_bytes += fph_popcount(fph_load_relaxed(&chunk->meta))
                               * FPHEAP_PAGE;
        if (FPH_LOAD(&chunk->huge, RELAXED))
            census->huge += FPHEAP_CHUNK;
    }
    for (at = 0; (slab = fph_record_next(state, &at)) != NULL;)
        fph_census_record(state, census, slab);
    stats->region_bytes = (size_t)fph_load_relaxed(&state->region_bytes);
    if (stats->region_bytes > here * FPHEAP_PAGE)
        stats->waste_bytes += stats->region_bytes - here * FPHEAP_PAGE;
}

/* Records that lie apart: all of the blocks before the current one, and of that
 * what is used up. */
static void
fph_census_apart(const fph_state *state, fpheap_stats *stats)
{
    uint64_t cursor = fph_load_relaxed(&state->meta_cursor.word);
    size_t   at     = 0;

    while (fph_block_next(state, &at) != NULL)
        stats->record_bytes += at - 1 == cursor >> 40
                             ? (size_t)(cursor & FPH_META_FIELD) * FPH_LINE
                             : FPHEAP_CHUNK;
}

static void
fph_census_parked(const fpheap *heap, fph_census *census)
{
    const fph_state    *state = heap->state;
    size_t              seat  = 0;
    unsigned            bin;
    const fpheap_cache *cache;

    for (bin = 0; bin < heap->bins; bin++) {
        fpheap_class_stats *klass  = &census->classes[bin % FPH_CLASSES];
        size_t              parked = fph_depot_objects(state, bin);

        klass->parked_objects += parked;
        census->stats.depot_bytes += parked * klass->size;
    }
    while ((cache = fph_cache_next(state, &seat)) != NULL) {
        for (bin = 0; bin < heap->bins; bin++)
            census->classes[bin % FPH_CLASSES].parked_objects
                += fph_cache_objects(state, cache, bin);
        census->stats.caches += FPH_LOAD(&cache->entry, RELAXED) != NULL;
    }
}

/* What is live, and the sums of the classes.  A class's objects, those that are
 * free and those that are parked were read at different moments. */
static void
fph_census_sum(fph_census *census)
{
    fpheap_stats *stats = &census->stats;
    unsigned      k;

    for (k = 0; k < FPH_CLASSES; k++) {
        fpheap_class_stats *klass = &census->classes[k];
        size_t gone = klass->free_objects + klass->parked_objects;

        klass->live_objects -= gone < klass->live_objects
                             ? gone : klass->live_objects;
        stats->live_objects += klass->live_objects;
        stats->live_bytes += klass->live_objects * klass->size;
        stats->parked_objects += klass->parked_objects;
        stats->parked_bytes += klass->parked_objects * klass->size;
        stats->slab_free_bytes += klass->free_objects * klass->size;
    }
}

/* What the heap counts as it goes, and its threads by tag. */
static void
fph_census_counts(const fpheap *heap, fph_census *census)
{
    fpheap_stats    *stats = &census->stats;
    const fph_state *state = heap->state;
    unsigned         tags  = FPH_TAGS;
    unsigned         i;

    for (i = 0; i < FPHEAP_MAX_HEAPS; i++)
        stats->children += fph_load_relaxed(&fph_heap_within[i])
                        == 1 + (uint64_t)(heap - fph_heaps);
    if (heap->emergency != NULL)
        stats->emergency_bytes = (size_t)fph_load_relaxed(
            &heap->emergency->critical_left);
    stats->limit = (size_t)fph_load_relaxed(&state->limit);
    stats->peak_region_bytes = (size_t)fph_load_relaxed(
        &state->peak_region_bytes);
    if (stats->peak_region_bytes < stats->region_bytes)
        stats->peak_region_bytes = stats->region_bytes; /* about to be raised */
    for (i = 0; i < 4; i++)
        stats->backing_bytes[i] = (size_t)fph_load_relaxed(
            &state->backing_bytes[i]);
    if (census->huge > stats->backing_bytes[FPHEAP_BACKING_PAGES])
        census->huge = stats->backing_bytes[FPHEAP_BACKING_PAGES];
    stats->backing_bytes[FPHEAP_BACKING_PAGES] -= census->huge;
    stats->backing_bytes[FPHEAP_BACKING_THP] += census->huge;
    stats->growths = fph_load_relaxed(&state->growths);
    stats->growth_failures = fph_load_relaxed(&state->growth_failures);
    stats->growth_max_ns = fph_load_relaxed(&state->growth_max_ns);
    stats->releases = fph_load_relaxed(&state->releases);
    stats->reclaims = fph_load_relaxed(&state->reclaims);
    fph_recovered_add(heap->partition, stats);
    for (i = 0; i < tags; i++)
        stats->requested_bytes += fph_tag_live(heap, i).bytes;
}

static void
fph_census_take(fpheap *heap, fph_census *census)
{
    const fph_class *klass = heap->state->classes;
    unsigned         k;

    FPH_INSIDE(heap);
    (void)fph_orphans_adopt(heap);
    memset(census, 0, sizeof *census);
    for (k = 1; k < FPH_CLASSES; k++) {
        census->classes[k].size = FPH_LOAD(&klass[k].size, RELAXED);
        census->classes[k].magazine = FPH_LOAD(&klass[k].magazine, RELAXED);
    }
    fph_census_pages(heap->state, census);
    fph_census_apart(heap->state, &census->stats);
    fph_census_parked(heap, census);
    fph_census_sum(census);
    fph_census_counts(heap, census);
}

/* --- who has most --------------------------------------------------------- */

/* Enter a holder among the first n by bytes, of which there are `have`.
 * Returns how many there are then. */
static unsigned
fph_rank(fpheap_holder *holders, unsigned n, unsigned have,
         const fpheap_holder *holder)
{
    unsigned at = have;

    if (holder->bytes == 0)
        return have;
    for (; at > 0 && holders[at - 1].bytes < holder->bytes; at--)
        if (at < n)
            holders[at] = holders[at - 1];
    if (at < n)
        holders[at] = *holder;
    return have < n ? have + 1 : n;
}

/* Write a name that is words as text. */
static void
fph_name_text(char *text, const fph_word *name)
{
    unsigned i;

    for (i = 0; i < FPHEAP_NAME_BYTES / 8; i++) {
        uint64_t word = fph_load_relaxed(&name[i]);

        memcpy(text + i * 8, &word, 8);
    }
}

/* A class's objects, of class 0 `large` bytes. */
static fpheap_holder
fph_holder_class(const fpheap *heap, const fph_census *census, unsigned k,
                 size_t large)
{
    const fpheap_class_stats *klass = &census->classes[k];
    fpheap_holder             holder;

    memset(&holder, 0, sizeof holder);
    holder.size = klass->size;
    holder.objects = klass->live_objects;
    holder.bytes = k == 0 ? large : klass->live_objects * klass->size;
    if (k >= FPH_SIZES && holder.bytes != 0) {
        holder.kind = FPHEAP_HOLDER_POOL;
        fph_name_text(holder.name, fph_bin_pool(heap->state, k)->name);
    }
    return holder;
}

FPHEAP_API unsigned
fpheap_holders(fpheap *heap, fpheap_holder *holders, unsigned n)
{
    fph_census    census;
    fpheap_holder holder;
    size_t        large;
    unsigned      have = 0, tags = FPH_TAGS, k;

    if (!fph_heap_good(heap))
        return 0;
    fph_census_take(heap, &census);
    large = census.stats.live_bytes - census.stats.child_bytes;
    for (k = FPH_CLASSES; k-- > 0;) {
        holder = fph_holder_class(heap, &census, k, large);
        large -= holder.bytes;
        have = fph_rank(holders, n, have, &holder);
    }
    memset(&holder, 0, sizeof holder);
    holder.kind = FPHEAP_HOLDER_CHILD;
    for (k = 0; k < FPHEAP_MAX_HEAPS; k++) {
        fph_name_text(holder.name, fph_heap_name[k]);
        holder.bytes = census.child[k];
        have = fph_rank(holders, n, have, &holder);
    }
    memset(&holder, 0, sizeof holder);
    holder.kind = FPHEAP_HOLDER_TAG;
    for (k = 1; k < tags; k++) {
        fph_tally live = fph_tag_live(heap, k);

        holder.size = k;
        holder.objects = live.objects;
        holder.bytes = live.bytes;
        have = fph_rank(holders, n, have, &holder);
    }
    return have;
}

/* --- for programs of any version ------------------------------------------ */

/* Fill in what a caller's struct of statistics has room for.  The first member
 * says how much that is. */
static void
fph_stats_tell(void *to, size_t room, void *stats, size_t bytes)
{
    if (bytes > room)
        bytes = room;
    memcpy(stats, &bytes, sizeof bytes);
    memcpy(to, stats, bytes);
    memset((char *)to + bytes, 0, room - bytes);
}

FPHEAP_API void
fpheap_stats_get_sized(fpheap *heap, fpheap_stats *stats, size_t bytes)
{
    fph_census census;

    if (fph_is_view(heap)) {
        fph_view_stats(heap, &census.stats);
    } else if (fph_heap_good(heap)) {
        fph_census_take(heap, &census);
    } else {
        memset(stats, 0, bytes);
        return;
    }
    fph_stats_tell(stats, bytes, &census.stats, sizeof census.stats);
}

FPHEAP_API int
fpheap_class_stats_get_sized(fpheap *heap, unsigned index,
                             fpheap_class_stats *stats, size_t bytes)
{
    fpheap_class_stats *told;
    fph_census          census;

    if (!fph_heap_good(heap) || index >= FPH_SIZES - 1)
        return -EINVAL;
    fph_census_take(heap, &census);
    told = &census.classes[index + 1]; /* class 0 is that of large objects */
    fph_stats_tell(stats, bytes, told, sizeof *told);
    return 0;
}

FPHEAP_API void
fpheap_pool_stats_get_sized(fpheap_pool *pool, fpheap_pool_stats *stats,
                            size_t bytes)
{
    const fph_class   *klass  = &pool->heap->state->classes[FPH_SIZES
                                                            + pool->number];
    const fpheap_pool *record = pool->record;
    uint64_t           quota  = fph_load_relaxed(&record->quota);
    fpheap_pool_stats  told;

    memset(&told, 0, sizeof told);
    told.size = klass->size;
    told.max = (size_t)(quota >> 32);
    told.min = record->min;
    told.objects = (size_t)fph_load_relaxed(&record->objects);
    told.claimed_objects = (uint32_t)quota;
    told.parked_objects = fph_pool_parked(pool);
    if (told.claimed_objects > told.parked_objects)
        told.live_objects = told.claimed_objects - told.parked_objects;
    if (told.objects > told.claimed_objects)
        told.free_objects = told.objects - told.claimed_objects;
    told.slabs = (size_t)fph_load_relaxed(&record->slabs);
    told.magazine = klass->magazine;
    fph_stats_tell(stats, bytes, &told, sizeof told);
}

#if FPHEAP_HEADER
FPHEAP_API int
fpheap_tag_stats_get_sized(fpheap *heap, unsigned tag, fpheap_tag_stats *stats,
                           size_t bytes)
{
    fpheap_tag_stats told;
    fph_tally        live;

    if (!fph_heap_good(heap) || tag >= FPHEAP_TAGS)
        return -EINVAL;
    live = fph_tag_live(heap, tag);
    told.objects = live.objects;
    told.bytes = live.bytes;
    fph_stats_tell(stats, bytes, &told, sizeof told);
    return 0;
}
#endif

/* --- for people ----------------------------------------------------------- */

#if !FPHEAP_NO_STDIO
/* Write a pool's name as text, for people: it may be of two pools. */
static void
fph_pool_name(const fpheap_pool *pool, char *name)
{
    fph_name_text(name, pool->name);
    name[FPHEAP_NAME_BYTES - 1] = 0;
}

static void
fph_dump_classes(const fph_state *state, const fph_census *census, FILE *out)
{
    size_t   live   = census->classes[0].live_objects;
    size_t   parked = census->classes[0].parked_objects;
    unsigned k;

    fprintf(out, "        size    slabs       live     parked       free\n");
    for (k = 1; k < FPH_CLASSES; k++) {
        const fpheap_class_stats *klass = &census->classes[k];
        const fpheap_pool        *pool  = fph_bin_pool(state, k);
        char name[FPHEAP_NAME_BYTES] = "";

        if (klass->slabs == 0)
            continue;
        if (pool != NULL)
            fph_pool_name(pool, name);
        fprintf(out, "  %10zu %8zu %10zu %10zu %10zu  %s\n", klass->size,
                klass->slabs, klass->live_objects, klass->parked_objects,
                klass->free_objects, name);
    }
    if (live + parked != 0)
        fprintf(out, "       large          %10zu %10zu\n", live, parked);
}

static void
fph_dump_tags(const fpheap *heap, const fpheap_stats *stats, FILE *out)
{
    unsigned tags = FPH_TAGS;
    unsigned tag;

    if (tags != 0)
        fprintf(out, "  requested %14zu bytes\n", stats->requested_bytes);
    for (tag = 0; tag < tags; tag++) {
        fph_tally live = fph_tag_live(heap, tag);

        if (live.objects != 0)
            fprintf(out, "  tag %6u %30zu requested bytes, %zu objects\n", tag,
                    live.bytes, live.objects);
    }
}

FPHEAP_API void
fpheap_dump(fpheap *heap, FILE *out)
{
    FPH_UNCANCELLED;
    fph_census    census;
    fpheap_stats *s = &census.stats;

    if (!fph_heap_good(heap))
        return;
    fph_census_take(heap, &census);
    fprintf(out, "heap \"%s\": %zu bytes in %u regions, %u nodes, %u caches\n"
                 "  live      %14zu bytes  %zu objects\n"
                 "  parked    %14zu bytes  %zu objects, %zu bytes in depots\n"
                 "  slab free %14zu bytes\n"
                 "  page free %14zu bytes\n"
                 "  waste     %14zu bytes\n"
                 "  metadata  %14zu bytes, and %zu apart\n"
                 "  peak      %14zu bytes\n"
                 "  limit     %14zu bytes\n"
                 "  children  %14zu bytes  %u, %zu left for the critical\n",
            heap->name, s->region_bytes, s->regions, heap->nodes, s->caches,
            s->live_bytes, s->live_objects, s->parked_bytes, s->parked_objects,
            s->depot_bytes, s->slab_free_bytes, s->page_free_bytes,
            s->waste_bytes, s->metadata_bytes, s->record_bytes,
            s->peak_region_bytes, s->limit, s->child_bytes, s->children,
            s->emergency_bytes);
    fprintf(out, "  pages     %zu hugetlb, %zu thp, %zu base, %zu unknown\n"
                 "  growth    %llu regions, %llu failures, longest %llu ns\n"
                 "  returned  %llu regions, %llu passes over parked objects\n",
            s->backing_bytes[FPHEAP_BACKING_HUGETLB],
            s->backing_bytes[FPHEAP_BACKING_THP],
            s->backing_bytes[FPHEAP_BACKING_PAGES],
            s->backing_bytes[FPHEAP_BACKING_UNKNOWN],
            (unsigned long long)s->growths,
            (unsigned long long)s->growth_failures,
            (unsigned long long)s->growth_max_ns,
            (unsigned long long)s->releases, (unsigned long long)s->reclaims);
    fph_dump_classes(heap->state, &census, out);
    fph_dump_tags(heap, s, out);
    fph_sites_dump(heap, out);
}
#endif

/* [PROVIDERS] ==============================================================
 *
 * Those that come with the header: mmap, a buffer of the application, and a
 * child's parent.
 */
#if !FPHEAP_NO_OS

#define FPH_2MIB_SHIFT 21
#define FPH_GIB_SHIFT  30

/* The times (fph_now_ns) until which reserved hugepages of 2 MiB, and of 1 GiB,
 * are not asked for.  Relaxed, as nothing else depends on these words. */
static fph_word fph_huge_pause[2];
#define FPH_HUGE_PAUSE_NS 1000000000u

/* Choose the node of a region's pages, before any of them is written to. */
static void
fph_mmap_place(const fpheap_region *region, int node)
{
#if FPHEAP_USE_LIBNUMA
    if (numa_available() >= 0 && node <= numa_max_node())
        numa_tonode_memory(region->base, region->bytes, node);
#else
    (void)region, (void)node;
#endif
}

/* Whether there can be memory of a node, as far as is known: of one that is not
 * there libnuma would say so on standard error, and the program would not
 * know. */
#if FPHEAP_USE_LIBNUMA && FPHEAP_SHARED
static int
fph_mmap_has(int node)
{
    return node >= 0
        && (numa_available() < 0
            || numa_bitmask_isbitset(numa_all_nodes_ptr, (unsigned)node));
}
#else
#  define fph_mmap_has(node) ((node) >= 0)
#endif

/* Reserved hugepages, each of them written to.  If a cgroup or a node has too
 * few, mmap succeeds, but a later write would end the program.  Finding this
 * out costs the time to clear the pages that are left, so a pause follows each
 * failure.  Returns 0: there are not enough. */
static int
fph_mmap_huge(size_t bytes, unsigned shift, int node, fpheap_region *region)
{
    fph_word *pause = &fph_huge_pause[shift == FPH_GIB_SHIFT];

    if (fph_now_ns() < fph_load_relaxed(pause)
        || !fph_map_huge(bytes, shift, region))
        return 0;
    fph_mmap_place(region, node);
    region->backing = FPHEAP_BACKING_HUGETLB;
    if (fph_populate(region, (size_t)1 << shift))
        return 1;
    munmap(region->base, region->bytes);
    fph_store_relaxed(pause, fph_now_ns() + FPH_HUGE_PAUSE_NS);
    return 0;
}

static int
fph_mmap_plain(size_t bytes, size_t align, int node, fpheap_region *region)
{
    if (!fph_map_at((char *)region->base, bytes, region)
        && !fph_map_at(fph_map_room(align), bytes, region)
        && !fph_map_aligned(bytes, align, region))
        return 0;
    fph_mmap_place(region, node);
    region->backing = FPHEAP_BACKING_PAGES;
    return 1;
}

static int
fph_mmap_get(void *ctx, size_t bytes, size_t align, int node,
             fpheap_region *region)
{
    unsigned flags = (unsigned)(uintptr_t)ctx;
    int      found;

    if (bytes > SIZE_MAX - align)
        return -ENOMEM;
    found = (flags & FPHEAP_HUGETLB_1G) != 0
         && fph_mmap_huge(bytes, FPH_GIB_SHIFT, node, region);
    if (!found && (flags & FPHEAP_HUGETLB) != 0)
        found = fph_mmap_huge(bytes, FPH_2MIB_SHIFT, node, region);
    if (!found && !fph_mmap_plain(bytes, align, node, region))
        return -ENOMEM;
    if (!found && (flags & FPHEAP_NO_THP) == 0) /* until the heap asks */
        (void)fph_map_advise(region->base, region->bytes, FPHEAP_HUGE_NONE);
    return 0;
}

static int
fph_mmap_put(void *ctx, const fpheap_region *region)
{
    (void)ctx;
    return munmap(region->base, region->bytes) == 0 ? 0 : -errno;
}

/* The system's whole pages in it: those at its ends may be longer than the
 * heap's, and in use. */
static void
fph_mmap_decommit(void *ctx, void *base, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
    uintptr_t from = ((uintptr_t)base + page) & ~page;
    uintptr_t to   = ((uintptr_t)base + bytes) & ~page;

    (void)ctx;
    if (from < to)
        madvise((void *)from, to - from, MADV_DONTNEED);
}

static int
fph_mmap_advise(void *ctx, void *chunk, size_t bytes, fpheap_huge what)
{
    (void)ctx;
    return fph_map_advise(chunk, bytes, what);
}

FPHEAP_API int
fpheap_provider_mmap(fpheap_provider *provider, unsigned flags)
{
    if ((flags & ~(FPHEAP_HUGETLB | FPHEAP_NO_THP | FPHEAP_HUGETLB_1G)) != 0)
        return -EINVAL;
    memset(provider, 0, sizeof *provider);
    provider->get = fph_mmap_get;
    provider->put = fph_mmap_put;
    provider->ctx = (void *)(uintptr_t)flags;
    provider->flags = (flags & (FPHEAP_HUGETLB | FPHEAP_HUGETLB_1G)) == 0
                    ? FPHEAP_PARTS | FPHEAP_ZEROES : 0;
    provider->decommit = fph_mmap_decommit;
    if ((flags & FPHEAP_NO_THP) == 0)
        provider->huge = fph_mmap_advise;
    return 0;
}
#endif

/*
 *       where                        order    partner  what must be seen
 *   A1  taken: CAS                   acquire  A2       the last heap is gone
 *   A2  taken: store 0               release  A1
 */
static int
fph_buffer_get(void *ctx, size_t bytes, size_t align, int node,
               fpheap_region *region)
{
    fpheap_buffer *buffer = (fpheap_buffer *)ctx;
    unsigned       taken  = FPH_LOAD(&buffer->taken, RELAXED);

    (void)align, (void)node;
    if (buffer->bytes < bytes || taken != 0
        || !FPH_CAS_PTR(&buffer->taken, &taken, 1u, ACQUIRE))       /* A1 */
        return -ENOMEM;
    region->base = buffer->base;
    region->bytes = buffer->bytes;
    return 0;
}

static int
fph_buffer_put(void *ctx, const fpheap_region *region)
{
    fpheap_buffer *buffer = (fpheap_buffer *)ctx;

    (void)region;
    FPH_STORE(&buffer->taken, 0u, RELEASE);                         /* A2 */
    return 0;
}

FPHEAP_API void
fpheap_provider_buffer(fpheap_provider *provider, fpheap_buffer *buffer,
                       void *base, size_t bytes)
{
    buffer->base = base;
    buffer->bytes = bytes;
    buffer->taken = 0;
    memset(provider, 0, sizeof *provider);
    provider->get = fph_buffer_get;
    provider->put = fph_buffer_put;
    provider->ctx = buffer;
}

/* --- a child's: its parent ------------------------------------------------ */

static int
fph_child_get(void *ctx, size_t bytes, size_t align, int node,
              fpheap_region *region)
{
    (void)align;
    region->bytes = bytes;
    return fph_span_get((const fpheap *)ctx, node, bytes >> FPHEAP_PAGE_SHIFT,
                        &region->base);
}

static int
fph_child_put(void *ctx, const fpheap_region *region)
{
    fph_span_put(((const fpheap *)ctx)->parent, region->base);
    return 0;
}

static uint64_t
fph_child_iova(void *ctx, const void *chunk)
{
    return fpheap_iova(((const fpheap *)ctx)->parent, chunk);
}

static void
fph_provider_child(fpheap *heap)
{
    memset(&heap->provider, 0, sizeof heap->provider);
    heap->provider.get = fph_child_get;
    heap->provider.put = fph_child_put;
    if (heap->parent->provider.iova != NULL)
        heap->provider.iova = fph_child_iova;
    heap->provider.ctx = heap;
}

/* [CHECK] ==================================================================
 *
 * The invariants of the sections above as code, for a quiet heap.  A
 * walk has to tell live objects from parked ones: it turns the bits of parked
 * objects over, and back when it ends.  One that is parked twice, or parked and
 * free, then has no bit.  In a shared heap, where others would take them for
 * free if this process died meanwhile, bits of its own stand for those that are
 * turned over.
 */
typedef struct fph_flips {
    const fph_state *state;
    fph_word        *own;      /* NULL: the slabs' bits are turned over */
    size_t           first;    /* the page of own[0] */
    size_t           bytes;    /* of own */
} fph_flips;

#if FPHEAP_SHARED
static int
fph_flips_apart(fph_flips *flips, const fpheap *heap)
{
    flips->first = fph_page_of(heap->state, heap->partition->base);
    flips->bytes = (heap->bytes >> FPHEAP_PAGE_SHIFT) * FPH_SLAB_WORDS
                 * sizeof(fph_word);
    flips->own = (fph_word *)fph_map(NULL, flips->bytes, PROT_READ | PROT_WRITE,
                                     MAP_NORESERVE);
    return flips->own != NULL;
}
#  define fph_flips_apart_end(flips)   fph_map_end((flips)->own, (flips)->bytes)
#else
#  define fph_flips_apart(flips, heap) 1
#  define fph_flips_apart_end(flips)   ((void)0)
#endif

/* Returns 0: there is no memory for them. */
static int
fph_flips_begin(fph_flips *flips, const fpheap *heap)
{
    memset(flips, 0, sizeof *flips);
    flips->state = heap->state;
    return !fph_is_shared(heap) || fph_flips_apart(flips, heap);
}

/* The word that is turned over for an object of a slab. */
static fph_word *
fph_flips_word(const fph_flips *flips, fph_slab *slab, size_t number)
{
    size_t page = (slab->page - flips->first) & flips->state->mask;

    return flips->own == NULL ? &slab->bits[number / 64]
         : &flips->own[page * FPH_SLAB_WORDS + number / 64];
}

/* Whether an object's bit is set, turned over or not. */
static int
fph_flips_bit(const fph_flips *flips, fph_slab *slab, size_t number)
{
    uint64_t word = slab->bits[number / 64];

    if (flips->own != NULL)
        word ^= *fph_flips_word(flips, slab, number);
    return (int)(word >> number % 64 & 1);
}

/* Turn over the bits of objects of a bin.  Returns how many are set now, of
 * those that are such objects. */
static size_t
fph_flip_slots(const fph_flips *flips, unsigned bin, void *const *slot,
               size_t count)
{
    const fph_state *state = flips->state;
    size_t           set   = 0;
    size_t           i;

    for (i = 0; i < count; i++) {
        fph_slab *slab = fph_record_of(state, slot[i]);
        size_t    number;

        if (slab == NULL || fph_base_of(state, slot[i]) != slot[i]
            || state->map[fph_page_of(state, slot[i])] != bin * FPH_BIN_STEP)
            continue;
        number = (size_t)((char *)slot[i] - slab->base) / slab->size;
        *fph_flips_word(flips, slab, number) ^= (uint64_t)1 << number % 64;
        set += (size_t)fph_flips_bit(flips, slab, number);
    }
    return set;
}

/* The same for what a depot parks in slabs of its own heap. */
static size_t
fph_flip_depot(const fph_flips *flips, unsigned bin)
{
    const fph_state *state = flips->state;
    const fph_link  *link  = fph_stack_top(state, &state->depots[bin].full);
    size_t           left  = fph_depot_count(state, bin);
    size_t           set   = 0;

    for (; link != NULL && left > 0; left--) {
        const fph_magazine *full = (const fph_magazine *)(const void *)link;

        set += fph_flip_slots(flips, bin, full->slot, full->count);
        link = fph_stack_below(state, link);
    }
    return set;
}

/* The same for a bin of a cache. */
static size_t
fph_flip_bin(const fph_flips *flips, const fpheap_cache *cache, unsigned bin)
{
    const fph_magazine *spare = cache->spare[bin];
    void              **base  = cache->bins[bin].base;
    size_t              set;

    set = fph_flip_slots(flips, bin, base,
                         (size_t)(cache->bins[bin].top - base));
    if (spare != NULL)
        set += fph_flip_slots(flips, bin, spare->slot, spare->count);
    return set;
}

/* The same for all that is parked. */
static size_t
fph_flip_parked(const fph_flips *flips, unsigned bins)
{
    size_t              set = 0, seat = 0;
    const fpheap_cache *cache;
    unsigned            bin;

    for (bin = 0; bin < bins; bin++)
        set += fph_flip_depot(flips, bin);
    while ((cache = fph_cache_next(flips->state, &seat)) != NULL)
        for (bin = 0; bin < bins; bin++)
            set += fph_flip_bin(flips, cache, bin);
    return set;
}

/* Turn all back. */
static void
fph_flips_end(const fph_flips *flips, unsigned bins)
{
    if (flips->own == NULL)
        fph_flip_parked(flips, bins);
    else
        fph_flips_apart_end(flips);
}

/* Each check returns NULL, or what is wrong. */

/* The groups that sweeps look at, each listed once. */
static const char *
fph_check_groups(fpheap *heap)
{
    const fph_state *state = heap->state;
    size_t           i;

    for (i = 0; i < state->groups_used; i++)
        if (state->groups[i] == 0
            || state->group_at[state->groups[i] - 1] != i + 1)
            return "F9: a group is listed twice, or not where it says";
    return NULL;
}

/* The listed slabs must be those in the stacks, each in its bin's stack; and a
 * depot as deep as it says. */
static const char *
fph_check_lists(fpheap *heap)
{
    const fph_state *state  = heap->state;
    size_t           listed = 0, found = 0, at = 0, left;
    const fph_slab  *slab;
    const fph_link  *link;
    unsigned         bin;

    while ((slab = fph_record_next(state, &at)) != NULL)
        if (fph_info_kind(slab->info) == FPH_SLAB)
            listed += slab->state & 1;
    for (bin = 0; bin < heap->bins; bin++) {
        link = fph_stack_top(state, &state->depots[bin].partial);
        for (; link != NULL; link = fph_stack_below(state, link)) {
            slab = (const fph_slab *)(const void *)link;
            if (fph_info_kind(slab->info) != FPH_SLAB
                || fph_info_bin(slab->info) != bin || (slab->state & 1) == 0
                || found++ > listed)
                return "S1: a stack has a slab that is not of its bin";
        }
        left = fph_depot_count(state, bin);
        link = fph_stack_top(state, &state->depots[bin].full);
        for (; link != NULL && left > 0; left--)
            link = fph_stack_below(state, link);
        if (link != NULL || left != 0)
            return "D2: a depot has other magazines than it says";
    }
    return listed == found ? NULL : "S1: a listed slab is in no stack";
}

static const char *
fph_check_slab(const fpheap *heap, const fph_slab *slab)
{
    unsigned         bin   = fph_info_bin(slab->info);
    const fph_class *klass = fph_bin_class(heap->state, bin);
    size_t           set   = fph_slab_bits(slab);

    if (bin >= heap->bins || klass->size != slab->size
        || fph_info_count(slab->info) != klass->count
        || fph_bin_node(bin) != fph_chunk_of_page(heap->state,
                                                  slab->page)->node)
        return "a slab's record is not that of its bin";
    if (set == SIZE_MAX)
        return "a slab has bits above its last object";
    if (fph_slab_free_objects(slab->state) != (int64_t)set)
        return "S2: a slab's number of free objects is not that of its bits";
    if (set != 0 && (slab->state & 1) == 0)
        return "S4: a slab with free objects is not listed";
    return NULL;
}

/* The record of a page, and the pages that it covers. */
static const char *
fph_check_record(const fpheap *heap, const fph_slab *record, size_t page)
{
    const fph_state *state = heap->state;
    size_t           end   = page + fph_info_pages(state, record->info);
    size_t           at;

    if (record->page != page)
        return "a record is not that of its page";
    for (at = page; at < end; at++)
        if (at > state->mask || fph_first_of(state, at) != page)
            return "N1: a page does not lead to the record that covers it";
    return fph_info_kind(record->info) != FPH_SLAB ? NULL
         : fph_check_slab(heap, record);
}

/* What covers a page, by the record that it leads to; 0: nothing. */
static uint64_t
fph_page_info(const fph_state *state, size_t page)
{
    size_t   first = fph_first_of(state, page);
    uint64_t info  = fph_info_load(fph_record_at(state, first));

    return page - first < fph_info_pages(state, info) ? info : 0;
}

/* A page, which a record must cover, or none. */
static const char *
fph_check_page(const fpheap *heap, size_t page, int used)
{
    const fph_state *state  = heap->state;
    const fph_slab  *record = fph_record_at(state, page);
    uint64_t         info   = fph_page_info(state, page);
    unsigned         kind   = fph_info_kind(info);
    const char      *wrong  = NULL;

    if (used != (kind != FPH_NOTHING))
        return used ? "F1: a page is in no place"
                    : "F1: a page is in two places";
    if (fph_info_load(record) != FPH_NOTHING)
        wrong = fph_check_record(heap, record, page);
    if (wrong == NULL
        && state->map[page] != (kind == FPH_SLAB ? fph_info_bin(info)
                                                   * FPH_BIN_STEP : 0))
        wrong = kind == FPH_SLAB ? "a page of a slab is not in the map"
              : "a page that is in no slab leads to a bin";
    return wrong;
}

/* Whether an address is in a block: in a page of META's, or outside of all
 * regions. */
static int
fph_is_meta(const fph_state *state, const void *at)
{
    int         is = fph_is_meta_page(state, at);
    const char *block;
    size_t      i  = 0;

    while (!is && (block = fph_block_next(state, &i)) != NULL)
        is = (uintptr_t)at - (uintptr_t)block < FPHEAP_CHUNK;
    return is;
}

/* The records that a chunk has. */
static const char *
fph_check_records(const fph_state *state, const fph_records *records)
{
    unsigned i;

    if (!fph_is_meta(state, records))
        return "F1: a chunk's records are in no block";
    if (fph_meta_at(state, records->link.self) != records)
        return "a record's reference does not name it";
    for (i = 0; i < FPH_PAGES; i++) {
        const fph_slab *slab = &records->slab[i];

        if (fph_info_load(slab) != FPH_NOTHING
            && fph_meta_at(state, slab->link.self) != slab)
            return "a record's reference does not name it";
    }
    return NULL;
}

static const char *
fph_check_chunk(const fpheap *heap, const fph_chunk *chunk)
{
    const fph_state *state = heap->state;
    size_t           page  = (size_t)(chunk - state->chunks) * FPH_PAGES;
    uint64_t         free  = state->free[page / FPH_PAGES];
    uint64_t         used  = chunk->present & ~(free | chunk->meta);
    const char      *wrong = NULL;
    unsigned         i;

    if (chunk->base == NULL)
        return (free | chunk->present) == 0 && chunk->records == NULL ? NULL
             : "G1: a chunk that is not here has pages or records";
    if (chunk->present == 0)
        return "G1: a chunk that is here has no pages";
    if (fph_chunk_of(state, (void *)fph_chunk_address(chunk)) != chunk)
        return "a chunk is not in the place of its address";
    if ((unsigned)chunk->node >= heap->nodes)
        return "a chunk is of no node";
    if ((free & chunk->meta) != 0)
        return "F1: a free page is META's";
    if (((free | chunk->meta) & ~chunk->present) != 0)
        return "F1: a page that is here is in no region";
    if (chunk->records != NULL)
        wrong = fph_check_records(state, chunk->records);
    for (i = 0; i < FPH_PAGES && wrong == NULL; i++)
        wrong = fph_check_page(heap, page + i, (int)(used >> i & 1));
    return wrong;
}

static const char *
fph_check_chunks(fpheap *heap)
{
    const char *wrong = NULL;
    size_t      at;

    for (at = 0; at < fph_positions(heap->state) && wrong == NULL; at++) {
        const fph_chunk *chunk = fph_chunk_at(heap->state, at);

        if (chunk != NULL)
            wrong = fph_check_chunk(heap, chunk);
    }
    return wrong;
}

/* The pages of a region: *here grows by those in the table. */
static const char *
fph_check_region(const fph_state *state, const fpheap_region *raw, size_t *here)
{
    char    *base  = NULL;
    size_t   pages = fph_whole_pages(raw, &base);
    fph_part part  = fph_parts((uintptr_t)base, pages);

    while (fph_part_next(state, &part)) {
        size_t chunk = part.page >> FPH_PAGE_BITS;

        if (!fph_part_is_here(state, &part))
            continue;
        *here += fph_popcount(state->chunks[chunk].present & part.mask);
        if (fph_position_of(state, chunk) >= fph_positions(state))
            return "F8: a chunk that is here is in no group";
    }
    return NULL;
}

/* The regions have all pages that are here, each once, and all bytes that are
 * counted, but for those that are lost or that the watcher forbids. */
static const char *
fph_check_regions(fpheap *heap)
{
    const fph_state *state = heap->state;
    size_t           pages = 0, here = 0, at = 0, i;
    uint64_t         bytes = 0, hidden = state->lost;
    const char      *wrong = NULL;
    const fph_chunk *chunk;

    for (i = 0; i < fph_region_count(state) && wrong == NULL; i++) {
        const fph_region *region = &state->region[i];

        if (region->shown == 0) {
            hidden += region->used != 0;
            continue;
        }
        if (region->used == 0)
            return "G5: a region is shown in an unused slot";
        wrong = fph_check_region(state, &region->raw, &pages);
        bytes += region->raw.bytes;
    }
    while ((chunk = fph_chunk_next(state, &at)) != NULL)
        here += fph_popcount(chunk->present);
    if (wrong == NULL && here != pages)
        wrong = "F1: a page is in no region, or in two";
    if (wrong == NULL && bytes != state->region_bytes
        && (hidden == 0 || bytes > state->region_bytes))
        wrong = "the regions' bytes are not those that are counted";
    return wrong;
}

/* Records that no chunk has. */
static const char *
fph_check_unused(fpheap *heap)
{
    const fph_state *state = heap->state;
    const fph_link  *link  = fph_stack_top(state, &state->records.word);

    for (; link != NULL; link = fph_stack_below(state, link)) {
        const fph_records *records = (const fph_records *)(const void *)link;
        size_t             chunk   = records->chunk;

        if (chunk <= state->mask >> FPH_PAGE_BITS && fph_is_open(state, chunk)
            && state->chunks[chunk].records == records)
            return "a chunk's records are in the stack of unused ones";
    }
    return NULL;
}

/* What slabs and magazines have against what is counted. */
static const char *
fph_check_sums(fpheap *heap)
{
    const fph_state    *state = heap->state;
    fph_census          census;
    const fpheap_stats *s     = &census.stats;
    fph_flips           flips;
    size_t              parked;
    unsigned            i;

    if (!fph_flips_begin(&flips, heap))
        return "there is no memory for a look at what is parked";
    parked = fph_flip_parked(&flips, heap->bins);
    fph_flips_end(&flips, heap->bins);
    fph_census_take(heap, &census);
    if (parked != s->parked_objects - census.classes[0].parked_objects)
        return "D1: a parked object is no object of its bin, parked twice, or "
               "free";
    for (i = 0; i < FPHEAP_MAX_POOLS; i++) {
        const fpheap_pool        *pool    = state->pool[i];
        const fpheap_class_stats *klass   = &census.classes[FPH_SIZES + i];
        size_t                    claimed = klass->live_objects
                                          + klass->parked_objects;
        int is = pool != NULL
               && state->pool_is[i] % 8 != FPH_POOL_FREE;

        if (is ? pool->slabs != klass->slabs
                 || pool->objects != claimed + klass->free_objects
               : klass->slabs != 0)
            return "Q2: a pool's number of objects is not that of its slabs";
        if (is && (uint32_t)pool->quota != claimed)
            return "Q1: a pool's quota is not what has left its slabs";
    }
    if (state->water[0].marks.crossed != NULL
        && state->claimed != s->live_bytes + s->parked_bytes)
        return "U4: what is claimed is not what is live or parked";
    return s->live_bytes + s->parked_bytes + s->slab_free_bytes
           + s->page_free_bytes + s->waste_bytes + s->metadata_bytes
           == s->region_bytes ? NULL : "the bytes of the regions do not add up";
}

/* The bytes of all regions: by backing, and against the limit. */
static const char *
fph_check_bytes(fpheap *heap)
{
    const fph_state *state  = heap->state;
    uint64_t         backed = 0;
    unsigned         i;

    for (i = 0; i < 4; i++)
        backed += state->backing_bytes[i];
    if (backed != state->region_bytes)
        return "the bytes by backing do not add up";
    return state->left == fph_limit_bytes(state->limit) - state->region_bytes
         ? NULL : "G13: what is left of the limit is not what regions leave";
}

/* Each needs what those before it have looked at. */
static const char *(*const fph_checks[])(fpheap *heap) = {
    fph_check_groups,  fph_check_lists, fph_check_chunks, fph_check_sums,
    fph_check_regions, fph_check_bytes, fph_check_unused
};

FPHEAP_API const char *
fpheap_check(fpheap *heap)
{
    const char *wrong = NULL;
    size_t      i;

    if (!fph_heap_good(heap))
        return "there is no heap";
    FPH_INSIDE(heap);
    (void)fph_orphans_adopt(heap);
    for (i = 0; i < sizeof fph_checks / sizeof *fph_checks && wrong == NULL;
         i++)
        wrong = fph_checks[i](heap);
    return wrong;
}

/* --- walk ----------------------------------------------------------------- */

/* A walk over objects, and where it is. */
typedef struct fph_walk {
    fpheap   *heap;
    unsigned  k;               /* only this class; 0: all */
    int       all;             /* also what is parked or free */
    size_t    at;              /* of the next record */
    fph_slab *record;          /* NULL: before the first */
    size_t    number;          /* of the next object in it */
    fph_flips flips;           /* if not all are shown */
} fph_walk;

/* Returns 0, or -ENOMEM, which one that shows all never does. */
static int
fph_walk_begin(fph_walk *walk, fpheap *heap, unsigned k, int all)
{
    memset(walk, 0, sizeof *walk);
    walk->heap = heap;
    walk->k = k;
    walk->all = all;
    (void)fph_orphans_adopt(heap);
    if (all)
        return 0;
    if (!fph_flips_begin(&walk->flips, heap))
        return -ENOMEM;
    (void)fph_flip_parked(&walk->flips, heap->bins);
    return 0;
}

static void
fph_walk_end(const fph_walk *walk)
{
    if (!walk->all)
        fph_flips_end(&walk->flips, walk->heap->bins);
}

/* Whether an object of what covers its record's pages is one to show. */
static int
fph_walk_shows(const fph_walk *walk, uint64_t info, size_t number)
{
    if (fph_info_kind(info) == FPH_LARGE)
        return walk->k == 0;
    return (walk->k == 0 || walk->k == fph_info_bin(info) % FPH_CLASSES)
        && (walk->all
            || !fph_flips_bit(&walk->flips, walk->record, number));
}

/* The next object.  Returns 0: there is none. */
static int
fph_walk_next(fph_walk *walk, fpheap_object *object)
{
    const fph_state *state = walk->heap->state;

    for (;;) {
        uint64_t info  = fph_info_load(walk->record);
        size_t   i     = walk->number++;
        size_t   count = fph_info_kind(info) == FPH_SLAB ? fph_info_count(info)
                       : fph_info_kind(info) == FPH_LARGE;

        if (i >= count) {
            walk->record = fph_record_next(state, &walk->at);
            walk->number = 0;
            if (walk->record == NULL)
                return 0;
        } else if (fph_walk_shows(walk, info, i)) {
            object->base = walk->record->base + i * walk->record->size;
            object->bytes = fph_info_bytes(state, info)
                          - fph_slack_of(state, object->base);
            object->node = fph_chunk_of_page(state, walk->record->page)->node;
            return 1;
        }
    }
}

FPHEAP_API int
fpheap_walk(fpheap *heap, int (*visit)(void *arg, const fpheap_object *object),
            void *arg)
{
    fpheap_object object;
    fph_walk      walk;
    int           rc;

    if (fph_is_view(heap))
        return fph_view_objects(heap, visit, arg);
    if (!fph_heap_good(heap))
        return -EINVAL;
    FPH_INSIDE(heap);
    rc = fph_walk_begin(&walk, heap, 0 /* every class */, 0 /* all */);
    if (rc != 0)
        return rc;
    while (rc == 0 && fph_walk_next(&walk, &object))
        rc = visit(arg, &object);
    fph_walk_end(&walk);
    return rc;
}

FPHEAP_API int
fpheap_region_walk(fpheap *heap,
                   int (*visit)(void *arg, const fpheap_region *region),
                   void *arg)
{
    fph_region   *region;
    fpheap_region raw;
    size_t        i  = 0;
    int           rc = 0;

    if (!fph_heap_good(heap))
        return -EINVAL;
    FPH_INSIDE(heap);
    fph_this.walks++;
    for (; rc == 0 && (region = fph_region_next(heap->state, &i)) != NULL;
         fph_region_unkeep(region)) {
        raw = region->raw;
        rc = visit(arg, &raw);
    }
    fph_this.walks--;
    return rc;
}

/* Verify a heap at rest, and its free objects that are filled. */
static void
fph_verify_heap(fpheap *heap)
{
    const char   *wrong = fpheap_check(heap);
    fph_walk      walk;
    fpheap_object object;

    (void)fph_walk_begin(&walk, heap, 0 /* every class */, 1 /* all */);
    /* Threads that are gone may have left it so. */
    if (wrong != NULL && !heap->state->forked)
        FPHEAP_PANIC(wrong);
    while (wrong == NULL && fph_walk_next(&walk, &object))
        fph_verify_free(heap, object.base, object.bytes);
}

FPHEAP_API int
fpheap_pool_for_each(fpheap_pool *pool, fpheap_which which,
                     int (*visit)(void *arg, void *object), void *arg)
{
    fpheap_object object;
    fph_walk      walk;
    int           rc;

    FPH_INSIDE(pool->heap);
    rc = fph_walk_begin(&walk, pool->heap, FPH_SIZES + pool->number,
                        which == FPHEAP_ALL);
    if (rc != 0)
        return rc;
    while (rc == 0 && fph_walk_next(&walk, &object))
        rc = visit(arg, object.base);
    fph_walk_end(&walk);
    return rc;
}

/* [HEAP] ===================================================================
 *
 * How a heap begins and ends.
 */

/* What a child asks its parent for.  (Without a system its state is in its
 * first region.) */
#define FPH_CHILD_UNIT (FPHEAP_NO_OS ? FPH_PAGES : FPH_PAGES / 8)

/* 0, or why this configuration cannot work. */
static int
fph_config_error(const char *name, const fpheap_config *config)
{
    size_t least = (size_t)(config->parent != NULL ? FPH_CHILD_UNIT : FPH_PAGES)
                 << FPHEAP_PAGE_SHIFT;

    if (strlen(name) >= FPHEAP_NAME_BYTES)
        return -ENAMETOOLONG;
    if (config->nodes > FPHEAP_MAX_NODES
        || (config->flags & ~FPHEAP_SPILL) != 0
        || (config->growth_max != 0 && config->growth_max < least)
        || (config->limit != 0 && config->limit < 2 * least)
        || !fph_water_good(&config->water, config->limit)
        || (config->provider != NULL && config->provider->get == NULL)
        || (config->provider != NULL && config->parent != NULL)
        || (config->provider == NULL && config->parent == NULL && FPHEAP_NO_OS))
        return -EINVAL;
    return config->parent != NULL
        && (!fph_heap_good(config->parent) || fph_is_shared(config->parent)
            || config->nodes > config->parent->nodes) ? -EINVAL : 0;
}

/* Where a heap's memory comes from. */
static void
fph_configure_memory(fpheap *heap, const fpheap_config *config)
{
    heap->parent = config->parent;
    heap->unit = config->parent != NULL ? FPH_CHILD_UNIT : FPH_PAGES;
    heap->growth_max = config->growth_max != 0 ? config->growth_max
                                               : (size_t)1 << 30;
    heap->watch = config->watch;
    heap->watch_ctx = config->watch_ctx;
    if (config->parent != NULL)
        fph_provider_child(heap);
    else if (config->provider != NULL)
        heap->provider = *config->provider;
#if !FPHEAP_NO_OS
    else
        fpheap_provider_mmap(&heap->provider, 0);
#endif
    if (heap->watch != NULL) { /* it sees regions leave whole, as they came, and
                                  a device uses the very pages that it saw */
        heap->provider.flags &= ~FPHEAP_PARTS;
        heap->provider.decommit = NULL;
        heap->provider.huge = NULL;
    }
}

static void
fph_configure(fpheap *heap, const char *name, const fpheap_config *config)
{
    unsigned most  = config->parent != NULL ? config->parent->nodes
                                            : FPHEAP_MAX_NODES;
    unsigned nodes = config->nodes;
    fph_name words = fph_name_of(name);
    unsigned i;

    memset(heap, 0, sizeof *heap);
    fph_map_set(heap, fph_no_map, 0);
    if (nodes == 0 && config->thread_node == NULL)
        nodes = fph_numa_nodes();
    if (nodes > most)
        nodes = most;
    heap->nodes = nodes == 0 ? 1 : nodes;
    heap->bins = heap->nodes * FPH_CLASSES;
    heap->sized_max = heap->nodes == 1 ? FPH_SIZED_MAX : 0;
    heap->flags = config->flags;
    fph_known_init(heap);
    heap->thread_node = config->thread_node;
    heap->thread_node_ctx = config->thread_node_ctx;
    fph_configure_memory(heap, config);
    memcpy(heap->name, &words, sizeof words);
    for (i = 0; i < FPHEAP_NAME_BYTES / 8; i++)
        fph_store_relaxed(&fph_heap_name[heap - fph_heaps][i], words.word[i]);
}

/* Build the state, and use the first region.  Returns 0, or a negative
 * errno. */
static int
fph_state_init(fpheap *heap, const fpheap_region *raw, size_t limit)
{
    fph_state *state = fph_state_new(heap, raw);
    int        rc;

    if (state == NULL)
        return -ENOMEM;
    state->number = fph_is_shared(heap) ? FPH_SHARED
                                        : (unsigned)(heap - fph_heaps);
    state->meta_numbers = 1;
    state->growths = 1;
    if (heap->provider.iova != NULL)
        state->alone = heap->parent == NULL ? 1 : 2; /* its chunk's are one */
    state->limit = limit;
    state->left = fph_limit_bytes(limit) - raw->bytes;
    fph_classes_init(state);
    rc = fph_region_enter(heap, state, fph_region_slot(state), raw,
                          fph_state_pages(heap, state, raw));
    if (rc != 0) {
        fph_state_end(state);
        return rc;
    }
    fph_map_set(heap, state->map, state->mask);
    FPH_STORE(&heap->state, state, RELAXED);
    return 0;
}

/* Get two units, or one, and make a heap of them.  Returns 0, or a negative
 * errno: nothing is left. */
static int
fph_heap_begin(fpheap *heap, size_t limit)
{
    fph_need      need = { 1, 1, 0, NULL };
    fpheap_region raw;
    int           rc   = fph_obtain(heap, 0 /* node */, need, 2 /* units */,
                                    &raw);

    if (rc != 0)
        return rc;             /* without a state nothing was charged */
    rc = limit != 0 && raw.bytes > limit ? -ENOSPC
       : fph_state_init(heap, &raw, limit);
    if (rc != 0)
        fph_part_with(heap, &raw);
    return rc;
}

/* Take the caches of a heap that ends from their threads, H1. */
static void
fph_caches_end(const fph_state *state)
{
    fpheap_cache *cache;
    size_t        seat = 0;

    while ((cache = fph_cache_next(state, &seat)) != NULL)
        if (cache->entry != NULL)                                   /* H5 */
            fph_entry_set(cache->entry, fph_no_bins, fph_no_bins);
}

/* Destruct the objects of all pools, as the heap ends. */
static void
fph_pools_end(fpheap *heap)
{
    const fph_state *state = heap->state;
    fpheap_object    object;
    fph_walk         walk;
    unsigned         i;

    for (i = 0; i < FPHEAP_MAX_POOLS; i++) {
        const fpheap_pool *pool = state->pool[i];

        if (fph_load_relaxed(&state->pool_is[i]) % 8 < FPH_POOL_NAMED
            || pool->destruct == NULL)
            continue;
        (void)fph_walk_begin(&walk, heap, FPH_SIZES + i, 1 /* all */);
        while (fph_walk_next(&walk, &object))
            fph_pool_destruct(pool, (char *)object.base, 0, 1);
    }
}

/* Give back a region at the heap's end. */
static void
fph_region_end(const fpheap *heap, const fph_region *region)
{
    FPH_TOOL_ALLOW(region->raw.base, region->raw.bytes);
    if (region->shown != 0)
        fph_part_with(heap, &region->raw);
    else
        fph_provider_put(heap, &region->raw);
}

/* Give all regions back, last the one in which the state lies, if any does. */
static void
fph_regions_end(fpheap *heap)
{
    fph_state *state = heap->state;
    fph_region last;
    size_t     i;

    memset(&last, 0, sizeof last);
    fph_blocks_end(state);
    for (i = 0; i < fph_region_count(state); i++) {
        const fph_region *region = &state->region[i];

        if (region->shown == 0 && region->used != FPH_BARRED)
            continue;          /* unused, or lost by a fork, G2 */
        if ((uintptr_t)state - (uintptr_t)region->raw.base < region->raw.bytes)
            last = *region;
        else
            fph_region_end(heap, region);
    }
    FPH_STORE(&heap->state, (fph_state *)NULL, RELAXED);
    fph_map_set(heap, fph_no_map, 0);
    fph_known_init(heap);
    fph_state_end(state);
    if (last.used != 0)
        fph_region_end(heap, &last);
}

/* A child of a heap, from number *at on, which then is the next.  NULL: there
 * is none.  (It may have no memory, so the heap's records do not tell.) */
static fpheap *
fph_child_next(const fpheap *heap, unsigned *at)
{
    while (*at < FPHEAP_MAX_HEAPS)
        if (fph_load_relaxed(&fph_heap_within[(*at)++])
            == 1 + (uint64_t)(heap - fph_heaps))
            return &fph_heaps[*at - 1];
    return NULL;
}

/* Whether objects of a heap are live, or it has children of the
 * application's. */
static int
fph_heap_lives(fpheap *heap)
{
    fph_census    census;
    const fpheap *child;
    unsigned      at = 0;

    while ((child = fph_child_next(heap, &at)) != NULL)
        if (child != heap->emergency)
            return 1;
    fph_census_take(heap, &census);
    return census.stats.live_objects != 0
        || (heap->emergency != NULL && fph_heap_lives(heap->emergency));
}

/* Whether this thread is in a callback of a heap, or of a child of its
 * children. */
static int
fph_calls_back(const fpheap *heap)
{
    const fph_frame *at = fph_this.frames;

    for (; at != NULL; at = at->outer) {
        const fpheap *of = (at->what & FPH_IN_CALLBACK) != 0 ? at->heap : NULL;

        while (of != NULL && of != heap)
            of = of->parent;
        if (of != NULL)
            return 1;
    }
    return 0;
}

/* A heap is no child any more; or nobody can end it, as a thread was doing that
 * when the process forked. */
static void
fph_child_forget(const fpheap *heap)
{
    fph_store_relaxed(&fph_heap_within[heap - fph_heaps], 0);
}

/* No thread has a cache of the heap, and no child lives. */
static void
fph_heap_end(fpheap *heap)
{
    fph_frame frame = { FPH_IN_PASS, heap, NULL, fph_this.frames };

    heap->state->ends = 1;
    fph_this.frames = &frame;  /* no pass destructs what ends here */
    fph_pools_end(heap);
    fph_this.frames = frame.outer;
    fph_regions_end(heap);
    fph_child_forget(heap);
    fph_number_give(&fph_heap_used[heap - fph_heaps]);
}

static int
fph_destroy(fpheap *heap, int forced)
{
    fph_word *gate;
    fpheap   *child;
    unsigned  at = 0;
    int       ends;

    if (!fph_heap_good(heap) || fph_is_shared(heap))
        return -EINVAL;        /* for those: fpheap_close, fpheap_unlink */
    if (heap->state->ends || fph_calls_back(heap))
        return -EBUSY;
    (void)fph_orphans_adopt(heap);
    gate = &fph_gates[heap->state->number];
    while (!fph_gate_enter(gate, FPH_DESTROY))
        fph_yield();
    if (FPHEAP_CHECK > 1)
        fph_verify_heap(heap);
    ends = forced || !fph_heap_lives(heap);
    if (ends)
        fph_caches_end(heap->state);
    fph_store_release(gate, 0);                                     /* H7 */
    if (!ends) {
        fph_sites_report(heap);
        return -EBUSY;
    }
    /* Outside the gate, as a destructor may wait for a thread that exits, or
     * destroy another heap. */
    while ((child = fph_child_next(heap, &at)) != NULL) {
        fph_child_forget(child);
        if (child->state != NULL)
            (void)fph_destroy(child, 1 /* forced */);
    }
    fph_heap_end(heap);
    return 0;
}

FPHEAP_API int
fpheap_destroy(fpheap *heap)
{
    return fph_destroy(heap, 0);
}

FPHEAP_API int
fpheap_destroy_forced(fpheap *heap)
{
    return fph_destroy(heap, 1);
}

/* --- create --------------------------------------------------------------- */

/* Give a heap what it is to have from the beginning, first its parent.  Returns
 * 0, or a negative errno. */
static int
fph_heap_ahead(fpheap *heap, const fpheap_config *config)
{
    size_t        bytes = config->emergency;
    fpheap_config child;
    int           rc    = 0;

    if (heap->parent != NULL)
        fph_store_relaxed(&fph_heap_within[heap - fph_heaps],
                          1 + (uint64_t)(heap->parent - fph_heaps));
    if (config->reserve != 0)
        rc = fpheap_reserve(heap, config->reserve, fph_thread_node(heap));
    heap->reserve = config->reserve;
    if (rc != 0 || bytes == 0)
        return rc;
    memset(&child, 0, sizeof child);
    child.parent = heap;
    child.reserve = bytes + bytes / 8 + FPHEAP_CHUNK;
    heap->emergency = fpheap_create("emergency", &child);
    if (heap->emergency == NULL)
        return -errno;
    heap->emergency->critical = 1;
    heap->emergency->critical_left = bytes;
    fph_limit_set(heap->emergency->state,
                  fph_load_relaxed(&heap->emergency->state->region_bytes));
    return 0;
}

FPHEAP_API fpheap *
fpheap_create(const char *name, const fpheap_config *config)
{
    fpheap_config defaults;
    fpheap       *heap;
    unsigned      index;
    int           rc;

    memset(&defaults, 0, sizeof defaults);
    if (config == NULL)
        config = &defaults;
    if (name == NULL)
        name = "heap";
    rc = fph_config_error(name, config);
    if (rc != 0)
        return (fpheap *)fph_result(rc, NULL);
    index = fph_number_take(fph_heap_used, FPHEAP_MAX_HEAPS);
    if (index == FPHEAP_MAX_HEAPS)
        return (fpheap *)fph_result(-ENFILE, NULL);
    heap = &fph_heaps[index];
    fph_configure(heap, name, config);
    rc = fph_heap_begin(heap, config->limit);
    if (rc != 0) {
        fph_number_give(&fph_heap_used[index]);
        return (fpheap *)fph_result(rc, NULL);
    }
    fph_water_open(heap, 0, &config->water);
    rc = fph_heap_ahead(heap, config);
    if (rc != 0)
        (void)fpheap_destroy_forced(heap);
    return (fpheap *)fph_result(rc, heap);
}

FPHEAP_API const char *
fpheap_config_string(void)
{
    return "FPHEAP_CHUNK_SHIFT=" FPH_TEXT(FPHEAP_CHUNK_SHIFT)
           " pages=" FPH_TEXT(FPH_PAGES)
           " FPHEAP_CLASS_BITS=" FPH_TEXT(FPHEAP_CLASS_BITS)
           " FPHEAP_MAGAZINE=" FPH_TEXT(FPHEAP_MAGAZINE)
           " FPHEAP_MAX_NODES=" FPH_TEXT(FPHEAP_MAX_NODES)
           " FPHEAP_MAX_HEAPS=" FPH_TEXT(FPHEAP_MAX_HEAPS)
           " FPHEAP_MAX_POOLS=" FPH_TEXT(FPHEAP_MAX_POOLS)
           " FPHEAP_MAX_THREADS=" FPH_TEXT(FPHEAP_MAX_THREADS)
           " FPHEAP_NO_THREADS=" FPH_TEXT(FPHEAP_NO_THREADS)
           " FPHEAP_NO_OS=" FPH_TEXT(FPHEAP_NO_OS)
           " FPHEAP_NO_STDIO=" FPH_TEXT(FPHEAP_NO_STDIO)
           " FPHEAP_USE_LIBNUMA=" FPH_TEXT(FPHEAP_USE_LIBNUMA)
           " FPHEAP_GROWTH_WAIT_MS=" FPH_TEXT(FPHEAP_GROWTH_WAIT_MS)
           " FPHEAP_HEADER=" FPH_TEXT(FPHEAP_HEADER)
           " FPHEAP_TAGS=" FPH_TEXT(FPHEAP_TAGS)
           " FPHEAP_CHECK=" FPH_TEXT(FPHEAP_CHECK)
           " FPHEAP_SITES=" FPH_TEXT(FPHEAP_SITES)
           " FPHEAP_TOOL=" FPH_TEXT(FPHEAP_TOOL)
           " FPHEAP_TLS_MODEL=" FPH_TEXT(FPHEAP_TLS_MODEL)
           " FPHEAP_SHARED=" FPH_TEXT(FPHEAP_SHARED)
           " FPHEAP_EXPORT=" FPH_TEXT(FPHEAP_EXPORT);
}

/* [SHARED] =================================================================
 *
 * Heaps that several processes share.  A partition is a file that each process
 * maps at the same address, so pointers in it mean the same to all.
 *
 *     base                 + head                        + bytes
 *     | fph_partition, CALL | state, tables | pages ...  |
 *     |<------------- the first region ------->| others: chunks when needed
 *
 * Locks of the file tell who is alive, each of one byte, which the system gives
 * up when a process ends.  They are open file description locks: a thread, a
 * fork, or another open in the same process does not drop them.
 *
 *     byte              who has it
 *     0 .. 511          the member of this number; while it is cleaned up
 *                       after, the cleaner
 *     512               a process that cleans up to get a place
 *     513               a process that makes a heap in a file that exists
 *     576 .. 1087       a process that only reads
 *
 * A partition begins without a name, W1: an unnamed file, its length, memory
 * for its head, the mapping, the head, the state, the first region, the first
 * member; then the name.  A creator that is killed leaves nothing, and of two
 * that meet one opens the other's.
 *
 * Whoever opens one reads the head as a copy, compares settings, maps the file
 * where it says, takes the first place whose byte is not locked and whose
 * member is not there, and cleans up after those that are there and not locked.
 *
 * Where a member is killed, and what is left of it:
 *
 *     before it has a place   nothing
 *     with a place            its lock is free and `is` is not 0: whoever looks
 *                             next gets the lock, and is its one cleaner
 *     as the cleaner          two locks are free, its own and the dead's;
 *                             whoever waits for the cleaner goes on (W4)
 *     on its way out          `is` is 0 and its threads have no slots, or it is
 *                             as above
 *
 * Each process's own are: the handle and what is in it, its pools' handles with
 * their callbacks, fph_table, which leads its threads to their caches, seats,
 * and how deep a thread is in calls.  cache->heap and cache->entry, which are
 * addresses of one process, only the cache's own thread follows, and a cleaner
 * after it has written its own there.
 *
 *   W1  Whoever finds the name of a partition finds a heap that works.
 *   W2  A chunk has memory from before a region gets it until after it has left
 *       all regions.  So no access ends in SIGBUS, however full the file system
 *       is.
 *   W3  A process is alive while it has the lock of its byte in the file.
 *   W4  One member at a time cleans up: the one that `cleaner` names.  From
 *       FPH_REBUILDING on no thread is inside a call, and none begins one until
 *       all is done: if the cleaner dies, whoever waits for it does it all
 *       again.  Each step can be repeated.
 *   W5  What the dead have left is not looked at step by step: what is certain
 *       decides all else anew.
 *
 *       where                        order    partner  what must be seen
 *   W6  taken: CAS, to claim         acquire  W7       the memory is gone
 *   W7  taken: store 0, to drop      release  W6
 *   W8  magic: store                 release  W9       all of the head
 *   W9  magic: load, of memory that  acquire  W8
 *       the caller has mapped
 *   W10 root: store                  release  W11      what is in the object
 *   W11 root: load                   acquire  W10
 *
 *   W6, W7: a chunk's memory is there before it is claimed for good and gone
 *   before it is dropped; where the file has longer pages it goes when all
 *   chunks of one are dropped, by whoever gets to claim them all.
 *   W8, W9: else the system reads the file, magic in one call, and what it is
 *   to say in the next.
 *   `is` needs no order: who has the lock of a place writes it, who gets the
 *   lock next reads it, and the system orders these; who looks without the lock
 *   asks for the lock next, or shows the number to people.
 *   Everything else in the partition is ordered by the tables of its section,
 *   whatever process a thread is of.
 */
#if FPHEAP_SHARED
/* What a partition begins with, whose digit is the number of the layout; and,
 * in `cleaner`, that the one it names has begun to rebuild: until it is done,
 * or another instead of it, all that calls rely on may be half changed. */
#define FPH_MAGIC       0x7032706165687066u    /* "fpheap2p" */
#define FPH_REBUILDING  ((uint64_t)1 << 63)
#define FPH_CLEANER     1024u /* more than any member + 1 */

/* --- its memory -----------------------------------------------------------
 *
 * The provider of a partition hands out chunks of the file, each for itself.
 * It is as lock-free as the rest: of two members that claim a run one gets it,
 * and the other gives back what it had of it and looks on.  A member that dies
 * in between leaves chunks without a region, which a cleaner finds.
 */

static inline size_t
fph_partition_chunks(const fph_partition *partition)
{
    return partition->bytes >> FPHEAP_CHUNK_SHIFT;
}

/* Other members may have these chunks: nobody uses what is behind them. */
static void
fph_taken_drop(fph_partition *partition, size_t first, size_t end)
{
    for (; first < end; first++)
        FPH_STORE(&partition->taken[first], (uint8_t)0, RELEASE);   /* W7 */
}

/* Claim chunks.  Returns 0: one of them is taken. */
static int
fph_taken_claim(fph_partition *partition, size_t first, size_t end)
{
    size_t at;

    for (at = first; at < end; at++) {
        uint8_t none = 0;

        if (!FPH_CAS_PTR(&partition->taken[at], &none, (uint8_t)1,
                         ACQUIRE)) {                                /* W6 */
            fph_taken_drop(partition, first, at);
            return 0;
        }
    }
    return 1;
}

/* Claim n chunks in a row, where `at` is if possible.  Returns the first, or
 * SIZE_MAX. */
static size_t
fph_taken_find(fph_partition *partition, const char *at, size_t n)
{
    size_t all  = fph_partition_chunks(partition);
    size_t wish = (size_t)(at - partition->base) >> FPHEAP_CHUNK_SHIFT;
    size_t run  = 0;
    size_t i;

    if (at >= partition->base && wish < all && n <= all - wish
        && fph_taken_claim(partition, wish, wish + n))
        return wish;
    for (i = 0; i < all; i++) {
        run = FPH_LOAD(&partition->taken[i], RELAXED) ? 0 : run + 1;
        if (run == n && fph_taken_claim(partition, i + 1 - n, i + 1))
            return i + 1 - n;
    }
    return SIZE_MAX;
}

/* Allocate memory of the file, or free it.  Returns 0, or a negative errno. */
static int
fph_file_change(const fpheap *heap, size_t first, size_t n, int mode)
{
    return heap->partition->fixed ? 0
         : fph_file_allocate(heap->file, mode,
                             heap->start + ((uint64_t)first
                                            << FPHEAP_CHUNK_SHIFT),
                             (uint64_t)n << FPHEAP_CHUNK_SHIFT);
}

/* Put memory behind chunks.  Where the system gives hugepages to whoever asks
 * for them, a first write gets one and fallocate does not; where that fails, so
 * does fallocate, which says why. */
static int
fph_partition_fill(const fpheap *heap, size_t first, size_t n)
{
    char *at  = heap->partition->base + (first << FPHEAP_CHUNK_SHIFT);
    char *end = at + (n << FPHEAP_CHUNK_SHIFT);

    for (; at < end && !heap->partition->fixed;
         at += (size_t)1 << FPH_2MIB_SHIFT)
        (void)madvise(at, 1, FPH_POPULATE);
    return fph_file_change(heap, first, n, 0);
}

/* Free what is behind chunks.  Where the file has longer pages, as soon as all
 * chunks of one are free. */
static void
fph_partition_free(const fpheap *heap, size_t first, size_t n)
{
    fph_partition *partition = heap->partition;
    size_t         unit      = partition->unit;
    size_t         at;

    if (unit == 1) {
        (void)fph_file_change(heap, first, n, FPH_PUNCH);
        fph_taken_drop(partition, first, first + n);
        return;
    }
    fph_taken_drop(partition, first, first + n);
    for (at = first / unit * unit; at < first + n; at += unit) {
        if (!fph_taken_claim(partition, at, at + unit))
            continue;
        (void)fph_file_change(heap, at, unit, FPH_PUNCH);
        fph_taken_drop(partition, at, at + unit);
    }
}

/* The provider of a partition: chunks that no region has, with memory behind
 * them before the heap sees them, W2. */
static int
fph_partition_get(void *ctx, size_t bytes, size_t align, int node,
                  fpheap_region *region)
{
    const fpheap  *heap      = (const fpheap *)ctx;
    fph_partition *partition = heap->partition;
    size_t         n         = bytes >> FPHEAP_CHUNK_SHIFT;
    size_t         first     = fph_taken_find(partition,
                                              (char *)region->base, n);
    int            rc;

    (void)align, (void)node;
    if (first == SIZE_MAX)
        return -ENOMEM;
    rc = fph_partition_fill(heap, first, n);
    if (rc != 0) {             /* it may have got a part of it */
        fph_partition_free(heap, first, n);
        return rc;
    }
    region->base = partition->base + (first << FPHEAP_CHUNK_SHIFT);
    region->bytes = bytes;
    region->backing = FPHEAP_BACKING_UNKNOWN;
    return 0;
}

/* The callback of the process that gets the chunk; others read what it said. */
static uint64_t
fph_partition_iova(void *ctx, const void *chunk)
{
    const fpheap *heap = (const fpheap *)ctx;

    return heap->iova(heap->iova_ctx, chunk);
}

/* It takes any chunks back, FPHEAP_PARTS, and cannot fail. */
static int
fph_partition_put(void *ctx, const fpheap_region *region)
{
    const fpheap *heap = (const fpheap *)ctx;

    fph_partition_free(heap, (size_t)((char *)region->base
                                      - heap->partition->base)
                             >> FPHEAP_CHUNK_SHIFT,
                       region->bytes >> FPHEAP_CHUNK_SHIFT);
    return 0;
}

/* --- members -------------------------------------------------------------- */

/* Ask for the lock of a byte, or whether it could be had.  Returns 0: another
 * process has it. */
static int
fph_lock(const fpheap *heap, size_t byte, int what, short type)
{
    struct flock lock;

    memset(&lock, 0, sizeof lock);
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = (off_t)(heap->start + byte);
    lock.l_len = 1;
    if (fcntl(heap->file, what, &lock) != 0)
        return 0;
    return what != F_OFD_GETLK || lock.l_type == F_UNLCK;
}

/* Whether no process has a member's lock, W3. */
static int
fph_is_dead(const fpheap *heap, unsigned member)
{
    return member != heap->member
        && fph_lock(heap, member, F_OFD_GETLK, F_WRLCK);
}

/* How headers call a member: by when it came and its place, and no two are
 * alike while 2^23 come.  0: there is none. */
static uint32_t
fph_owner_number(const fph_member *member, unsigned place)
{
    uint64_t is = fph_load_relaxed(&member->is);

    return is == 0 ? 0
         : (uint32_t)(is % (UINT32_MAX / FPH_MEMBERS - 1) + 1) * FPH_MEMBERS
           + place;
}

static int
fph_any_corpse(const fpheap *heap)
{
    unsigned i = 0;

    while (i < FPH_MEMBERS
           && (fph_load_relaxed(&heap->partition->member[i].is) == 0
               || !fph_is_dead(heap, i)))
        i++;
    return i < FPH_MEMBERS;
}

/* Get the lock of a place, which has a member or, to come, has none.  Returns
 * 0: another process has the lock, or the place is otherwise. */
static int
fph_place_hold(const fpheap *heap, unsigned place, int member)
{
    const fph_word *is = &heap->partition->member[place].is;

    if ((fph_load_relaxed(is) != 0) != member || place == heap->member
        || !fph_lock(heap, place, F_OFD_SETLK, F_WRLCK))
        return 0;
    if ((fph_load_relaxed(is) != 0) == member)
        return 1;
    fph_lock(heap, place, F_OFD_SETLK, F_UNLCK); /* it has just changed */
    return 0;
}

/* Get the locks of all members that have died.  Returns how many. */
static int
fph_dead_hold(const fpheap *heap, uint8_t *dead)
{
    unsigned i;
    int      n = 0;

    for (i = 0; i < FPH_MEMBERS; i++) {
        dead[i] = (uint8_t)fph_place_hold(heap, i, 1 /* member */);
        n += dead[i];
    }
    return n;
}

/* Let the dead's places go; if they are clean, for others. */
static void
fph_dead_release(const fpheap *heap, const uint8_t *dead, int clean)
{
    fph_partition *partition = heap->partition;
    unsigned       i;

    for (i = 0; i < FPH_MEMBERS; i++) {
        if (!dead[i])
            continue;
        if (clean) {
            fph_store_relaxed(&partition->member[i].calls, 0);
            fph_store_relaxed(&partition->member[i].is, 0);
            fph_fetch_add_relaxed(&partition->recovered, 1);
        }
        fph_lock(heap, i, F_OFD_SETLK, F_UNLCK);
    }
}

/* Wait until a count of calls is 0.  Returns 0: it was not so in time. */
static int
fph_calls_wait(const fph_word *calls, uint64_t until)
{
    while (fph_load_seq_cst(calls) != 0) {                          /* V9 */
        if (fph_now_ns() >= until)
            return 0;
        fph_yield();
    }
    return 1;
}

/* The same for those that the living count with their process, */
static int
fph_member_calls_end(const fpheap *heap, const uint8_t *dead, uint64_t until)
{
    const fph_member *member = heap->partition->member;
    unsigned          i;

    for (i = 0; i < FPH_MEMBERS; i++)
        if (!dead[i] && !fph_calls_wait(&member[i].calls, until))
            return 0;
    return 1;
}

/* and for those that they count with their caches. */
static int
fph_cache_calls_end(const fpheap *heap, const uint8_t *dead, uint64_t until)
{
    fpheap_cache *cache;
    size_t        seat = 0;

    while ((cache = fph_cache_next(heap->state, &seat)) != NULL) {
        uint64_t owner = fph_load_acquire(&fph_slot_of(cache)->owner); /* H15 */

        if (owner != 0 && !dead[owner - 1]
            && !fph_calls_wait(&fph_slot_of(cache)->calls, until))
            return 0;
    }
    return 1;
}

/* Wait until no living thread is in a call.  Returns 0: one of them is, and may
 * be stopped.  A thread gets its cache in a call that is counted with its
 * process; who sees that this call is over (V7, V9) finds the cache, so members
 * come first.  And it may give the cache up in a call, which its process counts
 * from then on, before the cache no longer does; so members come again. */
static int
fph_calls_end(const fpheap *heap, const uint8_t *dead)
{
    uint64_t until = fph_deadline();

    return fph_member_calls_end(heap, dead, until)
        && fph_cache_calls_end(heap, dead, until)
        && fph_member_calls_end(heap, dead, until);
}

/* --- all anew -------------------------------------------------------------
 *
 * What is certain when no thread is in a call, wherever the dead were stopped:
 *
 *     present             a chunk is here from its store on, and no longer from
 *                         when it is 0; a chunk's pages are its region's as a
 *                         whole, since the provider gives whole chunks
 *     info                a record covers its pages from its store on, after
 *                         map, back and bits were written, until it is 0
 *     bits                an object is free when its bit is set
 *     made                has what it had before a CAS or what it has after it
 *     a magazine's count  its objects are in no other place: whoever gives or
 *                         copies them lowers the count first
 *     a living cache      its thread is in no call, so it is whole
 *
 * What follows from that, in the order in which it is computed:
 *
 *     regions, taken      the chunks that are here, each run of them one
 *     magazines           what is in no magazine of a living cache is free: it
 *                         was in a depot, or in the hands of the dead
 *     state, partial      objects that are free, slabs that have some; large
 *                         ones that no living cache parks are free too
 *     pools               sums of their slabs
 *     meta, free, map     pages of blocks; pages that no record covers
 *     records             those that no chunk has are unused
 *
 * Hits go on meanwhile.  They read and write the loaded magazines of their own
 * threads, which stay as they are; read the map, where no word of a page that
 * has live objects changes; and read the geometry of classes.  Nothing else
 * that they touch is in the partition.
 *
 * Why it is not done step by step: each thread would have to note, before each
 * exchange, what it is about to take or give, and whoever cleans up would have
 * to find out whether it had happened, while others go on with the same words.
 * That would cost each exchange and take a proof for each.  This costs two
 * atomic additions for each call, none for a hit, and a pause when a process
 * has died: some 0.4 ms in a heap of 740 MiB, 10 ns more for each object that
 * depots park, and with FPHEAP_HEADER 30 ns more for each live object.
 *
 * An object that was neither in a magazine nor in its slab, but in a register
 * or an array of a call, counts as live for ever: a magazine's worth at most
 * for each thread.
 *
 * With FPHEAP_HEADER it is found, as headers say in whose hands an object is:
 *
 *     a free              stores that it has no references and is its process's
 *                         in one (fph_head_end)
 *     from slab or depot  it is its process's before the call ends
 *     to a slab           it is nobody's before its bit is set
 *
 * So what a living thread allocates or frees in a hit, which goes on meanwhile,
 * is its process's or has references, at any moment; and calls are over.  Any
 * other object without references that is in no slab is lost, and free.
 */

/* What a pass over a partition without calls needs to know. */
typedef struct fph_rebuild {
    fpheap         *heap;
    fph_state      *state;
    const uint8_t *dead;
    unsigned        frees;     /* not 0: what the dead had live */
    uint32_t        round;     /* when this cleaner came: of magazines that it
                                  has met */
} fph_rebuild;

/* Whether the chunk at an address is here; one that was coming or going is not.
 * (The window's first page counts as META's, fph_pages_open.) */
static int
fph_rebuild_chunk(const fph_state *state, const char *at)
{
    size_t     number = fph_page_of(state, at) >> FPH_PAGE_BITS;
    fph_chunk *chunk  = &state->chunks[number];

    fph_store_relaxed(&chunk->meta, number == 0);
    if (chunk->base != NULL && fph_load_relaxed(&chunk->present) != 0)
        return 1;
    FPH_STORE(&chunk->records, (fph_records *)NULL, RELAXED);
    FPH_STORE(&chunk->base, (char *)NULL, RELAXED);
    fph_store_relaxed(&state->free[number], 0);
    return 0;
}

/* The regions are the chunks that are here; and nothing else has memory. */
static void
fph_rebuild_regions(const fph_rebuild *it)
{
    fph_partition *partition = it->heap->partition;
    fph_state     *state     = it->state;
    size_t         all       = fph_partition_chunks(partition);
    fpheap_region  raw;
    size_t         at, end, n = 0;

    for (at = 0; at < state->regions_max; at++) {
        fph_store_relaxed(&state->region[at].shown, 0);
        fph_store_relaxed(&state->region[at].used, 0);
    }
    fph_store_relaxed(&state->region_bytes, 0);
    memset(state->backing_bytes, 0, sizeof state->backing_bytes);
    memset(&raw, 0, sizeof raw);
    for (at = 0; at < all; at = end + 1) {
        raw.base = partition->base + (at << FPHEAP_CHUNK_SHIFT);
        for (end = at; end < all; end++)
            if (!fph_rebuild_chunk(state, partition->base
                                          + (end << FPHEAP_CHUNK_SHIFT)))
                break;
        raw.bytes = (end - at) << FPHEAP_CHUNK_SHIFT;
        if (end > at) {
            fph_store_relaxed(&state->region[n].used, 1);
            fph_region_show(&state->region[n++], &raw);
            fph_count_region(state, &raw);
        }
        if (end < all && FPH_LOAD(&partition->taken[end], RELAXED))
            fph_partition_free(it->heap, end, 1);
    }
    fph_store_relaxed(&state->regions, n);
    fph_store_relaxed(&state->left,
                      fph_limit_bytes(fph_load_relaxed(&state->limit))
                      - fph_load_relaxed(&state->region_bytes));
    fph_store_relaxed(&state->lost, 0);
}

/* Objects are free, and nobody's. */
static void
fph_rebuild_free(const fph_rebuild *it, void *const *objects, size_t n)
{
    fph_heads_own(it->state, objects, n, 0 /* mine */);
    for (; n > 0; n--, objects++) {
        fph_slab *slab = fph_record_of(it->state, *objects);
        uint64_t  info = fph_info_load(slab);
        size_t    number;

        if (fph_info_kind(info) == FPH_SLAB) {
            number = (size_t)((char *)*objects - slab->base) / slab->size;
            fph_fetch_or_relaxed(&slab->bits[number / 64],
                                 (uint64_t)1 << number % 64);
        } else if (fph_info_kind(info) != FPH_NOTHING) {
            fph_store_relaxed(&slab->info, 0);
        }
    }
}

/* What a magazine has is free; it has nothing then. */
static void
fph_rebuild_empty(const fph_rebuild *it, fph_magazine *magazine)
{
    fph_rebuild_free(it, magazine->slot, magazine->count);
    fph_magazine_set_count(magazine, 0);
}

/* The magazines of a living cache are where they belong. */
static void
fph_rebuild_living(const fph_rebuild *it, const fpheap_cache *cache)
{
    unsigned i;

    for (i = 0; i < it->heap->bins; i++) {
        fph_magazine *spare = FPH_LOAD(&cache->spare[i], RELAXED);
        void        **base  = FPH_LOAD(&cache->bins[i].base, RELAXED);

        if (spare != NULL)
            spare->round = it->round;
        if (base != NULL)
            fph_magazine_of(base)->round = it->round;
    }
}

/* Those of the dead are in no cache from here on, and say how many objects they
 * have; of short ones no other place knows.  (Of a bin that a thread was
 * loading when it died, and a cleaner was unloading when that died, there may
 * be but the top.)  Then the cache is for others; its tags' counts stay, as
 * what they have counted is still live. */
static void
fph_rebuild_dead(const fph_rebuild *it, fpheap_cache *cache)
{
    unsigned i;

    cache->heap = it->heap;
    for (i = 0; i < it->heap->bins; i++) {
        uint32_t small = *fph_bin_small(cache, i);

        fph_bin_mend(cache, i);
        (void)fph_bin_unload(cache, i);
        fph_bin_clear(&cache->bins[i]);
        (void)fph_bin_spare(cache, i, NULL);
        if (small != 0)
            fph_rebuild_empty(it, (fph_magazine *)fph_meta_at(it->state,
                                                              small));
    }
    cache->large = NULL;
    FPH_STORE(&cache->entry, (fph_entry *)NULL, RELAXED);           /* H5 */
    fph_store_relaxed(&fph_slot_of(cache)->calls, 0);
    fph_store_relaxed(&fph_slot_of(cache)->owner, 0); /* V10 follows */
    fph_fetch_add_relaxed(&it->heap->partition->threads, 1);
}

/* Take all from a stack, and forget what it was. */
static void
fph_rebuild_stack(fph_word *stack)
{
    fph_store_relaxed(stack, fph_stack_next(fph_load_relaxed(stack), 0));
}

/* All magazines but those of living caches are empty. */
static void
fph_rebuild_magazines(const fph_rebuild *it)
{
    fph_state    *state = it->state;
    uint32_t      ref   = (uint32_t)fph_load_relaxed(&state->made[1]);
    fpheap_cache *cache;
    size_t        seat  = 0;
    unsigned      i;

    while ((cache = fph_cache_next(state, &seat)) != NULL) {
        uint64_t owner = fph_load_relaxed(&fph_slot_of(cache)->owner);

        if (owner != 0 && it->dead[owner - 1])
            fph_rebuild_dead(it, cache);
        else
            fph_rebuild_living(it, cache);
    }
    for (i = 0; i < it->heap->bins; i++)
        fph_rebuild_stack(&state->depots[i].full);
    fph_rebuild_stack(&state->empty[0].word);
    while (ref != 0) {
        fph_magazine *magazine = (fph_magazine *)fph_meta_at(state, ref);

        ref = magazine->made.next;
        if (magazine->round == it->round)
            continue;
        fph_rebuild_empty(it, magazine);
        fph_stack_push(&state->empty[0].word, &magazine->link);
    }
}

#if FPHEAP_HEADER
/* Whether an object that is in no slab's bits is to be free. */
static int
fph_is_lost(const fph_rebuild *it, const void *object, unsigned frees)
{
    const fph_member *member;
    fph_head          head;
    unsigned          place;
    int               has, dead;

    head.hold.both = fph_load_relaxed(&fph_head_of(object)->hold.both);
    place = head.hold.half[1] % FPH_MEMBERS;
    member = &it->heap->partition->member[place];
    has = head.hold.half[1] != 0
       && head.hold.half[1] == fph_owner_number(member, place);
    dead = has && it->dead[place];
    return head.hold.half[0] == 0 ? !has || dead : frees != 0 && dead;
}

/* Free an object if it is lost. */
static void
fph_rebuild_one(const fph_rebuild *it, void *object, unsigned frees)
{
    const fph_head *head = fph_head_of(object);

    if (!fph_is_lost(it, object, frees))
        return;
    if (head->hold.refs != 0)
        fph_tally_slow(it->heap, fph_head_tag(head), (size_t)-1,
                       (size_t)0 - fph_head_requested(head));
    fph_rebuild_free(it, &object, 1);
    fph_fetch_add_relaxed(&it->heap->partition->objects, 1);
}

/* Objects of a slab that the dead had in their hands are free, and on request
 * those that they had live, but for pools that know what is in them. */
static void
fph_rebuild_lost(const fph_rebuild *it, const fph_slab *slab,
                 const fpheap_pool *pool)
{
    int      knows = pool != NULL && (pool->constructs || pool->destructs);
    size_t   count = fph_info_count(fph_load_relaxed(&slab->info));
    size_t   i;

    for (i = 0; i < count; i++)
        if (!(fph_load_relaxed(&slab->bits[i / 64]) >> i % 64 & 1))
            fph_rebuild_one(it, slab->base + i * slab->size,
                            knows ? 0 : it->frees);
}
#else
#  define fph_rebuild_one(it, object, frees) ((void)(it))
#  define fph_rebuild_lost(it, slab, pool)   ((void)(it))
#endif

/* A pool has what its slabs have, which are counted anew.  One that was being
 * made or destroyed is gone unless there are some. */
static void
fph_rebuild_pools(const fph_rebuild *it)
{
    fph_state   *state = it->state;
    fpheap_pool *pool;
    unsigned     i;

    for (i = 0; i < FPHEAP_MAX_POOLS; i++) {
        if (fph_load_relaxed(&state->pool_is[i]) % 8 != FPH_POOL_READY)
            fph_pool_set(state, i, FPH_POOL_FREE);
        pool = state->pool[i];
        if (pool == NULL)
            continue;
        fph_store_relaxed(&pool->slabs, 0);
        fph_store_relaxed(&pool->objects, 0);
        fph_store_relaxed(&pool->quota,
                          fph_load_relaxed(&pool->quota) >> 32 << 32);
        fph_store_relaxed(&pool->ending, 0);                        /* P12 */
    }
}

/* A slab has the objects whose bits say so, and is listed if there are any. */
static void
fph_rebuild_slab(const fph_rebuild *it, fph_slab *slab)
{
    fph_state   *state = it->state;
    uint64_t     info  = fph_load_relaxed(&slab->info);
    unsigned     bin   = fph_info_bin(info);
    size_t       count = fph_info_count(info);
    fpheap_pool *pool  = fph_bin_pool(state, bin);
    size_t       set;

    fph_rebuild_lost(it, slab, pool);
    set = fph_slab_bits(slab);
    fph_store_relaxed(&slab->state, fph_slab_state((int64_t)set, set != 0));
    if (set != 0)
        fph_stack_push(&state->depots[bin].partial, &slab->link);
    if (set == count)
        fph_count_empty(state, slab, 1);
    if (pool == NULL)
        return;
    fph_pool_set(state, pool->number, FPH_POOL_READY);
    fph_fetch_add_relaxed(&pool->slabs, 1);
    fph_fetch_add_relaxed(&pool->objects, count);
    fph_fetch_add_relaxed(&pool->quota, count - set);
}

/* Whether a living thread parks a large object; those of the dead are free. */
static int
fph_is_kept(const fph_rebuild *it, const fph_slab *record)
{
    const fpheap_cache *cache;
    size_t              seat = 0;

    do
        cache = fph_cache_next(it->state, &seat);
    while (cache != NULL && cache->large != record);
    return cache != NULL;
}

/* All that records cover. */
static void
fph_rebuild_records(const fph_rebuild *it)
{
    fph_slab *record;
    size_t    at = 0;
    unsigned  i;

    for (i = 0; i < it->heap->bins; i++)
        fph_rebuild_stack(&it->state->depots[i].partial);
    fph_store_relaxed(&it->state->empty_pages, 0);
    fph_rebuild_pools(it);
    while ((record = fph_record_next(it->state, &at)) != NULL) {
        unsigned kind = fph_info_kind(fph_load_relaxed(&record->info));

        if (kind == FPH_SLAB)
            fph_rebuild_slab(it, record);
        else if (kind == FPH_LARGE)
            fph_rebuild_one(it, record->base, it->frees);
        else if (kind == FPH_PARKED && !fph_is_kept(it, record))
            fph_store_relaxed(&record->info, 0);
    }
}

/* The pages of blocks are META's, and of the first region those with the
 * tables. */
static void
fph_rebuild_meta(const fph_rebuild *it)
{
    fph_state *state   = it->state;
    uint64_t   current = fph_meta_block(state);
    uint64_t   all     = fph_load_relaxed(&state->meta_numbers);
    size_t     i;

    fph_meta_mark(state, it->heap->partition->base,
                  fph_state_pages(it->heap, state, &state->region[0].raw),
                  1 /* marked */);
    for (i = 1; i < all && i < FPH_TABLE_MAX; i++) {
        if (i > current)       /* it was not installed yet */
            FPH_STORE(&state->meta[i], (char *)NULL, RELAXED);
        if (state->meta[i] != NULL)
            fph_meta_mark(state, state->meta[i] - FPH_GUARD,
                          state->meta_pages[i], 1 /* marked */);
    }
}

/* A page is free if it is neither META's nor covered by a record.  (The living
 * read the map for objects that they have: it does not change for those.) */
static void
fph_rebuild_pages(const fph_rebuild *it)
{
    fph_state *state = it->state;
    fph_chunk *chunk;
    size_t     at    = 0;

    while ((chunk = fph_chunk_next(state, &at)) != NULL) {
        size_t   number = (size_t)(chunk - state->chunks);
        size_t   page   = number * FPH_PAGES;
        uint64_t free   = ~fph_load_relaxed(&chunk->meta) & FPH_ALL_PAGES;
        unsigned i;

        for (i = 0; i < FPH_PAGES; i++) {
            uint64_t info  = fph_page_info(state, page + i);
            unsigned place = fph_info_kind(info) != FPH_SLAB ? 0
                           : fph_info_bin(info) * (unsigned)FPH_BIN_STEP;

            if (info != FPH_NOTHING)
                free &= ~((uint64_t)1 << i);
            if (state->map[page + i] != place)
                fph_slab_map(state, page + i, 1, place);
        }
        fph_store_relaxed(&state->free[number], free);
    }
    memset(state->cursor, 0, sizeof state->cursor);
}

/* Chunks' records that no chunk has are unused. */
static void
fph_rebuild_unused(const fph_rebuild *it)
{
    fph_state *state = it->state;
    uint32_t   ref   = (uint32_t)fph_load_relaxed(&state->made[0]);

    fph_rebuild_stack(&state->records.word);
    while (ref != 0) {
        fph_records *records = (fph_records *)fph_meta_at(state, ref);

        ref = records->made.next;
        if (records->chunk <= state->mask >> FPH_PAGE_BITS
            && state->chunks[records->chunk].records == records)
            continue;
        fph_records_free(records);
        fph_stack_push(&state->records.word, &records->link);
    }
}

/* Rebuild what hangs on what is certain.  Each step needs those before it, and
 * leaves what it reads as it was, so all of it can be done again. */
static void
fph_rebuild_all(fpheap *heap, const uint8_t *dead, unsigned frees)
{
    fph_rebuild it = { heap, heap->state, dead, frees,
                       (uint32_t)(fph_load_relaxed(&heap->partition->cleaner)
                                  / FPH_CLEANER) };

    fph_store_relaxed(&it.state->growing, 0);
    fph_store_relaxed(&it.state->moves_ended,
                      fph_load_relaxed(&it.state->moves_begun));
    fph_store_relaxed(&it.state->moves_stuck, 0);
    fph_rebuild_regions(&it);
    fph_rebuild_magazines(&it);
    fph_rebuild_records(&it);
    fph_rebuild_meta(&it);
    fph_rebuild_pages(&it);
    fph_rebuild_unused(&it);
}

/* --- cleaning up ----------------------------------------------------------
 *
 * Whoever opens a partition, asks for it, or waits for a cleaner that has died.
 */

/* Become the cleaner.  Returns 0: a living member is.  Of one that has died the
 * place is taken over, and with it how far it was; the word is no other's, so
 * only if no other has done so, even if a new member of that number cleans
 * up. */
static int
fph_cleaner_enter(const fpheap *heap, uint64_t *cleaner)
{
    fph_word *word = &heap->partition->cleaner;
    uint64_t  came;

    *cleaner = fph_load_relaxed(word); /* V8 sees what it is */
    if (*cleaner != 0
        && !fph_is_dead(heap, (unsigned)(*cleaner % FPH_CLEANER) - 1))
        return 0;
    came = fph_fetch_add_relaxed(&heap->partition->came, 1) + 1;
    return fph_cas_seq_cst(word, cleaner,                           /* V8 */
                           (*cleaner & FPH_REBUILDING) | came * FPH_CLEANER
                           | (heap->member + 1));
}

/* Clean up after the dead.  Returns how many they were; -EBUSY: a living thread
 * is in a call and does not end it; -EAGAIN: another member cleans up. */
static int
fph_clean(fpheap *heap, unsigned frees)
{
    fph_word *word = &heap->partition->cleaner;
    uint8_t   dead[FPH_MEMBERS];
    uint64_t  cleaner;
    int       n;

    if (fph_load_relaxed(word) == 0 && !fph_any_corpse(heap))
        return 0;              /* and nobody has had to wait */
    if (!fph_cleaner_enter(heap, &cleaner))
        return -EAGAIN;
    n = fph_dead_hold(heap, dead);
    if ((cleaner & FPH_REBUILDING) == 0) {
        if (n != 0 && !fph_calls_end(heap, dead)) {
            fph_dead_release(heap, dead, 0 /* clean */);
            n = -EBUSY;
        }
        if (n <= 0) {
            fph_store_release(word, 0);                             /* V10 */
            return n;
        }
        fph_fetch_or_relaxed(word, FPH_REBUILDING);
    }
    fph_rebuild_all(heap, dead, frees | heap->partition->frees);
    fph_dead_release(heap, dead, 1 /* clean */);
    fph_store_release(word, 0);                                     /* V10 */
    return n;
}

/* A call begins while another member cleans up: wait for it, or do it instead
 * if it dies.  (Threads of the cleaner's own process wait too.)  There is no
 * limit to this wait, and none is needed: a cleaner waits for nobody once it
 * rebuilds, and before that FPHEAP_GROWTH_WAIT_MS at most. */
static void
fph_clean_wait(fpheap *heap)
{
    while (fph_load_relaxed(&heap->partition->cleaner) != 0) {
        if (fph_clean(heap, 0 /* frees */) == -EAGAIN)
            fph_yield();
    }
}

FPHEAP_API int
fpheap_recover(fpheap *heap, unsigned flags)
{
    int rc;

    if (!fph_heap_good(heap) || heap->partition == NULL
        || (flags & ~FPHEAP_FREE_DEAD) != 0)
        return -EINVAL;
    if (flags != 0 && !FPHEAP_HEADER)
        return -ENOTSUP;
    if (fph_this.depth[heap - fph_heaps] != 0)
        return -EBUSY;
    while ((rc = fph_clean(heap, flags)) == -EAGAIN)
        fph_yield();
    return rc;
}

#if FPHEAP_HEADER
FPHEAP_API uint32_t
fpheap_owner(const void *object)
{
    return fph_head_of(object)->hold.half[1];
}

FPHEAP_API void
fpheap_own(fpheap *heap, void *object)
{
    fph_head mine;

    mine.hold.both = heap->mine;
    FPH_STORE(&fph_head_of(object)->hold.half[1], mine.hold.half[1], RELAXED);
}
#endif

/* --- open ----------------------------------------------------------------- */

/* Settings that all processes must have alike, as "NAME=number" words. */
static const char *
fph_shared_settings(void)
{
    return "FPHEAP_VERSION=" FPH_TEXT(FPHEAP_VERSION)
           " pointer=" FPH_TEXT(__SIZEOF_POINTER__)
           " FPHEAP_CHUNK_SHIFT=" FPH_TEXT(FPHEAP_CHUNK_SHIFT)
           " pages=" FPH_TEXT(FPH_PAGES)
           " FPHEAP_CLASS_BITS=" FPH_TEXT(FPHEAP_CLASS_BITS)
           " FPHEAP_MAGAZINE=" FPH_TEXT(FPHEAP_MAGAZINE)
           " FPHEAP_MAX_NODES=" FPH_TEXT(FPHEAP_MAX_NODES)
           " FPHEAP_MAX_POOLS=" FPH_TEXT(FPHEAP_MAX_POOLS)
           " FPHEAP_MAX_THREADS=" FPH_TEXT(FPHEAP_MAX_THREADS)
           " FPHEAP_HEADER=" FPH_TEXT(FPHEAP_HEADER)
           " FPHEAP_TAGS=" FPH_TEXT(FPHEAP_TAGS)
           " FPHEAP_CHECK=" FPH_TEXT(FPHEAP_CHECK)
           " FPHEAP_SITES=" FPH_TEXT(FPHEAP_SITES);
}

/* What an open is about. */
typedef struct fph_opening {
    const char             *name;
    const fpheap_partition *desc;
    unsigned                flags;
    int                     directory; /* -1: the file came by descriptor */
    size_t                  bytes;
} fph_opening;

/* Whether this process is to read only. */
static inline int
fph_reads_only(const fph_opening *it)
{
    return (it->flags & FPHEAP_READ_ONLY) != 0;
}

static inline size_t
fph_chunks_bytes(size_t bytes)
{
    return (bytes + FPH_CHUNK_MASK) & ~FPH_CHUNK_MASK;
}

/* Say why an open fails.  Returns the error. */
static int
fph_open_says(const fph_opening *it, int error, const char *why)
{
    fph_text text;

    text.bytes = 0;
    fph_text_add(&text, "fpheap: open of '");
    fph_text_add(&text, it->name);
    fph_text_add(&text, "': ");
    fph_text_add(&text, why);
    FPHEAP_REPORT(text.at);
    return error;
}

/* Compare settings, and name the first that differs.  (The file may say
 * anything.) */
static int
fph_settings_check(const fph_opening *it, const char *theirs, size_t room)
{
    const char *ours = fph_shared_settings();
    char        name[64];
    size_t      at, word = 0, length;

    for (at = 0; at < room && ours[at] == theirs[at]; at++) {
        if (ours[at] == '\0')
            return 0;
        if (ours[at] == ' ')
            word = at + 1;
    }
    length = strcspn(ours + word, "=");
    if (at < word + length)
        return fph_open_says(it, -ESTALE, "the heap in it is damaged, or of "
                                          "another version");
    memcpy(name, ours + word, length);
    name[length] = '\0';
    return fph_open_says(it, -EPROTO, name);
}

/* Whether a file may be used, as far as the system knows it. */
static int
fph_file_check(const fpheap *heap, fph_opening *it)
{
    unsigned    kind = it->desc->flags;
    struct stat is;

    if (fstat(heap->file, &is) != 0)
        return -errno;
    if (!S_ISREG(is.st_mode)
        && ((kind & FPHEAP_FIXED) == 0 || !S_ISCHR(is.st_mode)))
        return fph_open_says(it, -EACCES, "it is no regular file");
    if ((kind & FPHEAP_ANY_OWNER) == 0 && is.st_uid != geteuid()
        && is.st_uid != 0)
        return fph_open_says(it, -EACCES, "another user owns it");
    if (it->directory >= 0 && is.st_nlink > 1)
        return fph_open_says(it, -EACCES, "the file has another name too");
    if (S_ISREG(is.st_mode)
        && ((uint64_t)is.st_size < heap->start
            || (uint64_t)is.st_size - heap->start < it->bytes))
        return fph_open_says(it, -ESTALE, "the file is too short");
    if (S_ISREG(is.st_mode) && it->bytes == 0)
        it->bytes = (size_t)is.st_size - heap->start;
    return 0;
}

/* The bytes of a page of the file, in chunks, if they are those that the caller
 * wants.  Returns them, or a negative errno. */
static int
fph_file_unit(const fpheap *heap, const fph_opening *it)
{
    struct statfs fs;
    size_t        page;

    if (heap->mapped)
        return 1;
    if (fstatfs(heap->file, &fs) != 0)
        return -errno;
    page = (size_t)fs.f_bsize;
    if (it->desc->page_bytes != 0 && it->desc->page_bytes != page)
        return fph_open_says(it, -EPROTO, "page_bytes");
    return page <= FPHEAP_CHUNK ? 1 : (int)(page >> FPHEAP_CHUNK_SHIFT);
}

/* Read the beginning of a partition. */
static ssize_t
fph_file_read(const fpheap *heap, const fph_opening *it, void *to,
              size_t bytes)
{
    if (!heap->mapped)
        return pread(heap->file, to, bytes, (off_t)heap->start);
    memcpy(to, it->desc->address, bytes);
    return (ssize_t)bytes;
}

/* What a file begins with: 0 where nothing was made yet, 1 where that cannot be
 * read. */
static uint64_t
fph_magic_read(const fpheap *heap, const fph_opening *it)
{
    uint64_t magic = 0;

    if (heap->mapped)
        return fph_load_acquire((fph_word *)it->desc->address);     /* W9 */
    return fph_file_read(heap, it, &magic, sizeof magic) < 0 ? 1 : magic;
}

/* Read the beginning of a partition, as far as it stays as it was made, and see
 * whether this process can have it.  Nothing in it is trusted. */
static int
fph_head_read(const fpheap *heap, const fph_opening *it, fph_partition *head)
{
    const size_t room  = offsetof(fph_partition, member);
    const size_t made  = offsetof(fph_partition, root);
    size_t       bytes;
    uintptr_t    base, state;
    int          rc;

    if (fph_magic_read(heap, it) != FPH_MAGIC
        || fph_file_read(heap, it, head, made) != (ssize_t)made)
        return fph_open_says(it, -ESTALE, "there is no heap in it");
    rc = fph_settings_check(it, head->settings, sizeof head->settings);
    if (rc != 0)
        return rc;
    bytes = head->bytes;
    base = (uintptr_t)head->base;
    state = (uintptr_t)head->state;
    if ((bytes & FPH_CHUNK_MASK) != 0
        || (base & FPH_CHUNK_MASK) != 0 || base == 0
        || bytes > UINTPTR_MAX - base || (it->bytes != 0 && bytes > it->bytes)
        || head->head < room || head->head > bytes
        || state - base != head->head + FPH_STATE_GUARD
        || bytes - head->head < FPH_STATE_GUARD + sizeof(fph_state)
        || head->nodes != 1 || head->unit == 0)
        return fph_open_says(it, -ESTALE, "the heap in it is damaged");
    if (it->desc->bytes != 0 && fph_chunks_bytes(it->desc->bytes) != bytes)
        return fph_open_says(it, -EPROTO, "bytes");
    if (it->desc->address != NULL && it->desc->address != head->base)
        return fph_open_says(it, -EPROTO, "address");
    return 0;
}

/* Map a partition at its place, in this process alone: a child of a fork has to
 * open it itself.  Nothing is set aside for it, W2.  Returns 0, or a negative
 * errno. */
static int
fph_partition_map(fpheap *heap, const fph_opening *it, char *base,
                  size_t bytes, int access)
{
    void *at = base;

    if (!heap->mapped)
        at = mmap(base, bytes, access,
                  MAP_SHARED | MAP_NORESERVE | FPH_MAP_THERE, heap->file,
                  (off_t)heap->start);
    if (at == MAP_FAILED && errno != EEXIST)
        return -errno;
    if (at != base) {
        if (at != MAP_FAILED)
            munmap(at, bytes);
        return fph_open_says(it, -EADDRINUSE,
                             "this process has something else at its address, "
                             "or the partition already");
    }
    heap->partition = (fph_partition *)(void *)base;
    heap->bytes = bytes;
    if (heap->mapped)
        return 0;
    madvise(at, bytes, MADV_DONTFORK);
    madvise(at, bytes, MADV_DONTDUMP);
    if (FPHEAP_CHUNK_SHIFT >= FPH_2MIB_SHIFT) /* all of one is used */
        madvise(at, bytes, MADV_HUGEPAGE);
    return 0;
}

/* Where new partitions lie, so that other processes have nothing there: between
 * 32 and 64 TiB, or 64 and 192 GiB where addresses have 39 bits; with 32 bits,
 * and where that fails, where the system places them.  One of 1 GiB has 32,768
 * such places.  Files that are made one after the other have places one after
 * the other; those of another file system begin far from there. */
#define FPH_FAR 14695981039346656037u

static char *
fph_partition_place(const fpheap *heap, size_t bytes)
{
    size_t      align = FPHEAP_CHUNK;
    uint64_t    hash  = 0;
    unsigned    i;
    char       *base;
    struct stat is;

    if (fstat(heap->file, &is) == 0)
        hash = (uint64_t)is.st_dev * FPH_FAR + (uint64_t)is.st_ino;
    while (align < bytes)
        align *= 2;
    for (i = 0; sizeof(void *) == 8 && i < 64; i++, hash++) {
        uint64_t from = (uint64_t)1 << (i < 32 ? 45 : 36);
        uint64_t span = (uint64_t)1 << (i < 32 ? 45 : 37);
        uint64_t at   = from + hash % (span / align) * align;

        base = (char *)fph_map((void *)(uintptr_t)at, bytes, PROT_NONE,
                               MAP_NORESERVE);
        if (base != NULL)
            munmap(base, bytes);
        if (base == (char *)(uintptr_t)at)
            return base;
    }
    base = (char *)fph_map(NULL, bytes + align, PROT_NONE, MAP_NORESERVE);
    if (base == NULL)
        return NULL;
    munmap(base, bytes + align);
    return (char *)(((uintptr_t)base + align - 1) & ~(uintptr_t)(align - 1));
}

/* --- a member comes, and goes ---------------------------------------------
 *
 * A member is known by its place, and by when it came, which no other member of
 * the partition shares.  What it has taken when it goes is the heap's again,
 * but for its live objects.
 */

/* The handle of a heap that is being opened: it has neither file nor memory. */
static int
fph_handle_begin(fpheap *heap, const fph_opening *it)
{
    fpheap_provider provider;
    fpheap_config   config;

    memset(&provider, 0, sizeof provider);
    memset(&config, 0, sizeof config);
    provider.get = fph_partition_get;
    provider.put = fph_partition_put;
    provider.iova = it->desc->iova == NULL ? NULL : fph_partition_iova;
    provider.ctx = heap;
    provider.flags = FPHEAP_PARTS;
    config.provider = &provider;
    config.nodes = 1;
    fph_configure(heap, it->name, &config);
    heap->counted = 1;
    heap->file = -1;
    heap->member = FPH_MEMBERS;
    heap->recover = fph_clean_wait;
    heap->iova = it->desc->iova;
    heap->iova_ctx = it->desc->ctx;
    heap->mapped = (it->desc->flags & FPHEAP_MAPPED) != 0;
    heap->pools = (fpheap_pool *)fph_map(NULL, FPH_POOLS_BYTES,
                                         PROT_READ | PROT_WRITE, 0);
    return heap->pools != NULL && fph_exit_watch() ? 0 : -ENOMEM;
}

/* Leave the addresses, the file, and this process's handles.  What it has live
 * stays, and its place is free if it said so before. */
static void
fph_partition_end(fpheap *heap)
{
    if (heap->partition != NULL && !heap->mapped)
        munmap(heap->partition, heap->bytes);
    fph_handle_end(heap);
}

#if FPHEAP_HEADER
/* What this process has in its hands is its own from here on. */
static void
fph_owner_begin(fpheap *heap, uint32_t owner)
{
    fph_head mine;

    mine.hold.half[0] = 0;
    mine.hold.half[1] = owner;
    heap->mine = mine.hold.both;
}
#else
#  define fph_owner_begin(heap, owner) ((void)(owner))
#endif

/* Take a place among the members.  Returns 0: all are taken. */
static int
fph_member_come(fpheap *heap)
{
    fph_partition *partition = heap->partition;
    fph_member    *member;
    unsigned       i         = 0;

    while (i < FPH_MEMBERS && !fph_place_hold(heap, i, 0 /* member */))
        i++;
    if (i == FPH_MEMBERS)
        return 0;
    member = &partition->member[i];
    fph_store_relaxed(&member->process, fph_process());
    fph_store_release(&member->calls, 0);                           /* V7 */
    fph_store_relaxed(&member->taken, 0);
    fph_store_relaxed(&member->is,
                      fph_fetch_add_relaxed(&partition->came, 1) + 1);
    heap->member = i;
    heap->taken = &member->taken;
    fph_owner_begin(heap, fph_owner_number(member, i));
    return 1;
}

/* The same, after the dead's places were made free if need be.  Whoever cleans
 * up without a place has the lock behind all places. */
static int
fph_join(fpheap *heap)
{
    int rc;

    (void)fph_view_begin(heap, heap->partition);
    if (fph_member_come(heap)) {
        (void)fph_clean(heap, 0 /* frees */);
        return 0;
    }
    while (!fph_lock(heap, FPH_MEMBERS, F_OFD_SETLK, F_WRLCK))
        fph_yield();
    rc = fph_clean(heap, 0 /* frees */);
    fph_lock(heap, FPH_MEMBERS, F_OFD_SETLK, F_UNLCK);
    return fph_member_come(heap) ? 0 : rc < 0 ? rc : -ENFILE;
}

/* A process that only reads has a lock of its own too, behind the others', so
 * that it is seen.  A place is its own if no other process has the lock. */
#define FPH_READERS (FPH_MEMBERS + 64)

/* Returns 0, or -ENFILE: there are as many readers as places. */
static int
fph_reader_lock(fpheap *heap)
{
    unsigned i;

    for (i = 0; i < FPH_MEMBERS; i++) {
        unsigned at = FPH_READERS + i;

        if (!fph_lock(heap, at, F_OFD_GETLK, F_WRLCK)
            || !fph_lock(heap, at, F_OFD_SETLK, F_RDLCK))
            continue;
        if (fph_lock(heap, at, F_OFD_GETLK, F_WRLCK)) {
            heap->member = at;
            return 0;
        }
        fph_lock(heap, at, F_OFD_SETLK, F_UNLCK);
    }
    return -ENFILE;
}

/* A process comes that only reads. */
static int
fph_reader_come(fpheap *heap, const fph_opening *it, const fph_partition *head)
{
    if (!fph_view_begin(heap, head))
        return fph_open_says(it, -ESTALE, "the heap in it is damaged");
    return fph_reader_lock(heap);
}

/* --- make one ------------------------------------------------------------- */

/* Whether the file has all memory from the beginning, and keeps it. */
static int
fph_is_fixed(const fph_opening *it)
{
    return (it->desc->flags & (FPHEAP_FIXED | FPHEAP_MAPPED)) != 0;
}

/* The bytes of the head. */
static size_t
fph_head_bytes(const fph_opening *it)
{
    return (offsetof(fph_partition, taken) + (it->bytes >> FPHEAP_CHUNK_SHIFT)
            + FPH_LINE - 1) & ~(size_t)(FPH_LINE - 1);
}

/* Give a file its length, nothing but zeros behind `start`, and memory to its
 * head; or see that it has as much.  Returns 0, or a negative errno. */
static int
fph_file_begin(const fpheap *heap, fph_opening *it)
{
    if (heap->mapped)
        return 0;
    if (fph_is_fixed(it))
        return fph_file_check(heap, it);
    if (ftruncate(heap->file, (off_t)heap->start) != 0
        || ftruncate(heap->file, (off_t)(heap->start + it->bytes)) != 0)
        return -errno;
    return fph_file_allocate(heap->file, 0, heap->start, fph_head_bytes(it));
}

/* Lay the head of a partition. */
static void
fph_partition_lay(const fph_opening *it, fph_partition *partition,
                  unsigned unit)
{
    const size_t magic = sizeof partition->magic;

    /* another creator may have died; magic is 0, and others look at it */
    memset((char *)partition + magic, 0, fph_head_bytes(it) - magic);
    memcpy(partition->settings, fph_shared_settings(),
           strlen(fph_shared_settings()));
    partition->bytes = it->bytes;
    partition->base = (char *)partition;
    partition->head = fph_head_bytes(it);
    partition->nodes = 1;
    partition->fixed = (unsigned)fph_is_fixed(it);
    partition->unit = unit;
    partition->frees = it->desc->flags & FPHEAP_FREE_DEAD;
}

/* Begin a heap in a partition that has a head. */
static int
fph_partition_begin(fpheap *heap)
{
    fph_partition *partition = heap->partition;
    size_t         chunks    = 1;
    size_t         bytes;
    fpheap_region  raw;
    fph_need       need;
    int            rc;

    while (chunks < fph_partition_chunks(partition))
        chunks *= 2;
    bytes = partition->head + fph_layout_of(heap, chunks).bytes
          + 2 * FPHEAP_PAGE;
    need = fph_need_of(heap, bytes >> FPHEAP_PAGE_SHIFT, 1);
    rc = fph_obtain(heap, 0 /* node */, need,
                    fph_units(heap, need.pages), &raw);
    if (rc == 0)
        rc = fph_state_init(heap, &raw, 0 /* limit */);
    if (rc == 0)
        partition->state = heap->state;
    return rc;
}

/* Make a heap in an empty file. */
static int
fph_partition_make(fpheap *heap, fph_opening *it)
{
    char         *base = (char *)it->desc->address;
    fpheap_region whole;
    int           unit = fph_file_unit(heap, it);
    int           rc;

    if (unit < 0)
        return unit;
    it->bytes = fph_chunks_bytes(it->desc->bytes);
    if (base == NULL)
        base = fph_partition_place(heap, it->bytes);
    rc = base == NULL ? -ENOMEM : fph_file_begin(heap, it);
    if (rc == 0)
        rc = fph_partition_map(heap, it, base, it->bytes,
                               PROT_READ | PROT_WRITE);
    if (rc != 0)
        return rc;
    if ((it->desc->flags & FPHEAP_ON_NODE) != 0) {
        memset(&whole, 0, sizeof whole);
        whole.base = base;
        whole.bytes = it->bytes;
        fph_mmap_place(&whole, it->desc->node);
    }
    fph_partition_lay(it, heap->partition, (unsigned)unit);
    rc = fph_partition_begin(heap);
    if (rc == 0)
        rc = fph_join(heap);
    if (rc == 0)
        fph_store_release(&heap->partition->magic, FPH_MAGIC);      /* W8 */
    return rc;
}

/* Use the heap in a file that has one. */
static int
fph_partition_use(fpheap *heap, fph_opening *it)
{
    fph_partition head;
    int           access = fph_reads_only(it) ? PROT_READ
                                              : PROT_READ | PROT_WRITE;
    int           rc     = fph_file_check(heap, it);

    if (rc == 0)
        rc = fph_head_read(heap, it, &head);
    if (rc == 0)
        rc = fph_file_unit(heap, it);
    if (rc > 0)
        rc = fph_partition_map(heap, it, head.base, head.bytes, access);
    if (rc != 0)
        return rc;
    if (fph_reads_only(it))
        return fph_reader_come(heap, it, &head);
    fph_map_set(heap, head.state->map, head.state->mask);
    FPH_STORE(&heap->state, head.state, RELAXED);
    return fph_join(heap);
}

/* --- by name, or by descriptor -------------------------------------------- */

/* "/proc/self/fd/N" */
static void
fph_fd_path(char path[32], int file)
{
    fph_text text;

    text.bytes = 0;
    fph_text_add(&text, "/proc/self/fd/");
    fph_text_number(&text, (uint64_t)file, 10);
    memcpy(path, text.at, text.bytes + 1);
}

/* Make a partition in a file without a name, which it gets when all is there,
 * W1. */
static int
fph_named_make(fpheap *heap, fph_opening *it)
{
    mode_t mode = it->desc->mode != 0 ? (mode_t)it->desc->mode : 0600;
    char   path[32];
    int    rc;

    heap->file = openat(it->directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC,
                        mode);
    if (heap->file < 0 || fchmod(heap->file, mode) != 0)
        return -errno;
    rc = fph_partition_make(heap, it);
    if (rc != 0)
        return rc;
    fph_fd_path(path, heap->file);
    return linkat(AT_FDCWD, path, it->directory, it->name,
                  AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

/* Open a file: by its name, but through no link, and without waiting for the
 * other end of a pipe; or the one that came by descriptor, anew, as locks are
 * shared by those who share a descriptor.  For memory that is mapped it is made
 * if need be. */
static int
fph_file_open(fpheap *heap, const fph_opening *it)
{
    unsigned kind  = it->desc->flags;
    int      flags = (fph_reads_only(it) ? O_RDONLY : O_RDWR) | O_CLOEXEC
                   | O_NONBLOCK | O_NOCTTY;
    char     path[32];

    if ((kind & FPHEAP_DESCRIPTOR) != 0) {
        if (fcntl(it->desc->descriptor, F_GETFD) < 0)
            return -errno;
        fph_fd_path(path, it->desc->descriptor);
        heap->file = open(path, flags);
    } else {
        if (heap->mapped && (it->flags & FPHEAP_CREATE) != 0)
            flags |= O_CREAT;
        heap->file = openat(it->directory, it->name, flags | O_NOFOLLOW,
                            it->desc->mode != 0 ? it->desc->mode : 0600);
    }
    if (heap->file >= 0)
        return 0;
    if (errno == ELOOP)
        return fph_open_says(it, -EACCES, "the name is a symbolic link");
    if (errno == EISDIR || errno == ENXIO || errno == ENODEV)
        return fph_open_says(it, -EACCES, "it is no regular file");
    return -errno;
}

/* Open the partition in a file that exists, or make one there if it has none,
 * while no other process does so. */
static int
fph_in_place(fpheap *heap, fph_opening *it)
{
    int rc;

    heap->start = it->desc->offset;
    while (fph_magic_read(heap, it) != FPH_MAGIC && !fph_reads_only(it)
           && !fph_lock(heap, FPH_MEMBERS + 1, F_OFD_SETLK, F_WRLCK))
        fph_yield();
    if (fph_magic_read(heap, it) == 0 && (it->flags & FPHEAP_CREATE) != 0)
        rc = fph_partition_make(heap, it);
    else if ((it->flags & FPHEAP_EXCLUSIVE) != 0)
        rc = -EEXIST;
    else
        rc = fph_partition_use(heap, it);
    if (rc == 0)
        fph_lock(heap, FPH_MEMBERS + 1, F_OFD_SETLK, F_UNLCK);
    return rc;
}

/* 0, or why nothing can be opened so. */
static int
fph_open_error(const fph_opening *it)
{
    const unsigned flags = FPHEAP_CREATE | FPHEAP_EXCLUSIVE | FPHEAP_READ_ONLY;
    const unsigned kinds = FPHEAP_ON_NODE | FPHEAP_DESCRIPTOR | FPHEAP_FIXED
                         | FPHEAP_ANY_OWNER | FPHEAP_MAPPED
                         | FPHEAP_FREE_DEAD;

    if ((it->flags & ~flags) != 0 || (it->desc->flags & ~kinds) != 0
        || ((it->flags & FPHEAP_EXCLUSIVE) != 0
            && (it->flags & FPHEAP_CREATE) == 0)
        || ((it->flags & FPHEAP_CREATE) != 0
            && (it->desc->bytes == 0 || fph_reads_only(it)))
        || it->desc->bytes > FPHEAP_PARTITION_MAX
        || ((it->desc->flags & FPHEAP_ON_NODE) != 0
            && !fph_mmap_has(it->desc->node))
        || ((it->desc->flags & FPHEAP_MAPPED) != 0
            && (it->desc->address == NULL || it->desc->bytes == 0))
        || (it->desc->flags & (FPHEAP_FIXED | FPHEAP_DESCRIPTOR))
           == FPHEAP_FIXED
        || (((uintptr_t)it->desc->address | it->desc->offset)
            & FPH_CHUNK_MASK) != 0
        || (it->desc->mode & ~07777u) != 0)
        return -EINVAL;
    if (FPHEAP_SITES
        || ((it->desc->flags & FPHEAP_FREE_DEAD) != 0 && !FPHEAP_HEADER))
        return -ENOTSUP;
    if (strlen(it->name) >= FPHEAP_NAME_BYTES)
        return -ENAMETOOLONG;
    return it->name[strcspn(it->name, "/")] != '\0'
        || strcmp(it->name, "") == 0 || strcmp(it->name, ".") == 0
        || strcmp(it->name, "..") == 0 ? -EINVAL : 0;
}

/* Open the directory of names.  Returns 0, or a negative errno. */
static int
fph_directory_open(fph_opening *it)
{
    const char *path = it->desc->directory != NULL ? it->desc->directory
                                                   : "/dev/shm";

    it->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return it->directory < 0 ? -errno : 0;
}

/* Open what the description says, or make it. */
static int
fph_open(fpheap *heap, fph_opening *it)
{
    unsigned kind  = it->desc->flags;
    int      named = (kind & (FPHEAP_DESCRIPTOR | FPHEAP_MAPPED)) == 0;
    int      rc    = fph_handle_begin(heap, it);

    if (rc == 0 && (kind & FPHEAP_DESCRIPTOR) == 0)
        rc = fph_directory_open(it);
    if (rc != 0)
        return rc;
    rc = named && (it->flags & FPHEAP_EXCLUSIVE) != 0 ? -ENOENT
       : fph_file_open(heap, it);
    if (rc == 0)
        rc = named ? fph_partition_use(heap, it) : fph_in_place(heap, it);
    else if (rc == -ENOENT && named && (it->flags & FPHEAP_CREATE) != 0)
        rc = fph_named_make(heap, it);
    if (it->directory >= 0)
        close(it->directory);
    return rc;
}

/* The arguments of an open, and defaults. */
static fph_opening
fph_opening_of(const char *name, const fpheap_partition *desc, unsigned flags)
{
    static const fpheap_partition none = { 0, NULL, 0, 0, 0, NULL, 0, 0, 0,
                                           NULL, NULL };
    fph_opening it = { name, desc != NULL ? desc : &none, flags, -1, 0 };

    if (name == NULL)
        it.name = (it.desc->flags & FPHEAP_DESCRIPTOR) != 0 ? "partition" : "";
    return it;
}

FPHEAP_API fpheap *
fpheap_open(const char *name, const fpheap_partition *desc, unsigned flags)
{
    FPH_UNCANCELLED;
    fph_opening it = fph_opening_of(name, desc, flags);
    int         rc = fph_open_error(&it);
    unsigned    index;

    if (rc != 0)
        return (fpheap *)fph_result(rc, NULL);
    do {                       /* again if another process made it meanwhile */
        index = fph_number_take(fph_heap_used, FPHEAP_MAX_HEAPS);
        if (index == FPHEAP_MAX_HEAPS)
            return (fpheap *)fph_result(-ENFILE, NULL);
        it = fph_opening_of(name, desc, flags);
        rc = fph_open(&fph_heaps[index], &it);
        if (rc != 0)
            fph_partition_end(&fph_heaps[index]);
    } while (rc == -EEXIST && (flags & FPHEAP_EXCLUSIVE) == 0);
    return (fpheap *)fph_result(rc, &fph_heaps[index]);
}

/* Leave the caches that threads of this process have. */
static void
fph_caches_leave(fpheap *heap)
{
    fpheap_cache *cache;
    size_t        seat = 0;

    FPH_INSIDE(heap);
    while ((cache = fph_cache_next(heap->state, &seat)) != NULL)
        if (fph_load_relaxed(&fph_slot_of(cache)->owner) == heap->member + 1)
            fph_cache_leave(cache, cache->entry);
}

FPHEAP_API int
fpheap_close(fpheap *heap)
{
    fph_member *member;
    fph_word   *gate;

    if (fph_is_view(heap)) {
        fph_partition_end(heap);
        return 0;
    }
    if (!fph_heap_good(heap) || heap->partition == NULL)
        return -EINVAL;
    if (fph_this.depth[heap - fph_heaps] != 0)
        return -EBUSY;
    gate = &fph_gates[heap - fph_heaps];
    while (!fph_gate_enter(gate, FPH_DESTROY))
        fph_yield();
    fph_caches_leave(heap);
    fph_store_release(gate, 0);                                     /* H7 */
    member = &heap->partition->member[heap->member];
    fph_store_relaxed(&member->is, 0);
    fph_partition_end(heap);
    return 0;
}

FPHEAP_API int
fpheap_unlink(const char *name, const fpheap_partition *desc)
{
    FPH_UNCANCELLED;
    fph_opening it = fph_opening_of(name, desc, 0);
    int         rc = fph_open_error(&it);

    if (rc == 0)
        rc = fph_directory_open(&it);
    if (rc != 0)
        return rc;
    if (unlinkat(it.directory, name, 0) != 0)
        rc = -errno;
    close(it.directory);
    return rc;
}

/* --- who has what ---------------------------------------------------------
 *
 * What a member has live is what it took from slabs and depots, less what it
 * gave back and what its threads park: exact while it is in no call, also when
 * it is dead.  An object that one member allocates and another frees counts for
 * the first, and against the second.
 */

/* Fill in what a member shows.  Returns 0: there is none. */
static int
fph_member_look(const fpheap *heap, unsigned number, fpheap_member *told)
{
    fph_parked parked = fph_parked_none(heap);
    fph_member member;
    int64_t    live;

    memset(told, 0, sizeof *told);
    if (!fph_peek(heap, &member, &heap->partition->member[number],
                  sizeof member) || member.is == 0)
        return 0;
    told->number = number;
    told->process = (int)member.process;
    told->owner = fph_owner_number(&member, number);
    told->alive = !fph_is_dead(heap, number);
    fph_parked_caches(&parked, number);
    told->parked_bytes = parked.bytes;
    live = (int64_t)member.taken - (int64_t)parked.bytes;
    told->live_bytes = live > 0 ? (size_t)live : 0;
    return 1;
}

/* The same for a process that only reads. */
static int
fph_reader_look(const fpheap *heap, unsigned number, fpheap_member *told)
{
    memset(told, 0, sizeof *told);
    told->number = number;
    told->alive = 1;
    told->read_only = 1;
    return heap->member == FPH_READERS + number
        || !fph_lock(heap, FPH_READERS + number, F_OFD_GETLK, F_WRLCK);
}

/* Whether a handle is that of a partition, to write or to read. */
static int
fph_has_partition(const fpheap *heap)
{
    return (fph_is_view(heap) || fph_heap_good(heap))
        && heap->partition != NULL;
}

FPHEAP_API int
fpheap_members(fpheap *heap,
               int (*visit)(void *arg, const fpheap_member *member), void *arg)
{
    fpheap_member told;
    unsigned      i;
    int           rc = 0;

    if (!fph_has_partition(heap))
        return -EINVAL;
    for (i = 0; rc == 0 && i < FPH_MEMBERS; i++)
        if (fph_member_look(heap, i, &told))
            rc = visit(arg, &told);
    for (i = 0; rc == 0 && i < FPH_MEMBERS; i++)
        if (fph_reader_look(heap, i, &told))
            rc = visit(arg, &told);
    return rc;
}

/* --- handles -------------------------------------------------------------- */

/* A handle counts in 16 bytes, to which objects are aligned: 64 GiB.  0 is the
 * partition's head, where no object begins. */
#define FPH_HANDLE_SHIFT 4

FPHEAP_API uint32_t
fpheap_handle(fpheap *heap, const void *object)
{
    size_t offset;

    if (!fph_has_partition(heap))
        return 0;
    offset = (size_t)((uintptr_t)object - (uintptr_t)heap->partition);
    if (offset >= heap->bytes || offset % 16 != 0)
        return 0;
    return (uint32_t)(offset >> FPH_HANDLE_SHIFT);
}

/* Whether an object that is in a heap is free, as far as it shows. */
static int
fph_looks_free(const fph_state *state, const void *object)
{
    const fph_slab *slab = fph_record_of(state, object);
    uint64_t        info = fph_info_load(slab);
    size_t          number;

    if (FPHEAP_HEADER)
        return FPH_LOAD(&fph_head_of(object)->hold.refs, RELAXED) == 0;
    if (fph_info_kind(info) != FPH_SLAB)
        return fph_info_kind(info) != FPH_LARGE;
    number = (size_t)((const char *)object - slab->base) / slab->size;
    return (int)(fph_load_relaxed(&slab->bits[number / 64])
                 >> number % 64 & 1);
}

FPHEAP_API void *
fpheap_object_at(fpheap *heap, uint32_t handle)
{
    fph_viewed it;
    char      *object;

    if (handle == 0 || !fph_has_partition(heap)
        || handle >= heap->bytes >> FPH_HANDLE_SHIFT)
        return NULL;
    object = (char *)heap->partition + ((size_t)handle << FPH_HANDLE_SHIFT);
    if (fph_is_view(heap))
        return fph_view_object(heap, object, &it) == object
            && !fph_view_free(heap, &it, object) ? object : NULL;
    return fph_base_of(heap->state, object) == object
        && !fph_looks_free(heap->state, object) ? object : NULL;
}

FPHEAP_API int
fpheap_set_root(fpheap *heap, const void *object)
{
    uint32_t handle = fpheap_handle(heap, object);

    if (!fph_heap_good(heap) || heap->partition == NULL
        || (object != NULL && handle == 0))
        return -EINVAL;
    fph_store_release(&heap->partition->root, handle);              /* W10 */
    return 0;
}

FPHEAP_API void *
fpheap_root(fpheap *heap)
{
    uint64_t root = 0;

    if (!fph_has_partition(heap))
        return NULL;
    if (fph_is_view(heap))
        (void)fph_peek(heap, &root, &heap->partition->root, sizeof root);
    else
        root = fph_load_acquire(&heap->partition->root);            /* W11 */
    return fpheap_object_at(heap, (uint32_t)root);
}
#endif /* FPHEAP_SHARED */

/* [SYMBOLS] ================================================================
 *
 * The fast path's functions as symbols.
 */

#ifndef FPHEAP_STATIC
#  ifdef __cplusplus
/* In C++ an inline function has its symbol wherever its address is taken. */
#    define FPH_TWIN(f)                                                     \
         __attribute__((used)) static __typeof__(f) *const fph_twin_##f = f;
#  elif defined(__APPLE__)     /* has no aliases */
#    define FPH_TWIN(f)
#  else
#    define FPH_TWIN(f)                                                     \
         FPHEAP_API __typeof__(f) fph_twin_##f FPH_LINKED(f)                \
             __attribute__((alias("fph_inline_" #f)));
#  endif
FPH_INLINED(FPH_TWIN)
#endif

/* The plain names, to which only dlsym and other languages refer. */
#if FPHEAP_EXPORT
#  define FPH_PLAIN(f)                                                     \
       extern __typeof__(f) fph_plain_##f __asm__(#f)                      \
           __attribute__((visibility("default"), nothrow,                  \
                          alias(#f FPH_LAYOUT)));
FPH_CALLED(FPH_PLAIN)
FPH_HIT(FPH_PLAIN)

/* Whoever calls these has the struct of version 0.1.0, which ended with `last`,
 * or a later one. */
#  define FPH_PLAIN_TOLD(f, type, last, result, parameters, how, arguments) \
       extern __typeof__(f) fph_plain_##f __asm__(#f)                      \
           __attribute__((visibility("default")));                         \
       result fph_plain_##f parameters                                     \
       {                                                                   \
           size_t first = offsetof(type, last) + sizeof ((type *)0)->last; \
           first += -first % sizeof(size_t);                               \
           how f##_sized arguments;                                        \
       }
FPH_PLAIN_TOLD(fpheap_stats_get, fpheap_stats, emergency_bytes, void,
               (fpheap *heap, fpheap_stats *stats), , (heap, stats, first))
FPH_PLAIN_TOLD(fpheap_class_stats_get, fpheap_class_stats, magazine, int,
               (fpheap *heap, unsigned index, fpheap_class_stats *stats),
               return, (heap, index, stats, first))
FPH_PLAIN_TOLD(fpheap_pool_stats_get, fpheap_pool_stats, magazine, void,
               (fpheap_pool *pool, fpheap_pool_stats *stats), ,
               (pool, stats, first))
#  if FPHEAP_HEADER
FPH_PLAIN_TOLD(fpheap_tag_stats_get, fpheap_tag_stats, bytes, int,
               (fpheap *heap, unsigned tag, fpheap_tag_stats *stats), return,
               (heap, tag, stats, first))
#  endif
#endif

#ifdef __cplusplus
}
#  pragma GCC diagnostic pop
#endif

#endif /* FPHEAP_IMPLEMENTATION */

/* The functions that allocate record where they are called. */
#if FPHEAP_SITES && !FPHEAP_NO_INLINE
#  undef FPH_SITED
#  define FPH_SITED(f, ...) \
      (fph_site = __FILE__ ":" FPH_TEXT(__LINE__), f(__VA_ARGS__))
#  define fpheap_alloc(...)         FPH_SITED(fpheap_alloc, __VA_ARGS__)
#  define fpheap_alloc_bulk(...)    FPH_SITED(fpheap_alloc_bulk, __VA_ARGS__)
#  define fpheap_alloc_burst(...)   FPH_SITED(fpheap_alloc_burst, __VA_ARGS__)
#  define fpheap_alloc_critical(...) \
      FPH_SITED(fpheap_alloc_critical, __VA_ARGS__)
#  define fpheap_alloc_critical_bulk(...) \
      FPH_SITED(fpheap_alloc_critical_bulk, __VA_ARGS__)
#  define fpheap_zalloc(...)        FPH_SITED(fpheap_zalloc, __VA_ARGS__)
#  define fpheap_calloc(...)        FPH_SITED(fpheap_calloc, __VA_ARGS__)
#  define fpheap_aligned_alloc(...) FPH_SITED(fpheap_aligned_alloc, __VA_ARGS__)
#  define fpheap_alloc_on(...)      FPH_SITED(fpheap_alloc_on, __VA_ARGS__)
#  define fpheap_alloc_tagged(...)  FPH_SITED(fpheap_alloc_tagged, __VA_ARGS__)
#  define fpheap_realloc(...)       FPH_SITED(fpheap_realloc, __VA_ARGS__)
#  define fpheap_aligned_realloc(...) \
      FPH_SITED(fpheap_aligned_realloc, __VA_ARGS__)
#  define fpheap_cache_alloc(...)   FPH_SITED(fpheap_cache_alloc, __VA_ARGS__)
#  define fpheap_cache_alloc_bulk(...) \
      FPH_SITED(fpheap_cache_alloc_bulk, __VA_ARGS__)
#  define fpheap_pool_get(...)      FPH_SITED(fpheap_pool_get, __VA_ARGS__)
#  define fpheap_pool_get_bulk(...) FPH_SITED(fpheap_pool_get_bulk, __VA_ARGS__)
#  define fpheap_pool_get_critical(...) \
      FPH_SITED(fpheap_pool_get_critical, __VA_ARGS__)
#  define fpheap_pool_get_burst(...) \
      FPH_SITED(fpheap_pool_get_burst, __VA_ARGS__)
#  define fpheap_group_begin(...)   FPH_SITED(fpheap_group_begin, __VA_ARGS__)
#  define fpheap_group_alloc(...)   FPH_SITED(fpheap_group_alloc, __VA_ARGS__)
#  define fpheap_group_aligned(...) FPH_SITED(fpheap_group_aligned, __VA_ARGS__)
#  define fpheap_group_adopt(...)   FPH_SITED(fpheap_group_adopt, __VA_ARGS__)
#  define fpheap_group_cleanup(...) FPH_SITED(fpheap_group_cleanup, __VA_ARGS__)
#endif

/* [HISTORY] ================================================================
 *
 * 0.1.0   The first release.
 */

/* [LICENSE] ================================================================
 *
 * fpheap may be used under either of two licences, whichever you prefer.
 *
 * ALTERNATIVE A - MIT License (SPDX: MIT)
 *
 * Copyright (c) 2026 the fpheap authors
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy
 * of this software and associated documentation files (the "Software"), to deal
 * in the Software without restriction, including without limitation the rights
 * to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
 * copies of the Software, and to permit persons to whom the Software is
 * furnished to do so, subject to the following conditions:
 *
 * The above copyright notice and this permission notice shall be included in
 * all copies or substantial portions of the Software.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 * IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 * FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 * LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 * OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
 * SOFTWARE.
 *
 * ALTERNATIVE B - Public Domain (SPDX: Unlicense)
 *
 * This is free and unencumbered software released into the public domain.
 *
 * Anyone is free to copy, modify, publish, use, compile, sell, or distribute
 * this software, either in source code form or as a compiled binary, for any
 * purpose, commercial or non-commercial, and by any means.
 *
 * In jurisdictions that recognize copyright laws, the author or authors of this
 * software dedicate any and all copyright interest in the software to the
 * public domain. We make this dedication for the benefit of the public at large
 * and to the detriment of our heirs and successors. We intend this dedication
 * to be an overt act of relinquishment in perpetuity of all present and future
 * rights to this software under copyright law.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 * IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 * FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN
 * ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION
 * WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
 *
 * For more information, please refer to <https://unlicense.org/>
 */
