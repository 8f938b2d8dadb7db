// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "packing/ternary.h"
#include "packing/test_matrix.h"

namespace tercet::packing {
namespace {

std::vector<uint8_t> from_hex(const std::string& text) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::vector<int8_t> from_signs(const std::string& text) {
  std::vector<int8_t> codes;
  for (const char sign : text) codes.push_back(sign == '-' ? -1 : sign == '+' ? 1 : 0);
  return codes;
}

// Both formats go through the same tests.
struct Format {
  const char* name;
  std::vector<uint8_t> (*encode)(const TernaryMatrix&, const std::string&);
  TernaryMatrix (*decode)(std::span<const uint8_t>, int64_t, int64_t, const std::string&);
  void (*check)(std::span<const uint8_t>, const std::string&);
  size_t block;  // bytes
};
const Format kFormats[] = {{"tq1_0", encode_tq1_0, decode_tq1_0, check_tq1_0, 54},
                           {"tq2_0", encode_tq2_0, decode_tq2_0, check_tq2_0, 66}};

TEST(TqBlocks, EqualTheReferenceByteForByte) {
  std::ifstream file(TERCET_SOURCE_DIR "/tests/golden/tq_blocks.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  ASSERT_EQ(golden["cases"].size(), 3u);
  for (const auto& entry : golden["cases"]) {
    TernaryMatrix matrix;
    matrix.rows = entry["rows"];
    matrix.cols = entry["cols"];
    matrix.codes = from_signs(entry["codes"]);
    matrix.scales = {entry["scale"]};
    for (const Format& format : kFormats) {
      SCOPED_TRACE(format.name);
      const std::vector<uint8_t> expected = from_hex(entry[format.name]);
      expect_equal(format.decode(expected, matrix.rows, matrix.cols, "golden"), matrix);
      // What we write carries the scale beside the blocks, so only scale 1 gives equal bytes.
      if (matrix.scales[0] != 1.0f) continue;
      EXPECT_EQ(format.encode(matrix, "golden"), expected);
    }
  }
}

TEST(TqBlocks, EveryByteValueEitherRoundTripsOrIsRefused) {
  for (const Format& format : kFormats) {
    const TernaryMatrix matrix = make_matrix(1, 256);
    const std::vector<uint8_t> good = format.encode(matrix, "t");
    for (const size_t place : {size_t{0}, size_t{31}, size_t{32}, size_t{47}, format.block - 3}) {
      int accepted = 0;
      for (int value = 0; value < 256; ++value) {
        std::vector<uint8_t> bytes = good;
        bytes[place] = static_cast<uint8_t>(value);
        try {
          const TernaryMatrix decoded = format.decode(bytes, 1, 256, "t");
          EXPECT_EQ(format.encode(decoded, "t"), bytes) << format.name << " " << place;
          format.check(bytes, "t");
          ++accepted;
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::kBadInput);
          expect_error(ErrorCode::kBadInput, "block 0", [&] { format.check(bytes, "t"); });
        }
      }
      const bool five = format.block == 54 && place < 48;
      EXPECT_EQ(accepted, five ? 243 : 81) << format.name << " " << place;
    }
  }
}

TEST(TqBlocks, CheckReadsEveryCodeByteOfEveryBlock) {
  for (const Format& format : kFormats) {
    const std::vector<uint8_t> good = format.encode(make_matrix(1, 512), "t");
    format.check(good, "t");
    for (size_t place = 0; place < good.size(); ++place) {
      std::vector<uint8_t> bytes = good;
      bytes[place] = format.block == 54 ? 0x01 : 0xC0;  // impossible in every section
      if (place % format.block >= format.block - 2) {
        EXPECT_NO_THROW(format.check(bytes, "t")) << place;  // a scale
        continue;
      }
      expect_error(ErrorCode::kBadInput, place < format.block ? "block 0" : "block 1",
                   [&] { format.check(bytes, "t"); });
    }
  }
}

TEST(TqBlocks, DifferingScalesBecomeGroups) {
  for (const Format& format : kFormats) {
    std::vector<uint8_t> bytes = format.encode(make_matrix(2, 512), "t");
    bytes[format.block * 4 - 1] = 0x40;  // 0x4000: the last block's scale is 2
    const TernaryMatrix decoded = format.decode(bytes, 2, 512, "t");
    EXPECT_EQ(decoded.scope, ScaleScope::kGroup);
    EXPECT_EQ(decoded.group_size, 256);
    EXPECT_EQ(decoded.scales, (std::vector<float>{1, 1, 1, 2}));
    expect_error(ErrorCode::kUnsupported, "t:", [&] { format.encode(decoded, "t"); });
  }
}

TEST(TqBlocks, RefuseWhatDoesNotFit) {
  for (const Format& format : kFormats) {
    std::vector<uint8_t> bytes = format.encode(make_matrix(2, 256), "t");
    const auto refuses = [&](int64_t rows, int64_t cols) {
      expect_error(ErrorCode::kBadInput, "blk.0",
                   [&] { format.decode(bytes, rows, cols, "blk.0"); });
    };
    refuses(1, 256);
    refuses(3, 256);
    refuses(0, 256);
    refuses(-2, 256);
    refuses(2, 128);
    refuses(int64_t{1} << 62, 1024);  // rows * blocks leaves 64 bits
    bytes[format.block - 1] = 0x7C;   // infinity
    bytes[format.block - 2] = 0;
    refuses(2, 256);
    bytes.pop_back();
    refuses(2, 256);
    expect_error(ErrorCode::kUnsupported, "576", [&] { format.encode(make_matrix(1, 576), "t"); });
  }
}

}  // namespace
}  // namespace tercet::packing
