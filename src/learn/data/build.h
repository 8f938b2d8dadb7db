// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "learn/data/document_source.h"
#include "learn/data/manifest.h"

namespace tercet {

struct BuildOptions {
  std::vector<std::filesystem::path> inputs;  // files and directories, see CorpusReader
  std::filesystem::path tokenizer;            // see tokenizer_definition()
  std::filesystem::path out;
  CorpusOptions corpus;
  double validation_fraction = 0.01;
  uint64_t seed = 0;
  uint64_t shard_tokens = 100'000'000;
  uint64_t save_bytes = 64 << 20;  // text between two writings of the journal: what a kill loses
  int threads = 1;
  bool overwrite = false;  // replace a data set, or an unfinished build, that lies in `out`
};

struct BuildProgress {
  uint64_t bytes_read = 0;  // of the corpus as stored
  uint64_t bytes_total = 0;
  uint64_t documents = 0;
  uint64_t tokens = 0;
  bool reading_over = false;  // what an earlier process had written
};

struct BuildStats {
  DatasetManifest manifest;  // as written to dataset.json
  // The corpus is a single document; its last part is the validation split.
  bool validation_is_cut = false;
  uint64_t resumed_tokens = 0;  // that an earlier process had written
};

// Tokenizes a corpus into `out`: train-00000.bin, val-00000.bin and so on, dataset.json and a copy
// of the tokenizer's files. Each document is BOS (when the tokenizer adds it to prompts), its text,
// EOS. The result depends on the corpus, tokenizer, seed, fraction and shard size only. Memory use
// does not depend on the size of the corpus. `progress` (may be empty) is called from the calling
// thread a few times per MiB of text.
//
// There is no dataset.json unless it returns. A build that was stopped, killed, or ran out of disk
// goes on where it was when it is called again with the same arguments (build_journal.h); shards
// that are whole are kept, and the result is the same. Throws kUsage for impossible options, when
// `out` holds a data set, an unfinished build of something else, or one that another process works
// on; kInterrupted when *stop (may be null) becomes true; and what CorpusReader and Tokenizer::load
// throw. After kBadInput, an error of the texts, nothing is kept.
BuildStats build_dataset(const BuildOptions& options,
                         const std::function<void(const BuildProgress&)>& progress,
                         const std::atomic<bool>* stop);

}  // namespace tercet
