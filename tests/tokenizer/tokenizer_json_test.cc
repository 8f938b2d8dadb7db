// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/tokenizer_json.h"

#include "core/file.h"
#include "formats/gguf.h"
#include "tokenizer/support.h"

namespace tercet {
namespace {

using testing::expect_error;
using testing::TemporaryDirectory;
using testing::write_bytes;
using Ids = std::vector<int32_t>;

// A small complete file, changed by `edit`.
Json small_json(const std::function<void(Json&)>& edit = [](Json&) {}) {
  Json json = Json::parse(R"({
    "added_tokens": [
      {"id": 4, "content": "<s>", "special": true, "normalized": false},
      {"id": 5, "content": "<tool>", "special": false, "normalized": false}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": null,
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3}, "merges": ["a b"]}})");
  edit(json);
  return json;
}

Tokenizer load(const std::string& text) {
  TemporaryDirectory directory;
  write_bytes(directory.file("tokenizer.json"), text);
  return Tokenizer::load(directory.path());
}
Tokenizer load(const Json& json) { return load(json.dump()); }

void expect_refused(ErrorCode code, const std::string& what,
                    const std::function<void(Json&)>& edit) {
  expect_error(code, what, [&] { load(small_json(edit)); });
}

TEST(TokenizerJson, SpecialTokensAreTextUnlessAskedFor) {
  const Tokenizer tokenizer = load(small_json());
  EXPECT_EQ(tokenizer.vocab_size(), 6);
  EXPECT_EQ(tokenizer.encode("ab ab"), (Ids{2, 3, 2}));
  EXPECT_EQ(tokenizer.encode("a<s>b"), (Ids{0, 1}));  // '<', 's' and '>' are no tokens here
  EXPECT_EQ(tokenizer.encode_with_special("a<s>b"), (Ids{0, 4, 1}));
  EXPECT_EQ(tokenizer.encode("a<tool>b"), (Ids{0, 5, 1}));
  EXPECT_EQ(tokenizer.find_special("<s>"), 4);
  EXPECT_EQ(tokenizer.find_special("<tool>"), 5);
  EXPECT_EQ(tokenizer.find_special("a"), std::nullopt);
  EXPECT_TRUE(tokenizer.is_special(4));
  EXPECT_FALSE(tokenizer.is_special(5));
  EXPECT_EQ(tokenizer.decode(Ids{4, 2, 3, 5}), "ab <tool>");
  EXPECT_EQ(tokenizer.piece_bytes(3), " ");
  EXPECT_EQ(tokenizer.piece_bytes(4), "");
}

// Broken bytes become U+FFFD, three bytes each, so that the ranges move with the text.
TEST(TokenizerJson, ControlTokensThatOthersWroteAreText) {
  const Tokenizer tokenizer = load(small_json());
  const std::string text = "<s>a<s>\xFF<s>b<s>";
  const std::vector<TextRange> all_others = {{3, 12}};
  EXPECT_EQ(tokenizer.encode_with_special(text, all_others), (Ids{4, 0, 1, 4}));
  const std::vector<TextRange> middle = {{3, 4}, {7, 12}};
  EXPECT_EQ(tokenizer.encode_with_special(text, middle), (Ids{4, 0, 4, 1, 4}));
  const std::vector<TextRange> one_byte = {{14, 15}};
  EXPECT_EQ(tokenizer.encode_with_special(text, one_byte), (Ids{4, 0, 4, 4, 1}));
}

// A chat template's text with a user's in it: control tokens count only where the user wrote
// nothing.
TEST(TokenizerJson, SpecialTokensThatTouchDataAreText) {
  const Tokenizer tokenizer = load(small_json([](Json& json) {
    json["added_tokens"].push_back(
        {{"id", 6}, {"content", "<s>a"}, {"special", true}, {"normalized", false}});
  }));
  const auto encode = [&](const char* text, std::vector<TextRange> data) {
    return tokenizer.encode_with_special(text, data);
  };
  EXPECT_EQ(encode("b<s>b", {}), (Ids{1, 4, 1}));
  EXPECT_EQ(encode("b<s>b", {{1, 4}}), (Ids{1, 1}));
  EXPECT_EQ(encode("b<s>b", {{0, 1}, {4, 5}}), (Ids{1, 4, 1}));
  // One byte is enough, at either end.
  EXPECT_EQ(encode("b<s>b", {{1, 2}}), (Ids{1, 1}));
  EXPECT_EQ(encode("b<s>b", {{3, 4}}), (Ids{1, 1}));
  // Words form across the border.
  EXPECT_EQ(encode("ab", {{1, 2}}), Ids{2});
  // The longer token would take a letter of the user's; the shorter one is the template's.
  EXPECT_EQ(encode("<s>a", {}), Ids{6});
  EXPECT_EQ(encode("<s>a", {{3, 4}}), (Ids{4, 0}));
  // Two beside each other, the first the user's.
  EXPECT_EQ(encode("<s><s>b", {{0, 3}}), (Ids{4, 1}));
  // Tokens that are no control tokens are recognised everywhere.
  EXPECT_EQ(encode("<tool>", {{0, 6}}), Ids{5});
}

