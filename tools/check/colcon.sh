#!/usr/bin/env bash
# Builds this checkout as a ROS user would (colcon, default discovery) in a scratch workspace, and checks that everything is
# where ROS users expect it and that nothing private is exported. Arguments go to CMake; its default builds for release.
set -euo pipefail
# shellcheck source=tools/env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
workspace=$(mktemp -d)
trap 'rm -rf "$workspace"' EXIT
mkdir "$workspace/src"
ln -s "$THINKVLA_ROOT" "$workspace/src/thinkvla"
cd "$workspace"

# Like a user's shell: ROS sourced, then the workspace once it is there, and nothing of env.sh.
ros_setup=$ros_dir/setup.sh
[[ -z $installed_ros ]] || ros_setup=/opt/ros/$ROS_DISTRO/setup.bash
user_environment=(PATH="$python_dir/bin:$PATH" CARGO_TARGET_DIR="$CARGO_TARGET_DIR" THINKVLA_DEPS="$deps" ROS_DOMAIN_ID=99
  ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST)
for variable in AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH ROS_DISTRO "${!THINKVLA_@}"; do
  user_environment=(-u "$variable" "${user_environment[@]}")
done
# shellcheck disable=SC2016,SC2317
as_user() {
  env "${user_environment[@]}" bash -c '
    . "$1"
    [[ ! -e install/local_setup.bash ]] || . install/local_setup.bash
    "${@:2}"' user "$ros_setup" "$@"
}

as_user colcon list --names-only | grep -qx thinkvla || { echo "colcon: default discovery does not find thinkvla" >&2; exit 1; }
[[ $(as_user colcon list --names-only | wc -l) == 1 ]] || { echo "colcon: more than one package" >&2; exit 1; }
as_user colcon build --event-handlers console_cohesion- --cmake-args -G Ninja -DPython3_EXECUTABLE="$THINKVLA_PYTHON" "$@" \
  || { cat log/latest_build/thinkvla/stdout_stderr.log >&2; exit 1; }

install=$workspace/install/thinkvla
failed=0
check() { # check WHAT COMMAND...
  local what=$1
  shift
  if "$@" >"$workspace/output.txt" 2>&1; then
    echo "colcon: ok: $what"
  else
    echo "colcon: FAILED: $what" >&2
    cat "$workspace/output.txt" >&2
    failed=1
  fi
}
for source in "$THINKVLA_ROOT"/src/bin/*; do
  node=$(basename "$source" .rs)
  check "node $node" test -x "$install/lib/thinkvla/$node"
  check "node $node finds its libraries" as_user bash -c "! ldd '$install/lib/thinkvla/$node' | grep 'not found'"
done
check "thinkvla answers --help" as_user "$install/lib/thinkvla/thinkvla" --help
check "Python messages" as_user "$THINKVLA_PYTHON" -c 'from thinkvla.msg import ActionChunk; ActionChunk()'
check "package index" as_user "$THINKVLA_PYTHON" -c \
  'from ament_index_python import get_package_share_directory as s; assert "install/thinkvla" in s("thinkvla"), s("thinkvla")'
cat >message.cpp <<'CPP'
#include "thinkvla/msg/action_chunk.hpp"
int main() { return thinkvla::msg::ActionChunk().values.size(); }
CPP
check "C++ headers" test -e "$install/include/thinkvla/thinkvla/msg/action_chunk.hpp"
check "interface definitions" test -e "$install/share/thinkvla/msg/ActionChunk.msg"
cat >CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(user)
find_package(thinkvla REQUIRED)
add_library(user OBJECT message.cpp)
target_link_libraries(user thinkvla::thinkvla__rosidl_generator_cpp)
CMAKE
check "C++ user of the package" as_user bash -c \
  "cmake -S . -B user -DPython3_EXECUTABLE='$THINKVLA_PYTHON' && cmake --build user"
for folder in launch config urdf rviz; do
  [[ -d $THINKVLA_ROOT/$folder ]] || continue
  check "share/thinkvla/$folder" diff -r --exclude=__pycache__ "$THINKVLA_ROOT/$folder" "$install/share/thinkvla/$folder"
done
if [[ -z $installed_ros ]]; then
  check "private messages are not exported" \
    test -z "$(find install -path '*rm_ros_interfaces*' -o -path '*tf2_msgs*' | grep -v '/lib/thinkvla/private/')"
  check "private type support lies beside the nodes" \
    test -e "$install/lib/thinkvla/private/librm_ros_interfaces__rosidl_typesupport_fastrtps_c.so"
fi
exit $failed
