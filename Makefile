# replicator — build, test, install. GNU make.
#
#   make              build/replicator, the program as shipped
#   make demo         protect a simulated guest, kill its primary, judge what an observer saw
#   make check        lint, unit, unit under sanitizers, simulator, faults, end to end, fuzz
#   make check-net    the network buffer, on a stock kernel in a virtual machine
#   make check-xen    failovers between two real Xen hosts under emulation
#   make install      to $(DESTDIR)$(PREFIX)
#
# V=1 shows commands, WERROR=1 makes warnings errors (make check does), CC=clang works as well.
# `make help` lists every target. Needed packages are looked for first: tests/tools/need-packages.sh.

PREFIX  ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
DOCDIR  ?= $(PREFIX)/share/doc/replicator
MANDIR  ?= $(PREFIX)/share/man

ifeq ($(origin CC),default)
CC := gcc
endif
FUZZ_CC ?= clang
PYTHON  ?= python3
CFLAGS  ?= -O2 -g
LIBS    ?= -llz4 -lxxhash -ljansson -lcrypto -lnl-route-3 -lnl-3 \
           -lxenctrl -lxenguest -lxenforeignmemory -lxenevtchn -lxenstore -lxentoollog -lpthread -lm

FUZZ_SECONDS ?= 10
SIM_FLAGS    ?=
T            ?=

.SUFFIXES:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
BUILD := build

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n'
endif

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            -Wformat=2 -Wvla -Wundef -Wcast-qual -Wwrite-strings
LANGUAGE := -std=gnu11 -D_GNU_SOURCE -I. -isystem /usr/include/libnl3 $(WARNINGS)
ERRORS   := $(if $(filter 1,$(WERROR)),-Werror)

# ---------------------------------------------------------------- sources

FOLDERS  := base compress checkpoint netbuf replicator
SOURCES  := $(sort $(wildcard $(addsuffix /*.c,$(FOLDERS)) $(addsuffix /*/*.c,$(FOLDERS))))
HEADERS  := $(sort $(wildcard $(addsuffix /*.h,$(FOLDERS)) $(addsuffix /*/*.h,$(FOLDERS))))
MAIN     := $(filter replicator/main.c,$(SOURCES))
PARTS    := $(filter-out $(MAIN),$(SOURCES))

