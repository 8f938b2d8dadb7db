// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <vector>

#include "fuzz/target.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace tercet::fuzz {

inline bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Prefix prefix = utf8_prefix(text);
    if (prefix.kind != Utf8Prefix::Kind::kCharacter) return false;
    text.remove_prefix(prefix.length);
  }
  return true;
}

// What holds for every tokenizer and every text: encoding is total, its ids exist, and streaming
// never shows half a character.
inline void check_text(const Tokenizer& tokenizer, std::string_view text) {
  for (const int32_t id : tokenizer.encode_with_special(text)) {
    require(id >= 0 && id < tokenizer.vocab_size(), "encoding gives ids of the vocabulary");
  }
  const std::vector<int32_t> ids = tokenizer.encode_prompt(text);
  StreamDecoder stream(tokenizer, true);
  for (const int32_t id : ids) {
    require(id >= 0 && id < tokenizer.vocab_size(), "encoding gives ids of the vocabulary");
    require(is_utf8(stream.push(id)), "streaming shows whole characters");
  }
  require(is_utf8(stream.finish()), "streaming ends with whole characters");
  (void)tokenizer.decode(ids);
}

// For a tokenizer that came from a hostile file.
inline void check_tokenizer(const Tokenizer& tokenizer) {
  for (const int32_t id : {tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.unknown_id()}) {
    require(id >= -1 && id < tokenizer.vocab_size(), "special ids exist");
  }
  for (const std::string_view text :
       {"", " ", "the light house", "a\n\n  b\tc 12345 don't", "caf\u00e9 \u4e2d\u6587 e\u0301",
        "\xff\xc3 \xf0\x9f\x98\x80<s></s><unk><0x0A>\xe2\x96\x81"}) {
    check_text(tokenizer, text);
  }
  const int32_t some = std::min(tokenizer.vocab_size(), 1000);
  for (int32_t id = 0; id < some; ++id) {
    const int32_t twice[] = {id, id};
    (void)tokenizer.piece(id);
    (void)tokenizer.piece_bytes(id);
    (void)tokenizer.decode(twice);
  }
}

}  // namespace tercet::fuzz
