#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a directory that `tercet convert` wrote in transformers and compares its logits with a golden
model's (development tool: needs torch, transformers, accelerate and safetensors).

usage: check_hf_directory.py DIRECTORY tests/golden/models/NAME
Example: tercet convert tests/golden/models/bitnet-latent /tmp/packed/ --type packed --rest-type f32
         check_hf_directory.py /tmp/packed tests/golden/models/bitnet-latent
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    directory, golden = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    settings = json.loads((golden / "golden.json").read_text(encoding="utf-8"))
    wanted = load_file(golden / "golden.safetensors")["logits"].double()
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(torch.tensor([settings["ids"]])).logits[0].double()
    found = logits[settings["positions"]]
    error = (found - wanted).pow(2).mean(-1).sqrt() / wanted.pow(2).mean(-1).sqrt()
    print(f"{type(model).__name__} {directory}: relative RMS {error.max().item():.2e} at worst")
    sys.exit(0 if error.max() < 1e-3 else 1)


if __name__ == "__main__":
    main()
