#!/usr/bin/env bash
# reliability.sh ROW [N]: measures one claim of docs/reliability.md, with N trials where the row can be repeated, and
# ends with one line "row, claim, N, result". reliability.sh --list shows the rows.
#
# N of rows 19, 20, 26 and 27 is a time in seconds. Rows 26 and 27 leave their reports in $THINKVLA_REPORT, or else in
# out/reliability.
#
# Rows over ROS take the binaries in $THINKVLA_BIN, or else the release build in the Cargo target folder.
set -euo pipefail
# shellcheck source=tools/env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
[[ -z ${THINKVLA_REPORT:-} ]] || THINKVLA_REPORT=$(realpath -m "$THINKVLA_REPORT")
cd "$THINKVLA_ROOT"

# row|claim|N when none is given; 0 where a row cannot be repeated
rows='1|a malformed image never panics|1000000
2|malformed checkpoint, configuration and dataset files never panic|100000
3|no NaN or infinity reaches the arm|10000
4|no command leaves outside a limit|10000
5|a lost camera brings the arm to rest|20
6|a dead policy brings the arm to rest|20
7|a signal to arm_node sends the stop|20
8|a stale observation is refused|0
9|the first command is where the arm is|0
10|kill -9 while recording loses no saved episode|12
11|a full disk, torn writes and a loss of power leave a dataset that opens|0
12|a checkpoint is written whole or not at all|0
13|a resumed run is the run without interruption|0
14|the same inputs give the same chunks|3
15|the fast way of execution computes what the plain one does|0
16|the network computes what the reference computes|0
17|nothing normalised reaches the arm|0
18|a camera that is not that of the training data is refused|0
19|no frame is lost while recording|600
20|memory and latency stay where they are|600
21|no pickle is run, and no node listens beyond its middleware|0
22|no dependency has a known vulnerability or a licence that is not allowed|0
23|SROS2 allows each node what it needs and nothing else|0
24|sanitizers find nothing|100000
25|no sequence of inputs moves an arm that must not move|10000
26|whatever nodes are sent, no command breaks a limit and no node ends|60
27|hours of driving with a fault a minute break no limit and always go on|3600'

usage() {
  sed -n '2,8s/^# \?//p' "${BASH_SOURCE[0]}"
  printf '\n%4s  %-77s %s\n' row claim 'N when none is given'
  while IFS='|' read -r number what count; do
    ((count)) || count=fixed
    printf '%4s  %-77s %s\n' "$number" "$what" "$count"
  done <<<"$rows"
}
case ${1:-} in
  '') usage >&2; exit 2 ;;
  -h | --help | --list) usage; exit ;;
esac
row=$1
IFS='|' read -r _ claim default < <(grep "^$row|" <<<"$rows") || { echo "no row $row: expected 1 to 27" >&2; exit 2; }
n=${2:-$default}
[[ $n =~ ^[0-9]+$ ]] || { echo "N: expected a whole number, found $n" >&2; exit 2; }
if ((default == 0)) && [[ -n ${2:-} ]]; then
  echo "row $row cannot be repeated with another N; run it without" >&2
  exit 2
fi
((n)) || n=fixed

release=${THINKVLA_BIN:-$CARGO_TARGET_DIR/release}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

