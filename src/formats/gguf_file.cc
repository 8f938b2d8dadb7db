// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <utility>

#include "core/error.h"
#include "formats/gguf.h"
#include "formats/gguf_types.h"
#include "formats/printable.h"

namespace tercet {
namespace {

// "array of string", "u32".
std::string type_text(const GgufValue& value) {
  if (value.type != GgufValue::Type::kArray) return gguf_type_info(value.type).name;
  return std::string("array of ") + gguf_type_info(value.element_type).name;
}

[[noreturn]] void wrong_type(const GgufFile& file, const std::string& key, const GgufValue& value,
                             const char* wanted) {
  fail(ErrorCode::kBadInput, "{}: metadata '{}' is of type {}; {} is expected",
       file.path().string(), printable(key), type_text(value), wanted);
}

const GgufValue& required(const GgufFile& file, const std::string& key) {
  const GgufValue* value = file.find(key);
  if (value == nullptr) {
    fail(ErrorCode::kBadInput, "{}: metadata '{}' is missing", file.path().string(),
         printable(key));
  }
  return *value;
}

int64_t narrow(const GgufFile& file, const std::string& key, uint64_t value) {
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    fail(ErrorCode::kBadInput, "{}: metadata '{}' is {}, which is too large", file.path().string(),
         printable(key), value);
  }
  return static_cast<int64_t>(value);
}

int64_t to_integer(const GgufFile& file, const std::string& key, const GgufValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value.value)) return *number;
  if (const auto* number = std::get_if<uint64_t>(&value.value)) return narrow(file, key, *number);
  wrong_type(file, key, value, "an integer");
}

template <typename T>
const T& to_scalar(const GgufFile& file, const std::string& key, const GgufValue& value,
                   const char* wanted) {
  if (const auto* found = std::get_if<T>(&value.value)) return *found;
  wrong_type(file, key, value, wanted);
}

template <typename T>
const std::vector<T>* find_array(const GgufValue& value) {
  const auto* array = std::get_if<GgufValue::Array>(&value.value);
  return array == nullptr ? nullptr : std::get_if<std::vector<T>>(array);
}

}  // namespace

void GgufFile::release(const TensorView& tensor) const {
  for (const MappedFile& file : files_) file.release(tensor.bytes);
}

const GgufValue* GgufFile::find(const std::string& key) const {
  const auto position = metadata_index_.find(key);
  return position == metadata_index_.end() ? nullptr : &metadata_[position->second].second;
}

const TensorView* GgufFile::find_tensor(const std::string& name) const {
  const auto position = tensor_index_.find(name);
  return position == tensor_index_.end() ? nullptr : &tensors_[position->second];
}

const TensorView& GgufFile::tensor(const std::string& name) const {
  const TensorView* found = find_tensor(name);
  if (found == nullptr) {
    fail(ErrorCode::kBadInput, "{}: tensor '{}' is missing", path().string(), printable(name));
  }
  return *found;
}

int64_t GgufFile::integer(const std::string& key) const {
  return to_integer(*this, key, required(*this, key));
}

int64_t GgufFile::integer_or(const std::string& key, int64_t fallback) const {
  const GgufValue* value = find(key);
  return value == nullptr ? fallback : to_integer(*this, key, *value);
}

double GgufFile::real(const std::string& key) const {
  return to_scalar<double>(*this, key, required(*this, key), "a real number");
}

double GgufFile::real_or(const std::string& key, double fallback) const {
  const GgufValue* value = find(key);
  return value == nullptr ? fallback : to_scalar<double>(*this, key, *value, "a real number");
}

bool GgufFile::boolean_or(const std::string& key, bool fallback) const {
  const GgufValue* value = find(key);
  return value == nullptr ? fallback : to_scalar<bool>(*this, key, *value, "a boolean");
}

const std::string& GgufFile::string(const std::string& key) const {
  return to_scalar<std::string>(*this, key, required(*this, key), "a string");
}

std::string GgufFile::string_or(const std::string& key, const std::string& fallback) const {
  const GgufValue* value = find(key);
  return value == nullptr ? fallback : to_scalar<std::string>(*this, key, *value, "a string");
}

const std::vector<std::string>& GgufFile::strings(const std::string& key) const {
  const GgufValue& value = required(*this, key);
  if (const auto* found = find_array<std::string>(value)) return *found;
  wrong_type(*this, key, value, "an array of strings");
}

std::vector<double> GgufFile::reals(const std::string& key) const {
  const GgufValue& value = required(*this, key);
  if (const auto* found = find_array<double>(value)) return *found;
  wrong_type(*this, key, value, "an array of real numbers");
}

std::vector<int64_t> GgufFile::integers(const std::string& key) const {
  const GgufValue& value = required(*this, key);
  if (const auto* found = find_array<int64_t>(value)) return *found;
  const auto* found = find_array<uint64_t>(value);
  if (found == nullptr) wrong_type(*this, key, value, "an array of integers");
  std::vector<int64_t> out;
  out.reserve(found->size());
  for (const uint64_t element : *found) out.push_back(narrow(*this, key, element));
  return out;
}

}  // namespace tercet
