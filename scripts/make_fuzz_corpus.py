#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of the fuzzers, fuzz/corpus/TARGET/seed-*, byte for byte the same each time.

usage: make_fuzz_corpus.py [CORPUS_FOLDER]

Seeds are small files of every kind a target reads, sound ones and ones that differ from a sound one
in what known attacks change. The other files of the corpus were found by the fuzzers (make fuzz).
"""

import json
import pathlib
import random
import struct
import sys

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
FORMATS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?",
           U64: "Q", I64: "q", F64: "d"}


def scalar(kind, value):
    if kind == STRING:
        raw = value if isinstance(value, bytes) else value.encode()
        return struct.pack("<Q", len(raw)) + raw
    return struct.pack("<" + FORMATS[kind], value)


def array(kind, values):
    return struct.pack("<IQ", kind, len(values)) + b"".join(scalar(kind, v) for v in values)


def entry(key, kind, value):
    payload = array(*value) if kind == ARRAY else scalar(kind, value)
    return scalar(STRING, key) + struct.pack("<I", kind) + payload


def gguf(entries, tensors=(), version=3, alignment=32):
    """tensors: (name, extents innermost first, type id, bytes)."""
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries))
    out += b"".join(entry(*e) for e in entries)
    offset = 0
    data = b""
    for name, extents, kind, payload in tensors:
        out += scalar(STRING, name) + struct.pack(f"<I{len(extents)}QIQ", len(extents), *extents,
                                                  kind, offset)
        data += payload + b"\0" * (-len(payload) % alignment)
        offset = len(data)
    if tensors:
        out += b"\0" * (-len(out) % alignment)
    return out + data


BYTE_PIECES = [f"<0x{byte:02X}>" for byte in range(256)]
PIECES = ["\u2581", "t", "h", "e", "l", "i", "g", "th", "he", "the", "\u2581the", "\u2581l", "ig",
          "\n", "\n\n", "\u4e2d", "caf\u00e9"]


def llama_vocabulary(byte_pieces=True, extra=()):
    tokens = ["<unk>", "<s>", "</s>"] + (BYTE_PIECES if byte_pieces else []) + PIECES
    types = [2, 3, 3] + [6] * (256 if byte_pieces else 0) + [1] * len(PIECES)
    for text, kind in extra:
        tokens.append(text)
        types.append(kind)
    return [("tokenizer.ggml.model", STRING, "llama"),
            ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
            ("tokenizer.ggml.scores", ARRAY, (F32, [-float(i) for i in range(len(tokens))])),
            ("tokenizer.ggml.token_type", ARRAY, (I32, types)),
            ("tokenizer.ggml.bos_token_id", U32, 1),
            ("tokenizer.ggml.eos_token_id", U32, 2),
            ("tokenizer.ggml.unknown_token_id", U32, 0)]


def gpt2_vocabulary():
    alphabet = [chr(c) for c in range(33, 127)] + ["\u0120", "\u010a"]
    tokens = alphabet + ["th", "the", "\u0120the", "he", "<|end|>"]
    return [("tokenizer.ggml.model", STRING, "gpt2"),
            ("tokenizer.ggml.pre", STRING, "gpt-2"),
            ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
            ("tokenizer.ggml.token_type", ARRAY, (I32, [1] * (len(tokens) - 1) + [3])),
            ("tokenizer.ggml.merges", ARRAY, (STRING, ["t h", "th e", "\u0120 the", "h e"])),
            ("tokenizer.ggml.eos_token_id", U32, len(tokens) - 1)]


def gguf_seeds():
    every = [(f"key.{name}", kind, value) for name, kind, value in
             [("u8", U8, 7), ("i8", I8, -7), ("u16", U16, 7), ("i16", I16, -7), ("u32", U32, 7),
              ("i32", I32, -7), ("f32", F32, 0.5), ("bool", BOOL, True), ("string", STRING, "text"),
              ("u64", U64, 2**63), ("i64", I64, -7), ("f64", F64, 0.5)]]
    arrays = [(f"list.{kind}", ARRAY, (kind, [1, 0, 1])) for kind in FORMATS]
    arrays.append(("list.string", ARRAY, (STRING, ["", "a", "\u00e9"])))
    arrays.append(("list.empty", ARRAY, (U8, [])))
    plain = [("vector", [5], 0, b"\0\0\x80?" * 5), ("matrix", [32, 2], 8, b"\0\x3c" * 34),
             ("ternary", [256, 1], 35, b"\x55" * 64 + b"\0\x3c"), ("empty", [0, 3], 1, b"")]
    yield "scalars", gguf(every)
    yield "arrays", gguf(arrays)
    yield "tensors", gguf([("general.architecture", STRING, "llama")], plain)
    yield "version2", gguf(every[:3], plain, version=2)
    yield "aligned64", gguf([("general.alignment", U32, 64)], plain, alignment=64)
    yield "alignment-u64", gguf([("general.alignment", U64, 64)], plain, alignment=64)
    yield "nested-array", gguf([("a", ARRAY, (ARRAY, []))])
    yield "every-type", gguf([], [(f"t{kind}", [256], kind, bytes(1024)) for kind in range(43)])
    for name, count in (("tensors", 0), ("keys", 1)):
        huge = bytearray(gguf(every[:1], plain[:1]))
        struct.pack_into("<Q", huge, 8 + 8 * count, 2**64 - 1)
        yield f"huge-count-of-{name}", bytes(huge)
    yield "dims-overflow", gguf([], [("t", [2**32, 2**32, 1, 1], 0, b"")])
    # Lists of the smallest items: what grows most in memory.
    yield "many-small-numbers", gguf([("a", ARRAY, (U8, [0] * 8000))])
    yield "many-empty-strings", gguf([("a", ARRAY, (STRING, [""] * 1000))])
    yield "many-keys", gguf([(f"{i}", U8, 0) for i in range(700)])


def model_gguf(architecture, linear, seed):
    """A model of one layer: hidden 32 (256 for ternary blocks), two heads, vocabulary of 20."""
    rng = random.Random(seed)
    blocks = linear in (34, 35)
    hidden, inner, heads = (256, 256, 4) if blocks else (32, 64, 2)
    vocabulary = llama_vocabulary(byte_pieces=False)
    vocab = len(vocabulary[1][2][1])
    prefix = architecture + "."
    keys = [("general.architecture", STRING, architecture), (prefix + "context_length", U32, 64),
            (prefix + "embedding_length", U32, hidden), (prefix + "block_count", U32, 1),
            (prefix + "feed_forward_length", U32, inner),
            (prefix + "attention.head_count", U32, heads),
            (prefix + "attention.head_count_kv", U32, heads // 2),
            (prefix + "attention.layer_norm_rms_epsilon", F32, 1e-5),
            (prefix + "rope.freq_base", F32, 10000.0)] + vocabulary

    def payload(kind, cols, rows):
        count = cols * rows
        if kind == 0:
            return struct.pack(f"<{count}f", *[rng.uniform(-1, 1) for _ in range(count)])
        if kind == 8:
            return b"".join(b"\0\x20" + rng.randbytes(32) for _ in range(count // 32))
        if kind == 1:
            return b"".join(struct.pack("<e", rng.uniform(-1, 1)) for _ in range(count))
        return b"".join(
            bytes(rng.choice((0x00, 0x55, 0xAA, 0x19)) for _ in range(64)) + b"\0\x20"
            for _ in range(count // 256))

    def matrix(name, cols, rows, kind=linear):
        return (name + ".weight", [cols, rows], kind, payload(kind, cols, rows))

    def norm(name, size):
        return (name + ".weight", [size], 0, b"\0\0\x80?" * size)

    keyed = hidden // 2
    tensors = [matrix("token_embd", hidden, vocab, 8)]
    tensors += [norm("blk.0.attn_norm", hidden), matrix("blk.0.attn_q", hidden, hidden),
                matrix("blk.0.attn_k", hidden, keyed), matrix("blk.0.attn_v", hidden, keyed),
                matrix("blk.0.attn_output", hidden, hidden)]
    if architecture.startswith("bitnet"):
        tensors += [norm("blk.0.attn_sub_norm", hidden), norm("blk.0.ffn_sub_norm", inner)]
    tensors += [norm("blk.0.ffn_norm", hidden), matrix("blk.0.ffn_gate", hidden, inner),
                matrix("blk.0.ffn_up", hidden, inner), matrix("blk.0.ffn_down", inner, hidden),
                norm("output_norm", hidden)]
    return gguf(keys, tensors)


def gguf_model_seeds():
    yield "llama-q8_0", model_gguf("llama", 8, 1)
    yield "llama-f16", model_gguf("llama", 1, 2)
    yield "bitnet-q8_0", model_gguf("bitnet", 8, 3)
    yield "bitnet-tq2_0", model_gguf("bitnet-b1.58", 35, 4)


def vocabulary_seeds():
    yield "llama", gguf(llama_vocabulary())
    yield "no-bytes", gguf(llama_vocabulary(byte_pieces=False))
    yield "user-defined", gguf(llama_vocabulary(extra=[("<|user|>", 4), ("<|us", 4), ("unused", 5)]))
    yield "spaces", gguf(llama_vocabulary() + [("tokenizer.ggml.remove_extra_whitespaces", BOOL, True),
                                               ("tokenizer.ggml.add_space_prefix", BOOL, False),
                                               ("tokenizer.ggml.add_bos_token", BOOL, False)])
    yield "negative-byte", gguf(llama_vocabulary(False, [("<0x-1>", 6)]))
    yield "types-as-strings", gguf([("tokenizer.ggml.model", STRING, "llama"),
                                    ("tokenizer.ggml.tokens", ARRAY, (STRING, ["a"])),
                                    ("tokenizer.ggml.scores", ARRAY, (F32, [0.0])),
                                    ("tokenizer.ggml.token_type", ARRAY, (STRING, ["1"]))])
    yield "gpt2", gguf(gpt2_vocabulary())
    for pre in ("llama-bpe", "qwen2", "smollm", "tekken", "deepseek-llm"):
        yield pre, gguf([entry if entry[0] != "tokenizer.ggml.pre" else (entry[0], STRING, pre)
                         for entry in gpt2_vocabulary()])
    yield "mystery-pre", gguf(gpt2_vocabulary()[:1] + [("tokenizer.ggml.pre", STRING, "?")])


def safetensors(header, data=b""):
    raw = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors_seeds():
    four = b"\0\0\x80?"
    yield "plain", safetensors({"a": tensor("F32", [1, 2], 0, 8), "__metadata__": {"format": "pt"},
                                "b": tensor("BF16", [2], 8, 12)}, four * 3)
    yield "scalar-and-empty", safetensors({"a": tensor("F32", [], 0, 4),
                                           "e": tensor("F64", [3, 0], 4, 4)}, four)
    yield "every-type", safetensors(
        {f"t{i}": tensor(t, [8], 64 * i, 64 * i + size * 8) for i, (t, size) in
         enumerate([("F64", 8), ("I64", 8)])}, bytes(128))
    yield "hole", safetensors({"a": tensor("U8", [4], 0, 4), "b": tensor("U8", [4], 5, 9)}, bytes(9))
    yield "overlap", safetensors({"a": tensor("U8", [4], 0, 4), "b": tensor("U8", [4], 3, 7)}, bytes(7))
    yield "overflow", safetensors({"a": tensor("F32", [2**32, 2**32], 0, 0)})
    yield "duplicate", safetensors(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
                                   b'"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', b"ab")
    yield "deep", safetensors(b'{"a":' + b"[" * 200 + b"]" * 200 + b"}")
    yield "wide", safetensors(b'{"a":[' + b",".join([b"[]"] * 3000) + b"]}")
    yield "huge-header", struct.pack("<Q", 2**63) + b"{}"


CONFIG = {"model_type": "llama", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64,
          "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
          "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
          "bos_token_id": 1, "eos_token_id": [2, 3], "hidden_act": "silu",
          "tie_word_embeddings": True}


def config_seeds():
    def seed(**changes):
        return json.dumps({**CONFIG, **changes}).encode()
    for name in ("llama", "bitnet", "mistral", "qwen2", "qwen3", "gemma3_text", "falcon_h1", "tercet"):
        act = "relu2" if name == "bitnet" else "gelu_pytorch_tanh" if "gemma" in name else "silu"
        yield name, seed(model_type=name, hidden_act=act, linear="dense", norm="pre")
    yield "online", seed(quantization_config={"quant_method": "bitnet", "linear_class": "autobitlinear",
                                              "quantization_mode": "online", "use_rms_norm": True,
                                              "rms_norm_eps": 1e-5})
    yield "offline", seed(quantization_config={"quant_method": "bitnet", "linear_class": "bitlinear",
                                               "quantization_mode": "offline"})
    yield "rope-linear", seed(rope_scaling={"rope_type": "linear", "factor": 2.0})
    yield "rope-llama3", seed(rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                            "high_freq_factor": 4.0,
                                            "original_max_position_embeddings": 64})
    yield "rope-yarn", seed(rope_scaling={"type": "yarn", "factor": 4.0, "beta_fast": 32, "beta_slow": 1,
                                          "attention_factor": 1.1,
                                          "original_max_position_embeddings": 32})
    yield "rope-parameters", seed(rope_parameters={"rope_type": "default", "rope_theta": 5e5,
                                                   "partial_rotary_factor": 0.5})
    yield "text-config", json.dumps({"model_type": "gemma3", "text_config": CONFIG}).encode()
    yield "head-dim", seed(head_dim=16, attention_bias=True, mlp_bias=False)
    yield "sliding", seed(model_type="gemma3_text", sliding_window=16, sliding_window_pattern=2,
                          layer_types=["sliding_attention", "full_attention"], head_dim=8,
                          query_pre_attn_scalar=8, rope_local_base_freq=1e4)
    yield "huge", seed(hidden_size=2**62, num_hidden_layers=2**31)
    yield "negative", seed(num_attention_heads=-4, vocab_size=-1)
    yield "deep", b'{"a":' * 3000 + b"1" + b"}" * 3000


def index_seeds():
    def index(files):
        return json.dumps({"metadata": {"total_size": 1}, "weight_map": files}).encode()
    yield "two", index({"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"})
    for name, path in (("parent", "../a"), ("absolute", "/etc/passwd"), ("nested", "a/b"),
                       ("dots", ".."), ("backslash", "..\\a"), ("nul", "a\0b"), ("empty", "")):
        yield name, index({"a": path})
    yield "number", index({"a": 1})


def varint(value):
    out = b""
    while True:
        out += bytes([value & 0x7F | (0x80 if value > 0x7F else 0)])
        value >>= 7
        if not value:
            return out


def field(number, value):
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def sentencepiece(pieces, trainer=field(3, 2) + field(35, 1), normalizer=field(1, b"identity")):
    out = b""
    for i, (text, kind) in enumerate(pieces):
        body = field(1, text.encode()) + field(2, -float(i))
        out += field(1, body if kind == 1 else body + field(3, kind))
    return out + field(2, trainer) + field(3, normalizer)


def sentencepiece_seeds():
    special = [("<unk>", 2), ("<s>", 3), ("</s>", 3)]
    plain = [(piece, 1) for piece in PIECES]
    byte_pieces = [(piece, 6) for piece in BYTE_PIECES]
    yield "bytes", sentencepiece(special + byte_pieces + plain)
    yield "no-bytes", sentencepiece(special + plain, trainer=field(3, 2))
    yield "user-defined", sentencepiece(special + plain + [("<|user|>", 4), ("<|us", 4), ("old", 5)])
    yield "spaces", sentencepiece(special + plain, normalizer=field(1, b"identity") + field(3, 0) +
                                  field(4, 1) + field(5, 1))
    yield "unigram", sentencepiece(special + plain, trainer=field(3, 1))
    yield "charsmap", sentencepiece(special + plain, normalizer=field(1, b"nmt_nfkc") + field(2, b"abc"))
    yield "negative-byte", sentencepiece(special + [("<0x-1>", 6)])
    yield "cut", sentencepiece(special + plain)[:-30]
    yield "endless-varint", b"\x0a" + b"\xff" * 20


def own(layout, scope, rows, cols, group, codes, scales, half=False):
    header = struct.pack("<4sHBBqqqQB", b"TCTL", 2 if half else 1, layout, scope, rows, cols, group,
                         64 + (len(codes) + 63) // 64 * 64, int(half))
    packed = struct.pack(f"<{len(scales)}{'e' if half else 'f'}", *scales)
    return (header.ljust(64, b"\0") + codes + b"\0" * (-len(codes) % 64) + packed +
            b"\0" * (-len(packed) % 64))


def own_seeds():
    yield "trit5-tensor", own(2, 0, 2, 5, 5, b"\x00\xf8", [0.5])
    yield "trit4-rows", own(3, 1, 2, 4, 4, b"\x55\xaa", [0.5, -1.0])
    # Seven columns in groups of four: a last short group, its unused places hold code 0.
    yield "trit4-groups", own(3, 2, 1, 7, 4, b"\x12\x55", [0.25, 3.0])
    yield "trit5-groups", own(2, 2, 2, 6, 3, b"\x7c\x7c\x7c\x7c", [1.0, 2.0, 3.0, 4.0])
    yield "trit5-f16-groups", own(2, 2, 2, 6, 3, b"\x7c\x7c\x7c\x7c", [1.0, 2.0, 3.0, -0.5], True)
    yield "f16-infinite", own(3, 0, 1, 4, 4, b"\x55", [float("inf")], True)
    yield "huge-shape", own(2, 0, 2**62, 2**62, 2**62, b"", [1.0])
    yield "nan-scale", own(3, 0, 1, 4, 4, b"\x55", [float("nan")])


def block_seeds():
    rng = random.Random(5)
    for kind in range(43):
        yield f"type-{kind}", bytes([kind, 1, 8]) + rng.randbytes(300)
    yield "tq1_0", bytes([34, 1, 8]) + b"\x80" * 52 + b"\0\x3c"
    yield "tq2_0", bytes([35, 2, 8]) + (b"\x55" * 64 + b"\0\x3c") * 2
    yield "q8_0-infinite", bytes([8, 1, 1]) + b"\0\x7c" + bytes(32)


def tokenizer_json_seeds():
    golden = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "tokenizers"
    for file in sorted(golden.glob("*.json")):
        if file.name == "golden.json":
            continue
        document = json.loads(file.read_text(encoding="utf-8"))
        model = document["model"]
        # A few merges are enough to start from; the ids stay as they are.
        model["merges"] = model["merges"][:12]
        kept = {left + right for left, right in model["merges"]}
        model["vocab"] = {text: id for text, id in model["vocab"].items()
                          if len(text) == 1 or text in kept or text.startswith("<")}
        yield file.stem, json.dumps(document, separators=(",", ":")).encode()
    yield "empty", b"{}"
    yield "deep", b'{"normalizer":' + b'{"type":"Sequence","normalizers":[' * 80
    yield "hole", b'{"model":{"vocab":{"a":0,"b":4000},"merges":[]}}'


def chat_template_seeds():
    folder = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "chat_templates"
    for file in sorted(folder.glob("*.jinja")):
        yield file.stem, file.read_bytes()
    for name, text in (
            ("class", "{{ ''.__class__.__mro__[1].__subclasses__() }}"),
            ("format", "{{ '{0.__class__}'.format(1) }}{{ '%-9s|%05.1f' % ('a', 1.5) }}"),
            ("include", "{% include 'a' %}"),
            ("loops", "{% for a in range(9) %}{% for b in range(a) %}{{ loop.index }}{% endfor %}{% endfor %}"),
            ("macro", "{% macro m(n=3) %}{% if n %}{{ m(n - 1) }}{{ n }}{% endif %}{% endmacro %}{{ m() }}"),
            ("namespace", "{% set n = namespace(s='a') %}{% for i in [1, 2] %}{% set n.s = n.s ~ n.s %}"
                          "{% endfor %}{{ n.s }}"),
            ("text", "{{ messages[1].content.strip().split('i')|join('-')|upper }}{{ messages|tojson(indent=2) }}"),
            ("lists", "{{ [3, 1, 2]|sort|map('string')|join }}{{ messages|groupby('role')|length }}"
                      "{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|list }}"),
            ("numbers", "{{ 7 // -2 }}{{ 7 % -2 }}{{ 2 ** 62 }}{{ 1e308 * 10 }}{{ '1_0'|int }}"),
            ("call", "{% macro m() %}<{{ caller('a') }}>{% endmacro %}{% call(x) m() %}{{ x }}{% endcall %}"),
            ("filter", "{% filter trim|upper %} {{ messages[0].content }} {% endfilter %}")):
        yield name, text.encode()


def encode_seeds():
    yield "english", b"the nathan an banana the\n\n thethe"
    yield "mixed", "caf\u00e9 \u4e2d\u6587 e\u0301 \U0001F600\U0001F468\u200d\U0001F469 \u2581a".encode()
    yield "broken", b"\xff\xc3 \xe4\xb8 \xed\xa0\x80 \xf5\x80\xc0\x80<|user|><|us<s><0x0A>"
    yield "one-letter", b"a" * 3000
    yield "spaces", b" " * 500
    yield "empty", b""


TARGETS = {"gguf": gguf_seeds, "gguf_model": gguf_model_seeds, "gguf_vocabulary": vocabulary_seeds,
           "safetensors": safetensors_seeds, "config_json": config_seeds, "index_json": index_seeds,
           "sentencepiece": sentencepiece_seeds, "own_layout": own_seeds, "blocks": block_seeds,
           "chat_template": chat_template_seeds, "encode": encode_seeds,
           "tokenizer_json": tokenizer_json_seeds}


def main(arguments):
    root = pathlib.Path(__file__).resolve().parent.parent / "fuzz" / "corpus"
    if arguments:
        root = pathlib.Path(arguments[0])
    for target, seeds in TARGETS.items():
        folder = root / target
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("seed-*"):
            old.unlink()
        for name, content in seeds():
            (folder / f"seed-{name}").write_bytes(content)
    total = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    print(f"{root}: {total} bytes in all")


if __name__ == "__main__":
    main(sys.argv[1:])
