/* process.h - model.h for models of what several processes share
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * A thread is a process: it has a handle of its own, and so all that each process
 * has by handle.  A lock of a byte of the file is an atomic; its memory is plain,
 * as a process may ask for a chunk's, or give it, while no other does.
 */
#ifndef PROCESS_H
#define PROCESS_H

#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif

#ifdef GENMC
/* Its own headers lack most of these, and have functions that it knows. */
#  define __have_pthread_attr_t 1
#  define _BITS_PTHREADTYPES_COMMON_H 1
#  define __UNISTD_H__
#  define __FCNTL_H__
#  define __SYS_STAT_H__
#  define __SYS_TYPES_H__
#  include "/usr/include/unistd.h"
#  include "/usr/include/fcntl.h"
#  define EDQUOT ENOSPC
#  define S_ISREG(mode) 1
#  define S_ISCHR(mode) 0
struct stat {
    unsigned      st_mode, st_uid;
    unsigned long st_nlink, st_size, st_dev, st_ino;
};
int fstat(int file, struct stat *is);
int fchmod(int file, mode_t mode);
#endif
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int model_lock(int what, struct flock *lock);
static int model_time(struct timespec *now);
static int model_allocate(int mode, uint64_t at, uint64_t bytes);
#define FPHEAP_NO_OS     0
#define FPHEAP_MAX_HEAPS 4
#define fcntl(file, what, ...) \
    model_lock(what, (struct flock *)(__VA_ARGS__ + 0))
#define clock_gettime(id, now) model_time(now)
#define getpid()                 1
#define madvise(at, bytes, what) ((void)(at), 0)
#define syscall(number, ...)     MODEL_##number(__VA_ARGS__)
#define MODEL_SYS_fallocate(file, mode, at, bytes) \
    model_allocate(mode, at, bytes)
#define MODEL_SYS_rt_sigprocmask(how, set, old, bytes) (-1)
#include "model.h"

static fph_partition partition;
static fph_word      lock_of[4];       /* 1: taken */
static _Thread_local int looked;       /* at the time */

/* Whoever gets a lock comes after who had it. */
static int
model_lock(int what, struct flock *lock)
{
    fph_word *word = &lock_of[lock->l_start];
    uint64_t  none = 0;

    if (what == F_OFD_GETLK)
        lock->l_type = fph_load_acquire(word) == 0 ? F_UNLCK : F_WRLCK;
    else if (lock->l_type == F_UNLCK)
        fph_store_release(word, 0);
    else
        return fph_cas_acquire(word, &none, 1) ? 0 : -1;
    return 0;
}

/* Who would wait begins later in other executions. */
static int
model_time(struct timespec *now)
{
#ifdef GENMC
    __VERIFIER_assume(!looked);
#endif
    looked = 1;
    now->tv_sec = now->tv_nsec = 0;
    return 0;
}

/* The file's memory, as the system has it. */
static int backed[4];

static int
model_allocate(int mode, uint64_t at, uint64_t bytes)
{
    size_t i = (size_t)(at >> FPHEAP_CHUNK_SHIFT);

    for (; bytes > 0; bytes -= FPHEAP_CHUNK)
        backed[i++] = mode != FPH_PUNCH;
    return 0;
}

#endif
