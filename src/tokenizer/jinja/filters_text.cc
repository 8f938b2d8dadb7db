// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/text_operations.h"
#include "tokenizer/jinja/to_json.h"

namespace tercet::jinja {
namespace {

Value cased(Call& call, Case wanted) {
  call.done();
  return call.context.string(change_case(call.context, call.self_text(), wanted));
}

}  // namespace

Value filter_upper(Call& call) { return cased(call, Case::kUpper); }
Value filter_lower(Call& call) { return cased(call, Case::kLower); }
Value filter_capitalize(Call& call) { return cased(call, Case::kCapitalized); }
Value filter_title(Call& call) { return cased(call, Case::kWordTitle); }

Value filter_string(Call& call) {
  call.done();
  return call.context.string(call.self_text());
}

Value filter_trim(Call& call) {
  const Text* characters = call.take_string("chars");
  call.done();
  return call.context.string(strip(call.context, call.self_text(), characters, Side::kBoth));
}

Value filter_replace(Call& call) {
  const Text from = to_text(call.context, call.require("old"));
  const Text to = to_text(call.context, call.require("new"));
  const int64_t count = call.take_integer("count", -1);
  call.done();
  return call.context.string(replace(call.context, call.self_text(), from, to, count));
}

Value filter_join(Call& call) {
  const Value* given = call.take("d");
  const Value* attribute = call.take("attribute");
  call.done();
  const Text separator = given == nullptr ? Text() : to_text(call.context, *given);
  TextBuilder out(call.context);
  bool first = true;
  for (const Value& item : items_of(call.context, call.self)) {
    if (!first) out.append(separator);
    first = false;
    print(call.context, attribute == nullptr ? item : get_path(call.context, item, *attribute),
          out);
  }
  return call.context.string(out.take());
}

Value filter_indent(Call& call) {
  const Value* width = call.take("width");
  const bool first = call.take_boolean("first", false);
  const bool blank = call.take_boolean("blank", false);
  call.done();
  Context& context = call.context;
  Text indentation(std::string(4, ' '));
  if (width != nullptr && width->string() != nullptr) {
    indentation = *width->string();
  } else if (width != nullptr) {
    const int64_t spaces = width->integer().value_or(-1);
    if (spaces < 0 || spaces > 1000) context.fail("indent: the width must be in [0, 1000]");
    indentation = Text(std::string(static_cast<size_t>(spaces), ' '));
  }
  Text text = call.self_text();
  text.append("\n", Origin::kTemplate);
  TextBuilder out(context);
  if (first) out.append(indentation);
  bool at_first = true;
  for (const Value& line : split_lines(context, text, false)) {
    if (!at_first) out.append("\n", Origin::kTemplate);
    if (!at_first && (blank || !line.string()->empty())) out.append(indentation);
    at_first = false;
    out.append(*line.string());
  }
  return context.string(out.take());
}

Value filter_wordcount(Call& call) {
  call.done();
  return Value(static_cast<int64_t>(split(call.context, call.self_text(), nullptr, -1).size()));
}

Value filter_tojson(Call& call) {
  JsonStyle style;
  style.ensure_ascii = call.take_boolean("ensure_ascii", false);
  const Value* indent = call.take("indent");
  if (indent != nullptr && indent->string() != nullptr) {
    style.indent = indent->string()->bytes();
  } else if (indent != nullptr && indent->integer()) {
    if (*indent->integer() > 100) call.context.fail("tojson: an indent of more than 100");
    const auto spaces = static_cast<size_t>(std::max<int64_t>(*indent->integer(), 0));
    style.indent = std::string(spaces, ' ');
  }
  if (style.indent) style.item_separator = ",";
  const Value* separators = call.take("separators");
  if (separators != nullptr && !separators->is_none()) {
    const std::vector<Value> pair = items_of(call.context, *separators);
    if (pair.size() != 2 || pair[0].string() == nullptr || pair[1].string() == nullptr) {
      call.context.fail("tojson: 'separators' must be two strings");
    }
    style.item_separator = pair[0].string()->bytes();
    style.key_separator = pair[1].string()->bytes();
  }
  style.sort_keys = call.take_boolean("sort_keys", false);
  call.done();
  return call.context.string(to_json(call.context, call.self, style));
}

}  // namespace tercet::jinja
