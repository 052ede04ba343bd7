/* shown.c - one packet of many is shown to another process, alone, and hidden again
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     cc -O2 shown.c -o shown -pthread && ./shown       (Linux 5.1, with /proc)
 *
 * A process that maps a heap's memory sees all packets in it.  Here a packet has
 * whole pages, which its pool's constructor replaces by a file.  A reader that is
 * sent the file maps it and sees the packet where it lies: no copy, no neighbours.
 *
 *     construct   a sealed file in place of the pages        once per object
 *     get, put    as of any pool
 *     show        send a descriptor that can only be read    one message
 *     hide        a new file, or a copy; the old one ends    as construct
 *     destruct    ordinary memory; the file ends             once per object
 *
 * Promised: whoever was sent a packet can write neither it nor another, sees no
 * other, and once it is hidden sees nothing; then the old file's memory is free,
 * whatever the reader does.  Threads need no lock: each call is on an object that
 * its caller holds.  A construct or hide that fails has changed nothing.
 *
 * Not promised:
 *   - A reader that looks at what is hidden gets SIGBUS: it catches that, or uses
 *     pread, which meets the file's end.  A packet is hidden from all its readers.
 *   - Put hides nothing.  Hide before it, or readers see what the packet is next.
 *   - Root, or a process of the same user, could open the file anew and shrink
 *     it: then the owner gets the SIGBUS.  But it could as well trace the owner.
 *   - Each object costs a descriptor and a mapping (vm.max_map_count), and splits
 *     a transparent hugepage; with FPHEAP_HUGETLB the constructor fails.
 *   - Private heaps only: other members of a partition see what is below the files,
 *     and whoever has a descriptor of a partition's file, if only to read, can map
 *     all of it.  What one of them alone may see is in a second partition.
 *   - A child of fork() has nothing there, and must leave the pool alone.
 */
#define FPHEAP_IMPLEMENTATION
#include "../fpheap.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PACKETS = 100, PAIRS = 10000000 };

/* The constructor writes `file`, which stays.  To readers the number says nothing. */
typedef struct packet {
    int  file;
    char text[60];
} packet;

static size_t packet_bytes;    /* of an object: the system's page, at most FPHEAP_PAGE */

static int
problem(const char *what)
{
    fprintf(stderr, "shown: %s: %s\n", what, strerror(errno));
    return 1;
}

/* --- packets that are files ----------------------------------------------- */

