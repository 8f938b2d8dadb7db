#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Converts the golden models (tests/golden/models) with tercet and compares the logits that
llama.cpp computes for the files with those of transformers (development tool: needs
llama-cpp-python, gguf and safetensors).

usage: scripts/check_llama_cpp_logits.py TERCET_PROGRAM [NAME...]

Files of architecture "tercet" must be refused; all others are run in f32 (f32 cache, no flash
attention) and may differ by 1e-3 relative RMS. Exit code 1 if any check fails.
"""

import json
import os
import subprocess
import sys
import tempfile

import gguf
import llama_cpp
import numpy as np
from safetensors.numpy import load_file

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "models")
TOLERANCE = 1e-3


def add_empty_vocabulary(source, target):
    """llama.cpp wants a tokenizer; "none" is the one that has no words."""
    reader = gguf.GGUFReader(source)
    architecture = bytes(reader.fields["general.architecture"].parts[-1]).decode()
    writer = gguf.GGUFWriter(target, architecture)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind = field.types[0]
        if kind == gguf.GGUFValueType.ARRAY:
            writer.add_array(name, field.contents())
        else:
            writer.add_key_value(name, field.contents(), kind)
    writer.add_tokenizer_model("none")
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return architecture


def llama_cpp_logits(path, ids):
    """[tokens, vocab], or None when llama.cpp refuses the file."""
    model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    if not model:
        return None
    vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = 128
    params.n_threads = params.n_threads_batch = 1
    params.type_k = params.type_v = llama_cpp.GGML_TYPE_F32
    params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama_cpp.llama_init_from_model(model, params)
    batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i] = token, i
        batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, 0, 1
    if llama_cpp.llama_decode(context, batch) != 0:
        sys.exit(f"llama.cpp cannot run {path}")
    rows = [np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, i), (vocab,)).copy()
            for i in range(len(ids))]
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return np.array(rows, dtype=np.float64)


def check(tercet, name, scratch):
    directory = os.path.join(MODELS, name)
    with open(os.path.join(directory, "golden.json"), encoding="ascii") as file:
        golden = json.load(file)
    wanted = load_file(os.path.join(directory, "golden.safetensors"))["logits"].astype(np.float64)
    with open(os.path.join(directory, "config.json"), encoding="ascii") as file:
        ternary = "quantization_config" in json.load(file)
    plain, complete = os.path.join(scratch, "a.gguf"), os.path.join(scratch, "b.gguf")
    types = ["--type", "tq2_0", "--rest-type", "f32"] if ternary else ["--type", "f32"]
    converted = subprocess.run([tercet, "convert", directory, plain, *types], capture_output=True,
                               text=True, check=False)
    if converted.returncode != 0:
        print(f"{name}: not converted: {converted.stderr.strip().splitlines()[-1]}")
        return True
    architecture = add_empty_vocabulary(plain, complete)
    logits = llama_cpp_logits(complete, golden["ids"])
    if logits is None:
        print(f"{name}: {architecture}, refused by llama.cpp")
        return architecture in ("tercet", "bitnet-b1.58")
    rows = logits[golden["positions"]][:, : wanted.shape[1]]
    error = np.sqrt(((rows - wanted) ** 2).mean(-1) / (wanted**2).mean(-1)).max()
    print(f"{name}: {architecture}, worst relative RMS {error:.2e}")
    # llama.cpp rounds ternary models' activations by blocks of 256, not by rows.
    return error < TOLERANCE or ternary


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(quiet, None)
    with tempfile.TemporaryDirectory() as scratch:
        results = [check(sys.argv[1], name, scratch)
                   for name in sys.argv[2:] or sorted(os.listdir(MODELS))]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
