// SPDX-License-Identifier: Apache-2.0
//
// Ternary weights from every form into every other.
#include <gtest/gtest.h>

#include <fstream>

#include "core/half.h"
#include "formats/gguf.h"
#include "model/gguf_model.h"
#include "model/repack_support.h"
#include "packing/row_codes.h"

namespace tercet::test {
namespace {

using packing::Layout;

// Codes of +1 and -1 and a scale that f16 holds, so that every form can take it.
TEST_F(RepackTest, EveryPairOfFormsIsLossless) {
  const fs::path latent = make_hf(wide_b158_config(), "latent",
                                  [](Rng& rng) { return rng.below(2) == 0 ? 0.25f : -0.25f; });
  for (const Form& from : kForms) {
    const fs::path source = path("from_" + from.name, from);
    to(latent, source, from);
    for (const Form& target : kForms) {
      SCOPED_TRACE(from.name + " to " + target.name);
      const fs::path written = path("out_" + from.name + "_" + target.name, target);
      to(source, written, target);
      const VerifyReport report = compare(latent, written);
      EXPECT_EQ(report.ternary_tensors, 14);
      EXPECT_TRUE(report.ternary_equal);
      EXPECT_TRUE(report.lossless);
      EXPECT_EQ(report.relative_rms_max, 0);
      // The same form again: what was written first, byte for byte.
      if (from.name == target.name && from.type) {
        std::ifstream a(source, std::ios::binary);
        std::ifstream b(written, std::ios::binary);
        EXPECT_TRUE(
            std::equal(std::istreambuf_iterator<char>(a), {}, std::istreambuf_iterator<char>(b)));
      }
    }
  }
}

TEST_F(RepackTest, ScalesThatF16DoesNotHoldAreRefusedOrRounded) {
  const fs::path latent = make_hf(wide_b158_config(), "latent",
                                  [](Rng& rng) { return static_cast<float>(rng.uniform() - 0.5); });
  const fs::path target = directory_ / "q2.gguf";
  const Form q2{"q2_0", StoredType::kQ2_0};
  expect_refused(ErrorCode::kUsage, "is no f16, which is what q2_0 keeps; use --type trit5",
                 [&] { to(latent, target, q2); });
  EXPECT_FALSE(fs::exists(target));
  const ConvertReport report = to(latent, target, q2, true);
  EXPECT_GT(report.largest_rounding, 0);
  EXPECT_LT(report.largest_rounding, 1.0 / 2048);
  const VerifyReport verified = compare(latent, target);
  EXPECT_FALSE(verified.ternary_equal);
  EXPECT_LT(verified.relative_rms_max, 0.1);
  expect_refused(ErrorCode::kUsage, "has zeros (the first in row 0), q1_0 holds +1 and -1 only",
                 [&] {
                   to(latent, directory_ / "q1.gguf", {"q1_0", StoredType::kQ1_0}, true);
                 });
}

// A dense model whose linear maps are binary or ternary codes with a scale per group, as Bonsai's.
class GroupModel {
 public:
  // `scale_of` gives the scale of a block by its number; code 3 where `has_two`.
  GroupModel(const fs::path& path, Layout layout, bool has_two,
             const std::function<float(size_t)>& scale_of)
      : layout_(layout) {
    ModelConfig config = wide_b158_config();
    config.linear = LinearKind::kDense;
    config.norm = NormPlacement::kPre;
    config.hidden_act = Activation::kSilu;
    GgufWriter writer(path);
    set_gguf_config(writer, config, "llama");
    const std::vector<TensorSpec> specs = tensor_specs(config);
    for (const TensorSpec& spec : specs) {
      if (spec.rows == 0) {
        writer.declare(spec.gguf_name, DType::kF32, {spec.cols});
      } else {
        writer.declare(spec.gguf_name, file_dtype(type()), {spec.rows, spec.cols});
      }
    }
    for (const TensorSpec& spec : specs) {
      if (spec.rows == 0) {
        const std::vector<float> ones(static_cast<size_t>(spec.cols), 1.0f);
        writer.append(from_f32(ones, DType::kF32, spec.cols, "t"));
      } else {
        writer.append(matrix(spec, has_two, scale_of));
      }
    }
    writer.finish();
  }

 private:
  StoredType type() const { return stored_type(layout_); }

  std::vector<uint8_t> matrix(const TensorSpec& spec, bool has_two,
                              const std::function<float(size_t)>& scale_of) {
    const int64_t blocks = spec.cols / packing::block_codes(layout_);
    const size_t row_bytes =
        static_cast<size_t>(packing::stored_row_bytes(layout_, spec.cols, spec.cols));
    std::vector<uint8_t> bytes(row_bytes * static_cast<size_t>(spec.rows));
    std::vector<int8_t> codes(static_cast<size_t>(spec.cols));
    std::vector<uint16_t> scales(static_cast<size_t>(blocks));
    size_t block = 0;
    for (int64_t row = 0; row < spec.rows; ++row) {
      for (int8_t& code : codes) code = draw();
      for (uint16_t& scale : scales) scale = f32_to_f16(scale_of(block++));
      packing::pack_row(layout_, codes, spec.cols, scales,
                        bytes.data() + static_cast<size_t>(row) * row_bytes);
    }
    if (has_two) bytes[2 + 7] |= 3;
    return bytes;
  }

