// SPDX-License-Identifier: Apache-2.0
#include "learn/data/build.h"

#include <optional>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/thread_pool.h"
#include "learn/data/build_journal.h"
#include "learn/data/corpus.h"
#include "learn/data/directory_lock.h"
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

void remove_file(const fs::path& file) {
  std::error_code error;
  fs::remove(file, error);
  if (error) fail(ErrorCode::kIo, "cannot remove '{}': {}", file.string(), error.message());
}

bool is_shard(const std::string& name) {
  const std::string base = name.ends_with(".partial") ? name.substr(0, name.size() - 8) : name;
  return base.ends_with(".bin") && (base.starts_with("train-") || base.starts_with("val-"));
}

// Nothing of an earlier data set, whole or not, may look like a part of the new one.
void clear_directory(const fs::path& directory) {
  remove_file(directory / kManifestName);
  remove_file(directory / kJournalName);
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    if (is_shard(entry.path().filename().string())) remove_file(entry.path());
  }
}

void prepare_directory(const BuildOptions& options) {
  if (options.overwrite) return clear_directory(options.out);
  std::error_code error;
  if (!fs::exists(options.out / kManifestName, error)) return;
  fail(ErrorCode::kUsage,
       "'{}' already holds a data set; choose another directory, or replace it with --overwrite",
       options.out.string());
}

void check_options(const BuildOptions& options) {
  if (options.shard_tokens == 0) fail(ErrorCode::kUsage, "the shard size must be at least 1 token");
  if (options.inputs.empty()) fail(ErrorCode::kUsage, "no corpus: name text files or directories");
}

// One build from corpus to shards, from its begin or from where an earlier process stopped.
class Builder {
 public:
  Builder(const BuildOptions& options, Tokenizer tokenizer, SplitRule rule, BuildIdentity identity,
          const std::function<void(const BuildProgress&)>& progress, const std::atomic<bool>* stop)
      : out_(options.out),
        tokenizer_(std::move(tokenizer)),
        rule_(std::move(rule)),
        corpus_(options.inputs, options.corpus),
        save_bytes_(options.save_bytes),
        pool_(options.threads),
        progress_(progress),
        stop_(stop),
        journal_{.identity = std::move(identity), .corpus = {}, .train = {}, .validation = {}},
        train_(out_, "train", vocab_size(), fingerprint(), options.shard_tokens),
        validation_(out_, "val", vocab_size(), fingerprint(), options.shard_tokens) {}

  uint32_t vocab_size() const { return static_cast<uint32_t>(tokenizer_.vocab_size()); }
  uint64_t fingerprint() const { return journal_.identity.tokenizer_fingerprint; }

  // Reads over what is written already.
  void resume(const BuildJournal& journal) {
    try {
      train_.resume(journal.train);
      validation_.resume(journal.validation);
    } catch (const Error& error) {
      fail(error.code(), "{}; give --overwrite to start again", error.what());
    }
    corpus_.go_to_file(journal.corpus);
    document_ = journal.corpus.documents;
    DocumentPiece piece;
    while (corpus_.position().pieces < journal.corpus.pieces && corpus_.next(piece)) {
      if (stopped()) fail_stopped();
      add(std::move(piece));
      batch_.clear();
      report(true);
    }
    batch_bytes_ = 0;
    journal_ = journal;
  }

  void run(DatasetManifest& manifest) {
    try {
      DocumentPiece piece;
      while (corpus_.next(piece)) {
        add(std::move(piece));
        if (batch_bytes_ >= kBatchBytes * static_cast<size_t>(pool_.size())) flush();
      }
      flush();
      manifest.train = train_.finish();
      manifest.validation = validation_.finish();
    } catch (const Error& error) {
      // Texts that have to be changed make another data set.
      if (error.code() == ErrorCode::kBadInput) discard();
      throw;
    }
    write_manifest(out_, manifest);
    remove_journal();
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
    if (stopped()) {
      save();
      fail_stopped();
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
    unsaved_bytes_ += std::exchange(batch_bytes_, 0);
    journal_.corpus = corpus_.position();
    if (unsaved_bytes_ >= save_bytes_) save();
    report(false);
  }

  void report(bool reading_over) const {
    if (!progress_) return;
    progress_({corpus_.stored_bytes_read(), corpus_.stored_bytes_total(), corpus_.documents(),
               train_.tokens() + validation_.tokens(), reading_over});
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

  // Whatever ends the process from here on, the build goes on from what is written now.
  void save() {
    journal_.train = train_.flush();
    journal_.validation = validation_.flush();
    write_journal(out_, journal_);
    unsaved_bytes_ = 0;
  }

  void remove_journal() const {
    std::error_code ignored;
    fs::remove(out_ / kJournalName, ignored);
  }

  void discard() {
    remove_journal();
    train_.discard();
    validation_.discard();
  }

  bool stopped() const { return stop_ != nullptr && stop_->load(); }
  [[noreturn]] void fail_stopped() const {
    fail(ErrorCode::kInterrupted, "stopped; '{}' holds no data set yet: run the command again",
         out_.string());
  }

  fs::path out_;
  Tokenizer tokenizer_;
  SplitRule rule_;
  CorpusReader corpus_;
  uint64_t save_bytes_;
  ThreadPool pool_;
  const std::function<void(const BuildProgress&)>& progress_;
  const std::atomic<bool>* stop_;
  BuildJournal journal_;
  SplitWriter train_;
  SplitWriter validation_;
  std::vector<Item> batch_;
  size_t batch_bytes_ = 0;
  uint64_t unsaved_bytes_ = 0;  // of text since the journal was written
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
  BuildIdentity identity;
  identity.tokenizer_fingerprint = fingerprint_of(definition);
  identity.bos = tokenizer.add_bos();
  identity.corpus_fingerprint = CorpusReader(options.inputs, options.corpus).fingerprint();
  identity.text_field = options.corpus.text_field;
  identity.seed = options.seed;
  identity.validation_fraction = options.validation_fraction;
  identity.shard_tokens = options.shard_tokens;

  BuildStats stats;
  stats.manifest.vocab_size = static_cast<uint32_t>(tokenizer.vocab_size());
  stats.manifest.tokenizer_fingerprint = identity.tokenizer_fingerprint;
  stats.manifest.bos = identity.bos;
  stats.manifest.seed = options.seed;
  stats.manifest.validation_fraction = options.validation_fraction;

  SplitRule plan = plan_split(options.inputs, options.corpus, rule, stop);
  stats.validation_is_cut = plan.cut_at_byte().has_value();
  make_directories(options.out);
  const DirectoryLock lock(options.out);
  prepare_directory(options);
  const std::optional<BuildJournal> journal = read_journal(options.out);
  if (journal) check_identity(journal->identity, identity, options.out);
  copy_tokenizer_files(options.tokenizer, options.out);
  Builder builder(options, std::move(tokenizer), std::move(plan), std::move(identity), progress,
                  stop);
  if (journal) {
    builder.resume(*journal);
    stats.resumed_tokens = journal->train.entry.tokens + journal->validation.entry.tokens;
  }
  builder.run(stats.manifest);
  return stats;
}

}  // namespace tercet
