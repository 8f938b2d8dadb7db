#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `tercet quantize --dry-run` predicts beside what runs take: one block of random weights in
several shapes, stage by stage, and the plans of a model that does not fit here. Writes JSON.

usage:
  check_quantize_plan.py --tercet build/release/bin/tercet --out docs/results/ptq-plan-70b.json \\
      --shape 1024,2816,8,4,8192 --shape 2048,7168,16,4,4096 \\
      --plan 'one machine=--max-memory 23GB --no-training' \\
      --plan '8 GPUs=--max-memory 80GB --plan-ranks 8 --plan-gflops 40000 --plan-bandwidth 3000'

A shape is hidden size, inner size, heads, key-value heads and tokens of calibration. The plans are
for --large (hidden, inner, heads, key-value heads, layers, vocabulary), that of Llama 2 70B unless
given. Shapes that the file holds already are not run again.
"""

import argparse
import datetime
import json
import os
import pathlib
import shlex
import sys
import tempfile

from measure_quantize_memory import must, write_text

SYNTHESIZE = pathlib.Path(__file__).with_name("make_synthetic_hf.py")


def make(folder, name, shape, *options):
    hidden, inner, heads, kv_heads, layers, vocabulary = shape
    must([sys.executable, SYNTHESIZE, folder / name, "--hidden", hidden, "--inner", inner,
          "--heads", heads, "--kv-heads", kv_heads, "--layers", layers,
          "--vocabulary", vocabulary, *options])
    return folder / name


def measure(arguments, folder, shape):
    hidden, inner, heads, kv_heads, tokens = shape
    source = make(folder, "block", (hidden, inner, heads, kv_heads, 1, 512), "--tokenizer",
                  folder / "tokenizer")
    options = ["--calib", folder / "calib.txt", "--calib-tokens", tokens, "--threads",
               arguments.threads, "--gguf-type", "none", "--max-memory", arguments.max_memory,
               "--json", *shlex.split(arguments.options)]
    plan = json.loads(must([arguments.tercet, "quantize", source, *options, "--dry-run"]))
    before = os.times()
    done = json.loads(must([arguments.tercet, "quantize", source, *options, "--out",
                            folder / "out"]).splitlines()[-1])
    after = os.times()
    cpu = (after.children_user + after.children_system - before.children_user -
           before.children_system)
    return {"hidden_size": hidden, "intermediate_size": inner, "heads": heads,
            "key_value_heads": kv_heads, "tokens": plan["tokens"], "options": arguments.options,
            "predicted": {"seconds": plan["seconds"], "stage_seconds": plan["stage_seconds"],
                          "peak_memory_bytes": plan["peak_memory_bytes"],
                          "widest_work": plan["widest_work"], "hardware": plan["hardware"]},
            "measured": {"seconds": done["seconds"], "cpu_seconds": cpu,
                         "stage_seconds": done["stage_seconds"],
                         "peak_rss_bytes": done["peak_rss_bytes"]},
            "predicted_over_measured": {
                "seconds": plan["seconds"] / done["seconds"],
                "cpu_seconds": plan["seconds"] * arguments.threads / cpu,
                "memory": plan["peak_memory_bytes"] / done["peak_rss_bytes"]}}


def show(entry):
    measured, predicted = entry["measured"], entry["predicted"]
    print(f"{entry['hidden_size']} x {entry['intermediate_size']}, {entry['tokens']} tokens: "
          f"{measured['seconds']:.1f} s, {measured['cpu_seconds']:.1f} s of CPU time (predicted "
          f"{predicted['seconds']:.1f}), "
          f"{measured['peak_rss_bytes'] / 2**20:.0f} MiB "
          f"(predicted {predicted['peak_memory_bytes'] / 2**20:.0f})")
    for stage, seconds in measured["stage_seconds"].items():
        print(f"  {stage}: {seconds:.1f} s, predicted {predicted['stage_seconds'][stage]:.1f}",
              flush=True)


def numbers(text):
    return [int(part) for part in text.split(",")]


def describe(arguments):
    cpu = next((line.split(":", 1)[1].strip() for line in
                pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), "")
    return {"command": "scripts/check_quantize_plan.py " + shlex.join(sys.argv[1:]),
            "version": must([arguments.tercet, "--version"]).strip(),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": {"cpu": cpu, "cores": os.cpu_count(), "threads": arguments.threads,
                        "memory_bytes": os.sysconf("SC_PAGE_SIZE") *
                        os.sysconf("SC_PHYS_PAGES")},
            "blocks": [], "plans": []}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tercet", required=True)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--shape", action="append", default=[], type=numbers)
    parser.add_argument("--plan", action="append", default=[], metavar="NAME=OPTIONS")
    parser.add_argument("--large", type=numbers, default=[8192, 28672, 64, 8, 80, 32000])
    parser.add_argument("--options", default="--no-training", help="of the runs that are measured")
    parser.add_argument("--max-memory", default="20GB", help="of these runs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", help="where the models lie meanwhile")
    arguments = parser.parse_args()
    document = (json.loads(arguments.out.read_text()) if arguments.out.exists()
                else describe(arguments))
    known = {(e["hidden_size"], e["intermediate_size"]) for e in document["blocks"]}
    with tempfile.TemporaryDirectory(prefix="tercet-plan-", dir=arguments.work) as place:
        folder = pathlib.Path(place)
        write_text(folder / "corpus.txt", 1, 20000)
        write_text(folder / "calib.txt", 2, 200000)
        must([arguments.tercet, "tokenizer", "train", folder / "corpus.txt", "--vocab-size", 384,
              "--out", folder / "tokenizer"])
        for shape in arguments.shape:
            if tuple(shape[:2]) in known:
                continue
            with tempfile.TemporaryDirectory(dir=folder) as inner:
                work = pathlib.Path(inner)
                for name in ("tokenizer", "calib.txt"):
                    (work / name).symlink_to((folder / name).resolve())
                entry = measure(arguments, work, shape)
            document["blocks"].append(entry)
            show(entry)
            arguments.out.write_text(json.dumps(document, indent=2) + "\n")
        document["plans"] = []
        large = make(folder, "large", arguments.large, "--config-only")
        for plan in arguments.plan:
            name, options = plan.split("=", 1)
            report = json.loads(must([arguments.tercet, "quantize", large, "--dry-run", "--json",
                                      *shlex.split(options)]))
            document["plans"].append({"name": name, "options": options, "shape": arguments.large,
                                      "plan": report})
            print(f"{name}: {report['seconds'] / 3600:.1f} h, "
                  f"{report['peak_memory_bytes'] / 2**30:.1f} GiB")
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
