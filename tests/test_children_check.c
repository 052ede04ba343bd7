/* test_children_check.c - what test_children.c shows holds with FPHEAP_CHECK 2 and
 * small chunks. */
#define FPHEAP_CHECK 2
#define FPHEAP_CHUNK_SHIFT 17
#include "test_children.c"
