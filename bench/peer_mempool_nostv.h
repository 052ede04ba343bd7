/* rte_mempool built with -mno-stv: without it gcc 12 keeps the length of the
 * mempool's cache in a vector register, which slows it. */
#include "peer_mempool.h"
