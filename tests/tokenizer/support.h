// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/rng.h"
#include "formats/support.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/trainer.h"
#include "tokenizer/vocabulary.h"

namespace tercet::testing {

// Sentences over a small stock of words, with dialogue, digits and indented lines.
inline std::string generated_text(size_t bytes, uint64_t seed) {
  static const std::vector<std::string> words = {
      "the",     "light",    "house",     "stood",      "alone",  "upon",   "a",
      "rock",    "and",      "sailor",    "sang",       "softly", "while",  "waves",
      "rolled",  "homeward", "caf\u00e9", "na\u00efve", "42",     "1857",   "winter",
      "morning", "\"Well",   "said",      "he.",        "then,",  "through"};
  Rng rng(seed);
  std::string out;
  while (out.size() < bytes) {
    out += words[rng.below(words.size())];
    const uint64_t stop = rng.below(16);
    out += stop == 0 ? "\n" : stop == 1 ? "\n\n" : stop == 2 ? "\n    " : " ";
  }
  return out;
}

// Trains on generated_text; 420 pieces, 259 of them special or byte pieces.
inline void train_small(const std::filesystem::path& out, bool add_dummy_prefix = false) {
  bool delivered = false;
  TrainerOptions options;
  options.vocab_size = 420;
  options.character_coverage = 1;
  options.add_dummy_prefix = add_dummy_prefix;
  train_tokenizer(
      [&](std::string& text) {
        if (std::exchange(delivered, true)) return false;
        text = generated_text(40'000, 1);
        return true;
      },
      options, out);
}

// What encoders get wrong: spaces, scripts, marks that combine, emoji, code, length.
inline std::vector<std::string> varied_texts() {
  return {
      "",
      " ",
      "   ",
      "the",
      " the",
      "the ",
      "The light house stood alone upon a rock.",
      "a\nb\n\nc\n\n\nd\n\n\n\ne",
      "\n",
      "\n\n the",
      "tab\tand\r\nreturn",
      "for (int i = 0; i < 10; ++i) {\n    sum += x[i] * 3.14159;\n}",
      "\u4e2d\u6587\u5206\u8bcd\uff0c\u4e00\u4e8c\u4e09\u3002",
      "e\u0301 a\u0308 caf\u00e9 na\u00efve \u0e19\u0e33\u0e49",
      "\U0001F600\U0001F468\u200D\U0001F469\u200D\U0001F467 ok \U0001F1E9\U0001F1EA",
      "1234567890 18 57 3.50",
      "several   spaces    in     a row      ",
      "<s> </s> <unk> <0x0A> text is text",
      "\u2581 the space symbol itself\u2581\u2581",
      std::string(3000, 'a'),
      std::string(500, ' '),
      generated_text(20'000, 9),
  };
}

// A vocabulary in the making: adds pieces with falling scores.
class SpecBuilder {
 public:
  explicit SpecBuilder(bool byte_pieces = true) {
    spec_.origin = "test.model";
    add("<unk>", PieceType::kUnknown);
    add("<s>", PieceType::kControl);
    add("</s>", PieceType::kControl);
    spec_.unknown_id = 0;
    spec_.bos_id = 1;
    spec_.eos_id = 2;
    for (int byte = 0; byte_pieces && byte < 256; ++byte) {
      add(fmt::format("<0x{:02X}>", byte), PieceType::kByte);
    }
  }
  SpecBuilder& add(const std::string& text, PieceType type = PieceType::kNormal) {
    return add(text, type, -static_cast<float>(spec_.pieces.size()));
  }
  SpecBuilder& add(const std::string& text, PieceType type, float score) {
    spec_.pieces.push_back({text, score, type});
    return *this;
  }
  TokenizerSpec& spec() { return spec_; }

 private:
  TokenizerSpec spec_;
};

}  // namespace tercet::testing
