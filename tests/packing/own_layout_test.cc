// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/half.h"
#include "packing/ternary.h"
#include "packing/test_matrix.h"

namespace tercet::packing {
namespace {

constexpr Layout kLayouts[] = {Layout::kTrit5, Layout::kTrit4, Layout::kSign8};

// `matrix` without the codes that the layout lacks.
TernaryMatrix fit(TernaryMatrix matrix, Layout layout) {
  if (layout != Layout::kSign8) return matrix;
  std::replace(matrix.codes.begin(), matrix.codes.end(), int8_t{0}, int8_t{-1});
  return matrix;
}

// The bytes at an address that view_own() accepts; std::vector<uint8_t> promises none.
class Aligned {
 public:
  explicit Aligned(const std::vector<uint8_t>& bytes) : words_(bytes.size() / 8 + 2) {
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<uint8_t*>(words_.data()));
    size_ = bytes.size();
  }
  std::span<const uint8_t> bytes(size_t shift = 0) const {
    return {reinterpret_cast<const uint8_t*>(words_.data()) + shift, size_ - shift};
  }

 private:
  std::vector<uint64_t> words_;
  size_t size_ = 0;
};

void expect_refused(const std::vector<uint8_t>& bytes, const std::string& part = "t.gguf") {
  expect_error(ErrorCode::kBadInput, part, [&] { view_own(Aligned(bytes).bytes(), "t.gguf"); });
}

template <class T>
std::vector<uint8_t> with(std::vector<uint8_t> bytes, size_t offset, T value) {
  std::memcpy(&bytes[offset], &value, sizeof(value));
  return bytes;
}

TEST(OwnLayout, Trit5BytesAreAsSpecified) {
  TernaryMatrix matrix;
  matrix.rows = 1;
  matrix.cols = 7;
  matrix.codes = {1, 0, -1, 1, 1, -1, 1};
  matrix.scales = {0.25f};
  const std::vector<uint8_t> bytes = encode_own(Layout::kTrit5, matrix);
  ASSERT_EQ(bytes.size(), 192u);
  const std::vector<uint8_t> head(bytes.begin(), bytes.begin() + 48);
  EXPECT_EQ(head, (std::vector<uint8_t>{'T', 'C', 'T', 'L', 1, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0,
                                        7,   0,   0,   0,   0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0,
                                        128, 0,   0,   0,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(bytes[64], 84 * 2 + 27 * 2 + 9 * 0 + 3 * 1 + 2);
  EXPECT_EQ(bytes[65], 84 * 1 + 27 * 1 + 9 * 1 + 3 * 2 + 0);  // three unused places hold code 0
  EXPECT_EQ(bytes[66], 0);
  const uint8_t quarter[] = {0, 0, 0x80, 0x3E};
  EXPECT_EQ(std::memcmp(&bytes[128], quarter, 4), 0);
}

TEST(OwnLayout, Trit4BytesAreAsSpecified) {
  TernaryMatrix matrix;
  matrix.rows = 2;
  matrix.cols = 5;
  matrix.codes = {1, 0, -1, 1, 1, -1, -1, 0, 0, 1};
  matrix.scope = ScaleScope::kRow;
  matrix.scales = {1.0f, 2.0f};
  const std::vector<uint8_t> bytes = encode_own(Layout::kTrit4, matrix);
  EXPECT_EQ(bytes[6], 3);
  EXPECT_EQ(bytes[7], 1);
  EXPECT_EQ(bytes[64], 0b10000110);
  EXPECT_EQ(bytes[65], 0b01010110);
  EXPECT_EQ(bytes[66], 0b01010000);
  EXPECT_EQ(bytes[67], 0b01010110);
}

TEST(OwnLayout, Sign8BytesAreAsSpecified) {
  TernaryMatrix matrix;
  matrix.rows = 1;
  matrix.cols = 10;
  matrix.codes = {1, -1, -1, 1, 1, -1, 1, -1, 1, 1};
  matrix.scales = {1.0f};
  const std::vector<uint8_t> bytes = encode_own(Layout::kSign8, matrix);
  EXPECT_EQ(bytes[6], 9);
  EXPECT_EQ(bytes[64], 0b01011001);
  EXPECT_EQ(bytes[65], 0b00000011);
  expect_refused(with(bytes, 65, uint8_t{0b00000111}), "stands for no");  // an idle place is 0
  matrix.codes[3] = 0;
  expect_error(ErrorCode::kInternal, "sign8 has no code for zero",
               [&] { encode_own(Layout::kSign8, matrix); });
}

TEST(OwnLayout, EveryShapeAndScopeRoundTrips) {
  for (const Layout layout : kLayouts) {
    for (const int64_t cols : {1, 4, 5, 6, 31, 64, 172, 255, 320, 576}) {
      for (const int64_t rows : {1, 3}) {
        std::vector<TernaryMatrix> matrices = {make_matrix(rows, cols),
                                               make_matrix(rows, cols, ScaleScope::kRow)};
        for (const int64_t group : {int64_t{1}, int64_t{7}, int64_t{64}, cols}) {
          if (group > cols) continue;
          matrices.push_back(make_matrix(rows, cols, ScaleScope::kGroup, group));
        }
        for (const TernaryMatrix& any : matrices) {
          const TernaryMatrix matrix = fit(any, layout);
          const Aligned bytes(encode_own(layout, matrix));
          EXPECT_EQ(bytes.bytes().size() % 64, 0u);
          const OwnView view = view_own(bytes.bytes(), "t");
          EXPECT_EQ(view.layout, layout);
          EXPECT_EQ(view.codes.size(), static_cast<size_t>(view.row_stride * rows));
          expect_equal(decode_own(view), matrix);
        }
      }
    }
  }
}

TEST(OwnLayout, ScalesMayBeF16WhereTheyAre) {
  for (const Layout layout : kLayouts) {
    TernaryMatrix matrix = fit(make_matrix(3, 576, ScaleScope::kGroup, 192), layout);
    for (float& scale : matrix.scales) scale = f16_to_f32(f32_to_f16(scale));
    const Aligned bytes(encode_own(layout, matrix, ScaleType::kF16));
    const OwnView view = view_own(bytes.bytes(), "t");
    EXPECT_TRUE(view.scales.empty());
    expect_equal(decode_own(view), matrix);
    expect_equal(decode_own(view_own(Aligned(encode_own(layout, matrix)).bytes(), "t")), matrix);
  }
  // Three groups of 39 bytes and 2 for a scale.
  TernaryMatrix large = make_matrix(640, 576, ScaleScope::kGroup, 192);
  for (float& scale : large.scales) scale = 0.5f;
  const auto bytes = encode_own(Layout::kTrit5, large, ScaleType::kF16);
  EXPECT_NEAR(bits_per_weight(bytes.size(), 640, 576), 8 * 41 / 192.0, 0.003);
  large.scales[5] = 0.1f;
  expect_error(ErrorCode::kInternal, "no f16",
               [&] { encode_own(Layout::kTrit5, large, ScaleType::kF16); });
  TernaryMatrix rows = make_matrix(3, 8, ScaleScope::kRow);
  for (float& scale : rows.scales) scale = 2;
  const auto half = encode_own(Layout::kTrit4, rows, ScaleType::kF16);
  expect_refused(with(half, 128 + 2, uint16_t{0x7C00}), "scale 1");
}

TEST(OwnLayout, GroupsStartOnBytes) {
  const Aligned bytes(
      encode_own(Layout::kTrit5, make_matrix(2, 20, ScaleScope::kGroup, 7)));  // 7 + 7 + 6
  EXPECT_EQ(view_own(bytes.bytes(), "t").row_stride, 6);
}

TEST(OwnLayout, AGroupLargerThanTheRowIsTheRow) {
  TernaryMatrix matrix = make_matrix(2, 9, ScaleScope::kGroup, 9);
  matrix.group_size = 128;
  const Aligned bytes(encode_own(Layout::kTrit4, matrix));
  EXPECT_EQ(view_own(bytes.bytes(), "t").group_size, 9);
}

TEST(OwnLayout, StoresCloseToTheBoundOfFiveTritsAByte) {
  const auto bytes = encode_own(Layout::kTrit5, make_matrix(640, 640));
  EXPECT_LT(bits_per_weight(bytes.size(), 640, 640), 1.6026);
}

TEST(OwnLayout, AnyDamagedBitOfTheHeaderOrPaddingIsRefused) {
  for (const Layout layout : kLayouts) {
    const auto good = encode_own(layout, fit(make_matrix(3, 17, ScaleScope::kGroup, 6), layout));
    const Aligned kept(good);
    const OwnView view = view_own(kept.bytes(), "t");
    const size_t scales = 64 + (view.codes.size() + 63) / 64 * 64;
    for (size_t place = 0; place < good.size(); ++place) {
      const bool codes = place >= 64 && place < 64 + view.codes.size();
      const bool scale = place >= scales && place < scales + view.scales.size_bytes();
      if (codes || scale) continue;
      for (int bit = 0; bit < 8; ++bit) {
        std::vector<uint8_t> bytes = good;
        bytes[place] ^= static_cast<uint8_t>(1 << bit);
        EXPECT_THROW(view_own(Aligned(bytes).bytes(), "t"), Error) << place << " " << bit;
      }
    }
  }
}

TEST(OwnLayout, AnyCutOrExcessIsRefused) {
  const auto good = encode_own(Layout::kTrit5, make_matrix(3, 172));
  for (size_t size = 0; size < good.size(); ++size) {
    expect_refused({good.begin(), good.begin() + static_cast<ptrdiff_t>(size)});
  }
  std::vector<uint8_t> longer = good;
  longer.push_back(0);
  expect_refused(longer);
}

TEST(OwnLayout, CodesAreCheckedIncludingUnusedPlaces) {
  const auto trit5 = encode_own(Layout::kTrit5, make_matrix(1, 7));
  int accepted = 0;
  for (int value = 0; value < 256; ++value) {
    const auto bytes = with(trit5, 64, static_cast<uint8_t>(value));
    const bool valid = value % 84 <= 80 && value <= 248;
    if (valid) {
      const Aligned aligned(bytes);
      EXPECT_EQ(encode_own(Layout::kTrit5, decode_own(view_own(aligned.bytes(), "t"))), bytes);
      ++accepted;
    } else {
      expect_refused(bytes, "row 0");
    }
  }
  EXPECT_EQ(accepted, 243);
  // Two codes are in use in the second byte; place 2 must hold a 1 (code 0).
  expect_refused(with(trit5, 65, static_cast<uint8_t>(84 + 27 + 0)), "row 0");

  const auto trit4 = encode_own(Layout::kTrit4, make_matrix(2, 5));
  expect_refused(with(trit4, 66, uint8_t{0b01110101}), "row 1");
  expect_refused(with(trit4, 65, uint8_t{0b01010001}), "row 0");
}

TEST(OwnLayout, HostileHeadersAreRefusedBeforeAnythingIsAllocated) {
  const auto good = encode_own(Layout::kTrit5, make_matrix(4, 40, ScaleScope::kGroup, 8));
  const int64_t huge = std::numeric_limits<int64_t>::max();
  for (const int64_t value : {int64_t{0}, int64_t{-1}, huge, huge / 4, huge / 32, int64_t{1} << 40,
                              std::numeric_limits<int64_t>::min()}) {
    expect_refused(with(good, 8, value));
    expect_refused(with(good, 16, value));
    expect_refused(with(good, 24, value));
    expect_refused(with(with(good, 8, value), 16, value));
    expect_refused(with(with(with(good, 8, value), 16, value), 24, int64_t{1}));
    expect_refused(with(good, 32, value));
  }
  expect_refused(with(good, 6, uint8_t{0}), "layout 0");
  expect_refused(with(good, 7, uint8_t{3}), "scope 3");
  expect_refused(with(good, 0, uint8_t{'X'}), "magic");
  expect_error(ErrorCode::kUnsupported, "version 3",
               [&] { view_own(Aligned(with(good, 4, uint16_t{3})).bytes(), "t"); });
  expect_refused(with(good, 4, uint16_t{2}), "type 0 of scales");
  expect_refused(with(good, 40, uint8_t{1}), "type 1 of scales");
}

TEST(OwnLayout, ScalesMustBeFinite) {
  const auto good = encode_own(Layout::kTrit4, make_matrix(3, 8, ScaleScope::kRow));
  expect_refused(with(good, 128 + 4, std::numeric_limits<float>::infinity()), "scale 1");
  expect_refused(with(good, 128 + 8, std::numeric_limits<float>::quiet_NaN()), "scale 2");
  TernaryMatrix matrix = make_matrix(1, 8);
  matrix.scales[0] = std::numeric_limits<float>::quiet_NaN();
  expect_error(ErrorCode::kBadInput, "scale", [&] { encode_own(Layout::kTrit4, matrix); });
}

TEST(OwnLayout, NeedsAlignedScales) {
  std::vector<uint8_t> shifted = encode_own(Layout::kTrit4, make_matrix(1, 8));
  shifted.insert(shifted.begin(), 0);
  const Aligned aligned(shifted);
  expect_error(ErrorCode::kBadInput, "multiple of 4", [&] { view_own(aligned.bytes(1), "t"); });
}

TEST(OwnLayout, InconsistentMatricesAreRefused) {
  const auto refuses = [](auto change) {
    TernaryMatrix matrix = make_matrix(4, 10, ScaleScope::kGroup, 4);
    change(matrix);
    expect_error(ErrorCode::kInternal, "trit5", [&] { encode_own(Layout::kTrit5, matrix); });
  };
  refuses([](TernaryMatrix& m) { m.codes[7] = 2; });
  refuses([](TernaryMatrix& m) { m.codes[39] = -2; });
  refuses([](TernaryMatrix& m) { m.codes.pop_back(); });
  refuses([](TernaryMatrix& m) { m.scales.pop_back(); });
  refuses([](TernaryMatrix& m) { m.group_size = 0; });
  refuses([](TernaryMatrix& m) { m.rows = 0; });
  expect_error(ErrorCode::kInternal, "tq1_0",
               [&] { encode_own(Layout::kTq1_0, make_matrix(1, 256)); });
}

}  // namespace
}  // namespace tercet::packing
