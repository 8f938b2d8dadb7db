// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tokenizer/bpe_model.h"
#include "tokenizer/hf_codec.h"

namespace tercet {

class GgufFile;
class GgufWriter;

// The tokenizer.ggml.* keys of a byte-level vocabulary (tokenizer.ggml.model = "gpt2"), or the
// tokenizer.json that the file holds instead. Throws kUnsupported naming an unknown
// tokenizer.ggml.pre, kBadInput naming file and key when keys disagree.
HfSpec read_gguf_bpe(const GgufFile& file);

// Writes a tokenizer in the form that other readers understand: "gpt2" with a known
// tokenizer.ggml.pre, or "llama" with scores that give the same ids. Where neither fits, a
// tokenizer.ggml.pre that they refuse, and the whole tokenizer.json.
void write_gguf_bpe(const HfSpec& spec, const BpeModel& model, GgufWriter& writer);

// Whether write_gguf_bpe() may have to write spec.json.
bool gguf_needs_json(const HfSpec& spec);

}  // namespace tercet
