// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/recipe.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "core/error.h"
#include "formats/hf_model.h"
#include "learn/pretrain/presets.h"
#include "learn/pretrain/schedule.h"

namespace tercet::learn {
namespace {

Recipe valid() {
  Recipe recipe;
  recipe.data = {{"data", {}}};
  recipe.steps = 1000;
  return recipe;
}

// The message of the error that `body` throws, with its code checked.
template <typename Body>
std::string error_of(ErrorCode code, Body body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing thrown";
  return "";
}

TEST(Recipe, JsonRoundTrip) {
  Recipe recipe = valid();
  recipe.learning_rate = 0.00123;
  recipe.tie_word_embeddings = false;
  recipe.prompt = "Once \"upon\"";
  Recipe copy;
  apply_json(copy, to_json(recipe), "copy");
  EXPECT_EQ(to_json(copy), to_json(recipe));
  EXPECT_FALSE(copy.tie_word_embeddings);
}

TEST(Recipe, DataIsAPathOrAListWithWeights) {
  const auto read = [](const char* text) {
    Recipe recipe;
    apply_json(recipe, Json{{"data", Json::parse(text)}}, "my.json");
    // What is printed is read again as the same.
    Recipe again;
    apply_json(again, to_json(recipe), "again");
    EXPECT_EQ(again.data, recipe.data) << text;
    return recipe.data;
  };
  using Sources = std::vector<DataSource>;
  EXPECT_EQ(read(R"("a/")"), (Sources{{"a/", {}}}));
  EXPECT_EQ(read(R"("rate=0.5")"), (Sources{{"rate=0.5", {}}}));
  EXPECT_EQ(read(R"("")"), Sources{});
  EXPECT_EQ(read("[]"), Sources{});
  EXPECT_EQ(read(R"(["a", "b"])"), (Sources{{"a", {}}, {"b", {}}}));
  EXPECT_EQ(read(R"([{"path": "a", "weight": 0.7}, {"weight": 3, "path": "b"}])"),
            (Sources{{"a", 0.7}, {"b", 3}}));
  EXPECT_EQ(read(R"({"path": "a", "weight": 2})"), (Sources{{"a", 2}}));
  EXPECT_EQ(to_json(valid())["data"], "data");
  for (const auto& [text, word] : {std::pair("3", "data must be a path"),
                                   {R"([{"path": 3}])", "data[0]: 'path' is 3"},
                                   {R"(["a", {"path": "b", "weight": "1"}])", "data[1]: 'weight'"},
                                   {R"([{"dir": "a"}])", "'dir'"},
                                   {R"([["a"]])", "data[0]"},
                                   {"null", "data must be"}}) {
    const std::string message = error_of(ErrorCode::kBadInput, [&] { read(text); });
    EXPECT_NE(message.find(word), std::string::npos) << message;
  }
}

TEST(Recipe, UnknownAndMistypedFieldsAreNamed) {
  Recipe r;
  const auto apply = [&](const char* text) {
    return error_of(ErrorCode::kBadInput, [&] { apply_json(r, Json::parse(text), "my.json"); });
  };
  EXPECT_NE(apply(R"({"learning_rte": 1})").find("my.json: unknown field 'learning_rte'"),
            std::string::npos);
  EXPECT_NE(apply(R"({"steps": "many"})").find("steps"), std::string::npos);
  EXPECT_NE(apply(R"({"steps": 1.5})").find("steps"), std::string::npos);
  EXPECT_NE(apply(R"({"steps": 18446744073709551615})").find("steps"), std::string::npos);
  EXPECT_NE(apply(R"({"tie_word_embeddings": 1})").find("tie_word_embeddings"), std::string::npos);
  EXPECT_NE(apply("[]").find("object"), std::string::npos);
}

TEST(Recipe, ImpossibleNumbersNameTheField) {
  const auto broken = [](auto change, const char* field) {
    Recipe r = valid();
    change(r);
    const std::string message =
        error_of(ErrorCode::kUsage, [&] { static_cast<void>(resolved(r)); });
    EXPECT_NE(message.find(field), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  };
  broken([](Recipe& r) { r.family = "gpt"; }, "family");
  broken([](Recipe& r) { r.precision = "f16"; }, "precision");
  broken([](Recipe& r) { r.document_attention = "none"; }, "document_attention");
  broken([](Recipe& r) { r.data.push_back({"more", 0.5}); }, "data: 'data' has no weight");
  broken([](Recipe& r) { r.schedule = "wavy"; }, "schedule");
  broken([](Recipe& r) { r.steps = 0; }, "tokens or steps");
  broken([](Recipe& r) { r.tokens = 5; }, "tokens and steps");
  broken([](Recipe& r) { r.batch_size = 0; }, "batch_size");
  broken([](Recipe& r) { r.micro_batch_size = 7; }, "micro_batch_size");
  broken([](Recipe& r) { r.sequence_length = 1; }, "sequence_length");
  broken([](Recipe& r) { r.learning_rate = 0; }, "learning_rate");
  broken([](Recipe& r) { r.adam_beta2 = 1; }, "adam_beta2");
  broken([](Recipe& r) { r.seed = -1; }, "seed");
  broken([](Recipe& r) { r.hidden_size = 0; }, "hidden_size");
  broken([](Recipe& r) { r.lambda_start_step = -1; }, "lambda_start_step");
  broken([](Recipe& r) { r.lambda_warmup_steps = 1000; }, "lambda_warmup_steps");
  broken([](Recipe& r) { r.lambda_start_step = 600, r.lambda_warmup_steps = 400; }, "none");
  broken([](Recipe& r) { r.family = "llama", r.lambda_warmup_steps = 5; }, "'dense'");
  broken([](Recipe& r) { r.a8_steps = 5; }, "a8_steps");
  broken([](Recipe& r) { r.a8_steps = 1000, r.activation_bits = 4; }, "a8_steps");
  broken([](Recipe& r) { r.o_proj_top_k = 0.5, r.lambda_warmup_steps = 5; }, "o_proj_top_k");
}

TEST(Recipe, HeadsThatDoNotDivide) {
  Recipe r = resolved(valid());
  r.num_attention_heads = 3;
  EXPECT_NE(error_of(ErrorCode::kBadInput, [&] { model_config(r, 512, 1, 2); })
                .find("num_attention_heads"),
            std::string::npos);
  r.num_attention_heads = 4;
  r.num_key_value_heads = 3;
  EXPECT_NE(error_of(ErrorCode::kBadInput, [&] { model_config(r, 512, 1, 2); })
                .find("num_key_value_heads"),
            std::string::npos);
}

TEST(Recipe, TheTwinDiffersInItsLinearMapsOnly) {
  Recipe r = valid();
  const ModelConfig ternary = model_config(resolved(r), 512, 1, 2);
  EXPECT_EQ(ternary.linear, LinearKind::kB158);
  r.family = "llama";
  ModelConfig twin = model_config(resolved(r), 512, 1, 2);
  EXPECT_EQ(twin.linear, LinearKind::kDense);
  EXPECT_EQ(twin.norm, NormPlacement::kPre);
  EXPECT_EQ(twin.hidden_act, Activation::kSilu);
  twin.linear = LinearKind::kB158;
  EXPECT_EQ(model_config_to_json(twin), model_config_to_json(ternary));
}

TEST(Recipe, VariantsReachTheModel) {
  Recipe r = valid();
  r.activation_bits = 4;
  r.o_proj_top_k = 0.5;
  r.a8_steps = 950;
  EXPECT_EQ(model_config(resolved(r), 512, 1, 2).variants,
            (BitnetVariants{.activation_bits = 4, .o_proj_top_k = 0.5f}));
  Recipe copy;
  apply_json(copy, to_json(r), "copy");
  EXPECT_EQ(to_json(copy), to_json(r));
  r.family = "b1";
  EXPECT_NE(error_of(ErrorCode::kBadInput, [&] { model_config(resolved(r), 512, 1, 2); })
                .find("activation_bits is for b1.58"),
            std::string::npos);
}

TEST(Recipe, B1IsThePapersRecipe) {
  Recipe r = valid();
  r.family = "b1";
  const Recipe ready = resolved(r);
  const ModelConfig config = model_config(ready, 512, 1, 2);
  EXPECT_EQ(config.linear, LinearKind::kB1);
  EXPECT_EQ(config.norm, NormPlacement::kInsidePlain);
  EXPECT_EQ(ready.schedule, "linear");
  EXPECT_EQ(ready.adam_beta2, 0.98);
  EXPECT_EQ(ready.weight_decay, 0.01);
  EXPECT_EQ(ready.grad_clip, 0);
}

// The sizes that the papers print, in parameters of their linear maps and embeddings together.
TEST(Presets, AreSoundAndOfTheSizeThatTheirNamesSay) {
  const std::pair<const char*, double> millions[] = {
      {"1m", 1.1},   {"3m", 3},      {"8m", 8},      {"15m", 15},    {"30m", 30},    {"125m", 125},
      {"350m", 350}, {"700m", 700},  {"760m", 760},  {"1.3b", 1300}, {"2.7b", 2700}, {"2b4t", 2400},
      {"3b", 3300},  {"3.9b", 3900}, {"6.7b", 6700}, {"13b", 13000}, {"30b", 30000}};
  std::string names;
  for (const auto& [name, size] : millions) {
    names += (names.empty() ? "" : ", ") + std::string(name);
    for (const char* family : {"b1.58", "b1", "llama"}) {
      const Recipe ready = resolved(preset_recipe(name, family));
      EXPECT_EQ(ready.family, family);
      const int64_t vocabulary = size < 100 ? 4096 : size == 2400 ? 128256 : 32000;
      const ModelConfig config = model_config(ready, vocabulary, 1, 2);
      EXPECT_NEAR(static_cast<double>(config.parameter_count()) / 1e6, size, 0.13 * size) << name;
    }
  }
  EXPECT_EQ(preset_names(), names);
  EXPECT_NE(error_of(ErrorCode::kUsage, [] { preset_recipe("2m", "b1"); }).find("1m, 3m"),
            std::string::npos);
}

TEST(Presets, HaveThePapersRates) {
  const Recipe b158 = resolved(preset_recipe("700m", "b1.58"));
  EXPECT_EQ(b158.learning_rate, 1.5e-3);
  EXPECT_EQ(b158.learning_rate_2, 1e-3);
  EXPECT_EQ(b158.weight_decay_2, 0);
  EXPECT_EQ(resolved(preset_recipe("700m", "llama")).learning_rate, 2.5e-4);
  EXPECT_EQ(resolved(preset_recipe("125m", "b1")).learning_rate, 2.4e-3);
  EXPECT_EQ(resolved(preset_recipe("30b", "b1")).weight_decay, 0.05);
  EXPECT_EQ(b158.batch_size * b158.sequence_length, 1 << 20);
}

// The blocks of the b1.58 paper, of the 2B4T report and, where trials decide, of the twin.
TEST(Presets, HaveTheArrangementOfTheirSource) {
  const auto arrangement = [](const char* name) {
    const Recipe r = resolved(preset_recipe(name, "b1.58"));
    return r.norm + " " + r.hidden_act + " " + r.schedule;
  };
  EXPECT_EQ(arrangement("700m"), "inside silu two-stage");
  EXPECT_EQ(arrangement("2b4t"), "sub relu2 two-stage");
  EXPECT_EQ(arrangement("8m"), "pre silu linear");
  // Small ones differ in their linear maps alone.
  Json small = to_json(resolved(preset_recipe("8m", "llama")));
  for (const char* family : {"b1.58", "b1"}) {
    Json other = to_json(resolved(preset_recipe("8m", family)));
    for (const char* field : {"family", "linear"}) {
      other[field] = small[field];
    }
    EXPECT_EQ(other, small);
  }
  for (const char* linear : {"dense", "b1", "b1.58"}) {
    const std::vector<RecipePart> parts{{{{"linear", linear}}, "command line"}};
    Json other = to_json(resolved(assembled_recipe("8m", parts)));
    EXPECT_EQ(other.at("linear"), linear);
    other["family"] = small["family"];
    other["linear"] = small["linear"];
    EXPECT_EQ(other, small);
  }
  EXPECT_EQ(resolved(preset_recipe("2b4t", "llama")).norm, "pre");
}

Recipe with(Recipe recipe, const char* json) {
  apply_json(recipe, Json::parse(json), "command line");
  return resolved(recipe);
}

TEST(Recipe, AnotherLengthReplacesThatBefore) {
  EXPECT_EQ(with(preset_recipe("8m", "b1.58"), R"({"tokens": 100000000})").steps, 6104);
  Recipe r = valid();
  r.warmup_steps = 50;
  EXPECT_EQ(with(r, R"({"tokens": 10000000})").warmup_steps, 50);
}

TEST(Recipe, ChangingAPrintedRecipeChangesWhatFollows) {
  const Recipe printed = resolved(preset_recipe("700m", "b1.58"));
  const Recipe other = with(printed, R"({"family": "llama"})");
  EXPECT_EQ(to_json(other), to_json([] {
              Recipe r = resolved(preset_recipe("700m", "llama"));
              r.learning_rate = r.learning_rate_2 = -1;
              return resolved(r);
            }()));
  EXPECT_EQ(other.linear, "dense");
  EXPECT_LT(with(printed, R"({"learning_rate": 5e-4})").learning_rate_2, 5e-4);
  EXPECT_EQ(with(printed, R"({"schedule": "cosine"})").weight_decay_2, 0.1);
  // The same value again changes nothing.
  EXPECT_EQ(to_json(with(printed, R"({"family": "b1.58"})")), to_json(printed));
}

TEST(Recipe, TrainingFollowsTheLinearMaps) {
  const Recipe r = with(valid(), R"({"family": "b1", "linear": "b1.58"})");
  EXPECT_EQ(r.schedule, "two-stage");
  EXPECT_EQ(r.adam_beta2, 0.95);
  EXPECT_EQ(r.grad_clip, 1.0);
  EXPECT_EQ(with(preset_recipe("700m", "llama"), R"({"linear": "b1.58"})").learning_rate, 1.5e-3);
}

TEST(Recipe, TokensBecomeWholeSteps) {
  Recipe r = valid();
  r.steps = 0;
  r.tokens = 3 * r.batch_size * r.sequence_length + 1;
  EXPECT_EQ(resolved(r).steps, 4);
  // Resolving twice changes nothing: a resumed run reads a resolved recipe.
  EXPECT_EQ(to_json(resolved(resolved(r))), to_json(resolved(r)));
}

TEST(Schedule, TwoStage) {
  Recipe r = valid();
  r.learning_rate = 1.0;
  r.learning_rate_2 = 0.5;
  r.warmup_steps = 9;
  r = resolved(r);
  EXPECT_DOUBLE_EQ(rates_at(r, 0).learning_rate, 0.1);  // first of ten steps up to the peak
  EXPECT_DOUBLE_EQ(rates_at(r, 100).learning_rate, 0.9);
  EXPECT_DOUBLE_EQ(rates_at(r, 499).learning_rate, 1.0 - 0.499);
  EXPECT_DOUBLE_EQ(rates_at(r, 499).weight_decay, 0.1);
  EXPECT_DOUBLE_EQ(rates_at(r, 500).learning_rate, 0.25);
  EXPECT_DOUBLE_EQ(rates_at(r, 500).weight_decay, 0.0);
  EXPECT_NEAR(rates_at(r, 999).learning_rate, 0.0005, 1e-12);
}

TEST(Schedule, CosineLinearConstant) {
  Recipe r = valid();
  r.learning_rate = 1.0;
  r.min_learning_rate = 0.2;
  r.warmup_steps = 0;
  r.schedule = "cosine";
  EXPECT_NEAR(rates_at(resolved(r), 500).learning_rate, 0.6, 1e-12);
  r.schedule = "linear";
  EXPECT_NEAR(rates_at(resolved(r), 250).learning_rate, 0.8, 1e-12);
  EXPECT_DOUBLE_EQ(rates_at(resolved(r), 900).weight_decay, 0.1);
  r.schedule = "constant";
  EXPECT_DOUBLE_EQ(rates_at(resolved(r), 999).learning_rate, 1.0);
}

}  // namespace
}  // namespace tercet::learn
