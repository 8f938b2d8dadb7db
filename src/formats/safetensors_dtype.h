// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "formats/tensor.h"

namespace tercet {

// The names safetensors gives to element types.
inline constexpr std::array<std::pair<DType, std::string_view>, 10> kSafetensorsTypes{{
    {DType::kF32, "F32"},
    {DType::kF16, "F16"},
    {DType::kBF16, "BF16"},
    {DType::kF64, "F64"},
    {DType::kI8, "I8"},
    {DType::kU8, "U8"},
    {DType::kI16, "I16"},
    {DType::kI32, "I32"},
    {DType::kI64, "I64"},
    {DType::kBool, "BOOL"},
}};

inline std::optional<DType> safetensors_dtype(std::string_view name) {
  for (const auto& [type, text] : kSafetensorsTypes) {
    if (text == name) return type;
  }
  return std::nullopt;
}

inline std::optional<std::string_view> safetensors_name(DType type) {
  for (const auto& [known, text] : kSafetensorsTypes) {
    if (known == type) return text;
  }
  return std::nullopt;
}

}  // namespace tercet
