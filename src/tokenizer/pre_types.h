// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace tercet {

// What a value of tokenizer.ggml.pre stands for: how the text of a byte-level vocabulary is
// normalized and split into words.
struct PreType {
  std::string_view name;
  // Applied one after the other, each to the parts that the one before made; matches and what lies
  // between them stay apart.
  std::span<const std::string_view> patterns;
  bool nfc = false;            // the text is brought into Unicode's form NFC first
  bool ignore_merges = false;  // a word that is a token needs no merging
  bool add_bos = false;        // where the file does not say
};

// Every number by itself, as "Digits" does.
inline constexpr std::string_view kEachDigit = R"(\p{N})";

// All that are known. Of those that say the same the first is the one to write.
std::span<const PreType> pre_types();

// nullptr for an unknown name.
const PreType* find_pre_type(std::string_view name);

}  // namespace tercet
