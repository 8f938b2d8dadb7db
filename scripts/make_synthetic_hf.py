#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes an HF directory of random weights (normal, bf16, one safetensors file per layer) in the
shape of a Llama model, to measure what a command takes in memory and time. Only the standard
library is needed.

usage: make_synthetic_hf.py OUT --hidden 512 --inner 1408 --layers 4 --heads 8 --kv-heads 4 \\
           --vocabulary 512 [--tied] [--tokenizer DIR] [--seed 1] [--config-only]

--tokenizer copies a tokenizer's files beside the weights. --config-only leaves the weights out, as
`tercet quantize --dry-run` allows.
"""
import argparse
import array
import json
import pathlib
import random
import shutil
import struct

POOL = 1 << 19  # random numbers; each row starts somewhere else among them
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model",
                   "special_tokens_map.json")


def config(shape):
    head_dim = shape.hidden // shape.heads
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama",
            "hidden_size": shape.hidden, "intermediate_size": shape.inner,
            "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads, "head_dim": head_dim,
            "vocab_size": shape.vocabulary, "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
            "tie_word_embeddings": shape.tied, "torch_dtype": "bfloat16"}


def tensors_of_layer(shape, layer):
    kv = shape.hidden // shape.heads * shape.kv_heads
    prefix = f"model.layers.{layer}."
    yield prefix + "input_layernorm.weight", [shape.hidden]
    yield prefix + "post_attention_layernorm.weight", [shape.hidden]
    for name, rows in (("q", shape.hidden), ("k", kv), ("v", kv), ("o", shape.hidden)):
        yield f"{prefix}self_attn.{name}_proj.weight", [rows, shape.hidden]
    yield prefix + "mlp.gate_proj.weight", [shape.inner, shape.hidden]
    yield prefix + "mlp.up_proj.weight", [shape.inner, shape.hidden]
    yield prefix + "mlp.down_proj.weight", [shape.hidden, shape.inner]


def tensors_of_rest(shape):
    yield "model.embed_tokens.weight", [shape.vocabulary, shape.hidden]
    yield "model.norm.weight", [shape.hidden]
    if not shape.tied:
        yield "lm_head.weight", [shape.vocabulary, shape.hidden]


class Weights:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.pools = {}

    def pool(self, cols):
        """bf16 numbers with standard deviation 1 / sqrt(cols), as bytes."""
        if cols not in self.pools:
            values = array.array("f", (self.rng.gauss(0, cols ** -0.5) for _ in range(POOL)))
            upper = array.array("H", values.tobytes())[1::2]
            self.pools[cols] = (upper * (1 + -(-cols // POOL))).tobytes()
        return self.pools[cols]

    def write(self, file, extents):
        if len(extents) == 1:
            file.write(struct.pack("<H", 0x3F80) * extents[0])
            return
        rows, cols = extents
        pool = self.pool(cols)
        for _ in range(rows):
            first = 2 * self.rng.randrange(len(pool) // 2 - cols + 1)
            file.write(pool[first:first + 2 * cols])


def write_shard(path, tensors, weights):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, extents in tensors:
        size = 2
        for extent in extents:
            size *= extent
        header[name] = {"dtype": "BF16", "shape": extents, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, extents in tensors:
            weights.write(file, extents)
    return offset


def write_model(out, shape):
    out.mkdir(parents=True)
    (out / "config.json").write_text(json.dumps(config(shape), indent=2) + "\n")
    if shape.tokenizer:
        for name in TOKENIZER_FILES:
            if (shape.tokenizer / name).exists():
                shutil.copy(shape.tokenizer / name, out / name)
    if shape.config_only:
        return
    weights = Weights(shape.seed)
    weight_map, total = {}, 0
    for shard in range(shape.layers + 1):
        last = shard == shape.layers
        tensors = list(tensors_of_rest(shape) if last else tensors_of_layer(shape, shard))
        name = f"model-{shard + 1:05}-of-{shape.layers + 1:05}.safetensors"
        total += write_shard(out / name, tensors, weights)
        weight_map.update({tensor: name for tensor, _ in tensors})
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (out / "model.safetensors.index.json").write_text(json.dumps(index) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    for name in ("hidden", "inner", "layers", "heads", "kv-heads", "vocabulary"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--tied", action="store_true")
    parser.add_argument("--tokenizer", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--config-only", action="store_true")
    arguments = parser.parse_args()
    write_model(arguments.out, arguments)


if __name__ == "__main__":
    main()
