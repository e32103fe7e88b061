#!/usr/bin/env bash
# Runs every test: Rust (unit, integration, documentation), then Python over real ROS 2. Continues when a part fails, and
# lists the failed parts at the end.
set -euo pipefail
# shellcheck source=tools/env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$THINKVLA_ROOT"
features=torch,ros,sim
failed=() skipped=()
# Datasets are opened with LeRobot, which needs a Python of its own. On CI its absence fails the tests.
export THINKVLA_LEROBOT_PYTHON
THINKVLA_LEROBOT_PYTHON=$(tools/setup/lerobot_env.sh) || skipped+=("datasets opened by LeRobot; tools/setup/lerobot_env.sh says what it needs")
# The same for checkpoints and transformers.
export THINKVLA_TRANSFORMERS
THINKVLA_TRANSFORMERS=$(tools/setup/transformers_env.sh) || skipped+=("checkpoints read by transformers; tools/setup/lerobot_env.sh says what it needs")

if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run -j "$CARGO_BUILD_JOBS" --no-fail-fast --features "$features" || failed+=("cargo nextest")
else
  cargo test --no-fail-fast --lib --bins --tests --features "$features" || failed+=("cargo test")
fi
cargo test --doc --features "$features" || failed+=("doc tests")
cargo build --bins --examples --features "$features" || failed+=("node build")

shopt -s nullglob
python_tests=(tests/ros tests/*.py)
"$THINKVLA_PYTHON" -m pytest -q "${python_tests[@]}" </dev/null || failed+=("pytest")

for what in "${skipped[@]}"; do
  echo "test: SKIPPED: $what" >&2
done
if ((${#failed[@]})); then
  (IFS=,; echo "test: failed: ${failed[*]}" >&2)
  exit 1
fi
