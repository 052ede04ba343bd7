/* threads.h - three threads, of what A, B and C are; without C the third does
 * nothing.  Include it behind what these call. */
#ifndef THREADS_H
#define THREADS_H

#ifndef C
#  define C (void)0
#endif
#ifndef FIRST
#  define FIRST(number) (void)0 /* what each does first */
#endif
static void *a(void *arg) { FIRST(0); A; return arg; }
static void *b(void *arg) { FIRST(1); B; return arg; }
static void *c(void *arg) { FIRST(2); C; return arg; }

/* Run them to their ends. */
static void
run_threads(void)
{
    pthread_t thread[3];

    pthread_create(&thread[0], NULL, a, NULL);
    pthread_create(&thread[1], NULL, b, NULL);
    pthread_create(&thread[2], NULL, c, NULL);
    pthread_join(thread[0], NULL);
    pthread_join(thread[1], NULL);
    pthread_join(thread[2], NULL);
}

#endif
