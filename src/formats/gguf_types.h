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

// Longest tensor name: 64 bytes by the format, but other readers keep a final zero in them.
inline constexpr uint64_t kGgufMaxTensorNameRead = 64;
inline constexpr uint64_t kGgufMaxTensorNameWritten = 63;
inline constexpr uint64_t kGgufMaxKey = 65535;

// Keys of a model in several files, and how those are named: prefix-00001-of-00003.gguf.
inline constexpr const char* kGgufSplitNo = "split.no";
inline constexpr const char* kGgufSplitCount = "split.count";
inline constexpr const char* kGgufSplitTensors = "split.tensors.count";

// Type ids of tensors. 42 stands for two layouts, which only the tensors' sizes tell apart
// (gguf_extents.h); its own id 142 is that of the second one alone.
inline constexpr uint32_t kGgufQ2Id = 42;
inline constexpr std::array<std::pair<DType, uint32_t>, 26> kGgufTensorTypes{{
    {DType::kF32, 0},        {DType::kF16, 1},
    {DType::kQ4_0, 2},       {DType::kQ4_1, 3},
    {DType::kQ5_0, 6},       {DType::kQ5_1, 7},
    {DType::kQ8_0, 8},       {DType::kQ2_K, 10},
    {DType::kQ3_K, 11},      {DType::kQ4_K, 12},
    {DType::kQ5_K, 13},      {DType::kQ6_K, 14},
    {DType::kIq4Nl, 20},     {DType::kI8, 24},
    {DType::kI16, 25},       {DType::kI32, 26},
    {DType::kI64, 27},       {DType::kF64, 28},
    {DType::kBF16, 30},      {DType::kTq1_0, 34},
    {DType::kTq2_0, 35},     {DType::kI2S, 36},
    {DType::kQ1_0, 41},      {DType::kQ2_0, kGgufQ2Id},
    {DType::kQ2_0G128, 142}, {DType::kQ2_0G128, kGgufQ2Id},
}};

// Types that exist and are not read here, for naming them in errors. One id has had several
// meanings where makers of forks chose the same.
inline constexpr std::array<std::pair<uint32_t, const char*>, 30> kGgufForeignTypes{{
    {4, "Q4_2"},
    {5, "Q4_3"},
    {9, "Q8_1"},
    {15, "Q8_K"},
    {16, "IQ2_XXS"},
    {17, "IQ2_XS"},
    {18, "IQ3_XXS"},
    {19, "IQ1_S"},
    {21, "IQ3_S"},
    {22, "IQ2_S"},
    {23, "IQ4_XS"},
    {29, "IQ1_M"},
    {31, "Q4_0_4_4"},
    {32, "Q4_0_4_8"},
    {33, "Q4_0_8_8"},
    {37, "I8_S or IQ4_NL_4_8"},
    {38, "TL1 or IQ4_NL_8_8"},
    {39, "MXFP4 or TL2"},
    {40, "NVFP4"},
    {133, "Q6_0"},
    {134, "IQ1_BN"},
    {135, "IQ2_BN"},
    {137, "IQ2_K"},
    {138, "IQ3_K"},
    {139, "IQ4_K"},
    {140, "IQ5_K"},
    {141, "IQ6_K"},
    {143, "PTQ1_0"},
    {144, "IQ4_KS"},
    {335, "IQ2_BN_R4"},
}};

inline const char* gguf_foreign_type(uint32_t id) {
  for (const auto& [known, name] : kGgufForeignTypes) {
    if (known == id) return name;
  }
  return nullptr;
}

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
