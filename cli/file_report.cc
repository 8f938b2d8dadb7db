// SPDX-License-Identifier: Apache-2.0
#include "cli/file_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "cli/common/numbers.h"
#include "cli/common/output.h"
#include "cli/memory_check.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/file.h"
#include "formats/file_kind.h"
#include "model/memory.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace tercet::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kUsualContext = 2048;

Json make_report(const fs::path& path, const char* kind, const std::string& what,
                 const std::string& reason) {
  return {{"path", path.string()},
          {"kind", kind},
          {"what", what},
          {"can_run", reason.empty()},
          {"reason", reason}};
}

Json report_context(const WeightSource& source, int64_t context) {
  const MemoryVerdict verdict = judge_memory_of(source, context);
  return {{"context", context},
          {"bytes", verdict.needed},
          {"fits", verdict.fits},
          {"sentence", verdict.sentence}};
}

// A sound container may hold a model that this version, or this machine, cannot run.
Json report_model(const fs::path& path, const std::string& container) {
  Json report = make_report(path, "model", container, "");
  try {
    std::unique_ptr<WeightSource> source = WeightSource::open(path);
    report["what"] = fmt::format("{} of architecture {}", container, source->architecture());
    report["memory"] = report_memory(*source);
    const Json& usual = report["memory"]["contexts"].front();
    if (!usual["fits"].get<bool>()) {
      report["reason"] = usual["sentence"];
    } else if (const Model model = Model::load(std::move(source)); model.tokenizer() == nullptr) {
      report["reason"] = "it has no tokenizer that this version reads: " + model.tokenizer_note();
    }
  } catch (const Error& error) {
    report["reason"] = error.what();
  }
  report["can_run"] = report["reason"].get_ref<const std::string&>().empty();
  return report;
}

Json report_directory(const fs::path& path) {
  std::error_code error;
  if (fs::exists(path / "config.json", error)) return report_model(path, "an HF directory");
  if (fs::exists(path / "dataset.json", error)) {
    return make_report(path, "data", "a data set for training",
                       "it is no model; `tercet data info` shows what it holds");
  }
  return make_report(path, "other", "a directory without config.json", explain_directory(path));
}

Json report_tokenizer(const fs::path& path, const std::string& what) {
  const std::string advice = "a tokenizer alone does not run; give the model";
  try {
    const Tokenizer tokenizer = Tokenizer::load(path);
    return make_report(path, "tokenizer",
                       fmt::format("{} of {} pieces", what, tokenizer.vocab_size()), advice);
  } catch (const Error& error) {
    return make_report(path, "tokenizer", what, error.what());
  }
}

// The files of an HF directory that are JSON, told apart by their keys.
Json report_json(const fs::path& path) {
  const std::string advice = "give the directory that it lies in";
  Json json;
  try {
    json = read_json_file(path);
  } catch (const Error& error) {
    return make_report(path, "other", "text that begins like JSON", error.what());
  }
  if (!json.is_object()) return make_report(path, "other", "a JSON list", "it is no model");
  if (json.contains("weight_map")) {
    return make_report(path, "settings", "the index of a model in several files", advice);
  }
  if (json.contains("model_type") || json.contains("architectures")) {
    return make_report(path, "settings", "the configuration of a model", advice);
  }
  if (json.contains("model") && json.contains("pre_tokenizer")) {
    return make_report(path, "tokenizer", "a tokenizer.json", advice);
  }
  if (json.contains("error")) {
    return make_report(path, "other", "an error message in JSON",
                       "the download has failed, fetch the file again");
  }
  return make_report(path, "other", "a JSON document", "it is no model");
}

}  // namespace

Json report_memory(const WeightSource& source) {
  const MemoryNeed need = memory_need(source);
  const int64_t longest = source.config().max_position_embeddings;
  Json contexts = Json::array({report_context(source, std::min(kUsualContext, longest))});
  if (longest > kUsualContext) contexts.push_back(report_context(source, longest));
  return {{"weight_bytes", need.weight_bytes()},
          {"kv_bytes_per_token", need.kv_bytes_per_token},
          {"available_bytes", available_memory_bytes()},
          {"contexts", std::move(contexts)}};
}

Json report_file(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return report_directory(path);
  const FileDescription found = describe_file(MappedFile(path).bytes());
  switch (found.kind) {
    case FileKind::kGguf:
      return report_model(path, found.what);
    case FileKind::kSafetensors:
      return make_report(path, "weights", found.what, found.advice);
    case FileKind::kSentencePiece:
      return report_tokenizer(path, "a SentencePiece tokenizer");
    case FileKind::kJson:
      return report_json(path);
    default:
      return make_report(path, "other", found.what,
                         found.advice.empty() ? "it is no model" : found.advice);
  }
}

void print_file_report(const Json& report) {
  print_text("{:<15} {}\n", "file", report["path"].get<std::string>());
  print_text("{:<15} {}\n", "what it is", report["what"].get<std::string>());
  if (report.contains("memory")) {
    for (const Json& context : report["memory"]["contexts"]) {
      print_text("{:<15} {}\n", "memory", context["sentence"].get<std::string>());
    }
  }
  const std::string reason = report["reason"];
  print_text("{:<15} {}\n", "can it run", reason.empty() ? "yes" : "no: " + reason);
}

}  // namespace tercet::cli
