// SPDX-License-Identifier: Apache-2.0
//
// Ternary weights from every form into every other.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <map>

#include "core/error.h"
#include "core/file.h"
#include "core/half.h"
#include "core/rng.h"
#include "formats/gguf.h"
#include "formats/hf_model.h"
#include "formats/safetensors.h"
#include "model/convert.h"
#include "model/gguf_model.h"
#include "model/linear.h"
#include "model/test_models.h"
#include "model/verify.h"
#include "packing/row_codes.h"

namespace tercet::test {
namespace {

namespace fs = std::filesystem;

using packing::Layout;

// A form that a ternary model can have; hf: the packed form of an HF directory.
struct Form {
  std::string name;
  std::optional<StoredType> type;
};

const std::vector<Form> kForms = {
    {"tq1_0", StoredType::kTq1_0}, {"tq2_0", StoredType::kTq2_0}, {"i2_s", StoredType::kI2S},
    {"q1_0", StoredType::kQ1_0},   {"q2_0", StoredType::kQ2_0},   {"trit4", StoredType::kTrit4},
    {"trit5", StoredType::kTrit5}, {"hf", std::nullopt},
};

class RepackTest : public ::testing::Test {
 protected:
  // Latent weights; `draw` gives each value.
  fs::path make_hf(const ModelConfig& config, const std::string& name,
                   const std::function<float(Rng&)>& draw) {
    FloatWeights weights = random_weights(config, 21);
    Rng rng(3);
    for (const TensorSpec& spec : tensor_specs(config)) {
      if (!spec.low_bit) continue;
      for (float& value : weights.at(spec.hf_name)) value = draw(rng);
    }
    write_hf_model(directory_ / name, config, weights);
    return directory_ / name;
  }

  ConvertReport to(const fs::path& source, const fs::path& target, const Form& form,
                   bool allow_rounding = false) {
    ConvertOptions options;
    options.linear_type = form.type;
    options.rest_type = StoredType::kF32;
    options.to_hf = options.packed = !form.type;
    options.allow_rounding = allow_rounding;
    return convert(source, target, options, {}, nullptr);
  }

  fs::path path(const std::string& name, const Form& form) const {
    return directory_ / (form.type ? name + ".gguf" : name);
  }

  VerifyReport compare(const fs::path& a, const fs::path& b) {
    return verify(a, b, select_kernels(""), pool_);
  }

