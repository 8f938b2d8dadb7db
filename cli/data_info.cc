// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/common/numbers.h"
#include "cli/common/output.h"
#include "cli/common/progress.h"
#include "cli/common/signals.h"
#include "cli/common/terminal_text.h"
#include "cli/data_commands.h"
#include "learn/data/dataset.h"
#include "learn/data/document_samples.h"
#include "tokenizer/tokenizer.h"

namespace tercet::cli {
namespace {

constexpr size_t kShownIds = 40;  // of a document

struct InfoArguments {
  std::filesystem::path directory;
  size_t documents = 3;
  bool verify = false;
  bool json = false;
};

// Bytes of text per token; 0 for a split without tokens.
double bytes_per_token(const SplitEntry& split) {
  return split.tokens == 0 ? 0
                           : static_cast<double>(split.bytes) / static_cast<double>(split.tokens);
}

Json split_json(const SplitEntry& split) {
  return {{"tokens", split.tokens},
          {"documents", split.documents},
          {"bytes", split.bytes},
          {"bytes_per_token", bytes_per_token(split)},
          {"shards", split.shards.size()}};
}

void print_split(const char* name, const SplitEntry& split) {
  print_text(
      "{:<16} {} tokens in {} documents and {} shard(s), {} of text, {:.2f} bytes per token\n",
      name, format_count(split.tokens), split.documents, split.shards.size(),
      format_bytes(split.bytes), bytes_per_token(split));
}

void verify(const std::vector<const TokenDataset*>& splits, bool quiet) {
  uint64_t total = 0;
  for (const TokenDataset* split : splits) {
    for (const ShardReader& shard : split->shards()) total += shard.file_bytes();
  }
  Progress progress("checking", static_cast<int64_t>(total), quiet);
  uint64_t done = 0;
  for (const TokenDataset* split : splits) {
    for (const ShardReader& shard : split->shards()) {
      shard.verify(&stop_requested());
      done += shard.file_bytes();
      progress.update(static_cast<int64_t>(done));
    }
  }
}

// On one line.
std::string shown_text(const Tokenizer& tokenizer, const DocumentSample& document) {
  std::string text = tokenizer.decode(document.ids);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return terminal_text(text);
}

void print_info(const InfoArguments& arguments, const DatasetManifest& manifest,
                const Tokenizer& tokenizer, const std::vector<DocumentSample>& documents) {
  print_text("{:<16} {}\n", "data set", arguments.directory.string());
  print_text("{:<16} {} pieces, fingerprint {:016x}, documents {}\n", "tokenizer",
             manifest.vocab_size, manifest.tokenizer_fingerprint,
             manifest.bos ? "begin with BOS and end with EOS" : "end with EOS");
  print_split("training", manifest.train);
  print_split("validation", manifest.validation);
  if (arguments.verify) print_text("{:<16} all shards are whole\n", "checked");
  for (size_t i = 0; i < documents.size(); ++i) {
    const DocumentSample& document = documents[i];
    print_text("{:<16} {} tokens: {}{}\n", fmt::format("document {}", i + 1), document.tokens,
               shown_text(tokenizer, document),
               document.ids.size() + 1 < document.tokens ? " ..." : "");
  }
}

void show(const InfoArguments& arguments) {
  const TokenDataset train = TokenDataset::open(arguments.directory, Split::kTrain);
  const TokenDataset validation = TokenDataset::open(arguments.directory, Split::kValidation);
  const Tokenizer tokenizer = Tokenizer::load(arguments.directory);
  if (arguments.verify) verify({&train, &validation}, arguments.json);
  const std::vector<DocumentSample> documents =
      first_documents(train, tokenizer.eos_id(), arguments.documents, kShownIds);
  const DatasetManifest& manifest = train.manifest();
  if (!arguments.json) return print_info(arguments, manifest, tokenizer, documents);
  Json list = Json::array();
  for (const DocumentSample& document : documents) {
    list.push_back({{"tokens", document.tokens}, {"text", tokenizer.decode(document.ids)}});
  }
  print_json({{"path", arguments.directory.string()},
              {"vocab_size", manifest.vocab_size},
              {"tokenizer_fingerprint", fmt::format("{:016x}", manifest.tokenizer_fingerprint)},
              {"bos", manifest.bos},
              {"seed", manifest.seed},
              {"validation_fraction", manifest.validation_fraction},
              {"train", split_json(manifest.train)},
              {"validation", split_json(manifest.validation)},
              {"verified", arguments.verify},
              {"documents", std::move(list)}});
}

}  // namespace

void add_data_info(CLI::App& group) {
  CLI::App* command = group.add_subcommand("info", "Show what a data set holds");
  auto arguments = std::make_shared<InfoArguments>();
  command->add_option("DIR", arguments->directory, "What `tercet data build` wrote")->required();
  command
      ->add_option("--documents", arguments->documents,
                   "How many of the first training documents to show")
      ->capture_default_str();
  command->add_flag("--verify", arguments->verify, "Compare every shard with its checksum");
  command->add_flag("--json", arguments->json,
                    "Print one JSON document on stdout and nothing else there");
  command->footer("Example:\n  tercet data info data/");
  command->callback([arguments] { show(*arguments); });
}

}  // namespace tercet::cli
