// SPDX-License-Identifier: Apache-2.0
// What Jinja2 prints for the same templates and variables, byte for byte: the fixture is written by
// scripts/make_chat_golden.py.
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "tokenizer/jinja/json_value.h"
#include "tokenizer/jinja/template.h"

namespace tercet::jinja {
namespace {

using Json = nlohmann::ordered_json;

const Json& fixture() {
  static const Json document = [] {
    std::ifstream file(TERCET_SOURCE_DIR "/tests/golden/chat_templates.json");
    return Json::parse(file);
  }();
  return document;
}

std::string render(const Template& chat, const Json& variables) {
  const auto now = std::chrono::system_clock::from_time_t(fixture()["now"].get<std::time_t>());
  return chat.render(*from_json(variables).map(), now).bytes();
}

// Renders, or gives "error: ..." with the message.
std::string outcome(const std::string& source, const Json& variables) {
  try {
    return render(Template(source, "test"), variables);
  } catch (const Error& error) {
    return std::string("error: ") + error.what();
  }
}

TEST(JinjaGolden, Constructs) {
  setenv("TZ", "UTC", 1);
  tzset();
  size_t count = 0;
  for (const Json& test : fixture()["constructs"]) {
    SCOPED_TRACE(test["name"].get<std::string>());
    const std::string printed = outcome(test["template"], test["variables"]);
    if (test.contains("expected")) {
      EXPECT_EQ(printed, test["expected"].get<std::string>());
    } else {
      EXPECT_TRUE(printed.starts_with("error: test: line ")) << printed;
      EXPECT_NE(printed.find(test["error"].get<std::string>()), std::string::npos) << printed;
    }
    ++count;
  }
  EXPECT_GT(count, 120u);
}

TEST(JinjaGolden, RealisticTemplates) {
  setenv("TZ", "UTC", 1);
  tzset();
  size_t count = 0;
  for (const Json& group : fixture()["templates"]) {
    const Template chat(group["template"].get<std::string>(), group["name"].get<std::string>());
    for (const Json& test : group["cases"]) {
      SCOPED_TRACE(test["name"].get<std::string>());
      Json variables = test["variables"];
      variables["messages"] = fixture()["messages"][variables["messages"].get<std::string>()];
      if (variables.contains("tools")) variables["tools"] = fixture()["tools"];
      if (test.contains("error")) {
        EXPECT_THROW(render(chat, variables), Error);
      } else {
        EXPECT_EQ(render(chat, variables), test["expected"].get<std::string>());
      }
      ++count;
    }
  }
  EXPECT_GT(count, 500u);
}

}  // namespace
}  // namespace tercet::jinja
