#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains tiny tokenizers of every kind that tercet interprets and stores what the `tokenizers`
package makes of a set of lines, for tests/tokenizer/golden_test.cc.

usage: make_tokenizer_fixtures.py tests/golden/tokenizers

Writes NAME.json (a tokenizer.json) for each and golden.json: the lines, and by tokenizer the ids
with control tokens as text, the ids with control tokens recognised, and the decoded text. Needs the
`tokenizers` package; the texts are the script's own.
"""

import json
import pathlib
import random
import sys

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

WORDS = """the light house stood alone upon a rock and sailor sang softly while waves rolled homeward
winter morning through he she it was not don't I'm they'll we've you'd can't return value index for
while if else print self import from def class int float string true false null caf\u00e9
na\u00efve stra\u00dfe \u4e2d\u6587 \u5206\u8bcd \u4e00\u4e8c\u4e09 \u0645\u0631\u062d\u0628\u0627
\u0628\u0643 \u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440 \ud55c\uad6d\uc5b4 12 345 1857
2024 3.14 == != += -> :: () [] {} // ... , . ; ! ? "" ''""".split()
ODD = ["'s", "'S", "'\u017f", "'re", "'LL", "\u0130", "\ufb01", "\u212b", "e\u0301", "a\u0300\u0316",
       "\uac00\u11a8", "\u1e9b\u0323", "\u0958", "\U0001F600", "\U0001F468\u200d\U0001F469",
       "\u2581", "\u2581\u2581x", "<0x0A>", "<unk>", "<s>", "</s>", "<|end|>", "<|start|>user",
       "<tool>", " <tool> ", "x<tool>y", "tool", "stool", "tool!", "<mask> ", "  <mask>  z",
       "\u0661\u0662\u0663\u0664", "\u00bd\u2167", "123456789", "\u3000", "\u00a0", "\u2028",
       "\u0085", "\u180e", "\u200b", "\ufffd", "\x1c", "\t\t", "    ", "  ", " \t ", "\u00ad", "_a_",
       "A_B", "\u0e19\u0e33\u0e49", "\u1c89", "\U00010d40", "\u0eba\u0e39", "\r", "\r \r", "#$%",
       "\u2026\u2026", "\u300c\u5f15\u300d", "\u24b6", "\u00b2", "\U0001F1E9\U0001F1EA"]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
          r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
POSSESSIVE = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,2}|"
              r" ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+")


def corpus(rng, lines):
    return ["".join(rng.choice(WORDS) + rng.choice([" "] * 8 + ["\n", "  ", "\t", ""])
                    for _ in range(rng.randint(4, 14))) for _ in range(lines)]


def test_lines(rng, count):
    out = ["", " ", "a", " a", "a ", "\u2581"] + ODD
    while len(out) < count:
        parts = [rng.choice(ODD if rng.random() < 0.35 else WORDS) + rng.choice(["", " ", " ", "  "])
                 for _ in range(rng.randint(1, 9))]
        out.append("".join(parts).replace("\n", " "))
    return out


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def train(tokenizer, texts, vocab_size, byte_level, special):
    alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_level else []
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=sorted(alphabet), special_tokens=special,
        show_progress=False))
    return tokenizer


def byte_level(texts, steps, normalizer=None, ignore_merges=False, special=("<|end|>",)):
    """A byte-level model behind the pre-tokenizers `steps`."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
    tokenizer.decoder = decoders.ByteLevel()
    return train(tokenizer, texts, 480, True, list(special))


def plain_bytes():
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def all_splits(vocabulary, merges):
    """Merges as the conversion from SentencePiece makes them: of every piece all pairs of pieces
    that it consists of, the pieces in order of their scores."""
    pieces = dict.fromkeys(left + right for left, right in merges)
    return [(piece[:at], piece[at:]) for piece in pieces for at in range(1, len(piece))
            if piece[:at] in vocabulary and piece[at:] in vocabulary]


def sentencepiece(texts, converted):
    """As SentencePiece models are in tokenizer.json: byte pieces, the whole text one word."""
    base = Tokenizer(models.BPE(unk_token="<unk>"))
    base.pre_tokenizer = pre_tokenizers.Metaspace()
    train(base, texts, 420, False, ["<unk>", "<s>", "</s>"])
    state = json.loads(base.to_str())
    vocabulary = dict(state["model"]["vocab"])
    for byte in range(256):
        vocabulary["<0x%02X>" % byte] = len(vocabulary)
    merges = [tuple(merge) for merge in state["model"]["merges"]]
    if converted:
        merges = all_splits(vocabulary, merges)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>",
                                     fuse_unk=True, byte_fallback=True))
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
    return tokenizer


def metaspace(texts, scheme, fuse):
    """Words behind a space symbol; characters outside the vocabulary are unknown."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=fuse))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme)
    ascii_texts = [text.encode("ascii", errors="ignore").decode() for text in texts]
    train(tokenizer, ascii_texts, 300, False, ["<unk>", "<s>"])
    tokenizer.add_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    return tokenizer


