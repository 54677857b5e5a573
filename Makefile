# SPDX-License-Identifier: Apache-2.0
# A thin front for Meson and Ninja: the commands of the README. Everything else is `meson compile -C build`.
BUILD ?= build
FILES ?=
BENCH ?= all
FAULTS ?=
STEPS ?=
MESON_FLAGS ?=
TEST_FLAGS ?=

.PHONY: all build deps test check-quick vectors demo bench mutants test-steps check-tsan check-valgrind check-static clean

all: build

deps:
	tools/install-deps.sh

$(BUILD)/build.ninja:
	meson setup $(MESON_FLAGS) $(BUILD)

build: $(BUILD)/build.ninja
	meson compile -C $(BUILD)

# Installs, builds, runs all tests (quick ones first).
test: deps
	tools/test.sh --build $(BUILD) --live $(TEST_FLAGS) -- $(MESON_FLAGS)

# make test-steps [STEPS="--only PATTERN --lanes N"]: kill -9 of everything at every step of a backup, on real guests; the part of it
# that CI runs is the live test backup_steps.
test-steps: deps
	tools/test.sh --build $(BUILD) --live-tests guest -- $(MESON_FLAGS)
	BALLAST_BUILD=$(abspath $(BUILD)) PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 tests/live/test_backup_steps.py --all $(STEPS)

# For work in progress: no live guests, at most 5 minutes.
check-quick:
	tools/test.sh --build $(BUILD) $(TEST_FLAGS) -- $(MESON_FLAGS)

# make vectors [FILES="a.json b.json"]: the rules' arithmetic, bit for bit.
vectors: build
	$(BUILD)/tests/unit/vectors $(FILES)

# Races, where threads are; what valgrind finds, also over real guests; what cppcheck finds.
check-tsan: deps
	tools/check-tsan.sh

check-valgrind: deps
	tools/check-valgrind.sh --build $(BUILD)

check-static: deps
	tools/check-static.sh

demo: deps build
	tools/demo.sh --build $(BUILD)

bench: build
	tools/bench.sh --build $(BUILD) $(BENCH)

# make mutants [FAULTS="part of a name"]: puts one-line faults into the core and backups, one by one; each must be noticed.
mutants: deps
	tools/mutants.py $(FAULTS)

clean:
	rm -rf $(BUILD)
