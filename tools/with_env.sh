#!/usr/bin/env bash
# with_env.sh COMMAND...: runs the command with the environment of env.sh.
set -euo pipefail
# shellcheck source=tools/env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
exec "$@"
