// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "formats/gguf.h"

namespace tercet {

// Numbers fixed by the GGUF format, shared by its reader and writer.
inline constexpr uint32_t kGgufMagic = 0x46554747;  // "GGUF"
inline constexpr uint32_t kGgufVersion = 3;
inline constexpr uint64_t kGgufDefaultAlignment = 32;
inline constexpr size_t kGgufMaxDims = 4;
inline constexpr const char* kGgufAlignmentKey = "general.alignment";

// Type ids of tensors.
inline constexpr std::array<std::pair<DType, uint32_t>, 11> kGgufTensorTypes{{
    {DType::kF32, 0},
    {DType::kF16, 1},
    {DType::kQ8_0, 8},
    {DType::kI8, 24},
    {DType::kI16, 25},
    {DType::kI32, 26},
    {DType::kI64, 27},
    {DType::kF64, 28},
    {DType::kBF16, 30},
    {DType::kTq1_0, 34},
    {DType::kTq2_0, 35},
}};

inline std::optional<DType> gguf_dtype(uint32_t id) {
  for (const auto& [type, known] : kGgufTensorTypes) {
    if (known == id) return type;
  }
  return std::nullopt;
}

inline std::optional<uint32_t> gguf_type_id(DType type) {
  for (const auto& [known, id] : kGgufTensorTypes) {
    if (known == type) return id;
  }
  return std::nullopt;
}

// How values of a metadata type are held in GgufValue.
enum class GgufKind { kSigned, kUnsigned, kReal, kBool, kString, kArray };

struct GgufTypeInfo {
  GgufKind kind;
  uint64_t bytes;  // in the file; the least possible for strings and arrays
  const char* name;
};

// By GgufValue::Type, whose numbers are the format's.
inline constexpr std::array<GgufTypeInfo, 13> kGgufValueTypes{{
    {GgufKind::kUnsigned, 1, "u8"},
    {GgufKind::kSigned, 1, "i8"},
    {GgufKind::kUnsigned, 2, "u16"},
    {GgufKind::kSigned, 2, "i16"},
    {GgufKind::kUnsigned, 4, "u32"},
    {GgufKind::kSigned, 4, "i32"},
    {GgufKind::kReal, 4, "f32"},
    {GgufKind::kBool, 1, "bool"},
    {GgufKind::kString, 8, "string"},
    {GgufKind::kArray, 12, "array"},
    {GgufKind::kUnsigned, 8, "u64"},
    {GgufKind::kSigned, 8, "i64"},
    {GgufKind::kReal, 8, "f64"},
}};

inline const GgufTypeInfo& gguf_type_info(GgufValue::Type type) {
  return kGgufValueTypes[static_cast<size_t>(type)];
}

}  // namespace tercet
