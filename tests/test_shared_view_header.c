/* test_shared_view_header.c - what test_shared_view.c shows holds with headers. */
#define FPHEAP_HEADER 1
#include "test_shared_view.c"
