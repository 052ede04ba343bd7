/* test_prefill_check.c - what test_prefill.c shows holds with checks and headers:
 * a call verifies the bytes of its object, but neither fails nor waits. */
#define FPHEAP_CHECK  2
#define FPHEAP_HEADER 1
#include "test_prefill.c"
