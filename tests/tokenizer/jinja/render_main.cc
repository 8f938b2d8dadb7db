// SPDX-License-Identifier: Apache-2.0
// jinja_render --render < {"template": ..., "variables": {...}}: prints what the template gives,
// for scripts/make_chat_golden.py --check.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "tokenizer/jinja/json_value.h"
#include "tokenizer/jinja/template.h"

int main() {
  try {
    const auto request = nlohmann::ordered_json::parse(std::cin);
    const tercet::jinja::Template chat(request["template"].get<std::string>(), "template");
    const char* now = std::getenv("TERCET_TEST_NOW");
    const auto time = std::chrono::system_clock::from_time_t(
        now == nullptr ? std::time(nullptr) : static_cast<std::time_t>(std::atoll(now)));
    const auto variables = tercet::jinja::from_json(request["variables"]);
    const std::string text = chat.render(*variables.map(), time).bytes();
    std::fwrite(text.data(), 1, text.size(), stdout);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
