// SPDX-License-Identifier: Apache-2.0
#include "model/stored_type.h"

#include <array>

#include "core/error.h"

namespace tercet {
namespace {

struct Row {
  StoredType type;
  const char* name;
  DType dtype;
};

constexpr std::array<Row, 8> kTypes = {{
    {StoredType::kF32, "f32", DType::kF32},
    {StoredType::kF16, "f16", DType::kF16},
    {StoredType::kBF16, "bf16", DType::kBF16},
    {StoredType::kQ8_0, "q8_0", DType::kQ8_0},
    {StoredType::kTq1_0, "tq1_0", DType::kTq1_0},
    {StoredType::kTq2_0, "tq2_0", DType::kTq2_0},
    {StoredType::kTrit4, "trit4", DType::kI8},
    {StoredType::kTrit5, "trit5", DType::kI8},
}};

const Row& row_of(StoredType type) {
  for (const Row& row : kTypes) {
    if (row.type == type) return row;
  }
  fail(ErrorCode::kInternal, "stored type {} has no name", static_cast<int>(type));
}

}  // namespace

const char* to_string(StoredType type) { return row_of(type).name; }

StoredType parse_stored_type(std::string_view text) {
  for (const Row& row : kTypes) {
    if (text == row.name) return row.type;
  }
  fail(ErrorCode::kUsage,
       "unknown type '{}'; choose f32, f16, bf16, q8_0, tq1_0, tq2_0, trit4 or trit5", text);
}

bool is_ternary(StoredType type) {
  return is_own(type) || type == StoredType::kTq1_0 || type == StoredType::kTq2_0;
}

bool is_own(StoredType type) { return type == StoredType::kTrit4 || type == StoredType::kTrit5; }

DType file_dtype(StoredType type) { return row_of(type).dtype; }

std::optional<StoredType> stored_type(DType type) {
  if (type == DType::kI8) return std::nullopt;
  for (const Row& row : kTypes) {
    if (row.dtype == type) return row.type;
  }
  return std::nullopt;
}

packing::Layout layout_of(StoredType type) {
  switch (type) {
    case StoredType::kTq1_0:
      return packing::Layout::kTq1_0;
    case StoredType::kTq2_0:
      return packing::Layout::kTq2_0;
    case StoredType::kTrit4:
      return packing::Layout::kTrit4;
    case StoredType::kTrit5:
      return packing::Layout::kTrit5;
    default:
      fail(ErrorCode::kInternal, "{} is not a ternary layout", to_string(type));
  }
}

StoredType stored_type(packing::Layout layout) {
  switch (layout) {
    case packing::Layout::kTq1_0:
      return StoredType::kTq1_0;
    case packing::Layout::kTq2_0:
      return StoredType::kTq2_0;
    case packing::Layout::kTrit4:
      return StoredType::kTrit4;
    case packing::Layout::kTrit5:
      return StoredType::kTrit5;
  }
  fail(ErrorCode::kInternal, "unknown ternary layout {}", static_cast<int>(layout));
}

}  // namespace tercet
