// SPDX-License-Identifier: Apache-2.0
//
// Whole matrices in the ternary block formats of llama.cpp.
#include <algorithm>
#include <cmath>

#include "core/checked.h"
#include "core/error.h"
#include "core/half.h"
#include "packing/block_codes.h"
#include "packing/matrix_check.h"
#include "packing/ternary.h"

namespace tercet::packing {
namespace {

constexpr int64_t kBlock = 256;  // codes in a block
constexpr uint16_t kOneF16 = 0x3C00;

struct Tq2 {
  static constexpr Layout kLayout = Layout::kTq2_0;
  static constexpr int64_t kCodeBytes = 64;
  static void pack(const int8_t* codes, uint8_t* block) { pack_tq2_0(codes, block); }
  static bool unpack(const uint8_t* block, int8_t* codes) { return unpack_tq2_0(block, codes); }
  static bool is_valid(const uint8_t* block) { return tq2_0_is_valid(block); }
};

struct Tq1 {
  static constexpr Layout kLayout = Layout::kTq1_0;
  static constexpr int64_t kCodeBytes = 52;
  static void pack(const int8_t* codes, uint8_t* block) { pack_tq1_0(codes, block); }
  static bool unpack(const uint8_t* block, int8_t* codes) { return unpack_tq1_0(block, codes); }
  static bool is_valid(const uint8_t* block) { return tq1_0_is_valid(block); }
};

template <class Format>
constexpr int64_t block_bytes() {
  return Format::kCodeBytes + 2;
}
static_assert(block_bytes<Tq1>() == 54);
static_assert(block_bytes<Tq2>() == 66);

template <class Format>
std::vector<uint8_t> encode_blocks(const TernaryMatrix& matrix, const std::string& origin) {
  const char* layout = to_string(Format::kLayout);
  if (matrix.cols % kBlock != 0) {
    fail(ErrorCode::kUnsupported,
         "{}: {} needs rows of a multiple of {} columns, this one has {}; use trit5 or trit4",
         origin, layout, kBlock, matrix.cols);
  }
  if (matrix.scope != ScaleScope::kTensor) {
    fail(ErrorCode::kUnsupported,
         "{}: {} with more than one scale would round them to f16; use trit5 or trit4", origin,
         layout);
  }
  check_matrix(matrix, origin);
  const size_t blocks = matrix.codes.size() / kBlock;
  std::vector<uint8_t> bytes(blocks * block_bytes<Format>());
  for (size_t index = 0; index < blocks; ++index) {
    uint8_t* block = &bytes[index * block_bytes<Format>()];
    Format::pack(&matrix.codes[index * kBlock], block);
    block[Format::kCodeBytes] = kOneF16 & 0xFF;
    block[Format::kCodeBytes + 1] = kOneF16 >> 8;
  }
  return bytes;
}

// Number of blocks in rows x cols, which `bytes` must hold exactly.
template <class Format>
size_t checked_blocks(std::span<const uint8_t> bytes, int64_t rows, int64_t cols,
                      const std::string& origin) {
  const char* layout = to_string(Format::kLayout);
  if (rows < 1 || cols < 1 || cols % kBlock != 0) {
    fail(ErrorCode::kBadInput, "{}: {} cannot hold a shape of {} x {} (columns in blocks of {})",
         origin, layout, rows, cols, kBlock);
  }
  const auto blocks =
      checked_mul(static_cast<uint64_t>(rows), static_cast<uint64_t>(cols / kBlock));
  const auto size = blocks ? checked_mul(*blocks, block_bytes<Format>()) : blocks;
  if (!size || *size != bytes.size()) {
    fail(ErrorCode::kBadInput, "{}: {} bytes of {} do not fit a shape of {} x {}", origin,
         bytes.size(), layout, rows, cols);
  }
  return static_cast<size_t>(*blocks);
}

template <class Format>
[[noreturn]] void refuse_codes(size_t block, const std::string& origin) {
  fail(ErrorCode::kBadInput, "{}: {} block {} holds a byte that stands for no ternary codes",
       origin, to_string(Format::kLayout), block);
}

template <class Format>
void check_blocks(std::span<const uint8_t> bytes, const std::string& origin) {
  const size_t blocks = bytes.size() / block_bytes<Format>();
  for (size_t index = 0; index < blocks; ++index) {
    if (!Format::is_valid(&bytes[index * block_bytes<Format>()])) {
      refuse_codes<Format>(index, origin);
    }
  }
}

template <class Format>
TernaryMatrix decode_blocks(std::span<const uint8_t> bytes, int64_t rows, int64_t cols,
                            const std::string& origin) {
  const size_t blocks = checked_blocks<Format>(bytes, rows, cols, origin);
  TernaryMatrix matrix;
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.codes.resize(blocks * kBlock);
  matrix.scales.resize(blocks);
  for (size_t index = 0; index < blocks; ++index) {
    const uint8_t* block = &bytes[index * block_bytes<Format>()];
    const uint8_t* scale = block + Format::kCodeBytes;
    matrix.scales[index] = f16_to_f32(static_cast<uint16_t>(scale[0] | (scale[1] << 8)));
    if (!std::isfinite(matrix.scales[index])) {
      fail(ErrorCode::kBadInput, "{}: the scale of {} block {} is NaN or infinite", origin,
           to_string(Format::kLayout), index);
    }
    if (!Format::unpack(block, &matrix.codes[index * kBlock])) {
      refuse_codes<Format>(index, origin);
    }
  }
  const float first = matrix.scales.front();
  if (std::all_of(matrix.scales.begin(), matrix.scales.end(),
                  [first](float scale) { return scale == first; })) {
    matrix.scope = ScaleScope::kTensor;
    matrix.scales.resize(1);
  } else {
    matrix.scope = ScaleScope::kGroup;
    matrix.group_size = kBlock;
  }
  return matrix;
}

}  // namespace

std::vector<uint8_t> encode_tq1_0(const TernaryMatrix& matrix, const std::string& origin) {
  return encode_blocks<Tq1>(matrix, origin);
}

std::vector<uint8_t> encode_tq2_0(const TernaryMatrix& matrix, const std::string& origin) {
  return encode_blocks<Tq2>(matrix, origin);
}

TernaryMatrix decode_tq1_0(std::span<const uint8_t> bytes, int64_t rows, int64_t cols,
                           const std::string& origin) {
  return decode_blocks<Tq1>(bytes, rows, cols, origin);
}

TernaryMatrix decode_tq2_0(std::span<const uint8_t> bytes, int64_t rows, int64_t cols,
                           const std::string& origin) {
  return decode_blocks<Tq2>(bytes, rows, cols, origin);
}

void check_tq1_0(std::span<const uint8_t> bytes, const std::string& origin) {
  check_blocks<Tq1>(bytes, origin);
}

void check_tq2_0(std::span<const uint8_t> bytes, const std::string& origin) {
  check_blocks<Tq2>(bytes, origin);
}

}  // namespace tercet::packing
