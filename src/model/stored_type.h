// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "formats/tensor.h"
#include "packing/quant_blocks.h"
#include "packing/ternary.h"

namespace tercet {

// How the weights of a matrix lie in memory or in a file.
enum class StoredType {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIq4Nl,
  kTq1_0,
  kTq2_0,
  kI2S,
  kI2S64,  // in the order of bitnet.cpp's ARM builds
  kQ1_0,
  kQ2_0,
  kQ2_0G128,
  kTrit4,
  kTrit5,
  kSign8
};

// "f32", "q4_k", "tq2_0", "trit5" ...: the names of the command line and of reports.
const char* to_string(StoredType type);
// One that convert writes. Throws kUsage naming the value and the choices.
StoredType parse_stored_type(std::string_view text);

// f32, f16 and bf16.
bool is_float(StoredType type);
// Codes of -1, 0 and 1 with scales (q2_0 may hold a 2 as well).
bool is_ternary(StoredType type);
// q1_0 and q2_0: ternary types whose scales lie in the blocks and count as they are.
bool has_inner_scales(StoredType type);
// trit4, trit5 and sign8: layouts that only Tercet reads.
bool is_own(StoredType type);
// tq1_0 and tq2_0: a scale of the whole matrix travels in a tensor of its own.
bool has_scale_tensor(StoredType type);

// The file element type; kI8 for Tercet's own layouts, whose payload describes itself.
DType file_dtype(StoredType type);
// The inverse for matrices; empty for element types that no weight matrix has. i2_s is taken to be
// in the order of x86.
std::optional<StoredType> stored_type(DType type);

// Of a ternary type; kInternal otherwise.
packing::Layout layout_of(StoredType type);
StoredType stored_type(packing::Layout layout);

// Of a type that packing::decode_blocks() decodes; empty for the others.
std::optional<packing::BlockType> block_type_of(StoredType type);

}  // namespace tercet
