// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/file.h"
#include "formats/tensor.h"

namespace tercet {

// A .safetensors file, mapped. All checks of the format are made on opening: header at most 100 MB,
// no duplicate names, offsets contiguous without holes or overlap, the whole buffer covered,
// shape x dtype == size.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  const std::filesystem::path& path() const { return file_.path(); }
  const std::vector<TensorView>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const TensorView* find_tensor(const std::string& name) const;
  // The tensor, or kBadInput naming file and tensor.
  const TensorView& tensor(const std::string& name) const;

 private:
  MappedFile file_;
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t> index_;
  std::map<std::string, std::string> metadata_;
};

// Writes `tensors` in the order given (atomically: temporary name, flush, rename), with `metadata`
// under "__metadata__" when not empty. Bytes of equal input are equal.
void write_safetensors(const std::filesystem::path& target, const std::vector<TensorView>& tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace tercet
