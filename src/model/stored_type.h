// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "formats/tensor.h"
#include "packing/ternary.h"

namespace tercet {

// How the weights of a matrix lie in memory or in a file.
enum class StoredType { kF32, kF16, kBF16, kQ8_0, kTq1_0, kTq2_0, kTrit4, kTrit5 };

// "f32", "f16", "bf16", "q8_0", "tq1_0", "tq2_0", "trit4", "trit5": the names of the command line.
const char* to_string(StoredType type);
// Throws kUsage naming the value and the choices.
StoredType parse_stored_type(std::string_view text);

bool is_ternary(StoredType type);
// trit4 and trit5: layouts that only Tercet reads.
bool is_own(StoredType type);

// The file element type of a dense type or a llama.cpp block type; kI8 for Tercet's own layouts,
// whose payload describes itself.
DType file_dtype(StoredType type);
// The inverse for matrices; empty for element types that no weight matrix has.
std::optional<StoredType> stored_type(DType type);

// Of a ternary type; kInternal otherwise.
packing::Layout layout_of(StoredType type);
StoredType stored_type(packing::Layout layout);

}  // namespace tercet
