// SPDX-License-Identifier: Apache-2.0
#include "model/synthetic_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "model/convert_plan.h"
#include "model/linear.h"
#include "model/memory_source.h"
#include "model/reference_forward.h"
#include "model/test_models.h"
#include "model/token_cost.h"

namespace tercet {
namespace {

// Rows that every type can hold.
SyntheticShape small_shape() {
  SyntheticShape shape = {"small", "a small", test::wide_b158_config()};
  shape.config.vocab_size = 400;
  return shape;
}

packing::TernaryMatrix codes_of(const SyntheticSource& source, const std::string& name) {
  WeightStorage storage;
  for (const TensorSpec& spec : tensor_specs(source.config())) {
    if (spec.gguf_name == name) return decode_ternary(source.matrix(spec, storage));
  }
  return {};
}

std::vector<float> logits_of(const SyntheticShape& shape, StoredType type, int64_t distinct,
                             bool binary = false) {
  ConvertOptions options;
  options.linear_type = type;
  const Model model = Model::load(std::make_unique<MemorySource>(
      SyntheticSource(shape, {.seed = 1, .binary = binary}), options, distinct, nullptr, nullptr));
  ThreadPool pool(2);
  return test::logits_of(model, test::random_tokens(model.config(), 5, 1), pool);
}

TokenCost cost_of(const Model& model) {
  ThreadPool pool(1);
  return token_cost(PackedModel(model, select_kernels(""), pool));
}

TEST(SyntheticShapes, AreSoundAndOfTheSizeThatTheirNamesSay) {
  const std::pair<const char*, double> billions[] = {{"700m", 0.7}, {"3b", 3.3},   {"2b4t", 2.4},
                                                     {"7b", 6.7},   {"13b", 13.0}, {"70b", 69.0}};
  for (const auto& [name, size] : billions) {
    const ModelConfig& config = find_synthetic_shape(name).config;
    EXPECT_NEAR(static_cast<double>(config.parameter_count()) / 1e9, size, 0.06 * size) << name;
  }
  EXPECT_EQ(find_synthetic_shape("2b4t-llama").config.linear_parameter_count(), 2'084'044'800);
  for (const SyntheticShape& shape : synthetic_shapes()) {
    EXPECT_NO_THROW(shape.config.validate(shape.name));
    EXPECT_NO_THROW(SyntheticSource(shape, {}));
  }
  EXPECT_THROW(find_synthetic_shape("8b"), Error);
}

TEST(SyntheticSource, TheSeedAndTheNameDecideTheWeights) {
  const SyntheticShape shape = small_shape();
  const auto first = codes_of(SyntheticSource(shape, {.seed = 7}), "blk.0.ffn_up.weight");
  EXPECT_EQ(first.codes,
            codes_of(SyntheticSource(shape, {.seed = 7}), "blk.0.ffn_up.weight").codes);
  EXPECT_NE(first.codes,
            codes_of(SyntheticSource(shape, {.seed = 8}), "blk.0.ffn_up.weight").codes);
  EXPECT_NE(first.codes,
            codes_of(SyntheticSource(shape, {.seed = 7}), "blk.1.ffn_up.weight").codes);
}

TEST(SyntheticSource, CodesAreEvenlySpread) {
  for (const bool binary : {false, true}) {
    const auto matrix = codes_of(SyntheticSource(small_shape(), {.seed = 1, .binary = binary}),
                                 "blk.0.ffn_up.weight");
    std::array<double, 3> share = {};
    for (const int8_t code : matrix.codes) {
      share[static_cast<size_t>(code + 1)] += 1.0 / static_cast<double>(matrix.codes.size());
    }
    EXPECT_NEAR(share[0], binary ? 0.5 : 1.0 / 3, 0.01);
    EXPECT_NEAR(share[1], binary ? 0.0 : 1.0 / 3, 0.01);
    EXPECT_NEAR(share[2], binary ? 0.5 : 1.0 / 3, 0.01);
  }
}

TEST(MemorySource, TheTypeDoesNotChangeWhatIsComputed) {
  const SyntheticShape shape = small_shape();
  const std::vector<float> expected = logits_of(shape, StoredType::kTrit4, 0);
  for (const StoredType type : {StoredType::kTrit5, StoredType::kTq1_0, StoredType::kTq2_0,
                                StoredType::kI2S, StoredType::kQ2_0}) {
    EXPECT_EQ(logits_of(shape, type, 0), expected) << to_string(type);
  }
  EXPECT_EQ(logits_of(shape, StoredType::kQ1_0, 0, true),
            logits_of(shape, StoredType::kTrit4, 0, true));
  EXPECT_THROW(logits_of(shape, StoredType::kQ1_0, 0, false), Error);  // it holds no zeros
}

// OneBit's two vectors and its norms, against the formula and through files of every type that has
// room for them.
TEST(SyntheticSource, OneBitIsTheFormula) {
  SyntheticShape shape = {"onebit", "a OneBit", test::tiny_config()};
  shape.config.linear = LinearKind::kOneBit;
  shape.config.vocab_size = 300;
  const SyntheticSource source(shape, {.seed = 3});
  test::FloatWeights weights;
  for (const TensorSpec& spec : tensor_specs(source.config())) {
    if (spec.rows == 0) {
      weights[spec.hf_name] = source.vector(spec);
      continue;
    }
    WeightStorage storage;
    const LinearWeights matrix = source.matrix(spec, storage);
    std::vector<float>& values = weights[spec.hf_name];
    values.resize(static_cast<size_t>(spec.rows * spec.cols));
    for (int64_t row = 0; row < spec.rows; ++row) {
      decode_row(matrix, row, values.data() + row * spec.cols);
    }
  }
  const std::vector<int32_t> tokens = test::random_tokens(source.config(), 12, 5);
  const std::vector<double> expected = test::reference_logits(source.config(), weights, tokens);
  const testing::TemporaryDirectory folder;
  ThreadPool pool(2);
  std::vector<float> first;
  for (const StoredType type : {StoredType::kSign8, StoredType::kTrit5, StoredType::kTrit4}) {
    ConvertOptions options;
    options.linear_type = type;
    convert(source, folder / "model.gguf", options, nullptr, nullptr);
    const Model model = Model::load(folder / "model.gguf");
    EXPECT_EQ(model.config(), source.config());
    const std::vector<float> logits = test::logits_of(model, tokens, pool);
    std::vector<double> errors = test::relative_rms_rows(expected, logits, 300);
    std::sort(errors.begin(), errors.end());
    EXPECT_LT(errors[errors.size() / 2], 1e-4);
    EXPECT_LT(errors.back(), 5e-2);  // a sum in another order can tip an int8 rounding
    if (first.empty()) first = logits;
    EXPECT_EQ(logits, first) << to_string(type);
  }
  EXPECT_EQ(plan_conversion(source, {}).linear_type, StoredType::kSign8);
}

TEST(SyntheticSource, OneBitGoesWhereItsVectorsHaveRoom) {
  SyntheticShape shape = small_shape();
  shape.config.linear = LinearKind::kOneBit;
  const SyntheticSource source(shape, {});
  const auto expect_refused = [&](const ConvertOptions& options) {
    try {
      plan_conversion(source, options);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      EXPECT_NE(std::string(error.what()).find("--type sign8, trit5 or trit4"), std::string::npos)
          << error.what();
    }
  };
  for (const StoredType type : {StoredType::kTq2_0, StoredType::kF16, StoredType::kQ1_0}) {
    ConvertOptions options;
    options.linear_type = type;
    expect_refused(options);
  }
  ConvertOptions options;
  options.to_hf = true;
  expect_refused(options);
  options.packed = true;
  expect_refused(options);
}

TEST(MemorySource, B1IsPackedBySigns) {
  SyntheticShape shape = small_shape();
  shape.config.linear = LinearKind::kB1;
  const SyntheticSource source(shape, {.seed = 1, .binary = true});
  EXPECT_EQ(plan_conversion(source, {}).linear_type, StoredType::kSign8);
  ConvertOptions options;
  options.to_hf = options.packed = true;
  try {
    plan_conversion(source, options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("are b1"), std::string::npos) << error.what();
  }
}

TEST(MemorySource, EqualsTheFile) {
  const SyntheticShape shape = small_shape();
  const testing::TemporaryDirectory folder;
  for (const StoredType type : {StoredType::kTrit5, StoredType::kTq2_0, StoredType::kF16}) {
    ConvertOptions options;
    options.linear_type = type;
    const SyntheticSource source(shape, {});
    convert(source, folder / "model.gguf", options, nullptr, nullptr);
    const Model model = Model::load(folder / "model.gguf");
    ASSERT_NE(model.tokenizer(), nullptr) << model.tokenizer_note();
    EXPECT_EQ(model.tokenizer()->decode(model.tokenizer()->encode("a \u00FC")), "a \u00FC");
    ThreadPool pool(1);
    EXPECT_EQ(test::logits_of(model, test::random_tokens(model.config(), 5, 1), pool),
              logits_of(shape, type, 0))
        << to_string(type);
  }
}

TEST(MemorySource, RepeatsItsFirstLayers) {
  const SyntheticShape shape = small_shape();
  ConvertOptions options;
  options.linear_type = StoredType::kTrit5;
  const auto load = [&](int64_t distinct) {
    return Model::load(std::make_unique<MemorySource>(SyntheticSource(shape, {}), options, distinct,
                                                      nullptr, nullptr));
  };
  const Model all = load(0);
  const Model one = load(1);
  EXPECT_EQ(one.config().num_hidden_layers, shape.config.num_hidden_layers);
  EXPECT_EQ(cost_of(one).weight_bytes, cost_of(all).weight_bytes);
  EXPECT_EQ(one.source().file_bytes(), all.source().file_bytes());
  const auto up = [](const Model& model, size_t layer) {
    return decode_ternary(model.weights().layers[layer].up).codes;
  };
  EXPECT_EQ(up(one, 1), up(all, 0));
  EXPECT_NE(up(all, 1), up(all, 0));
  EXPECT_EQ(logits_of(shape, StoredType::kTrit5, 99), logits_of(shape, StoredType::kTrit5, 0));
}

TEST(TokenCost, CountsEveryWeightOnceAndNoEmbedding) {
  SyntheticShape shape = small_shape();
  shape.config.tie_word_embeddings = false;
  ConvertOptions options;
  options.linear_type = StoredType::kTrit4;
  const Model model = Model::load(
      std::make_unique<MemorySource>(SyntheticSource(shape, {}), options, 0, nullptr, nullptr));
  const TokenCost cost = cost_of(model);
  EXPECT_EQ(cost.int8_macs, shape.config.linear_parameter_count());
  EXPECT_GE(cost.weight_bytes, static_cast<uint64_t>(cost.int8_macs / 4) + cost.head_bytes);
  EXPECT_LT(cost.weight_bytes, model.source().file_bytes());
}

}  // namespace
}  // namespace tercet
