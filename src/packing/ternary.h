// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tercet::packing {

// How far one scale reaches.
enum class ScaleScope : uint8_t { kTensor = 0, kRow = 1, kGroup = 2 };

// A ternary matrix in the clear. W[r][c] = codes[r * cols + c] * scale(r, c).
struct TernaryMatrix {
  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<int8_t> codes;  // [rows, cols], each -1, 0 or 1
  ScaleScope scope = ScaleScope::kTensor;
  int64_t group_size = 0;     // columns per scale for kGroup; a last short group is allowed
  std::vector<float> scales;  // 1, rows, or rows * ceil(cols / group_size)
};

// mean(|w|) over all elements, summed in double in a fixed order so that every caller gets the same
// f32, and not below 1e-5: the gamma of BitNet b1.58 (methods.md 2.1). NaN or infinite when a
// weight is; 1e-5 when there are none.
float absmean_scale(std::span<const float> weights);

// BitNet b1.58 weight quantizer, per tensor: code = clamp(round_half_even(w * (1 / gamma)), -1, 1),
// all in f32. weights: [rows, cols]. Throws kBadInput naming `origin` for NaN or infinite weights.
TernaryMatrix quantize_absmean(std::span<const float> weights, int64_t rows, int64_t cols,
                               const std::string& origin = "weights");

// Layouts of the codes alone or with scales, as files hold them (docs/formats/low_bit.md).
enum class Layout : uint8_t {
  kTq1_0 = 0,  // llama.cpp: 256 codes in 54 bytes with an f16 scale, 1.6875 bits/weight
  kTq2_0 = 1,  // llama.cpp: 256 codes in 66 bytes with an f16 scale, 2.0625 bits/weight
  kTrit5 = 2,  // ours: five codes a byte, any row length
  kTrit4 = 3,  // ours: four codes a byte, any row length
  kSign8 = 9,  // ours: eight codes a byte, 1 and -1 only, any row length
  // The rest are only ever read and written row by row (packing/row_codes.h).
  kI2S = 4,       // bitnet.cpp: 128 codes in 32 bytes, one f32 scale behind the matrix
  kI2S64 = 5,     // the same in the order of its ARM builds: 64 codes in 16 bytes
  kQ1_0 = 6,      // llama.cpp: 128 signs in 18 bytes with an f16 scale; no zeros
  kQ2_0 = 7,      // llama.cpp: 64 codes in 18 bytes with an f16 scale, 2.25 bits/weight
  kQ2_0G128 = 8,  // PrismML's fork: 128 codes in 34 bytes with an f16 scale
};
// "tq1_0", "tq2_0", "trit5", "trit4", "i2_s", "i2_s64", "q1_0", "q2_0", "q2_0_g128",
// "sign8"
const char* to_string(Layout layout);

// llama.cpp block layouts. cols must be a multiple of 256 (throws kUnsupported naming `origin`).
// The blocks' f16 scale is written as 1.0; the matrix' own f32 scale travels beside the blocks
// (in GGUF: `<name>.scale`), because f16 would round it. Only ScaleScope::kTensor.
std::vector<uint8_t> encode_tq1_0(const TernaryMatrix& matrix, const std::string& origin);
std::vector<uint8_t> encode_tq2_0(const TernaryMatrix& matrix, const std::string& origin);

// The inverse. When all blocks share one f16 scale the result has ScaleScope::kTensor with that
// scale, otherwise kGroup of 256. Throws kBadInput naming `origin` when bytes do not fit the shape
// or hold impossible codes.
TernaryMatrix decode_tq1_0(std::span<const uint8_t> bytes, int64_t rows, int64_t cols,
                           const std::string& origin);
TernaryMatrix decode_tq2_0(std::span<const uint8_t> bytes, int64_t rows, int64_t cols,
                           const std::string& origin);

// The check of the codes alone, for blocks that are used as they lie: one linear scan, nothing is
// decoded, scales are not looked at. `bytes` must be whole blocks. Throws kBadInput naming `origin`
// and the first block that holds a byte which stands for no codes.
void check_tq1_0(std::span<const uint8_t> bytes, const std::string& origin);
void check_tq2_0(std::span<const uint8_t> bytes, const std::string& origin);

// Whether the layout is one of Tercet's own: kTrit5, kTrit4 or kSign8.
bool is_own_layout(Layout layout);

// What the scales of Tercet's own layouts are stored as. The numbers stand in files.
enum class ScaleType : uint8_t { kF32 = 0, kF16 = 1 };
uint64_t scale_bytes(ScaleType type);

// Tercet's own layouts: a 64-byte header (magic, version, layout, scope, rows, cols, group size,
// type of scales), the codes row by row (each group of a row starts on a byte), then the scales,
// each part padded to 64 bytes. Self-describing: decode needs no shape from outside. A group_size
// above cols is stored as cols. Throws kInternal for a matrix that is empty or inconsistent, holds
// zeros where the layout has none, or scales that are no f16 where these are to be.
std::vector<uint8_t> encode_own(Layout layout, const TernaryMatrix& matrix,
                                ScaleType scales = ScaleType::kF32);
// Scales as they are stored. Throws kInternal for one that is no f16 where it is to be.
std::vector<uint8_t> stored_scales(std::span<const float> scales, ScaleType type);

// The same bytes in parts, for writing a matrix without holding it: the header, `codes` bytes of
// rows (packing/row_codes.h), `codes_padding` zeros, `scales` bytes and `scales_padding` zeros.
// Throws kInternal for an empty shape, kBadInput when sizes leave 64 bits.
struct OwnParts {
  std::array<uint8_t, 64> header = {};
  uint64_t codes = 0;
  uint64_t codes_padding = 0;
  uint64_t scales = 0;
  uint64_t scales_padding = 0;
  uint64_t total() const { return 64 + codes + codes_padding + scales + scales_padding; }
};
OwnParts own_parts(Layout layout, int64_t rows, int64_t cols, ScaleScope scope, int64_t group_size,
                   ScaleType scales = ScaleType::kF32);

// A checked view of such bytes; nothing is copied. All of them are read once: header, sizes,
// padding, every code and scale hold what encode_own() can write. `bytes` must be exactly one
// encoding and start at a multiple of 4 in memory (an mmap of a GGUF file does: its alignment is
// 32). Throws kBadInput naming `origin`, kUnsupported for a later version.
struct OwnView {
  Layout layout = Layout::kTrit5;
  ScaleScope scope = ScaleScope::kTensor;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t group_size = 0;  // cols for kTensor and kRow
  int64_t row_stride = 0;  // bytes per row of codes, the bytes of all its groups
  std::span<const uint8_t> codes;
  std::span<const float> scales;          // empty where they are f16
  std::span<const uint16_t> half_scales;  // empty where they are f32
};
std::vector<float> scales_of(const OwnView& view);
OwnView view_own(std::span<const uint8_t> bytes, const std::string& origin);
// The layout that the header of such bytes names; only the header is read and checked.
Layout own_layout(std::span<const uint8_t> bytes, const std::string& origin);
TernaryMatrix decode_own(const OwnView& view);

// Bits stored, scales and padding included, over rows * cols; 0 for an empty matrix.
double bits_per_weight(uint64_t bytes, int64_t rows, int64_t cols);

}  // namespace tercet::packing
