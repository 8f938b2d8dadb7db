// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
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
  // See MappedFile::release().
  void release(const TensorView& tensor) const { file_.release(tensor.bytes); }

 private:
  MappedFile file_;
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t> index_;
  std::map<std::string, std::string> metadata_;
};

// Writes a .safetensors file: declare everything, then deliver each tensor's bytes in order of
// declaration, in as many pieces as suits. Nothing appears under the target name before finish().
class SafetensorsWriter {
 public:
  // `metadata` goes under "__metadata__" when not empty.
  SafetensorsWriter(const std::filesystem::path& target,
                    std::map<std::string, std::string> metadata);
  ~SafetensorsWriter();

  // Throws kUnsupported for a type that safetensors cannot hold, kInternal for a name twice.
  void declare(const std::string& name, DType type, const std::vector<int64_t>& shape);
  // The next bytes. Throws kInternal when they are more than was declared.
  void append(std::span<const uint8_t> bytes);
  // Flushes and renames; throws kInternal when bytes are missing.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Writes `tensors` in the order given, as SafetensorsWriter does. Bytes of equal input are equal.
void write_safetensors(const std::filesystem::path& target, const std::vector<TensorView>& tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace tercet