rust() { # rust FEATURES ARGUMENT...: tests of cargo nextest
  local features=$1
  shift
  cargo nextest run --no-capture ${features:+--features "$features"} "$@"
}
over_ros() { # over_ros ARGUMENT...: tests of pytest
  THINKVLA_BIN=$release "$THINKVLA_PYTHON" -m pytest -q -s "$@" </dev/null
}
fuzz() { # fuzz TARGET...: N inputs to each, address sanitizer on
  cargo fuzz --version >/dev/null 2>&1 || { echo "missing: cargo-fuzz; run: cargo install --locked cargo-fuzz" >&2; return 1; }
  local target
  for target; do
    RUSTC_BOOTSTRAP=1 cargo fuzz run --features torch "$target" -- "-runs=$n" || return
  done
}
thread_sanitizer() { # work that threads share; the standard library is built anew, or the sanitizer does not see its locks
  local sources host
  sources=$(rustc --print sysroot)/lib/rustlib/src/rust/library
  if [[ ! -d $sources ]]; then
    echo "measured: thread sanitizer not run, $sources is missing: rustup component add rust-src"
    return
  fi
  host=$(rustc -vV | sed -n 's/^host: //p')
  RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=thread CARGO_TARGET_DIR=$CARGO_TARGET_DIR/thread_sanitizer \
    cargo nextest run -Zbuild-std --target "$host" --no-capture --lib -E 'test(parallel::)'
}
undefined_behaviour() { # modules without system calls; Miri needs a nightly toolchain
  if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "measured: Miri not run, it is missing: rustup +nightly component add miri rust-src"
    return
  fi
  CARGO_TARGET_DIR=$CARGO_TARGET_DIR/miri PROPTEST_CASES=4 MIRIFLAGS=-Zmiri-disable-isolation \
    cargo +nightly miri test --lib -- control::chunk control::lease control::liveness control::event control::gate::brake parallel
}
report_folder() {
  local folder=${THINKVLA_REPORT:-out/reliability}
  mkdir -p "$folder"
  realpath "$folder"
}
command_line() { "$release/thinkvla" "$@"; }
file_targets=(dataset_info dataset_episodes dataset_rows dataset_lines mp4 bag recording torch_save safetensors starvla)
measure() {
  case $row in
    1) fuzz image_view decode ;;
    2)
      fuzz "${file_targets[@]}" &&
        rust torch,ros,sim --test network -E 'test(truncated) + test(impossible_field) + test(misspelt)'
      ;;
    3)
      PROPTEST_CASES=$n rust '' --test gate -E 'test(hundred_thousand_commands)' &&
        rust '' --test safety -E 'test(no_number) + test(no_state_and_no_chunk)' &&
        rust torch,ros,sim --test network -E 'test(no_numbers)'
      ;;
    4) PROPTEST_CASES=$n rust '' --test gate -E 'test(hundred_thousand_commands)' ;;
    5) THINKVLA_REPEATS=$n over_ros tests/ros/test_reactions.py -k camera ;;
    6)
      rust '' --test safety -E 'test(a_dead_policy_is_braked_within_100_ms)' &&
        command_line latency --samples 20 --ends "$n" --out "$out/latency"
      ;;
    7) THINKVLA_REPEATS=$n over_ros tests/ros/test_reactions.py -k signal ;;
    8)
      rust '' --test safety -E 'test(late_stale_misordered) + test(clock_that_goes_back)' &&
        over_ros tests/ros/test_arm_safety.py -k a_chunk_that_cannot_work
      ;;
    9)
      rust '' --test safety --test executor \
        -E 'test(first_command) + test(moved_by_hand) + test(push_while_holding) + test(close_to_its_limit) + test(first_tick_is_late)'
      ;;
    10) THINKVLA_KILLS=$n rust '' --test recorder_kill9 ;;
    11) rust '' --test disk_faults ;;
    12)
      rust torch,ros,sim --test train_run --test network \
        -E 'test(disk_full_at_a_checkpoint) + test(two_hundred_steps) + test(never_overwritten) + test(hash_names)'
      ;;
    13)
      rust torch,ros,sim --test train_run \
        -E 'test(two_hundred_steps) + test(to_the_bit) + test(interrupted_run) + test(told_to_terminate)'
      ;;
    14)
      local i
      for i in 1 2; do
        command_line eval --checkpoint checkpoints/small --task container --episodes "$n" --threads 1 --videos 0 \
          --out "$out/$i" || return
      done
      cmp "$out/1/trials.jsonl" "$out/2/trials.jsonl"
      ;;
    15) rust torch,ros,sim --test network -E 'test(packed_weights) + test(cached_step)' ;;
    16)
      local checkpoint cases
      for checkpoint in tests/data/reference/*/checkpoint; do
        mapfile -t cases < <(find "$(dirname "$checkpoint")" -maxdepth 1 -name '*.safetensors' ! -name generation.safetensors)
        command_line parity --checkpoint "$checkpoint" "${cases[@]}" || return
      done
      command_line parity --vggt tests/data/vggt/*.safetensors
      ;;
    17)
      rust '' --test contract -E 'test(statistics)' &&
        rust torch,ros,sim --test network -E 'test(statistics) + test(quantiles) + test(never_moved)'
      ;;
    18)
      rust '' --test contract -E 'test(different_robot) + test(camera_rate)' &&
        over_ros tests/ros/test_policy_cameras.py -k 'another or missing'
      ;;
    19 | 20) command_line soak --seconds "$n" --out "$out/soak" ;;
    21)
      over_ros tests/ros/test_listeners.py && rust torch,ros,sim --test network -E 'test(pickle) + test(names_of_anything_else_than_tensors)'
      ;;
    22) cargo deny check ;;
    23) over_ros tests/ros/test_sros2_policies.py ;;
    24) thread_sanitizer && undefined_behaviour && fuzz image_view decode "${file_targets[@]}" ;;
    25) PROPTEST_CASES=$n rust '' --cargo-profile release --test supervisor_model ;;
    26) THINKVLA_FUZZ_S=$n THINKVLA_REPORT=$(report_folder) over_ros tests/ros/test_node_fuzz.py ;;
    27) THINKVLA_SOAK_S=$n THINKVLA_REPORT=$(report_folder) over_ros tests/ros/test_fault_soak.py ;;
  esac
}

result=passed
measure 2>&1 | tee "$out/output" || result=FAILED
# measurements printed by tests and commands
figures=$(grep -hE '^measured: |^[0-9]+ kills: |^[0-9]+ of [0-9]+ tensors|^[0-9]+ rows; |^kill -9 of policy_node|^\| kill -9|^Done [0-9]+ runs|calls to the disk' \
  "$out/output" | sort -u | paste -sd ';' || true)
echo "$row, $claim, $n, $result${figures:+: $figures}"
[[ $result == passed ]]