  void expect_refused(ErrorCode code, const std::string& text, const std::function<void()>& run) {
    try {
      run();
      ADD_FAILURE() << "no error; expected one with: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  }

  testing::TemporaryDirectory directory_;
  ThreadPool pool_{2};
};

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

TEST_F(RepackTest, TheOrderOfI2SBlocksCanBeChosen) {
  const fs::path latent = make_hf(wide_b158_config(), "latent",
                                  [](Rng& rng) { return static_cast<float>(rng.uniform() - 0.5); });
  const fs::path wide = directory_ / "wide.gguf";
  to(latent, wide, {"i2_s", StoredType::kI2S});
  EXPECT_EQ(GgufFile(wide).integer("tercet.i2_s.block"), 128);
  // The same codes as an ARM build of bitnet.cpp orders them, first without a word about it.
  const auto write_narrow = [&](const fs::path& path, bool says_so) {
    const GgufFile file(wide);
    GgufWriter writer(path);
    for (const auto& [key, value] : file.metadata()) {
      if (key != "tercet.i2_s.block") writer.set(key, value);
    }
    if (says_so) writer.set("tercet.i2_s.block", GgufValue::u32(64));
    for (const TensorView& tensor : file.tensors()) {
      writer.declare(tensor.name, tensor.type, tensor.shape);
    }
    for (const TensorView& tensor : file.tensors()) {
      std::vector<uint8_t> bytes(tensor.bytes.begin(), tensor.bytes.end());
      if (tensor.type == DType::kI2S) {
        std::vector<int8_t> codes(static_cast<size_t>(tensor.elements()));
        ASSERT_TRUE(packing::unpack_row(Layout::kI2S, bytes.data(), 0, codes));
        ASSERT_TRUE(packing::pack_row(Layout::kI2S64, codes, 0, {}, bytes.data()));
      }
      writer.append(bytes);
    }
    writer.finish();
  };
  const fs::path silent = directory_ / "silent.gguf";
  const fs::path narrow = directory_ / "narrow.gguf";
  write_narrow(silent, false);
  write_narrow(narrow, true);
  EXPECT_TRUE(compare(latent, narrow).ternary_equal);
  EXPECT_EQ(compare(latent, narrow).relative_rms_max, 0);
  EXPECT_FALSE(compare(latent, silent).ternary_equal);
  ConvertOptions options;
  options.linear_type = StoredType::kTq2_0;
  options.rest_type = StoredType::kF32;
  options.source.i2s_block = 64;
  convert(silent, directory_ / "fixed.gguf", options, {}, nullptr);
  EXPECT_TRUE(compare(latent, directory_ / "fixed.gguf").ternary_equal);
  options.source.i2s_block = 32;
  expect_refused(ErrorCode::kUsage, "i2_s blocks of 32 do not exist",
                 [&] { convert(silent, directory_ / "x.gguf", options, {}, nullptr); });
}

TEST_F(RepackTest, DamagedI2SIsRefused) {
  const fs::path latent = make_hf(wide_b158_config(), "latent",
                                  [](Rng& rng) { return static_cast<float>(rng.uniform() - 0.5); });
  const fs::path path = directory_ / "m.gguf";
  to(latent, path, {"i2_s", StoredType::kI2S});
  const std::string good = read_text_file(path, 1u << 26);
  const GgufFile file(path);
  const auto bytes = file.tensor("blk.1.ffn_up.weight").bytes;
  const auto first = file.tensors().front().bytes;
  const size_t data = good.size() - 0;  // where the tensor lies in the file
  const size_t offset = static_cast<size_t>(bytes.data() - first.data());
  const size_t start = good.find(
      std::string(reinterpret_cast<const char*>(first.data()), std::min<size_t>(first.size(), 64)));
  ASSERT_LT(start + offset, data);
  const auto damaged = [&](size_t at, const std::string& with) {
    std::string text = good;
    text.replace(start + offset + at, with.size(), with);
    write_text_file(directory_ / "bad.gguf", text);
  };
  damaged(100, "\xC0");
  expect_refused(ErrorCode::kBadInput, "'blk.1.ffn_up.weight' holds a byte that stands for no",
                 [&] { Model::load(directory_ / "bad.gguf"); });
  damaged(bytes.size() - 32, std::string("\0\0\x80\x7F", 4));
  expect_refused(ErrorCode::kBadInput, "scale behind the codes is not a finite number",
                 [&] { Model::load(directory_ / "bad.gguf"); });
}

TEST_F(RepackTest, BothScaleConventionsOfPackedDirectoriesAreRead) {
  const ModelConfig config = wide_b158_config();
  const fs::path latent =
      make_hf(config, "latent", [](Rng& rng) { return static_cast<float>(rng.uniform() - 0.5); });
  const fs::path packed = directory_ / "packed";
  to(latent, packed, {"hf", std::nullopt});
  EXPECT_TRUE(compare(latent, packed).ternary_equal);
  const Json written = read_json_file(packed / "config.json");
  EXPECT_EQ(written["quantization_config"]["linear_class"], "autobitlinear");
  EXPECT_EQ(written["quantization_config"]["quantization_mode"], "offline");

  // The same model as a plain BitLinear has it: the reciprocal of the scale.
  const SafetensorsFile file(packed / "model.safetensors");
  std::vector<TensorView> tensors = file.tensors();
  std::vector<std::vector<float>> scales;
  scales.reserve(tensors.size());
  for (TensorView& tensor : tensors) {
    if (!tensor.name.ends_with("weight_scale")) continue;
    scales.push_back({1.0f / to_f32(tensor).at(0)});
    tensor.bytes = {reinterpret_cast<const uint8_t*>(scales.back().data()), 4};
  }
  const fs::path plain = directory_ / "plain";
  fs::create_directories(plain);
  Json json = written;
  json["quantization_config"] = {{"quant_method", "bitnet"}};
  write_text_file(plain / "config.json", json.dump());
  write_safetensors(plain / "model.safetensors", tensors, {});
  const Model with_scales = Model::load(packed);
  const Model with_reciprocals = Model::load(plain);
  for (const auto member : {&LayerWeights::q, &LayerWeights::down}) {
    const packing::TernaryMatrix a = decode_ternary(with_scales.weights().layers[1].*member);
    const packing::TernaryMatrix b = decode_ternary(with_reciprocals.weights().layers[1].*member);
    EXPECT_EQ(a.codes, b.codes);
    EXPECT_NEAR(a.scales.at(0), b.scales.at(0), 1e-7 * a.scales.at(0));  // 1 / (1 / s)
  }

  // Rows that share a byte: the trits of row 0 and of row rows / 4.
  const TensorView& q = file.tensor("model.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ(q.type, DType::kU8);
  EXPECT_EQ(q.shape, (std::vector<int64_t>{64, 256}));
  const packing::TernaryMatrix codes = decode_ternary(Model::load(latent).weights().layers[0].q);
  EXPECT_EQ(q.bytes[5] & 3, codes.codes[5] + 1);
  EXPECT_EQ((q.bytes[5] >> 4) & 3, codes.codes[128 * 256 + 5] + 1);

  // Damage.
  std::vector<uint8_t> bytes(tensors[1].bytes.begin(), tensors[1].bytes.end());
  for (TensorView& tensor : tensors) {
    if (tensor.type != DType::kU8) continue;
    bytes.assign(tensor.bytes.begin(), tensor.bytes.end());
    bytes[17] = 0x0C;
    tensor.bytes = bytes;
    break;
  }
  write_safetensors(plain / "model.safetensors", tensors, {});
  expect_refused(ErrorCode::kBadInput, "stands for no ternary codes", [&] { Model::load(plain); });
  tensors = file.tensors();
  const std::vector<float> zero = {0.0f};
  for (TensorView& tensor : tensors) {
    if (!tensor.name.ends_with("weight_scale")) continue;
    tensor.bytes = {reinterpret_cast<const uint8_t*>(zero.data()), 4};
  }
  write_safetensors(plain / "model.safetensors", tensors, {});
  expect_refused(ErrorCode::kBadInput, "weight_scale' is none", [&] { Model::load(plain); });
}

// Norms inside and outside of linear maps, biases (which transformers scales too), both
// conventions.
TEST_F(RepackTest, PackedDirectoriesOfEveryFamilyComputeTheSame) {
  for (const char* name : {"bitnet-packed", "llama-packed", "llama-packed-norms", "llama-wide",
                           "llama-latent-norms", "qwen2-packed"}) {
    SCOPED_TRACE(name);
    const fs::path source = fs::path(TERCET_SOURCE_DIR "/tests/golden/models") / name;
    const fs::path target = directory_ / name;
    to(source, target, {"hf", std::nullopt});
    const VerifyReport report = compare(source, target);
    EXPECT_TRUE(report.ternary_equal);
    EXPECT_LT(report.relative_rms_max, 1e-6);
    const fs::path file = directory_ / (std::string(name) + ".gguf");
    to(target, file, {"trit5", StoredType::kTrit5});
    EXPECT_LT(compare(source, file).relative_rms_max, 1e-6);
  }
}

TEST_F(RepackTest, DirectoriesAreCutIntoShards) {
  const fs::path source = directory_ / "source";
  const ModelConfig config = tiny_config();
  write_hf_model(source, config, random_weights(config, 21));
  ConvertOptions options;
  options.to_hf = true;
  options.linear_type = StoredType::kF32;
  options.max_shard_bytes = 60000;
  const fs::path target = directory_ / "target";
  const ConvertReport report = convert(source, target, options, {}, nullptr);
  EXPECT_GT(report.bytes, 2 * 60000u);
  EXPECT_FALSE(fs::exists(target / "model.safetensors"));
  const Json index = read_json_file(target / "model.safetensors.index.json");
  EXPECT_EQ(index["metadata"]["total_size"], report.bytes);
  EXPECT_EQ(index["weight_map"].size(), tensor_specs(config).size());
  for (const fs::directory_entry& entry : fs::directory_iterator(target)) {
    if (entry.path().extension() != ".safetensors") continue;
    EXPECT_LT(entry.file_size(), 65000u);
  }
  EXPECT_EQ(compare(source, target).relative_rms_max, 0);
  // A directory with files in it is nothing that a slip should replace.
  expect_refused(ErrorCode::kUsage, "is a directory with files in it",
                 [&] { convert(source, target, options, {}, nullptr); });
  expect_refused(ErrorCode::kUsage, "is a directory with files in it",
                 [&] { convert(source, source, options, {}, nullptr); });
  options.linear_type = StoredType::kQ8_0;
  expect_refused(ErrorCode::kUsage, "an HF directory cannot hold q8_0",
                 [&] { convert(source, directory_ / "x", options, {}, nullptr); });
  EXPECT_FALSE(fs::exists(directory_ / "x"));
}

// f32 there and back: the GGUF form orders rows in another way, the directory as before.
TEST_F(RepackTest, DenseModelsGoToGgufAndBackUnchanged) {
  const fs::path source = directory_ / "source";
  write_hf_model(source, tiny_config(), random_weights(tiny_config(), 21));
  ConvertOptions options;
  options.linear_type = StoredType::kF32;
  convert(source, directory_ / "m.gguf", options, {}, nullptr);
  options.to_hf = true;
  convert(directory_ / "m.gguf", directory_ / "back", options, {}, nullptr);
  const HfModel a(source);
  const HfModel b(directory_ / "back");
  for (const TensorSpec& spec : tensor_specs(tiny_config())) {
    EXPECT_EQ(to_f32(a.tensor(spec.hf_name)), to_f32(b.tensor(spec.hf_name))) << spec.hf_name;
  }
}

}  // namespace
}  // namespace tercet::test
