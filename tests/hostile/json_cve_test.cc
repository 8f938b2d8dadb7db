// SPDX-License-Identifier: Apache-2.0
// JSON that crashes programs: deep nesting, wide lists, numbers and names that are not what they
// seem. Every file of a model that is JSON comes in through parse_json().
#include <algorithm>

#include "formats/hf_model.h"
#include "formats/support.h"
#include "hostile/allocation_meter.h"

namespace tercet::hostile {
namespace {

using testing::expect_error;
using testing::TemporaryDirectory;
using testing::write_bytes;

std::string nested(size_t depth, const std::string& open, const std::string& close) {
  std::string out;
  for (size_t i = 0; i < depth; ++i) out += open;
  out += "1";
  for (size_t i = 0; i < depth; ++i) out += close;
  return out;
}

// 3000 levels overran the stack when the document was copied or printed.
TEST(JsonCve, LlamaCpp27434_DeepNesting) {
  for (const size_t depth : {size_t{3000}, size_t{1} << 20}) {
    for (const auto& [open, close] : {std::pair("[", "]"), std::pair("{\"a\":", "}")}) {
      const std::string text = nested(depth, open, close);
      const AllocationMeter meter;
      expect_error(ErrorCode::kBadInput, "nested more than", [&] { parse_json(text, "a.json"); });
      EXPECT_LT(meter.peak(), size_t{1} << 20);
    }
  }
  // As deep as is allowed, copying and printing work.
  const Json deep = parse_json(nested(64, "[", "]"), "a.json");
  const Json copy = deep;
  EXPECT_EQ(copy.dump().size(), 129u);
}

TEST(JsonCve, DeepNestingInEveryFileOfAModel) {
  const TemporaryDirectory directory;
  const std::string deep = nested(3000, "{\"a\":", "}");
  write_bytes(directory.file("config.json"), deep);
  write_bytes(directory.file("model.safetensors"), "");
  expect_error(ErrorCode::kBadInput, "config.json: nested", [&] { HfModel(directory.path()); });
}

TEST(JsonCve, KeysGivenTwice) {
  expect_error(ErrorCode::kBadInput, "appears twice", [] {
    parse_json(R"({"model_type":"llama","model_type":"bitnet"})", "config.json");
  });
}

TEST(JsonCve, NumbersOutsideEveryRange) {
  for (const char* field :
       {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings"}) {
    for (const char* value : {"-1", "0", "4611686018427387904", "9223372036854775807",
                              "18446744073709551615", "1.5", "1e300", "\"64\"", "[1]"}) {
      Json config = {
          {"model_type", "llama"},         {"vocab_size", 64},       {"hidden_size", 32},
          {"intermediate_size", 64},       {"num_hidden_layers", 1}, {"num_attention_heads", 4},
          {"max_position_embeddings", 64}, {"bos_token_id", 1},      {"eos_token_id", 2}};
      config[field] = Json::parse(value);
      const auto error = testing::error_of([&] { model_config_from_json(config, "config.json"); });
      ASSERT_TRUE(error.has_value()) << field << " = " << value;
      EXPECT_EQ(error->code(), ErrorCode::kBadInput);
    }
  }
}

TEST(JsonCve, MemoryIsBoundedByTheSizeOfTheFile) {
  for (const char* item : {"0,", "[],", "{},", "\"\",", "{\"\":0},", "[[]],"}) {
    std::string list = "[";
    while (list.size() < (1u << 20)) list += item;
    list.back() = ']';
    const AllocationMeter meter;
    const Json json = parse_json(list, "wide.json");
    EXPECT_LT(meter.peak(), allowed_bytes(list.size())) << item;
  }
}

}  // namespace
}  // namespace tercet::hostile
