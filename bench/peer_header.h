/* fpheap with a header in front of each object: what that costs. */
#define FPHEAP_HEADER 1
#include "peer_fpheap.h"
