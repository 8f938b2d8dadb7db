// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "tokenizer/jinja/context.h"

namespace tercet::jinja {

// The arguments of the tojson filter as transformers defines it.
struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // of one level; nothing: all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

// `value` as Python's json.dumps writes it. All of it counts as data when any string in it does.
// Throws kBadInput for what JSON has no form of.
Text to_json(Context& context, const Value& value, const JsonStyle& style);

}  // namespace tercet::jinja
