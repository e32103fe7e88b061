#!/usr/bin/env bash
# leave_one_task_out.sh TASK OUT: what a base that has never seen demonstrations of TASK does in it: without any, after 100
# of them, and what the same 100 teach without the base. The table is in OUT/TASK/results. 22 minutes on two quiet cores,
# by estimate; calls for other tasks with the same OUT share frames. Existing results are kept, so an interrupted call
# continues.
#
# The vision tower of all of them is that of checkpoints/small, left as it is. It has learned what rays of pictures meet,
# in scenes of all three tasks, and no actions. Everything else of the base is drawn and learns from frames of the two
# other tasks and of pointing, whose scenes are of all three. THINKVLA_DEMONSTRATIONS names a folder of demonstrations
# to share with tools/demonstrations_curve.sh, OUT/demonstrations unless set. EPISODES (30) is the number of trials.
set -euo pipefail
if (($# != 2)) || [[ ! $1 =~ ^(height|container|position)$ ]]; then
  sed -n '2,5s/^# \?//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
task=$1 out=$(realpath -m "$2") episodes=${EPISODES:-30} seed=950000
demonstrations=$(realpath -m "${THINKVLA_DEMONSTRATIONS:-$2/demonstrations}")/$task
# shellcheck source=tools/learning/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/learning/steps.sh"
# shellcheck source=tools/learning/demonstrations.sh
. "$(dirname "${BASH_SOURCE[0]}")/learning/demonstrations.sh"
own=$out/$task start=$out/start
tower=$(hash_of "$THINKVLA_ROOT/checkpoints/small")
same_call "$out/call.txt" tower "$tower" # what the tasks share
same_call "$own/call.txt" leave_one_task_out "$task" "$tower" "$episodes"
mkdir -p "$demonstrations"
base=$own/base/step-00002500 tuned=$own/tuned/step-00000800 alone=$own/alone/step-00000800

step 1/6 "network with the tower alone" "$start/model.safetensors" untrained "$start"
mixture=""
all=(height container position)
for number in 0 1 2; do
  other=${all[number]}
  [[ $other != "$task" ]] || continue
  step 2/6 "frames of $other" "$out/frames/$other/meta/thinkvla/contact_sheet.png" \
    frames "$out/frames/$other" --tasks "$other" --count 5000 --seed "$((31 + number))"
  mixture+="    - {path: $out/frames/$other}"$'\n'
done

train_base() {
  printf '%s\n' "base: $THINKVLA_ROOT/config/train/other_tasks.yaml" "checkpoint: $start" "out: $own/base" "data:" \
    "  datasets:" "${mixture%$'\n'}" >"$own/base.yaml"
  "$thinkvla" train "$own/base.yaml" --resume >>"$own/base.log" 2>&1 && return
  tail -n 20 "$own/base.log" >&2
  return 1
}
learn_base() {
  step 3/6 "base without $task" "$base/model.safetensors" train_base
}
collect_demonstrations() {
  for number in 1 2 3 4; do
    step 3/6 "demonstrations of $task, ${blocks[number - 1]} more" "$demonstrations/block-$number" \
      block "$task" "$demonstrations" "$number"
  done
}
side_by_side learn_base collect_demonstrations

tune_base() {
  step 4/6 "base + 100" "$tuned/model.safetensors" train_on demonstrations "$base" "$demonstrations" 100 "$own/tuned"
}
learn_alone() {
  step 4/6 "100 alone" "$alone/model.safetensors" train_on demonstrations_alone "$start" "$demonstrations" 100 "$own/alone"
}
side_by_side tune_base learn_alone

evaluated() { # evaluated CHECKPOINT NAME
  step 5/6 "trials, $2" "$own/eval/$2/eval.md" evaluate "$1" "$task" "$episodes" "$seed" "$own/eval/$2"
}
evaluated expert expert
evaluated "$base" base
evaluated "$tuned" tuned
evaluated "$alone" alone
echo "[6/6] table"
"$THINKVLA_PYTHON" "$THINKVLA_ROOT/tools/learning/summary.py" "$own/results" \
  "$task left out of the base; seeds from $seed on, 100 ms latency, a chunk every three steps, 20 s a trial" \
  "$own/eval/expert" "base without $task=$own/eval/base" "that base, and 100 demonstrations=$own/eval/tuned" \
  "100 demonstrations, tower alone=$own/eval/alone"
results_in "$own/results" "without_$task"
