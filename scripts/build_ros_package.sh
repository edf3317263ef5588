#!/usr/bin/env bash
# Build the messages and executables with colcon: scripts/build_ros_package.sh VENV COLCON_FOLDER
set -eo pipefail
venv=$(realpath "$1")
mkdir -p "$2"
ros=$(realpath "$2")
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ -z "${ROS_DISTRO:-}" ]; then
    # shellcheck disable=SC1091
    source "$venv/local_setup.bash"
fi
# CMake refuses to export the headers of an environment that lies inside the source folder, so the source is given
# through links in a folder of its own.
source_folder=$ros/src/trdimp_ros
mkdir -p "$source_folder"
for part in CMakeLists.txt package.xml setup.cfg setup.py msg srv launch config examples scripts trdimp_ros; do
    ln -sfn "$PWD/$part" "$source_folder/$part"
done
echo "setup: building the ROS package with colcon"
# The executables start with `env python3`; at run time that is the environment's, which has torch.
PATH="$venv/bin:$PATH" colcon --log-base "$ros/log" build --base-paths "$ros/src" --build-base "$ros/build" \
    --install-base "$ros/install" --symlink-install --cmake-args -DBUILD_TESTING=OFF -Wno-dev \
    "-DPython3_EXECUTABLE=$venv/bin/python" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
