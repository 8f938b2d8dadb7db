// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tercet {

// Element types that files hold. Numbers are ours; each format maps its own ids to them.
enum class DType {
  kF32,
  kF16,
  kBF16,
  kF64,
  kI8,
  kU8,
  kI16,
  kI32,
  kI64,
  kBool,
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
  kI2S,  // codes, then one f32 scale in a tail of 32 bytes
  kQ1_0,
  kQ2_0,     // groups of 64, as mainline llama.cpp has it
  kQ2_0G128  // groups of 128, as PrismML's fork has it under the same type id
};

const char* to_string(DType type);

// Bytes of `elements` consecutive elements of one row. Block types need elements to be a multiple
// of their block; throws kBadInput naming `origin` otherwise, and on overflow.
uint64_t row_bytes(DType type, uint64_t elements, const std::string& origin);

// Bytes of a whole tensor of `rows` such rows of `cols` elements: what comes once per tensor (the
// tail of i2_s) included. Throws as row_bytes() does.
uint64_t tensor_bytes(DType type, uint64_t rows, uint64_t cols, const std::string& origin);

// A named array in a file or in memory. Does not own its bytes. `shape` is outermost first (as in
// safetensors and PyTorch), little-endian, row-major, contiguous. Views into safetensors files may
// start at any address; those into GGUF files start at multiples of 8 at least.
struct TensorView {
  std::string name;
  DType type = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const uint8_t> bytes;

  int64_t elements() const;
};

// The values as f32 of a tensor stored as f32, f16, bf16 or q8_0. Throws kUnsupported naming the
// tensor for other types (ternary blocks are packing's).
std::vector<float> to_f32(const TensorView& tensor);

// f32 values encoded as `type` (f32, f16, bf16, q8_0); `cols` is the row length, which q8_0 needs
// to be a multiple of 32. Throws kUnsupported naming `origin` otherwise, kBadInput when a value is
// not finite or would become infinite as `type`.
std::vector<uint8_t> from_f32(std::span<const float> values, DType type, int64_t cols,
                              const std::string& origin);

}  // namespace tercet
