#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Scores a text with a trained directory in transformers, by the protocol of `tercet perplexity`
(development tool: needs torch, transformers, accelerate and sentencepiece).

usage: check_transformers.py RUN_DIRECTORY TEXT [CTX]
Compare with: tercet perplexity RUN_DIRECTORY --text TEXT --ctx CTX
"""

import math
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    directory, text = sys.argv[1], open(sys.argv[2], encoding="utf-8").read()
    context = int(sys.argv[3]) if len(sys.argv) > 3 else 256
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


if __name__ == "__main__":
    main()
