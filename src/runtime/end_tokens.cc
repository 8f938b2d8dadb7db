// SPDX-License-Identifier: Apache-2.0
#include "runtime/end_tokens.h"

#include <algorithm>
#include <string_view>

namespace tercet {
namespace {

// Only counted where they are control tokens of the vocabulary, so that a model which never saw
// them is not cut off.
constexpr std::string_view kEndTexts[] = {
    "<|im_end|>",          "<|eot_id|>", "<|eom_id|>",      "<|end_of_text|>", "<|endoftext|>",
    "<end_of_turn>",       "<|end|>",    "<|end_of_turn|>", "<|eot|>",         "</s>",
    "<|end_of_sentence|>", "<|return|>",
};

}  // namespace

std::vector<int32_t> end_of_generation_ids(const Model& model) {
  std::vector<int32_t> ids = model.config().eos_token_ids;
  if (const Tokenizer* tokenizer = model.tokenizer()) {
    const std::vector<int32_t>& of_tokenizer = tokenizer->end_ids();
    ids.insert(ids.end(), of_tokenizer.begin(), of_tokenizer.end());
    for (const std::string_view text : kEndTexts) {
      const auto id = tokenizer->find_special(text);
      if (id && tokenizer->is_special(*id)) ids.push_back(*id);
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::erase_if(ids, [](int32_t id) { return id < 0; });
  return ids;
}

}  // namespace tercet
