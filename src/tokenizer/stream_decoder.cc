// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace tercet {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool at_text_start)
    : tokenizer_(&tokenizer), at_text_start_(at_text_start) {}

std::string StreamDecoder::push(int32_t id) {
  tokenizer_->append_text(id, at_text_start_, pending_);
  std::string out;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Prefix prefix = utf8_prefix(rest);
    if (prefix.kind == Utf8Prefix::Kind::kIncomplete) break;
    const bool valid = prefix.kind == Utf8Prefix::Kind::kCharacter;
    out += valid ? rest.substr(0, prefix.length) : kReplacementCharacter;
    rest.remove_prefix(prefix.length);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return out;
}

std::string StreamDecoder::finish() {
  // push() leaves nothing but the beginning of one character.
  return std::exchange(pending_, {}).empty() ? std::string() : std::string(kReplacementCharacter);
}

}  // namespace tercet
