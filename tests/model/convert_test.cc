// SPDX-License-Identifier: Apache-2.0
#include "model/convert.h"

#include <gtest/gtest.h>

#include <functional>

#include "core/error.h"
#include "core/file.h"
#include "formats/gguf.h"
#include "model/test_models.h"
#include "model/verify.h"
#include "tokenizer/trainer.h"

namespace tercet::test {
namespace {

namespace fs = std::filesystem;

class ConvertTest : public ::testing::Test {
 protected:
  // Writes an HF directory of random weights and returns its path.
  fs::path make(const ModelConfig& config, const std::string& name = "model") {
    write_hf_model(directory_ / name, config, random_weights(config, 21));
    return directory_ / name;
  }

  ConvertReport to(const fs::path& source, const std::string& target,
                   std::optional<StoredType> linear = {}, std::optional<StoredType> rest = {}) {
    ConvertOptions options;
    options.linear_type = linear;
    options.rest_type = rest;
    return convert(source, directory_ / target, options, {}, nullptr);
  }

  std::vector<float> logits(const fs::path& path) {
    const Model model = Model::load(path);
    return logits_of(model, random_tokens(model.config(), 24, 9), pool_);
  }

  std::string bytes(const std::string& name) { return read_text_file(directory_ / name, 1u << 26); }

