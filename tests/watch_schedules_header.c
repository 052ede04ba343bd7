/* watch_schedules_header.c - test_schedules_header.c, and no two plain accesses race
 * SPDX-License-Identifier: MIT OR Unlicense
 */
#define SCHEDULE_RACES 1
#include "test_schedules_header.c"
