#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts the training.json of a ternary run and of its twin into one result file (DESIGN.md section 7).

usage: twin_result.py TERNARY_RUN TWIN_RUN OUT.json [TRIAL_RUN...]
Trial runs (directories of short trainings that chose the learning rates) are listed beside.
"""

import datetime
import json
import pathlib
import subprocess
import sys

MEMBER = ("family", "parameters", "tokens", "steps", "validation_loss", "validation_tokens",
          "perplexity", "step_ms", "seconds", "peak_rss_bytes", "threads")


def load(run):
    return json.loads((pathlib.Path(run) / "training.json").read_text(encoding="utf-8"))


def member(run):
    summary = load(run)
    return {**{key: summary[key] for key in MEMBER}, "recipe": summary["recipe"]}


def trial(run):
    summary = load(run)
    recipe = summary["recipe"]
    return {"family": summary["family"], "learning_rate": recipe["learning_rate"],
            "batch_size": recipe["batch_size"], "tokens": summary["tokens"],
            "validation_loss": summary["validation_loss"], "perplexity": summary["perplexity"]}


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    ternary, twin = load(sys.argv[1]), load(sys.argv[2])
    dataset = json.loads((pathlib.Path(sys.argv[1]).resolve().parent / ternary["recipe"]["data"] /
                          "dataset.json").read_text(encoding="utf-8")) \
        if not pathlib.Path(ternary["recipe"]["data"]).is_absolute() else {}
    version = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True,
                             text=True, check=False).stdout.strip()
    result = {
        "command": "scripts/train_novel_models.sh CORPUS WORK",
        "version": version,
        "date": datetime.date.today().isoformat(),
        "machine": {"cpu": ternary["cpu"], "memory_bytes": ternary["memory_bytes"]},
        "text": {"name": "english-novels (100 novels, public domain)",
                 "train": {k: dataset.get("train", {}).get(k) for k in ("tokens", "bytes")},
                 "validation": {k: dataset.get("val", {}).get(k)
                                for k in ("tokens", "bytes")}},
        "perplexity_ratio": ternary["perplexity"] / twin["perplexity"],
        "members": [member(sys.argv[1]), member(sys.argv[2])],
        "learning_rate_trials": [trial(run) for run in sys.argv[4:]],
    }
    pathlib.Path(sys.argv[3]).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
