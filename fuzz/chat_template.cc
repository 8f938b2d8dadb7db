// SPDX-License-Identifier: Apache-2.0
// A chat template, rendered with fixed messages and tools.
#include "formats/json.h"
#include "fuzz/target.h"
#include "tokenizer/jinja/json_value.h"
#include "tokenizer/jinja/template.h"

namespace tercet::fuzz {
namespace {

using jinja::Origin;
using jinja::Text;

// Small, so that a run is quick and what exceeds them is refused; above what the seeds need.
constexpr jinja::Limits kLimits = {.max_template_bytes = 64 << 10,
                                   .max_nodes = 20'000,
                                   .max_steps = 50'000,
                                   .max_output_bytes = 256 << 10,
                                   .max_memory_bytes = 4 << 20,
                                   .max_collection_items = 10'000,
                                   .max_range_items = 1'000};

// Stands for what a user typed: the templates cannot spell it.
constexpr char kMark = '\x01';

constexpr std::string_view kVariables = R"({
  "messages": [
    {"role": "system", "content": "Be \u0001brief\u0001."},
    {"role": "user", "content": " \u0001What is <b>it</b>?\u0001 "},
    {"role": "assistant", "content": "", "tool_calls": [
      {"id": "call00001", "type": "function",
       "function": {"name": "look_up", "arguments": {"words": ["\u0001a\u0001"], "n": 3}}}]},
    {"role": "tool", "name": "look_up", "tool_call_id": "call00001", "content": "\u00019\u0001"},
    {"role": "user", "content": [{"type": "text", "text": "\u0001\u4e2d\u6587 \ud83d\ude00\u0001"}]}],
  "tools": [{"type": "function", "function": {"name": "look_up", "description": "Looks up.",
    "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}}}}],
  "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"})";

const jinja::Map& variables() {
  static const jinja::Value value = jinja::from_json(nlohmann::ordered_json::parse(kVariables));
  return *value.map();
}

void check_ranges(const Text& text) {
  size_t end = 0;
  for (const TextRange& range : text.data_ranges()) {
    require(range.begin >= end && range.begin < range.end, "ranges of data ascend");
    end = range.end;
  }
  require(end <= text.size(), "ranges of data lie in the text");
}

void render(std::string_view source) {
  const jinja::Template parsed(source, "fuzz", kLimits);
  const Text text = parsed.render(variables(), {});
  require(text.size() <= kLimits.max_output_bytes, "the output is bounded");
  check_ranges(text);
  // A template with an escape may make the mark itself.
  if (source.find_first_of("\\\x01") != std::string_view::npos) return;
  for (size_t at = 0; (at = text.bytes().find(kMark, at)) != std::string::npos; ++at) {
    require(text.origin_at(at) == Origin::kData, "what users typed stays known as such");
  }
}

}  // namespace
}  // namespace tercet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tercet::fuzz::accept_or_refuse([&] {
    tercet::fuzz::render(tercet::fuzz::text_of({data, size}));
  });
  return 0;
}
