#!/usr/bin/env bash
# Makes the shipped policy again, from nothing, on two cores: frames, tower, policy, corrections. What is there already is
# kept, so an interrupted call goes on where it was. docs/learning.md says what each step is for and what it reached.
set -euo pipefail
# shellcheck source=tools/env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$THINKVLA_ROOT"
thinkvla=$CARGO_TARGET_DIR/release/thinkvla
# Two teams of OpenMP threads that wait actively on two cores are several times as slow.
export OMP_WAIT_POLICY=passive
[[ -x $thinkvla ]] || { echo "expected $thinkvla, found none; run make build first" >&2; exit 1; }

step() { # step NUMBER WHAT DONE COMMAND...: runs the command unless the file DONE is there
  local number=$1 what=$2 mark=$3 begun=$SECONDS
  shift 3
  if [[ -e $mark ]]; then
    echo "[$number] $what: done already"
    return
  fi
  echo "[$number] $what"
  "$@"
  echo "[$number] $what: $((SECONDS - begun)) s"
}

step 1/6 "untrained network" out/small/model.safetensors "$thinkvla" init-checkpoint --size small out/small
step 2/6 "frames" out/frames/meta/thinkvla/frames.json \
  "$thinkvla" frames out/frames --count 26000 --seed 11 --jobs 2 --geometry out/rays
step 3/6 "tower and policy" out/pretrain/policy/step-00004000/model.safetensors \
  "$thinkvla" train config/pretrain.yaml --resume
step 4/6 "corrections" out/corrections1/meta/info.json \
  "$thinkvla" correct out/pretrain/policy/step-00004000 out/corrections1 --episodes 50 --jobs 2
step 5/6 "learning from them" out/corrected1/step-00002000/model.safetensors \
  "$thinkvla" train config/correct.yaml --resume
for task in height container position; do
  step 6/6 "evaluation of $task" "out/eval/$task/eval.md" \
    "$thinkvla" eval --checkpoint out/corrected1/step-00002000 --task "$task" --episodes 20 --seed 900000 --replan-steps 3 --threads 1 --videos 0 --jobs 2 \
    --out "out/eval/$task"
done
