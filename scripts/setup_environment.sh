#!/usr/bin/env bash
# Make a virtual environment with this package and its tools. Safe to run again.
#   scripts/setup_environment.sh VENV
# PYTHON: interpreter to use (default: the first of python3, python3.12, ... that is 3.10 to 3.12).
# TORCH: what pip installs as torch (default: the build for this machine, without CUDA where there is no GPU).
set -euo pipefail
venv=$1
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { echo "setup: $*"; }

pip_install() {
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet "$@" >"$log" 2>&1
}

must_install() {
    pip_install "$@" || { cat "$log" >&2; say "pip could not install: $*" >&2; exit 1; }
}

usable() { "$1" -c 'import sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; }

find_python() {
    for name in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
        if usable "$name"; then
            echo "$name"
            return
        fi
    done
    say "no Python 3.10 to 3.12 with venv found; apt-get install python3 python3-venv, or set PYTHON" >&2
    exit 1
}

install_torch() {
    "$venv/bin/python" -c 'import torch' 2>/dev/null && return
    if [ -n "${TORCH:-}" ]; then
        # shellcheck disable=SC2086  # it may hold options
        must_install $TORCH
    elif command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
        must_install 'torch>=2.1'
    else
        # The CPU build by its local version, then from PyTorch's own index, then whatever there is (gigabytes of CUDA).
        pip_install 'torch==2.13.0+cpu' ||
            pip_install torch --index-url https://download.pytorch.org/whl/cpu ||
            must_install 'torch>=2.1'
    fi
}

if [ ! -x "$venv/bin/python" ]; then
    python=$(find_python)
    say "making $venv with $("$python" --version)"
    # With a ROS sourced its Python packages are needed, and NumPy must stay the one that its messages are built for.
    "$python" -m venv ${ROS_DISTRO:+--system-site-packages} "$venv" || {
        rm -rf "$venv"
        say "python -m venv failed; on Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 1
    }
    must_install --upgrade pip 'setuptools>=68,<80' wheel
    "$venv/bin/python" -c 'import numpy; print(f"numpy=={numpy.__version__}")' >"$venv/constraints.txt" 2>/dev/null || true
fi
export PIP_CONSTRAINT=$(realpath "$venv/constraints.txt")
say "installing torch"
install_torch
say "installing trdimp_ros and its tools"
must_install --no-build-isolation -e '.[test]'
pip_install --no-build-isolation -e '.[fast]' || say "no openvino for this machine: torch computes, slower; see README.md"
if ! "$venv/bin/python" -c 'import cv2' 2>/dev/null; then
    # opencv-python needs libGL, which a machine without desktop lacks; nothing but --show needs its windows.
    say "no libGL here: using opencv-python-headless"
    "$venv/bin/python" -m pip uninstall --quiet --yes opencv-python >"$log" 2>&1
    must_install 'opencv-python-headless<5'
fi
[ -n "${ROS_DISTRO:-}" ] || "$(dirname "$0")/setup_ros.sh" "$venv"
say "done: $("$venv/bin/python" -c 'import torch, cv2, numpy; print("torch", torch.__version__, "opencv", cv2.__version__, "numpy", numpy.__version__)')"
