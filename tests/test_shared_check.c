/* test_shared_check.c - what test_shared.c shows holds with checks. */
#define FPHEAP_CHECK 1
#include "test_shared.c"
