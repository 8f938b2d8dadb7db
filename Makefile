# SPDX-License-Identifier: Apache-2.0
# Thin: every rule is a line or two of CMake, CTest or a script that can be run by hand.

# One compiler on libtorch's headers takes up to 2 GiB, so memory limits the jobs too.
MEMORY_GIB := $(shell awk '/^MemAvailable/ { print int($$2 / 1048576) }' /proc/meminfo)
JOBS ?= $(shell n=$$(nproc); m=$$(( $(MEMORY_GIB) / 2 )); [ $$m -lt 1 ] && m=1; \
          [ $$n -lt $$m ] && echo $$n || echo $$m)
SOURCES = $(shell git ls-files --cached --others --exclude-standard '*.h' '*.cc')
CPU_NAME = $(shell awk -F': ' '/^model name/ { print $$2; exit }' /proc/cpuinfo | \
             tr 'A-Z' 'a-z' | tr -cs 'a-z0-9\n' '-' | sed 's/^-*//; s/-*$$//')

.PHONY: help build demo test test-asan test-arm64 fuzz bench format lint setup clean

help:
	@echo "make demo       install what is missing, build, and show the whole job in a few minutes"
	@echo "make test       install what is missing, build, and run all tests"
	@echo "make build      build into build/release (the programs: build/release/bin)"
	@echo "make test-asan  the runtime half's tests under address and undefined-behaviour checks"
	@echo "make test-arm64 the kernels of 64-bit ARM, cross-compiled, under an emulator"
	@echo "make fuzz       run every fuzzer for FUZZ_SECONDS (20); docs/security.md says what they are"
	@echo "make bench      measure the kernels; figures go to bench/baselines/"
	@echo "make format     clang-format        make lint   clang-tidy on the runtime half"
	@echo "make setup      only install packages        make clean   remove build/"

setup:
	@scripts/setup.sh

build: setup
	cmake --preset release
	cmake --build --preset release -j $(JOBS)

# Only the programs: the tests would double the time to the first result.
demo: setup
	cmake --preset release
	cmake --build --preset release -j $(JOBS) --target tercet tercet-learn
	build/release/bin/tercet demo

test: build
	ctest --preset release -j $(JOBS)

test-asan: setup
	cmake --preset asan-ubsan
	cmake --build --preset asan-ubsan -j $(JOBS)
	ctest --preset asan-ubsan -j $(JOBS)

# Programs with threads hang in the emulator of Debian 12, so only those without are run.
test-arm64:
	scripts/setup.sh --runtime-only --arm64
	cmake --preset arm64
	cmake --build --preset arm64 -j $(JOBS) --target packing_test kernels_test machine_test
	ctest --test-dir build/arm64 --output-on-failure -R 'packing|kernel'

fuzz:
	FUZZ_JOBS=$(JOBS) scripts/fuzz.sh

bench: setup
	cmake --preset release -DTERCET_BENCH=ON
	cmake --build --preset release -j $(JOBS) --target tercet_bench_kernels
	@mkdir -p bench/baselines
	$$(find build/release -type f -name tercet_bench_kernels) \
	  --benchmark_out_format=json --benchmark_out=bench/baselines/$(CPU_NAME).json

format:
	@command -v clang-format > /dev/null || { echo "install Debian's clang-format first"; exit 1; }
	clang-format -i $(SOURCES)

# libtorch's headers are not ours to lint, so the learning half is left out.
lint:
	@command -v clang-tidy > /dev/null || { echo "install Debian's clang-tidy first"; exit 1; }
	cmake --preset runtime
	clang-tidy -p build/runtime --quiet --warnings-as-errors='*' \
	  --extra-arg=-Wno-unknown-warning-option \
	  $(filter-out src/learn/% cli/learn/% tests/learn/% bench/%,$(filter %.cc,$(SOURCES)))

clean:
	rm -rf build
