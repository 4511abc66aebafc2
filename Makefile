.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints.txt
PIP_OPTIONS ?=
FNO := $(BIN)/python -m fno_lightning
STAMP := $(VENV)/.installed
PEERS := $(VENV)/.peers-installed

LOWEST := .venv-lowest

.PHONY: help install demo test test-long check format lint type layers lowest wheel bench bench-gpu race audit tensorboard clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "fno_lightning needs Python 3.11 or newer; set PYTHON=/path/to/it"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) --constraint $(CONSTRAINTS) torch
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) --constraint $(CONSTRAINTS) --editable '.[dev]'
	@touch $@

install: $(STAMP) ## Make .venv with the package and its tools

demo: $(STAMP) ## Simulate a small data set if none is there, train on it, test, and show where the results are
	$(FNO) fit --config trl2d
	$(FNO) test --config trl2d --ckpt_path "$$(ls -t runs/trl2d/version_*/checkpoints/best.ckpt | head -n 1)"

test: $(STAMP) ## Run the tests, but for the long ones
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not long"

test-long: $(STAMP) ## Run the long tests: several processes, programs, compilation, each network and configuration
	$(BIN)/python -m pytest -n auto --dist worksteal -m long

check: $(STAMP) lint type layers test test-long ## Everything that must hold at every commit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

$(LOWEST)/.installed: pyproject.toml
	rm -rf $(LOWEST) && $(PYTHON) -m venv $(LOWEST)
	sed -nE 's/^ +"([A-Za-z0-9_.-]+)(\[[a-z]+\])?[>=]=([0-9.]+).*/\1==\3/p' pyproject.toml | sort -u > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/python -m pip install --quiet $(PIP_OPTIONS) --constraint $(LOWEST)/lowest.txt --editable '.[dev]'
	@touch $@

lowest: $(LOWEST)/.installed ## Run the tests with the lowest versions that pyproject.toml names
	$(LOWEST)/bin/python -m pytest -n auto --dist worksteal

wheel: ## Build source distribution and wheel, and train from an empty folder with nothing but the wheel
	rm -rf dist .venv-wheel && $(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet $(PIP_OPTIONS) build
	.venv-wheel/bin/python -m build
	.venv-wheel/bin/python -m pip install --quiet $(PIP_OPTIONS) --constraint $(CONSTRAINTS) dist/*.whl
	cd "$$(mktemp -d)" && program="$(CURDIR)/.venv-wheel/bin/fno-lightning" \
		&& "$$program" --help > help.txt && "$$program" configs && "$$program" fit --config trl2d --trainer.fast_dev_run true

$(PEERS): $(STAMP)
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) --constraint $(CONSTRAINTS) --editable '.[dev,bench]'
	@touch $@

bench: $(PEERS) ## Measure the speed beside others, 15 minutes on 2 cores; QUICK=1: fewer rounds, 5 minutes
	$(BIN)/python -m tests.benchmarks $(if $(QUICK),--quick --limit 4.5)

bench-gpu: $(PEERS) ## The same on a CUDA device, 9 minutes
	$(BIN)/python -m tests.benchmarks --gpu --limit 8

race: $(STAMP) ## Train contestants at equal wall-clock, hours in all: SET=shear_flow BUDGET=600; QUICK=1: 2 minutes
	$(BIN)/python -m tests.race $(if $(SET),--set $(SET)) $(if $(BUDGET),--budget $(BUDGET)) $(if $(QUICK),--quick)

audit: ## List known vulnerabilities of the pinned packages, and the licences of the installed ones
	test -x .venv-audit/bin/pip-audit || { $(PYTHON) -m venv .venv-audit && .venv-audit/bin/python -m pip install --quiet $(PIP_OPTIONS) pip-audit pip-licenses; }
	.venv-audit/bin/pip-licenses --python=$(BIN)/python --format=plain-vertical --no-version --summary
	.venv-audit/bin/pip-audit --requirement $(CONSTRAINTS) --no-deps --disable-pip

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tensorboard: $(STAMP) ## Look at the logs
	$(BIN)/tensorboard --logdir runs

clean: ## Remove what was installed and cached (not the data, not the runs)
	rm -rf $(VENV) $(LOWEST) .venv-wheel .venv-audit dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
