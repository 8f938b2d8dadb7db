// SPDX-License-Identifier: Apache-2.0
#include "formats/gguf_value_reader.h"

#include "formats/gguf_types.h"

namespace tercet {
namespace {

using Type = GgufValue::Type;

// Small integers grow to eight bytes in memory; no real file has a list anywhere near this long.
constexpr uint64_t kMaxArrayElements = uint64_t{1} << 26;

Type read_type(GgufCursor& cursor, const std::string& what) {
  const uint32_t id = cursor.read<uint32_t>(what);
  if (id >= kGgufValueTypes.size()) {
    fail(ErrorCode::kBadInput, "{}: {} has value type {}, which does not exist", cursor.origin(),
         what, id);
  }
  return static_cast<Type>(id);
}

int64_t read_signed(GgufCursor& cursor, Type type, const std::string& what) {
  switch (type) {
    case Type::kI8:
      return cursor.read<int8_t>(what);
    case Type::kI16:
      return cursor.read<int16_t>(what);
    case Type::kI32:
      return cursor.read<int32_t>(what);
    default:
      return cursor.read<int64_t>(what);
  }
}

uint64_t read_unsigned(GgufCursor& cursor, Type type, const std::string& what) {
  switch (type) {
    case Type::kU8:
      return cursor.read<uint8_t>(what);
    case Type::kU16:
      return cursor.read<uint16_t>(what);
    case Type::kU32:
      return cursor.read<uint32_t>(what);
    default:
      return cursor.read<uint64_t>(what);
  }
}

double read_real(GgufCursor& cursor, Type type, const std::string& what) {
  if (type == Type::kF32) return static_cast<double>(cursor.read<float>(what));
  return cursor.read<double>(what);
}

bool read_bool(GgufCursor& cursor, const std::string& what) {
  const uint8_t byte = cursor.read<uint8_t>(what);
  if (byte > 1) {
    fail(ErrorCode::kBadInput, "{}: {} is a boolean with value {}; 0 or 1 is expected",
         cursor.origin(), what, byte);
  }
  return byte == 1;
}

// `count` elements, each produced by `read_one`.
template <typename T, typename ReadOne>
GgufValue::Array read_elements(uint64_t count, ReadOne read_one) {
  std::vector<T> out;
  out.reserve(count);
  for (uint64_t i = 0; i < count; ++i) out.push_back(read_one());
  return out;
}

GgufValue::Array read_array(GgufCursor& cursor, Type element, const std::string& what) {
  if (element == Type::kArray) {
    fail(ErrorCode::kUnsupported, "{}: {} is an array of arrays, which is not supported",
         cursor.origin(), what);
  }
  const uint64_t count = cursor.read<uint64_t>(what);
  cursor.require(count, gguf_type_info(element).bytes, what);
  if (count > kMaxArrayElements) {
    fail(ErrorCode::kUnsupported, "{}: {} has {} elements; at most {} are supported",
         cursor.origin(), what, count, kMaxArrayElements);
  }
  switch (gguf_type_info(element).kind) {
    case GgufKind::kSigned:
      return read_elements<int64_t>(count, [&] { return read_signed(cursor, element, what); });
    case GgufKind::kUnsigned:
      return read_elements<uint64_t>(count, [&] { return read_unsigned(cursor, element, what); });
    case GgufKind::kReal:
      return read_elements<double>(count, [&] { return read_real(cursor, element, what); });
    case GgufKind::kBool:
      return read_elements<bool>(count, [&] { return read_bool(cursor, what); });
    default:
      return read_elements<std::string>(count, [&] { return cursor.read_string(what); });
  }
}

}  // namespace

GgufValue read_gguf_value(GgufCursor& cursor, const std::string& key) {
  const std::string what = "metadata '" + printable(key) + "'";
  GgufValue out;
  out.type = read_type(cursor, what);
  switch (gguf_type_info(out.type).kind) {
    case GgufKind::kSigned:
      out.value = read_signed(cursor, out.type, what);
      break;
    case GgufKind::kUnsigned:
      out.value = read_unsigned(cursor, out.type, what);
      break;
    case GgufKind::kReal:
      out.value = read_real(cursor, out.type, what);
      break;
    case GgufKind::kBool:
      out.value = read_bool(cursor, what);
      break;
    case GgufKind::kString:
      out.value = cursor.read_string(what);
      break;
    case GgufKind::kArray:
      out.element_type = read_type(cursor, what);
      out.value = read_array(cursor, out.element_type, what);
      break;
  }
  return out;
}

}  // namespace tercet
