/* test_groups_header.c - what test_groups.c shows holds with FPHEAP_HEADER and
 * several nodes. */
#define FPHEAP_HEADER 1
#define FPHEAP_MAX_NODES 2
#include "test_groups.c"
