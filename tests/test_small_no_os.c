/* test_small_no_os.c - what test_small.c shows holds without system calls. */
#define FPHEAP_NO_OS 1
#include "test_small.c"
