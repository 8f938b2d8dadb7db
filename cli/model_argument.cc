// SPDX-License-Identifier: Apache-2.0
#include "cli/model_argument.h"

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "cli/common/learning_half.h"
#include "cli/memory_check.h"
#include "core/cpu.h"
#include "core/error.h"

namespace tercet::cli {
namespace {

// A file of models/, seen from the working directory, from build/NAME/bin or from where
// `cmake --install` puts the program.
std::optional<std::filesystem::path> find_bundled(const std::string& file) {
  const std::filesystem::path name = std::filesystem::path("models") / file;
  std::error_code ignored;
  if (std::filesystem::exists(name, ignored)) return name;
  for (const char* root : {"../../..", "../share/tercet"}) {
    const auto path = (program_path().parent_path() / root / name).lexically_normal();
    if (std::filesystem::exists(path, ignored)) return path;
  }
  return std::nullopt;
}

}  // namespace

void ModelArguments::add_to(CLI::App& command) {
  command.add_option("MODEL", model, "A GGUF file or an HF model directory");
  command.add_option("-t,--threads", threads, "Threads (default: one per physical core)")
      ->check(CLI::Range(1, 1024));
  add_kv_type(command, kv_type);
  command.add_flag("--force", force, "Run even when the memory seems too small");
  command.add_flag("--json", json, "Print one JSON document on stdout and nothing else there");
}

int ModelArguments::thread_count() const {
  return threads > 0 ? threads : read_cpu_info().physical_cores;
}

void add_kv_type(CLI::App& command, KvType& type) {
  command
      .add_option_function<std::string>(
          "--kv-type", [&type](const std::string& name) { type = kv_type_named(name); },
          "Keep keys and values as f32, f16, bf16 or int8")
      ->default_str(to_string(type));
}

Model load_model(const std::string& argument, bool force, int64_t context, KvType kv_type) {
  if (!argument.empty()) {
    std::unique_ptr<WeightSource> source = WeightSource::open(argument);
    if (!force) check_memory_to_load(*source, context, kv_type);
    return Model::load(std::move(source));
  }
  const auto embedded = find_bundled("novel-b158.gguf");
  if (embedded) {
    fail(ErrorCode::kUsage, "no MODEL is given; '{}' comes with Tercet", embedded->string());
  }
  fail(ErrorCode::kUsage, "no MODEL is given; name a GGUF file or an HF model directory");
}

std::filesystem::path bundled_model(const std::string& file) {
  if (const auto found = find_bundled(file)) return *found;
  fail(ErrorCode::kIo,
       "cannot find models/{}, which comes with the sources of Tercet; run this from "
       "their directory",
       file);
}

const Tokenizer& tokenizer_of(const Model& model) {
  if (model.tokenizer() == nullptr) {
    fail(ErrorCode::kUnsupported, "'{}' has no tokenizer that this version reads: {}",
         model.path().string(), model.tokenizer_note());
  }
  return *model.tokenizer();
}

const KernelTable& chosen_kernels() {
  const char* forced = std::getenv("TERCET_ISA");
  return select_kernels(forced == nullptr ? "" : forced);
}

}  // namespace tercet::cli
