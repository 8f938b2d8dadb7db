// SPDX-License-Identifier: Apache-2.0
#include "learn/study/scaling_sources.h"

#include <algorithm>
#include <set>

#include "core/error.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

void add_members(const Json& members, const std::string& origin, std::vector<RunResult>& runs) {
  int64_t number = 0;
  for (const Json& member : members) {
    runs.push_back(run_of_json(member, fmt::format("{}: member {}", origin, ++number)));
  }
}

// twin.json and scaling.json.
void add_results_file(const fs::path& file, std::vector<RunResult>& runs) {
  const Json json = read_json_file(file);
  if (json.is_object() && json.contains("members")) {
    return add_members(json["members"], file.string(), runs);
  }
  if (!json.is_object() || !json.contains("sizes")) {
    fail(ErrorCode::kUsage, "'{}' holds no results of trainings (no members, no sizes)",
         file.string());
  }
  for (const Json& size : json["sizes"]) {
    if (size.is_object() && size.contains("members")) {
      add_members(size["members"], file.string(), runs);
    }
  }
}

void add_source(const fs::path& source, std::vector<RunResult>& runs) {
  if (!fs::is_directory(source)) return add_results_file(source, runs);
  if (fs::exists(source / "training.json")) return runs.push_back(read_run(source));
  for (const char* name : {"twin.json", "scaling.json"}) {
    if (fs::exists(source / name)) return add_results_file(source / name, runs);
  }
  fail(ErrorCode::kUsage,
       "'{}' is no finished run or study: it holds no training.json, twin.json or scaling.json",
       source.string());
}

// Equal for runs that differ in family and seed alone.
std::string size_key(const RunResult& run) {
  const Recipe& r = run.recipe;
  return fmt::format("{} x {} x {} x {} x {} x {} x {}", r.hidden_size, r.intermediate_size,
                     r.num_hidden_layers, r.num_attention_heads, r.num_key_value_heads,
                     run.config.vocab_size, run.tokens);
}

// What a size is called: "8.06M".
std::string size_name(const RunResult& run) {
  return fmt::format("{:.3g}M", static_cast<double>(run.parameters) / 1e6);
}

void check_repeated(const std::vector<RunResult>& runs) {
  std::set<std::string> seen;
  for (const RunResult& run : runs) {
    if (seen.insert(fmt::format("{} {} {} {:a}", run.family, size_key(run), run.recipe.seed,
                                run.validation_loss))
            .second) {
      continue;
    }
    fail(ErrorCode::kUsage, "'{}' is given twice, by itself or in a study", run.origin);
  }
}

}  // namespace

std::vector<SizeResult> read_sizes(const std::vector<fs::path>& sources) {
  std::vector<RunResult> runs;
  for (const fs::path& source : sources) add_source(source, runs);
  check_repeated(runs);
  std::vector<SizeResult> sizes;
  std::vector<std::string> keys;
  for (RunResult& run : runs) {
    const std::string key = size_key(run);
    const auto found = std::find(keys.begin(), keys.end(), key);
    if (found != keys.end()) {
      sizes[static_cast<size_t>(found - keys.begin())].runs.push_back(std::move(run));
      continue;
    }
    keys.push_back(key);
    sizes.push_back({size_name(run), {run}});
  }
  std::sort(sizes.begin(), sizes.end(), [](const SizeResult& a, const SizeResult& b) {
    return a.runs.front().parameters < b.runs.front().parameters;
  });
  return sizes;
}

void check_comparable(const std::vector<SizeResult>& sizes) {
  const RunResult& first = sizes.front().runs.front();
  for (const SizeResult& size : sizes) {
    for (const RunResult& run : size.runs) {
      const auto refuse_if = [&](bool differs, const char* what) {
        if (!differs) return;
        fail(ErrorCode::kUsage,
             "the losses of '{}' and '{}' cannot be compared: they have other {}", first.origin,
             run.origin, what);
      };
      refuse_if(run.recipe.sequence_length != first.recipe.sequence_length, "sequence lengths");
      refuse_if(run.validation_tokens != first.validation_tokens, "validation tokens");
      refuse_if(run.config.vocab_size != first.config.vocab_size, "vocabularies");
      // Results of older versions do not say.
      refuse_if(!run.data_fingerprint.empty() && !first.data_fingerprint.empty() &&
                    run.data_fingerprint != first.data_fingerprint,
                "data");
    }
  }
}

}  // namespace tercet::learn