TEST(TokenizerJson, SpecialTokensThatTouchDataInNormalizedText) {
  const Tokenizer tokenizer = load(small_json([](Json& json) {
    json["normalizer"] = Json::parse(R"({"type": "NFC"})");
    json["added_tokens"][0]["normalized"] = true;
  }));
  EXPECT_EQ(tokenizer.encode_with_special("b<s>b"), (Ids{1, 4, 1}));
  EXPECT_EQ(tokenizer.encode_with_special("b<s>b", std::vector<TextRange>{{1, 4}}), (Ids{1, 1}));
}

TEST(TokenizerJson, MergesAreStringsOrPairs) {
  const Tokenizer pairs = load(
      small_json([](Json& json) { json["model"]["merges"] = Json::parse(R"([["a", "b"]])"); }));
  EXPECT_EQ(pairs.encode("ab"), Ids{2});
  for (const char* merge :
       {"\"ab\"", "\"a b c\"", "1", "[\"a\"]", "[\"a\", 1]", "[\"a\", \"b\", \"c\"]"}) {
    expect_refused(ErrorCode::kBadInput, "model.merges[0]", [&](Json& json) {
      json["model"]["merges"] = Json::parse(fmt::format("[{}]", merge));
    });
  }
}

TEST(TokenizerJson, RefusesUnknownPartsByName) {
  const auto refused = [](const std::string& what, const std::string& path, const Json& value) {
    expect_refused(ErrorCode::kUnsupported, what,
                   [&](Json& json) { json[Json::json_pointer(path)] = value; });
  };
  for (const char* type : {"Unigram", "WordPiece", "WordLevel"}) refused(type, "/model/type", type);
  refused("model.dropout", "/model/dropout", 0.1);
  refused("continuing_subword_prefix = '##'", "/model/continuing_subword_prefix", "##");
  refused("end_of_word_suffix = '</w>'", "/model/end_of_word_suffix", "</w>");
  refused("'BertNormalizer'", "/normalizer", {{"type", "BertNormalizer"}});
  refused("'Precompiled'", "/normalizer", {{"type", "Precompiled"}});
  refused("'UnicodeScripts'", "/pre_tokenizer", {{"type", "UnicodeScripts"}});
  refused("'WordPiece'", "/decoder", {{"type", "WordPiece"}});
  refused("after Fuse", "/decoder",
          {{"type", "Sequence"}, {"decoders", {{{"type", "Fuse"}}, {{"type", "ByteLevel"}}}}});
  refused("'BertProcessing'", "/post_processor", {{"type", "BertProcessing"}});
  refused("behavior", "/pre_tokenizer",
          {{"type", "Split"}, {"pattern", {{"String", "a"}}}, {"behavior", "Odd"}});
  refused("'[a&&b]'", "/pre_tokenizer",
          {{"type", "Split"}, {"pattern", {{"Regex", "[a&&b]"}}}, {"behavior", "Isolated"}});
}

TEST(TokenizerJson, RefusesDamage) {
  const auto bad = [](const std::string& what, const std::string& path, const Json& value) {
    expect_refused(ErrorCode::kBadInput, what,
                   [&](Json& json) { json[Json::json_pointer(path)] = value; });
  };
  bad("'model'", "/model", nullptr);
  bad("vocabulary is empty", "", {{"model", {{"type", "BPE"}}}});
  bad("out of range", "/model/vocab/a", -1);
  bad("out of range", "/model/vocab/a", 1 << 30);
  bad("out of range", "/model/vocab/a", UINT64_MAX);
  bad("not a whole number", "/model/vocab/a", 1.5);
  bad("not a whole number", "/model/vocab/a", "1");
  bad("same id 1", "/model/vocab/a", 1);
  bad("merge 0", "/model/merges/0", "b a");
  bad("out of range", "/added_tokens/0/id", -1);
  bad("out of range", "/added_tokens/0/id", 2'000'000);
  bad("same id 0", "/added_tokens/0/id", 0);
  bad("given twice", "/added_tokens/1/content", "<s>");
  bad("added_tokens is not a list", "/added_tokens", 1);
  bad("unk_token", "/model/unk_token", "<unk>");
  bad("post_processor", "/post_processor",
      {{"type", "TemplateProcessing"},
       {"single", {{{"SpecialToken", {{"id", "<s>"}}}}}},
       {"special_tokens", {{"<s>", {{"ids", {99}}}}}}});
  for (const char* text :
       {"", "[]", "{", "{\"model\": 1}", "null", "{\"model\": {\"vocab\": 1}}"}) {
    expect_error(ErrorCode::kBadInput, "tokenizer.json", [&] { load(std::string(text)); });
  }
  std::string twice = small_json().dump();
  twice.replace(twice.find("\"b\":1"), 5, "\"a\":1");
  expect_error(ErrorCode::kBadInput, "two tokens have the text 'a'", [&] { load(twice); });
  std::string deep;
  for (int i = 0; i < 3000; ++i) deep += "{\"normalizers\":[";
  expect_error(ErrorCode::kBadInput, "deep", [&] { load("{\"normalizer\":" + deep); });
}

