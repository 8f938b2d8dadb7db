// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "learn/data/data_source.h"
#include "learn/data/dataset.h"
#include "learn/data/sequence_loader.h"

namespace tercet {

// One of the data sets of a run, open for reading.
struct Corpus {
  std::string path;
  double share = 1;         // of the sequences; those of all corpora add up to 1
  std::string fingerprint;  // FNV-1a of dataset.json, which holds a checksum of every shard
  TokenDataset train;
  TokenDataset validation;
};

// Opens the data sets and compares their manifests, shard sizes and shard headers; what the shards
// hold is compared by verify_data(). Throws what check_data_sources() and TokenDataset::open()
// throw, and kBadInput naming the data set whose tokenizer (its definition, vocabulary or BOS) is
// not that of the first, that has no training tokens, or whose share is below a millionth.
std::vector<Corpus> open_corpora(std::span<const DataSource> sources);

// What a SequenceLoader takes: the training splits with their shares.
std::vector<WeightedSplit> training_splits(const std::vector<Corpus>& corpora);

// The fingerprints of all, which a checkpoint keeps.
std::string fingerprint_of(const std::vector<Corpus>& corpora);

// The same without opening the shards.
std::string fingerprint_of(std::span<const DataSource> sources);

// Throws kBadInput naming the first data set that is not the one that `kept`, a fingerprint_of(),
// was taken of.
void check_fingerprint(const std::vector<Corpus>& corpora, const std::string& kept);

}  // namespace tercet
