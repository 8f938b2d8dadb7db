// SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors.h"

#include <utility>

#include "core/error.h"
#include "formats/safetensors_parse.h"

namespace tercet {

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  SafetensorsContents contents = parse_safetensors(file_.bytes(), path.string());
  tensors_ = std::move(contents.tensors);
  index_ = std::move(contents.index);
  metadata_ = std::move(contents.metadata);
}

const TensorView* SafetensorsFile::find_tensor(const std::string& name) const {
  const auto position = index_.find(name);
  return position == index_.end() ? nullptr : &tensors_[position->second];
}

const TensorView& SafetensorsFile::tensor(const std::string& name) const {
  const TensorView* found = find_tensor(name);
  if (found == nullptr) {
    fail(ErrorCode::kBadInput, "{}: tensor '{}' is missing", path().string(), name);
  }
  return *found;
}

}  // namespace tercet
