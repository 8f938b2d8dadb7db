// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/run_data.h"

#include <ATen/ATen.h>

#include <cmath>
#include <set>

#include "core/error.h"
#include "learn/pretrain/evaluate.h"

namespace tercet::learn {
namespace {

constexpr const char* kVerifiedFile = "data_verified.json";

// The last part of each path, or the whole path where two end the same.
std::vector<std::string> short_names(const std::vector<Corpus>& corpora) {
  std::vector<std::string> names;
  for (const Corpus& corpus : corpora) {
    const std::filesystem::path path = std::filesystem::path(corpus.path) / "";
    names.push_back(path.parent_path().filename().string());
  }
  if (std::set(names.begin(), names.end()).size() == names.size()) return names;
  for (size_t i = 0; i < names.size(); ++i) names[i] = corpora[i].path;
  return names;
}

// The directory of the first data set, which has the tokenizer of all.
std::filesystem::path first_directory(const Recipe& recipe) {
  const std::filesystem::path path = recipe.data.at(0).path;
  const bool exists = std::filesystem::exists(path);
  if (std::filesystem::exists(path / "dataset.json")) return path;
  fail(exists ? ErrorCode::kBadInput : ErrorCode::kIo,
       "'{}' {}; make a data set with `tercet data build`", path.string(),
       exists ? "is no data set: it holds no dataset.json" : "does not exist");
}

}  // namespace

RunData::RunData(const Recipe& recipe)
    : recipe_(recipe),
      tokenizer_directory_(first_directory(recipe)),
      tokenizer_(Tokenizer::load(tokenizer_directory_)),
      corpora_(open_corpora(recipe.data)),
      names_(short_names(corpora_)),
      loader_(training_splits(corpora_), recipe.sequence_length,
              static_cast<uint64_t>(recipe.seed)) {
  check();
}

void RunData::check() const {
  for (const Corpus& corpus : corpora_) {
    if (corpus.train.vocab_size() != tokenizer_.vocab_size()) {
      fail(ErrorCode::kBadInput,
           "'{}' was built with a vocabulary of {}, but its tokenizer has {}; build it again",
           corpus.path, corpus.train.vocab_size(), tokenizer_.vocab_size());
    }
    check_validation_split(corpus.validation, recipe_.sequence_length, recipe_.eval_tokens);
  }
}

void RunData::verify(const std::filesystem::path& out, bool all,
                     const std::function<void(const VerifyProgress&)>& progress,
                     const std::atomic<bool>* stop) const {
  VerifyOptions options;
  if (!out.empty()) options.record = out / kVerifiedFile;
  options.all = all;
  options.threads = static_cast<int>(recipe_.threads);
  verify_data(corpora_, options, progress, stop);
}

void RunData::read_from(int64_t first_step, Team team) {
  const auto share = static_cast<uint64_t>(recipe_.batch_size / team.ranks());
  StepPart part;
  part.batch_size = static_cast<uint64_t>(recipe_.batch_size);
  part.begin = static_cast<uint64_t>(team.rank()) * share;
  part.end = part.begin + share;
  part.micro_batch_size = static_cast<uint64_t>(recipe_.micro_batch_size);
  read_ahead_ = std::make_unique<ReadAhead>(loader_, part, static_cast<uint64_t>(first_step),
                                            static_cast<uint64_t>(recipe_.steps));
}

MicroBatch RunData::next(at::Device device, const std::atomic<bool>* stop) {
  const int64_t length = recipe_.sequence_length;
  const at::Tensor windows = at::empty({recipe_.micro_batch_size, length + 1}, at::kLong);
  read_ahead_->next(windows.data_ptr<int64_t>(), stop);
  MicroBatch batch{windows.to(device), nullptr, recipe_.micro_batch_size * length};
  if (recipe_.document_attention == "within") {
    batch.documents = find_documents(windows.narrow(1, 0, length), tokenizer_.eos_id(), device);
    batch.targets = batch.documents->targets;
  }
  return batch;
}

std::vector<CorpusInfo> RunData::describe() const {
  const auto sequences = static_cast<uint64_t>(recipe_.steps * recipe_.batch_size);
  std::vector<CorpusInfo> infos;
  for (size_t i = 0; i < corpora_.size(); ++i) {
    infos.push_back({names_[i], corpora_[i].path, corpora_[i].train.size(), corpora_[i].share,
                     loader_.epochs(i, sequences)});
  }
  return infos;
}

EvalReport RunData::evaluate(const Transformer& model, const ForwardMode& mode, Team team) const {
  EvalOptions options;
  options.sequence_length = recipe_.sequence_length;
  options.micro_batch_size = recipe_.micro_batch_size;
  options.max_tokens = recipe_.eval_tokens;
  if (recipe_.document_attention == "within") options.document_end = tokenizer_.eos_id();
  EvalReport report;
  for (size_t i = 0; i < corpora_.size(); ++i) {
    const ValidationLoss loss =
        validation_loss(model, corpora_[i].validation, options, mode, nullptr, team);
    report.validation_loss += corpora_[i].share * loss.mean_nll;
    report.tokens += loss.tokens;
    report.corpora.push_back({names_[i], loss.mean_nll, loss.tokens});
  }
  report.perplexity = std::exp(report.validation_loss);
  return report;
}

}  // namespace tercet::learn
