#!/usr/bin/env bash
# measure_policy.sh CHECKPOINT OUT [EPISODES] [SEED]: how well a policy does the simulated tasks, as one table in
# OUT/results. EPISODES (100) trials of each task at 100 ms latency; three tenths of them at 50, 200 and 400 ms and with
# another episode's cameras; the scripted expert on the same seeds, SEED (940000) and those after it; and a diagnosis.
# With 100 episodes 35 minutes on two quiet cores, by estimate. Existing results are kept, so an interrupted call continues.
set -euo pipefail
if (($# < 2 || $# > 4)); then
  sed -n '2,5s/^# \?//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
checkpoint=$(realpath -e "$1")
out=$(realpath -m "$2") episodes=${3:-100} seed=${4:-940000}
# shellcheck source=tools/learning/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/learning/steps.sh"
# a multiple of the three variations
fewer=$((episodes * 3 / 10))
fewer=$((fewer - fewer % 3))
((fewer >= 3)) || fewer=3
hash=$(hash_of "$checkpoint")
same_call "$out/call.txt" measure_policy "$hash" "$episodes" "$seed"
tasks=(height container position)

for task in "${tasks[@]}"; do
  step 1/5 "expert, $task" "$out/expert/$task/eval.md" evaluate expert "$task" "$episodes" "$seed" "$out/expert/$task"
done
for task in "${tasks[@]}"; do
  step 2/5 "100 ms, $task" "$out/latency-100/$task/eval.md" \
    evaluate "$checkpoint" "$task" "$episodes" "$seed" "$out/latency-100/$task"
done
for latency in 50 200 400; do
  for task in "${tasks[@]}"; do
    step 3/5 "$latency ms, $task" "$out/latency-$latency/$task/eval.md" \
      evaluate "$checkpoint" "$task" "$fewer" "$seed" "$out/latency-$latency/$task" --latency "$latency"
  done
done
for task in "${tasks[@]}"; do
  step 4/5 "another episode's cameras, $task" "$out/shuffled/$task/eval.md" \
    evaluate "$checkpoint" "$task" "$fewer" "$seed" "$out/shuffled/$task" --shuffle-cameras
done
mkdir -p "$out/results"
diagnosis() {
  "$thinkvla" diagnose "$checkpoint" --jobs "$jobs" --out "$out/diagnosis.part" >"$out/diagnosis.md"
  mv "$out/diagnosis.part" "$out/diagnosis.json"
}
step 5/5 "diagnosis" "$out/diagnosis.json" diagnosis

cp "$out/diagnosis.json" "$out/diagnosis.md" "$out/results/"
for task in "${tasks[@]}"; do
  for kind in json md; do
    cp "$out/latency-100/$task/eval.$kind" "$out/results/$task.$kind"
  done
done
"$THINKVLA_PYTHON" "$THINKVLA_ROOT/tools/learning/summary.py" "$out/results" \
  "Seeds from $seed on, a chunk every three steps, 20 s a trial" "$out/expert" "100 ms=$out/latency-100" \
  "50 ms=$out/latency-50" "200 ms=$out/latency-200" "400 ms=$out/latency-400" \
  "100 ms, another episode's cameras=$out/shuffled"
results_in "$out/results" "$(basename "$checkpoint")_policy"
