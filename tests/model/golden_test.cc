// SPDX-License-Identifier: Apache-2.0
// Logits of the tiny models in tests/golden/models against those that transformers computed, see
// scripts/make_goldens.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "core/error.h"
#include "core/file.h"
#include "formats/gguf.h"
#include "formats/hf_model.h"
#include "formats/json.h"
#include "formats/json_fields.h"
#include "formats/safetensors.h"
#include "model/convert.h"
#include "model/forward.h"
#include "model/test_models.h"

namespace tercet::test {
namespace {

namespace fs = std::filesystem;

constexpr double kTolerance = 1e-4;
constexpr const char* kModels = TERCET_SOURCE_DIR "/tests/golden/models";

struct Golden {
  std::vector<int32_t> ids;
  std::vector<int64_t> positions;
  std::vector<float> logits;  // [positions, vocab]
};

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kModels)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Golden read_golden(const fs::path& directory) {
  Golden out;
  const Json json = read_json_file(directory / "golden.json");
  const JsonFields fields(json, "golden.json");
  for (const int64_t id : fields.integers_or("ids", {})) {
    out.ids.push_back(static_cast<int32_t>(id));
  }
  out.positions = fields.integers_or("positions", {});
  const SafetensorsFile file(directory / "golden.safetensors");
  out.logits = to_f32(*file.find_tensor("logits"));
  return out;
}

// The rows of `logits` ([tokens, vocab]) that the golden file keeps.
std::vector<float> kept_rows(const Golden& golden, const std::vector<float>& logits) {
  const size_t vocab = logits.size() / golden.ids.size();
  std::vector<float> out;
  for (const int64_t position : golden.positions) {
    const auto begin = logits.begin() + position * static_cast<int64_t>(vocab);
    out.insert(out.end(), begin, begin + static_cast<int64_t>(vocab));
  }
  return out;
}

void expect_close(const Golden& golden, const std::vector<float>& logits, double tolerance,
                  const std::string& what) {
  const std::vector<float> rows = kept_rows(golden, logits);
  ASSERT_EQ(rows.size(), golden.logits.size()) << what;
  const std::vector<double> reference(golden.logits.begin(), golden.logits.end());
  const int64_t vocab = static_cast<int64_t>(rows.size() / golden.positions.size());
  const std::vector<double> errors = relative_rms_rows(reference, rows, vocab);
  for (size_t i = 0; i < errors.size(); ++i) {
    EXPECT_LT(errors[i], tolerance) << what << ", position " << golden.positions[i];
  }
  double largest = 0;
  double farthest = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    largest = std::max(largest, std::abs(reference[i]));
    farthest = std::max(farthest, std::abs(reference[i] - static_cast<double>(rows[i])));
  }
  EXPECT_LT(farthest, tolerance * largest) << what << ", largest difference";
}

class GoldenTest : public ::testing::TestWithParam<std::string> {
 protected:
  fs::path directory() const { return fs::path(kModels) / GetParam(); }

  std::vector<float> logits_at(const fs::path& path, const Golden& golden, int64_t chunk = 64) {
    return logits_of(Model::load(path), golden.ids, pool_, chunk);
  }

  ThreadPool pool_{2};
};

TEST_P(GoldenTest, DirectoryGivesTheLogitsOfTransformers) {
  const Golden golden = read_golden(directory());
  expect_close(golden, logits_at(directory(), golden), kTolerance, GetParam());
}

TEST_P(GoldenTest, LogitsDoNotDependOnHowTheSequenceIsCut) {
  const Golden golden = read_golden(directory());
  const std::vector<float> whole = logits_at(directory(), golden);
  EXPECT_EQ(logits_at(directory(), golden, 7), whole);
  EXPECT_EQ(logits_at(directory(), golden, 1), whole);
}

