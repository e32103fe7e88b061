#!/usr/bin/env bash
# Prints the path of a Python with LeRobot, after creating a virtual environment for it if there is none, in the cache
# beside the other tools (5 GB). LeRobot needs Python 3.12. THINKVLA_LEROBOT_PYTHON names one of your own.
set -euo pipefail
# shellcheck source=tools/setup/versions.sh
. "$(dirname "${BASH_SOURCE[0]}")/versions.sh"
# With ROS's packages on PYTHONPATH, pip would not install those that are there, and LeRobot would lack them without it.
unset PYTHONPATH

if [[ -n ${THINKVLA_LEROBOT_PYTHON:-} ]]; then
  echo "$THINKVLA_LEROBOT_PYTHON"
  exit
fi
if [[ -e $lerobot_dir ]]; then
  echo "$lerobot_dir/bin/python"
  exit
fi

shopt -s nullglob
for candidate in "${THINKVLA_PYTHON312:-}" python3.12 python3 /usr/bin/python3.12 \
  ~/.local/share/uv/python/cpython-3.12*/bin/python3.12 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12*/bin/python3.12; do
  if [[ -n $candidate ]] && "$candidate" -c 'import sys, ensurepip; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null; then
    # resolves shims and links to the interpreter itself
    python=$("$candidate" -c 'import sys; print(sys.executable)')
    break
  fi
done
if [[ -z ${python:-} ]]; then
  {
    echo "lerobot_env: no Python 3.12 with venv, which LeRobot ${lerobot_pins[0]#*==} needs. One of these provides it:"
    echo "  sudo apt-get install python3.12-venv       (Ubuntu 24.04)"
    echo "  pip install uv && uv python install 3.12   (anywhere)"
    echo "or set THINKVLA_PYTHON312 to one"
  } >&2
  exit 3
fi

echo "lerobot_env: fetching LeRobot ${lerobot_pins[0]#*==} (5 GB) into $lerobot_dir" >&2
mkdir -p "$deps"
temporary=$(mktemp -d "$deps/.partial-XXXXXX")
trap 'rm -rf "$temporary"' EXIT
"$python" -m venv "$temporary"
"$temporary/bin/python" -m pip install --quiet --disable-pip-version-check "${lerobot_pins[@]}" >&2
# A virtual environment can be moved: its python finds the packages relative to its own location.
chmod 755 "$temporary"
mv -T "$temporary" "$lerobot_dir" 2>/dev/null || [[ -e $lerobot_dir ]] || exit 1
echo "$lerobot_dir/bin/python"
