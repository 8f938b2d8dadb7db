// SPDX-License-Identifier: Apache-2.0
#include "learn/data/build_journal.h"

#include <system_error>

#include "core/error.h"
#include "core/file.h"
#include "learn/data/manifest_json.h"

namespace tercet {
namespace {

constexpr const char* kFormat = "tercet-unfinished-dataset";
constexpr uint64_t kVersion = 1;

Json progress_to_json(const SplitProgress& progress) {
  // The tokens of a split are the sum over its shards there, so those of the open one are taken
  // off.
  SplitEntry whole = progress.entry;
  whole.tokens -= progress.shard ? progress.shard->n_tokens : 0;
  Json json = {{"whole", split_to_json(whole)}};
  if (progress.shard) {
    json["open"] = {{"tokens", progress.shard->n_tokens},
                    {"documents", progress.shard->n_documents},
                    {"checksum", hash_text(progress.shard->checksum)}};
  }
  return json;
}

SplitProgress progress_from_json(const Json& json, const std::string& file,
                                 const std::string& name) {
  const FieldReader fields(json, file, name + ".");
  SplitProgress progress;
  progress.entry = split_from_json(fields.field("whole"), file, name + ".whole");
  if (json.contains("open")) {
    const FieldReader open(json["open"], file, name + ".open.");
    progress.shard = {open.number("tokens"), open.number("documents"), open.hash("checksum")};
    progress.entry.tokens += progress.shard->n_tokens;
  }
  return progress;
}

}  // namespace

void write_journal(const std::filesystem::path& directory, const BuildJournal& journal) {
  const BuildIdentity& id = journal.identity;
  const Json json = {{"format", kFormat},
                     {"version", kVersion},
                     {"tokenizer_fingerprint", hash_text(id.tokenizer_fingerprint)},
                     {"bos", id.bos},
                     {"corpus_fingerprint", hash_text(id.corpus_fingerprint)},
                     {"text_field", id.text_field},
                     {"seed", id.seed},
                     {"validation_fraction", id.validation_fraction},
                     {"shard_tokens", id.shard_tokens},
                     {"file", journal.corpus.file},
                     {"pieces", journal.corpus.pieces},
                     {"documents", journal.corpus.documents},
                     {"train", progress_to_json(journal.train)},
                     {"val", progress_to_json(journal.validation)}};
  write_text_file(directory / kJournalName,
                  json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::optional<BuildJournal> read_journal(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / kJournalName;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  const Json json = read_json_file(path);
  const FieldReader fields(json, path.string(), "");
  if (fields.text("format") != kFormat) fields.complain("format", "is another");
  if (fields.number("version") != kVersion) fields.complain("version", "is another");
  BuildJournal journal;
  journal.identity.tokenizer_fingerprint = fields.hash("tokenizer_fingerprint");
  journal.identity.bos = fields.boolean("bos");
  journal.identity.corpus_fingerprint = fields.hash("corpus_fingerprint");
  journal.identity.text_field = fields.text("text_field");
  journal.identity.seed = fields.number("seed");
  if (!fields.field("validation_fraction").is_number()) {
    fields.complain("validation_fraction", "is not a number");
  }
  journal.identity.validation_fraction = fields.field("validation_fraction").get<double>();
  journal.identity.shard_tokens = fields.number("shard_tokens");
  journal.corpus.file = fields.number("file");
  journal.corpus.pieces = fields.number("pieces");
  journal.corpus.documents = fields.number("documents");
  journal.train = progress_from_json(fields.field("train"), path.string(), "train");
  journal.validation = progress_from_json(fields.field("val"), path.string(), "val");
  return journal;
}

void check_identity(const BuildIdentity& unfinished, const BuildIdentity& wanted,
                    const std::filesystem::path& directory) {
  const bool tokenizer = unfinished.tokenizer_fingerprint != wanted.tokenizer_fingerprint ||
                         unfinished.bos != wanted.bos;
  const char* differs = tokenizer                                    ? "another tokenizer"
                        : unfinished.text_field != wanted.text_field ? "another --text-field"
                        : unfinished.seed != wanted.seed             ? "another --seed"
                        : unfinished.validation_fraction != wanted.validation_fraction
                            ? "another --validation-fraction"
                        : unfinished.shard_tokens != wanted.shard_tokens ? "another --shard-tokens"
                        : unfinished.corpus_fingerprint != wanted.corpus_fingerprint
                            ? "other texts, or with texts that have changed since"
                            : nullptr;
  if (differs == nullptr) return;
  fail(ErrorCode::kUsage,
       "'{}' holds a build that was stopped, with {}; repeat that to continue it, or give "
       "--overwrite to start again",
       directory.string(), differs);
}

}  // namespace tercet
