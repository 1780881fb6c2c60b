# SPDX-License-Identifier: Apache-2.0
# The short way to everything; Meson and Ninja do the building. `make help` lists the targets.

BUILD ?= build
MESON ?= /usr/bin/meson
MESON_FLAGS ?=
TEST_FLAGS ?=
BENCH_FLAGS ?=
BENCH_SERVERS ?= postgresql,mariadb,mongodb,redis
MINUTES ?= 10
HOURS ?= 1
RUNS ?= 50000
SEED ?= 1
PROFILE ?=
BASE ?=
ACCEPT ?=
BUS ?=
EVENTS ?= 100000
PREFIX ?= /usr/local
DESTDIR ?=
LEAN = -Dlean=true -Dunity=on -Dunity_size=8 -Doptimization=1 -Ddebug=false
export ONCE

.DEFAULT_GOAL := all
.PHONY: all deps demo servers install uninstall test test-long test-buses audit simulate fuzz schemathesis lint bench bench-buses bench-check bench-derived bench-long format clean help
.NOTPARALLEL:

all: ## build everything; the command is build/freehold
	@test -x $(MESON) || { echo "$(MESON) is missing: run 'make deps' first." >&2; exit 1; }
	@if test -f $(BUILD)/lean; then tools/deps && \
	$(MESON) configure $(BUILD) -Dlean=false -Dunity=off -Dservers=auto \
	-Doptimization=2 -Ddebug=true >/dev/null && rm $(BUILD)/lean; fi
	@if test ! -f $(BUILD)/build.ninja; then $(MESON) setup $(BUILD) $(MESON_FLAGS) || \
	{ echo "Where a package is missing: make deps" >&2; exit 1; }; \
	elif test -n "$(MESON_FLAGS)"; then $(MESON) configure $(BUILD) $(MESON_FLAGS) >/dev/null; fi
	@/usr/bin/ninja -C $(BUILD) --quiet

deps: ## install the Debian packages that are missing (as root, or with sudo)
	@tools/deps

demo: ## the shop: real orders, crashes on the way, the books balanced (ONCE=1: then stop; SYSTEM=iot: devices that measure; PROFILE=servers: on servers; PROFILE=nats, rabbitmq or kafka: with a broker)
	@case "$(SYSTEM)" in ''|shop|iot) ;; *) echo "SYSTEM=$(SYSTEM): expected shop, or iot" >&2; exit 2;; esac
	@tools/deps $(if $(PROFILE),servers,demo)
	@$(if $(PROFILE),tools/servers build $(BUILD)/servers $(filter kafka,$(PROFILE)) $(if $(filter servers,$(PROFILE)),mongodb $(if $(filter iot,$(SYSTEM)),,opensearch)),:)
	@if test ! -f $(BUILD)/build.ninja; then mkdir -p $(BUILD); echo "Configuring $(BUILD)"; \
	$(MESON) setup $(BUILD) $(LEAN) >$(BUILD)/setup.log 2>&1 || { tail -n 20 $(BUILD)/setup.log >&2; exit 1; }; \
	touch $(BUILD)/lean; fi
	@if test -n "$(PROFILE)" && test -f $(BUILD)/lean && ! grep -q servers $(BUILD)/lean; then \
	$(MESON) configure $(BUILD) -Dservers=enabled >/dev/null && echo servers >$(BUILD)/lean; fi
	@NINJA_STATUS='[%f/%t, %e s] ' /usr/bin/ninja -C $(BUILD) $(if $(filter iot,$(SYSTEM)),demo_iot,demo)
	@examples/$(or $(SYSTEM),shop)/demo $(if $(PROFILE),--profile $(PROFILE))

servers: ## database servers for system files: packages, and what is built into build/servers, where `up` finds it
	@tools/deps servers
	@tools/servers build $(BUILD)/servers

install: all ## the command, the library, their manual and completion, below PREFIX=/usr/local (in DESTDIR)
	@MESON="$(MESON)" tools/install --build $(BUILD) --prefix "$(PREFIX)" --destdir "$(DESTDIR)"

uninstall: ## exactly what `make install` has put there
	@tools/install --remove --prefix "$(PREFIX)" --destdir "$(DESTDIR)"

