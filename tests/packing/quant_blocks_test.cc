// SPDX-License-Identifier: Apache-2.0
#include "packing/quant_blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "packing/row_codes.h"
#include "packing/test_matrix.h"

namespace tercet::packing {
namespace {

const std::map<std::string, BlockType> kTypes = {
    {"q4_0", BlockType::kQ4_0},    {"q4_1", BlockType::kQ4_1},
    {"q5_0", BlockType::kQ5_0},    {"q5_1", BlockType::kQ5_1},
    {"q8_0", BlockType::kQ8_0},    {"q2_k", BlockType::kQ2_K},
    {"q3_k", BlockType::kQ3_K},    {"q4_k", BlockType::kQ4_K},
    {"q5_k", BlockType::kQ5_K},    {"q6_k", BlockType::kQ6_K},
    {"iq4_nl", BlockType::kIq4Nl}, {"tq1_0", BlockType::kTq1_0},
    {"tq2_0", BlockType::kTq2_0},  {"q1_0", BlockType::kQ1_0},
    {"q2_0", BlockType::kQ2_0},    {"q2_0_g128", BlockType::kQ2_0G128},
};

nlohmann::json golden() {
  std::ifstream file(TERCET_SOURCE_DIR "/tests/golden/quant_blocks.json");
  return nlohmann::json::parse(file);
}

std::vector<uint8_t> from_hex(const std::string& text) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

uint32_t bits(float value) {
  uint32_t out = 0;
  std::memcpy(&out, &value, sizeof(out));
  return out;
}

TEST(QuantBlocks, DecodeToTheBitsOfTheReference) {
  const nlohmann::json cases = golden()["cases"];
  ASSERT_EQ(cases.size(), kTypes.size());
  for (const auto& entry : cases) {
    const std::string name = entry["type"];
    SCOPED_TRACE(name);
    const BlockType type = kTypes.at(name);
    const BlockShape shape = block_shape(type);
    const std::vector<uint8_t> blocks = from_hex(entry["bytes"]);
    const std::vector<uint8_t> expected = from_hex(entry["values"]);
    const int64_t elements = entry["elements"];
    ASSERT_EQ(elements, 2 * shape.elements);
    ASSERT_EQ(static_cast<int64_t>(blocks.size()), 2 * shape.bytes);
    ASSERT_EQ(static_cast<int64_t>(expected.size()), 4 * elements);
    std::vector<float> values(static_cast<size_t>(elements));
    decode_blocks(type, blocks.data(), elements, values.data());
    for (size_t i = 0; i < values.size(); ++i) {
      float wanted = 0;
      std::memcpy(&wanted, &expected[4 * i], 4);
      ASSERT_EQ(bits(values[i]), bits(wanted)) << i << ": " << values[i] << " " << wanted;
    }
  }
}

// What a chunk decodes to does not depend on what stands before or behind it.
TEST(QuantBlocks, ChunksAndBoundsAreExact) {
  for (const auto& [name, type] : kTypes) {
    SCOPED_TRACE(name);
    const BlockShape shape = block_shape(type);
    std::vector<uint8_t> blocks(static_cast<size_t>(3 * shape.bytes));
    Rng rng(7);
    for (uint8_t& byte : blocks) byte = static_cast<uint8_t>(rng.below(64));  // finite scales
    std::vector<float> whole(static_cast<size_t>(3 * shape.elements));
    decode_blocks(type, blocks.data(), 3 * shape.elements, whole.data());
    for (int64_t block = 0; block < 3; ++block) {
      // Exactly as large as one block, so that a sanitizer sees a step outside.
      const std::vector<uint8_t> one(blocks.begin() + block * shape.bytes,
                                     blocks.begin() + (block + 1) * shape.bytes);
      std::vector<float> values(static_cast<size_t>(shape.elements), NAN);
      decode_blocks(type, one.data(), shape.elements, values.data());
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(bits(values[i]), bits(whole[static_cast<size_t>(block * shape.elements) + i]))
            << i;
      }
    }
    decode_blocks(type, blocks.data(), 0, nullptr);
  }
}

double relative_rms(const std::vector<float>& values, const std::vector<float>& back) {
  double error = 0;
  double all = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    error += std::pow(static_cast<double>(back[i]) - static_cast<double>(values[i]), 2);
    all += std::pow(static_cast<double>(values[i]), 2);
  }
  return std::sqrt(error / all);
}

std::vector<float> through_q6_k(const std::vector<float>& values) {
  const int64_t count = static_cast<int64_t>(values.size());
  std::vector<uint8_t> blocks(values.size() / 256 * 210);
  EXPECT_TRUE(encode_q6_k(values.data(), count, blocks.data()));
  std::vector<float> back(values.size());
  decode_blocks(BlockType::kQ6_K, blocks.data(), count, back.data());
  return back;
}

TEST(QuantBlocks, Q6KComesBackWithSixBits) {
  Rng rng(11);
  std::vector<float> values(256 * 64);
  // About normal, and every block of another size.
  for (size_t i = 0; i < values.size(); ++i) {
    double sum = -6;
    for (int k = 0; k < 12; ++k) sum += rng.uniform();
    values[i] = static_cast<float>(sum * std::pow(1.3, static_cast<double>(i / 256)));
  }
  const std::vector<float> back = through_q6_k(values);
  // The largest of 16 is 1.8 deviations away, cut into 32 steps: rounding leaves 0.289 of a step.
  EXPECT_LT(relative_rms(values, back), 0.020);
  EXPECT_GT(relative_rms(values, back), 0.008);
  // Once more loses nothing to speak of: the codes are there already.
  EXPECT_LT(relative_rms(back, through_q6_k(back)), 0.004);
}

TEST(QuantBlocks, Q6KTakesZerosAndNamesWhatItCannotHold) {
  std::vector<float> values(256, 0.0f);
  EXPECT_EQ(through_q6_k(values), values);
  values[17] = 1e-30f;
  EXPECT_EQ(through_q6_k(values)[17], 0.0f);
  std::vector<uint8_t> block(210);
  for (const float wrong : {NAN, INFINITY, -INFINITY, 3e38f}) {
    values[200] = wrong;
    EXPECT_FALSE(encode_q6_k(values.data(), 256, block.data())) << wrong;
  }
}

TEST(QuantBlocks, I2SFollowsTheFormula) {
  const nlohmann::json cases = golden()["i2_s"];
  ASSERT_EQ(cases.size(), 2u);
  for (const auto& entry : cases) {
    const Layout layout = entry["block"] == 128 ? Layout::kI2S : Layout::kI2S64;
    SCOPED_TRACE(to_string(layout));
    const std::vector<uint8_t> bytes = from_hex(entry["bytes"]);
    const std::string signs = entry["codes"];
    std::vector<int8_t> codes(signs.size());
    ASSERT_EQ(stored_row_bytes(layout, static_cast<int64_t>(codes.size()), 0),
              static_cast<int64_t>(bytes.size()));
    ASSERT_TRUE(unpack_row(layout, bytes.data(), 0, codes));
    for (size_t i = 0; i < codes.size(); ++i) {
      ASSERT_EQ(codes[i], signs[i] == '-' ? -1 : signs[i] == '+' ? 1 : 0) << i;
    }
    std::vector<uint8_t> packed(bytes.size());
    ASSERT_TRUE(pack_row(layout, codes, 0, {}, packed.data()));
    EXPECT_EQ(packed, bytes);
  }
}

}  // namespace
}  // namespace tercet::packing
