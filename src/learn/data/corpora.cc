// SPDX-License-Identifier: Apache-2.0
#include "learn/data/corpora.h"

#include <algorithm>

#include "core/error.h"
#include "core/file.h"
#include "learn/data/hash.h"
#include "learn/data/manifest.h"

namespace tercet {
namespace {

// Below that an Interleave would round the share visibly.
constexpr double kSmallestShare = 1e-6;

std::string manifest_fingerprint(const std::filesystem::path& directory) {
  Fnv1a64 hash;
  hash.update(MappedFile(directory / kManifestName).bytes());
  return fmt::format("{:016x}", hash.value());
}

std::string joined(const std::string& list, const std::string& fingerprint) {
  return list.empty() ? fingerprint : list + "," + fingerprint;
}

void check_tokenizer(const Corpus& corpus, const Corpus& first) {
  const DatasetManifest& a = corpus.train.manifest();
  const DatasetManifest& b = first.train.manifest();
  const char* differs = a.vocab_size != b.vocab_size                         ? "another vocabulary"
                        : a.tokenizer_fingerprint != b.tokenizer_fingerprint ? "another tokenizer"
                        : a.bos != b.bos ? "another setting of add_bos_token"
                                         : nullptr;
  if (differs == nullptr) return;
  fail(ErrorCode::kBadInput,
       "'{}' was built with {} than '{}'; build both with the same --tokenizer", corpus.path,
       differs, first.path);
}

void set_shares(std::vector<Corpus>& corpora, std::span<const DataSource> sources) {
  double sum = 0;
  for (size_t i = 0; i < corpora.size(); ++i) {
    const auto tokens = static_cast<double>(corpora[i].train.size());
    corpora[i].share = sources[i].weight.value_or(tokens);
    sum += corpora[i].share;
  }
  for (Corpus& corpus : corpora) {
    corpus.share /= sum;
    if (!(corpus.share >= kSmallestShare)) {
      fail(ErrorCode::kBadInput,
           "'{}' would have a share of {:.2g} of the training, less than a millionth; leave it out "
           "or give it a larger weight",
           corpus.path, corpus.share);
    }
  }
}

}  // namespace

std::vector<Corpus> open_corpora(std::span<const DataSource> sources) {
  check_data_sources(sources);
  std::vector<Corpus> corpora;
  for (const DataSource& source : sources) {
    Corpus corpus;
    corpus.path = source.path;
    corpus.fingerprint = manifest_fingerprint(source.path);
    corpus.train = TokenDataset::open(source.path, Split::kTrain);
    corpus.validation = TokenDataset::open(source.path, Split::kValidation);
    if (corpus.train.size() == 0) {
      fail(ErrorCode::kBadInput, "'{}' has no training tokens; leave it out or build it again",
           source.path);
    }
    corpora.push_back(std::move(corpus));
    check_tokenizer(corpora.back(), corpora.front());
  }
  set_shares(corpora, sources);
  return corpora;
}

std::vector<WeightedSplit> training_splits(const std::vector<Corpus>& corpora) {
  std::vector<WeightedSplit> splits;
  for (const Corpus& corpus : corpora) splits.push_back({&corpus.train, corpus.share});
  return splits;
}

std::string fingerprint_of(const std::vector<Corpus>& corpora) {
  std::string all;
  for (const Corpus& corpus : corpora) all = joined(all, corpus.fingerprint);
  return all;
}

std::string fingerprint_of(std::span<const DataSource> sources) {
  std::string all;
  for (const DataSource& source : sources) all = joined(all, manifest_fingerprint(source.path));
  return all;
}

void check_fingerprint(const std::vector<Corpus>& corpora, const std::string& kept) {
  size_t begin = 0;
  for (const Corpus& corpus : corpora) {
    const size_t end = std::min(kept.find(',', begin), kept.size());
    if (begin > kept.size() || kept.compare(begin, end - begin, corpus.fingerprint) != 0) {
      fail(ErrorCode::kBadInput,
           "'{}' is another data set than the one that the run was trained on; put that back or "
           "start a new run",
           corpus.path);
    }
    begin = end + 1;
  }
}

}  // namespace tercet
