#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes models/novel-b158.gguf and models/novel-f16.gguf again, from the corpus of models/README.md:
#   scripts/train_novel_models.sh CORPUS_DIRECTORY WORK_DIRECTORY
# Two trainings of one thread each run side by side, about an hour on two cores.
set -euo pipefail

corpus=$(realpath "$1")
work=$2
root=$(cd "$(dirname "$0")/.." && pwd)
export PATH="$root/build/release/bin:$PATH"

mkdir -p "$work"
cd "$work"
[ -e tok/tokenizer.model ] || tercet tokenizer train "$corpus" --vocab-size 4096 --out tok
[ -e data/dataset.json ] ||
  tercet data build "$corpus" --tokenizer tok --validation-fraction 0.03 --out data

# One thread each, side by side; a study that was stopped goes on.
if [ -e study/study.json ]; then
  tercet twin --out study --resume
else
  tercet twin --config "$root/models/recipes/novel-f16.json" \
    --config "$root/models/recipes/novel-b158.json" --data data --parallel 2 --out study
fi

tercet convert study/b1.58 "$root/models/novel-b158.gguf" --type tq2_0 --rest-type f16 --verify
tercet convert study/llama "$root/models/novel-f16.gguf" --type f16 --verify
