// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/file.h"
#include "formats/tensor.h"

namespace tercet {

// A metadata value of a GGUF file. Integers of all widths are held as int64/uint64; `type` keeps
// the width for printing and for writing back.
struct GgufValue {
  enum class Type : uint32_t {
    kU8,
    kI8,
    kU16,
    kI16,
    kU32,
    kI32,
    kF32,
    kBool,
    kString,
    kArray,
    kU64,
    kI64,
    kF64
  };
  using Array = std::variant<std::vector<int64_t>, std::vector<uint64_t>, std::vector<double>,
                             std::vector<bool>, std::vector<std::string>>;
  Type type = Type::kU32;
  Type element_type = Type::kU32;  // of arrays
  std::variant<int64_t, uint64_t, double, bool, std::string, Array> value;

  static GgufValue u32(uint32_t v);
  static GgufValue u64(uint64_t v);
  static GgufValue i32(int32_t v);
  static GgufValue f32(float v);
  static GgufValue boolean(bool v);
  static GgufValue string(std::string v);
  static GgufValue strings(std::vector<std::string> v);
  static GgufValue f32s(const std::vector<float>& v);
  static GgufValue i32s(const std::vector<int32_t>& v);
};

struct GgufContents;

// A GGUF file, v2 or v3, little-endian, mapped into memory; or all parts of a model that is split
// into several (prefix-00001-of-00003.gguf), of which any one may be named. Everything is checked
// on opening: every count, length, type, offset, alignment, overlap and size, before anything is
// allocated for it.
class GgufFile {
 public:
  // Throws kIo when unreadable or a part is missing; kBadInput naming file and field when damaged,
  // cut or when parts do not belong together; kUnsupported for a version or tensor type this
  // program does not read.
  explicit GgufFile(const std::filesystem::path& path);
  // The same of bytes in memory, which must outlive this; `name` stands for the path in errors. A
  // part of a split model is then taken for itself.
  GgufFile(std::span<const uint8_t> bytes, std::filesystem::path name);

  // As given to the constructor.
  const std::filesystem::path& path() const { return path_; }
  uint32_t version() const { return version_; }
  // Files that the model lies in (0 for bytes in memory), and their bytes together.
  size_t parts() const { return files_.size(); }
  uint64_t file_bytes() const { return file_bytes_; }

  // The first part's, and of all parts, in file order.
  const std::vector<std::pair<std::string, GgufValue>>& metadata() const { return metadata_; }
  const std::vector<TensorView>& tensors() const { return tensors_; }

  // nullptr when absent.
  const GgufValue* find(const std::string& key) const;
  const TensorView* find_tensor(const std::string& name) const;

  // Typed access. The required forms throw kBadInput naming file and key when the key is absent or
  // has another type or does not fit; the optional forms only for a wrong type.
  int64_t integer(const std::string& key) const;
  int64_t integer_or(const std::string& key, int64_t fallback) const;
  double real(const std::string& key) const;
  double real_or(const std::string& key, double fallback) const;
  bool boolean_or(const std::string& key, bool fallback) const;
  const std::string& string(const std::string& key) const;
  std::string string_or(const std::string& key, const std::string& fallback) const;
  // Arrays; throw when absent.
  const std::vector<std::string>& strings(const std::string& key) const;
  std::vector<double> reals(const std::string& key) const;
  std::vector<int64_t> integers(const std::string& key) const;
  // The tensor, or kBadInput naming file and tensor.
  const TensorView& tensor(const std::string& name) const;

  // Says that the bytes of `tensor`, one of tensors(), are not needed soon: their pages stop
  // counting as this process' memory, and come back from the file when they are read again.
  void release(const TensorView& tensor) const;

 private:
  void add_part(GgufContents contents, uint64_t bytes, const std::string& origin);

  std::filesystem::path path_;
  std::vector<MappedFile> files_;
  uint64_t file_bytes_ = 0;
  uint32_t version_ = 0;
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t> metadata_index_;
  std::map<std::string, size_t> tensor_index_;
};

// Writes a GGUF v3 file: declare everything, then deliver each tensor's bytes in order of
// declaration, in one piece or in as many as suits. Nothing appears under the target name before
// finish().
class GgufWriter {
 public:
  explicit GgufWriter(const std::filesystem::path& target);
  ~GgufWriter();

  void set(const std::string& key, GgufValue value);
  // shape outermost first. Declares a tensor of tensor_bytes(...) bytes.
  void declare(const std::string& name, DType type, const std::vector<int64_t>& shape);
  // The bytes of the next declared tensor. Throws kInternal when the size differs.
  void write_next(std::span<const uint8_t> bytes);
  // The next bytes of the tensor that is being written, the next declared one when the last is
  // complete. Throws kInternal when they are more than it has left.
  void append(std::span<const uint8_t> bytes);
  // Flushes and renames; throws kInternal when tensors are missing.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tercet
