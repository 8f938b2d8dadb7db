// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/checkpoint.h"

#include <fmt/format.h>

#include <map>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "learn/data/hash.h"
#include "learn/nn/model_io.h"
#include "tokenizer/tokenizer_files.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "step-";
constexpr const char* kUnfinished = ".unfinished";
constexpr const char* kStateFile = "state.json";
constexpr const char* kOptimizerFile = "optimizer.safetensors";

fs::path checkpoint_path(const fs::path& out, int64_t step) {
  return out / "checkpoints" / fmt::format("{}{:08}", kPrefix, step);
}

// The step in a name that checkpoint_path() makes; nothing for any other name: directories that the
// user renamed or put there are not ours to resume from or to remove.
std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const std::string digits = name.substr(std::string_view(kPrefix).size());
  const bool plain = digits.size() >= 8 && digits.size() <= 12 &&
                     digits.find_first_not_of("0123456789") == std::string::npos;
  if (!plain) return std::nullopt;
  return std::stoll(digits);
}

// Finished checkpoints, oldest first.
std::vector<fs::path> finished_checkpoints(const fs::path& out) {
  std::map<int64_t, fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(out / "checkpoints", error)) {
    const auto step = step_of(entry.path().filename().string());
    if (step && entry.is_directory(error)) found[*step] = entry.path();
  }
  std::vector<fs::path> ordered;
  for (const auto& [step, path] : found) ordered.push_back(path);
  return ordered;
}

void remove_directory(const fs::path& directory) {
  std::error_code error;
  fs::remove_all(directory, error);
  if (error) {
    fail(ErrorCode::kIo, "cannot remove '{}': {}", directory.string(), error.message());
  }
}

void rename_directory(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) {
    fail(ErrorCode::kIo, "cannot rename '{}' to '{}': {}", from.string(), to.string(),
         error.message());
  }
  sync_directory(to.parent_path());
}

// Checksum of state.json's own content, without the field that holds it.
std::string state_checksum(Json json) {
  json.erase("state_checksum");
  const std::string text = json.dump();
  Fnv1a64 hash;
  hash.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return fmt::format("{:016x}", hash.value());
}

Json guard_json(const LossGuard::State& state) {
  return {
      {"mean", state.mean},          {"variance", state.variance},     {"previous", state.previous},
      {"seen", state.seen},          {"bad_in_row", state.bad_in_row}, {"skipped", state.skipped},
      {"last_good", state.last_good}};
}

LossGuard::State guard_state(const Json& json) {
  LossGuard::State state;
  state.mean = json.at("mean").get<double>();
  state.variance = json.at("variance").get<double>();
  state.previous = json.at("previous").get<double>();
  state.seen = json.at("seen").get<int64_t>();
  state.bad_in_row = json.at("bad_in_row").get<int64_t>();
  state.skipped = json.at("skipped").get<int64_t>();
  state.last_good = json.at("last_good").get<int64_t>();
  return state;
}

Json state_json(const TrainingState& state, const fs::path& directory) {
  Json files = Json::object();
  for (const auto& entry : fs::directory_iterator(directory)) {
    files[entry.path().filename().string()] = file_checksum(entry.path());
  }
  Json json = {{"format", 1},
               {"step", state.step},
               {"log_bytes", state.log_bytes},
               {"event_bytes", state.event_bytes},
               {"seconds", state.seconds},
               {"last_eval",
                {{"step", state.last_eval.step},
                 {"validation_loss", state.last_eval.validation_loss},
                 {"tokens", state.last_eval.tokens}}},
               {"guard", guard_json(state.guard)},
               {"code_version", state.code_version},
               {"data_fingerprint", state.data_fingerprint},
               {"recipe", state.recipe},
               {"checksums", files}};
  json["state_checksum"] = state_checksum(json);
  return json;
}

[[noreturn]] void fail_damaged(const fs::path& file, const std::string& what) {
  fail(ErrorCode::kBadInput,
       "checkpoint file '{}' {}; remove its directory to resume from the checkpoint before it",
       file.string(), what);
}

void check_files(const Json& checksums, const fs::path& checkpoint) {
  for (const auto& [name, sum] : checksums.items()) {
    const fs::path file = checkpoint / fs::path(name).filename();
    if (!fs::exists(file)) fail_damaged(file, "is missing");
    if (!sum.is_string() || sum.get<std::string>() != file_checksum(file)) {
      fail_damaged(file, "is damaged (its checksum differs)");
    }
  }
}

}  // namespace

std::string file_checksum(const fs::path& file) {
  const MappedFile mapped(file);
  Fnv1a64 hash;
  hash.update(mapped.bytes());
  return fmt::format("{:016x}", hash.value());
}

void save_checkpoint(const fs::path& out, const TrainingState& state, const Transformer& model,
                     const Optimizer& optimizer, const fs::path& tokenizer_directory,
                     int64_t keep) {
  const fs::path target = checkpoint_path(out, state.step);
  if (fs::exists(target)) return;  // the same step of the same run: the same bytes
  fs::path unfinished = target;
  unfinished += kUnfinished;
  remove_directory(unfinished);
  make_directories(unfinished);
  try {
    save_model(model, unfinished);
    optimizer.save(unfinished / kOptimizerFile);
    copy_tokenizer_files(tokenizer_directory, unfinished);
    write_text_file(unfinished / kStateFile, state_json(state, unfinished).dump(2) + "\n");
  } catch (...) {
    std::error_code ignored;  // the error on its way up says more
    fs::remove_all(unfinished, ignored);
    throw;
  }
  rename_directory(unfinished, target);
  std::vector<fs::path> all = finished_checkpoints(out);
  for (size_t i = 0; i + static_cast<size_t>(keep) < all.size(); ++i) remove_directory(all[i]);
}

std::optional<fs::path> newest_checkpoint(const fs::path& out) {
  const std::vector<fs::path> all = finished_checkpoints(out);
  if (all.empty()) return std::nullopt;
  return all.back();
}

std::optional<fs::path> newest_checkpoint(const fs::path& out, int64_t most_steps) {
  std::optional<fs::path> newest;
  for (const fs::path& checkpoint : finished_checkpoints(out)) {
    if (*step_of(checkpoint.filename().string()) <= most_steps) newest = checkpoint;
  }
  return newest;
}

TrainingState read_checkpoint(const fs::path& checkpoint) {
  const fs::path file = checkpoint / kStateFile;
  if (!fs::exists(file)) fail_damaged(file, "is missing");
  try {
    const Json json = read_json_file(file);
    if (json.at("state_checksum") != state_checksum(json)) {
      fail_damaged(file, "is damaged (its checksum differs)");
    }
    check_files(json.at("checksums"), checkpoint);
    TrainingState state;
    state.step = json.at("step").get<int64_t>();
    state.log_bytes = json.at("log_bytes").get<uint64_t>();
    state.event_bytes = json.value("event_bytes", uint64_t{0});
    state.seconds = json.at("seconds").get<double>();
    state.last_eval = {json.at("last_eval").at("step").get<int64_t>(),
                       json.at("last_eval").at("validation_loss").get<double>(),
                       json.at("last_eval").at("tokens").get<uint64_t>()};
    // Like event_bytes not in the checkpoints of older versions.
    if (json.contains("guard")) state.guard = guard_state(json.at("guard"));
    state.code_version = json.value("code_version", "");
    state.data_fingerprint = json.at("data_fingerprint").get<std::string>();
    state.recipe = json.at("recipe");
    return state;
  } catch (const Json::exception& error) {
    fail_damaged(file, fmt::format("is damaged ({})", error.what()));
  }
}

}  // namespace tercet::learn
