# fpheap.h is one file: nothing here is needed to use it.

CFLAGS       ?= -O2 -g
PREFIX       ?= /usr/local
T            ?=
SECONDS      ?= $(T)
SOAK         ?= 100
SEED         ?=
B            ?= build
CMOCKA       ?= tests/filter.c tests/open_files.c -lcmocka

WARNINGS = -Wall -Wextra -Wundef -Wstrict-prototypes
COMPILE  = $(CC) -std=gnu11 $(CPPFLAGS) $(CFLAGS) $(WARNINGS)
COMPILE_DPDK = $(COMPILE) -O3 -I. \
           $(subst -I,-isystem ,$(shell pkg-config --cflags libdpdk))
LIBS_DPDK = $(shell pkg-config --libs libdpdk)
SHARED   = -fPIC -shared -ftls-model=initial-exec -fvisibility=hidden
VERSION  = $(shell sed -n '1s/.* v\([0-9.]*\) .*/\1/p' fpheap.h)

EXAMPLES = $(patsubst examples/%.c,$(B)/%, \
               $(filter-out %_shim.c,$(wildcard examples/*.c)))
SHIM     = $(B)/libfpheap_malloc.so
TESTS    = tests/test_*.c tests/debug/test_*.c
PROGRAMS = $(patsubst %.c,$(B)/%, \
               $(notdir $(wildcard $(TESTS) tests/stress_*.c)))
WATCHES  = $(patsubst tests/%.c,$(B)/%,$(wildcard tests/watch_*.c))
OTHERS   = $(patsubst tests/%.c,$(B)/%,$(wildcard tests/shim_test.c))
FUZZERS  = $(patsubst tests/%.c,$(B)/%,$(wildcard tests/fuzz_*.c))
AFLS     = $(patsubst tests/fuzz_%.c,$(B)/afl_%,$(wildcard tests/fuzz_*.c))
LINT     = $(addprefix tests/,lint.sh structure.sh orders.sh compile_matrix.sh \
                   header.sh)
SCRIPTS  = $(filter-out $(LINT) $(addprefix tests/,debian.sh install_deps.sh lib.sh \
                   run.sh models.sh schedule_faults.sh fuzz_afl.sh fuzz_corpus.sh), \
               $(wildcard tests/*.sh))
DPDK     = $(patsubst examples/dpdk/%.c,$(B)/%, \
               $(filter-out %/mempool_fpheap.c,$(wildcard examples/dpdk/*.c)))
DRIVERS  = $(addprefix $(B)/librte_mempool_fpheap,.so _grow.so)

# All in a chroot of another Debian, as make test DEBIAN=trixie, and none of it here.
ifdef DEBIAN
.PHONY: $(MAKECMDGOALS)
$(or $(MAKECMDGOALS),help):
	@FOR=$(if $(filter bench%,$@),bench) tests/debian.sh '$(DEBIAN)' \
	    make --no-print-directory DEBIAN= B='build/$(DEBIAN)' $@
else

.DELETE_ON_ERROR:
.PHONY: help deps demo test list all chosen lint asm examples bench bench-quick bench-cost \
        soak schedules weaken models fuzz afl corpus counts coverage mutants tsan asan ubsan sanitizers \
        sanitized platforms dpdk has-dpdk test-dpdk install clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 14

include bench/bench.mk

deps: ## install what the tests lack; so do, first, all targets that use it, but for DEPS=no
	@FOR='$(FOR)' DEPS='$(DEPS)' CC='$(CC)' tests/install_deps.sh

test lint soak schedules fuzz afl corpus mutants tsan asan ubsan sanitizers platforms \
    test-dpdk: deps
afl: FOR = afl
platforms: FOR = platforms
test-dpdk: FOR = dpdk

demo: $(B)/quickstart $(B)/pipeline ## two small programs and what they print
	@echo "--- quickstart"; $(B)/quickstart
	@echo "--- pipeline"; $(B)/pipeline

examples: $(EXAMPLES) $(SHIM) ## build the examples and the malloc shim

test: ## all tests, or those with a word in their names: make test T=bulk
	@items=$$($(MAKE) -s list); \
	$(MAKE) --no-print-directory -j2 chosen CHOSEN="$$items" && \
	B=$(B) T='$(T)' CC='$(CC)' tests/run.sh $$items

list: ## what make test T=word would run
	@B=$(B) T='$(T)' tests/run.sh -l $(SCRIPTS) $(OTHERS) $(WATCHES) \
	    $(PROGRAMS)

all: $(EXAMPLES) $(SHIM) $(PROGRAMS) $(WATCHES) $(OTHERS)

chosen: $(CHOSEN)

tests/examples.sh: | $(EXAMPLES)
tests/examples.sh tests/real_programs.sh $(B)/shim_test: | $(SHIM)

soak: ## the tests with SOAK=100 times the work, SEED=1
	@$(MAKE) --no-print-directory $(PROGRAMS)
	@B=$(B) FPHEAP_SOAK=$(SOAK) FPHEAP_SEED=$(or $(SEED),1) LIMIT=0 \
	    tests/run.sh $(PROGRAMS)

SCHEDULES = $(filter $(B)/test_schedules%,$(PROGRAMS)) $(WATCHES)
schedules: ## schedules of slow operations for SECONDS=300, then planted faults
	@$(MAKE) --no-print-directory $(SCHEDULES)
	@for s in $(SCHEDULES); do \
	    SCHEDULE_SECONDS=$(or $(SECONDS),300) $$s || exit 1; done
	@B=$(B) CC='$(CC)' tests/schedule_faults.sh

weaken: ## whether each memory order is needed, with SECONDS=20 for each
	@SECONDS=$(or $(SECONDS),20) CC='$(CC)' tests/weaken.py $(T)

models: ## small programs under GenMC, if it is installed: each order, and each one weakened
	@CC='$(CC)' tests/models.sh '$(T)'

fuzz: ## clang's libFuzzer on tests/fuzz_*.c for SECONDS=60 each
	@$(MAKE) --no-print-directory $(FUZZERS)
	@for f in api config; do mkdir -p $(B)/corpus/$$f; \
	    $(B)/fuzz_$$f -max_total_time=$(or $(SECONDS),60) -max_len=400 \
	        -len_control=0 -timeout=10 -print_final_stats=1 -verbosity=0 \
	        -artifact_prefix=tests/corpus/$$f/ \
	        $(B)/corpus/$$f tests/corpus/$$f || exit 1; done

afl: ## AFL++ on the same, for SECONDS=60 each
	@$(MAKE) --no-print-directory $(AFLS)
	@for f in api config; do tests/fuzz_afl.sh $(B)/afl_$$f \
	    $(or $(SECONDS),60) tests/corpus/$$f $(B)/corpus/$$f || exit 1; done

corpus: ## choose from the inputs that fuzz made those to keep
	@$(MAKE) --no-print-directory $(FUZZERS)
	@for f in api config; do mkdir -p $(B)/corpus/$$f; \
	    tests/fuzz_corpus.sh $(B)/fuzz_$$f 48 tests/corpus/$$f \
	        $(B)/corpus/$$f || exit 1; done

coverage: ## branches and conditions of fpheap.h that no test reaches, but for those argued; five minutes
	@B=$(B) tests/coverage.py $(T)

mutants: ## N=200 mutants of fpheap.h, of SEED, today's date, in SECONDS=600: whether the tests notice
	@B=$(B) CC='$(CC)' N='$(N)' T='$(SECONDS)' SEED='$(SEED)' tests/mutants.py

tsan: ## the stress programs, and schedules, under ThreadSanitizer
	@$(MAKE) --no-print-directory B=build/tsan sanitized \
	    CFLAGS='-O1 -g -fsanitize=thread' \
	    WHICH='$(wildcard tests/stress_*.c tests/test_schedules*.c)'

asan: ## the tests under AddressSanitizer
	@$(MAKE) --no-print-directory B=build/asan sanitized \
	    CFLAGS='-O1 -g -fsanitize=address -fno-omit-frame-pointer'

ubsan: ## the tests under UndefinedBehaviorSanitizer; unsigned overflows, 64 and 32 bits
	@$(MAKE) --no-print-directory B=build/ubsan sanitized \
	    CFLAGS='-O1 -g -fsanitize=undefined -fno-sanitize-recover=all'
	@$(MAKE) --no-print-directory B=build/unsigned sanitized CC=clang \
	    $(UNSIGNED)
	@$(MAKE) --no-print-directory B=build/unsigned32 sanitized \
	    CC='clang --target=i686-linux-gnu' $(UNSIGNED) \
	    LDFLAGS='-latomic $(LINK32)'

# Clang's check, but for tests/wraps.txt.
UNSIGNED  = WHICH='$(TESTS)' CMOCKA=-Itests/stand_in \
    CFLAGS='-O1 -g -fsanitize=undefined,unsigned-integer-overflow \
        -fno-sanitize-recover=all -fsanitize-ignorelist=tests/wraps.txt'
LINK32    = -Wl,-rpath,$(LIB32),--dynamic-linker=$(LIB32)/ld-linux.so.2
LIB32     = $(patsubst %/,%,$(dir $(realpath $(shell \
                i686-linux-gnu-gcc -print-file-name=ld-linux.so.2))))

sanitizers: ## of the three what takes two and a half minutes
	@$(MAKE) --no-print-directory -j2 B=build/sanitizers sanitized \
	    CFLAGS='-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all' \
	    WHICH='tests/debug/test_check2.c tests/debug/test_misuse.c \
	        $(patsubst %,tests/test_%.c, callbacks children exhaustion headers \
	        internals invariants iova magazines mmap pool_constructors \
	        pool_limits pools prefill provider races_memory races_objects \
	        races_regions references regressions tags waits water window)'
	@$(MAKE) --no-print-directory -j2 B=build/tsan sanitized \
	    CFLAGS='-O1 -g -fsanitize=thread' \
	    WHICH='$(patsubst %,tests/stress_%.c,pools refs regressions threads water)'

WHICH     = $(TESTS) tests/stress_*.c
SANITIZED = $(patsubst %.c,$(B)/%,$(notdir $(wildcard $(WHICH))))
sanitized: $(SANITIZED)
	@B=$(B) T='$(T)' LIMIT=600 tests/run.sh $(SANITIZED)

lint: ## what compilers, linkers, clang-tidy and cppcheck say; leaked names; lengths; the header's structure
	@B=$(B) CC='$(CC)' tests/run.sh $(LINT)

counts: ## lines, functions, labels and the like of fpheap.h
	@tests/structure.py counts

asm: ## the instructions of a hit
	@B=$(B) CC='$(CC)' tests/instructions.sh -v

platforms: ## every compiler, standard, machine and pair of settings; the tests under qemu
	@B=$(B) T='$(T)' CC='$(CC)' FULL=1 LIMIT=0 tests/run.sh \
	    tests/run_cross.sh tests/compile_matrix.sh tests/settings.sh \
	    tests/header.sh tests/orders.sh
	@sed -n '/^machine  /,$$p' $(B)/log/run_cross.sh.log

dpdk: $(DPDK) $(DRIVERS) ## the DPDK examples and the mempool drivers

has-dpdk:
	@pkg-config --exists libdpdk || { echo "make: DPDK is not installed:" \
	    "pkg-config finds no libdpdk (Debian has it in libdpdk-dev)"; exit 1; }

test-dpdk: ## the tests that need DPDK; they reserve hugepages while they run
	@B=$(B) T='$(T)' CC='$(CC)' tests/dpdk/run.sh

install: $(SHIM) ## fpheap.h, its pkg-config and CMake files, fpheap-run and its library: PREFIX, DESTDIR
	install -d $(DESTDIR)$(PREFIX)/include \
	    $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib \
	    $(DESTDIR)$(PREFIX)/share/pkgconfig \
	    $(DESTDIR)$(PREFIX)/share/cmake/fpheap
	install -m 644 fpheap.h $(DESTDIR)$(PREFIX)/include
	install -m 755 examples/fpheap-run $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(SHIM) $(DESTDIR)$(PREFIX)/lib
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' examples/pkg/fpheap.pc \
	    > $(DESTDIR)$(PREFIX)/share/pkgconfig/fpheap.pc
	install -m 644 examples/pkg/fpheap-config.cmake \
	    $(DESTDIR)$(PREFIX)/share/cmake/fpheap
	sed 's|@VERSION@|$(VERSION)|' examples/pkg/fpheap-config-version.cmake \
	    > $(DESTDIR)$(PREFIX)/share/cmake/fpheap/fpheap-config-version.cmake

clean: ## remove what was built
	rm -rf build

$(B):
	@mkdir -p $@

$(EXAMPLES): $(B)/%: examples/%.c fpheap.h | $(B)
	$(COMPILE) $< -o $@ $(LDFLAGS) -pthread
$(B)/partitions_tool: $(wildcard examples/partitions_*.h)

$(SHIM): examples/malloc_shim.c fpheap.h | $(B)
	$(COMPILE) -O2 $(SHARED) $< -o $@ $(LDFLAGS) -pthread

$(DPDK): $(B)/%: examples/dpdk/%.c examples/dpdk/*.h fpheap.h | $(B) has-dpdk
	$(COMPILE_DPDK) $< -o $@ $(LDFLAGS) $(LIBS_DPDK) -pthread

$(B)/librte_mempool_fpheap_grow.so: CPPFLAGS += -DFPHEAP_MEMPOOL_GROWS=1
$(DRIVERS): examples/dpdk/mempool_fpheap.c examples/dpdk/*.h fpheap.h | $(B) has-dpdk
	$(COMPILE_DPDK) -fPIC -shared $< -o $@ $(LDFLAGS) $(LIBS_DPDK) -pthread

# Those of one thread compile in less than half the time so, and take no longer;
# -Og warns of what it has not looked into.
ifeq ($(origin CFLAGS),file)
$(PROGRAMS): CFLAGS = -O2 -g1
$(filter $(B)/test_%,$(PROGRAMS)): CFLAGS = -Og -g1 -Wno-maybe-uninitialized
endif
vpath test_%.c tests tests/debug
vpath stress_%.c tests
$(PROGRAMS): $(B)/%: %.c tests/filter.c tests/open_files.c tests/wraps.txt \
        fpheap.h $(wildcard tests/*.h) | $(B)
	$(COMPILE) -I. $< -o $@ $(LDFLAGS) $(CMOCKA) -pthread
# These are another program with other settings.
$(B)/test_check2 $(B)/test_check_headers: tests/debug/test_check.c
$(B)/test_small_no_os: tests/test_small.c
$(addprefix $(B)/test_shared_,check header small): tests/test_shared.c
$(B)/test_schedules_check: tests/test_schedules_header.c
$(addprefix $(B)/test_children_,check header): tests/test_children.c
$(B)/test_shared_view_header: tests/test_shared_view.c
$(B)/test_prefill_check: tests/test_prefill.c
$(addprefix $(B)/test_groups_,check header): tests/test_groups.c
$(B)/stress_killed_header: tests/stress_killed.c
$(B)/stress_check: tests/stress_owner.c

$(FUZZERS): $(B)/%: tests/%.c $(wildcard tests/fuzz_*.h) fpheap.h | $(B)
	clang -std=gnu11 -O1 -g -I. -fsanitize=fuzzer,address,undefined \
	    -fno-sanitize-recover=all -DFUZZ_NO_MAIN $< -o $@ -pthread

$(AFLS): $(B)/afl_%: tests/fuzz_%.c $(wildcard tests/fuzz_*.h) fpheap.h | $(B)
	afl-clang-fast -std=gnu11 -O1 -g -I. -fsanitize=fuzzer \
	    -DFUZZ_NO_MAIN $< -o $@ -pthread

# What a compiler adds for ThreadSanitizer, without its library.
$(WATCHES): $(B)/watch_%: tests/watch_%.c tests/test_%.c tests/schedule_hooks.c \
        tests/filter.c tests/open_files.c fpheap.h $(wildcard tests/*.h) | $(B)
	$(CC) -std=gnu11 -O1 -g -I. -fsanitize=thread -c $< -o $@.o
	$(CC) -std=gnu11 -O2 -I. $@.o tests/schedule_hooks.c -o $@ $(LDFLAGS) \
	    $(CMOCKA) -pthread

$(OTHERS): $(B)/%: tests/%.c | $(B)
	$(COMPILE) -I. $< -o $@ $(LDFLAGS) -pthread -ldl

endif