// A cut anywhere gives an error, never a tokenizer or a crash.
TEST(TokenizerJson, RefusesEveryPrefix) {
  const std::string whole = small_json().dump();
  for (size_t length = 0; length < whole.size(); ++length) {
    expect_error(ErrorCode::kBadInput, "tokenizer.json", [&] { load(whole.substr(0, length)); });
  }
}

TEST(TokenizerJson, LongAddedTokensAreRefused) {
  expect_refused(ErrorCode::kUnsupported, "257 bytes",
                 [](Json& json) { json["added_tokens"][0]["content"] = std::string(257, 'x'); });
}

class TokenizerDirectory : public ::testing::Test {
 protected:
  TokenizerDirectory() { write_bytes(directory_.file("tokenizer.json"), small_json().dump()); }
  Tokenizer with_config(const std::string& config) {
    write_bytes(directory_.file("tokenizer_config.json"), config);
    return Tokenizer::load(directory_.path());
  }
  TemporaryDirectory directory_;
};

TEST_F(TokenizerDirectory, FilesBesideNameTheRoles) {
  const Tokenizer plain = with_config("{}");
  EXPECT_EQ(plain.bos_id(), -1);
  EXPECT_FALSE(plain.add_bos());
  EXPECT_TRUE(plain.end_ids().empty());
  const Tokenizer named =
      with_config(R"({"bos_token": "<s>", "eos_token": {"content": "<tool>", "lstrip": false}})");
  EXPECT_EQ(named.bos_id(), 4);
  EXPECT_EQ(named.eos_id(), 5);
  EXPECT_EQ(named.end_ids(), Ids{5});
  EXPECT_FALSE(named.add_bos());
  const Tokenizer adding =
      with_config(R"({"bos_token": "<s>", "add_bos_token": true, "eos_token": null})");
  EXPECT_TRUE(adding.add_bos());
  EXPECT_EQ(adding.encode_prompt("a"), (Ids{4, 0}));
  expect_error(ErrorCode::kBadInput, "add_bos_token",
               [&] { with_config(R"({"add_bos_token": true})"); });
  expect_error(ErrorCode::kBadInput, "bos_token", [&] { with_config(R"({"bos_token": 1})"); });
  write_bytes(directory_.file("special_tokens_map.json"), R"({"eos_token": "<s>"})");
  EXPECT_EQ(with_config("{}").eos_id(), 4);
  EXPECT_EQ(with_config(R"({"eos_token": "<tool>"})").eos_id(), 5);
}

TEST_F(TokenizerDirectory, TheTemplateOfTheFilePutsTokensAroundPrompts) {
  const Json json = small_json([](Json& edited) {
    edited["post_processor"] = Json::parse(R"({"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}},
                 {"SpecialToken": {"id": "<tool>"}}],
      "special_tokens": {"<s>": {"ids": [4]}, "<tool>": {"ids": [5]}}})");
  });
  write_bytes(directory_.file("tokenizer.json"), json.dump());
  EXPECT_EQ(with_config("{}").encode_prompt("ab"), (Ids{4, 2, 5}));
  EXPECT_TRUE(with_config("{}").add_bos());
  EXPECT_EQ(with_config(R"({"bos_token": "<s>", "add_bos_token": false})").encode_prompt("ab"),
            (Ids{2, 5}));
}

// In GGUF as well, where a role of "unknown" does not mean that bytes become that token.
TEST_F(TokenizerDirectory, BytesOutsideTheVocabulary) {
  const auto through_gguf = [&](const Tokenizer& tokenizer, bool has_json) {
    GgufWriter writer(directory_.file("a.gguf"));
    tokenizer.write_gguf(writer);
    writer.finish();
    const GgufFile file(directory_.file("a.gguf"));
    EXPECT_EQ(file.find("tokenizer.huggingface.json") != nullptr, has_json);
    return Tokenizer::from_gguf(file);
  };
  const Tokenizer vanishing = with_config(R"({"unk_token": "<s>"})");
  EXPECT_EQ(vanishing.unknown_id(), 4);
  EXPECT_EQ(vanishing.encode("azb"), (Ids{2}));
  EXPECT_EQ(through_gguf(vanishing, false).encode("azb"), (Ids{2}));
  write_bytes(directory_.file("tokenizer.json"),
              small_json([](Json& json) { json["model"]["unk_token"] = "<s>"; }).dump());
  const Tokenizer shown = with_config("{}");
  EXPECT_EQ(shown.encode("azb"), (Ids{0, 4, 1}));
  EXPECT_EQ(through_gguf(shown, true).encode("azb"), (Ids{0, 4, 1}));
}

