# Source this in bash after steps.sh: demonstrations of a task in blocks, and trainings on the first so many of them.
# shellcheck shell=bash
# shellcheck disable=SC2154 # steps.sh sets thinkvla
# Episodes of each block: the first one has 10, the first two 25, then 50, 100 and 200.
blocks=(10 15 25 50 100)

block() { # block TASK FOLDER NUMBER: collects block NUMBER, from 1 on, into FOLDER/block-NUMBER
  local out=$2/block-$3 episodes=${blocks[$3 - 1]} seed=$((1000 * $3))
  rm -rf "$out.part"
  "$thinkvla" collect --task "$1" --episodes "$episodes" --seed "$seed" --out "$out.part" >"$out.log" 2>&1 || {
    tail -n 20 "$out.log" >&2
    return 1
  }
  mv "$out.part" "$out"
}

# The seeds of both trainings are the same, so each step draws the same rows.
train_on() { # train_on CONFIGURATION CHECKPOINT FOLDER COUNT OUT: trains on the first COUNT demonstrations of FOLDER
  local configuration=$1 checkpoint=$2 folder=$3 count=$4 out=$5 total=0 number=0
  {
    echo "base: $THINKVLA_ROOT/config/train/$configuration.yaml"
    echo "checkpoint: $checkpoint"
    echo "out: $out"
    echo "data:"
    echo "  datasets:"
    while ((total < count)); do
      echo "    - {path: $folder/block-$((number + 1)), weight: ${blocks[number]}}"
      total=$((total + blocks[number]))
      number=$((number + 1))
    done
  } >"$out.yaml"
  "$thinkvla" train "$out.yaml" --resume >>"$out.log" 2>&1 || {
    tail -n 20 "$out.log" >&2
    return 1
  }
}

untrained() { # untrained OUT: the vision tower of the shipped policy, which knows no task; everything else is drawn
  rm -rf "$1.part"
  "$thinkvla" init-checkpoint "$1.part" --size small --seed 1 --from "$THINKVLA_ROOT/checkpoints/small" \
    --modules model.visual.patch_embed,model.visual.pos_embed,model.visual.blocks
  mv "$1.part" "$1"
}
