// SPDX-License-Identifier: Apache-2.0
#include "packing/row_codes.h"

#include <gtest/gtest.h>

#include "packing/own_codes.h"
#include "packing/quant_blocks.h"
#include "packing/test_matrix.h"

namespace tercet::packing {
namespace {

constexpr Layout kLayouts[] = {Layout::kTq1_0, Layout::kTq2_0, Layout::kTrit5,
                               Layout::kTrit4, Layout::kI2S,   Layout::kI2S64,
                               Layout::kQ1_0,  Layout::kQ2_0,  Layout::kQ2_0G128};

// Codes that the layout can hold: q1_0 has no zero.
std::vector<int8_t> codes_for(Layout layout, int64_t cols) {
  std::vector<int8_t> codes = make_matrix(1, cols).codes;
  if (layout != Layout::kQ1_0) return codes;
  for (int8_t& code : codes) code = code == 0 ? int8_t{1} : code;
  return codes;
}

std::vector<uint16_t> scales_for(Layout layout, int64_t cols) {
  std::vector<uint16_t> scales;
  if (!has_block_scales(layout)) return scales;
  for (int64_t i = 0; i < cols / block_codes(layout); ++i) {
    scales.push_back(static_cast<uint16_t>(0x3C00 + i));
  }
  return scales;
}

std::vector<uint8_t> packed(Layout layout, const std::vector<int8_t>& codes, int64_t group) {
  const int64_t cols = static_cast<int64_t>(codes.size());
  std::vector<uint8_t> bytes(static_cast<size_t>(stored_row_bytes(layout, cols, group)), 0xEE);
  EXPECT_TRUE(pack_row(layout, codes, group, scales_for(layout, cols), bytes.data()));
  return bytes;
}

TEST(RowCodes, EveryLayoutGivesItsCodesAndScalesBack) {
  for (const Layout layout : kLayouts) {
    for (const int64_t cols : {int64_t{256}, int64_t{1536}}) {
      SCOPED_TRACE(to_string(layout));
      const std::vector<int8_t> codes = codes_for(layout, cols);
      const std::vector<uint8_t> bytes = packed(layout, codes, cols);
      std::vector<int8_t> back(codes.size(), 5);
      ASSERT_TRUE(unpack_row(layout, bytes.data(), cols, back));
      EXPECT_EQ(back, codes);
      for (int64_t i = 0; has_block_scales(layout) && i < cols / block_codes(layout); ++i) {
        EXPECT_EQ(block_scale(layout, &bytes[static_cast<size_t>(i * block_bytes(layout))]),
                  0x3C00 + i);
      }
    }
  }
}

// Any range of columns of a row is what the whole row has there, for odd groups too.
TEST(RowCodes, ColumnsAreThoseOfTheRow) {
  for (const Layout layout : {Layout::kTrit5, Layout::kTrit4}) {
    for (const int64_t group : {int64_t{7}, int64_t{64}, int64_t{333}, int64_t{1000}}) {
      const std::vector<int8_t> codes = codes_for(layout, 1000);
      const std::vector<uint8_t> bytes = packed(layout, codes, group);
      for (const int64_t first : {0, 1, 4, 5, 6, 7, 63, 64, 332, 333, 998, 999}) {
        for (const int64_t count : {int64_t{1}, int64_t{2}, int64_t{70}, 1000 - first}) {
          if (first + count > 1000) continue;
          std::vector<int8_t> part(static_cast<size_t>(count), 5);
          unpack_columns(layout, bytes.data(), 1000, group, first, part);
          EXPECT_EQ(part, std::vector<int8_t>(codes.begin() + first, codes.begin() + first + count))
              << to_string(layout) << " group " << group << " from " << first << ", " << count;
        }
      }
    }
  }
  for (const Layout layout : kLayouts) {
    if (block_codes(layout) == 1) continue;
    const std::vector<int8_t> codes = codes_for(layout, 1536);
    const std::vector<uint8_t> bytes = packed(layout, codes, 1536);
    std::vector<int8_t> part(256);
    unpack_columns(layout, bytes.data(), 1536, 1536, 1280, part);
    EXPECT_EQ(part, std::vector<int8_t>(codes.begin() + 1280, codes.end())) << to_string(layout);
  }
}

// Every value of every byte either gives codes that pack to it again, or is refused.
TEST(RowCodes, BytesThatStandForNoCodesAreRefused) {
  for (const Layout layout : kLayouts) {
    const std::vector<int8_t> codes = codes_for(layout, 256);
    const std::vector<uint8_t> good = packed(layout, codes, 256);
    for (const size_t place : {size_t{2}, size_t{13}}) {
      int accepted = 0;
      for (int value = 0; value < 256; ++value) {
        std::vector<uint8_t> bytes = good;
        bytes[place] = static_cast<uint8_t>(value);
        std::vector<int8_t> back(codes.size());
        if (!unpack_row(layout, bytes.data(), 256, back)) continue;
        ++accepted;
        EXPECT_EQ(packed(layout, back, 256), bytes) << to_string(layout) << " " << value;
      }
      const bool five = layout == Layout::kTq1_0 || layout == Layout::kTrit5;
      EXPECT_EQ(accepted, layout == Layout::kQ1_0 ? 256 : five ? 243 : 81) << to_string(layout);
    }
  }
}

TEST(RowCodes, SignsHoldNoZero) {
  std::vector<int8_t> codes(128, 1);
  codes[77] = 0;
  std::vector<uint8_t> bytes(18);
  const std::vector<uint16_t> scale = {0x3C00};
  EXPECT_FALSE(pack_row(Layout::kQ1_0, codes, 128, scale, bytes.data()));
  codes[77] = -1;
  EXPECT_TRUE(pack_row(Layout::kQ1_0, codes, 128, scale, bytes.data()));
}

TEST(RowCodes, PartsOfAnOwnLayoutAddUpToItsEncoding) {
  for (const Layout layout : {Layout::kTrit5, Layout::kTrit4}) {
    for (const auto& [scope, group] : {std::pair{ScaleScope::kTensor, int64_t{0}},
                                       {ScaleScope::kRow, 0},
                                       {ScaleScope::kGroup, 24},
                                       {ScaleScope::kGroup, 500}}) {
      const TernaryMatrix matrix = make_matrix(5, 100, scope, group);
      const OwnParts parts = own_parts(layout, 5, 100, scope, group);
      std::vector<uint8_t> bytes(parts.header.begin(), parts.header.end());
      const int64_t columns = scope == ScaleScope::kGroup ? std::min<int64_t>(group, 100) : 100;
      std::vector<uint8_t> row(static_cast<size_t>(stored_row_bytes(layout, 100, columns)));
      ASSERT_EQ(row.size() * 5, parts.codes);
      for (int64_t r = 0; r < 5; ++r) {
        const std::span<const int8_t> codes(&matrix.codes[static_cast<size_t>(r * 100)], 100);
        ASSERT_TRUE(pack_row(layout, codes, columns, {}, row.data()));
        bytes.insert(bytes.end(), row.begin(), row.end());
      }
      bytes.resize(bytes.size() + parts.codes_padding);
      const auto* scales = reinterpret_cast<const uint8_t*>(matrix.scales.data());
      bytes.insert(bytes.end(), scales, scales + parts.scales);
      bytes.resize(bytes.size() + parts.scales_padding);
      EXPECT_EQ(bytes.size(), parts.total());
      EXPECT_EQ(bytes, encode_own(layout, matrix)) << to_string(layout) << " " << group;
    }
  }
}

}  // namespace
}  // namespace tercet::packing
