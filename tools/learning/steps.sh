# Source this in bash: steps that are skipped where their result exists, for the scripts that make and measure policies.
# Needs `make build`, or the path of another build's program in THINKVLA_PROGRAM. CARGO_BUILD_JOBS sets how many trials
# run and pictures are rendered at the same time; tools/setup/jobs.sh derives it from cores and memory.
# shellcheck shell=bash
# shellcheck source=tools/env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
thinkvla=${THINKVLA_PROGRAM:-$CARGO_TARGET_DIR/release/thinkvla}
jobs=$CARGO_BUILD_JOBS
# Two teams of OpenMP threads that wait actively on two cores are several times as slow.
export OMP_WAIT_POLICY=passive
[[ -x $thinkvla ]] || { echo "expected $thinkvla, found none; run make build first" >&2; exit 1; }
# Bash starts commands in the background with Ctrl-C ignored, so they get SIGTERM instead. None may outlive the script: the
# next call writes to the same folders.
trap 'trap "" TERM; kill -TERM 0; exit 130' INT TERM HUP

step() { # step NUMBER WHAT RESULT COMMAND...: runs the command unless the file or folder RESULT exists
  local number=$1 what=$2 result=$3 begun=$SECONDS
  shift 3
  if [[ -e $result ]]; then
    echo "[$number] $what: done already"
    return
  fi
  echo "[$number] $what"
  "$@"
  [[ -e $result ]] || { echo "[$number] $what: expected $result afterwards, found none" >&2; return 1; }
  echo "[$number] $what: $((SECONDS - begun)) s; $((SECONDS / 60)) min since the start"
}

side_by_side() { # side_by_side FUNCTION FUNCTION: runs both at the same time; fails when one does, after both have ended
  local first second status=0
  "$1" &
  first=$!
  "$2" &
  second=$!
  wait "$first" || status=$?
  wait "$second" || status=$?
  return "$status"
}

same_call() { # same_call FILE WORD...: refuses to continue with results of other arguments than FILE says
  local file=$1 now
  shift
  now=$(printf '%s\n' "$@")
  mkdir -p "$(dirname "$file")"
  [[ -e $file ]] || echo "$now" >"$file"
  [[ $now == "$(<"$file")" ]] && return
  { echo "$file: expected the arguments of the call that began here:"
    diff "$file" <(echo "$now") || true
    echo "give another folder, or remove this one"; } >&2
  return 1
}

hash_of() { # hash_of CHECKPOINT: the SHA-256 of its weights
  compgen -G "$1/*.safetensors" >/dev/null || { echo "$1: expected a checkpoint with *.safetensors, found none" >&2; return 1; }
  cat "$1"/*.safetensors | sha256sum | cut -d ' ' -f 1
}

# Mesa's software renderer has crashed twice in 62 000 frames; another call continues after the frames written so far.
frames() { # frames OUT ARGUMENT...
  local attempt
  for attempt in 1 2 3; do
    "$thinkvla" frames "$@" --jobs "$jobs" && return
    echo "frames: attempt $attempt of 3 ended early" >&2
  done
  return 1
}

evaluate() { # evaluate CHECKPOINT TASK EPISODES SEED OUT ARGUMENT...: OUT/eval.json and, last, OUT/eval.md; continues
  local checkpoint=$1 task=$2 episodes=$3 seed=$4 out=$5
  shift 5
  mkdir -p "$(dirname "$out")"
  "$thinkvla" eval --checkpoint "$checkpoint" --task "$task" --episodes "$episodes" --seed "$seed" --replan-steps 3 \
    --threads 1 --videos 0 --jobs "$jobs" --out "$out" "$@" >"$out.log" 2>&1 && return
  tail -n 20 "$out.log" >&2
  return 1
}

results_in() { # results_in FOLDER NAME: says how the results are kept in the repository
  echo "results: $1"
  echo "keep them: rm -rf $THINKVLA_ROOT/docs/results/$2 && cp -r $1 $THINKVLA_ROOT/docs/results/$2"
}
