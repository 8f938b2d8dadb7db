#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Peak memory of `tercet quantize` on synthetic models that differ in their number of layers only,
beside what its dry run predicts. Writes all runs as JSON; exits with 1 where the deepest model
takes more than a tenth above the shallowest.

usage:
  measure_quantize_memory.py --tercet build/release/bin/tercet --out docs/results/ptq-memory.json \\
      [--layers 4,16,64] [--hidden 512] [--work DIR] \\
      [--run 'no training=--no-training'] [--run 'blocks=--block-loss output --tune-steps 0']
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import shlex
import subprocess
import sys
import tempfile

WORDS = ("the a one some river house stone light night water hand moves holds finds turns under "
         "over near old small cold bright slowly again never").split()


def write_text(path, seed, count):
    rng = random.Random(seed)
    lines = (" ".join(rng.choices(WORDS, k=9)) + "." for _ in range(count // 9))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def must(command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                            check=False)
    if result.returncode != 0:
        sys.exit(f"{shlex.join(map(str, command))} ended with {result.returncode}:\n"
                 f"{result.stderr}")
    return result.stdout


def make_tokenizer(arguments, folder):
    write_text(folder / "corpus.txt", 1, 20000)
    write_text(folder / "calib.txt", 2, 60000)
    must([arguments.tercet, "tokenizer", "train", folder / "corpus.txt", "--vocab-size", 384,
          "--out", folder / "tokenizer"])


def make_model(arguments, folder, layers):
    model = folder / f"model-{layers}"
    hidden = arguments.hidden
    must([sys.executable, pathlib.Path(__file__).with_name("make_synthetic_hf.py"), model,
          "--hidden", hidden, "--inner", hidden * 11 // 4, "--heads", hidden // 64,
          "--kv-heads", max(hidden // 128, 1), "--layers", layers, "--vocabulary", 512,
          "--tokenizer", folder / "tokenizer"])
    return model


def run(arguments, folder, model, options):
    with tempfile.TemporaryDirectory(dir=folder) as place:
        command = [arguments.tercet, "quantize", model, "--calib", folder / "calib.txt",
                   "--calib-tokens", arguments.calib_tokens, "--threads", arguments.threads,
                   "--gguf-type", "none", "--json", *shlex.split(options), "--out",
                   pathlib.Path(place) / "out"]
        return json.loads(must(command).splitlines()[-1])


def record(name, options, layers, done):
    plan = done["plan"]
    return {"name": name, "options": options, "layers": layers,
            "peak_rss_bytes": done["peak_rss_bytes"],
            "predicted_peak_bytes": plan["peak_memory_bytes"],
            "predicted_over_measured": plan["peak_memory_bytes"] / done["peak_rss_bytes"],
            "seconds": done["seconds"], "predicted_seconds": plan["seconds"],
            "output_bytes": plan["output_bytes"], "calibration_tokens": plan["tokens"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tercet", required=True)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--layers", default="4,16,64")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--calib-tokens", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--run", action="append", metavar="NAME=OPTIONS")
    parser.add_argument("--work", help="where the models lie meanwhile")
    arguments = parser.parse_args()
    runs = [run.split("=", 1) for run in arguments.run or ["no training=--no-training"]]
    document = {"command": "scripts/measure_quantize_memory.py " + shlex.join(sys.argv[1:]),
                "version": must([arguments.tercet, "--version"]).strip(),
                "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                "machine": {"cores": os.cpu_count(), "threads": arguments.threads,
                            "memory_bytes": os.sysconf("SC_PAGE_SIZE") *
                            os.sysconf("SC_PHYS_PAGES")},
                "model": {"name": "synthetic Llama", "hidden_size": arguments.hidden,
                          "intermediate_size": arguments.hidden * 11 // 4},
                "runs": [], "deepest_over_shallowest": {}}
    with tempfile.TemporaryDirectory(prefix="tercet-memory-", dir=arguments.work) as place:
        folder = pathlib.Path(place)
        make_tokenizer(arguments, folder)
        for layers in map(int, arguments.layers.split(",")):
            model = make_model(arguments, folder, layers)
            for name, options in runs:
                entry = record(name, options, layers, run(arguments, folder, model, options))
                document["runs"].append(entry)
                print(f"{name}, {layers} layers: {entry['peak_rss_bytes'] / 2**20:.0f} MiB, "
                      f"predicted {entry['predicted_peak_bytes'] / 2**20:.0f}, "
                      f"{entry['seconds']:.0f} s", flush=True)
    grows = False
    for name, _ in runs:
        peaks = [entry["peak_rss_bytes"] for entry in document["runs"] if entry["name"] == name]
        ratio = peaks[-1] / peaks[0]
        document["deepest_over_shallowest"][name] = ratio
        grows = grows or ratio > 1.1
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    print({name: round(ratio, 4) for name, ratio in document["deepest_over_shallowest"].items()})
    sys.exit(1 if grows else 0)


if __name__ == "__main__":
    main()
