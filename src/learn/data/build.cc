// SPDX-License-Identifier: Apache-2.0
#include "learn/data/build.h"

#include <optional>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/thread_pool.h"
#include "learn/data/corpus.h"
#include "learn/data/hash.h"
#include "learn/data/split.h"
#include "learn/data/split_writer.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_files.h"

namespace tercet {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBatchBytes = size_t{1} << 20;  // of text per thread that are tokenized together

uint64_t fingerprint_of(const fs::path& file) {
  Fnv1a64 hash;
  hash.update(MappedFile(file).bytes());
  return hash.value();
}

void prepare_directory(const BuildOptions& options) {
  make_directories(options.out);
  const fs::path manifest = options.out / kManifestName;
  std::error_code error;
  if (!fs::exists(manifest, error)) return;
  if (!options.overwrite) {
    fail(ErrorCode::kUsage, "'{}' already holds a data set; remove it or choose another directory",
         options.out.string());
  }
  if (!fs::remove(manifest, error)) {
    fail(ErrorCode::kIo, "cannot remove '{}': {}", manifest.string(), error.message());
  }
}

void check_options(const BuildOptions& options) {
  if (options.shard_tokens == 0) fail(ErrorCode::kUsage, "the shard size must be at least 1 token");
  if (options.inputs.empty()) fail(ErrorCode::kUsage, "no corpus: name text files or directories");
}

// One build from corpus to shards.
class Builder {
 public:
  Builder(const BuildOptions& options, Tokenizer tokenizer, uint64_t fingerprint, SplitRule rule,
          const std::function<void(const BuildProgress&)>& progress, const std::atomic<bool>* stop)
      : out_(options.out),
        tokenizer_(std::move(tokenizer)),
        rule_(std::move(rule)),
        corpus_(options.inputs, options.corpus),
        pool_(options.threads),
        progress_(progress),
        stop_(stop),
        train_(out_, "train", vocab_size(), fingerprint, options.shard_tokens),
        validation_(out_, "val", vocab_size(), fingerprint, options.shard_tokens) {}

  uint32_t vocab_size() const { return static_cast<uint32_t>(tokenizer_.vocab_size()); }

  void run(DatasetManifest& manifest) {
    DocumentPiece piece;
    while (corpus_.next(piece)) {
      add(std::move(piece));
      if (batch_bytes_ >= kBatchBytes * static_cast<size_t>(pool_.size())) flush();
    }
    flush();
    manifest.train = train_.finish();
    manifest.validation = validation_.finish();
    write_manifest(out_, manifest);
    train_.keep();
    validation_.keep();
  }

 private:
  struct Item {
    DocumentPiece piece;
    bool validation = false;
    std::vector<int32_t> ids;
  };

  void add(DocumentPiece piece) {
    const auto cut = rule_.cut_at_byte();
    const uint64_t begin = std::exchange(position_, position_ + piece.text.size());
    if (cut && cut_done_) {
      piece.first = false;
      add_item(std::move(piece), true);
    } else if (cut && position_ >= *cut) {
      const size_t end = cut_position(std::string_view(piece.text).substr(0, *cut - begin));
      DocumentPiece rest = {piece.text.substr(end), true, piece.last};
      piece.text.resize(end);
      piece.last = true;
      cut_done_ = true;
      add_item(std::move(piece), false);
      add_item(std::move(rest), true);
    } else {
      const bool ends = piece.last;
      add_item(std::move(piece), rule_.is_validation(document_));
      document_ += ends ? 1 : 0;
    }
  }

  void add_item(DocumentPiece piece, bool validation) {
    batch_bytes_ += piece.text.size() + sizeof(Item);
    batch_.push_back({std::move(piece), validation, {}});
  }

  void flush() {
    if (stop_ != nullptr && stop_->load()) {
      fail(ErrorCode::kInterrupted, "stopped; '{}' holds no data set yet: run the command again",
           out_.string());
    }
    pool_.parallel_for(static_cast<int64_t>(batch_.size()), 1, [this](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        Item& item = batch_[static_cast<size_t>(i)];
        item.ids = item.piece.first ? tokenizer_.encode(item.piece.text)
                                    : tokenizer_.encode_continuation(item.piece.text);
      }
    });
    for (const Item& item : batch_) write(item, item.validation ? validation_ : train_);
    batch_.clear();
    batch_bytes_ = 0;
    if (progress_) {
      progress_({corpus_.stored_bytes_read(), corpus_.stored_bytes_total(), corpus_.documents(),
                 train_.tokens() + validation_.tokens()});
    }
  }

  void write(const Item& item, SplitWriter& split) {
    const std::array<int32_t, 2> marks = {tokenizer_.bos_id(), tokenizer_.eos_id()};
    if (item.piece.first && tokenizer_.add_bos()) split.append(std::span(marks).first(1));
    split.append(item.ids);
    split.add_bytes(item.piece.text.size());
    if (!item.piece.last) return;
    split.append(std::span(marks).last(1));
    split.end_document();
  }

  fs::path out_;
  Tokenizer tokenizer_;
  SplitRule rule_;
  CorpusReader corpus_;
  ThreadPool pool_;
  const std::function<void(const BuildProgress&)>& progress_;
  const std::atomic<bool>* stop_;
  SplitWriter train_;
  SplitWriter validation_;
  std::vector<Item> batch_;
  size_t batch_bytes_ = 0;
  uint64_t document_ = 0;
  uint64_t position_ = 0;  // bytes of text before the next piece
  bool cut_done_ = false;
};

}  // namespace

BuildStats build_dataset(const BuildOptions& options,
                         const std::function<void(const BuildProgress&)>& progress,
                         const std::atomic<bool>* stop) {
  check_options(options);
  const SplitRule rule(options.seed, options.validation_fraction);
  const fs::path definition = tokenizer_definition(options.tokenizer);
  Tokenizer tokenizer = Tokenizer::load(options.tokenizer);
  if (tokenizer.eos_id() < 0) {
    fail(ErrorCode::kBadInput, "'{}' has no EOS piece, which must divide the documents",
         definition.string());
  }
  BuildStats stats;
  stats.manifest.vocab_size = static_cast<uint32_t>(tokenizer.vocab_size());
  stats.manifest.tokenizer_fingerprint = fingerprint_of(definition);
  stats.manifest.bos = tokenizer.add_bos();
  stats.manifest.seed = options.seed;
  stats.manifest.validation_fraction = options.validation_fraction;

  SplitRule plan = plan_split(options.inputs, options.corpus, rule, stop);
  stats.validation_is_cut = plan.cut_at_byte().has_value();
  prepare_directory(options);
  copy_tokenizer_files(options.tokenizer, options.out);
  Builder(options, std::move(tokenizer), stats.manifest.tokenizer_fingerprint, std::move(plan),
          progress, stop)
      .run(stats.manifest);
  return stats;
}

}  // namespace tercet
