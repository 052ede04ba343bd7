/* stack.c - a model of the tagged stacks: push, pop, take all
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Shows edges T1 to T5.  A record is in one thread's hands or once in the stack;
 * whoever has it sees all that its last owner did to it.  Bounds: three records,
 * three threads, four operations.
 */
#include "model.h"

typedef struct record {
    fph_link link;
    int      owned;            /* plain: 1 in a thread's hands */
} __attribute__((aligned(FPH_LINE))) record;

static record   block[3];
static fph_word stack;

static record *
got(fph_link *link)
{
    record *one = (record *)(void *)link;

    if (one != NULL) {
        assert(!one->owned);
        one->owned = 1;
    }
    return one;
}

static void
push(record *one)
{
    if (one == NULL)
        return;
    one->owned = 0;
    fph_stack_push(&stack, &one->link);
}

static record *
pop(void)
{
    return got(fph_stack_pop(&state, &stack));
}

static record *
take(void)
{
    record *first = got(fph_stack_take(&state, &stack));
    record *one   = first;

    while (one != NULL)
        one = got(fph_stack_below(&state, &one->link));
    return first;
}

#if SCENE == 1                 /* what is pushed is popped */
#  define IN_STACK 1
#  define A push(&block[1])
#  define B pop()
#  define C pop()
#elif SCENE == 2               /* a record comes back while another pops it */
#  define IN_STACK 2
#  define A pop()
#  define B record *one = pop(); pop(); push(one)
#elif SCENE == 3               /* all are taken, beside a push and a pop */
#  define IN_STACK 1
#  define A push(&block[1])
#  define B take()
#  define C pop()
#elif SCENE == 4               /* the stack is taken and filled again */
#  define IN_STACK 2
#  define A pop()
#  define B record *one = take(); push(&block[2]); push(one)
#elif SCENE == 5               /* two push, one takes */
#  define IN_STACK 1
#  define A push(&block[1])
#  define B push(&block[2])
#  define C take()
#endif

#include "threads.h"

int
main(void)
{
    unsigned i;

    state.meta[1] = (char *)block;
    for (i = 0; i < 3; i++) {
        block[i].link.self = 1u << FPH_UNIT_BITS | i;
        block[i].owned = 1;
    }
    for (i = 0; i < IN_STACK; i++)
        push(&block[IN_STACK - 1 - i]);
    run_threads();
    take();
    for (i = 0; i < 3; i++)
        assert(block[i].owned);
    return 0;
}
