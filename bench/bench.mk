# The benchmark: one program for each peer_*.inc, and what runs them in turn.

BENCH_CFLAGS ?= -O3 -march=native $(BRANCHES)

# Some Intel processors run a loop slowly whose branches lie at the end of 32
# bytes: no allocator is to be measured by where its loop happens to lie.
BRANCHES = $(shell flag=-Wa,-mbranches-within-32B-boundaries; echo 'int x;' | \
               $(CC) $$flag -x c -c - -o /dev/null 2> /dev/null && echo $$flag)

PEERS    = $(patsubst bench/peer_%.inc,$(B)/bench_%, \
               $(filter-out $(NO_DPDK) $(NO_APR),$(wildcard bench/peer_*.inc)))
NO_APR   = $(shell pkg-config --exists apr-1 2> /dev/null || \
               echo bench/peer_apr.inc)
# Those that cannot be built: DPDK's without it, and one by gcc only.
NO_DPDK  = $(shell pkg-config --exists libdpdk 2> /dev/null || \
               echo bench/peer_mempool.inc bench/peer_rte_malloc.inc) \
           $(shell pkg-config --exists libdpdk 2> /dev/null && \
               echo 'int x;' | $(CC) -Werror -mno-stv -x c -c - \
                   -o /dev/null 2> /dev/null || \
               echo bench/peer_mempool_nostv.inc)
DPDK_PEERS = $(addprefix $(B)/bench_,mempool mempool_nostv rte_malloc)

bench: $(PEERS) $(B)/bench ## fpheap beside a floor, mallocs and DPDK, all rows
	@$(B)/bench

bench-quick: $(PEERS) $(B)/bench ## the same, less exactly, in under two minutes
	@$(B)/bench -q

.PHONY: bench-plots
bench-plots: ## SVG charts of the last bench or bench-quick; needs gnuplot
	@bench/plots.sh $(B)/bench-results

$(PEERS): $(B)/bench_%: bench/peer_%.inc bench/bench.c fpheap.h \
                        $(wildcard bench/*.h bench/*.inc) | $(B)
	$(CC) -std=gnu11 $(PEER_CFLAGS) $(BENCH_CFLAGS) -DPEER='"peer_$*.inc"' \
	    -DBENCH_FLAGS='"$(BENCH_CFLAGS)"' bench/bench.c -o $@ $(PEER_LIBS) \
	    -pthread

$(DPDK_PEERS): PEER_CFLAGS = $(shell pkg-config --cflags libdpdk)
$(DPDK_PEERS): PEER_LIBS = $(LIBS_DPDK)
$(B)/bench_mempool_nostv: PEER_CFLAGS += -mno-stv

$(B)/bench_apr: PEER_CFLAGS = $(shell pkg-config --cflags apr-1)
$(B)/bench_apr: PEER_LIBS = $(shell pkg-config --libs apr-1)

$(B)/bench: bench/run.sh | $(B)
	ln -srf $< $@

# What records real programs for the rows trace_*, what measures those of the rows
# resident_*, fpheap as malloc, and what shows a trace.
RECORDER = $(B)/libtrace_record.so

bench bench-quick: $(RECORDER) $(B)/peak $(SHIM)

$(B)/peak: bench/peak.c | $(B)
	$(COMPILE) $< -o $@ $(LDFLAGS)

$(RECORDER): bench/trace_record.c bench/trace.h | $(B)
	$(COMPILE) -O2 $(SHARED) $< -o $@ $(LDFLAGS) -ldl

$(B)/trace_print: bench/trace_print.c bench/trace.h | $(B)
	$(COMPILE) $< -o $@ $(LDFLAGS)

# Counted by valgrind, which knows AVX2 and not what is above it; compared with a
# few rows of this machine.
COST_CFLAGS ?= -O3 $(AVX2)
AVX2        = $(shell flag=-march=x86-64-v3; echo 'int x;' | \
                $(CC) $$flag -x c -c - -o /dev/null 2> /dev/null && echo $$flag)
COST_ROWS   = pingpong pair_sized bulk_32 fifo_sized_4096 pipeline_32

bench-cost: $(B)/cost $(B)/bench_floor $(B)/bench_fpheap ## what an operation executes and touches, and what follows
	@for peer in floor fpheap; do \
	    $(B)/bench_$$peer -r 21 $(COST_ROWS) | sed "s/^/$$peer /" || exit; \
	done > $(B)/cost.rows
	@$(B)/cost $(B)/cost.rows || test $$? = 77

$(B)/cost: bench/cost.c fpheap.h | $(B)
	$(CC) -std=gnu11 $(WARNINGS) $(COST_CFLAGS) -static -no-pie -fno-pie $< \
	    -o $@ -pthread
