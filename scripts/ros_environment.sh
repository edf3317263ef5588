# To be sourced: the ROS environment with this package built. `source scripts/ros_environment.sh [VENV [COLCON_FOLDER]]`
_venv=$(realpath "${1:-.venv}")
_ros=$(realpath "${2:-.ros}")
if [ -z "${ROS_DISTRO:-}" ]; then
    source "$_venv/local_setup.bash"
else
    export PATH="$_venv/bin:$PATH"
fi
source "$_ros/install/local_setup.bash"
export FASTDDS_DEFAULT_PROFILES_FILE="${FASTDDS_DEFAULT_PROFILES_FILE:-$_ros/install/trdimp_ros/share/trdimp_ros/config/fastdds_large_images.xml}"
# This checkout's Python code comes first, so that a new module needs no new build; the messages come from the build.
export PYTHONPATH="$(dirname "$_ros")${PYTHONPATH:+:$PYTHONPATH}"
unset _venv _ros
