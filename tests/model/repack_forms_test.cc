// SPDX-License-Identifier: Apache-2.0
//
// What is particular to one form: i2_s blocks, packed and dense HF directories.
#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "core/file.h"
#include "formats/gguf.h"
#include "formats/hf_model.h"
#include "formats/safetensors.h"
#include "model/gguf_model.h"
#include "model/linear.h"
#include "model/repack_support.h"
#include "packing/row_codes.h"

namespace tercet::test {
namespace {

using packing::Layout;

class RepackForms : public RepackTest {};

TEST_F(RepackForms, TheOrderOfI2SBlocksCanBeChosen) {
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

TEST_F(RepackForms, DamagedI2SIsRefused) {
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

TEST_F(RepackForms, BothScaleConventionsOfPackedDirectoriesAreRead) {
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
TEST_F(RepackForms, PackedDirectoriesOfEveryFamilyComputeTheSame) {
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

TEST_F(RepackForms, DirectoriesAreCutIntoShards) {
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
TEST_F(RepackForms, DenseModelsGoToGgufAndBackUnchanged) {
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
