// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/print.h"

#include <cmath>

#include "tokenizer/jinja/unicode.h"

namespace tercet::jinja {
namespace {

void print_repr(Context& context, const Value& value, TextBuilder& out);

void append_escaped(char32_t character, char quote, std::string& out) {
  switch (character) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\\':
      out += "\\\\";
      return;
    default:
      break;
  }
  if (character == static_cast<unsigned char>(quote)) {
    out += '\\';
    out += quote;
  } else if (is_printable(character)) {
    append_character(character, out);
  } else if (character <= 0xFF) {
    out += fmt::format("\\x{:02x}", static_cast<uint32_t>(character));
  } else if (character <= 0xFFFF) {
    out += fmt::format("\\u{:04x}", static_cast<uint32_t>(character));
  } else {
    out += fmt::format("\\U{:08x}", static_cast<uint32_t>(character));
  }
}

void print_quoted(Context& context, const Text& text, TextBuilder& out) {
  context.read(text.size());
  const bool double_quotes =
      text.bytes().find('\'') != std::string::npos && text.bytes().find('"') == std::string::npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string escaped(1, quote);
  for (size_t position = 0; position < text.size();) {
    append_escaped(next_character(text.bytes(), position), quote, escaped);
  }
  escaped += quote;
  out.append(escaped, text.origin());
}

void print_items(Context& context, const std::vector<Value>& items, TextBuilder& out) {
  bool first = true;
  for (const Value& item : items) {
    if (!first) out.append(", ", Origin::kTemplate);
    first = false;
    print_repr(context, item, out);
  }
}

void print_list(Context& context, const List& list, TextBuilder& out) {
  const auto surround = [&](std::string_view before, std::string_view after) {
    out.append(before, Origin::kTemplate);
    print_items(context, list.items, out);
    out.append(after, Origin::kTemplate);
  };
  switch (list.flavor) {
    case List::Flavor::kList:
      return surround("[", "]");
    case List::Flavor::kTuple:
      return surround("(", list.items.size() == 1 ? ",)" : ")");
    case List::Flavor::kKeys:
      return surround("dict_keys([", "])");
    case List::Flavor::kValues:
      return surround("dict_values([", "])");
    case List::Flavor::kItems:
      return surround("dict_items([", "])");
    case List::Flavor::kRange:
    case List::Flavor::kIterator:
      context.fail("a {} cannot be printed; write '| list' behind it",
                   list.flavor == List::Flavor::kRange ? "range" : "generator");
  }
}

void print_map(Context& context, const Map& map, TextBuilder& out) {
  out.append("{", Origin::kTemplate);
  bool first = true;
  for (const auto& [key, value] : map.entries()) {
    if (!first) out.append(", ", Origin::kTemplate);
    first = false;
    print_repr(context, key, out);
    out.append(": ", Origin::kTemplate);
    print_repr(context, value, out);
  }
  out.append("}", Origin::kTemplate);
}

void print_repr(Context& context, const Value& value, TextBuilder& out) {
  context.step();
  if (const Text* text = value.string()) {
    print_quoted(context, *text, out);
  } else if (value.is_undefined()) {
    out.append("Undefined", Origin::kTemplate);
  } else {
    print(context, value, out);
  }
}

}  // namespace

std::string format_real(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

void print(Context& context, const Value& value, TextBuilder& out) {
  context.step();
  if (value.is_undefined()) return;
  if (const Text* text = value.string()) {
    out.append(*text);
  } else if (value.is_none()) {
    out.append("None", Origin::kTemplate);
  } else if (value.is_boolean()) {
    out.append(value.boolean() ? "True" : "False", Origin::kTemplate);
  } else if (const auto integer = value.integer()) {
    out.append(fmt::format("{}", *integer), Origin::kTemplate);
  } else if (const auto real = value.number()) {
    out.append(format_real(*real), Origin::kTemplate);
  } else if (const List* list = value.list()) {
    print_list(context, *list, out);
  } else if (const Map* map = value.map()) {
    print_map(context, *map, out);
  } else {
    context.fail("a {} cannot be printed", value.type_name());
  }
}

Text to_text(Context& context, const Value& value) {
  TextBuilder out(context);
  print(context, value, out);
  return out.take();
}

}  // namespace tercet::jinja
