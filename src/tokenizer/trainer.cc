// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/trainer.h"

#include <sentencepiece_trainer.h>

#include <charconv>
#include <optional>
#include <unordered_map>

#include "core/error.h"
#include "core/file.h"
#include "formats/json.h"
#include "tokenizer/sentence_sample.h"

namespace tercet {
namespace {

class SampleIterator final : public sentencepiece::SentenceIterator {
 public:
  explicit SampleIterator(const std::vector<std::string>& sentences) : sentences_(sentences) {}
  bool done() const override { return at_ == sentences_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return sentences_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& sentences_;
  size_t at_ = 0;
};

std::unordered_map<std::string, std::string> trainer_arguments(const TrainerOptions& options) {
  return {{"model_type", "bpe"},
          {"vocab_size", fmt::format("{}", options.vocab_size)},
          {"character_coverage", fmt::format("{}", options.character_coverage)},
          {"num_threads", fmt::format("{}", options.threads)},
          {"byte_fallback", "true"},
          {"split_digits", "true"},
          {"allow_whitespace_only_pieces", "true"},
          {"normalization_rule_name", "identity"},
          {"remove_extra_whitespaces", "false"},
          {"add_dummy_prefix", options.add_dummy_prefix ? "true" : "false"},
          {"user_defined_symbols", "\n,\n\n"},
          {"unk_id", "0"},
          {"bos_id", "1"},
          {"eos_id", "2"},
          {"pad_id", "-1"},
          // The library's own log: nothing below FATAL.
          {"minloglevel", "3"}};
}

// The number that follows `before` in `text`.
std::optional<int64_t> number_after(std::string_view text, std::string_view before) {
  const size_t at = text.find(before);
  if (at == std::string_view::npos) return std::nullopt;
  int64_t value = 0;
  const auto [stop, error] =
      std::from_chars(text.data() + at + before.size(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

// SentencePiece's complaints about the vocabulary size, in our words.
[[noreturn]] void fail_training(const std::string& message, const TrainerOptions& options) {
  if (const auto largest = number_after(message, "a value <= ")) {
    fail(ErrorCode::kUsage,
         "a vocabulary of {} is too large for this corpus: choose at most {} or give more text",
         options.vocab_size, *largest);
  }
  if (const auto smallest = number_after(message, " vs ")) {
    fail(ErrorCode::kUsage,
         "a vocabulary of {} is too small for this corpus: choose at least {} or lower the "
         "character coverage",
         options.vocab_size, *smallest);
  }
  fail(ErrorCode::kBadInput, "the tokenizer cannot be trained: {}", message);
}

std::string train_model(const SentenceSample& sample, const TrainerOptions& options) {
  SampleIterator sentences(sample.sentences());
  std::string model;
  const auto status =
      sentencepiece::SentencePieceTrainer::Train(trainer_arguments(options), &sentences, &model);
  if (!status.ok()) fail_training(status.ToString(), options);
  return model;
}

void write_configuration(const TrainerOptions& options, const std::filesystem::path& out) {
  const Json special = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}};
  Json config = special;
  config.update({{"tokenizer_class", "LlamaTokenizer"},
                 {"add_bos_token", true},
                 {"add_eos_token", false},
                 {"add_prefix_space", options.add_dummy_prefix},
                 {"legacy", false},
                 {"clean_up_tokenization_spaces", false},
                 {"sp_model_kwargs", Json::object()}});
  write_text_file(out / "tokenizer_config.json", config.dump(2) + "\n");
  write_text_file(out / "special_tokens_map.json", special.dump(2) + "\n");
}

void check_options(const TrainerOptions& options) {
  if (options.vocab_size < 1) {
    fail(ErrorCode::kUsage, "a vocabulary of {} is impossible", options.vocab_size);
  }
  if (!(options.character_coverage > 0 && options.character_coverage <= 1)) {
    fail(ErrorCode::kUsage, "the character coverage {} must be above 0 and at most 1",
         options.character_coverage);
  }
  if (options.threads < 1) fail(ErrorCode::kUsage, "{} threads: at least 1", options.threads);
}

}  // namespace

TrainerStats train_tokenizer(const TextSource& corpus, const TrainerOptions& options,
                             const std::filesystem::path& out) {
  check_options(options);
  SentenceSample sample(options.max_sample_bytes, options.max_sentences, options.seed);
  TrainerStats stats;
  std::string text;
  while (corpus(text)) {
    stats.corpus_bytes += text.size();
    sample.add(text);
  }
  if (sample.sentences().empty()) {
    fail(ErrorCode::kBadInput, "the corpus has no text to train a tokenizer on");
  }
  const std::string model = train_model(sample, options);
  make_directories(out);
  write_text_file(out / "tokenizer.model", model);
  write_configuration(options, out);
  stats.sample_bytes = sample.bytes();
  stats.sample_sentences = sample.sentences().size();
  return stats;
}

}  // namespace tercet
