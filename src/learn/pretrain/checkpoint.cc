// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "learn/data/hash.h"
#include "learn/nn/model_io.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "step-";
constexpr const char* kUnfinished = ".unfinished";
constexpr const char* kStateFile = "state.json";
constexpr const char* kOptimizerFile = "optimizer.safetensors";

uint64_t checksum(const fs::path& file) {
  const MappedFile mapped(file);
  Fnv1a64 hash;
  hash.update(mapped.bytes());
  return hash.value();
}

fs::path checkpoint_path(const fs::path& out, int64_t step) {
  return out / "checkpoints" / fmt::format("{}{:08}", kPrefix, step);
}

// Finished checkpoints, oldest first.
std::vector<fs::path> finished_checkpoints(const fs::path& out) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(out / "checkpoints", error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kPrefix) && !name.ends_with(kUnfinished)) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
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

Json state_json(const TrainingState& state, const fs::path& directory) {
  Json files = Json::object();
  for (const auto& entry : fs::directory_iterator(directory)) {
    files[entry.path().filename().string()] = fmt::format("{:016x}", checksum(entry.path()));
  }
  Json json = {{"format", 1},
               {"step", state.step},
               {"log_bytes", state.log_bytes},
               {"seconds", state.seconds},
               {"best_validation_loss", state.best_validation_loss},
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
    if (!sum.is_string() || sum.get<std::string>() != fmt::format("{:016x}", checksum(file))) {
      fail_damaged(file, "is damaged (its checksum differs)");
    }
  }
}

}  // namespace

void copy_tokenizer(const fs::path& from, const fs::path& to) {
  for (const char* name : {"tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"}) {
    if (!fs::exists(from / name)) continue;
    write_text_file(to / name, read_text_file(from / name, uint64_t{64} << 20));
  }
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
    copy_tokenizer(tokenizer_directory, unfinished);
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
    state.seconds = json.at("seconds").get<double>();
    state.best_validation_loss = json.at("best_validation_loss").get<double>();
    state.recipe = json.at("recipe");
    return state;
  } catch (const Json::exception& error) {
    fail_damaged(file, fmt::format("is damaged ({})", error.what()));
  }
}

}  // namespace tercet::learn