/* Map a new file, which gets its memory now: a write could not fail later. */
static packet *
map_new(int file)
{
    while (fallocate(file, 0, 0, (off_t)packet_bytes) != 0)
        if (errno != EINTR)
            return MAP_FAILED;
    return mmap(NULL, packet_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
}

/* Replace an object's pages by a new file; contents: NULL, or what to copy into it.
 * The seals leave this mapping the only one that can ever write; the mode keeps
 * other users from shrinking the file.  What may fail comes before the last step,
 * which replaces the pages at once. */
static int
give_file(void *contents, void *object)
{
    int     file = memfd_create("packet", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    packet *at   = file < 0 ? MAP_FAILED : map_new(file);
    int     rc;

    if (at != MAP_FAILED) {
        if (contents != NULL)
            memcpy(at, contents, packet_bytes);
        at->file = file;
        if (fcntl(file, F_ADD_SEALS,
                  F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0
            && fchmod(file, 0444) == 0
            && madvise(at, packet_bytes, MADV_DONTFORK) == 0
            && mremap(at, packet_bytes, packet_bytes,
                      MREMAP_MAYMOVE | MREMAP_FIXED, object) != MAP_FAILED)
            return 0;
    }
    rc = -errno;
    if (at != MAP_FAILED)
        munmap(at, packet_bytes);
    if (file >= 0)
        close(file);
    return rc;
}

/* The pages serve any size next, so they must not stay a file's. */
static void
take_file(void *unused, void *object)
{
    int   file = ((packet *)object)->file;
    void *at   = mmap(object, packet_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    (void)unused;
    if (at == MAP_FAILED || ftruncate(file, 0) != 0 || close(file) != 0)
        _exit(problem("cannot take a packet's file away"));
}

static int
reopen(int file, int how)
{
    char path[40];

    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return open(path, how | O_CLOEXEC);
}

/* Send a descriptor through a Unix socket; or, given -1, receive one. */
static int
pass(int socket, int file)
{
    union {
        struct cmsghdr head;
        char           room[CMSG_SPACE(sizeof(int))];
    } rights = { .head = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                           .cmsg_len = CMSG_LEN(sizeof file) } };
    char          byte = 0;
    struct iovec  data = { &byte, 1 };
    struct msghdr m    = { .msg_iov = &data, .msg_iovlen = 1,
                           .msg_control = &rights, .msg_controllen = sizeof rights };

    memcpy(CMSG_DATA(&rights.head), &file, sizeof file);
    if (file >= 0)
        return sendmsg(socket, &m, MSG_NOSIGNAL) == 1 ? 0 : -errno;
    if (recvmsg(socket, &m, MSG_CMSG_CLOEXEC) != 1 || CMSG_FIRSTHDR(&m) == NULL)
        return -EPROTO;
    memcpy(&file, CMSG_DATA(&rights.head), sizeof file);
    return file;
}

/* Show a packet to the process at the other end of a socket. */
static int
show(const packet *object, int to)
{
    int file = reopen(object->file, O_RDONLY);
    int rc   = file < 0 ? -errno : pass(to, file);

    if (file >= 0)
        close(file);
    return rc;
}

/* Hide a packet from all its readers: what they have mapped is cut off.  No other
 * thread may write it meanwhile. */
static int
hide(packet *object, int keep)
{
    int file = object->file;
    int rc   = give_file(keep ? object : NULL, object);

    if (rc == 0 && (ftruncate(file, 0) != 0 || close(file) != 0))
        rc = -errno;
    return rc;
}

/* Tell the other process to go on, and wait until it has. */
static int
turn(int other)
{
    char byte = 0;

    return write(other, &byte, 1) == 1 && read(other, &byte, 1) == 1;
}

/* --- the reader ----------------------------------------------------------- */

static sigjmp_buf no_memory;

static void
on_bus(int number)
{
    siglongjmp(no_memory, number);
}

/* Copy a packet.  Returns 0: there is none (any more). */
static int
see(const packet *at, packet *copy)
{
    if (sigsetjmp(no_memory, 1 /* mask */) != 0)
        return 0;
    *copy = *(const volatile packet *)at;
    return 1;
}

static int
can_write(int file)
{
    return pwrite(file, "", 1, 0) >= 0
        || mmap(NULL, packet_bytes, PROT_WRITE, MAP_SHARED, file, 0) != MAP_FAILED
        || fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK) == 0; /* it could not be hidden */
}

/* Whether a packet is there, alone, and safe from writes, also if opened anew. */
static int
is_alone(int file, packet *at, packet *copy)
{
    int again = fchmod(file, 0666) == 0 ? reopen(file, O_RDWR) : -1;

    return !can_write(file) && ftruncate(file, 0) != 0 && !can_write(again)
        && mprotect(at, packet_bytes, PROT_READ | PROT_WRITE) != 0
        && !see((packet *)(void *)((char *)at + packet_bytes), copy)
        && see(at, copy);
}

/* Look at a packet, at what it becomes, and at what is left when it is hidden. */
static int
follow(int from)
{
    int         file = pass(from, -1 /* receive */);
    packet     *at   = mmap(NULL, 2 * packet_bytes, PROT_READ, MAP_SHARED, file, 0);
    packet      copy;
    struct stat is;

    signal(SIGBUS, on_bus);
    if (at == MAP_FAILED || !is_alone(file, at, &copy))
        return problem("reader: it is not there, not alone, or can be written");
    printf("reader: sees \"%s\", nothing behind it, and cannot write\n", copy.text);
    if (!turn(from) || !see(at, &copy))
        return problem("reader: it is hidden too early");
    printf("reader: sees \"%s\"\n", copy.text);
    if (!turn(from) || see(at, &copy) || fstat(file, &is) != 0 || is.st_blocks != 0)
        return problem("reader: it is not hidden");
    printf("reader: gets SIGBUS, and the file has no memory\n");
    return 0;
}

/* --- the owner ------------------------------------------------------------ */

/* Show a packet, change it, and hide it. */
static int
demonstrate(packet *p, int to)
{
    char byte;
    int  status;

    if (show(p, to) != 0 || read(to, &byte, 1) != 1)
        return problem("cannot show a packet");
    strcat(p->text, ", changed");
    if (!turn(to) || hide(p, 1 /* keep */) != 0 || write(to, "", 1) != 1
        || wait(&status) < 0 || status != 0)
        return problem("cannot hide a packet");
    strcat(p->text, " and hidden");
    printf("owner: goes on with \"%s\"\n", p->text);
    return 0;
}

/* Nanoseconds of a get and a put of a packet in use. */
static double
time_pairs(fpheap_pool *pool)
{
    clock_t begin = clock();

    for (int i = 0; i < PAIRS; i++) {
        packet *p = fpheap_pool_get(pool);

        if (p == NULL)
            return -1;
        p->text[0]++;
        fpheap_pool_put(pool, p);
    }
    return (double)(clock() - begin) * (1e9 / CLOCKS_PER_SEC) / PAIRS;
}

/* Show one of many packets, and time them; then others, in the same memory. */
static int
own(fpheap *heap, int to)
{
    static void     *held[PACKETS];
    fpheap_pool_desc desc = { .name = "packets", .size = packet_bytes,
                              .align = packet_bytes, .construct = give_file,
                              .destruct = take_file, .flags = FPHEAP_TYPE_STABLE };
    fpheap_pool     *pool = fpheap_pool_create(heap, &desc);
    unsigned         n    = 0;

    if (pool == NULL)
        return problem("no pool");
    for (; n < PACKETS && (held[n] = fpheap_pool_get(pool)) != NULL; n++)
        snprintf(((packet *)held[n])->text, 20, "packet %u", n);
    printf("owner: has %u packets: %s\n", n, n < PACKETS ? strerror(errno) : "all");
    if (n == 0 || demonstrate(held[n / 2], to) != 0)
        return 1;
    fpheap_pool_put_bulk(pool, held, n);
    printf("owner: %.2f ns for a get and a put", time_pairs(pool));
    if (fpheap_check(heap) != NULL || fpheap_pool_destroy(pool, NULL) != 0)
        return problem("the pool is damaged");
    desc.construct = NULL;
    desc.destruct = NULL;
    pool = fpheap_pool_create(heap, &desc);
    if (pool == NULL)
        return problem("no other pool");
    printf(", %.2f where no packet is a file\n", time_pairs(pool));
    return fpheap_check(heap) != NULL || fpheap_destroy(heap) != 0;
}

static int
count_files(void)
{
    int n = 0;

    for (int file = 0; file < 10 * PACKETS; file++)
        n += fcntl(file, F_GETFD) >= 0;
    errno = 0;
    return n;
}

/* The reader begins before there is anything that it could inherit. */
int
main(void)
{
    int files = count_files(), to[2], rc;

    packet_bytes = (size_t)sysconf(_SC_PAGESIZE);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* in the order of the turns */
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, to) != 0)
        return problem("no socket");
    if (fork() == 0) {
        close(to[0]);
        return follow(to[1]);
    }
    close(to[1]);
    rc = own(fpheap_create("packets", NULL), to[0]);
    close(to[0]);
    files = count_files() - files;
    printf("owner: all is freed, and %d descriptors are left\n", files);
    return rc != 0 || files != 0;
}
