// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/decoder.h"
#include "tokenizer/text_range.h"
#include "tokenizer/tokenizer.h"

namespace tercet {

// Tokens with a role, -1 for those that a tokenizer lacks.
struct SpecialIds {
  int32_t bos = -1;
  int32_t eos = -1;
  int32_t unknown = -1;
  int32_t padding = -1;
  std::vector<int32_t> prefix;  // put before and behind a prompt
  std::vector<int32_t> suffix;
  std::vector<int32_t> ends;  // that end a text or a turn, as the file says
};

struct EncodeOptions {
  bool continues = false;     // the text follows other text
  bool with_special = false;  // control tokens written in the text are recognised
  // But where they touch these bytes, ascending and apart: what others than the program wrote.
  std::span<const TextRange> data = {};
};

// What stands behind class Tokenizer: one kind of tokenizer. Immutable as far as callers can see;
// safe to share between threads.
class Codec {
 public:
  virtual ~Codec() = default;

  virtual const std::vector<Piece>& pieces() const = 0;
  virtual const SpecialIds& special_ids() const = 0;
  // The control, user-defined or added token with exactly this text, or -1.
  virtual int32_t find_special(std::string_view text) const = 0;
  virtual bool is_special(int32_t id) const = 0;

  virtual std::vector<int32_t> encode(std::string_view text,
                                      const EncodeOptions& options) const = 0;
  // Appends the bytes that the token `id`, of the vocabulary, gives.
  virtual void append_text(int32_t id, DecodeState& state, std::string& out) const = 0;
  // Sets the tokenizer.ggml.* keys.
  virtual void write_gguf(GgufWriter& writer) const = 0;
  // The text of a tokenizer.json that gives the same ids. Throws kUnsupported naming what of the
  // tokenizer it cannot say.
  virtual std::string to_json() const = 0;
};

}  // namespace tercet
