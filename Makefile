# Everything a developer needs, each as one command. Nothing is installed outside .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.built
CORE := $(wildcard shm/*.[ch] forkkv/wire/*.[ch] forkkv/binding/*.[ch])
export FORKKV_DEV := 1

all: test  ## build, lint, types, C tests under sanitizers, tests

$(VENV)/.tools: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip
	$(BIN)/python -m pip install -qq --editable '.[dev]'
	@touch $@

$(STAMP): $(VENV)/.tools setup.py $(CORE)
	$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

build: $(STAMP)  ## the virtual environment and the C extension

demo: build  ## four workers, two clients, their counts and what they mean
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash perf/demo.sh

test: lint types  ## all that must pass: two parts at a time, each one's output when it is done
	$(MAKE) --no-print-directory --output-sync=target -j2 pytest-store san tsan mutants pytest-lab

pytest: build  ## all tests in one go
	$(BIN)/python -m pytest

LAB_TESTS := $(shell grep -l 'forkkv\.perf' tests/test_*.py)

pytest-lab: build  ## the tests of perf/
	$(BIN)/python -m pytest $(LAB_TESTS)

pytest-store: build  ## the others
	$(BIN)/python -m pytest $(filter-out $(LAB_TESTS),$(wildcard tests/test_*.py))

lint: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: build  ## mypy on the tree as it is installed: clients and perf are parts of forkkv
	@rm -rf build/types && mkdir -p build/types/forkkv
	@ln -s $(CURDIR)/forkkv/*.py* $(CURDIR)/clients $(CURDIR)/perf build/types/forkkv/
	cd build/types && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p forkkv

san:  ## the C core's own tests under ASan and UBSan, without Python
	$(MAKE) --no-print-directory -C shm/tests san
	$(MAKE) --no-print-directory -C forkkv/wire/tests san

tsan:  ## threads of the C core under ThreadSanitizer
	$(MAKE) --no-print-directory -C shm/tests tsan

mutants:  ## negative controls: the C tests must notice a core that is broken on purpose
	$(MAKE) --no-print-directory -C shm/tests mutants

storm: build  ## thousands of kills at both doors, then storms over builds that are broken on purpose
	$(BIN)/python tests/storm.py --kills 3000
	$(BIN)/python tests/storm_mutants.py

compact-storm: build  ## minutes of large values among small ones in a table nearly full; prints its seed
	$(BIN)/python tests/big_values.py --seconds 120
	$(BIN)/python tests/big_values.py --seconds 120 --memory 256mb --processes 4

model: build  ## what the memory model allows: every execution of the protocols, and of broken ones
	$(BIN)/python tests/memory_model.py

crash:  ## the long form: killed at every instruction, in more states, many times; prints its seeds
	$(MAKE) --no-print-directory -C shm/tests crash

diagnose: build  ## 24 situations of the lab, each beside a neighbour, ten times: found first, false alarms
	$(BIN)/python -m forkkv.perf.proof.matrix

bench: build  ## both sides of each comparison in one interleaved run
	$(BIN)/python -m pip install -qq --editable '.[bench]'
	$(BIN)/python -m forkkv.perf.bench

bench-eviction: build  ## miss ratios at equal memory beside redis-server and memcached; draws docs/images
	$(BIN)/python -m pip install -qq --editable '.[bench]'
	$(BIN)/python -m forkkv.perf.bench_eviction --plots docs/images

bench-big: build  ## 50 million items in 6 GiB: filled, read beside py-lmdb, iterated, checked
	$(BIN)/python -m pip install -qq --editable '.[bench]'
	$(BIN)/python -m forkkv.perf.bench_big

bench-expiry: build  ## a million keys that expire at once: whom that makes wait
	$(BIN)/python -m forkkv.perf.bench_expiry

golden: build  ## rewrite the recorded reports that the tests compare with
	$(BIN)/python tests/golden.py

format: build
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build *.egg-info forkkv/_core*.so
	$(MAKE) --no-print-directory -C shm/tests clean
	$(MAKE) --no-print-directory -C forkkv/wire/tests clean

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: all build demo test pytest pytest-lab pytest-store lint types san tsan mutants storm compact-storm model crash diagnose bench bench-eviction bench-big bench-expiry golden format clean help
