#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the fuzzers (clang, libFuzzer, address and undefined-behaviour sanitizers) and runs them.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
usage: scripts/fuzz.sh [--merge] [TARGET...]      (default: every target)

Runs each target for FUZZ_SECONDS (20), FUZZ_JOBS (one per core) at a time, from fuzz/corpus/TARGET
and what earlier runs found in build/fuzz/corpus/TARGET. A fault ends with its log and the input.
  --merge   instead of fuzzing, add to fuzz/corpus what earlier runs found and covers new code
TEXT
}

build=build/fuzz
seconds=${FUZZ_SECONDS:-20}
jobs=${FUZZ_JOBS:-$(nproc)}

dictionary_of() {
  case "$1" in
    gguf*) echo fuzz/dict/gguf.dict ;;
    *json | safetensors) echo fuzz/dict/json.dict ;;
    chat_template) echo fuzz/dict/jinja.dict ;;
  esac
}

# Runs one target; its log ends up in $build/logs. A line for people on stdout.
run_one() {
  local target=$1 log=$build/logs/$1.log dictionary status=0
  mkdir -p "$build/logs" "$build/corpus/$target" "$build/faults"
  dictionary=$(dictionary_of "$target")
  "$build/bin/fuzz_$target" "-max_total_time=$seconds" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 "-artifact_prefix=$build/faults/$target-" \
    ${dictionary:+"-dict=$dictionary"} \
    "$build/corpus/$target" "fuzz/corpus/$target" > "$log" 2>&1 || status=$?
  if [ "$status" -ne 0 ]; then
    tail -n 60 "$log"
    echo "fuzz: $target FAILED, the input lies in $build/faults; see $log"
    return 1
  fi
  awk -v target="$target" '
    / cov: / { for (i = 1; i < NF; ++i) if ($i == "cov:") coverage = $(i + 1) }
    /number_of_executed_units/ { runs = $2 }
    END { printf "fuzz: %-16s %9d runs, %5d edges covered, no fault\n", target, runs, coverage }
  ' "$log"
}

merge_one() {
  local target=$1
  mkdir -p "$build/corpus/$target"
  "$build/bin/fuzz_$target" -merge=1 "fuzz/corpus/$target" "$build/corpus/$target" 2>&1 |
    grep -E 'MERGE-OUTER.*new|^ERROR' || true
}

action=run_one
targets=()
for argument in "$@"; do
  case "$argument" in
    --merge) action=merge_one jobs=1 ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) targets+=("$argument") ;;
  esac
done

scripts/setup.sh --runtime-only --fuzz
cmake -S . -B "$build" -G Ninja -DTERCET_FUZZ=ON \
  -DCMAKE_C_COMPILER=clang-14 -DCMAKE_CXX_COMPILER=clang++-14
cmake --build "$build" --target fuzzers
if [ ${#targets[@]} -eq 0 ]; then
  for folder in fuzz/corpus/*/; do targets+=("$(basename "$folder")"); done
fi

export -f run_one merge_one dictionary_of
export build seconds
printf '%s\n' "${targets[@]}" | xargs -P "$jobs" -I{} bash -c "$action {}"