// GGUF files of byte-level vocabularies.
class GgufBpe : public ::testing::Test {
 protected:
  Tokenizer read(const std::function<void(GgufWriter&)>& edit) {
    GgufWriter writer(directory_.file("a.gguf"));
    writer.set("tokenizer.ggml.model", GgufValue::string("gpt2"));
    writer.set("tokenizer.ggml.pre", GgufValue::string("gpt-2"));
    writer.set("tokenizer.ggml.tokens",
               GgufValue::strings({"a", "b", "ab", "\u0120", "<s>", "<tool>", "<eot>"}));
    writer.set("tokenizer.ggml.token_type", GgufValue::i32s({1, 1, 1, 1, 3, 4, 3}));
    writer.set("tokenizer.ggml.merges", GgufValue::strings({"a b"}));
    edit(writer);
    writer.finish();
    return Tokenizer::from_gguf(GgufFile(directory_.file("a.gguf")));
  }
  void refused(ErrorCode code, const std::string& what,
               const std::function<void(GgufWriter&)>& edit) {
    expect_error(code, what, [&] { read(edit); });
  }
  TemporaryDirectory directory_;
};

TEST_F(GgufBpe, ReadsItsKeys) {
  const Tokenizer tokenizer = read([](GgufWriter& writer) {
    writer.set("tokenizer.ggml.bos_token_id", GgufValue::u32(4));
    writer.set("tokenizer.ggml.eos_token_id", GgufValue::u32(5));
    writer.set("tokenizer.ggml.eot_token_id", GgufValue::u32(6));
    writer.set("tokenizer.ggml.add_bos_token", GgufValue::boolean(true));
  });
  EXPECT_EQ(tokenizer.encode_prompt("ab ab"), (Ids{4, 2, 3, 2}));
  EXPECT_EQ(tokenizer.end_ids(), (Ids{5, 6}));
  EXPECT_EQ(tokenizer.encode_with_special("<s>a<tool>"), (Ids{4, 0, 5}));
  EXPECT_EQ(tokenizer.encode("<s>a<tool>"), (Ids{0, 5}));
}

TEST_F(GgufBpe, RefusesWhatItCannotKnow) {
  const auto set = [](const char* key, const GgufValue& value) {
    return [key, value](GgufWriter& writer) { writer.set(key, value); };
  };
  refused(ErrorCode::kUnsupported, "'mystery'",
          set("tokenizer.ggml.pre", GgufValue::string("mystery")));
  refused(ErrorCode::kBadInput, "tokenizer.ggml.pre", set("tokenizer.ggml.pre", GgufValue::u32(1)));
  refused(ErrorCode::kBadInput, "must be equal",
          set("tokenizer.ggml.token_type", GgufValue::i32s({1})));
  for (const char* merge : {"ab", "", " ", "a ", "c d", "a  b"}) {
    refused(ErrorCode::kBadInput, "merge",
            set("tokenizer.ggml.merges", GgufValue::strings({merge})));
  }
  refused(ErrorCode::kBadInput, "tokenizer.ggml.merges",
          set("tokenizer.ggml.merges", GgufValue::i32s({1})));
  refused(ErrorCode::kBadInput, "outside the vocabulary",
          set("tokenizer.ggml.eot_token_id", GgufValue::u32(7)));
  refused(ErrorCode::kBadInput, "outside the vocabulary",
          set("tokenizer.ggml.bos_token_id", GgufValue::i32(-1)));
  refused(ErrorCode::kBadInput, "no such token",
          set("tokenizer.ggml.add_bos_token", GgufValue::boolean(true)));
  refused(ErrorCode::kBadInput, "describes 6",
          set("tokenizer.huggingface.json", GgufValue::string(small_json().dump())));
  refused(ErrorCode::kBadInput, "tokens[1] = '?' is not UTF-8",
          set("tokenizer.ggml.tokens",
              GgufValue::strings({"a", "\xE2", "ab", "\u0120", "<s>", "<tool>", "<eot>"})));
  refused(ErrorCode::kBadInput, "two tokens",
          set("tokenizer.ggml.tokens",
              GgufValue::strings({"a", "a", "ab", "\u0120", "<s>", "<tool>", "<eot>"})));
}

}  // namespace
}  // namespace tercet
