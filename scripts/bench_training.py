#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The time of a training step of several families at the same shape, in turn, again and again, and
its ratio to that of the first family: the median over the rounds, in each of which the families run
one after the other, and that of the fastest steps, which other programs disturbed least. The first
step of every run is left out: it makes the memory.

usage:
  bench_training.py --tercet build/release/bin/tercet --data data/ --out result.json \\
      --run '30m --batch-size 8' --run '125m --batch-size 2'
"""

import argparse
import datetime
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile

QUIET = ["--warmup-steps", "1", "--eval-every", "0", "--sample-every", "0",
         "--checkpoint-every", "0"]


def train(tercet, data, preset, family, steps, options):
    with tempfile.TemporaryDirectory(prefix="tercet-step-") as folder:
        run = pathlib.Path(folder) / "run"
        command = [tercet, "pretrain", "--data", data, "--preset", preset, "--family", family,
                   "--steps", str(steps + 1), "--eval-tokens", "4096", "--out", str(run), *QUIET,
                   *options]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            sys.exit(f"{shlex.join(command)} ended with {result.returncode}:\n{result.stderr}")
        log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        summary = json.loads((run / "training.json").read_text())
    tokens = summary["tokens"] / summary["steps"]
    seconds = [tokens / event["tokens_per_second"] for event in log if event["event"] == "step"]
    return seconds[1:], tokens, summary


def member_result(family, rounds, base_rounds, summary):
    """rounds: the milliseconds of the steps of each round."""
    steps = sorted(step for one in rounds for step in one)
    paired = [statistics.median(one) / statistics.median(base)
              for one, base in zip(rounds, base_rounds, strict=True)]
    return {"family": family, "parameters": summary["parameters"],
            "step_ms": statistics.median(steps), "min": steps[0], "max": steps[-1],
            "ratio": statistics.median(paired),
            "ratio_of_fastest": steps[0] / min(step for one in base_rounds for step in one),
            "peak_rss_bytes": summary["peak_rss_bytes"], "rounds": rounds}


def measure(arguments, run):
    preset, *options = shlex.split(run)
    families = arguments.families.split(",")
    rounds = {family: [] for family in families}
    summaries = {}
    for _ in range(arguments.repetitions):
        for family in families:
            steps, tokens, summaries[family] = train(arguments.tercet, arguments.data, preset,
                                                     family, arguments.steps, options)
            rounds[family].append([1e3 * seconds for seconds in steps])
    members = [member_result(family, rounds[family], rounds[families[0]], summaries[family])
               for family in families]
    return {"preset": preset, "options": options, "tokens_per_step": tokens,
            "threads": summaries[families[0]]["threads"], "cpu": summaries[families[0]]["cpu"],
            "members": members}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tercet", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--run", action="append", required=True, metavar="'PRESET OPTIONS'")
    parser.add_argument("--families", default="llama,b1.58,b1")
    parser.add_argument("--steps", type=int, default=3, help="timed steps of each run")
    parser.add_argument("--repetitions", type=int, default=4)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    version = subprocess.run([arguments.tercet, "--version"], capture_output=True, text=True,
                             check=True).stdout.strip()
    document = {
        "command": "scripts/bench_training.py " + shlex.join(sys.argv[1:]),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "version": version,
        "machine": {"cores": os.cpu_count()},
        "results": [measure(arguments, run) for run in arguments.run],
    }
    with open(arguments.out, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    for result in document["results"]:
        print(result["preset"], *result["options"])
        for member in result["members"]:
            print(f"  {member['family']:6} {member['step_ms']:8.0f} ms "
                  f"({member['min']:.0f}-{member['max']:.0f})  ratio {member['ratio']:.3f}, "
                  f"of the fastest {member['ratio_of_fastest']:.3f}  "
                  f"{member['peak_rss_bytes'] / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
