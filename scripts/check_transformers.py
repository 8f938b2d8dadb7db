#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Loads directories that Tercet wrote in transformers and scores them there (development tool: needs
torch, transformers, accelerate, safetensors and, for texts, sentencepiece).

usage: check_transformers.py DIRECTORY TEXT [CTX]
           perplexity of a text, by the protocol of `tercet perplexity`; compare with
           tercet perplexity DIRECTORY --text TEXT --ctx CTX
       check_transformers.py --golden DIRECTORY GOLDEN_DIRECTORY
           logits of a directory that was converted from one of tests/golden/models
       check_transformers.py --convert TERCET_PROGRAM [NAME...]
           converts every golden model to HF directories, straight and by way of a GGUF file, and
           checks the logits of each; what transformers cannot express it must refuse to load
"""

import json
import math
import os
import subprocess
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import make_goldens

TOLERANCE = 1e-4
MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "models")


def score_text(directory, path, context):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    total, count = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(ids), context - 1):
            window = torch.tensor([[tokenizer.bos_token_id] + ids[start:start + context - 1]])
            logits = model(window).logits[0, :-1].double()
            scores = torch.log_softmax(logits, -1)
            total -= scores[torch.arange(window.shape[1] - 1), window[0, 1:]].sum().item()
            count += window.shape[1] - 1
    print(f"{type(model).__name__}: {count} tokens, mean NLL {total / count:.7f}, "
          f"perplexity {math.exp(total / count):.4f}")


def golden_error(directory, golden_directory):
    """The worst relative RMS over the positions that the golden file keeps."""
    with open(os.path.join(golden_directory, "golden.json"), encoding="ascii") as file:
        golden = json.load(file)
    wanted = load_file(os.path.join(golden_directory, "golden.safetensors"))["logits"].double()
    logits, _ = make_goldens.reference_logits(directory, golden["ids"])
    rows = logits[golden["positions"]].double()
    return ((rows - wanted).square().mean(-1) / wanted.square().mean(-1)).sqrt().max().item()


def convert(tercet, source, target, *options):
    done = subprocess.run([tercet, "convert", source, target, *options], capture_output=True,
                          text=True, check=False)
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def written_type(directory):
    with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
        return json.load(file)["model_type"]


def check_written(name, form, directory):
    model_type = written_type(directory)
    if model_type == "tercet":
        try:
            AutoModelForCausalLM.from_pretrained(directory)
        except (ValueError, KeyError):
            print(f"{name}, {form}: tercet, refused by transformers")
            return True
        print(f"{name}, {form}: tercet, but transformers loads it")
        return False
    error = golden_error(directory, os.path.join(MODELS, name))
    print(f"{name}, {form}: {model_type}, worst relative RMS {error:.2e}", flush=True)
    return error < TOLERANCE


def check_conversions(tercet, name, scratch):
    source = os.path.join(MODELS, name)
    with open(os.path.join(source, "config.json"), encoding="ascii") as file:
        ternary = "quantization_config" in json.load(file)
    gguf = os.path.join(scratch, name + ".gguf")
    gguf_type = "trit5" if ternary else "f32"
    # Packed codes mean int8 inputs; floats would make a dense model of a ternary one.
    hf_type = "packed" if ternary else "f32"
    good = True
    fault = convert(tercet, source, gguf, "--type", gguf_type, "--rest-type", "f32")
    for form, origin in (("from its directory", source), ("from its GGUF file", gguf)):
        target = os.path.join(scratch, f"{name}-{form.split()[-1]}")
        fault = fault or convert(tercet, origin, target, *HF_OPTIONS, "--type", hf_type,
                                 "--rest-type", "f32")
        if fault:
            print(f"{name}, {form}: not converted: {fault}")
            return False
        good = check_written(name, form, target) and good
    return good


# What makes `tercet convert` write a directory.
HF_OPTIONS = ["--format", "hf"]


def main():
    arguments = sys.argv[1:]
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if len(arguments) == 3 and arguments[0] == "--golden":
        error = golden_error(arguments[1], arguments[2])
        print(f"worst relative RMS {error:.2e}")
        sys.exit(0 if error < TOLERANCE else 1)
    if len(arguments) >= 2 and arguments[0] == "--convert":
        with tempfile.TemporaryDirectory() as scratch:
            results = [check_conversions(arguments[1], name, scratch)
                       for name in arguments[2:] or sorted(os.listdir(MODELS))]
        sys.exit(0 if all(results) else 1)
    if len(arguments) not in (2, 3) or arguments[0].startswith("--"):
        sys.exit(__doc__)
    score_text(arguments[0], arguments[1], int(arguments[2]) if len(arguments) > 2 else 256)


if __name__ == "__main__":
    main()
