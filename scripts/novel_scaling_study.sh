#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The twin experiment at several sizes: full precision, b1.58 and b1 on the same 16.4 M tokens of the
# English novels, two trainings at a time on a thread each. Continues where it was stopped.
#
# usage: novel_scaling_study.sh TERCET DATA OUT [PRESET...]
# DATA: as scripts/train_novel_models.sh builds it. Takes hours.
set -euo pipefail
tercet=$1 data=$2 out=$3
shift 3
[ $# -gt 0 ] || set -- 1m 3m 8m
mkdir -p "$out"

for preset in "$@"; do
  study=$out/$preset
  [ -e "$study/twin.json" ] && continue
  if [ -e "$study/study.json" ]; then
    "$tercet" twin --out "$study" --resume --parallel 2
  else
    "$tercet" twin --preset "$preset" --data "$data" --out "$study" --parallel 2 --threads 1 \
      --batch-size 32 --sequence-length 256 --steps 2000 --warmup-steps 120 \
      --eval-every 250 --eval-tokens 131072 --sample-every 0 --checkpoint-every 100
  fi
done
"$tercet" scaling --runs "${@/#/$out/}" --out "$out/scaling"
