#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs `tercet bench` with several sets of options in turn, again and again, and writes all runs
with their medians as JSON: formats, batches or thread counts of one machine whose speed changes
from minute to minute can only be compared so.

usage:
  bench_runs.py --tercet build/release/bin/tercet --repetitions 5 --out result.json \\
      --run 'trit5=/tmp/2b4t-trit5.gguf -p 0 -n 48 -t 2' --run 'trit4=/tmp/2b4t-trit4.gguf -p 0 -n 48 -t 2'
"""

import argparse
import collections
import datetime
import json
import os
import shlex
import statistics
import subprocess
import sys

FIGURES = ("pp_tokens_per_s", "tg_tokens_per_s", "memory_gb_per_s", "bandwidth_share", "dot_share")


def bench(tercet, options):
    command = [tercet, "bench", *shlex.split(options), "-r", "1", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{shlex.join(command)} ended with {result.returncode}:\n{result.stderr}")
    return json.loads(result.stdout)


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values),
            "runs": values}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tercet", required=True)
    parser.add_argument("--run", action="append", required=True, metavar="NAME=OPTIONS")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    runs = dict(run.split("=", 1) for run in arguments.run)
    figures = {name: collections.defaultdict(list) for name in runs}
    for _ in range(arguments.repetitions):
        for name, options in runs.items():
            report = bench(arguments.tercet, options)
            for result in report["results"]:
                for figure in FIGURES:
                    if figure in result:
                        key = f"{figure}, {result['threads']} threads"
                        figures[name][key].append(result[figure]["median"])
            for figure in ("load_seconds", "peak_rss_bytes"):
                figures[name][figure].append(report[figure])
    document = {
        "command": "scripts/bench_runs.py " + shlex.join(sys.argv[1:]),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "version": report["version"],
        "machine": {"cpu": report["cpu"], "isa": report["isa"], "cores": os.cpu_count()},
        "results": [{"name": name, "options": runs[name],
                     **{key: spread(values) for key, values in figures[name].items()}}
                    for name in runs],
    }
    with open(arguments.out, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    for result in document["results"]:
        print(result["name"], *(f"{key} {value['median']:.4g} ({value['min']:.4g}-{value['max']:.4g})"
                                for key, value in result.items() if isinstance(value, dict)),
              sep="\n  ")


if __name__ == "__main__":
    main()
