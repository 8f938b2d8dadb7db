// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "core/rng.h"
#include "kernels/every_isa.h"
#include "packing/row_codes.h"
#include "packing/ternary.h"

namespace tercet {
namespace {

using packing::Layout;
using packing::TernaryMatrix;

constexpr Layout kLayouts[] = {Layout::kTq1_0, Layout::kTq2_0, Layout::kTrit5,
                               Layout::kTrit4, Layout::kI2S,   Layout::kI2S64};

// How the test values are drawn.
enum class Draw { kRandom, kZeros, kAllPlusLowest, kAllMinusLowest, kAllPlusHighest };

TernaryMatrix make_codes(int64_t rows, int64_t cols, Draw draw, Rng& rng) {
  TernaryMatrix matrix;
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.scales = {1.0f};
  for (int64_t i = 0; i < rows * cols; ++i) {
    int code = static_cast<int>(rng.below(3)) - 1;
    if (draw == Draw::kZeros) code = 0;
    if (draw == Draw::kAllPlusLowest || draw == Draw::kAllPlusHighest) code = 1;
    if (draw == Draw::kAllMinusLowest) code = -1;
    matrix.codes.push_back(static_cast<int8_t>(code));
  }
  return matrix;
}

std::vector<int8_t> make_activations(int64_t cols, Draw draw, Rng& rng) {
  std::vector<int8_t> q;
  for (int64_t i = 0; i < cols; ++i) {
    int value = static_cast<int>(rng.below(256)) - 128;
    if (draw == Draw::kAllPlusLowest || draw == Draw::kAllMinusLowest) value = -128;
    if (draw == Draw::kAllPlusHighest) value = 127;
    q.push_back(static_cast<int8_t>(value));
  }
  return q;
}

std::vector<int32_t> reference(const TernaryMatrix& matrix, const std::vector<int8_t>& q) {
  std::vector<int32_t> out;
  for (int64_t row = 0; row < matrix.rows; ++row) {
    int64_t sum = 0;
    for (int64_t col = 0; col < matrix.cols; ++col) {
      sum += matrix.codes[row * matrix.cols + col] * q[col];
    }
    out.push_back(static_cast<int32_t>(sum));
  }
  return out;
}

// Codes as the kernel of `layout` reads them, `gap` bytes longer a row than needed.
struct Packed {
  std::vector<uint8_t> bytes;
  int64_t stride = 0;
};

Packed pack(Layout layout, const TernaryMatrix& matrix, int64_t gap) {
  if (layout == Layout::kTq1_0) return {packing::encode_tq1_0(matrix, "t"), 0};
  if (layout == Layout::kTq2_0) return {packing::encode_tq2_0(matrix, "t"), 0};
  if (layout == Layout::kI2S || layout == Layout::kI2S64) {
    Packed packed;
    packed.bytes.resize(matrix.codes.size() / 4);
    packing::pack_row(layout, matrix.codes, matrix.cols, {}, packed.bytes.data());
    return packed;
  }
  const std::vector<uint8_t> own = packing::encode_own(layout, matrix);
  const packing::OwnView view = packing::view_own(own, "t");
  Packed packed;
  packed.stride = view.row_stride + gap;
  for (int64_t row = 0; row < matrix.rows; ++row) {
    const auto codes = view.codes.subspan(row * view.row_stride, view.row_stride);
    packed.bytes.insert(packed.bytes.end(), codes.begin(), codes.end());
    packed.bytes.insert(packed.bytes.end(), gap, 0xFF);
  }
  return packed;
}

void multiply(const KernelTable& table, Layout layout, const uint8_t* bytes, int64_t stride,
              const TernaryMatrix& matrix, const int8_t* q, int32_t* out) {
  switch (layout) {
    case Layout::kTq1_0:
      return table.tq1_0_dot_i32(bytes, matrix.rows, matrix.cols, q, out);
    case Layout::kTq2_0:
      return table.tq2_0_dot_i32(bytes, matrix.rows, matrix.cols, q, out);
    case Layout::kTrit5:
      return table.trit5_dot_i32(bytes, stride, matrix.rows, matrix.cols, q, out);
    case Layout::kTrit4:
      return table.trit4_dot_i32(bytes, stride, matrix.rows, matrix.cols, q, out);
    case Layout::kI2S:
      return table.i2_s_dot_i32(bytes, matrix.rows, matrix.cols, q, out);
    default:
      return table.i2_s64_dot_i32(bytes, matrix.rows, matrix.cols, q, out);
  }
}

// All layouts that can hold the shape, on all ISAs, with inputs `shift` bytes off alignment. The
// inputs end where their allocation does, so that the address sanitizer sees a read too far.
void expect_exact(int64_t rows, int64_t cols, Draw draw, int64_t shift = 0, int64_t gap = 0) {
  Rng rng(static_cast<uint64_t>(rows * 10000 + cols));
  const TernaryMatrix matrix = make_codes(rows, cols, draw, rng);
  std::vector<int8_t> q(shift, 77);
  const std::vector<int8_t> activations = make_activations(cols, draw, rng);
  q.insert(q.end(), activations.begin(), activations.end());
  const std::vector<int32_t> expected = reference(matrix, activations);
  for (const Layout layout : kLayouts) {
    if (cols % packing::block_codes(layout) != 0) continue;
    SCOPED_TRACE(packing::to_string(layout));
    Packed packed = pack(layout, matrix, gap);
    packed.bytes.insert(packed.bytes.begin(), shift, 0xAA);
    packed.bytes.shrink_to_fit();
    on_every_isa([&](const KernelTable& table) {
      std::vector<int32_t> out(rows + 1, 123456);
      multiply(table, layout, packed.bytes.data() + shift, packed.stride, matrix, q.data() + shift,
               out.data());
      EXPECT_EQ(out.back(), 123456) << "wrote past the end";
      out.pop_back();
      EXPECT_EQ(out, expected) << rows << " x " << cols;
    });
  }
}

TEST(TernaryDot, EveryLengthUpTo700) {
  for (int64_t cols = 1; cols <= 700; cols += cols < 140 ? 1 : 2) {
    expect_exact(3, cols, Draw::kRandom);
  }
}

TEST(TernaryDot, ShapesOfRealModelsAndAroundTheTile) {
  for (const int64_t cols : {172, 256, 320, 512, 576, 2044, 2048, 2052, 2304, 2555, 2560, 2561,
                             2816, 5120, 5125, 6912, 7680}) {
    expect_exact(4, cols, Draw::kRandom);
  }
}

TEST(TernaryDot, AnyAlignmentAndStride) {
  for (int64_t shift = 1; shift < 17; ++shift) {
    expect_exact(3, 512, Draw::kRandom, shift, shift % 5);
    expect_exact(2, 333, Draw::kRandom, shift, shift % 3);
  }
}

TEST(TernaryDot, ExtremeValues) {
  for (const Draw draw :
       {Draw::kZeros, Draw::kAllPlusLowest, Draw::kAllMinusLowest, Draw::kAllPlusHighest}) {
    for (const int64_t cols : {1, 5, 256, 577, 2560, 7680, 65536}) expect_exact(2, cols, draw);
  }
}

TEST(TernaryDot, NoRows) {
  const int8_t q[256] = {};
  on_every_isa([&](const KernelTable& table) {
    int32_t out = 5;
    table.trit5_dot_i32(nullptr, 0, 0, 256, q, &out);
    table.tq2_0_dot_i32(nullptr, 0, 256, q, &out);
    EXPECT_EQ(out, 5);
  });
}

TEST(TernaryDot, BytesThatStandForNoCodesAreHarmless) {
  const std::vector<uint8_t> bytes(66 * 2, 0xFF);
  const std::vector<int8_t> q(512, -128);
  on_every_isa([&](const KernelTable& table) {
    int32_t out = 0;
    table.trit5_dot_i32(bytes.data(), 132, 1, 500, q.data(), &out);
    table.trit4_dot_i32(bytes.data(), 132, 1, 500, q.data(), &out);
    table.tq1_0_dot_i32(bytes.data(), 1, 512, q.data(), &out);
    table.tq2_0_dot_i32(bytes.data(), 1, 512, q.data(), &out);
    table.i2_s_dot_i32(bytes.data(), 1, 512, q.data(), &out);
    table.i2_s64_dot_i32(bytes.data(), 1, 512, q.data(), &out);
  });
}

}  // namespace
}  // namespace tercet
