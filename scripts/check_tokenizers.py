#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds tercet's token ids and decoded text against the `tokenizers` package, line by line.

usage: check_tokenizers.py TERCET TOKENIZER.json... [--data DIR] [--lines N] [--seed S] [--json]

Lines are mixed: English, code, Chinese, Arabic and other scripts, emoji, combining marks, random
Unicode, broken UTF-8 (which both sides see as Python decodes it with errors="replace"), and control
tokens, which are text to `tercet tokenize` and control with --special. Exits 1 on any difference.
Needs the `tokenizers` package; a development tool, not part of the tests.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import Tokenizer

SCRIPTS = [(0x4E00, 0x9FA5), (0x3040, 0x30FF), (0xAC00, 0xD7A3), (0x0600, 0x06FF),
           (0x0590, 0x05FF), (0x0900, 0x0DFF), (0x0E00, 0x0EFF), (0x0370, 0x03FF),
           (0x0400, 0x04FF), (0x10A0, 0x10FF), (0x1E00, 0x1FFF)]
EMOJI = ["\U0001F600", "\U0001F468\u200D\U0001F469\u200D\U0001F467", "\U0001F1E9\U0001F1EA",
         "\U0001F44D\U0001F3FD", "\u2764\uFE0F", "\u203C\uFE0F", "\U0001FAE0", "1\uFE0F\u20E3"]
SPACES = [" ", "  ", "   ", "\t", "\r", "\u00A0", "\u2003", "\u3000", "\u2028", "\u0085", "\u180E",
          "\u200B", "\x1c", "\x0b"]
PIECES = ["'s", "'S", "'re", "'LL", "'\u017F", "don't", "I'M", "\u0130", "\u2581", "\u2581\u2581",
          "<0x0A>", "<unk>", "<s>", "</s>", "<|endoftext|>", "<|im_start|>", "<|eot_id|>",
          "<think>", "</think>", "12345", "3.14", "\u0661\u0662\u0663", "\u00BD", "\u2167",
          "\u00DF", "\uFB01", "\u212B", "\u1E9B\u0323", "\uAC00\u11A8", "\u0344", "e\u0301",
          "a\u0300\u0316", "\u0958", "_", "==", "!!!", "...", "\u2026", "\u00AD", "\uFEFF"]


def source_lines(data, patterns, limit):
    """Non-empty lines of the files that match, cut to 400 characters."""
    out = []
    for pattern in patterns:
        for path in sorted(data.glob(pattern))[:6]:
            text = path.read_bytes()[:600_000].decode("utf-8", errors="replace")
            out += [line[:400] for line in text.split("\n") if line.strip()]
    return out[:limit] or ["the quick brown fox"]


def random_text(rng, low, high, count):
    """Assigned characters of a range, with spaces."""
    out = ""
    while len(out) < count:
        code = rng.randint(low, high)
        if 0xD800 <= code < 0xE000 or code in (0x0A, 0x0D):
            continue
        if unicodedata.category(chr(code)) == "Cn" and rng.random() < 0.9:
            continue
        out += chr(code) + (" " if rng.random() < 0.15 else "")
    return out


def broken(rng, text):
    """Bytes of `text` cut, flipped or inserted."""
    raw = bytearray(text.encode("utf-8", errors="surrogatepass"))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(raw) + 1)
        if rng.random() < 0.5 and at < len(raw):
            del raw[at]
        else:
            raw.insert(at, rng.choice([0x80, 0xBF, 0xC0, 0xC3, 0xE2, 0xED, 0xF0, 0xF5, 0xFF]))
    return bytes(raw).replace(b"\n", b"")


def make_lines(data, count, seed):
    """Lines as bytes, without line ends."""
    rng = random.Random(seed)
    english = source_lines(data, ["lm/gutenberg/*", "lm/wikitext-2-raw/*", "lm/tinystories/*.txt"],
                           60000)
    code = source_lines(data, ["calib/**/*code*", "calib/**/*.py", "calib/**/*technical*"], 20000)
    other = source_lines(data, ["calib/**/*multilingual*"], 20000)

    def mixed():
        out = ""
        for _ in range(rng.randint(1, 12)):
            kind = rng.random()
            if kind < 0.25:
                out += rng.choice(PIECES)
            elif kind < 0.45:
                out += rng.choice(SPACES)
            elif kind < 0.55:
                out += rng.choice(EMOJI)
            elif kind < 0.75:
                out += rng.choice(rng.choice(english).split(" "))
            else:
                out += random_text(rng, *rng.choice(SCRIPTS), rng.randint(1, 8))
        return out

    makers = [(0.25, lambda: rng.choice(english)), (0.15, lambda: rng.choice(code)),
              (0.1, lambda: rng.choice(other)),
              (0.15, lambda: random_text(rng, *rng.choice(SCRIPTS), rng.randint(1, 60))),
              (0.1, lambda: random_text(rng, 1, 0x10FFFF, rng.randint(1, 40))), (0.25, mixed)]
    lines = []
    while len(lines) < count:
        make = rng.choices([m for _, m in makers], [w for w, _ in makers])[0]
        text = make().replace("\n", " ")
        lines.append(broken(rng, text) if rng.random() < 0.15 else text.encode("utf-8"))
    return lines


def tercet_results(tercet, tokenizer, lines, special):
    """[(ids, decoded text)] of `tercet tokenize`."""
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        file.write(b"".join(line + b"\n" for line in lines))
        file.flush()
        command = [tercet, "tokenize", tokenizer, "-f", file.name, "--lines", "--json"]
        out = subprocess.run(command + (["--special"] if special else []), check=True,
                             stdout=subprocess.PIPE).stdout
    documents = [json.loads(line) for line in out.decode("utf-8").split("\n") if line]
    return [(document["ids"], document["text"]) for document in documents]


def compare(tercet, path, lines, special):
    """Differences, the first few shown on stderr."""
    reference = Tokenizer.from_file(str(path))
    reference.no_truncation()
    reference.encode_special_tokens = not special
    texts = [line.decode("utf-8", errors="replace") for line in lines]
    ours = tercet_results(tercet, path, lines, special)
    assert len(ours) == len(lines), "%d lines in, %d out" % (len(lines), len(ours))
    differences = 0
    for text, (ids, decoded) in zip(texts, ours):
        expected = reference.encode(text, add_special_tokens=False).ids
        expected_text = reference.decode(expected, skip_special_tokens=True)
        if ids == expected and decoded == expected_text:
            continue
        differences += 1
        if differences <= 5:
            print("%s: %r\n  ours   %r %r\n  theirs %r %r" % (path, text, ids, decoded, expected,
                                                            expected_text), file=sys.stderr)
    return differences


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tercet")
    parser.add_argument("tokenizers", nargs="+", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../shared/data"))
    parser.add_argument("--lines", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    lines = make_lines(arguments.data, arguments.lines, arguments.seed)
    results = []
    for path in arguments.tokenizers:
        for special in (False, True):
            found = compare(arguments.tercet, path, lines, special)
            results.append({"tokenizer": str(path), "special": special, "lines": len(lines),
                            "bytes": sum(map(len, lines)), "differences": found})
            if not arguments.json:
                print("%s%s: %d lines, %d differences" % (path, " --special" if special else "",
                                                          len(lines), found))
    if arguments.json:
        print(json.dumps(results, indent=2))
    return 1 if any(result["differences"] for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
