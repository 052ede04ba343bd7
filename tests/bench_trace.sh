#!/bin/bash
# bench_trace.sh - what the benchmark's recorder writes is what the program did,
# and can be replayed
. "$(dirname "$0")/lib.sh"

bench=$top/bench
traces=$scratch/traces
mkdir "$traces"

# "known" does a sequence that is compared call by call, by its sizes: all else
# that the C library allocates is smaller.  "killed" does the same and ends as
# suddenly as can be.  "many" are four threads that free each other's objects.
cat > "$scratch/program.c" << 'C'
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *volatile kept[64];

static void *
one(void *unused)
{
    (void)unused;
    return malloc(100007);
}

static void
known(void)
{
    pthread_t thread;
    void     *a = malloc(100001), *b = calloc(3, 33335);
    void     *c = aligned_alloc(64, 100096), *d = NULL, *e;

    a = realloc(a, 200001);
    if (posix_memalign(&d, 256, 100003) != 0)
        abort();
    free(b);
    if (pthread_create(&thread, NULL, one, NULL) != 0)
        abort();
    pthread_join(thread, &e);
    free(e);
    if (fork() == 0) {
        kept[0] = malloc(100009); /* nobody records it */
        free(c);
        _exit(kept[0] == NULL);
    }
    wait(NULL);
    e = realloc(NULL, 100011);
    e = reallocarray(e, 2, 100013);
    free(e);
    free(c);
    kept[0] = a;
    kept[1] = d;
}

