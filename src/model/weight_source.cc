// SPDX-License-Identifier: Apache-2.0
#include "model/weight_source.h"

#include <algorithm>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "model/gguf_source.h"
#include "model/hf_source.h"

namespace tercet {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kGgufMagic = "GGUF";

bool starts_as_gguf(const fs::path& path) {
  const MappedFile file(path);
  return file.bytes().size() >= kGgufMagic.size() &&
         std::equal(kGgufMagic.begin(), kGgufMagic.end(), file.bytes().begin());
}

}  // namespace

WeightSource::WeightSource(fs::path path, ModelConfig config, RopeOrder rope_order,
                           std::string architecture)
    : path_(std::move(path)),
      config_(std::move(config)),
      rope_order_(rope_order),
      architecture_(std::move(architecture)) {}

WeightSource::~WeightSource() = default;

std::unique_ptr<WeightSource> WeightSource::open(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    fail(ErrorCode::kIo, "'{}' does not exist; a model is a GGUF file or an HF directory",
         path.string());
  }
  if (status.type() == fs::file_type::directory) {
    if (!fs::exists(path / "config.json", error)) {
      fail(ErrorCode::kBadInput,
           "'{}' holds no config.json, so it is not a model; give an HF directory or a GGUF file",
           path.string());
    }
    return std::make_unique<HfSource>(path);
  }
  if (!starts_as_gguf(path)) {
    fail(ErrorCode::kBadInput, "'{}' is not a GGUF file; a model is a GGUF file or an HF directory",
         path.string());
  }
  return std::make_unique<GgufSource>(path);
}

void WeightSource::check_tokenizer(const Tokenizer& tokenizer) const {
  if (tokenizer.vocab_size() <= config_.vocab_size) return;
  fail(ErrorCode::kBadInput,
       "{}: the tokenizer has {} pieces, the model only {} embeddings; they do not belong together",
       path_.string(), tokenizer.vocab_size(), config_.vocab_size);
}

}  // namespace tercet
