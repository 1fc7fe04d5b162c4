# Two commands do all the set-up by themselves: `make demo` runs the main job, `make test` the tests.
# `make help` lists the others. Everything is installed into .venv, nothing outside this folder.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# the first of these that is Python 3.11 or newer; `make PYTHON=/path/to/python ...` names another
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$p; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# tests run in one process per core, so each of them computes on one thread
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

.PHONY: help
help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: demo
demo: $(READY) ## find where the embedded language model decides its answers (minutes)
	$(BIN)/python -m launch +exp=llm_math

.PHONY: test
test: $(READY) ## the fast tests
	$(PYTEST) -m "not demos and not faults and not gpu and not hub"

.PHONY: demos
demos: $(READY) ## each experiment's demo form, from the command line
	$(PYTEST) -m "demos and not gpu and not hub"

.PHONY: faults
faults: $(READY) ## kills and restarts; on SLURM too where one answers (.ci/slurm start)
	$(PYTEST) --dist loadgroup -m "faults and not gpu and not hub"

.PHONY: faults-long
faults-long: $(READY) ## the same with 60 faults for each sweep, and the embedded model's sweeps (long)
	CRITWIN_FAULTS=60 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/faults -m "faults and not gpu and not hub"

.PHONY: check
check: $(READY) ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: format
format: $(READY) ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: setup
setup: $(READY) ## install into .venv only

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "critwin needs Python 3.11 or newer; none was found" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	.ci/install-torch $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@
