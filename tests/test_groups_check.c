/* test_groups_check.c - what test_groups.c shows holds with FPHEAP_CHECK 2 and
 * small chunks. */
#define FPHEAP_CHECK 2
#define FPHEAP_CHUNK_SHIFT 17
#include "test_groups.c"
