/* test_children_check.c - what test_children.c shows holds with FPHEAP_CHECK 2. */
#define FPHEAP_CHECK 2
#include "test_children.c"
