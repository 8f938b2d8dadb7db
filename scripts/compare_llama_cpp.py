#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Scores a text with a GGUF file in llama.cpp, by the protocol of `tercet perplexity`, and, given
the tercet program, scores it there too and compares tokens, mean NLL and perplexity.
(Development tool: needs llama-cpp-python and numpy.)

usage: compare_llama_cpp.py MODEL.gguf TEXT [--ctx N] [--limit-tokens N] [--threads N]
                            [--tercet PROGRAM] [--tercet-model MODEL]
--tercet-model scores another form of the same model in tercet, such as the directory that
MODEL.gguf was converted from. Prints one JSON document; exit code 1 when the token ids differ.
"""

import argparse
import json
import math
import subprocess
import time

import numpy as np
from llama_cpp import Llama


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--ctx", type=int, default=2048)
    parser.add_argument("--limit-tokens", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tercet")
    parser.add_argument("--tercet-model")
    return parser.parse_args()


def window_nll(llama, inputs, targets, first_scored):
    """Sum of -log p(targets[i] | inputs[..i]) for i >= first_scored."""
    llama.reset()
    llama.eval(inputs)
    # A copy in float64: log-sum-exp of 50,000 logits keeps six digits that way.
    logits = np.asarray(llama.scores[first_scored : len(inputs)], dtype=np.float64)
    top = logits.max(axis=1)
    log_sum = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    chosen = logits[np.arange(len(logits)), targets[first_scored:]]
    return float((log_sum - chosen).sum()), len(logits)


def score_in_llama_cpp(arguments):
    llama = Llama(model_path=arguments.model, n_ctx=arguments.ctx, n_threads=arguments.threads,
                  n_threads_batch=arguments.threads, n_batch=512, logits_all=True, verbose=False)
    with open(arguments.text, "rb") as file:
        ids = llama.tokenize(file.read(), add_bos=False, special=False)
    if arguments.limit_tokens:
        ids = ids[: arguments.limit_tokens]
    bos = llama.token_bos() if llama.metadata.get("tokenizer.ggml.add_bos_token") == "true" else -1
    lead = [bos] if bos >= 0 else []
    capacity = arguments.ctx - len(lead)
    total, count = 0.0, 0
    start = time.time()
    for begin in range(0, len(ids), capacity):
        window = lead + ids[begin : begin + capacity]
        if len(window) < 2:
            continue
        nll, scored = window_nll(llama, window[:-1], window[1:], 0)
        total, count = total + nll, count + scored
    mean = total / count
    return ids, {"tokens": count, "mean_nll": mean, "perplexity": math.exp(mean),
                 "seconds": time.time() - start}


def tercet_json(arguments, command):
    run = subprocess.run([arguments.tercet, *command], check=True, stdout=subprocess.PIPE)
    return json.loads(run.stdout)


def main():
    arguments = parse()
    ids, theirs = score_in_llama_cpp(arguments)
    result = {"model": arguments.model, "text": arguments.text, "context": arguments.ctx,
              "llama_cpp": theirs}
    if arguments.tercet:
        model = arguments.tercet_model or arguments.model
        command = ["perplexity", model, "--text", arguments.text, "--ctx", str(arguments.ctx),
                   "-t", str(arguments.threads), "--json"]
        if arguments.limit_tokens:
            command += ["--limit-tokens", str(arguments.limit_tokens)]
        ours = tercet_json(arguments, command)
        result["tercet"] = {key: ours[key] for key in ("tokens", "mean_nll", "perplexity")}
        result["same_token_count"] = ours["tokens"] == theirs["tokens"]
        result["perplexity_ratio"] = ours["perplexity"] / theirs["perplexity"]
    print(json.dumps(result, indent=2))
    if result.get("same_token_count") is False:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
