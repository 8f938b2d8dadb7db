#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ladder of post-training quantization on one model: every method, and every stage of pt-bitnet
switched on or off, on the same calibration and evaluation text, with bits per weight, time and
memory. The file is written after each rung; rungs that it holds already are not run again, so that
an interrupted ladder goes on where it was.

usage:
  quantize_ladder.py MODEL --tercet build/release/bin/tercet --calib calib.txt \\
      --eval-text other.txt --out docs/results/ptq-model.json [--only 'gptq|default'] \\
      [--options '--ctx 512 --cut']
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

FREE = "--no-training"
# Name, options. Rows, unless the name says what else has a scale of its own.
RUNGS = [
    ("absmean, per tensor", "--method absmean --group-size tensor"),
    ("absmean", "--method absmean"),
    ("twn, per tensor", "--method twn --group-size tensor"),
    ("twn", "--method twn"),
    ("threshold grid, weights only", "--method grid --no-hessian"),
    ("threshold grid", "--method grid"),
    ("gptq, per tensor", "--method gptq --group-size tensor"),
    ("gptq", "--method gptq"),
    ("gptq, shrinkage 0.1", "--method gptq --shrinkage 0.1"),
    ("gptq, errors relative to the stream", "--method gptq --token-weights residual"),
    ("pt2-llm, groups of 64", "--method pt2-llm --group-size 64"),
    ("svid, 1 bit", "--method svid"),
    ("arb, 1 bit, groups of 64", "--method arb --group-size 64"),
    ("pt-bitnet, thresholds only", f"{FREE} --flips 0 --cross-term 0"),
    ("pt-bitnet without cross term", f"{FREE} --cross-term 0"),
    ("pt-bitnet without flips", f"{FREE} --flips 0"),
    ("pt-bitnet, feedback for flips", f"{FREE} --flips 0 --feedback"),
    ("pt-bitnet, whole cross term", f"{FREE} --cross-term 1"),
    ("pt-bitnet, little shrinkage", f"{FREE} --shrinkage 0.01"),
    ("pt-bitnet, errors equal at all tokens", f"{FREE} --token-weights equal"),
    ("pt-bitnet, equalized", f"{FREE} --equalize 0.25"),
    ("pt-bitnet, shrinkage chosen on held-out text", f"{FREE} --shrinkage auto"),
    ("pt-bitnet, products in f32", f"{FREE} --precision f32"),
    ("pt-bitnet, no training", FREE),
    ("pt-bitnet, no training, per tensor", f"{FREE} --group-size tensor"),
    ("pt-bitnet, no training, groups of 64", f"{FREE} --group-size 64"),
    ("pt-bitnet, no training, float activations", f"{FREE} --activations float"),
    ("pt-bitnet, last pass only", "--block-steps 0"),
    ("pt-bitnet, blocks towards outputs, no last pass", "--block-loss output --tune-steps 0"),
    ("pt-bitnet, blocks towards outputs", "--block-loss output"),
    ("pt-bitnet, blocks towards predictions, no sweep",
     "--block-loss predictions --sweeps 0"),
    ("pt-bitnet without last pass", "--tune-steps 0"),
    ("pt-bitnet", ""),
    ("pt-bitnet, per tensor", "--group-size tensor"),
]


def run_rung(arguments, options):
    with tempfile.TemporaryDirectory(prefix="tercet-ladder-", dir=arguments.work) as folder:
        out = pathlib.Path(folder) / "out"
        command = [arguments.tercet, "quantize", arguments.model, "--calib", arguments.calib,
                   "--eval-text", arguments.eval_text, "--threads", str(arguments.threads),
                   "--gguf-type", "none", *shlex.split(arguments.options), *shlex.split(options),
                   "--json", "--out", str(out)]
        before = os.times()
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        after = os.times()
        if result.returncode != 0:
            sys.exit(f"{shlex.join(command)} ended with {result.returncode}:\n{result.stderr}")
    done = json.loads(result.stdout.splitlines()[-1])
    cpu = (after.children_user + after.children_system - before.children_user -
           before.children_system)
    return done, cpu


def rung_record(name, options, done, cpu):
    evaluation = done["evaluation"]
    return {"name": name, "options": options, "bits_per_weight": done["bits_per_weight"],
            "mean_nll": evaluation["mean_nll"], "perplexity": evaluation["perplexity"],
            "gap": evaluation["mean_nll"] - evaluation["source_mean_nll"],
            "kl_divergence_mean": evaluation["kl_divergence_mean"],
            "top1_agreement": evaluation["top1_agreement"], "seconds": done["seconds"],
            "cpu_seconds_with_evaluation": cpu, "peak_rss_bytes": done["peak_rss_bytes"],
            "training": done["plan"]["training"]}


def describe(arguments, done):
    version = subprocess.run([arguments.tercet, "--version"], capture_output=True, text=True,
                             check=True).stdout.strip()
    cpu = next((line.split(":", 1)[1].strip() for line in
                pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), "")
    evaluation = done["evaluation"]
    return {"command": "scripts/quantize_ladder.py " + shlex.join(sys.argv[1:]),
            "version": version,
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": {"cpu": cpu, "threads": arguments.threads,
                        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")},
            "model": {"name": pathlib.Path(arguments.model).name,
                      "quantized_weights": done["quantized_weights"]},
            "text": {"calibration": pathlib.Path(arguments.calib).name,
                     "calibration_tokens": done["plan"]["tokens"],
                     "evaluation": pathlib.Path(arguments.eval_text).name,
                     "evaluation_tokens": evaluation["tokens"]},
            "source": {"mean_nll": evaluation["source_mean_nll"],
                       "perplexity": evaluation["source_perplexity"]},
            "rungs": []}


def write(path, document):
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(document, indent=2) + "\n")
    temporary.replace(path)


def print_table(document):
    print("| | bits/weight | nats/token | perplexity | gap | seconds |\n|---|---|---|---|---|---|")
    source = document["source"]
    print(f"| the source | | {source['mean_nll']:.4f} | {source['perplexity']:.3f} | 0 | |")
    for rung in document["rungs"]:
        print(f"| {rung['name']} | {rung['bits_per_weight']:.3f} | {rung['mean_nll']:.4f} | "
              f"{rung['perplexity']:.3f} | {rung['gap']:.4f} | {rung['seconds']:.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--tercet", required=True)
    parser.add_argument("--calib", required=True)
    parser.add_argument("--eval-text", required=True)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--only", default="", help="regular expression for names of rungs")
    parser.add_argument("--options", default="", help="more options for every run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", help="where the models lie until they are measured")
    arguments = parser.parse_args()
    document = json.loads(arguments.out.read_text()) if arguments.out.exists() else None
    for name, options in RUNGS:
        known = {rung["name"] for rung in document["rungs"]} if document else set()
        if name in known or not re.search(arguments.only, name):
            continue
        done, cpu = run_rung(arguments, options)
        document = document or describe(arguments, done)
        document["rungs"].append(rung_record(name, options, done, cpu))
        order = [rung[0] for rung in RUNGS]
        document["rungs"].sort(key=lambda rung: order.index(rung["name"]))
        write(arguments.out, document)
        print(f"{name}: {done['evaluation']['mean_nll']:.4f}", file=sys.stderr, flush=True)
    if document:
        print_table(document)


if __name__ == "__main__":
    main()