UNIT_SOURCES  := $(sort $(wildcard tests/unit/*_test.c))
SIM_SOURCES   := $(sort $(wildcard tests/sim/*.c))
FUZZ_SOURCES  := $(sort $(wildcard tests/fuzz/*_fuzz.c))
E2E_SOURCES   := $(sort $(wildcard tests/e2e/*.c))
FAULT_SOURCES := $(sort $(wildcard tests/fault/*.c))
NET_SOURCES   := $(sort $(wildcard tests/net/*.c))
BENCH_SOURCES := $(sort $(wildcard tests/bench/*.c))
COMPRESS_SOURCES := $(sort $(wildcard tests/bench/compress/*.c))
# Files of tests/unit that are no test are helpers of all of them.
UNIT_HELPERS  := $(filter-out $(UNIT_SOURCES),$(sort $(wildcard tests/unit/*.c)))

# ---------------------------------------------------------------- variants
# One folder of objects each; a change of compiler or flags rebuilds the variant.

FLAGS_release := $(CFLAGS)
FLAGS_test    := $(CFLAGS) -DREPLICATOR_FAILPOINTS
FLAGS_asan    := -O1 -g -fno-omit-frame-pointer -DREPLICATOR_FAILPOINTS \
                 -fsanitize=address,undefined -fno-sanitize-recover=all
FLAGS_tsan    := -O1 -g -DREPLICATOR_FAILPOINTS -fsanitize=thread
FLAGS_fuzz    := -O1 -g -fno-omit-frame-pointer -DREPLICATOR_FAILPOINTS \
                 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
LINK_asan     := -fsanitize=address,undefined
LINK_tsan     := -fsanitize=thread
LINK_fuzz     := -fsanitize=fuzzer,address,undefined
CC_fuzz       := $(FUZZ_CC)
VARIANTS      := release test asan tsan fuzz

objects = $(patsubst %.c,$(BUILD)/$(1)/obj/%.o,$(2))
compiler = $(or $(CC_$(1)),$(CC))

# link VARIANT,LIBRARIES: every object and archive among the prerequisites
define link
$(say) LINK $@
@mkdir -p $(@D)
$(Q)$(call compiler,$(1)) $(LDFLAGS) $(LINK_$(1)) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(2) $(LIBS)
endef

define VARIANT_RULES
$(BUILD)/$(1)/flags: FORCE
	@mkdir -p $$(@D)
	@echo '$(call compiler,$(1)) $(CPPFLAGS) $(LANGUAGE) $(FLAGS_$(1))' | cmp -s - $$@ || \
	    echo '$(call compiler,$(1)) $(CPPFLAGS) $(LANGUAGE) $(FLAGS_$(1))' > $$@

$(BUILD)/$(1)/obj/%.o: %.c $(BUILD)/$(1)/flags | $(BUILD)/packages-build
	$$(say) CC '$$< ($(1))'
	@mkdir -p $$(@D)
	$$(Q)$(call compiler,$(1)) $(CPPFLAGS) $(LANGUAGE) $(ERRORS) $(FLAGS_$(1)) -MMD -MP -c -o $$@ $$<

$(BUILD)/$(1)/replicator.a: $(call objects,$(1),$(PARTS))
	$$(say) AR $$@
	@rm -f $$@
	$$(Q)ar qcs $$@ $$^

-include $(patsubst %.o,%.d,$(call objects,$(1),$(SOURCES)))
endef
$(foreach v,$(VARIANTS),$(eval $(call VARIANT_RULES,$(v))))
-include $(patsubst %.o,%.d,$(call objects,test,$(wildcard tests/*/*.c)))
-include $(patsubst %.o,%.d,$(call objects,asan,$(wildcard tests/unit/*.c tests/sim/*.c)))
-include $(patsubst %.o,%.d,$(call objects,tsan,$(wildcard tests/unit/*.c)))
-include $(patsubst %.o,%.d,$(call objects,fuzz,$(FUZZ_SOURCES)))
-include $(patsubst %.o,%.d,$(call objects,release,$(BENCH_SOURCES) $(COMPRESS_SOURCES)))
# Objects are kept though some are made by chains of rules.
.SECONDARY:

# ---------------------------------------------------------------- programs

PROGRAM      := $(if $(MAIN),$(BUILD)/replicator)
MANUAL       := $(if $(MAIN),$(BUILD)/replicator.1)
TEST_PROGRAM := $(if $(MAIN),$(BUILD)/test/replicator)
# With T=word only the tests whose name has it are built.
chosen        = $(if $(T),$(foreach p,$(1),$(if $(findstring $(T),$(p)),$(p))),$(1))
UNIT_CHOSEN  := $(call chosen,$(UNIT_SOURCES))
UNIT_TESTS   := $(UNIT_CHOSEN:tests/unit/%.c=$(BUILD)/test/unit/%)
ASAN_TESTS   := $(UNIT_CHOSEN:tests/unit/%.c=$(BUILD)/asan/unit/%)
TSAN_TESTS   := $(UNIT_CHOSEN:tests/unit/%.c=$(BUILD)/tsan/unit/%)
SIM          := $(if $(SIM_SOURCES),$(BUILD)/test/sim)
ASAN_SIM     := $(if $(SIM_SOURCES),$(BUILD)/asan/sim)
FUZZERS      := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(call chosen,$(FUZZ_SOURCES)))
E2E_TOOLS    := $(E2E_SOURCES:tests/e2e/%.c=$(BUILD)/tests/e2e/%)
FAULT_TOOLS  := $(FAULT_SOURCES:tests/fault/%.c=$(BUILD)/tests/fault/%)
NET_TOOLS    := $(NET_SOURCES:tests/net/%.c=$(BUILD)/tests/net/%)
BENCHES      := $(BENCH_SOURCES:tests/bench/%.c=$(BUILD)/bench/%)

.PHONY: all
.DEFAULT_GOAL := all
all: $(or $(PROGRAM),$(BUILD)/release/replicator.a)

$(BUILD)/replicator: $(call objects,release,$(MAIN)) $(BUILD)/release/replicator.a
	$(call link,release)

$(BUILD)/test/replicator: $(call objects,test,$(MAIN)) $(BUILD)/test/replicator.a
	$(call link,test)

$(BUILD)/asan/replicator: $(call objects,asan,$(MAIN)) $(BUILD)/asan/replicator.a
	$(call link,asan)

define UNIT_RULES
$(BUILD)/$(1)/unit/%: $(BUILD)/$(1)/obj/tests/unit/%.o $(call objects,$(1),$(UNIT_HELPERS)) \
                      $(BUILD)/$(1)/replicator.a | $(BUILD)/packages-check
	$$(call link,$(1),-lcmocka)
endef
$(foreach v,test asan tsan,$(eval $(call UNIT_RULES,$(v))))

$(BUILD)/test/sim: $(call objects,test,$(SIM_SOURCES)) $(BUILD)/test/replicator.a
	$(call link,test)

$(BUILD)/asan/sim: $(call objects,asan,$(SIM_SOURCES)) $(BUILD)/asan/replicator.a
	$(call link,asan)

$(BUILD)/fuzz/%_fuzz: $(BUILD)/fuzz/obj/tests/fuzz/%_fuzz.o $(BUILD)/fuzz/replicator.a
	$(call link,fuzz)

$(BUILD)/tests/e2e/%: $(BUILD)/test/obj/tests/e2e/%.o $(BUILD)/test/replicator.a
	$(call link,test)

$(BUILD)/tests/fault/%: $(BUILD)/test/obj/tests/fault/%.o $(BUILD)/test/replicator.a
	$(call link,test)

$(BUILD)/bench/compress: $(call objects,release,$(COMPRESS_SOURCES)) $(BUILD)/release/replicator.a
	$(call link,release,-lzstd)

$(BUILD)/tests/net/%_test: $(BUILD)/test/obj/tests/net/%_test.o $(BUILD)/test/replicator.a | $(BUILD)/packages-check
	$(call link,test,-lcmocka)

$(BUILD)/tests/net/model_check: $(BUILD)/test/obj/tests/unit/plug_model.o
$(BUILD)/tests/net/%: $(BUILD)/test/obj/tests/net/%.o $(BUILD)/test/replicator.a
	$(call link,test)

$(BUILD)/bench/%: $(BUILD)/release/obj/tests/bench/%.o $(BUILD)/release/replicator.a
	$(call link,release)

$(call objects,release,$(COMPRESS_SOURCES)): | $(BUILD)/packages-bench

# Fuzzers are built with another compiler, which is one of the packages of `check`.
$(call objects,fuzz,$(SOURCES) $(FUZZ_SOURCES)): | $(BUILD)/packages-check

# ---------------------------------------------------------------- packages

$(BUILD)/packages-build $(BUILD)/packages-check $(BUILD)/packages-bench: $(BUILD)/packages-%: tests/tools/need-packages.sh
	@mkdir -p $(@D)
	@CC='$(CC)' FUZZ_CC='$(FUZZ_CC)' bash tests/tools/need-packages.sh $*
	@touch $@

.PHONY: deps
deps:
	@CC='$(CC)' FUZZ_CC='$(FUZZ_CC)' bash tests/tools/need-packages.sh build check

# ---------------------------------------------------------------- run

.PHONY: demo
demo: $(BUILD)/replicator
	$(BUILD)/replicator demo $(DEMO_FLAGS)

# Tests run in the root folder and find programs by these (T=word runs those whose name has it).
RUN := CC='$(CC)' MAKE='$(MAKE)' LIBS='$(LIBS)' BUILD=$(BUILD) REPLICATOR=$(BUILD)/replicator \
       REPLICATOR_TEST=$(BUILD)/test/replicator T='$(T)' bash tests/tools/run-tests.sh

.PHONY: check check-unit check-asan check-tsan check-sim check-fault check-e2e check-stream check-fuzz lint
check: $(BUILD)/packages-check
	@MAKE='$(MAKE)' BUILD=$(BUILD) bash tests/tools/check.sh \
	    lint check-unit check-asan check-sim check-fault check-e2e check-stream check-fuzz

lint: all $(MANUAL) | $(BUILD)/packages-check
	@PYTHON='$(PYTHON)' $(RUN) lint tests/tools/lint.sh

check-unit: $(UNIT_TESTS)
	@$(RUN) unit $(UNIT_TESTS)

check-asan: $(ASAN_TESTS)
	@$(RUN) asan $(ASAN_TESTS)

check-tsan: $(TSAN_TESTS)
	@$(RUN) tsan $(TSAN_TESTS)

check-sim: $(SIM) $(ASAN_SIM)
	@$(RUN) sim $(if $(SIM),'$(SIM) $(SIM_FLAGS)' '$(SIM) --singles' '$(ASAN_SIM) --runs 20000') \
	    $(sort $(wildcard tests/sim/*.sh))

# Replays a seed that broke a promise, a line an event (SIM_FLAGS=--singles: of that enumeration).
.PHONY: sim
sim: $(SIM)
	$(SIM) $(SIM_FLAGS) $(if $(SEED),--trace $(SEED))

check-fault: $(PROGRAM) $(TEST_PROGRAM) $(FAULT_TOOLS) $(E2E_TOOLS)
	@$(RUN) fault $(sort $(wildcard tests/fault/*.sh))

check-e2e: $(PROGRAM) $(TEST_PROGRAM) $(E2E_TOOLS)
	@$(RUN) e2e $(sort $(wildcard tests/e2e/*.sh))

# Golden streams, random guests, and Xen's own tools where they are installed.
check-stream: $(PROGRAM)
	@PYTHON='$(PYTHON)' $(RUN) stream $(sort $(wildcard tests/stream/*.sh))

check-fuzz: $(FUZZERS)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) $(RUN) fuzz $(FUZZERS:%='bash tests/tools/fuzz.sh %')

# Every fuzzer RUNS times instead of some seconds; prints a table.
RUNS ?= 10000000
.PHONY: fuzz-long
fuzz-long: $(FUZZERS)
	@BUILD=$(BUILD) bash tests/tools/fuzz-long.sh $(RUNS) $(FUZZERS)

# In a virtual machine, for its kernel; no part of check, since it fetches 115 MB once.
.PHONY: check-net
check-net: $(PROGRAM) $(TEST_PROGRAM) $(NET_TOOLS)
	@BUILD=$(BUILD) REPLICATOR=$(BUILD)/replicator REPLICATOR_TEST=$(BUILD)/test/replicator \
	    T='$(T)' bash tests/netvm/check.sh $(sort $(wildcard tests/net/test-*)) \
	    $(filter %_test,$(NET_TOOLS))

# Two real Xen hosts under emulation: tests/xenlab/lab.py says what can be done with them.
$(BUILD)/xenlab/workload: tests/xenlab/guest/workload.c $(BUILD)/release/flags | $(BUILD)/packages-build
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LANGUAGE) $(ERRORS) -O2 -g -static -o $@ $<

$(BUILD)/xenlab/%: $(BUILD)/test/obj/tests/xenlab/%.o $(BUILD)/test/replicator.a
	$(call link,test)

.PHONY: xenlab-up xenlab-down xenlab-shell
xenlab-up: $(PROGRAM) $(TEST_PROGRAM) $(BUILD)/xenlab/workload
	@bash tests/tools/need-packages.sh xen
	BUILD=$(BUILD) $(PYTHON) tests/xenlab/lab.py up $(HOSTS)

# Hosts lose their power in these: a lab of its own, that is gone when they have ended.
.PHONY: check-xen
check-xen: $(PROGRAM) $(TEST_PROGRAM) $(BUILD)/xenlab/workload $(BUILD)/xenlab/shell_driver
	@BUILD=$(BUILD) PYTHON='$(PYTHON)' T='$(T)' bash tests/xenlab/check.sh $(sort $(wildcard tests/xenlab/test-*.py))

# The same with ten times as many power cuts, every fault and every failpoint: hours.
.PHONY: check-xen-long
check-xen-long:
	@CUTS=200 HVM=50 FAULT=all FAILPOINTS=all TEST_TIMEOUT=36000 $(MAKE) --no-print-directory check-xen

# Beside stock `xl remus` in the same lab; what a pause is made of. ROUNDS, WINDOW, INTERVAL, WEIGHT, CUTS, JSON=FILE.
.PHONY: bench-xen
bench-xen: $(PROGRAM) $(TEST_PROGRAM) $(BUILD)/xenlab/workload $(BUILD)/xenlab/pause_trial
	@bash tests/tools/need-packages.sh xen
	LAB=$${LAB:-bench-$$$$} BUILD=$(BUILD) $(PYTHON) tests/xenlab/lab.py with $(PYTHON) tests/xenlab/bench.py

xenlab-down:
	$(PYTHON) tests/xenlab/lab.py down

xenlab-shell:
	$(PYTHON) tests/xenlab/lab.py shell $(or $(HOST),a)

# The same with a hundred failovers of a live TCP connection, and of the guest that an observer judges.
.PHONY: check-net-long
check-net-long:
	@FAILOVERS=100 TEST_TIMEOUT=7200 NETVM_TIMEOUT=10800 $(MAKE) --no-print-directory check-net

.PHONY: bench-net
bench-net: $(PROGRAM) $(TEST_PROGRAM) $(NET_TOOLS)
	bash tests/netvm/vm.sh run -- env BUILD=$(BUILD) $(if $(EPOCHS),EPOCHS=$(EPOCHS)) $(if $(SECONDS),SECONDS=$(SECONDS)) \
	    python3 tests/net/bench.py

.PHONY: bench bench-epoch bench-compress
bench-epoch: $(PROGRAM) $(BENCHES)
	BUILD=$(BUILD) REPLICATOR=$(BUILD)/replicator bash tests/bench/epoch.sh
	BUILD=$(BUILD) PYTHON='$(PYTHON)' bash tests/bench/mix.sh

bench-compress: $(BUILD)/bench/compress
	BUILD=$(BUILD) bash tests/bench/compress.sh

# Reads and writes a large image beside Xen's own checker: BENCH_STREAM_MIB=4096 of it in $TMPDIR.
.PHONY: bench-stream
bench-stream: $(PROGRAM)
	PYTHON='$(PYTHON)' BUILD=$(BUILD) REPLICATOR=$(BUILD)/replicator bash tests/bench/stream.sh

# NAME_bench.c runs as it is; other programs there are tools of the scripts.
bench: $(PROGRAM) $(BENCHES) $(BUILD)/bench/compress
	@set -e; for one in $(filter %_bench,$(BENCHES)) $(sort $(wildcard tests/bench/*.sh)); do \
	    echo "== $$one"; \
	    case $$one in *.sh) run=bash;; *) run=;; esac; \
	    BUILD=$(BUILD) REPLICATOR=$(BUILD)/replicator $$run $$one; \
	done

# ---------------------------------------------------------------- read the code

.PHONY: format analyze tidy
format:
	clang-format -i $(SOURCES) $(HEADERS) $(wildcard tests/*/*.[ch])

analyze: $(BUILD)/packages-build
	$(Q)set -e; for c in $(SOURCES); do \
	    gcc $(LANGUAGE) -O1 -fanalyzer -Werror -S -o /dev/null $$c; \
	done

tidy: $(BUILD)/packages-build
	clang-tidy --quiet --warnings-as-errors='*' \
	    --checks='-*,clang-analyzer-*,-clang-analyzer-security.insecureAPI.*,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier' \
	    $(SOURCES) -- $(LANGUAGE)

# ---------------------------------------------------------------- install

DOCS    := $(sort $(wildcard README.md LICENSE docs/*.md))

.PHONY: install uninstall clean help
install: $(BUILD)/replicator $(MANUAL)
	install -d '$(DESTDIR)$(SBINDIR)' '$(DESTDIR)$(DOCDIR)' '$(DESTDIR)$(MANDIR)/man1'
	install -m 755 $(BUILD)/replicator '$(DESTDIR)$(SBINDIR)/replicator'
	install -m 644 $(DOCS) '$(DESTDIR)$(DOCDIR)'
	install -m 644 $(MANUAL) '$(DESTDIR)$(MANDIR)/man1'

# What the program says of itself, as a manual page.
$(MANUAL): $(BUILD)/replicator $(wildcard docs/man/*)
	$(say) MAN $@
	$(Q)bash docs/man/manual.sh $< > $@

uninstall:
	rm -f '$(DESTDIR)$(SBINDIR)/replicator' '$(DESTDIR)$(MANDIR)/man1/$(notdir $(MANUAL))'
	rm -rf '$(DESTDIR)$(DOCDIR)'

clean:
	rm -rf $(BUILD)

help:
	@echo 'all demo install uninstall clean deps'
	@echo 'check = lint check-unit check-asan check-sim check-fault check-e2e check-stream check-fuzz'
	@echo 'fuzz-long check-net check-net-long check-tsan bench bench-epoch bench-compress bench-stream format analyze tidy'
	@echo 'V=1 WERROR=1 CC=clang CFLAGS= PREFIX= DESTDIR= T=word FUZZ_SECONDS= RUNS= SIM_FLAGS= DEMO_FLAGS='

.PHONY: FORCE
FORCE:
