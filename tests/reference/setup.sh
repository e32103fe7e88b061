#!/usr/bin/env bash
# Makes the reference's own virtual environment in the project's cache, unless it is there, and prints its Python.
# About 2.7 GB to download and 5 GB on disk; nothing but the scripts beside this one needs it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/setup/versions.sh
. "$here/../../tools/setup/versions.sh"

dir=$deps/reference-$(key <"$here/requirements.txt")
if [[ ! -e $dir/complete ]]; then
  python=${THINKVLA_PYTHON311:-$(command -v python3.11 || true)}
  [[ -n $python ]] || { echo "reference: no Python 3.11; install python3.11-venv or set THINKVLA_PYTHON311" >&2; exit 1; }
  echo "reference: installing PyTorch and transformers into $dir" >&2
  rm -rf "$dir"
  "$python" -m venv "$dir"
  env -u PYTHONPATH "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir -r "$here/requirements.txt" >&2
  touch "$dir/complete"
fi
echo "$dir/bin/python"
