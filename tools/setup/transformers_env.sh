#!/usr/bin/env bash
# Prints the folders of transformers 4.57 and 5, separated by a colon, after fetching what is missing: a folder in the cache
# for each (60 MB), used through PYTHONPATH by LeRobot's Python, with its PyTorch (tools/setup/lerobot_env.sh).
set -euo pipefail
# shellcheck source=tools/setup/versions.sh
. "$(dirname "${BASH_SOURCE[0]}")/versions.sh"
unset PYTHONPATH

python=$("$setup_dir/lerobot_env.sh")
mkdir -p "$deps"
fetch() { # fetch DIR PIN...
  local dir=$1 temporary
  shift
  [[ -e $dir ]] && return
  echo "transformers_env: fetching $1 into $dir" >&2
  temporary=$(mktemp -d "$deps/.partial-XXXXXX")
  # shellcheck disable=SC2064  # the name of now
  trap "rm -rf '$temporary'" EXIT
  "$python" -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --target "$temporary" "$@" >&2
  chmod 755 "$temporary"
  mv -T "$temporary" "$dir" 2>/dev/null || [[ -e $dir ]] || exit 1
  trap - EXIT
}
fetch "${transformers_dirs[0]}" "${transformers_4_pins[@]}"
fetch "${transformers_dirs[1]}" "${transformers_5_pins[@]}"
(IFS=:; echo "${transformers_dirs[*]}")
