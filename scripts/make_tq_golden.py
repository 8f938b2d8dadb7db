#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/tq_blocks.json with the Python package `gguf` (pip install gguf).

Each case: ternary codes (as characters - 0 +), one scale, and the bytes that gguf's own quantizers
give for codes * scale, in hexadecimal. Run: scripts/make_tq_golden.py tests/golden/tq_blocks.json
"""
import json
import sys
from importlib.metadata import version

import numpy as np
from gguf.quants import TQ1_0, TQ2_0


def case(rng, rows, cols, scale):
    codes = rng.integers(-1, 2, size=(rows, cols)).astype(np.float32)
    codes[:, ::256] = 1  # each block's scale is its largest magnitude: make sure there is one
    weights = codes * np.float32(scale)
    return {
        "rows": rows,
        "cols": cols,
        "scale": scale,
        "codes": "".join("-0+"[int(code) + 1] for code in codes.flat),
        "tq1_0": TQ1_0.quantize(weights).tobytes().hex(),
        "tq2_0": TQ2_0.quantize(weights).tobytes().hex(),
    }


def main():
    rng = np.random.default_rng(158)
    cases = [case(rng, 1, 256, 1.0), case(rng, 3, 512, 1.0), case(rng, 2, 256, 0.5)]
    with open(sys.argv[1], "w", encoding="ascii") as out:
        json.dump({"made_by": "scripts/make_tq_golden.py", "gguf": version("gguf"), "cases": cases}, out,
                  indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
