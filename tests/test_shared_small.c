/* test_shared_small.c - what test_shared.c shows holds with chunks of 64 KiB. */
#define FPHEAP_CHUNK_SHIFT 16
#define FPHEAP_PAGE_SHIFT  12
#include "test_shared.c"