// Permuted rows and biases, offsets of norms, computed rotary factors and every metadata key.
TEST_P(GoldenTest, ConvertedFilesGiveTheSameLogits) {
  const Golden golden = read_golden(directory());
  const testing::TemporaryDirectory target;
  const bool dense = Model::load(directory()).config().linear == LinearKind::kDense;
  std::vector<StoredType> types = {StoredType::kF32, StoredType::kF16};
  if (!dense) types = {StoredType::kTrit4, StoredType::kTrit5};
  if (GetParam().ends_with("-wide")) {
    types.insert(types.end(), {StoredType::kTq1_0, StoredType::kTq2_0, StoredType::kI2S});
  }
  for (const StoredType type : types) {
    const fs::path path = target / "model.gguf";
    ConvertOptions options;
    options.linear_type = type;
    options.rest_type = type == StoredType::kF16 ? type : StoredType::kF32;
    const ConvertReport report = convert(directory(), path, options, {}, nullptr);
    // The smallest bf16 weights are no f16 values.
    const double tolerance = type == StoredType::kF16 ? 10 * kTolerance : kTolerance;
    expect_close(golden, logits_at(path, golden), tolerance,
                 GetParam() + " as " + report.architecture + " in " + to_string(type));
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenTest, ::testing::ValuesIn(model_names()),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Ternary maps packed, those that stay dense as floats, also from a GGUF file.
TEST(GoldenModels, DenseMapsAmongTernaryOnesSurvive) {
  ThreadPool pool(2);
  for (const char* name : {"llama-packed-kept", "qwen2-packed-kept", "bitnet-latent-kept"}) {
    const fs::path directory = fs::path(kModels) / name;
    const Golden golden = read_golden(directory);
    const ModelConfig config = Model::load(directory).config();
    EXPECT_EQ(config.dense_maps.size(), 6U) << name;
    const testing::TemporaryDirectory target;
    ConvertOptions to_gguf;
    to_gguf.linear_type = StoredType::kTrit5;
    to_gguf.rest_type = StoredType::kF32;
    convert(directory, target / "model.gguf", to_gguf, {}, nullptr);
    EXPECT_EQ(Model::load(target / "model.gguf").config(), config) << name;
    ConvertOptions to_hf;
    to_hf.to_hf = true;
    to_hf.packed = true;
    to_hf.linear_type = to_hf.rest_type = StoredType::kF32;
    for (const fs::path& source : {directory, target / "model.gguf"}) {
      const fs::path written = target / source.stem();
      convert(source, written, to_hf, {}, nullptr);
      EXPECT_EQ(HfModel(written).config(), config) << name;
      expect_close(golden, logits_of(Model::load(written), golden.ids, pool), kTolerance,
                   written.string());
    }
  }
}

// The same tensors under the names, and the same settings in the place, of a model that also sees.
TEST(GoldenModels, TextHalfOfAMultimodalGemma3) {
  const fs::path source = fs::path(kModels) / "gemma3";
  const Golden golden = read_golden(source);
  const testing::TemporaryDirectory target;
  Json text = read_json_file(source / "config.json");
  const Json whole = {{"model_type", "gemma3"},
                      {"bos_token_id", text.at("bos_token_id")},
                      {"eos_token_id", text.at("eos_token_id")},
                      {"text_config", text}};
  write_text_file(target / "config.json", whole.dump());
  const SafetensorsFile file(source / "model.safetensors");
  std::vector<TensorView> tensors(file.tensors().begin(), file.tensors().end());
  for (TensorView& tensor : tensors) tensor.name.replace(0, 6, "model.language_model.");
  write_safetensors(target / "model.safetensors", tensors, {{"format", "pt"}});
  ThreadPool pool(2);
  const Model model = Model::load(target.path());
  expect_close(golden, logits_of(model, golden.ids, pool), kTolerance, "gemma3");
  EXPECT_EQ(model.config(), Model::load(source).config());
}

TEST(GoldenModels, RefusesRotaryFactorsThatAreNotPositive) {
  const testing::TemporaryDirectory target;
  const fs::path path = target / "model.gguf";
  ConvertOptions options;
  options.linear_type = StoredType::kF32;
  convert(fs::path(kModels) / "llama-llama3", path, options, {}, nullptr);
  const auto bytes_before_end = [&] {
    const GgufFile file(path);
    const std::span<const uint8_t> last = file.tensors().back().bytes;
    return last.data() + last.size() - file.tensor("rope_freqs.weight").bytes.data();
  }();
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(-bytes_before_end, std::ios::end);
  file.write("\0\0\0\0", 4);
  file.close();
  try {
    Model::load(path);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_NE(std::string(error.what()).find("rotary frequency factor"), std::string::npos);
  }
}

struct Change {
  const char* model;
  const char* pointer;  // into config.json
  Json value;
};

// The golden models would not prove a setting that they do not depend on.
TEST(GoldenModels, EverySettingMatters) {
  const std::vector<Change> changes = {
      {"llama", "/rope_theta", 10000.0},
      {"llama", "/rms_norm_eps", 1e-3},
      {"llama-bias", "/attention_bias", false},
      {"llama-bias", "/mlp_bias", false},
      {"llama-linear", "/rope_scaling/factor", 4.1},
      {"llama-llama3", "/rope_scaling/factor", 8.5},
      {"llama-llama3", "/rope_scaling/low_freq_factor", 1.2},
      {"llama-llama3", "/rope_scaling/high_freq_factor", 3.5},
      {"llama-llama3", "/rope_scaling/original_max_position_embeddings", 30},
      {"llama-yarn", "/rope_scaling/factor", 4.1},
      {"llama-yarn", "/rope_scaling/original_max_position_embeddings", 64},
      {"llama-yarn-all", "/rope_parameters/beta_fast", 4.0},
      {"llama-yarn-all", "/rope_parameters/beta_slow", 1.0},
      {"llama-yarn-all", "/rope_parameters/truncate", true},
      {"llama-yarn-all", "/rope_parameters/mscale", 0.8},
      {"llama-yarn-all", "/rope_parameters/mscale_all_dim", 0.5},
      {"llama-yarn-all", "/rope_parameters/attention_factor", 1.0},
      {"llama-partial", "/partial_rotary_factor", 1.0},
      {"mistral", "/sliding_window", 19},
      {"mistral", "/sliding_window", 21},
      {"qwen2-windows", "/max_window_layers", 0},
      {"qwen2-windows", "/use_sliding_window", false},
      {"gemma3", "/query_pre_attn_scalar", 25},
      {"gemma3", "/sliding_window", 17},
      {"gemma3", "/sliding_window_pattern", 5},
      {"gemma3", "/rope_local_base_freq", 9000.0},
      {"gemma3", "/rope_theta", 9e5},
      {"gemma3", "/rope_scaling/factor", 7.0},
      {"gemma3", "/hidden_activation", "silu"},
      {"gemma3-odd", "/attention_bias", false},
      {"gemma3-odd", "/rope_parameters/sliding_attention/rope_theta", 3500.0},
      {"gemma3-odd", "/layer_types/1", "full_attention"},
      {"bitnet-latent", "/hidden_act", "silu"},
      {"llama-latent-norms", "/norm", "inside"},
      {"bitnet-latent-kept", "/quantization_config/modules_to_not_convert/1", "lm_head"},
      {"bitnet-latent-kept", "/quantization_config/modules_to_not_convert/2", "up_proj"},
  };
  ThreadPool pool(2);
  for (const Change& change : changes) {
    const fs::path source = fs::path(kModels) / change.model;
    const Golden golden = read_golden(source);
    const testing::TemporaryDirectory target;
    Json config = read_json_file(source / "config.json");
    config[Json::json_pointer(change.pointer)] = change.value;
    write_text_file(target / "config.json", config.dump());
    for (const auto& entry : fs::directory_iterator(source)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("model")) fs::create_symlink(entry.path(), target / name);
    }
    std::vector<float> rows;
    try {
      rows = kept_rows(golden, logits_of(Model::load(target.path()), golden.ids, pool));
    } catch (const Error&) {
      continue;  // refused, as a norm that would be dropped
    }
    const std::vector<double> reference(golden.logits.begin(), golden.logits.end());
    const std::vector<double> errors = relative_rms_rows(
        reference, rows, static_cast<int64_t>(rows.size() / golden.positions.size()));
    EXPECT_GT(*std::max_element(errors.begin(), errors.end()), 3 * kTolerance)
        << change.model << " " << change.pointer << " " << change.value.dump();
  }
}

// What is written for transformers must read as what it was written from.
TEST(GoldenModels, ConfigurationsSurviveBeingWritten) {
  for (const std::string& name : model_names()) {
    const HfModel model(fs::path(kModels) / name);
    const Json json = model_config_to_json(model.config());
    EXPECT_EQ(model_config_from_json(json, name), model.config()) << name;
  }
}

TEST(GoldenModels, EveryArchitectureIsThere) { EXPECT_GE(model_names().size(), 25U); }

}  // namespace
}  // namespace tercet::test
