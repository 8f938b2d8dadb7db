// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tercet::hostile {

// Value types of metadata and element types of tensors, by the numbers in the file.
enum class Meta : uint32_t {
  kU8 = 0,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10
};
inline constexpr uint32_t kTypeF32 = 0;
inline constexpr uint32_t kTypeQ8_0 = 8;
inline constexpr uint32_t kTypeTq2_0 = 35;

template <typename T>
std::string raw(T value) {
  std::string out(sizeof(T), '\0');
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}

inline std::string counted(std::string_view text) {
  return raw<uint64_t>(text.size()) + std::string(text);
}

// A GGUF file byte by byte: says whatever it is told, true or not.
class GgufBytes {
 public:
  uint32_t version = 3;
  uint64_t alignment = 32;
  std::optional<uint64_t> tensor_count;    // instead of the true one
  std::optional<uint64_t> metadata_count;  // instead of the true one

  GgufBytes& value(std::string_view key, Meta type, std::string_view payload) {
    metadata_ += counted(key) + raw(type) + std::string(payload);
    ++keys_;
    return *this;
  }
  GgufBytes& u32(std::string_view key, uint32_t v) { return value(key, Meta::kU32, raw(v)); }
  GgufBytes& f32(std::string_view key, float v) { return value(key, Meta::kF32, raw(v)); }
  GgufBytes& boolean(std::string_view key, bool v) {
    return value(key, Meta::kBool, raw<uint8_t>(v ? 1 : 0));
  }
  GgufBytes& string(std::string_view key, std::string_view v) {
    return value(key, Meta::kString, counted(v));
  }
  // An array whose elements are already bytes; `count` may lie.
  GgufBytes& array(std::string_view key, Meta element, uint64_t count, std::string_view elements) {
    return value(key, Meta::kArray, raw(element) + raw(count) + std::string(elements));
  }
  GgufBytes& strings(std::string_view key, const std::vector<std::string>& values) {
    std::string elements;
    for (const std::string& v : values) elements += counted(v);
    return array(key, Meta::kString, values.size(), elements);
  }
  template <typename T>
  GgufBytes& numbers(std::string_view key, Meta element, const std::vector<T>& values) {
    std::string elements;
    for (const T v : values) elements += raw(v);
    return array(key, element, values.size(), elements);
  }

  // `extents` innermost first, as in the file.
  GgufBytes& tensor(std::string_view name, const std::vector<uint64_t>& extents, uint32_t type,
                    uint64_t offset) {
    tensors_ += counted(name) + raw(static_cast<uint32_t>(extents.size()));
    for (const uint64_t extent : extents) tensors_ += raw(extent);
    tensors_ += raw(type) + raw(offset);
    ++descriptions_;
    return *this;
  }
  GgufBytes& data(std::string_view bytes) {
    data_ += bytes;
    return *this;
  }

  std::string bytes() const {
    std::string out = "GGUF" + raw(version) + raw(tensor_count.value_or(descriptions_)) +
                      raw(metadata_count.value_or(keys_)) + metadata_ + tensors_;
    if (data_.empty()) return out;
    out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out + data_;
  }

 private:
  std::string metadata_;
  std::string tensors_;
  std::string data_;
  uint64_t keys_ = 0;
  uint64_t descriptions_ = 0;
};

inline std::span<const uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace tercet::hostile
