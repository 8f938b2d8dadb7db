// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace tercet {

struct TrainerOptions {
  int32_t vocab_size = 4096;
  // Share of the characters of the text that become pieces; the rest is encoded by bytes.
  double character_coverage = 0.9995;
  // Bounds of the uniform sample that is trained on, and with it of the memory used.
  uint64_t max_sample_bytes = uint64_t{100} << 20;
  uint64_t max_sentences = 10'000'000;
  uint64_t seed = 0;  // of the sample
  int threads = 1;
  // Whether a space is put before every text. Without, a text begins as a line does.
  bool add_dummy_prefix = false;
};

struct TrainerStats {
  uint64_t corpus_bytes = 0;
  uint64_t sample_bytes = 0;
  uint64_t sample_sentences = 0;
};

// The next stretch of the corpus (any length; best cut before white space) into `text`; false after
// the last. May throw to stop.
using TextSource = std::function<bool(std::string& text)>;

// Trains a SentencePiece BPE model with byte fallback and no normalization, so that every text
// survives encoding and decoding exactly; digits are separate, "\n" and "\n\n" pieces of their own,
// <unk>, <s> and </s> have the ids 0, 1 and 2. Writes tokenizer.model, tokenizer_config.json and
// special_tokens_map.json into `out` (created when missing), as transformers reads them. The result
// depends on the corpus and the options but the number of threads only.
// Throws kUsage when the vocabulary size is impossible for the corpus, naming the possible ones,
// kBadInput for a corpus without text.
TrainerStats train_tokenizer(const TextSource& corpus, const TrainerOptions& options,
                             const std::filesystem::path& out);

}  // namespace tercet
