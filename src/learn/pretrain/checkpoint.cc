// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/checkpoint.h"

#include <fmt/format.h>

#include <system_error>

#include "core/error.h"
#include "core/file.h"
#include "learn/data/hash.h"
#include "learn/nn/model_io.h"
#include "learn/pretrain/checkpoint_directory.h"
#include "tokenizer/tokenizer_files.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStateFile = "state.json";
constexpr const char* kOptimizerFile = "optimizer.safetensors";

// Checksum of state.json's own content, without the field that holds it.
std::string state_checksum(Json json) {
  json.erase("state_checksum");
  const std::string text = json.dump();
  Fnv1a64 hash;
  hash.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return fmt::format("{:016x}", hash.value());
}

Json guard_json(const LossGuard::State& state) {
  return {{"mean", state.mean},
          {"variance", state.variance},
          {"previous", state.previous},
          {"seen", state.seen},
          {"bad_in_row", state.bad_in_row},
          {"skipped", state.skipped},
          {"last_good", state.last_good},
          {"broken_in_row", state.broken_in_row}};
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
  state.broken_in_row = json.value("broken_in_row", int64_t{0});  // not of older versions
  return state;
}

Json times_json(const RunTimes& times) {
  return {{"data", times.data},
          {"report", times.report},
          {"evaluation", times.evaluation},
          {"checkpoint", times.checkpoint}};
}

RunTimes run_times(const Json& json) {
  return {json.at("data").get<double>(), json.at("report").get<double>(),
          json.at("evaluation").get<double>(), json.at("checkpoint").get<double>()};
}

Json evaluation_json(const Evaluation& evaluation) {
  return {{"step", evaluation.step},
          {"validation_loss", evaluation.validation_loss},
          {"tokens", evaluation.tokens},
          {"corpora", to_json(evaluation.corpora)}};
}

Evaluation evaluation(const Json& json) {
  Evaluation evaluation{json.at("step").get<int64_t>(),
                        json.at("validation_loss").get<double>(),
                        json.at("tokens").get<uint64_t>(),
                        {}};
  // Not in the checkpoints of older versions.
  for (const Json& corpus : json.value("corpora", Json::array())) {
    evaluation.corpora.push_back({corpus.at("data").get<std::string>(),
                                  corpus.at("validation_loss").get<double>(),
                                  corpus.at("validation_tokens").get<uint64_t>()});
  }
  return evaluation;
}

// state.json of a checkpoint whose other files lie in `directory`.
Json state_json(const TrainingState& state, const fs::path& directory) {
  Json json = to_json(state);
  json["checksums"] = Json::object();
  for (const auto& entry : fs::directory_iterator(directory)) {
    json["checksums"][entry.path().filename().string()] = file_checksum(entry.path());
  }
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
      fail_damaged(file, "is damaged or was changed (its checksum differs)");
    }
  }
}

// An error that is on its way up says more than one from here.
void discard(const fs::path& unfinished) {
  std::error_code ignored;
  fs::remove_all(unfinished, ignored);
}

}  // namespace

Json to_json(const TrainingState& state) {
  return {{"format", 1},
          {"step", state.step},
          {"log_bytes", state.log_bytes},
          {"event_bytes", state.event_bytes},
          {"seconds", state.seconds},
          {"times", times_json(state.times)},
          {"last_eval", evaluation_json(state.last_eval)},
          {"best_eval", evaluation_json(state.best_eval)},
          {"guard", guard_json(state.guard)},
          {"code_version", state.code_version},
          {"data_fingerprint", state.data_fingerprint},
          {"ranks", state.ranks},
          {"recipe", state.recipe}};
}

TrainingState training_state(const Json& json) {
  TrainingState state;
  state.step = json.at("step").get<int64_t>();
  state.log_bytes = json.at("log_bytes").get<uint64_t>();
  state.event_bytes = json.value("event_bytes", uint64_t{0});
  state.seconds = json.at("seconds").get<double>();
  state.last_eval = evaluation(json.at("last_eval"));
  // Like event_bytes not in the checkpoints of older versions.
  if (json.contains("best_eval")) state.best_eval = evaluation(json.at("best_eval"));
  if (json.contains("times")) state.times = run_times(json.at("times"));
  if (json.contains("guard")) state.guard = guard_state(json.at("guard"));
  state.code_version = json.value("code_version", "");
  state.data_fingerprint = json.at("data_fingerprint").get<std::string>();
  state.ranks = json.value("ranks", int64_t{1});
  state.recipe = json.at("recipe");
  return state;
}

std::string file_checksum(const fs::path& file) {
  const MappedFile mapped(file);
  Fnv1a64 hash;
  hash.update(mapped.bytes());
  return fmt::format("{:016x}", hash.value());
}

void save_checkpoint(const fs::path& out, const TrainingState& state, const Transformer& model,
                     const ShardedOptimizer& optimizer, const WeightStats& stats,
                     const fs::path& tokenizer_directory, int64_t keep, Team team) {
  const fs::path target = checkpoint_path(out, state.step);
  // The same step of the same run: the same bytes.
  if (team.first_says(fs::exists(target))) return;
  if (!team.is_first()) return optimizer.save("");  // its share
  fs::path unfinished = target;
  unfinished += kUnfinished;
  remove_directory(unfinished);
  make_directories(unfinished);
  try {
    save_model(model, unfinished);
    optimizer.save(unfinished / kOptimizerFile);
    stats.save(unfinished / kStatsFile);
    copy_tokenizer_files(tokenizer_directory, unfinished);
    write_text_file(unfinished / kStateFile, state_json(state, unfinished).dump(2) + "\n");
  } catch (const Error& error) {
    discard(unfinished);
    if (error.code() != ErrorCode::kIo) throw;
    fail(ErrorCode::kIo, "{}; once that is solved, --resume goes on from the checkpoint before",
         error.what());
  } catch (...) {
    discard(unfinished);
    throw;
  }
  rename_durably(unfinished, target);
  retain_checkpoints(out, keep, state.best_eval.step);
}

TrainingState read_checkpoint(const fs::path& checkpoint) {
  const fs::path file = checkpoint / kStateFile;
  if (!fs::exists(file)) fail_damaged(file, "is missing");
  Json json;
  try {
    json = read_json_file(file);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kBadInput) throw;
    fail_damaged(file, "is damaged (it is no JSON)");
  }
  try {
    if (json.at("state_checksum") != state_checksum(json)) {
      fail_damaged(file, "is damaged or was changed (its checksum differs)");
    }
    check_files(json.at("checksums"), checkpoint);
    return training_state(json);
  } catch (const Json::exception&) {
    fail_damaged(file, "is damaged (it lacks what a checkpoint says)");
  }
}

}  // namespace tercet::learn
