// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/error.h"
#include "core/file.h"
#include "core/rng.h"
#include "model/convert.h"
#include "model/forward.h"
#include "model/info.h"
#include "model/test_models.h"

namespace tercet::test {
namespace {

namespace fs = std::filesystem;

// The one-line message of the Error that loading gives.
std::string load_error(const fs::path& path, ErrorCode code) {
  try {
    Model::load(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "no error";
}

void expect_text(const std::string& message, const std::string& text) {
  EXPECT_NE(message.find(text), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

TEST(LoadTest, SaysWhatAModelIsWhenGivenSomethingElse) {
  const testing::TemporaryDirectory directory;
  expect_text(load_error(directory / "absent.gguf", ErrorCode::kIo), "absent.gguf' does not exist");
  expect_text(load_error(directory.path(), ErrorCode::kBadInput), "holds no config.json");
  write_text_file(directory / "notes.txt", "dear diary");
  expect_text(load_error(directory / "notes.txt", ErrorCode::kBadInput), "is not a GGUF file");
  write_text_file(directory / "short", "GG");
  expect_text(load_error(directory / "short", ErrorCode::kBadInput), "is not a GGUF file");
}

TEST(LoadTest, NamesTheLatentWeightThatIsNoNumber) {
  const testing::TemporaryDirectory directory;
  const ModelConfig config = tiny_b158_config();
  FloatWeights weights = random_weights(config, 1);
  weights["model.layers.1.mlp.up_proj.weight"][5] = NAN;
  write_hf_model(directory / "model", config, weights);
  expect_text(load_error(directory / "model", ErrorCode::kBadInput), "layers.1.mlp.up_proj");
}

TEST(LoadTest, SaysWhyThereIsNoTokenizer) {
  const testing::TemporaryDirectory directory;
  write_hf_model(directory / "model", tiny_config(), random_weights(tiny_config(), 1));
  const Model model = Model::load(directory / "model");
  EXPECT_EQ(model.tokenizer(), nullptr);
  expect_text(model.tokenizer_note(), "nor tokenizer.model");
  // One that is not read does not bar the model.
  write_text_file(directory / "model" / "tokenizer.json", R"({"model": {"type": "Unigram"}})");
  expect_text(Model::load(directory / "model").tokenizer_note(), "'Unigram' is not supported");
}

TEST(LoadTest, LatentWeightsBecomeTernaryInMemory) {
  const testing::TemporaryDirectory directory;
  write_hf_model(directory / "model", tiny_b158_config(), random_weights(tiny_b158_config(), 1));
  const Model model = Model::load(directory / "model");
  EXPECT_EQ(model.weights().layers[1].down.type, StoredType::kTrit4);
  EXPECT_EQ(model.weights().embedding.type, StoredType::kF32);
  EXPECT_EQ(model.weights().head.data.data(), model.weights().embedding.data.data());
}

TEST(LoadTest, DescribesWhatIsStoredAndWhatRunningTakes) {
  const testing::TemporaryDirectory directory;
  const ModelConfig config = wide_b158_config();
  write_hf_model(directory / "model", config, random_weights(config, 1));
  convert(directory / "model", directory / "m.gguf", {}, {}, nullptr);
  const ModelInfo info = describe(Model::load(directory / "m.gguf"));
  EXPECT_EQ(info.format, "gguf");
  EXPECT_EQ(info.architecture, "bitnet-b1.58");
  EXPECT_EQ(info.name, "model");
  EXPECT_EQ(info.config, config);
  EXPECT_EQ(info.tensors.size(), tensor_specs(config).size());
  EXPECT_EQ(info.parameters, config.parameter_count());
  // Blocks of 66 bytes for 256 weights, and an f32 scale for each of 14 matrices.
  const double scale_bits = 14.0 * 32 / static_cast<double>(config.linear_parameter_count());
  EXPECT_NEAR(info.linear_bits_per_weight, 2.0625 + scale_bits, 1e-12);
  EXPECT_GT(info.model_bits_per_weight, info.linear_bits_per_weight);
  EXPECT_EQ(info.kv_cache_bytes, 2u * 2 * 2 * 32 * 128 * 2);
  EXPECT_EQ(info.tensors[0].type, "f16");
  EXPECT_EQ(info.file_bytes, fs::file_size(directory / "m.gguf"));

  const ModelInfo latent = describe(Model::load(directory / "model"));
  EXPECT_EQ(latent.format, "hf");
  EXPECT_EQ(latent.linear_bits_per_weight, 32.0);
  EXPECT_LT(latent.weight_bytes, latent.file_bytes);
}

class DamagedGguf : public ::testing::TestWithParam<StoredType> {
 protected:
  DamagedGguf() {
    ModelConfig config = wide_b158_config();
    config.num_hidden_layers = 1;
    config.intermediate_size = 256;
    write_hf_model(directory_ / "model", config, random_weights(config, 1));
    convert(directory_ / "model", directory_ / "good.gguf", {GetParam(), {}}, {}, nullptr);
    good_ = read_text_file(directory_ / "good.gguf", 1u << 24);
  }

  // Writes without flushing to the disk, hundreds of times.
  fs::path write(const std::string& bytes) {
    const fs::path path = directory_ / "damaged.gguf";
    FILE* file = std::fopen(path.c_str(), "wb");
    EXPECT_EQ(std::fwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
    std::fclose(file);
    return path;
  }

  testing::TemporaryDirectory directory_;
  std::string good_;
};

TEST_P(DamagedGguf, CutAnywhereIsRefusedByName) {
  for (size_t i = 0; i < 60; ++i) {
    const size_t length = good_.size() * i / 60;
    try {
      Model::load(write(good_.substr(0, length)));
      ADD_FAILURE() << "loaded from " << length << " bytes";
    } catch (const Error& error) {
      expect_text(error.what(), "damaged.gguf");
    }
  }
}

// A flipped bit is refused, or gives a model that runs: never a crash.
TEST_P(DamagedGguf, FlippedBytesAreRefusedOrHarmless) {
  Rng rng(13);
  ThreadPool pool(1);
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string bytes = good_;
    // Most of the flips go to the header, where they can do harm.
    const uint64_t range = i % 4 == 0 ? bytes.size() : 4096;
    bytes[rng.below(range)] ^= static_cast<char>(1u << rng.below(8));
    try {
      const Model model = Model::load(write(bytes));
      const std::vector<int32_t> tokens = random_tokens(
          model.config(), std::min<int64_t>(3, model.config().max_position_embeddings), 1);
      logits_of(model, tokens, pool);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 20);
}

// The kernels would run on them without a word.
TEST(LoadTest, BlocksThatHoldNoCodesAreRefusedByName) {
  const testing::TemporaryDirectory directory;
  const ModelConfig config = wide_b158_config();
  write_hf_model(directory / "model", config, random_weights(config, 1));
  for (const StoredType type : {StoredType::kTq1_0, StoredType::kTq2_0}) {
    const fs::path path = directory / (std::string(to_string(type)) + ".gguf");
    convert(directory / "model", path, {type, {}}, {}, nullptr);
    std::string bytes = read_text_file(path, 1u << 24);
    const Model model = Model::load(path);
    const auto data = model.weights().layers[1].down.data;
    const std::string blocks(data.begin(), data.end());
    const size_t at = bytes.find(blocks);
    ASSERT_NE(at, std::string::npos);
    bytes[at + blocks.size() - 3] = type == StoredType::kTq1_0 ? '\x01' : '\x03';
    write_text_file(path, bytes);
    const std::string message = load_error(path, ErrorCode::kBadInput);
    expect_text(message, "blk.1.ffn_down.weight");
    expect_text(message, "stands for no ternary codes");
  }
}

INSTANTIATE_TEST_SUITE_P(All, DamagedGguf, ::testing::Values(StoredType::kTrit5, StoredType::kTq2_0));

}  // namespace
}  // namespace tercet::test
