// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "learn/data/corpus.h"
#include "learn/data/split_writer.h"

namespace tercet {

// What the bytes of a data set depend on. An unfinished build is only continued by the same.
struct BuildIdentity {
  uint64_t tokenizer_fingerprint = 0;
  bool bos = false;
  uint64_t corpus_fingerprint = 0;  // CorpusReader's
  std::string text_field;
  uint64_t seed = 0;
  double validation_fraction = 0;
  uint64_t shard_tokens = 0;
};

// How far a build has come: everything up to `corpus` has been written as the splits say.
struct BuildJournal {
  BuildIdentity identity;
  CorpusPosition corpus;
  SplitProgress train;
  SplitProgress validation;
};

inline constexpr const char* kJournalName = "build.json";

// Replaces the journal in `directory`.
void write_journal(const std::filesystem::path& directory, const BuildJournal& journal);

// Nothing when there is none. Throws kBadInput naming the field of one that is damaged.
std::optional<BuildJournal> read_journal(const std::filesystem::path& directory);

// Throws kUsage naming the first difference.
void check_identity(const BuildIdentity& unfinished, const BuildIdentity& wanted,
                    const std::filesystem::path& directory);

}  // namespace tercet
