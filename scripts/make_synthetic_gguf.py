#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a GGUF model of random weights, as large as asked for, to measure loading and converting.

usage: make_synthetic_gguf.py OUT.gguf [--bytes 1e9] [--type tq2_0|f16|q8_0|q4_1] [--hidden 2560]

The model has the shape of BitNet b1.58 2B4T (squared ReLU, sub-norms, tied head) with as many
layers as the size takes; vocabulary 32000, embedding in f16. Only the standard library is needed.
"""
import argparse
import random
import struct

ALIGNMENT = 32
VOCABULARY = 32000
# type -> (id, weights in a block, bytes of a block)
TYPES = {"f32": (0, 1, 4), "f16": (1, 1, 2), "q4_1": (3, 32, 20), "q8_0": (8, 32, 34),
         "tq2_0": (35, 256, 66)}
U32, F32, STRING = 4, 6, 8


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def entry(key, kind, value):
    if kind == STRING:
        return text(key) + struct.pack("<I", kind) + text(value)
    return text(key) + struct.pack("<I" + ("f" if kind == F32 else "I"), kind, value)


def padded(size):
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def size_of(kind, shape):
    _, elements, size = TYPES[kind]
    count = 1
    for extent in shape:
        count *= extent
    return count // elements * size


def pattern(kind, rng):
    """About a megabyte of sound blocks, which is repeated."""
    half = struct.pack("<e", 0.02)
    if kind == "f32":
        return struct.pack("<f", 1.0) * 4096
    if kind == "f16":
        return b"".join(struct.pack("<e", rng.uniform(-0.03, 0.03)) for _ in range(1 << 19))
    trits = [a | b << 2 | c << 4 | d << 6 for a in range(3) for b in range(3) for c in range(3)
             for d in range(3)]
    blocks = []
    for _ in range(1 << 14):
        if kind == "tq2_0":
            blocks.append(bytes(rng.choices(trits, k=64)) + half)
        elif kind == "q4_1":
            blocks.append(half + struct.pack("<e", -0.15) + rng.randbytes(16))
        else:
            blocks.append(struct.pack("<e", 0.0003) + rng.randbytes(32))
    return b"".join(blocks)


def tensors_of(layers, hidden, kind):
    width = hidden * 27 // 10 // 256 * 256
    yield "token_embd.weight", "f16", (VOCABULARY, hidden)
    for n in range(layers):
        block = f"blk.{n}."
        yield block + "attn_norm.weight", "f32", (hidden,)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield block + name + ".weight", kind, (hidden, hidden)
        yield block + "attn_sub_norm.weight", "f32", (hidden,)
        yield block + "ffn_norm.weight", "f32", (hidden,)
        yield block + "ffn_gate.weight", kind, (width, hidden)
        yield block + "ffn_up.weight", kind, (width, hidden)
        yield block + "ffn_sub_norm.weight", "f32", (width,)
        yield block + "ffn_down.weight", kind, (hidden, width)
    yield "output_norm.weight", "f32", (hidden,)


def total_bytes(layers, hidden, kind):
    return sum(padded(size_of(t, shape)) for _, t, shape in tensors_of(layers, hidden, kind))


def metadata(layers, hidden, kind):
    a = "bitnet-b1.58."
    width = hidden * 27 // 10 // 256 * 256
    return [
        entry("general.architecture", STRING, "bitnet-b1.58"),
        entry("general.name", STRING, "synthetic " + kind),
        entry(a + "vocab_size", U32, VOCABULARY),
        entry(a + "context_length", U32, 4096),
        entry(a + "embedding_length", U32, hidden),
        entry(a + "block_count", U32, layers),
        entry(a + "feed_forward_length", U32, width),
        entry(a + "attention.head_count", U32, hidden // 128),
        entry(a + "attention.head_count_kv", U32, hidden // 128),
        entry(a + "attention.layer_norm_rms_epsilon", F32, 1e-5),
        entry(a + "rope.freq_base", F32, 500000.0),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    parser.add_argument("--bytes", type=float, default=1e9)
    parser.add_argument("--type", choices=[t for t in TYPES if t != "f32"], default="tq2_0")
    parser.add_argument("--hidden", type=int, default=2560, help="a multiple of 256")
    arguments = parser.parse_args()
    kind, hidden = arguments.type, arguments.hidden
    layers = 1
    while total_bytes(layers + 1, hidden, kind) <= arguments.bytes:
        layers += 1
    keys = metadata(layers, hidden, kind)
    tensors = list(tensors_of(layers, hidden, kind))
    rng = random.Random(7)
    patterns = {t: pattern(t, rng) for t in {"f32", "f16", kind}}
    with open(arguments.out, "wb") as out:
        out.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys)) + b"".join(keys))
        offset = 0
        for name, t, shape in tensors:
            out.write(text(name) + struct.pack("<I", len(shape)))
            out.write(b"".join(struct.pack("<Q", extent) for extent in reversed(shape)))
            out.write(struct.pack("<IQ", TYPES[t][0], offset))
            offset += padded(size_of(t, shape))
        out.write(bytes(padded(out.tell()) - out.tell()))
        for _, t, shape in tensors:
            left = size_of(t, shape)
            padding = padded(left) - left
            while left > 0:
                left -= out.write(patterns[t][:left])
            out.write(bytes(padding))
    print(f"{arguments.out}: {layers} layers of {hidden}, {offset} bytes of {kind} and f16")


if __name__ == "__main__":
    main()
