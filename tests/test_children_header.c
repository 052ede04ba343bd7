/* test_children_header.c - what test_children.c shows holds with FPHEAP_HEADER. */
#define FPHEAP_HEADER 1
#include "test_children.c"
