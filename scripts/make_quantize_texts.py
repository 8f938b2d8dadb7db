#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the texts that docs/quantizing.md measures on, from TinyStories and 100 English novels.

usage: make_quantize_texts.py DATA OUT

DATA holds tinystories/tinystories_a.txt and english-novels/corpus/*.txt. In OUT come to lie
stories_eval.txt (the first 200 stories), stories_calib.txt (the next 256), stories_more.txt (all but
the first 200) and novels_calib.txt (20,000 characters of every twelfth novel, eight in all).
"""

import pathlib
import sys

SEPARATOR = "\n<|endoftext|>\n"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    data, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    text = (data / "tinystories" / "tinystories_a.txt").read_text(encoding="utf-8")
    stories = [story.strip() for story in text.split("<|endoftext|>") if story.strip()]
    for name, part in (("stories_eval", stories[:200]), ("stories_calib", stories[200:456]),
                       ("stories_more", stories[200:])):
        (out / f"{name}.txt").write_text(SEPARATOR.join(part) + "\n", encoding="utf-8")
    novels = sorted((data / "english-novels" / "corpus").glob("*.txt"))[:96:12]
    parts = [novel.read_text(encoding="utf-8", errors="replace")[5000:25000] for novel in novels]
    (out / "novels_calib.txt").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
