/* test_schedules_check.c - what test_schedules_header.c shows holds with
 * FPHEAP_CHECK 2. */
#define FPHEAP_CHECK 2
#include "test_schedules_header.c"
