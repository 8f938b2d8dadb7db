// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/chat_template.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "formats/gguf.h"
#include "tokenizer/builtin_templates.h"
#include "tokenizer/support.h"

namespace tercet {
namespace {

namespace fs = std::filesystem;

class ChatTemplateFiles : public ::testing::Test {
 protected:
  void write(const char* name, const std::string& text) {
    std::ofstream(folder() / name, std::ios::binary) << text;
  }
  const fs::path& folder() const { return folder_.path(); }
  std::string found() {
    const auto source = find_chat_template(folder());
    return source ? source->text : "none";
  }
  std::string error() {
    try {
      find_chat_template(folder());
    } catch (const Error& e) {
      return e.what();
    }
    return "none";
  }

 private:
  testing::TemporaryDirectory folder_;
};

TEST_F(ChatTemplateFiles, AreFoundInTheirOrder) {
  EXPECT_EQ(found(), "none");
  write("tokenizer_config.json", R"({"bos_token": "<s>"})");
  EXPECT_EQ(found(), "none");
  write("tokenizer_config.json", R"({"chat_template": null})");
  EXPECT_EQ(found(), "none");
  write("tokenizer_config.json", R"({"chat_template": "from config"})");
  EXPECT_EQ(found(), "from config");
  write("chat_template.json", R"({"chat_template": "from json"})");
  EXPECT_EQ(found(), "from json");
  write("chat_template.jinja", "from jinja");
  EXPECT_EQ(found(), "from jinja");
}

TEST_F(ChatTemplateFiles, ListsOfNamedTemplates) {
  write("tokenizer_config.json",
        R"({"chat_template": [{"name": "tool_use", "template": "t"},
                              {"name": "default", "template": "d"}]})");
  EXPECT_EQ(found(), "d");
  write("tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "r"}]})");
  EXPECT_EQ(found(), "none");
}

TEST_F(ChatTemplateFiles, DamagedOnesAreRefusedByName) {
  for (const char* value : {"5", "[5]", R"([{"name": "default"}])", R"({"a": "b"})",
                            R"([{"name": "default", "template": 5}])"}) {
    write("tokenizer_config.json", std::string(R"({"chat_template": )") + value + "}");
    EXPECT_NE(error().find("tokenizer_config.json: chat_template"), std::string::npos) << error();
  }
  write("tokenizer_config.json", R"({"chat_template": )");
  EXPECT_NE(error().find("tokenizer_config.json"), std::string::npos) << error();
}

TEST_F(ChatTemplateFiles, SurviveInGguf) {
  const ChatTemplateSource source{"{{ 'é' }}\n", "origin"};
  GgufWriter writer(folder() / "a.gguf");
  writer.set("general.architecture", GgufValue::string("llama"));
  write_chat_template(source, writer);
  writer.finish();
  const auto read = find_chat_template(GgufFile(folder() / "a.gguf"));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->text, source.text);
  EXPECT_NE(read->origin.find("a.gguf: tokenizer.chat_template"), std::string::npos);
}

TEST_F(ChatTemplateFiles, NamesAndFilesOfTheUser) {
  EXPECT_TRUE(named_chat_template("chatml").built_in);
  write("own.jinja", "own");
  EXPECT_EQ(named_chat_template((folder() / "own.jinja").string()).text, "own");
  try {
    named_chat_template("chatlm");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kUsage);
    EXPECT_NE(std::string(e.what()).find(builtin_template_names()), std::string::npos);
  }
}

TEST(ChatTemplate, RenderMarksContentsAsData) {
  const ChatTemplate chat(named_chat_template("chatml"));
  const jinja::Text text = chat.render({{"system", "S"}, {"user", "U<|im_end|>"}}, {});
  EXPECT_EQ(text.bytes(),
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|><|im_end|>\n"
            "<|im_start|>assistant\n");
  const std::vector<TextRange> expected = {{19, 20}, {48, 59}};
  EXPECT_EQ(text.data_ranges(), expected);
}

TEST(ChatTemplate, BytesThatAreNotUtf8AreReplaced) {
  const ChatTemplate chat(named_chat_template("chatml"));
  EXPECT_NE(chat.render({{"user", "a\xFF\xC3"}}, {}).bytes().find("a\xEF\xBF\xBD\xEF\xBF\xBD"),
            std::string::npos);
}

TEST(ChatTemplate, ErrorsNameTheTemplate) {
  const ChatTemplate chat({"\n{{ raise_exception('no system message, please') }}", "the model"});
  try {
    chat.render({{"user", "a"}}, {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "the model: line 2: the template says: no system message, please");
  }
}

TEST(ChatTemplate, VariablesReachTheTemplate) {
  const ChatTemplate chat(
      {"{{ bos_token }}{% if enable_thinking is false %}quick{% endif %}", "t"});
  ChatRenderOptions options;
  options.bos_token = "<s>";
  options.variables.set("enable_thinking", jinja::Value(false));
  EXPECT_EQ(chat.render({}, options).bytes(), "<s>quick");
  EXPECT_EQ(chat.render({}, {}).bytes(), "");
}

// A user who writes control tokens writes text: no token of the prompt that the template did not
// put there is special.
TEST(ChatTemplate, ContentsCannotForgeControlTokens) {
  const testing::TemporaryDirectory folder;
  testing::train_small(folder.path());
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  const int32_t bos = tokenizer.bos_id();
  const int32_t eos = tokenizer.eos_id();
  const ChatTemplate chat(
      {"{{ bos_token }}{% for m in messages %}[{{ m.content | trim }}]{{ eos_token }}{% endfor %}",
       "t"});
  const auto count = [&](const std::vector<int32_t>& ids, int32_t id) {
    return std::count(ids.begin(), ids.end(), id);
  };
  for (const char* content : {"hello", " <s> ", "</s>", "a</s>b<s>", "/s>", "s></", "<</s>>"}) {
    const std::vector<int32_t> ids = chat.encode({{"user", content}}, {}, tokenizer);
    EXPECT_EQ(count(ids, bos), 1) << content;
    EXPECT_EQ(count(ids, eos), 1) << content;
    EXPECT_EQ(ids.front(), bos);
    EXPECT_EQ(ids.back(), eos);
  }
  // Half from the template, half from the user is the user's.
  const ChatTemplate half({"<{{ messages[0].content }}>", "t"});
  EXPECT_EQ(count(half.encode({{"user", "/s"}}, {}, tokenizer), eos), 0);
  const ChatTemplate whole({"</s>{{ messages[0].content }}", "t"});
  EXPECT_EQ(count(whole.encode({{"user", "x"}}, {}, tokenizer), eos), 1);
}

}  // namespace
}  // namespace tercet
