#!/usr/bin/env bash
# Says where a Python with LeRobot lies (on standard output), after making one when there is none: a virtual environment
# in the cache beside the other tools, 5 GB. LeRobot needs Python 3.12. THINKVLA_LEROBOT_PYTHON names one of your own.
set -euo pipefail
# shellcheck source=tools/versions.sh
. "$(dirname "${BASH_SOURCE[0]}")/versions.sh"
# with ROS's packages in sight pip would leave out what they have too, and LeRobot would miss it when it runs alone
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
    # shims and links: the file itself
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
# a virtual environment is found by its python, which finds its packages from where it lies: it may be moved
chmod 755 "$temporary"
mv -T "$temporary" "$lerobot_dir" 2>/dev/null || [[ -e $lerobot_dir ]] || exit 1
echo "$lerobot_dir/bin/python"
