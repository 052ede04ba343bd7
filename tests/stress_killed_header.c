/* stress_killed_header.c - with headers, nothing at all is lost
 * SPDX-License-Identifier: MIT OR Unlicense
 */
#define FPHEAP_HEADER 1
#include "stress_killed.c"
