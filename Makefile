# The short way in: `make`, `make demo`, `make test`, `make lint`. The build itself is in
# CMakeLists.txt; PRESET chooses the configuration (release, debug, asan, tsan, fuzz, coverage),
# JOBS the parallelism, CEILING the highest CPU level that is used (scalar, avx2, avx512).
PRESET ?= release
JOBS ?= $(shell nproc)
CEILING ?=
BUILD := build/$(PRESET)
PROMPT ?= What is 2+2?

# WERROR=OFF builds with compilers that warn about more than those we know.
CONFIGURE := cmake --preset $(PRESET) $(if $(WERROR),-DRZ_WERROR=$(WERROR)) \
	-DRZ_CPU_CEILING=$(CEILING) --log-level=WARNING

.PHONY: all demo test lint format bench coverage install clean

all:
	@mkdir -p build
	@$(CONFIGURE) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@cmake --build $(BUILD) -j $(JOBS)

demo: all
	@printf '\n$$ %s run demo "%s"\n' '$(BUILD)/apr' '$(PROMPT)'
	@$(BUILD)/apr run demo "$(PROMPT)"

test: all
	ctest --preset $(PRESET) -j $(JOBS)

lint: all
	@tools/lint

format:
	clang-format -i $$(tools/lint --list-c)

# The recorded suite: a row per model in bench/history.csv (bench/run.sh has its settings).
bench: all
	@bench/run.sh $(BUILD)

coverage:
	@$(MAKE) --no-print-directory all PRESET=coverage
	@tools/coverage

install: all
	cmake --install $(BUILD) $(if $(PREFIX),--prefix $(PREFIX))

clean:
	rm -rf build
