# The front door. Each target sets up what it needs; `make setup` does nothing the second time.
#
#   make setup               a virtual environment in .venv with everything
#   make test [ARGS="..."]   lint and all tests; ARGS go to pytest: make test ARGS="-q -k golden"
#   make demo                track the target of a rendered scene
#   make run ARGS="..."      the trdimp command in the environment: make run ARGS="track video.mp4 --init 10,20,30,40"
#   make bench [ARGS="..."]  time every stage
#   make lint | format       ruff and mypy
#   make clean               remove .venv and caches
#
# Variables: PYTHON (3.10 to 3.12), TORCH (what pip installs as torch, e.g. TORCH="torch --index-url ...").

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup test lint format demo run bench clean

help:
	@sed -n 's/^#   //p' Makefile

setup: $(STAMP)

$(STAMP): setup.cfg scripts/setup_environment.sh
	@scripts/setup_environment.sh $(VENV)
	@touch $@

test: lint
	@$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary

format: $(STAMP)
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

demo: $(STAMP)
	@$(BIN)/trdimp demo

run: $(STAMP)
	@$(BIN)/trdimp $(ARGS)

bench: $(STAMP)
	@$(BIN)/trdimp bench $(ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info out
