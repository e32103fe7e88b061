#!/usr/bin/env bash
# Builds the ROS interfaces and stages them (C, C++, Python and Rust) for plain cargo and the tests: the first half of
# the CMake build.
set -euo pipefail
# shellcheck source=tools/env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
build=$THINKVLA_ROOT/build/interfaces
log=$build/log.txt
mkdir -p "$build"
configure=(cmake -S "$THINKVLA_ROOT" -B "$build" -G Ninja -DTHINKVLA_NODES=OFF
  -DCMAKE_INSTALL_PREFIX="$CARGO_TARGET_DIR/ros" -DPython3_EXECUTABLE="$THINKVLA_PYTHON" -DCMAKE_INSTALL_MESSAGE=NEVER)

# The stage is shared by every clone that uses this target folder: only its content can say whether it is current.
current=$({
  echo "${configure[*]} $AMENT_PREFIX_PATH"
  cd "$THINKVLA_ROOT" && cat CMakeLists.txt tools/setup/rust_messages.py msg/* srv/* action/* interfaces/*/CMakeLists.txt interfaces/*/msg/*
} | sha256sum)
stamp=$CARGO_TARGET_DIR/ros/.current
[[ -e $stamp && $(<"$stamp") == "$current" ]] && exit 0

echo "interfaces: building into $CARGO_TARGET_DIR/ros"
# The CMake cache would keep the package paths of an earlier prefix.
rm -f "$stamp" "$build/CMakeCache.txt"
if ! { "${configure[@]}" && cmake --build "$build" -j "$CARGO_BUILD_JOBS" && cmake --install "$build"; } >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  echo "interfaces: the build failed; everything it said is in $log" >&2
  exit 1
fi
echo "$current" >"$stamp"
