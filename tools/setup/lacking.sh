#!/usr/bin/env bash
# lacking.sh [--nodes]: reports what is missing for a build, one line each with the command that brings it; prints nothing
# where nothing is missing. Exit code 1 when the build cannot work at all. CMake calls it before and after the build: a ROS
# user who runs `colcon build` has not read Makefile or setup.sh. --nodes: the nodes are built too, not the interfaces alone.
# Everything goes to standard error, which colcon shows at the end of a package.
set -euo pipefail
exec >&2
# shellcheck source=tools/env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
setup=$THINKVLA_ROOT/tools/setup.sh
refused=0
refuse() { # refuse WHAT: the build cannot work without it
  echo "thinkvla: $1"
  refused=1
}

if [[ -z ${ROS_DISTRO:-} ]]; then
  refuse "no ROS 2 is sourced. Run in this terminal: . /opt/ros/jazzy/setup.bash (without a ROS 2 installation: make build)"
fi
read -ra bindgen <<<"$THINKVLA_BINDGEN"
if ! "${bindgen[@]}" --help >/dev/null 2>&1; then
  refuse "the Rust message generator is missing (THINKVLA_BINDGEN: $THINKVLA_BINDGEN). Run in this terminal: $setup"
fi
[[ ${1:-} == --nodes ]] || exit $refused

if rust=$(outdated_rust); then
  refuse "expected Rust $rust_needed or newer, found $rust. Install rustup (https://rustup.rs) and run: rustup default stable"
fi
without() { # without FEATURE FILE WHAT: FILE is absent; an error where the feature was requested, otherwise a line
  [[ -e $2 ]] && return
  if [[ ,$THINKVLA_FEATURES, == *,$1,* ]]; then
    refuse "the feature $1 needs $2, and there is none. Run in this terminal: $setup"
  else
    echo "thinkvla: NOT BUILT: $3, since there is no $2. Run in this terminal: $setup"
  fi
}
without torch "$LIBTORCH/lib/libtorch_cpu.so" "policy_node, finetune_node and training"
without sim "$MUJOCO_DYNAMIC_LINK_DIR/libmujoco.so" "sim_node and the simulator"
exit $refused
