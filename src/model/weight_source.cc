// SPDX-License-Identifier: Apache-2.0
#include "model/weight_source.h"

#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "formats/file_kind.h"
#include "model/gguf_source.h"
#include "model/hf_source.h"

namespace tercet {
namespace fs = std::filesystem;

namespace {

// Says what a file that is no model is instead.
void check_is_gguf(const fs::path& path) {
  const MappedFile file(path);
  const FileDescription found = describe_file(file.bytes());
  if (found.kind == FileKind::kGguf) return;
  fail(found.kind == FileKind::kPickle ? ErrorCode::kUnsupported : ErrorCode::kBadInput,
       "'{}' is not a GGUF file: {}; a model is a GGUF file or an HF directory", path.string(),
       explain(found));
}

}  // namespace

WeightSource::WeightSource(fs::path path, ModelConfig config, RopeOrder rope_order,
                           std::string architecture)
    : path_(std::move(path)),
      config_(std::move(config)),
      rope_order_(rope_order),
      architecture_(std::move(architecture)) {}

WeightSource::~WeightSource() = default;

std::unique_ptr<WeightSource> WeightSource::open(const fs::path& path, const OpenOptions& options) {
  if (options.i2s_block != 0 && options.i2s_block != 64 && options.i2s_block != 128) {
    fail(ErrorCode::kUsage, "i2_s blocks of {} do not exist; choose 128 or 64", options.i2s_block);
  }
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    fail(ErrorCode::kIo, "'{}' does not exist; a model is a GGUF file or an HF directory",
         path.string());
  }
  if (status.type() == fs::file_type::directory) {
    if (!fs::exists(path / "config.json", error)) {
      fail(ErrorCode::kBadInput, "'{}' holds no config.json, so it is not a model; {}",
           path.string(), explain_directory(path));
    }
    return std::make_unique<HfSource>(path);
  }
  check_is_gguf(path);
  return std::make_unique<GgufSource>(path, options);
}

void WeightSource::check_tokenizer(const Tokenizer& tokenizer) const {
  if (tokenizer.vocab_size() <= config_.vocab_size) return;
  fail(ErrorCode::kBadInput,
       "{}: the tokenizer has {} pieces, the model only {} embeddings; they do not belong together",
       path_.string(), tokenizer.vocab_size(), config_.vocab_size);
}

}  // namespace tercet
