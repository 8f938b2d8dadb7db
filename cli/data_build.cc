// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/common/numbers.h"
#include "cli/common/output.h"
#include "cli/common/progress.h"
#include "cli/common/signals.h"
#include "cli/data_commands.h"
#include "core/cpu.h"
#include "learn/data/build.h"

namespace tercet::cli {
namespace {

struct DataArguments {
  BuildOptions options;
  bool json = false;
};

Json split_json(const SplitEntry& split) {
  return {{"tokens", split.tokens},
          {"documents", split.documents},
          {"bytes", split.bytes},
          {"shards", split.shards.size()}};
}

void print_split(const char* name, const SplitEntry& split) {
  print_text("{:<11} {:>9} tokens  {:>7} documents  {:>10} of text\n", name,
             format_count(split.tokens), split.documents, format_bytes(split.bytes));
}

void build(DataArguments arguments) {
  if (arguments.options.threads == 0) arguments.options.threads = read_cpu_info().physical_cores;
  BuildStats stats;
  {
    std::unique_ptr<Progress> progress;
    const auto on_progress = [&](const BuildProgress& p) {
      if (!progress) {
        progress = std::make_unique<Progress>("tokenizing", static_cast<int64_t>(p.bytes_total),
                                              arguments.json);
      }
      progress->update(static_cast<int64_t>(p.bytes_read),
                       format_count(p.tokens) +
                           (p.reading_over ? " tokens from before, reading over" : " tokens"));
    };
    stats = build_dataset(arguments.options, on_progress, &stop_requested());
  }
  const DatasetManifest& manifest = stats.manifest;
  if (arguments.json) {
    return print_json({{"out", arguments.options.out.string()},
                       {"vocab_size", manifest.vocab_size},
                       {"train", split_json(manifest.train)},
                       {"validation", split_json(manifest.validation)},
                       {"validation_is_cut", stats.validation_is_cut},
                       {"resumed_tokens", stats.resumed_tokens}});
  }
  if (stats.resumed_tokens != 0) {
    print_text("Continued after {} tokens of an earlier build.\n",
               format_count(stats.resumed_tokens));
  }
  print_text("{}: vocabulary {}\n", arguments.options.out.string(), manifest.vocab_size);
  print_split("train", manifest.train);
  print_split("validation", manifest.validation);
  if (stats.validation_is_cut) {
    print_text("The corpus is one document: its last part is the validation split.\n");
  }
}

}  // namespace

void add_data_build(CLI::App& group) {
  CLI::App* command = group.add_subcommand("build", "Turn texts into token shards");
  auto arguments = std::make_shared<DataArguments>();
  BuildOptions& options = arguments->options;
  options.threads = 0;
  command
      ->add_option(
          "CORPUS", options.inputs,
          "Files or directories: plain text, or JSON lines (.jsonl); each may be .gz or .zst")
      ->required();
  command
      ->add_option("--tokenizer", options.tokenizer,
                   "A tokenizer.json or tokenizer.model, or their directory")
      ->required();
  command->add_option("--out", options.out, "Directory to write")->required();
  command
      ->add_option("--text-field", options.corpus.text_field,
                   "Field of JSON lines that holds the text")
      ->capture_default_str();
  command
      ->add_option("--validation-fraction", options.validation_fraction,
                   "Share of the documents that is held out")
      ->capture_default_str();
  command->add_option("--seed", options.seed, "Of the choice of held-out documents");
  command->add_option("--shard-tokens", options.shard_tokens, "Tokens per file")
      ->capture_default_str();
  command->add_flag("--overwrite", options.overwrite,
                    "Replace a data set, or a build that was stopped, in --out");
  command->add_option("-t,--threads", options.threads, "Threads (default: all cores)");
  command->add_flag("--json", arguments->json,
                    "Print one JSON document on stdout and nothing else there");
  command->footer(
      "Example:\n  tercet data build books/ --tokenizer tok/ --out data/\n"
      "A build that was stopped or killed goes on when the same command is given again.");
  command->callback([arguments] { build(*arguments); });
}

}  // namespace tercet::cli
