// SPDX-License-Identifier: Apache-2.0
#include "model/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/half.h"
#include "core/rng.h"
#include "model/tensor_weights.h"
#include "model/ternary_blocks.h"

namespace tercet::test {
namespace {

using packing::ScaleScope;
using packing::TernaryMatrix;

TernaryMatrix random_ternary(int64_t rows, int64_t cols, ScaleScope scope, int64_t group) {
  Rng rng(11);
  TernaryMatrix matrix;
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.scope = scope;
  matrix.group_size = scope == ScaleScope::kGroup ? group : 0;
  matrix.codes.resize(static_cast<size_t>(rows * cols));
  for (int8_t& code : matrix.codes) code = static_cast<int8_t>(static_cast<int>(rng.below(3)) - 1);
  const int64_t scales = scope == ScaleScope::kTensor ? 1
                         : scope == ScaleScope::kRow  ? rows
                                                      : rows * ((cols + group - 1) / group);
  for (int64_t i = 0; i < scales; ++i) {
    matrix.scales.push_back(static_cast<float>(0.01 + 0.1 * rng.uniform()));
  }
  return matrix;
}

double scale_at(const TernaryMatrix& m, int64_t row, int64_t col) {
  if (m.scope == ScaleScope::kTensor) return m.scales[0];
  if (m.scope == ScaleScope::kRow) return m.scales[static_cast<size_t>(row)];
  const int64_t groups = (m.cols + m.group_size - 1) / m.group_size;
  return m.scales[static_cast<size_t>(row * groups + col / m.group_size)];
}

// Runs `weights` on random vectors and compares with the sum written out.
void expect_products(const LinearWeights& weights, const TernaryMatrix& matrix) {
  constexpr int64_t kTokens = 3;
  Rng rng(5);
  std::vector<float> x(static_cast<size_t>(kTokens * matrix.cols));
  for (float& value : x) value = static_cast<float>(rng.uniform() * 4 - 2);
  std::vector<int8_t> q(x.size());
  std::vector<float> scale(kTokens);
  const KernelTable& kernels = select_kernels("");
  for (int64_t t = 0; t < kTokens; ++t) {
    scale[static_cast<size_t>(t)] = kernels.quantize_absmax_i8(
        x.data() + t * matrix.cols, matrix.cols, q.data() + t * matrix.cols);
  }
  std::vector<float> out(static_cast<size_t>(kTokens * matrix.rows), NAN);
  ThreadPool pool(2);
  std::vector<uint8_t> memory(PackedMatrix::code_bytes(weights, kernels));
  const PackedMatrix packed(weights, kernels, pool, memory);
  const LinearJob job{&weights, &packed, {x.data(), q.data(), scale.data()}, out.data()};
  LinearScratch scratch;
  run_linear({&job, 1}, kTokens, kernels, pool, scratch);

  for (int64_t t = 0; t < kTokens; ++t) {
    for (int64_t r = 0; r < matrix.rows; ++r) {
      double expected = 0;
      double magnitude = 0;
      for (int64_t c = 0; c < matrix.cols; ++c) {
        const double term = matrix.codes[static_cast<size_t>(r * matrix.cols + c)] *
                            scale_at(matrix, r, c) * q[static_cast<size_t>(t * matrix.cols + c)] /
                            static_cast<double>(scale[static_cast<size_t>(t)]);
        expected += term;
        magnitude += std::abs(term);
      }
      const float actual = out[static_cast<size_t>(t * matrix.rows + r)];
      ASSERT_NEAR(actual, expected, 1e-6 * magnitude) << "token " << t << " row " << r;
    }
  }
}

struct OwnCase {
  packing::Layout layout;
  ScaleScope scope;
  int64_t rows;
  int64_t cols;
  int64_t group;
};

class OwnLayouts : public ::testing::TestWithParam<OwnCase> {};

TEST_P(OwnLayouts, GiveTheProductsOfTheirMatrix) {
  const OwnCase& c = GetParam();
  const TernaryMatrix matrix = random_ternary(c.rows, c.cols, c.scope, c.group);
  const std::vector<uint8_t> bytes = packing::encode_own(c.layout, matrix);
  const TensorSpec spec{"m", "m", c.rows, c.cols, true};
  WeightStorage storage;
  const LinearWeights weights = own_weights("m", bytes, spec, "test", storage);
  EXPECT_EQ(weights.scope, c.scope);
  expect_products(weights, matrix);
  EXPECT_EQ(decode_ternary(weights).codes, matrix.codes);
  EXPECT_EQ(decode_ternary(weights).scales, matrix.scales);
}

// Odd sizes, a block of 32 rows and a rest, a last short group, a group longer than the row.
INSTANTIATE_TEST_SUITE_P(
    All, OwnLayouts,
    ::testing::Values(OwnCase{packing::Layout::kTrit4, ScaleScope::kTensor, 1, 1, 0},
                      OwnCase{packing::Layout::kTrit5, ScaleScope::kTensor, 33, 173, 0},
                      OwnCase{packing::Layout::kTrit4, ScaleScope::kRow, 65, 172, 0},
                      OwnCase{packing::Layout::kTrit5, ScaleScope::kRow, 31, 7, 0},
                      OwnCase{packing::Layout::kTrit4, ScaleScope::kGroup, 33, 172, 50},
                      OwnCase{packing::Layout::kTrit5, ScaleScope::kGroup, 33, 172, 33},
                      OwnCase{packing::Layout::kTrit5, ScaleScope::kGroup, 5, 64, 128}));

class BlockLayouts : public ::testing::TestWithParam<StoredType> {
 protected:
  // The bytes of `matrix`, each block with the f16 scale that `scale_of` gives for its number.
  template <typename ScaleOf>
  std::vector<uint8_t> encode(const TernaryMatrix& matrix, ScaleOf scale_of) const {
    std::vector<uint8_t> bytes = GetParam() == StoredType::kTq1_0
                                     ? packing::encode_tq1_0(matrix, "m")
                                     : packing::encode_tq2_0(matrix, "m");
    const size_t block = static_cast<size_t>(ternary_block_bytes(GetParam()));
    for (size_t i = 0; i < bytes.size() / block; ++i) {
      const uint16_t bits = f32_to_f16(scale_of(i));
      bytes[(i + 1) * block - 2] = static_cast<uint8_t>(bits & 0xFF);
      bytes[(i + 1) * block - 1] = static_cast<uint8_t>(bits >> 8);
    }
    return bytes;
  }

