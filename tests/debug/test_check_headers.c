/* test_check_headers.c - what test_check.c shows holds with FPHEAP_HEADER. */
#define FPHEAP_HEADER 1
#include "test_check.c"
