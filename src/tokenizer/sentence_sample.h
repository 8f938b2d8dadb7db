// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"

namespace tercet {

// A uniform sample of the sentences of a text in bounded memory. Every sentence draws a random key;
// those below a threshold stay, and the threshold falls whenever they grow too many.
class SentenceSample {
 public:
  SentenceSample(uint64_t max_bytes, uint64_t max_sentences, uint64_t seed);

  // Takes the lines of `text` as sentences: without line ends and without what is not UTF-8, long
  // ones in parts.
  void add(std::string_view text);

  const std::vector<std::string>& sentences() const { return sentences_; }  // in order of the text
  uint64_t bytes() const { return bytes_; }

 private:
  void add_line(std::string_view line);
  void add_sentence(std::string sentence);
  void shrink();

  uint64_t max_bytes_;
  uint64_t max_sentences_;
  Rng rng_;
  double threshold_ = 1;
  std::vector<std::string> sentences_;
  std::vector<double> keys_;
  uint64_t bytes_ = 0;
};

}  // namespace tercet
