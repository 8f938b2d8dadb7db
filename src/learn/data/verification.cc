// SPDX-License-Identifier: Apache-2.0
#include "learn/data/verification.h"

#include <algorithm>
#include <exception>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/thread_pool.h"
#include "formats/json.h"

namespace tercet {
namespace {

constexpr const char* kFormat = "tercet-verified-data";

// A shard as it was when it was read in full.
struct Stamp {
  uint64_t bytes = 0;
  int64_t modified_ns = 0;
  uint64_t checksum = 0;

  bool operator==(const Stamp&) const = default;
};
using Stamps = std::map<std::string, Stamp>;  // by the shard's absolute path

std::string key_of(const ShardReader& shard) {
  return std::filesystem::absolute(shard.path()).lexically_normal().string();
}

Stamp stamp_of(const ShardReader& shard) {
  return {shard.file_bytes(), shard.modified_ns(), shard.header().checksum};
}

// Nothing for a record that is missing or not as write_record() writes it: then all is read again.
Stamps read_record(const std::filesystem::path& file) {
  try {
    const Json json = read_json_file(file);
    if (json.at("format") != kFormat) return {};
    Stamps stamps;
    for (const auto& [path, stamp] : json.at("shards").items()) {
      stamps[path] = {stamp.at(0).get<uint64_t>(), stamp.at(1).get<int64_t>(),
                      stamp.at(2).get<uint64_t>()};
    }
    return stamps;
  } catch (const Error&) {
    return {};
  } catch (const Json::exception&) {
    return {};
  }
}

void write_record(const std::filesystem::path& file, const Stamps& stamps) {
  if (file.empty()) return;
  Json shards = Json::object();
  for (const auto& [path, stamp] : stamps) {
    shards[path] = {stamp.bytes, stamp.modified_ns, stamp.checksum};
  }
  const Json json = {{"format", kFormat}, {"shards", std::move(shards)}};
  write_text_file(file, json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::vector<const ShardReader*> all_shards(const std::vector<Corpus>& corpora) {
  std::vector<const ShardReader*> shards;
  for (const Corpus& corpus : corpora) {
    for (const ShardReader& shard : corpus.train.shards()) shards.push_back(&shard);
    for (const ShardReader& shard : corpus.validation.shards()) shards.push_back(&shard);
  }
  return shards;
}

// Reads the shards side by side and stamps those that are whole.
void read_shards(std::span<const ShardReader* const> shards, ThreadPool& pool, Stamps& stamps,
                 const std::atomic<bool>* stop) {
  std::vector<std::exception_ptr> errors(shards.size());
  pool.parallel_for(static_cast<int64_t>(shards.size()), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      try {
        shards[i]->verify(stop);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  });
  for (size_t i = 0; i < shards.size(); ++i) {
    if (!errors[i]) stamps[key_of(*shards[i])] = stamp_of(*shards[i]);
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace

void verify_data(const std::vector<Corpus>& corpora, const VerifyOptions& options,
                 const std::function<void(const VerifyProgress&)>& progress,
                 const std::atomic<bool>* stop) {
  Stamps stamps = read_record(options.record);
  std::vector<const ShardReader*> unread;
  VerifyProgress done;
  for (const ShardReader* shard : all_shards(corpora)) {
    const auto known = stamps.find(key_of(*shard));
    if (!options.all && known != stamps.end() && known->second == stamp_of(*shard)) continue;
    stamps.erase(key_of(*shard));
    unread.push_back(shard);
    done.bytes_total += shard->file_bytes();
  }
  if (unread.empty()) return;
  ThreadPool pool(options.threads);
  const auto round = static_cast<size_t>(pool.size());
  try {
    for (size_t first = 0; first < unread.size(); first += round) {
      const auto part = std::span(unread).subspan(first, std::min(round, unread.size() - first));
      read_shards(part, pool, stamps, stop);
      for (const ShardReader* shard : part) done.bytes_done += shard->file_bytes();
      if (progress) progress(done);
    }
  } catch (...) {
    write_record(options.record, stamps);
    throw;
  }
  write_record(options.record, stamps);
}

}  // namespace tercet
