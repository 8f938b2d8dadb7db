// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/codec.h"
#include "tokenizer/decoder.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"

namespace tercet {

// A tokenizer as tokenizer.json describes it: normalizer, pre-tokenizer, BPE, decoder.
struct HfSpec {
  BpeSpec bpe;
  std::vector<AddedToken> added;
  NormalizerSteps normalizer;
  PreTokenizerSteps pre_tokenizer;
  Decoder decoder;
  SpecialIds special_ids;
  // What the normalizer and the pre-tokenizer do, in words that are equal for equal ones.
  std::string normalizer_summary;
  std::string pre_tokenizer_summary;
  std::string json;  // the file, for what GGUF has no keys for (gguf_needs_json)
};

// In pre_tokenizer_summary: a Split whose matches stay apart, and Digits one by one.
std::string isolated_regex_summary(std::string_view pattern);
inline constexpr const char* kDigitsSummary = "digits\n";

// Throws kBadInput as BpeModel does.
std::unique_ptr<const Codec> make_hf_codec(HfSpec spec);

}  // namespace tercet
