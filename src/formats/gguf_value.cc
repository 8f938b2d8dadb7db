// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "formats/gguf.h"

namespace tercet {
namespace {

using Type = GgufValue::Type;

template <typename T>
GgufValue scalar(Type type, T value) {
  GgufValue out;
  out.type = type;
  out.value.emplace<T>(std::move(value));
  return out;
}

template <typename T>
GgufValue array(Type element_type, std::vector<T> values) {
  GgufValue out;
  out.type = Type::kArray;
  out.element_type = element_type;
  out.value = GgufValue::Array(std::move(values));
  return out;
}

}  // namespace

GgufValue GgufValue::u32(uint32_t v) { return scalar<uint64_t>(Type::kU32, v); }
GgufValue GgufValue::u64(uint64_t v) { return scalar<uint64_t>(Type::kU64, v); }
GgufValue GgufValue::i32(int32_t v) { return scalar<int64_t>(Type::kI32, v); }
GgufValue GgufValue::f32(float v) { return scalar<double>(Type::kF32, static_cast<double>(v)); }
GgufValue GgufValue::boolean(bool v) { return scalar<bool>(Type::kBool, v); }
GgufValue GgufValue::string(std::string v) {
  return scalar<std::string>(Type::kString, std::move(v));
}

GgufValue GgufValue::strings(std::vector<std::string> v) {
  return array<std::string>(Type::kString, std::move(v));
}
GgufValue GgufValue::f32s(const std::vector<float>& v) {
  return array<double>(Type::kF32, std::vector<double>(v.begin(), v.end()));
}
GgufValue GgufValue::i32s(const std::vector<int32_t>& v) {
  return array<int64_t>(Type::kI32, std::vector<int64_t>(v.begin(), v.end()));
}

}  // namespace tercet
