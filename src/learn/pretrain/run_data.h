// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "learn/data/corpora.h"
#include "learn/data/read_ahead.h"
#include "learn/data/sequence_loader.h"
#include "learn/data/verification.h"
#include "learn/dist/team.h"
#include "learn/nn/transformer.h"
#include "learn/pretrain/recipe.h"
#include "learn/pretrain/train_events.h"
#include "tokenizer/tokenizer.h"

namespace tercet::learn {

// What one forward and backward pass takes.
struct MicroBatch {
  at::Tensor windows;                          // [micro_batch_size, sequence_length + 1] int64
  std::shared_ptr<const Documents> documents;  // of the inputs; none: attention across
  int64_t targets = 0;                         // that count in the loss
};

// The text of a run: its data sets, their tokenizer, the micro-batches in the order of the recipe,
// and the validation losses.
class RunData {
 public:
  // Opens the data of a resolved recipe and finds everything that could stop the run at its first
  // evaluation or in its middle, but for what the shards hold. Throws kBadInput, kIo or kUsage
  // naming data set and file.
  explicit RunData(const Recipe& recipe);

  const Tokenizer& tokenizer() const { return tokenizer_; }
  // That the tokenizer's files lie in.
  const std::filesystem::path& tokenizer_directory() const { return tokenizer_directory_; }
  std::string fingerprint() const { return fingerprint_of(corpora_); }
  // Throws kBadInput naming the data set that is not the one of that fingerprint.
  void check_fingerprint(const std::string& kept) const {
    tercet::check_fingerprint(corpora_, kept);
  }
  // verify_data() with the record kept in `out`; without a record when that is empty.
  void verify(const std::filesystem::path& out, bool all,
              const std::function<void(const VerifyProgress&)>& progress,
              const std::atomic<bool>* stop) const;

  // Begins to read: next() then delivers the micro-batches of this rank in each step from
  // `first_step` on. Throws what ReadAhead::next throws.
  void read_from(int64_t first_step, Team team);
  MicroBatch next(at::Device device, const std::atomic<bool>* stop);
  // How long next() has waited for the disk in all.
  double waited_seconds() const { return read_ahead_->waited_seconds(); }

  // Share and epochs of each data set in the whole run.
  std::vector<CorpusInfo> describe() const;

  // The loss on each data set's validation split, the first eval_tokens of it, and their mean by
  // share. All ranks call it and have the result.
  EvalReport evaluate(const Transformer& model, const ForwardMode& mode, Team team) const;

 private:
  void check() const;

  const Recipe recipe_;
  std::filesystem::path tokenizer_directory_;
  Tokenizer tokenizer_;
  std::vector<Corpus> corpora_;
  std::vector<std::string> names_;
  SequenceLoader loader_;
  std::unique_ptr<ReadAhead> read_ahead_;
};

}  // namespace tercet::learn
