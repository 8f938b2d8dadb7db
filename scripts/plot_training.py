#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Training curves of one or more runs as a picture (needs gnuplot).

usage: plot_training.py OUT.{svg,png} NAME=RUN_DIRECTORY_OR_LOG...
Draws each run's training loss (a running mean) and validation loss over tokens.
"""

import gzip
import json
import pathlib
import subprocess
import sys
import tempfile


def read_log(path):
    path = pathlib.Path(path)
    if path.is_dir():
        path = path / "log.jsonl"
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        events = [json.loads(line) for line in file]
    steps = [e for e in events if e["event"] == "step"]
    tokens_of = {e["step"]: e["tokens"] for e in steps}
    evals = [(tokens_of[e["step"]], e["validation_loss"]) for e in events
             if e["event"] == "eval" and e["step"] in tokens_of]
    return steps, evals


def running_mean(steps, width):
    points, window = [], []
    for event in steps:
        window.append(event["loss"])
        if len(window) > width:
            window.pop(0)
        points.append((event["tokens"], sum(window) / len(window)))
    return points


def block(points):
    return "".join(f"{x / 1e6:.6f} {y:.6f}\n" for x, y in points) + "e\n"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    out, runs = pathlib.Path(sys.argv[1]), [a.split("=", 1) for a in sys.argv[2:]]
    terminal = "svg size 900,520 font 'sans,13'" if out.suffix == ".svg" else \
        "pngcairo size 900,520 font 'sans,11'"
    plots, data = [], []
    for index, (name, path) in enumerate(runs, 1):
        steps, evals = read_log(path)
        plots.append(f"'-' with lines lw 1 lc {index} title '{name}: training'")
        data.append(block(running_mean(steps, max(1, len(steps) // 100))))
        if evals:
            plots.append(f"'-' with linespoints lw 2 pt 7 lc {index} title '{name}: validation'")
            data.append(block(evals))
    script = (f"set terminal {terminal}\nset output '{out}'\nset xlabel 'million tokens'\n"
              "set ylabel 'loss (nats per token)'\nset grid\nset yrange [*:6.5]\nset key top right\n"
              f"plot {', '.join(plots)}\n" + "".join(data))
    with tempfile.NamedTemporaryFile("w", suffix=".gp") as file:
        file.write(script)
        file.flush()
        subprocess.run(["gnuplot", file.name], check=True)


if __name__ == "__main__":
    main()
