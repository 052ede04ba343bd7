/* wait_queue.c - requests wait for buffers of a pool that is dry, and are woken
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     cc -O2 wait_queue.c -o wait_queue -pthread && ./wait_queue
 *
 * Two threads ask for a buffer 100,000 times each, without blocking: a request
 * that gets none waits in a queue.  Two others use the buffers and put them back.
 * The pool says when there is room again, whichever thread made it; nobody polls.
 */
#define FPHEAP_IMPLEMENTATION
#include "../fpheap.h"

#include <pthread.h>
#include <stdio.h>

enum { ASKERS = 2, USERS = 2, REQUESTS = 100000, BUFFERS = 64 };

typedef struct request {
    struct request *next;
    unsigned char  *buffer;
} request;

typedef struct list {
    request *first, *last;
} list;

static fpheap         *heap;
static fpheap_pool    *pool;
static pthread_mutex_t lock  = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  some  = PTHREAD_COND_INITIALIZER;
static list            waiting, ready;
static int             serving, again;  /* a thread serves; and shall once more */
static unsigned        served, failed, woken;
static request         requests[ASKERS][REQUESTS];

static void
append(list *to, request *r)
{
    r->next = NULL;
    if (to->first == NULL)
        to->first = r;
    else
        to->last->next = r;
    to->last = r;
}

static request *
take_first(list *from)
{
    request *r = from->first;

    from->first = r->next;
    return r;
}

/* Serve the queue in order, as far as there are buffers.  One thread does at a
 * time; if another comes meanwhile, that one looks once more.  The pool is never
 * called under the lock, since room_again takes it. */
static void
serve(void)
{
    pthread_mutex_lock(&lock);
    again = 1;
    if (!serving) {
        serving = 1;
        while (again) {
            again = 0;
            while (waiting.first != NULL) {
                void *buffer;

                pthread_mutex_unlock(&lock);
                buffer = fpheap_pool_get(pool);
                pthread_mutex_lock(&lock);
                if (buffer == NULL) {
                    failed++;
                    break;
                }
                waiting.first->buffer = buffer;
                append(&ready, take_first(&waiting));
                served++;
                pthread_cond_broadcast(&some);
            }
        }
        serving = 0;
    }
    pthread_mutex_unlock(&lock);
}

/* Called at the end of some get or put, by any thread. */
static void
room_again(void *unused, fpheap *of, fpheap_pool *in, int room)
{
    (void)unused, (void)of, (void)in;
    if (!room)
        return;
    __atomic_fetch_add(&woken, 1, __ATOMIC_RELAXED);
    serve();
}

static void *
ask(void *arg)
{
    request *mine = arg;

    for (int i = 0; i < REQUESTS; i++) {
        pthread_mutex_lock(&lock);
        append(&waiting, &mine[i]);
        pthread_mutex_unlock(&lock);
        serve();
    }
    return NULL;
}

/* The next request that has its buffer; NULL: all are done. */
static request *
next_ready(void)
{
    request *r = NULL;

    pthread_mutex_lock(&lock);
    if (ready.first == NULL) { /* what this thread has parked is for others */
        pthread_mutex_unlock(&lock);
        fpheap_flush(heap);
        pthread_mutex_lock(&lock);
    }
    while (ready.first == NULL && served < ASKERS * REQUESTS)
        pthread_cond_wait(&some, &lock);
    if (ready.first != NULL)
        r = take_first(&ready);
    pthread_mutex_unlock(&lock);
    return r;
}

static void *
use(void *sum)
{
    request *r;

    while ((r = next_ready()) != NULL) {
        r->buffer[0] = 1;
        *(unsigned *)sum += r->buffer[0];
        fpheap_pool_put(pool, r->buffer);
    }
    return NULL;
}

int
main(void)
{
    fpheap_pool_desc desc = { .name = "buffers", .size = 2048, .max = BUFFERS };
    pthread_t        thread[ASKERS + USERS];
    unsigned         used[USERS] = { 0 };

    desc.water = (fpheap_water){ .low = 0, .high = 8, .crossed = room_again };
    heap = fpheap_create("waiting", NULL);
    if (heap == NULL || (pool = fpheap_pool_create(heap, &desc)) == NULL)
        return 1;
    for (int i = 0; i < USERS; i++)
        if (pthread_create(&thread[i], NULL, use, &used[i]))
            return 1;
    for (int i = 0; i < ASKERS; i++)
        if (pthread_create(&thread[USERS + i], NULL, ask, requests[i]))
            return 1;
    for (int i = 0; i < ASKERS + USERS; i++)
        pthread_join(thread[i], NULL);
    printf("%u requests served with %d buffers; %u gets failed, room again %u "
           "times\n", used[0] + used[1], BUFFERS, failed, woken);
    return used[0] + used[1] == ASKERS * REQUESTS
                   && fpheap_pool_destroy(pool, NULL) == 0
                   && fpheap_destroy(heap) == 0
               ? 0 : 1;
}
