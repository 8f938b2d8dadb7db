#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/quant_blocks.json with the Python package `gguf` (pip install gguf).

Each case: the bytes of one or two blocks of random codes and the f32 bits that gguf's own decoder
gives for them, both in hexadecimal. gguf has no decoder for q1_0, q2_0 and i2_s; their cases come
from the formulas that the formats are defined by, written out below with numpy.
Run: scripts/make_quant_golden.py tests/golden/quant_blocks.json
"""
import json
import sys
from importlib.metadata import version

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

# name -> (gguf's type, byte offsets of the f16 numbers of a block)
GGUF_TYPES = {
    "q4_0": ("Q4_0", [0]),
    "q4_1": ("Q4_1", [0, 2]),
    "q5_0": ("Q5_0", [0]),
    "q5_1": ("Q5_1", [0, 2]),
    "q8_0": ("Q8_0", [0]),
    "q2_k": ("Q2_K", [80, 82]),
    "q3_k": ("Q3_K", [108]),
    "q4_k": ("Q4_K", [0, 2]),
    "q5_k": ("Q5_K", [0, 2]),
    "q6_k": ("Q6_K", [208]),
    "iq4_nl": ("IQ4_NL", [0]),
    "tq1_0": ("TQ1_0", [52]),
    "tq2_0": ("TQ2_0", [64]),
}
BLOCKS = 2


def random_blocks(rng, size, halves):
    """Random bytes with finite f16 numbers of both signs where a block has such."""
    blocks = rng.integers(0, 256, size=(BLOCKS, size), dtype=np.uint8)
    for offset in halves:
        numbers = (rng.standard_normal(BLOCKS) * 0.1).astype(np.float16)
        numbers[0] = np.float16(6e-6)  # subnormal
        blocks[:, offset : offset + 2] = numbers.view(np.uint8).reshape(BLOCKS, 2)
    return blocks


def decode_pairs(blocks):
    """q2_0: an f16 scale, then two bits a weight, the first lowest; 0 to 3 are -1 to 2."""
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    codes = (blocks[:, 2:, None] >> np.array([0, 2, 4, 6], dtype=np.uint8)) & 3
    return scale * (codes.reshape(len(blocks), -1).astype(np.float32) - 1)


def decode_signs(blocks):
    """q1_0: an f16 scale, then one bit a weight, the first lowest; a set bit is +1."""
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    bits = np.unpackbits(blocks[:, 2:], axis=1, bitorder="little")
    return np.where(bits == 1, scale, -scale)


def case(name, blocks, values):
    return {
        "type": name,
        "elements": int(values.size),
        "bytes": blocks.tobytes().hex(),
        "values": np.ascontiguousarray(values, dtype="<f4").tobytes().hex(),
    }


def i2_s_case(rng, width):
    """i2_s: byte m of a block holds weights m, m + width, ... from the highest bits to the lowest."""
    codes = rng.integers(-1, 2, size=(BLOCKS, 4, width))
    digits = (codes + 1).astype(np.uint8)
    packed = digits[:, 0] << 6 | digits[:, 1] << 4 | digits[:, 2] << 2 | digits[:, 3]
    return {
        "block": 4 * width,
        "bytes": packed.astype(np.uint8).tobytes().hex(),
        "codes": "".join("-0+"[code + 1] for code in codes.flat),
    }


def main():
    rng = np.random.default_rng(42)
    cases = []
    for name, (type_name, halves) in GGUF_TYPES.items():
        kind = GGMLQuantizationType[type_name]
        blocks = random_blocks(rng, GGML_QUANT_SIZES[kind][1], halves)
        cases.append(case(name, blocks, dequantize(blocks, kind)))
    for name, size, decode in [("q1_0", 18, decode_signs), ("q2_0", 18, decode_pairs),
                               ("q2_0_g128", 34, decode_pairs)]:
        blocks = random_blocks(rng, size, [0])
        cases.append(case(name, blocks, decode(blocks)))
    golden = {
        "made_by": "scripts/make_quant_golden.py",
        "gguf": version("gguf"),
        "cases": cases,
        "i2_s": [i2_s_case(rng, 32), i2_s_case(rng, 16)],
    }
    with open(sys.argv[1], "w", encoding="ascii") as out:
        json.dump(golden, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
