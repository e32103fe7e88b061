#!/usr/bin/env bash
# Trains the shipped policy again from nothing, on two cores or more: frames, tower, policy, corrections. Existing results
# are kept, so an interrupted call continues. docs/learning.md describes the steps and their results.
set -euo pipefail
# shellcheck source=tools/learning/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/learning/steps.sh"
cd "$THINKVLA_ROOT"

untrained() { # under a temporary name until it is complete
  rm -rf out/small.part
  "$thinkvla" init-checkpoint --size small out/small.part
  mv out/small.part out/small
}
step 1/6 "untrained network" out/small/model.safetensors untrained
step 2/6 "frames" out/frames/meta/thinkvla/contact_sheet.png frames out/frames --count 26000 --seed 11 --geometry out/rays
step 3/6 "tower and policy" out/pretrain/policy/step-00004000/model.safetensors \
  "$thinkvla" train config/train/pretrain.yaml --resume
corrections() {  # corrections POLICY OUT SEED: writes under a temporary name until it is complete
  rm -rf "$2.part"
  "$thinkvla" correct "$1" "$2.part" --episodes 50 --seed "$3" --jobs "$jobs"
  mv "$2.part" "$2"
}
# Each round trains on the states of all rounds so far; half of the samples are frames.
policy=out/pretrain/policy/step-00004000
for round in 1 2 3; do
  step 4/6 "corrections $round" "out/corrections$round" \
    corrections "$policy" "out/corrections$round" $((500000 + 20000 * round))
  share=$(awk "BEGIN {print 0.5 / $round}") datasets=""
  for earlier in $(seq "$round"); do
    datasets+="    - {path: out/corrections$earlier, weight: $share}\\n"
  done
  sed -e "s|^base: .*|base: $PWD/config/train/base.yaml|; s|^checkpoint: .*|checkpoint: $policy|; s|^out: .*|out: out/corrected$round|" \
    -e "s|^    - {path: out/corrections1.*|${datasets%\\\\n}|" config/train/correct.yaml > "out/correct$round.yaml"
  step 5/6 "learning from $round rounds" "out/corrected$round/step-00003000/model.safetensors" \
    "$thinkvla" train "out/correct$round.yaml" --resume
  policy=out/corrected$round/step-00003000
done
for task in height container position; do
  step 6/6 "evaluation of $task" "out/eval/$task/eval.md" evaluate "$policy" "$task" 20 900000 "out/eval/$task"
done