  void expect_error(ErrorCode code, const std::string& text, const std::function<void()>& action) {
    try {
      action();
      ADD_FAILURE() << "no error; expected one with: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  }

  testing::TemporaryDirectory directory_;
  ThreadPool pool_{2};
};

// Variants of BitNet go where they can be said, and lose nothing on the way there and back.
TEST_F(ConvertTest, VariantsOfBitnetGoIntoOwnFiles) {
  ModelConfig ternary = wide_b158_config();
  ternary.variants = {.activation_bits = 4, .hadamard = true};
  const fs::path source = make(ternary, "ternary");
  const std::vector<float> expected = logits(source);
  EXPECT_EQ(to(source, "tq2.gguf", {}, StoredType::kF32).linear_type, StoredType::kTq2_0);
  for (const StoredType type : {StoredType::kTrit5, StoredType::kTq1_0}) {
    EXPECT_EQ(to(directory_ / "tq2.gguf", "own.gguf", type, StoredType::kF32).architecture,
              "tercet");
    EXPECT_EQ(logits(directory_ / "own.gguf"), expected) << to_string(type);
  }
  for (const StoredType type : {StoredType::kF16, StoredType::kQ8_0, StoredType::kI2S}) {
    expect_error(ErrorCode::kUsage, "--type tq2_0, tq1_0", [&] { to(source, "x.gguf", type); });
  }
  ConvertOptions hf;
  hf.to_hf = true;
  expect_error(ErrorCode::kUsage, "an HF directory cannot",
               [&] { convert(source, directory_ / "hf", hf, {}, nullptr); });

  ModelConfig binary = tiny_config();
  binary.linear = LinearKind::kB1;
  binary.norm = NormPlacement::kInsidePlain;
  binary.variants = {.quant_groups = 4, .shifted_gate_input = true};
  const fs::path groups = make(binary, "groups");
  EXPECT_EQ(to(groups, "sign8.gguf", {}, StoredType::kF32).linear_type, StoredType::kSign8);
  const ConvertReport trits =
      to(directory_ / "sign8.gguf", "trit4.gguf", StoredType::kTrit4, StoredType::kF32);
  EXPECT_EQ(trits.architecture, "tercet");
  EXPECT_EQ(logits(directory_ / "sign8.gguf"), logits(groups));
  EXPECT_EQ(logits(directory_ / "trit4.gguf"), logits(groups));
  expect_error(ErrorCode::kUsage, "--type sign8",
               [&] { to(groups, "x.gguf", StoredType::kTq2_0); });
}

// Scales that all groups share stay one for each: the inputs have one for each too.
TEST_F(ConvertTest, EqualScalesOfGroupsStayGroups) {
  ModelConfig config = tiny_config();
  config.linear = LinearKind::kB1;
  config.norm = NormPlacement::kInsidePlain;
  config.variants.quant_groups = 2;
  FloatWeights weights = random_weights(config, 21);
  for (auto& [name, values] : weights) {
    if (!name.ends_with("_proj.weight")) continue;
    for (float& value : values) value = value > 0 ? 0.5f : -0.5f;
  }
  write_hf_model(directory_ / "model", config, weights);
  to(directory_ / "model", "a.gguf", {}, StoredType::kF32);
  to(directory_ / "a.gguf", "b.gguf", StoredType::kTrit5, StoredType::kF32);
  EXPECT_EQ(logits(directory_ / "b.gguf"), logits(directory_ / "model"));
}

// A file without the scales that the inputs' groups need, or with maps that take no int8.
TEST_F(ConvertTest, WeightsThatDoNotFitTheVariantsAreRefused) {
  ModelConfig config = tiny_config();
  config.linear = LinearKind::kB1;
  config.norm = NormPlacement::kInsidePlain;
  to(make(config), "plain.gguf", StoredType::kSign8, StoredType::kF32);
  const GgufFile plain(directory_ / "plain.gguf");
  const auto rewrite = [&](const std::string& key, const GgufValue& value) {
    GgufWriter writer(directory_ / "changed.gguf");
    for (const auto& [name, old] : plain.metadata()) writer.set(name, old);
    writer.set(key, value);
    for (const TensorView& tensor : plain.tensors()) {
      writer.declare(tensor.name, tensor.type, tensor.shape);
    }
    for (const TensorView& tensor : plain.tensors()) writer.write_next(tensor.bytes);
    writer.finish();
  };
  rewrite("tercet.quant_groups", GgufValue::u32(2));
  expect_error(ErrorCode::kBadInput, "has no scale for each 32 columns",
               [&] { Model::load(directory_ / "changed.gguf"); });
}

TEST_F(ConvertTest, EveryTernaryLayoutGivesTheSameLogits) {
  const fs::path source = make(wide_b158_config());
  const std::vector<float> expected = logits(source);
  for (const StoredType type :
       {StoredType::kTq1_0, StoredType::kTq2_0, StoredType::kTrit4, StoredType::kTrit5}) {
    const ConvertReport report = to(source, "m.gguf", type, StoredType::kF32);
    EXPECT_EQ(report.linear_type, type);
    EXPECT_EQ(report.architecture, is_own(type) ? "tercet" : "bitnet-b1.58");
    EXPECT_EQ(logits(directory_ / "m.gguf"), expected) << to_string(type);
    const VerifyReport verified = verify(source, directory_ / "m.gguf", select_kernels(""), pool_);
    EXPECT_TRUE(verified.ternary_equal);
    EXPECT_EQ(verified.ternary_tensors, 14);
    EXPECT_EQ(verified.relative_rms_max, 0);
    EXPECT_EQ(verified.top1_agreement, 1);
  }
}

TEST_F(ConvertTest, RepackingAroundTheCircleGivesTheFirstFileAgain) {
  const fs::path source = make(wide_b158_config());
  to(source, "a.gguf", StoredType::kTrit5);
  to(directory_ / "a.gguf", "b.gguf", StoredType::kTq1_0);
  to(directory_ / "b.gguf", "c.gguf", StoredType::kTrit4);
  to(directory_ / "c.gguf", "d.gguf", StoredType::kTq2_0);
  to(directory_ / "d.gguf", "e.gguf", StoredType::kTrit5);
  EXPECT_NE(bytes("a.gguf"), bytes("b.gguf"));
  EXPECT_EQ(bytes("a.gguf"), bytes("e.gguf"));
}

TEST_F(ConvertTest, ChoosesALayoutThatFits) {
  EXPECT_EQ(to(make(wide_b158_config(), "wide"), "w.gguf").linear_type, StoredType::kTq2_0);
  const ConvertReport narrow = to(make(tiny_b158_config(), "narrow"), "n.gguf");
  EXPECT_EQ(narrow.linear_type, StoredType::kTrit5);
  EXPECT_EQ(narrow.rest_type, StoredType::kF16);
  EXPECT_EQ(to(make(tiny_config(), "dense"), "d.gguf").linear_type, StoredType::kF16);
}

TEST_F(ConvertTest, CountsEveryStoredBit) {
  const ModelConfig config = tiny_b158_config();
  const ConvertReport report = to(make(config), "m.gguf", StoredType::kTrit4, StoredType::kF16);
  const GgufFile file(directory_ / "m.gguf");
  double linear_bits = 0;
  double all_bits = 0;
  for (const TensorView& tensor : file.tensors()) {
    const double bits = 8.0 * static_cast<double>(tensor.bytes.size());
    all_bits += bits;
    if (tensor.type == DType::kI8) linear_bits += bits;
  }
  EXPECT_DOUBLE_EQ(report.linear_bits_per_weight,
                   linear_bits / static_cast<double>(config.linear_parameter_count()));
  EXPECT_DOUBLE_EQ(report.model_bits_per_weight,
                   all_bits / static_cast<double>(config.parameter_count()));
  EXPECT_EQ(report.tensors, static_cast<int64_t>(file.tensors().size()));
  EXPECT_EQ(report.bytes, file.file_bytes());
}

TEST_F(ConvertTest, EmbeddingAndHeadHaveTypesOfTheirOwn) {
  ModelConfig config = wide_b158_config();
  config.tie_word_embeddings = false;
  ConvertOptions options;
  options.rest_type = StoredType::kQ6_K;
  options.embedding_type = StoredType::kQ8_0;
  const fs::path source = make(config);
  const ConvertReport report = convert(source, directory_ / "m.gguf", options, {}, nullptr);
  EXPECT_EQ(report.embedding_type, StoredType::kQ8_0);
  const GgufFile file(directory_ / "m.gguf");
  EXPECT_EQ(file.tensor("token_embd.weight").type, DType::kQ8_0);
  EXPECT_EQ(file.tensor("output.weight").type, DType::kQ6_K);
  EXPECT_EQ(find_fault(verify(source, directory_ / "m.gguf", select_kernels(""), pool_)), "");
  config.tie_word_embeddings = true;
  const fs::path tied = make(config, "tied");
  expect_error(ErrorCode::kUsage, "one matrix",
               [&] { convert(tied, directory_ / "t.gguf", options, {}, nullptr); });
  options.embedding_type.reset();
  EXPECT_EQ(convert(tied, directory_ / "t.gguf", options, {}, nullptr).embedding_type,
            StoredType::kQ6_K);
  expect_error(ErrorCode::kUsage, "multiple of 256", [&] {
    to(make(tiny_b158_config(), "tiny"), "n.gguf", StoredType::kTrit5, StoredType::kQ6_K);
  });
}

TEST_F(ConvertTest, NormPlacementsSurvive) {
  for (const NormPlacement norm : {NormPlacement::kPre, NormPlacement::kInside}) {
    ModelConfig config = tiny_b158_config();
    config.norm = norm;
    config.hidden_act = Activation::kSilu;
    config.tie_word_embeddings = false;
    const std::string name = to_string(norm);
    const fs::path source = make(config, name);
    to(source, name + ".gguf", StoredType::kTrit5, StoredType::kF32);
    EXPECT_EQ(logits(directory_ / (name + ".gguf")), logits(source)) << name;
  }
}

// Rotating neighbours instead of halves sums q k in another order, so not bit for bit.
TEST_F(ConvertTest, DenseModelsBecomeLlamaFiles) {
  ModelConfig config = tiny_config();
  config.intermediate_size = 192;
  const fs::path source = make(config);
  const std::vector<std::pair<StoredType, double>> types = {{StoredType::kF32, 1e-5},
                                                            {StoredType::kF16, 2e-3},
                                                            {StoredType::kBF16, 2e-2},
                                                            {StoredType::kQ8_0, 0.1}};
  for (const auto& [type, tolerance] : types) {
    EXPECT_EQ(to(source, "m.gguf", type).architecture, "llama");
    const VerifyReport report = verify(source, directory_ / "m.gguf", select_kernels(""), pool_);
    EXPECT_LT(report.relative_rms_max, tolerance) << to_string(type);
    EXPECT_EQ(report.ternary_tensors, 0);
  }
}

TEST_F(ConvertTest, LlamaFilesHoldQueryRowsInAdjacentOrder) {
  const ModelConfig config = tiny_config();
  const FloatWeights weights = random_weights(config, 21);
  to(make(config), "m.gguf", StoredType::kF32);
  const GgufFile file(directory_ / "m.gguf");
  const std::vector<float> q = to_f32(file.tensor("blk.0.attn_q.weight"));
  const std::vector<float>& hf = weights.at("model.layers.0.self_attn.q_proj.weight");
  // Row 1 of a head of 16 is the partner of row 0: row 8 of the checkpoint.
  EXPECT_EQ(std::vector<float>(q.begin() + 64, q.begin() + 128),
            std::vector<float>(hf.begin() + 8 * 64, hf.begin() + 9 * 64));
  const std::vector<float> v = to_f32(file.tensor("blk.0.attn_v.weight"));
  EXPECT_EQ(v, weights.at("model.layers.0.self_attn.v_proj.weight"));
}

TEST_F(ConvertTest, DenseBytesOfTheSameTypeMoveUnchanged) {
  ModelConfig config = tiny_config();
  config.intermediate_size = 192;
  to(make(config), "a.gguf", StoredType::kQ8_0);
  to(directory_ / "a.gguf", "b.gguf", StoredType::kQ8_0);
  EXPECT_EQ(bytes("a.gguf"), bytes("b.gguf"));
}

TEST_F(ConvertTest, TernaryWeightsMultipliedOutAreADenseModel) {
  const fs::path source = make(wide_b158_config());
  to(source, "t.gguf", StoredType::kTrit5, StoredType::kF32);
  to(directory_ / "t.gguf", "a.gguf", StoredType::kF32);
  to(source, "b.gguf", StoredType::kF32);
  EXPECT_EQ(bytes("a.gguf"), bytes("b.gguf"));
  const Model model = Model::load(directory_ / "a.gguf");
  EXPECT_EQ(model.config().linear, LinearKind::kDense);
  const VerifyReport report = verify(source, directory_ / "a.gguf", select_kernels(""), pool_);
  // What differs is the rounding of the activations to int8.
  EXPECT_LT(report.relative_rms_median, 0.1);
  EXPECT_GT(report.relative_rms_median, 0);
}

TEST_F(ConvertTest, SaysWhatToUseInsteadOfATypeThatDoesNotFit) {
  const fs::path ternary = make(tiny_b158_config(), "ternary");
  const fs::path dense = make(tiny_config(), "dense");
  expect_error(ErrorCode::kUsage,
               "TQ2_0 needs rows of a multiple of 256, 'blk.0.attn_q.weight' has 64 columns; use "
               "--type trit5",
               [&] { to(ternary, "x.gguf", StoredType::kTq2_0); });
  expect_error(ErrorCode::kUsage, "'blk.0.ffn_down.weight' has 172 columns; use --type f16",
               [&] { to(dense, "x.gguf", StoredType::kQ8_0); });
  expect_error(ErrorCode::kUsage, "tercet pretrain",
               [&] { to(dense, "x.gguf", StoredType::kTrit5); });
  expect_error(ErrorCode::kUsage, "trit5 cannot hold 'token_embd.weight'",
               [&] { to(ternary, "x.gguf", StoredType::kTrit5, StoredType::kTrit5); });
  to(dense, "dense.gguf");
  expect_error(ErrorCode::kUsage, "tercet pretrain",
               [&] { to(directory_ / "dense.gguf", "x.gguf", StoredType::kTq1_0); });
  EXPECT_FALSE(fs::exists(directory_ / "x.gguf"));
}

TEST_F(ConvertTest, RefusesTargetsItWouldDestroy) {
  const fs::path source = make(tiny_b158_config());
  to(source, "m.gguf");
  expect_error(ErrorCode::kUsage, "is the source itself",
               [&] { to(directory_ / "m.gguf", "m.gguf", StoredType::kTrit4); });
  expect_error(ErrorCode::kUsage, "is a directory", [&] { to(source, "model"); });
  expect_error(ErrorCode::kIo, "absent", [&] { to(source, "absent/m.gguf"); });
  // The weights inside the source directory, and any file that is no earlier result.
  const std::string weights = bytes("model/model.safetensors");
  expect_error(ErrorCode::kUsage, "is no GGUF file",
               [&] { to(source, "model/model.safetensors"); });
  EXPECT_EQ(bytes("model/model.safetensors"), weights);
}

TEST_F(ConvertTest, StopsBetweenTensorsAndLeavesTheOldFile) {
  const fs::path source = make(tiny_b158_config());
  to(source, "m.gguf", StoredType::kTrit4);
  const std::string before = bytes("m.gguf");
  std::atomic<bool> stop{false};
  int64_t seen = 0;
  const auto progress = [&](int64_t done, int64_t total, std::string_view name) {
    EXPECT_EQ(done, ++seen);
    EXPECT_EQ(total, static_cast<int64_t>(tensor_specs(tiny_b158_config()).size()));
    EXPECT_FALSE(name.empty());
    stop = done == 3;
  };
  expect_error(ErrorCode::kInterrupted, "stopped after 3", [&] {
    ConvertOptions options;
    options.linear_type = StoredType::kTrit5;
    convert(source, directory_ / "m.gguf", options, progress, &stop);
  });
  EXPECT_EQ(seen, 3);
  EXPECT_EQ(bytes("m.gguf"), before);
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_.path()), {}), 2);
}

TEST_F(ConvertTest, TakesTheTokenizerAlong) {
  ModelConfig config = tiny_b158_config();
  config.vocab_size = 300;
  const fs::path source = make(config);
  EXPECT_NE(to(source, "without.gguf").tokenizer_note.find("nor tokenizer.model"),
            std::string::npos);

  TrainerOptions options;
  options.vocab_size = 290;
  bool given = false;
  const TextSource corpus = [&](std::string& text) {
    if (given) return false;
    for (int i = 0; i < 50; ++i) text += "the quick brown fox jumps over the lazy dog\n";
    return given = true;
  };
  train_tokenizer(corpus, options, source);
  EXPECT_EQ(to(source, "a.gguf", StoredType::kTrit5).tokenizer_note, "");
  EXPECT_EQ(to(directory_ / "a.gguf", "b.gguf", StoredType::kTrit5).tokenizer_note, "");
  EXPECT_EQ(bytes("a.gguf"), bytes("b.gguf"));
  const Model hf = Model::load(source);
  const Model gguf = Model::load(directory_ / "b.gguf");
  ASSERT_NE(hf.tokenizer(), nullptr);
  ASSERT_NE(gguf.tokenizer(), nullptr);
  const std::string text = "the lazy fox, été";
  EXPECT_EQ(gguf.tokenizer()->encode(text), hf.tokenizer()->encode(text));
  EXPECT_EQ(gguf.config(), config);

  ConvertOptions to_directory;
  to_directory.to_hf = true;
  to_directory.packed = true;
  const ConvertReport report =
      convert(directory_ / "b.gguf", directory_ / "back", to_directory, {}, nullptr);
  EXPECT_EQ(report.tokenizer_note, "");
  EXPECT_TRUE(fs::exists(directory_ / "back" / "tokenizer.json"));
  const Model back = Model::load(directory_ / "back");
  ASSERT_NE(back.tokenizer(), nullptr);
  EXPECT_EQ(back.tokenizer()->encode(text), hf.tokenizer()->encode(text));

  ModelConfig small = config;
  small.vocab_size = 280;
  write_hf_model(source, small, random_weights(small, 1));
  expect_error(ErrorCode::kBadInput, "290 pieces, the model only 280",
               [&] { Model::load(source); });
}

}  // namespace
}  // namespace tercet::test
