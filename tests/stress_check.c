/* stress_check.c - stress_owner.c with FPHEAP_CHECK, and so many chunks that
 * those which are known take turns. */
#define FPHEAP_CHECK 1
#include "stress_owner.c"
