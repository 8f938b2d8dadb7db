// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace tercet {

// Reads the fields of one protocol buffer message in order, as the wire holds them. Every length is
// checked against the bytes that remain.
class WireReader {
 public:
  enum class Type : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
  struct Field {
    uint64_t number = 0;
    Type type = Type::kVarint;
    uint64_t integer = 0;    // of all but kBytes
    std::string_view bytes;  // of kBytes; points into the message
    float real() const { return std::bit_cast<float>(static_cast<uint32_t>(integer)); }
  };

  explicit WireReader(std::string_view message) : rest_(message) {}

  // Whether another field may be read; false at the end.
  bool more() const { return !rest_.empty(); }
  // The next field; empty when the bytes are not a field.
  std::optional<Field> next() {
    const auto key = varint();
    if (!key) return std::nullopt;
    Field field;
    field.number = *key >> 3;
    field.type = static_cast<Type>(*key & 7);
    switch (field.type) {
      case Type::kVarint:
        return with_integer(field, varint());
      case Type::kFixed64:
        return with_integer(field, fixed(8));
      case Type::kFixed32:
        return with_integer(field, fixed(4));
      case Type::kBytes: {
        const auto length = varint();
        if (!length || *length > rest_.size()) return std::nullopt;
        field.bytes = rest_.substr(0, *length);
        rest_.remove_prefix(*length);
        return field;
      }
    }
    return std::nullopt;
  }

 private:
  static std::optional<Field> with_integer(Field field, std::optional<uint64_t> value) {
    if (!value) return std::nullopt;
    field.integer = *value;
    return field;
  }

  std::optional<uint64_t> varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7Fu) << shift;
      if ((byte & 0x80u) == 0) return value;
    }
    return std::nullopt;
  }

  std::optional<uint64_t> fixed(size_t bytes) {
    if (rest_.size() < bytes) return std::nullopt;
    uint64_t value = 0;
    std::memcpy(&value, rest_.data(), bytes);
    rest_.remove_prefix(bytes);
    return value;
  }

  std::string_view rest_;
};

}  // namespace tercet