static void *
many(void *arg)
{
    unsigned i, at = (unsigned)(size_t)arg;

    for (i = 0; i < 20000; i++) {
        void *mine = malloc(4093);

        if (i % 8 == 0)
            mine = realloc(mine, 8191);
        at = (at * 69069 + 12345) & 0xffffff;
        free(__atomic_exchange_n(&kept[at >> 18], mine, __ATOMIC_ACQ_REL));
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    pthread_t threads[4];
    size_t    i;

    if (argc > 1 && strcmp(argv[1], "many") == 0) {
        for (i = 0; i < 4; i++)
            if (pthread_create(&threads[i], NULL, many, (void *)(i * 99)) != 0)
                abort();
        for (i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        for (i = 0; i < 64; i++)
            free(kept[i]);
        return 0;
    }
    known();
    if (argc > 1 && strcmp(argv[1], "killed") == 0)
        raise(SIGKILL);
    return 0;
}
C

# The rows of traces alone, for the peer that PEER names.
cat > "$scratch/replay.c" << C
#define _GNU_SOURCE 1
#include "$bench/peer.h"
#include "$bench/machine.inc"
#include "$bench/rows_trace.inc"
int
main(void)
{
    static const row rows[] = { ROWS_TRACE };

    find_cpus();
    repeats = 1;
    rows[0].run(&rows[0]);
    return 0;
}
C

# A peer that counts the frees of objects that another thread allocated, and what
# is freed that was not allocated or had another size.
cat > "$scratch/watch.inc" << 'C'
#include <stdint.h>
#include <stdio.h>

#define LIVE 0x6c697665u

typedef int peer;

typedef struct watched {
    _Alignas(16) uint32_t live;
    uint32_t size;
    unsigned thread;
} watched;

static struct {
    unsigned threads;
    unsigned crossed;
    unsigned wrong;
} *seen;
static __thread unsigned my_number;

__attribute__((constructor)) static void
watch_begin(void)
{
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

__attribute__((destructor)) static void
watch_end(void)
{
    printf("crossed %u wrong %u\n", seen->crossed, seen->wrong);
}

static peer
peer_prepare(const stock *s)
{
    (void)s;
    if (my_number == 0)
        my_number = __atomic_add_fetch(&seen->threads, 1, __ATOMIC_RELAXED);
    return 0;
}

BENCH_INLINE void *
peer_alloc(peer p, size_t size)
{
    watched *w = malloc(sizeof *w + size);

    (void)p;
    *w = (watched){ LIVE, (uint32_t)size, my_number };
    return w + 1;
}

BENCH_INLINE void
peer_free(peer p, void *object, size_t size)
{
    watched *w = (watched *)object - 1;

    (void)p;
    if (w->live != LIVE || w->size != size)
        __atomic_add_fetch(&seen->wrong, 1, __ATOMIC_RELAXED);
    if (w->thread != my_number)
        __atomic_add_fetch(&seen->crossed, 1, __ATOMIC_RELAXED);
    w->live = 0;
    free(w);
}
C

check "the recorder builds" $CC -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC \
    -shared -ftls-model=initial-exec -fvisibility=hidden \
    "$bench/trace_record.c" -o "$scratch/recorder.so" -ldl
check "trace_print builds" $CC -std=gnu11 -O1 -Wall -Wextra -Werror \
    "$bench/trace_print.c" -o "$scratch/trace_print"
check "the program builds" $CC -std=gnu11 -O0 "$scratch/program.c" \
    -o "$scratch/program" -pthread
for peer in "$bench/peer_malloc" "$bench/peer_fpheap" "$scratch/watch"; do
    name=${peer##*[/_]}
    check "the replay for $name builds" $CC -std=gnu11 -O1 \
        -DPEER="\"$peer.inc\"" "$scratch/replay.c" -o "$scratch/replay_$name" \
        -pthread
done

# record NAME EVENTS [MODE] - a trace of the program, and its text
record() {
    TRACE_DIR=$scratch TRACE_PROGRAM=program TRACE_EVENTS=$2 \
        LD_PRELOAD=$scratch/recorder.so "$scratch/program" ${3:+"$3"}
    mv "$scratch"/program.*.trace "$traces/$1.trace" &&
        "$scratch/trace_print" "$traces/$1.trace" > "$scratch/$1.txt"
}

# large NAME - the events of objects of 100,000 bytes and more, with their sizes
large() {
    awk '$1 == "events" { next }
         $2 == "free" { if ($3 in size) print $1, $2, size[$3]; next }
         $5 >= 100000 {
             size[$3] = $5
             print $1, $2, $5 ($2 == "aligned" ? " to " $7 : "") \
                 ($2 == "realloc" ? " of " size[$7] : "")
         }' "$scratch/$1.txt"
}

cat > "$scratch/expected" << 'END'
0 alloc 100001
0 zeroed 100005
0 aligned 100096 to 64
0 realloc 200001 of 100001
0 aligned 100003 to 256
0 free 100005
1 alloc 100007
0 free 100007
0 alloc 100011
0 realloc 200026 of 100011
0 free 200026
0 free 100096
END

check "a known sequence is recorded" record known 100000
large known > "$scratch/known.large"
check "call by call" diff "$scratch/expected" "$scratch/known.large"
live=$(sed -n 's/^events.* bytes \([0-9]*\) .*/\1/p' "$scratch/known.txt")
check "what was not freed is live at the end: $live bytes" \
    test "$((live / 100000))" -eq 3

record killed 100000 killed 2> "$scratch/killed.log"
large killed > "$scratch/killed.large"
check "the trace of a program that was killed is complete" \
    diff "$scratch/expected" "$scratch/killed.large"

check "four threads are recorded, nothing is freed twice" \
    record many 1000000 many
count() {
    grep -Ec "$1" "$scratch/many.txt"
}
check "every allocation" test "$(count ' alloc [0-9]+ size 4093$')" -eq 80000
check "every realloc" test "$(count ' realloc .* size 8191 of')" -eq 10000
frees=$(awk '/ size (4093|8191)( |$)/ { mine[$3] }
             $2 == "free" && $3 in mine { n++ }
             END { print n + 0 }' "$scratch/many.txt")
check "every free" test "$frees" -eq 80000

check "a trace has as many events as asked for" record short 1000 many
check "and no more" grep -q '^events 1000 ' "$scratch/short.txt"

printf 'MTRACE01\001\020\005\001\005\001' > "$scratch/twice"
refuse "a trace that frees twice is refused" "freed twice" \
    "$scratch/trace_print" "$scratch/twice"
printf 'MTRACE01\001\020\005\002' > "$scratch/damaged"
refuse "a damaged trace is refused" "damaged" \
    "$scratch/trace_print" "$scratch/damaged"

# In the same order and with the same names for every peer.  In one of them more
# than one thread is busy.
for name in killed known many short; do
    for what in "time ns" "peak x" "frag x"; do
        echo "trace_${name}_$what"
    done
    if [ $name = many ] && [ "$(nproc)" -gt 1 ]; then
        echo "trace_many_threads_time ns"
        echo "trace_many_threads_peak x"
    fi
done > "$scratch/rows"
for peer in malloc fpheap; do
    check "they are replayed by $peer" \
        env BENCH_TRACES="$traces" "$scratch/replay_$peer"
    sed 's/ [0-9.]*$//' "$scratch/check.log" > "$scratch/rows.$peer"
    check "row by row" diff "$scratch/rows" "$scratch/rows.$peer"
done

# Of the three passes by several threads each has the trace's frees of objects
# that another thread allocated.  The first of the busy threads does what those do
# that are not.
crossed=$(awk '{ thread[NR] = $1; events[$1]++; op[NR] = $2; object[NR] = $3
                 old[NR] = $2 == "realloc" ? $7 : $3 }
               END {
                   for (t = 7; t >= 0; t--)
                       if (events[t] >= 1000)
                           first = t
                   for (i = 1; i < NR; i++) {
                       t = events[thread[i]] >= 1000 ? thread[i] : first
                       if (op[i] == "free" || op[i] == "realloc")
                           n += maker[old[i]] != t
                       if (op[i] != "free")
                           maker[object[i]] = t
                   }
                   print 3 * n
               }' "$scratch/many.txt")
if [ "$(nproc)" -gt 1 ]; then
    mkdir "$scratch/threads" && cp "$traces/many.trace" "$scratch/threads"
    check "a replay by threads" env BENCH_TRACES="$scratch/threads" \
        "$scratch/replay_watch"
    cp "$scratch/check.log" "$scratch/watch.log"
    check "each frees what it freed in the trace: $crossed of other threads'" \
        grep -x "crossed $crossed wrong 0" "$scratch/watch.log"
else
    skip "a replay by threads" "one processor"
fi

mkdir "$scratch/bad" && cp "$scratch/twice" "$scratch/bad/twice.trace"
refuse "a replay refuses what frees twice" "twice.trace" \
    env BENCH_TRACES="$scratch/bad" "$scratch/replay_malloc"

if have sqlite3; then
    check "record.sh records sqlite3" env EVENTS=20000 \
        RECORDER="$scratch/recorder.so" "$bench/record.sh" \
        "$scratch/real" sqlite3
    "$scratch/trace_print" "$scratch/real/sqlite3.trace" > "$scratch/real.txt"
    check "up to the number of events asked for" \
        grep -q '^events 20000 ' "$scratch/real.txt"
else
    skip "record.sh" "sqlite3 is not installed"
fi
finish
