#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Loads a directory that `tercet convert` wrote in transformers and compares it with what it was
made of (development tool: needs torch, transformers, accelerate, safetensors and tokenizers).

usage: check_hf_directory.py DIRECTORY tests/golden/models/NAME
           logits against those of a golden model
       check_hf_directory.py --gguf TERCET MODEL.gguf [LINES]
           converts the file in f32 and compares tokens (LINES mixed lines, 4000 unless given, with
           and without control tokens), prompts, chat template and mean NLL with those that tercet
           gives for the file itself
Example: tercet convert tests/golden/models/bitnet-latent /tmp/packed/ --type packed --rest-type f32
         check_hf_directory.py /tmp/packed tests/golden/models/bitnet-latent
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import check_tokenizers

DATA = pathlib.Path(__file__).resolve().parent.parent / "../shared/data"
CONTEXT = 128
CONVERSATION = [{"role": "user", "content": "Why is the sky blue? \U0001F600"},
                {"role": "assistant", "content": "Light scatters."},
                {"role": "user", "content": "And \n red?  "}]
# Read by transformers in f32, computed by tercet with other orders of sums.
NLL_TOLERANCE = 1e-4


def check_golden(directory, golden):
    settings = json.loads((golden / "golden.json").read_text(encoding="utf-8"))
    wanted = load_file(golden / "golden.safetensors")["logits"].double()
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(torch.tensor([settings["ids"]])).logits[0].double()
    found = logits[settings["positions"]]
    error = (found - wanted).pow(2).mean(-1).sqrt() / wanted.pow(2).mean(-1).sqrt()
    print(f"{type(model).__name__} {directory}: relative RMS {error.max().item():.2e} at worst")
    return error.max() < 1e-3


def output_of(*command, stdin=None):
    done = subprocess.run(command, check=True, capture_output=True, input=stdin)
    return done.stdout, done.stderr.decode("utf-8")


def check_ids(tercet, sources, tokenizer, texts):
    """The same ids from tercet for each of `sources` as from transformers."""
    good = True
    backend = tokenizer.backend_tokenizer
    for special in (False, True):
        backend.encode_special_tokens = not special
        expected = [backend.encode(text, add_special_tokens=False).ids for text in texts]
        for source in sources:
            lines = [text.encode("utf-8") for text in texts]
            ours = check_tokenizers.tercet_results(tercet, source, lines, special)
            wrong = [text for text, ids, (found, _) in zip(texts, expected, ours) if ids != found]
            print(f"{source}{' --special' if special else ''}: {len(texts)} lines, "
                  f"{len(wrong)} with other ids", *map(repr, wrong[:3]))
            good = good and not wrong
    backend.encode_special_tokens = False
    return good


def check_prompt(tercet, source, tokenizer):
    text = "It was dark."
    out, _ = output_of(tercet, "tokenize", source, text, "--prompt", "--ids")
    good = [int(word) for word in out.split()] == tokenizer(text)["input_ids"]
    print(f"prompt: {'equal' if good else 'different'}")
    return good


def check_chat(tercet, source, tokenizer):
    if tokenizer.chat_template is None:
        print("chat template: none")
        return True
    wanted = tokenizer.apply_chat_template(CONVERSATION[:1], tokenize=False,
                                           add_generation_prompt=True)
    _, shown = output_of(tercet, "chat", source, "--single", "--show-prompt", "-n", "1", "-p",
                         CONVERSATION[0]["content"], stdin=b"")
    good = wanted in shown
    print(f"chat template: {'equal' if good else 'different'}", *([] if good else [wanted, shown]))
    return good


def check_nll(tercet, source, directory, tokenizer):
    """Of the windows of one text, by the protocol of `tercet perplexity`."""
    text = " ".join(check_tokenizers.source_lines(DATA, ["lm/wikitext-2-raw/*"], 60))
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        out, _ = output_of(tercet, "perplexity", source, "--text", file.name, "--ctx",
                           str(CONTEXT), "--limit-tokens", str(4 * CONTEXT), "--json")
    ours = json.loads(out)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"][:4 * CONTEXT]
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    total, count = 0.0, 0
    with torch.no_grad():
        front = [tokenizer.bos_token_id] if ours["add_bos"] else []
        for start in range(0, len(ids), CONTEXT - len(front)):
            window = torch.tensor([front + ids[start:start + CONTEXT - len(front)]])
            scores = torch.log_softmax(model(window).logits[0, :-1].double(), -1)
            total -= scores[torch.arange(window.shape[1] - 1), window[0, 1:]].sum().item()
            count += window.shape[1] - 1
    print(f"{type(model).__name__}: mean NLL {total / count:.6f} over {count} tokens, tercet "
          f"{ours['mean_nll']:.6f} over {ours['tokens']}")
    return abs(total / count - ours["mean_nll"]) < NLL_TOLERANCE


def check_gguf(tercet, source, count):
    with tempfile.TemporaryDirectory() as scratch:
        directory = str(pathlib.Path(scratch) / "model")
        out, _ = output_of(tercet, "convert", source, directory + "/", "--type", "f32",
                           "--rest-type", "f32", "--json")
        if not json.loads(out)["tokenizer"]:
            print(json.loads(out)["tokenizer_note"])
            return False
        tokenizer = AutoTokenizer.from_pretrained(directory)
        lines = check_tokenizers.make_lines(DATA, count, 1)
        texts = [line.decode("utf-8", errors="replace") for line in lines]
        results = [check_ids(tercet, (source, directory), tokenizer, texts),
                   check_prompt(tercet, source, tokenizer), check_chat(tercet, source, tokenizer),
                   check_nll(tercet, source, directory, tokenizer)]
    return all(results)


def main():
    torch.set_num_threads(1)
    arguments = sys.argv[1:]
    if arguments[:1] == ["--gguf"] and len(arguments) in (3, 4):
        good = check_gguf(arguments[1], arguments[2], int(arguments[3]) if arguments[3:] else 4000)
    elif len(arguments) == 2 and not arguments[0].startswith("--"):
        good = check_golden(pathlib.Path(arguments[0]), pathlib.Path(arguments[1]))
    else:
        sys.exit(__doc__)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
