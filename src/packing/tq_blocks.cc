// SPDX-License-Identifier: Apache-2.0
//
// The ternary block formats of llama.cpp, bytes as its ggml-quants.c reads and writes them; pinned
// by tests/golden/tq_blocks.json.
#include <algorithm>
#include <array>
#include <cmath>

#include "core/checked.h"
#include "core/error.h"
#include "core/half.h"
#include "packing/matrix_check.h"
#include "packing/ternary.h"

namespace tercet::packing {
namespace {

constexpr int64_t kBlock = 256;  // codes in a block
constexpr uint16_t kOneF16 = 0x3C00;

// A place in a block that packs `kPlaces` codes into each of `width` neighbouring bytes: the code
// at position n of byte m is element first + n * width + m. So a vector load of the bytes gives
// neighbouring elements.
struct Section {
  int byte;
  int width;
  int first;
  int places;
};

struct Tq2 {
  static constexpr Layout kLayout = Layout::kTq2_0;
  static constexpr int64_t kCodeBytes = 64;
  static constexpr std::array<Section, 2> kSections = {{{0, 32, 0, 4}, {32, 32, 128, 4}}};

  static uint8_t pack(const std::array<int, 5>& digits, int places) {
    int byte = 0;
    for (int n = 0; n < places; ++n) byte |= digits[n] << (2 * n);
    return static_cast<uint8_t>(byte);
  }
  static bool unpack(uint8_t byte, int places, std::array<int, 5>& digits) {
    for (int n = 0; n < places; ++n) {
      digits[n] = (byte >> (2 * n)) & 3;
      if (digits[n] == 3) return false;
    }
    return true;
  }
  static bool is_valid(const uint8_t* block) {
    unsigned threes = 0;
    for (int i = 0; i < kCodeBytes; ++i) threes |= block[i] & (block[i] >> 1) & 0x55u;
    return threes == 0;
  }
};

// Trits are the digits of a base-3 fraction of 256, most significant first: multiplying the byte by
// 3 moves the next digit into bits 8 and 9. A byte is the smallest one whose digits come out right.
struct Tq1 {
  static constexpr Layout kLayout = Layout::kTq1_0;
  static constexpr int64_t kCodeBytes = 52;
  static constexpr std::array<Section, 3> kSections = {
      {{0, 32, 0, 5}, {32, 16, 160, 5}, {48, 4, 240, 4}}};

  static constexpr uint8_t pack(const std::array<int, 5>& digits, int places) {
    int value = 0;
    for (int n = 0; n < 5; ++n) value = 3 * value + (n < places ? digits[n] : 0);
    return static_cast<uint8_t>((value * 256 + 242) / 243);
  }
  static constexpr bool unpack(uint8_t byte, int places, std::array<int, 5>& digits) {
    int fraction = byte;
    for (int n = 0; n < places; ++n) {
      fraction *= 3;
      digits[n] = fraction >> 8;
      fraction &= 255;
    }
    return pack(digits, places) == byte;
  }
  static bool is_valid(const uint8_t* block);
};

// Which bytes hold `places` codes.
constexpr std::array<bool, 256> tq1_bytes(int places) {
  std::array<bool, 256> valid = {};
  std::array<int, 5> digits = {};
  for (size_t byte = 0; byte < valid.size(); ++byte) {
    valid[byte] = Tq1::unpack(static_cast<uint8_t>(byte), places, digits);
  }
  return valid;
}

bool Tq1::is_valid(const uint8_t* block) {
  static constexpr std::array<bool, 256> kFive = tq1_bytes(5);
  static constexpr std::array<bool, 256> kFour = tq1_bytes(4);
  bool valid = true;
  for (const Section& section : kSections) {
    const std::array<bool, 256>& table = section.places == 5 ? kFive : kFour;
    for (int m = 0; m < section.width; ++m) valid = valid && table[block[section.byte + m]];
  }
  return valid;
}

template <class Format>
constexpr int64_t block_bytes() {
  return Format::kCodeBytes + 2;
}
static_assert(block_bytes<Tq1>() == 54);
static_assert(block_bytes<Tq2>() == 66);

template <class Format>
void pack_block(const int8_t* codes, uint8_t* block) {
  std::array<int, 5> digits = {};
  for (const Section& section : Format::kSections) {
    for (int m = 0; m < section.width; ++m) {
      for (int n = 0; n < section.places; ++n) {
        digits[n] = codes[section.first + n * section.width + m] + 1;
      }
      block[section.byte + m] = Format::pack(digits, section.places);
    }
  }
  block[Format::kCodeBytes] = kOneF16 & 0xFF;
  block[Format::kCodeBytes + 1] = kOneF16 >> 8;
}

template <class Format>
bool unpack_block(const uint8_t* block, int8_t* codes) {
  std::array<int, 5> digits = {};
  for (const Section& section : Format::kSections) {
    for (int m = 0; m < section.width; ++m) {
      if (!Format::unpack(block[section.byte + m], section.places, digits)) return false;
      for (int n = 0; n < section.places; ++n) {
        codes[section.first + n * section.width + m] = static_cast<int8_t>(digits[n] - 1);
      }
    }
  }
  return true;
}

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
  for (size_t block = 0; block < blocks; ++block) {
    pack_block<Format>(&matrix.codes[block * kBlock], &bytes[block * block_bytes<Format>()]);
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
    if (!unpack_block<Format>(block, &matrix.codes[index * kBlock])) {
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