  TensorView view(const std::vector<uint8_t>& bytes) const {
    return {"m", file_dtype(GetParam()), {spec_.rows, spec_.cols}, bytes};
  }

  const TensorSpec spec_{"m", "m", 37, 512, true};
  WeightStorage storage_;
};

TEST_P(BlockLayouts, TakeTheirScaleFromBlocksAndSidecar) {
  TernaryMatrix matrix = random_ternary(spec_.rows, spec_.cols, ScaleScope::kTensor, 0);
  const std::vector<uint8_t> bytes = encode(matrix, [](size_t) { return 0.25f; });
  const std::vector<float> scale = {0.3f};
  const TensorView sidecar{
      "m.scale", DType::kF32, {1}, {reinterpret_cast<const uint8_t*>(scale.data()), sizeof(float)}};
  const LinearWeights weights = matrix_weights(view(bytes), {&sidecar}, spec_, "test", storage_);
  EXPECT_EQ(weights.scope, ScaleScope::kTensor);
  matrix.scales = {0.25f * 0.3f};
  expect_products(weights, matrix);
}

TEST_P(BlockLayouts, MayDifferInScaleFromBlockToBlock) {
  const TernaryMatrix encoded = random_ternary(spec_.rows, spec_.cols, ScaleScope::kTensor, 0);
  const auto scale_of = [](size_t block) { return 0.125f * static_cast<float>(1 + block % 5); };
  const std::vector<uint8_t> bytes = encode(encoded, scale_of);
  TernaryMatrix matrix = encoded;
  matrix.scope = ScaleScope::kGroup;
  matrix.group_size = 256;
  matrix.scales.clear();
  for (size_t i = 0; i < 37 * 2; ++i) matrix.scales.push_back(scale_of(i));
  const LinearWeights weights = matrix_weights(view(bytes), {}, spec_, "test", storage_);
  EXPECT_EQ(weights.scope, ScaleScope::kGroup);
  expect_products(weights, matrix);
  EXPECT_EQ(decode_ternary(weights).codes, matrix.codes);
  EXPECT_EQ(decode_ternary(weights).scales, matrix.scales);
}

TEST_P(BlockLayouts, RefuseScalesThatAreNoNumbers) {
  const TernaryMatrix matrix = random_ternary(spec_.rows, spec_.cols, ScaleScope::kTensor, 0);
  const std::vector<uint8_t> bytes =
      encode(matrix, [](size_t block) { return block == 9 ? INFINITY : 1.0f; });
  EXPECT_THROW(matrix_weights(view(bytes), {}, spec_, "test", storage_), Error);
}

INSTANTIATE_TEST_SUITE_P(All, BlockLayouts,
                         ::testing::Values(StoredType::kTq1_0, StoredType::kTq2_0));

TEST(LinearTest, DenseRowsDecodeAsTheirTypeSays) {
  Rng rng(2);
  std::vector<float> values(3 * 64);
  for (float& value : values) value = static_cast<float>(rng.uniform() - 0.5);
  for (const StoredType type :
       {StoredType::kF32, StoredType::kF16, StoredType::kBF16, StoredType::kQ8_0}) {
    const std::vector<uint8_t> bytes = from_f32(values, file_dtype(type), 64, "m");
    const TensorView tensor{"m", file_dtype(type), {3, 64}, bytes};
    WeightStorage storage;
    const LinearWeights weights =
        matrix_weights(tensor, {}, {"m", "m", 3, 64, false}, "test", storage);
    const std::vector<float> expected = to_f32(tensor);
    std::vector<float> row(64);
    decode_row(weights, 2, row.data());
    EXPECT_EQ(row, std::vector<float>(expected.begin() + 128, expected.end())) << to_string(type);
  }
}

// A matrix of any type that runs on inputs as they are: 37 rows, 1536 columns, so that a row is
// more than what is decoded at once.
struct AnyMatrix {
  explicit AnyMatrix(StoredType type) {
    Rng rng(static_cast<uint64_t>(type) + 5);
    const TensorSpec spec{"m", "m", 37, 1536, false};
    bytes.resize(tensor_bytes(file_dtype(type), 37, 1536, "m"));
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.below(42));  // codes, small scales
    if (type == StoredType::kI2S) set_tail();
    if (type == StoredType::kF32 || type == StoredType::kF16 || type == StoredType::kBF16) {
      std::vector<float> values(37 * 1536);
      for (float& value : values) value = static_cast<float>(rng.uniform() - 0.5);
      bytes = from_f32(values, file_dtype(type), 1536, "m");
    }
    if (type == StoredType::kTq1_0 || type == StoredType::kTq2_0) set_blocks(type, rng);
    const TensorView tensor{"m", file_dtype(type), {37, 1536}, bytes};
    weights = matrix_weights(tensor, {}, spec, "test", storage);
  }

