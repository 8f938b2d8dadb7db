// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/run_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "core/error.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

bool has_nothing(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return true;
  if (!fs::is_directory(path, ignored)) return false;
  std::error_code unreadable;
  const fs::directory_iterator entries(path, unreadable);
  return !unreadable && std::all_of(begin(entries), end(entries), is_temporary);
}

bool is_inside(const fs::path& path, const fs::path& directory) {
  std::error_code ignored;
  const fs::path inner = fs::weakly_canonical(fs::absolute(path, ignored), ignored);
  const fs::path outer = fs::weakly_canonical(fs::absolute(directory, ignored), ignored);
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

// The first option that a run was begun with otherwise, for an error; empty: none.
std::string first_difference(const Json& there, const Json& here) {
  for (const auto& [name, value] : here.items()) {
    if (name == "threads" || there.value(name, Json()) == value) continue;
    return fmt::format("{} was {}, is {}", name, there.value(name, Json()).dump(), value.dump());
  }
  return "";
}

}  // namespace

bool is_temporary(const fs::directory_entry& entry) {
  static const std::regex pattern(
      R"((quantize|config|generation_config|model|tokenizer|special_tokens|added_tokens|chat_template|block|tuning|report).*\.[0-9]+\.tmp)");
  std::error_code ignored;
  return entry.is_regular_file(ignored) &&
         std::regex_match(entry.path().filename().string(), pattern);
}

Json read_state(const fs::path& path) {
  Json state = read_json_file(path);
  const auto is_text = [&](const char* key) {
    return state.contains(key) && state[key].is_string();
  };
  if (!state.is_object() || !is_text(kStatus) || !is_text(kFingerprint) ||
      !state.contains(kOptions) || !state[kOptions].is_object()) {
    fail(ErrorCode::kBadInput, "'{}' is damaged or not of a run; choose another --out",
         path.string());
  }
  return state;
}

bool holds_model(const Json& state) {
  const std::string status = state.value(kStatus, "");
  return status == kQuantized || status == kComplete;
}

void check_target(const PtqOptions& options, const std::string& fingerprint) {
  const fs::path state = options.out / kStateFile;
  std::error_code ignored;
  const bool has_state = fs::exists(state, ignored);
  if (is_inside(options.out, options.source)) {
    fail(ErrorCode::kUsage, "--out '{}' is the source directory or lies in it; choose another",
         options.out.string());
  }
  if (!options.resume) {
    if (has_nothing(options.out)) return;
    fail(ErrorCode::kUsage, "'{}' is not empty; {}choose another directory", options.out.string(),
         has_state ? "--resume continues the run in it, or " : "");
  }
  if (!has_state) {
    fail(ErrorCode::kUsage, "'{}' holds no run to resume (no {})", options.out.string(),
         kStateFile);
  }
  const Json json = read_state(state);
  if (json[kFingerprint] == fingerprint) return;
  const std::string difference = first_difference(json[kOptions], to_json(options));
  if (difference.empty()) {
    fail(ErrorCode::kUsage,
         "'{}' was begun with another model or calibration text, or by another version; give the "
         "same, or another --out",
         options.out.string());
  }
  fail(ErrorCode::kUsage,
       "'{}' was begun with other options: {}; give the same (what is not given follows from "
       "the text and --max-memory), or another --out",
       options.out.string(), difference);
}

}  // namespace tercet::learn
