/* test_shared_header.c - what test_shared.c shows holds with headers. */
#define FPHEAP_HEADER 1
#include "test_shared.c"