test: deps all ## every test but link points: unit, conformance, tidy, simulate, scenario, attack, crash, audit, histories, fuzz
	@tools/test --build $(BUILD) $(TEST_FLAGS)

test-long: deps all ## for HOURS=1: each allocation, write, sync, open fails in turn; valgrind; soak; chaos; audit; SEED=1
	@tests/long/run $(BUILD) --hours $(HOURS) --seed $(SEED)

test-buses: deps all ## the shop's whole scenario and crash suites with its events by each broker; BUS=kafka: by that one
	@FREEHOLD_EVERY_BUS=1 TOOLS_SERVERS_ONLY=nats,rabbitmq,kafka tools/test --build $(BUILD) --suites scenario,crash --only \
		"(test_shop or test_points_buses or test_kill) and ($(or $(BUS),nats or rabbitmq or kafka))"

audit: deps all ## 1,000,000 writes, 200 kill -9; ENGINE=postgresql MINUTES=60: link points, histories; BUS=kafka EVENTS=100000: events by it
	@if test -n "$(BUS)"; then tests/audit/by_bus/run $(BUILD) --bus "$(BUS)" --events $(EVENTS); \
	elif test -n "$(ENGINE)"; then tests/audit/links $(BUILD) "$(ENGINE)" "$(MINUTES)"; \
	else tests/audit/run $(BUILD) 1000000 200; fi

fuzz: deps ## feed every reader of input with what it does not expect, for MINUTES=10
	@tests/fuzz/run --build build-fuzz --minutes $(MINUTES)

schemathesis: deps all ## requests from the examples' own documents, with all of Schemathesis' checks, for MINUTES=10 each; SEED=1
	@FREEHOLD=$(BUILD)/freehold FREEHOLD_SCHEMATHESIS_MINUTES=$(MINUTES) FREEHOLD_SEED=$(SEED) \
		/usr/bin/python3 -m pytest -q -rP tests/scenario/test_schemathesis.py

lint: deps all ## clang-tidy, cppcheck and valgrind: what the compilers do not see
	@tools/lint $(BUILD)

simulate: all ## RUNS=50000 runs of the shop on virtual time, while everything fails
	@$(BUILD)/freehold simulate examples/shop/freehold.yaml --seed 1 --runs $(RUNS)

bench: deps ## measure what services do beside rivals, embedded and on servers; exit 1 names the bars that were not met
	@$(MAKE) --no-print-directory all BUILD=build-release MESON_FLAGS=--buildtype=release
	@TOOLS_SERVERS_ONLY=$(BENCH_SERVERS) tools/servers run bench/run build-release $(BENCH_FLAGS)

bench-long: ## the same with rows of millions: 10,000,000 orders, events untrimmed, 100,000 sagas, a log of 1 GB; 20 GB of disk
	@$(MAKE) --no-print-directory bench BENCH_FLAGS=--long

bench-buses: ## events by NATS, RabbitMQ and Kafka, beside their client libraries and the feed; syncs and replays
	@$(MAKE) --no-print-directory bench BENCH_SERVERS=nats,rabbitmq,kafka BENCH_FLAGS="--only brokers"

bench-derived: deps ## search, series, columns and views, embedded and carried to servers, beside loaders
	@$(MAKE) --no-print-directory all BUILD=build-release MESON_FLAGS=--buildtype=release
	@bench/run build-release --only derived $(BENCH_FLAGS)

bench-check: deps ## has it got slower? Counts against bench/baseline.json; BASE=REVISION: counts and rates against it; ACCEPT=1
	@$(MAKE) --no-print-directory all BUILD=build-release MESON_FLAGS=--buildtype=release
	@if test -n "$(BASE)"; then bench/base build-release "$(BASE)"; fi
	@TOOLS_SERVERS_ONLY=postgresql tools/servers run bench/check build-release $(if $(ACCEPT),--accept) \
	$(if $(BASE),--base build-release/base/build)

format: ## lay out all C files with clang-format
	@git ls-files -z '*.c' '*.h' | xargs -0 clang-format -i

clean: ## remove what was built
	@rm -rf build build-release build-sanitize build-fuzz

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