def everything(texts):
    """The normalizers and pre-tokenizers that the others do not have."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.NFD(), normalizers.StripAccents(),
         normalizers.Strip(), normalizers.Replace(Regex("[.]{2,}"), "\u2026")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_previous"),
         pre_tokenizers.Digits(individual_digits=True),
         split("[a-f]+", "merged_with_next"), split("[xyz]", "removed"),
         split("[^o]+", "contiguous", True)])
    train(tokenizer, texts, 300, False, ["<unk>", "<s>"])
    return tokenizer


def make_all(texts):
    gpt2 = byte_level(texts, [pre_tokenizers.ByteLevel(add_prefix_space=True)])
    llama3 = byte_level(texts, [split(LLAMA3), plain_bytes()], ignore_merges=True,
                        special=("<s>", "<|end|>"))
    llama3.post_processor = processors.Sequence([processors.ByteLevel(), processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", llama3.token_to_id("<s>"))])])
    qwen = byte_level(texts, [split(QWEN2), plain_bytes()], normalizers.NFC())
    qwen.add_special_tokens(["<|start|>"])
    qwen.add_tokens([AddedToken("<tool>", rstrip=True, lstrip=True, normalized=False),
                     AddedToken("tool", single_word=True, normalized=False)])
    falcon = byte_level(texts, [pre_tokenizers.Punctuation("contiguous"),
                                pre_tokenizers.ByteLevel(add_prefix_space=False),
                                pre_tokenizers.Digits(), split("[0-9][0-9][0-9]")])
    return {"gpt2": gpt2, "llama3": llama3, "qwen": qwen, "falcon": falcon,
            "starcoder": byte_level(texts, [pre_tokenizers.Digits(individual_digits=True),
                                            pre_tokenizers.ByteLevel(add_prefix_space=False)]),
            "tekken": byte_level(texts, [split(TEKKEN), plain_bytes()], ignore_merges=True),
            "possessive": byte_level(texts, [split(POSSESSIVE, "removed", True), plain_bytes()]),
            "sentencepiece": sentencepiece(texts, True),
            "byte_fallback": sentencepiece(texts, False),
            "metaspace_first": metaspace(texts, "first", True),
            "metaspace_always": metaspace(texts, "always", False),
            "everything": everything(texts)}


def results(tokenizer, lines):
    out = {"ids": [], "special_ids": [], "text": []}
    for line in lines:
        tokenizer.encode_special_tokens = True
        out["ids"].append(tokenizer.encode(line, add_special_tokens=False).ids)
        tokenizer.encode_special_tokens = False
        out["special_ids"].append(tokenizer.encode(line, add_special_tokens=False).ids)
        out["text"].append(tokenizer.decode(out["special_ids"][-1]))
    out["prompt"] = tokenizer.encode("the house").ids
    return out


def main():
    folder = pathlib.Path(sys.argv[1])
    rng = random.Random(7)
    texts = corpus(rng, 400)
    lines = test_lines(rng, 160)
    golden = {"lines": lines, "tokenizers": {}}
    for name, tokenizer in make_all(texts).items():
        text = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
        (folder / (name + ".json")).write_text(text + "\n", encoding="utf-8")
        golden["tokenizers"][name] = results(tokenizer, lines)
    (folder / "golden.json").write_text(
        json.dumps(golden, ensure_ascii=True, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
