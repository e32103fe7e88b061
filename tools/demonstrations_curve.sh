#!/usr/bin/env bash
# demonstrations_curve.sh TASK BASE OUT: success in TASK over the number of demonstrations (10, 25, 50, 100, 200), from the
# checkpoint BASE and from scratch, as a table and a plot in OUT/TASK/results. 40 minutes on two quiet cores, by
# estimate. Existing results are kept, so an interrupted call continues.
#
# From scratch means: the vision tower of checkpoints/small, everything else drawn. Each number contains the demonstrations
# of the smaller ones; all runs take 800 steps. THINKVLA_DEMONSTRATIONS names a folder of demonstrations to share with
# tools/leave_one_task_out.sh, OUT/demonstrations unless set. EPISODES (30) is the number of trials of each run.
set -euo pipefail
if (($# != 3)) || [[ ! $1 =~ ^(height|container|position)$ ]]; then
  sed -n '2,4s/^# \?//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
task=$1
base=$(realpath -e "$2")
out=$(realpath -m "$3") episodes=${EPISODES:-30} seed=950000
demonstrations=$(realpath -m "${THINKVLA_DEMONSTRATIONS:-$3/demonstrations}")/$task
# shellcheck source=tools/learning/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/learning/steps.sh"
# shellcheck source=tools/learning/demonstrations.sh
. "$(dirname "${BASH_SOURCE[0]}")/learning/demonstrations.sh"
own=$out/$task start=$out/start counts=(10 25 50 100 200)
tower=$(hash_of "$THINKVLA_ROOT/checkpoints/small")
same_call "$out/call.txt" tower "$tower" # what the tasks share
hash=$(hash_of "$base")
same_call "$own/call.txt" demonstrations_curve "$task" "$hash" "$tower" "$episodes"
mkdir -p "$demonstrations"

step 1/5 "network with the tower alone" "$start/model.safetensors" untrained "$start"
collect() { # collect NUMBER
  step 2/5 "demonstrations of $task, ${blocks[$1 - 1]} more" "$demonstrations/block-$1" block "$task" "$demonstrations" "$1"
}
first_hundred() {
  for number in 1 2 3 4; do
    collect "$number"
  done
}
second_hundred() {
  collect 5
}
side_by_side first_hundred second_hundred

from_base() {
  for count in "${counts[@]}"; do
    step 3/5 "base + $count" "$own/base-$count/step-00000800/model.safetensors" \
      train_on demonstrations "$base" "$demonstrations" "$count" "$own/base-$count"
  done
}
from_scratch() {
  for count in "${counts[@]}"; do
    step 3/5 "scratch + $count" "$own/scratch-$count/step-00000800/model.safetensors" \
      train_on demonstrations_alone "$start" "$demonstrations" "$count" "$own/scratch-$count"
  done
}
side_by_side from_base from_scratch

evaluated() { # evaluated CHECKPOINT NAME
  step 4/5 "trials, $2" "$own/eval/$2/eval.md" evaluate "$1" "$task" "$episodes" "$seed" "$own/eval/$2"
}
evaluated expert expert
evaluated "$base" base
named=("base=$own/eval/base")
for start_name in base scratch; do
  for count in "${counts[@]}"; do
    evaluated "$own/$start_name-$count/step-00000800" "$start_name-$count"
    named+=("$start_name + $count demonstrations=$own/eval/$start_name-$count")
  done
done
echo "[5/5] table and plot"
"$THINKVLA_PYTHON" "$THINKVLA_ROOT/tools/learning/summary.py" "$own/results" \
  "$task: success over the number of demonstrations ($episodes trials each)" "$own/eval/expert" "${named[@]}"
results_in "$own/results" "demonstrations_$task"