  void set_tail() {
    for (uint8_t& byte : bytes) byte &= 0x2A;
    const float scale = 0.75f;
    std::memcpy(bytes.data() + bytes.size() - 32, &scale, sizeof(scale));
  }

  void set_blocks(StoredType type, Rng& rng) {
    const TernaryMatrix matrix = random_ternary(37, 1536, ScaleScope::kTensor, 0);
    bytes = type == StoredType::kTq1_0 ? packing::encode_tq1_0(matrix, "m")
                                       : packing::encode_tq2_0(matrix, "m");
    const size_t block = static_cast<size_t>(ternary_block_bytes(type));
    for (size_t at = block; at <= bytes.size(); at += block) {
      bytes[at - 2] = static_cast<uint8_t>(rng.below(256));
    }
  }

  std::vector<uint8_t> bytes;
  WeightStorage storage;
  LinearWeights weights;
};

// Products on inputs as they are equal those of the decoded rows, and do not depend on the batch.
void expect_decoded_products(const LinearWeights& w) {
  constexpr int64_t kTokens = 3;
  Rng rng(11);
  std::vector<float> x(static_cast<size_t>(kTokens * w.cols));
  for (float& value : x) value = static_cast<float>(rng.uniform() - 0.5);
  ThreadPool pool(2);
  std::vector<float> all(static_cast<size_t>(kTokens * w.rows));
  const LinearJob job{&w, nullptr, {x.data(), nullptr, nullptr}, all.data()};
  LinearScratch scratch;
  run_linear({&job, 1}, kTokens, select_kernels("scalar"), pool, scratch);
  std::vector<float> row(static_cast<size_t>(w.cols));
  for (int64_t t = 0; t < kTokens; ++t) {
    std::vector<float> one(static_cast<size_t>(w.rows));
    const LinearJob alone{&w, nullptr, {x.data() + t * w.cols, nullptr, nullptr}, one.data()};
    run_linear({&alone, 1}, 1, select_kernels(""), pool, scratch);
    for (int64_t r = 0; r < w.rows; ++r) {
      decode_row(w, r, row.data());
      double expected = 0;
      double magnitude = 0;
      for (int64_t c = 0; c < w.cols; ++c) {
        const double term = static_cast<double>(row[static_cast<size_t>(c)]) *
                            static_cast<double>(x[static_cast<size_t>(t * w.cols + c)]);
        expected += term;
        magnitude += std::abs(term);
      }
      const size_t at = static_cast<size_t>(r);
      ASSERT_NEAR(one[at], expected, 1e-6 * magnitude) << "token " << t << " row " << r;
      ASSERT_EQ(one[at], all[static_cast<size_t>(t * w.rows + r)]) << "token " << t << " row " << r;
    }
  }
}

class EveryType : public ::testing::TestWithParam<StoredType> {};

TEST_P(EveryType, RunsOnInputsAsTheyAre) {
  const AnyMatrix matrix(GetParam());
  EXPECT_FALSE(matrix.weights.int8_activations);
  expect_decoded_products(matrix.weights);
}

INSTANTIATE_TEST_SUITE_P(All, EveryType,
                         ::testing::Values(StoredType::kF32, StoredType::kF16, StoredType::kBF16,
                                           StoredType::kQ4_0, StoredType::kQ4_1, StoredType::kQ5_0,
                                           StoredType::kQ5_1, StoredType::kQ8_0, StoredType::kQ2_K,
                                           StoredType::kQ3_K, StoredType::kQ4_K, StoredType::kQ5_K,
                                           StoredType::kQ6_K, StoredType::kIq4Nl,
                                           StoredType::kTq1_0, StoredType::kTq2_0, StoredType::kI2S,
                                           StoredType::kQ1_0, StoredType::kQ2_0,
                                           StoredType::kQ2_0G128),
                         [](const auto& test) { return std::string(to_string(test.param)); });

TEST(LinearTest, OwnLayoutsRunOnInputsAsTheyAreToo) {
  for (const packing::Layout layout : {packing::Layout::kTrit4, packing::Layout::kTrit5}) {
    for (const auto& [scope, group] : {std::pair{ScaleScope::kTensor, int64_t{0}},
                                       {ScaleScope::kRow, 0},
                                       {ScaleScope::kGroup, 64},
                                       {ScaleScope::kGroup, 333}}) {
      const TernaryMatrix matrix = random_ternary(9, 3001, scope, group);
      const std::vector<uint8_t> bytes = packing::encode_own(layout, matrix);
      WeightStorage storage;
      const LinearWeights weights =
          own_weights("m", bytes, {"m", "m", 9, 3001, false}, "test", storage);
      EXPECT_FALSE(weights.int8_activations);
      std::vector<float> row(3001);
      decode_row(weights, 8, row.data());
      for (int64_t c = 0; c < 3001; ++c) {
        ASSERT_EQ(row[static_cast<size_t>(c)],
                  static_cast<float>(matrix.codes[static_cast<size_t>(8 * 3001 + c)]) *
                      static_cast<float>(scale_at(matrix, 8, c)));
      }
      expect_decoded_products(weights);
    }
  }
}

// The block types of packing and of formats are one and the same.
TEST(LinearTest, BlockSizesAgree) {
  for (int i = 0; i <= static_cast<int>(StoredType::kTrit5); ++i) {
    const StoredType type = static_cast<StoredType>(i);
    const auto block = block_type_of(type);
    if (!block) continue;
    const packing::BlockShape shape = packing::block_shape(*block);
    EXPECT_EQ(row_bytes(file_dtype(type), static_cast<uint64_t>(shape.elements), "t"),
              static_cast<uint64_t>(shape.bytes))
        << to_string(type);
  }
}

}  // namespace
}  // namespace tercet::test