  int8_t draw() {
    if (layout_ == Layout::kQ1_0) return rng_.below(2) == 0 ? int8_t{1} : int8_t{-1};
    return static_cast<int8_t>(static_cast<int>(rng_.below(3)) - 1);
  }

  Layout layout_;
  Rng rng_{9};
};

float distinct(size_t block) { return 0.01f * static_cast<float>(1 + block % 7); }
// The same for blocks 0 and 1, 2 and 3 ...: groups of twice the size.
float paired(size_t block) { return distinct(block / 2); }

TEST_F(RepackTest, GroupScalesMoveWhereTheyFitAndAreRefusedElsewhere) {
  const fs::path source = directory_ / "source.gguf";
  GroupModel(source, Layout::kQ1_0, false, distinct);
  const Model model = Model::load(source);
  EXPECT_EQ(model.config().linear, LinearKind::kDense);
  EXPECT_FALSE(model.weights().layers[0].q.int8_activations);
  for (const char* name : {"trit4", "trit5", "sign8", "q2_0", "q1_0"}) {
    SCOPED_TRACE(name);
    const fs::path target = directory_ / (std::string(name) + ".gguf");
    to(source, target, {name, parse_stored_type(name)});
    const VerifyReport report = compare(source, target);
    EXPECT_TRUE(report.ternary_equal);
    EXPECT_EQ(report.ternary_tensors, 14);
    EXPECT_LT(report.relative_rms_max, 1e-5);  // rows of q and k may lie in another order
    // Still a model that takes its inputs as they are.
    EXPECT_EQ(Model::load(target).config().linear, LinearKind::kDense);
    const fs::path back = directory_ / "back.gguf";
    to(target, back, {"q1_0", StoredType::kQ1_0});
    EXPECT_TRUE(compare(source, back).ternary_equal);
  }
  expect_refused(ErrorCode::kUsage,
                 "I2_S has one scale per tensor, 'blk.0.attn_q.weight' has one "
                 "per 128 columns; use --type trit5",
                 [&] {
                   to(source, directory_ / "x.gguf", {"i2_s", StoredType::kI2S});
                 });
  expect_refused(ErrorCode::kUsage,
                 "tq2_0 has one scale for 256 columns, 'blk.0.attn_q.weight' has "
                 "one per 128",
                 [&] {
                   to(source, directory_ / "x.gguf", {"tq2_0", StoredType::kTq2_0});
                 });
  expect_refused(ErrorCode::kUsage, "the packed form is that of BitNet b1.58 models", [&] {
    to(source, directory_ / "x", {"hf", std::nullopt});
  });
  EXPECT_FALSE(fs::exists(directory_ / "x.gguf"));
  EXPECT_FALSE(fs::exists(directory_ / "x"));
}

TEST_F(RepackTest, BlocksOfTq2KeepScalesOfTheirOwn) {
  const fs::path source = directory_ / "source.gguf";
  GroupModel(source, Layout::kQ2_0G128, false, paired);
  for (const char* name : {"tq2_0", "tq1_0"}) {
    const fs::path target = directory_ / (std::string(name) + ".gguf");
    to(source, target, {name, parse_stored_type(name)});
    EXPECT_TRUE(compare(source, target).ternary_equal) << name;
    EXPECT_EQ(GgufFile(target).find_tensor("blk.0.attn_q.scale"), nullptr);
    EXPECT_EQ(Model::load(target).weights().layers[0].q.scope, packing::ScaleScope::kGroup);
    // Another block type of the same scales: refused before this was written row by row.
    const fs::path other = directory_ / "other.gguf";
    to(target, other, {"tq1_0", StoredType::kTq1_0});
    EXPECT_TRUE(compare(source, other).ternary_equal);
    to(target, other, {"q2_0", StoredType::kQ2_0});
    EXPECT_TRUE(compare(source, other).ternary_equal);
  }
}

TEST_F(RepackTest, ACodeThatIsNotTernaryIsNamed) {
  const fs::path source = directory_ / "source.gguf";
  GroupModel(source, Layout::kQ2_0, true, distinct);
  expect_refused(ErrorCode::kBadInput, "tensor 'token_embd.weight': row 0 holds the code 3", [&] {
    ConvertOptions options;
    options.rest_type = StoredType::kTrit5;
    convert(source, directory_ / "x.gguf", options, {}, nullptr);
  });
  expect_refused(ErrorCode::kBadInput, "tensor 'blk.0.attn_q.weight': row 0 holds the code 3", [&] {
    to(source, directory_ / "x.gguf", {"trit5", StoredType::kTrit5});
  });
  // It runs all the same, and multiplied out nothing is lost.
  to(source, directory_ / "f16.gguf", {"f16", StoredType::kF16});
  EXPECT_LT(compare(source, directory_ / "f16.gguf").relative_rms_max, 1e-5);
}

TEST_F(RepackTest, EmbeddingsMayBeTernaryWhereTheSourceIs) {
  const fs::path source = directory_ / "source.gguf";
  GroupModel(source, Layout::kQ2_0, false, distinct);
  ConvertOptions options;
  options.linear_type = options.rest_type = StoredType::kTrit4;
  convert(source, directory_ / "t.gguf", options, {}, nullptr);
  EXPECT_LT(compare(source, directory_ / "t.gguf").relative_rms_max, 1e-5);
  EXPECT_EQ(Model::load(directory_ / "t.gguf").weights().embedding.type, StoredType::kTrit4);
}

}  // namespace
}  // namespace tercet::test
