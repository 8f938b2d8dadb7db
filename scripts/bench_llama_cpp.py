#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times llama.cpp (the llama-cpp-python package) on one model and prints what bench_peers.py reads:
tokens per second of a prompt and of generation, and the largest resident memory.

usage: bench_llama_cpp.py MODEL.gguf THREADS PROMPT_TOKENS GENERATED_TOKENS
"""

import ctypes
import json
import resource
import sys
import time

import llama_cpp


class Timer:
    def __init__(self, path, threads, tokens):
        self._silent = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self._silent, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(
            path.encode(), llama_cpp.llama_model_default_params())
        if not self._model:
            sys.exit(f"llama.cpp cannot load {path}")
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = tokens + 64
        parameters.n_batch = 2048
        parameters.n_threads = parameters.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(self._model, parameters)
        vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self._vocabulary_size = llama_cpp.llama_vocab_n_tokens(vocabulary)

    def _run(self, count):
        tokens = [(i * 7919 + 13) % self._vocabulary_size for i in range(count)]
        array = (llama_cpp.llama_token * count)(*tokens)  # the batch only points to it
        batch = llama_cpp.llama_batch_get_one(array, count)
        if llama_cpp.llama_decode(self._context, batch) != 0:
            sys.exit("llama.cpp failed to decode")
        llama_cpp.llama_synchronize(self._context)

    def speed(self, calls, tokens_per_call):
        """Tokens per second from an empty cache, after a call that warms up."""
        memory = llama_cpp.llama_get_memory(self._context)
        self._run(tokens_per_call)
        llama_cpp.llama_memory_clear(memory, True)
        start = time.perf_counter()
        for _ in range(calls):
            self._run(tokens_per_call)
        return calls * tokens_per_call / (time.perf_counter() - start)


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    path, threads, prompt, generated = sys.argv[1], *map(int, sys.argv[2:])
    timer = Timer(path, threads, max(prompt, generated))
    print(json.dumps({
        "pp_tokens_per_s": timer.speed(1, prompt),
        "tg_tokens_per_s": timer.speed(generated, 1),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }))


if __name__ == "__main__":
    main()
