#!/usr/bin/env bash
# compare_behaviour.sh BINARIES_A BINARIES_B [OUT]: runs the same small commands with the `thinkvla` of two revisions, and
# compares everything they write and print byte by byte. Exit code 0: no difference; 1: something differs, or a command
# failed; 2: the comparison could not be made. Takes minutes on two cores; what was written stays in OUT, or in a new
# folder below /tmp. tools/check/compare_folders.py states what is left out: times, and names of machines.
#
# The binaries need the features torch, ros and sim. Those of another revision come from a worktree of it:
#
#   git worktree add ../before REVISION
#   (cd ../before && unset CARGO_TARGET_DIR && make interfaces && . tools/env.sh &&
#     cargo build --bin thinkvla --features "$THINKVLA_FEATURES")
#   . tools/env.sh && cargo build --bin thinkvla --features "$THINKVLA_FEATURES"
#   tools/compare_behaviour.sh ../before/target/debug "$CARGO_TARGET_DIR/debug"
#
# Both get the same files: checkpoints and cases of this checkout, and training configurations that are written here. So
# it does not matter where a revision keeps its own.
set -euo pipefail
# shellcheck source=tools/env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

if (($# < 2 || $# > 3)); then
  sed -n '2,5s/^# \?//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
sides=(a b)
declare -A folder
for side in "${sides[@]}"; do
  [[ -x $1/thinkvla ]] || { echo "$1: expected a folder with the program thinkvla, found none" >&2; exit 2; }
  folder[$side]=$(cd "$1" && pwd)
  shift
done
[[ -e $THINKVLA_TOKENIZER ]] || { echo "$THINKVLA_TOKENIZER is missing; run tools/setup.sh" >&2; exit 2; }
if [[ -n ${1:-} ]]; then
  mkdir -p "$1"
  [[ -z $(ls -A "$1") ]] || { echo "$1: expected an empty folder, found files" >&2; exit 2; }
  out=$(cd "$1" && pwd)
else
  out=$(mktemp -d /tmp/compare_behaviour-XXXXXX)
fi
# One thread, so that sums are always added up in the same order.
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
unset RUST_LOG

# --- the commands -----------------------------------------------------------------------------------------------------
run() { # run NAME ARGUMENT...: what the command prints goes into printed/NAME.txt
  local name=$1 status=0
  shift
  "$program" "$@" >"printed/$name.txt" 2>"$logs/$name.txt" </dev/null || status=$?
  echo "$status" >"printed/$name.exit"
  ((status == 0)) && return
  failures=$((failures + 1))
  echo "$side: exit code $status of thinkvla $*; see $logs/$name.txt" >&2
}

init() { # init NAME OPTION...: an untrained checkpoint in checkpoints/NAME
  local name=$1
  shift
  run "init_$name" init-checkpoint "checkpoints/$name" --size small --seed 7 "$@"
}

train() { # train NAME SETTING...: five steps into runs/NAME, with these settings over those of all runs
  local name=$1
  shift
  printf '%s\n' 'base: common.yaml' "out: runs/$name" "$@" >"configs/$name.yaml"
  run "train_$name" train "configs/$name.yaml"
}

checkpoints() {
  init small
  init baseline --baseline
  init joint8 --action-space joint8
  init state_in_prompt --proprio text
  init state_projected --proprio projected
  init two_anchors --anchors 2
  init gate --set reasoning.fusion=gate --set geometry.pool=attention
  init cross_attention --set reasoning.fusion=cross_attention --set geometry.pool=adaptive
  run convert_from_hf convert inputs/reference/deep/checkpoint converted/from_hf --to thinkvla --seed 5
  run convert_to_hf convert converted/from_hf converted/to_hf --to hf
  run convert_from_starvla convert inputs/reference/starvla/run converted/from_starvla --to thinkvla
  run convert_to_starvla convert converted/from_starvla converted/to_starvla --to starvla
  run check check inputs/small --coverage
  run parity_deep parity --checkpoint inputs/reference/deep/checkpoint inputs/reference/deep/*.safetensors
  run parity_vggt parity --vggt inputs/vggt_tiny_square.safetensors
  run ask ask inputs/scene.jpg "What is on the table?" --checkpoint inputs/small --max-tokens 8 --threads 1
  run ask_drawn ask inputs/scene.jpg "What is on the table?" --checkpoint inputs/small --max-tokens 8 --threads 1 \
    --temperature 0.8 --top-k 20 --seed 3
}

data() {
  run simulate simulate --task position --seeds 0..1
  run frames frames frames --count 24 --seed 11 --geometry rays
  run questions questions questions --count 24 --seed 3 --wrist
  run collect collect --task container --episodes 2 --out data/container
  run collect_png collect --task height --episodes 1 --images png --out data/height
  run dataset_info dataset info data/container
  run dataset_verify dataset verify data/container
  run dataset_stats dataset stats data/container
  run dataset_relabel dataset relabel data/container --task "put the block into the box" --out data/relabelled
  run dataset_merge dataset merge data/container data/relabelled --out data/merged
  run dataset_delete dataset delete data/merged 1 --out data/deleted
  run dataset_split dataset split data/merged --at 1 --out data/first data/second
  run dataset_repair dataset repair data/container --dry-run
  run dataset_plot dataset plot data/container --out plots
  run dataset_export dataset export data/container --out recordings
  run dataset_import dataset import recordings/episode-000000.mcap --into data/imported --contract data/container \
    --vector observation.state --vector action --camera top --camera wrist --task "put the block into the box"
  run dataset_encode dataset encode data/first --out data/encoded
  run dataset_verify_video dataset verify data/encoded --deep
}

trainings() {
  cat >configs/common.yaml <<'YAML'
checkpoint: checkpoints/small
steps: 5
device: cpu
compute: float32
threads: 1
method: {geometry_weight: 0, distill: none}
schedule: {warmup_steps: 2}
optimiser: {learning_rates: {base: 1.0e-3, qwen_vl_interface: 1.0e-3, action_model: 1.0e-3}}
data: {datasets: [{path: frames}], batch: 2, workers: 1}
validation: {share: 0.2, every_steps: 5, batches: 1}
checkpoints: {every_steps: 5, every_minutes: 0, keep: 1}
YAML
  train plain ''
  train anchor 'method: {distill: anchor}' 'data: {drop_geometry: 0.2, drop_reasoning: 0.2}'
  train geometry 'method: {geometry_weight: 0.5}' 'geometry: {points: true, classes: true, cache: rays}'
  train baseline 'network: {geometry: null, reasoning: null}'
  train gate 'network: {reasoning.fusion: gate}' 'method: {distill: anchor}'
  train cross_attention 'network: {reasoning.fusion: cross_attention}' 'method: {distill: anchor}'
  train task_end 'network: {reasoning.read_at: task_end, reasoning.anchors: []}' 'method: {distill: anchor}'
  train no_adapter 'network: {reasoning.adapter: false}'
  train privileged 'network: {reasoning: null}' 'method: {distill: privileged, privileged_every: 2, privileged_tokens: 4}'
  train text 'text: {sources: [{path: questions/train.json, images: questions}], batch: 2}'
  train lora 'selection: {train: lora, rank: 4, alpha: 8, modules: [q_proj, v_proj]}'
  train added 'selection: {train: added}'
  train mean_of_weights 'compute: bfloat16' 'optimiser: {clip: per_group, ema: 0.9}' 'data: {accumulate: 2}'
  train recorded 'data: {datasets: [{path: data/container}]}' 'validation: {share: 0}'
  run train_first_steps train configs/plain.yaml --out runs/resumed --max-steps 3
  run train_resumed train configs/plain.yaml --out runs/resumed --resume
}

evaluations() {
  run eval_expert eval --checkpoint expert --task height --episodes 1 --videos 0 --out eval/expert
  run eval_policy eval --checkpoint inputs/small --task height --episodes 1 --threads 1 --videos 1 --time-limit 6 \
    --out eval/policy
  run eval_rows eval --checkpoint inputs/small --dataset frames --rows 4 --threads 1 --out eval/rows
  run correct correct inputs/small corrections --tasks height --episodes 1 --time-limit 5
  run diagnose diagnose inputs/small --frames 2 --out diagnosis.json
}

all_commands() { # all_commands SIDE: the number of failed commands into OUT/SIDE.failures
  side=$1 program=${folder[$1]}/thinkvla logs=$out/$1.logs failures=0
  mkdir -p "$out/$side" "$logs"
  cd "$out/$side"
  # Libraries of the messages that the program was built with.
  local stage=${folder[$side]%/*}/ros
  if [[ -e $stage/lib ]]; then
    export LD_LIBRARY_PATH=$stage/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export AMENT_PREFIX_PATH=$stage${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}
  fi
  mkdir -p printed configs checkpoints converted data runs inputs/reference
  cp -r "$THINKVLA_ROOT/checkpoints/small" "$THINKVLA_ROOT/tests/data/scene.jpg" \
    "$THINKVLA_ROOT/tests/data/vggt/vggt_tiny_square.safetensors" inputs/
  cp -r "$THINKVLA_ROOT"/tests/data/reference/{deep,starvla} inputs/reference/
  echo "$side: checkpoints"
  checkpoints
  echo "$side: datasets, after $SECONDS s"
  data
  echo "$side: trainings, after $SECONDS s"
  trainings
  echo "$side: evaluations, after $SECONDS s"
  evaluations
  echo "$side: done after $SECONDS s"
  echo "$failures" >"$out/$side.failures"
}

for side in "${sides[@]}"; do
  all_commands "$side" &
done
wait

failed=0
for side in "${sides[@]}"; do
  [[ -e $out/$side.failures ]] || { echo "$side: the commands did not come to their end" >&2; exit 2; }
  [[ $(<"$out/$side.failures") == 0 ]] || failed=1
done
"$THINKVLA_PYTHON" "$THINKVLA_ROOT/tools/check/compare_folders.py" "$out/a" "$out/b" || failed=1
echo "written files: $out"
exit $failed
