// SPDX-License-Identifier: Apache-2.0
#include "model/stored_type.h"

#include <array>

#include "core/error.h"

namespace tercet {
namespace {

using packing::BlockType;
using packing::Layout;

struct Row {
  StoredType type;
  const char* name;
  DType dtype;
  bool written;                    // convert can write it
  std::optional<Layout> layout;    // of ternary types
  std::optional<BlockType> block;  // of types that decode block by block
};

constexpr auto kNoLayout = std::optional<Layout>();
constexpr auto kNoBlock = std::optional<BlockType>();

constexpr std::array<Row, 24> kTypes = {{
    {StoredType::kF32, "f32", DType::kF32, true, kNoLayout, kNoBlock},
    {StoredType::kF16, "f16", DType::kF16, true, kNoLayout, kNoBlock},
    {StoredType::kBF16, "bf16", DType::kBF16, true, kNoLayout, kNoBlock},
    {StoredType::kQ4_0, "q4_0", DType::kQ4_0, false, kNoLayout, BlockType::kQ4_0},
    {StoredType::kQ4_1, "q4_1", DType::kQ4_1, false, kNoLayout, BlockType::kQ4_1},
    {StoredType::kQ5_0, "q5_0", DType::kQ5_0, false, kNoLayout, BlockType::kQ5_0},
    {StoredType::kQ5_1, "q5_1", DType::kQ5_1, false, kNoLayout, BlockType::kQ5_1},
    {StoredType::kQ8_0, "q8_0", DType::kQ8_0, true, kNoLayout, BlockType::kQ8_0},
    {StoredType::kQ2_K, "q2_k", DType::kQ2_K, false, kNoLayout, BlockType::kQ2_K},
    {StoredType::kQ3_K, "q3_k", DType::kQ3_K, false, kNoLayout, BlockType::kQ3_K},
    {StoredType::kQ4_K, "q4_k", DType::kQ4_K, false, kNoLayout, BlockType::kQ4_K},
    {StoredType::kQ5_K, "q5_k", DType::kQ5_K, false, kNoLayout, BlockType::kQ5_K},
    {StoredType::kQ6_K, "q6_k", DType::kQ6_K, true, kNoLayout, BlockType::kQ6_K},
    {StoredType::kIq4Nl, "iq4_nl", DType::kIq4Nl, false, kNoLayout, BlockType::kIq4Nl},
    {StoredType::kTq1_0, "tq1_0", DType::kTq1_0, true, Layout::kTq1_0, BlockType::kTq1_0},
    {StoredType::kTq2_0, "tq2_0", DType::kTq2_0, true, Layout::kTq2_0, BlockType::kTq2_0},
    {StoredType::kI2S, "i2_s", DType::kI2S, true, Layout::kI2S, kNoBlock},
    {StoredType::kI2S64, "i2_s64", DType::kI2S, false, Layout::kI2S64, kNoBlock},
    {StoredType::kQ1_0, "q1_0", DType::kQ1_0, true, Layout::kQ1_0, BlockType::kQ1_0},
    {StoredType::kQ2_0, "q2_0", DType::kQ2_0, true, Layout::kQ2_0, BlockType::kQ2_0},
    {StoredType::kQ2_0G128, "q2_0_g128", DType::kQ2_0G128, false, Layout::kQ2_0G128,
     BlockType::kQ2_0G128},
    {StoredType::kTrit4, "trit4", DType::kI8, true, Layout::kTrit4, kNoBlock},
    {StoredType::kTrit5, "trit5", DType::kI8, true, Layout::kTrit5, kNoBlock},
    {StoredType::kSign8, "sign8", DType::kI8, true, Layout::kSign8, kNoBlock},
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
  std::string choices;
  for (const Row& row : kTypes) {
    if (!row.written) continue;
    if (text == row.name) return row.type;
    choices += (choices.empty() ? "" : ", ") + std::string(row.name);
  }
  fail(ErrorCode::kUsage, "unknown type '{}'; choose one of {}", text, choices);
}

bool is_float(StoredType type) {
  return type == StoredType::kF32 || type == StoredType::kF16 || type == StoredType::kBF16;
}

bool is_ternary(StoredType type) { return row_of(type).layout.has_value(); }

bool has_inner_scales(StoredType type) {
  return type == StoredType::kQ1_0 || type == StoredType::kQ2_0 || type == StoredType::kQ2_0G128;
}

bool is_own(StoredType type) {
  return type == StoredType::kTrit4 || type == StoredType::kTrit5 || type == StoredType::kSign8;
}

bool has_scale_tensor(StoredType type) {
  return type == StoredType::kTq1_0 || type == StoredType::kTq2_0;
}

DType file_dtype(StoredType type) { return row_of(type).dtype; }

std::optional<StoredType> stored_type(DType type) {
  if (type == DType::kI8) return std::nullopt;
  for (const Row& row : kTypes) {
    if (row.dtype == type) return row.type;
  }
  return std::nullopt;
}

packing::Layout layout_of(StoredType type) {
  const Row& row = row_of(type);
  if (!row.layout) fail(ErrorCode::kInternal, "{} is not a ternary layout", row.name);
  return *row.layout;
}

StoredType stored_type(packing::Layout layout) {
  for (const Row& row : kTypes) {
    if (row.layout == layout) return row.type;
  }
  fail(ErrorCode::kInternal, "unknown ternary layout {}", static_cast<int>(layout));
}

std::optional<packing::BlockType> block_type_of(StoredType type) { return row_of(type).block; }

}  // namespace tercet
