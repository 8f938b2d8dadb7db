#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts the training.json of a ternary run and of its twin into one result file (DESIGN.md section 7).

usage: twin_result.py DATA_DIRECTORY OUT.json TERNARY_RUN TWIN_RUN [TRIAL_RUN...]
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
    recipe = {key: value for key, value in summary["recipe"].items() if key != "data"}
    return {**{key: summary[key] for key in MEMBER}, "recipe": recipe}


def trial(run):
    summary = load(run)
    recipe = summary["recipe"]
    return {"family": summary["family"], "learning_rate": recipe["learning_rate"],
            "batch_size": recipe["batch_size"], "tokens": summary["tokens"],
            "validation_loss": summary["validation_loss"], "perplexity": summary["perplexity"]}


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    data, out, ternary_run, twin_run = sys.argv[1:5]
    ternary, twin = load(ternary_run), load(twin_run)
    dataset = json.loads((pathlib.Path(data) / "dataset.json").read_text(encoding="utf-8"))
    version = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True,
                             text=True, check=False).stdout.strip()
    result = {
        "command": "scripts/train_novel_models.sh CORPUS WORK",
        "version": version,
        "date": datetime.date.today().isoformat(),
        "machine": {"cpu": ternary["cpu"], "memory_bytes": ternary["memory_bytes"]},
        "text": {"name": "english-novels (100 novels, public domain)",
                 "train": {k: dataset["train"][k] for k in ("tokens", "bytes")},
                 "validation": {k: dataset["val"][k]
                                for k in ("tokens", "bytes")}},
        "perplexity_ratio": ternary["perplexity"] / twin["perplexity"],
        "members": [member(ternary_run), member(twin_run)],
        "learning_rate_trials": [trial(run) for run in sys.argv[5:]],
    }
    pathlib.Path(out).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
