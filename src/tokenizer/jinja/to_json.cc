// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/to_json.h"

#include <algorithm>
#include <cmath>

#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/unicode.h"

namespace tercet::jinja {
namespace {

class JsonPrinter {
 public:
  JsonPrinter(Context& context, const JsonStyle& style) : context_(context), style_(style) {}

  void print(const Value& value) {
    context_.step();
    if (const Text* text = value.string()) return print_string(*text);
    if (value.is_none()) return put("null");
    if (value.is_boolean()) return put(value.boolean() ? "true" : "false");
    if (const auto integer = value.integer()) return put(fmt::format("{}", *integer));
    if (const auto real = value.number()) return print_real(*real);
    const List* list = value.list();
    if (list != nullptr && list->flavor <= List::Flavor::kTuple) return print_list(*list);
    if (const Map* map = value.map()) return print_map(*map);
    context_.require_defined(value);
    context_.fail("tojson: a value of type '{}' has no form in JSON", value.type_name());
  }

  Text take() { return Text(std::move(out_), origin_); }

 private:
  void put(std::string_view text) {
    context_.allocate(text.size());
    out_ += text;
  }

  void new_line() {
    if (!style_.indent) return;
    put("\n");
    for (int i = 0; i < depth_; ++i) put(*style_.indent);
  }

  void print_real(double value) {
    put(std::isnan(value)   ? "NaN"
        : std::isinf(value) ? (value > 0 ? "Infinity" : "-Infinity")
                            : format_real(value));
  }

  void append_escape(char32_t character, std::string& out) const {
    const auto unit = [&](char32_t code) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(code));
    };
    constexpr std::string_view kShort = "\"\\\n\r\t\b\f";
    constexpr std::string_view kLetters = "\"\\nrtbf";
    const size_t place =
        character < 0x80 ? kShort.find(static_cast<char>(character)) : std::string_view::npos;
    if (place != std::string_view::npos) {
      out += '\\';
      out += kLetters[place];
    } else if (character < 0x20 ||
               (style_.ensure_ascii && character > 0x7E && character < 0x10000)) {
      unit(character);
    } else if (style_.ensure_ascii && character > 0xFFFF) {
      unit(0xD800 + ((character - 0x10000) >> 10));
      unit(0xDC00 + ((character - 0x10000) & 0x3FF));
    } else {
      append_character(character, out);
    }
  }

  void print_string(const Text& text) {
    context_.read(text.size());
    if (text.origin() == Origin::kData) origin_ = Origin::kData;
    std::string quoted = "\"";
    for (size_t position = 0; position < text.size();) {
      append_escape(next_character(text.bytes(), position), quoted);
    }
    put(quoted += '"');
  }

  void print_list(const List& list) {
    if (list.items.empty()) return put("[]");
    put("[");
    ++depth_;
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) put(style_.item_separator);
      new_line();
      print(list.items[i]);
    }
    --depth_;
    new_line();
    put("]");
  }

  void print_key(const Value& key) {
    if (const Text* text = key.string()) return print_string(*text);
    put("\"");
    print(key);
    put("\"");
  }

  void print_map(const Map& map) {
    if (map.entries().empty()) return put("{}");
    std::vector<const Map::Entry*> order;
    order.reserve(map.entries().size());
    for (const Map::Entry& entry : map.entries()) order.push_back(&entry);
    if (style_.sort_keys) sort_by_key(order);
    put("{");
    ++depth_;
    for (size_t i = 0; i < order.size(); ++i) {
      if (i > 0) put(style_.item_separator);
      new_line();
      print_key(order[i]->first);
      put(style_.key_separator);
      print(order[i]->second);
    }
    --depth_;
    new_line();
    put("}");
  }

  void sort_by_key(std::vector<const Map::Entry*>& order) {
    for (const Map::Entry* entry : order) {
      if (entry->first.string() == nullptr) {
        context_.unsupported("tojson: sort_keys of a mapping whose keys are not all strings");
      }
    }
    context_.step(order.size() * 20);
    std::sort(order.begin(), order.end(), [](const Map::Entry* a, const Map::Entry* b) {
      return a->first.string()->bytes() < b->first.string()->bytes();
    });
  }

  Context& context_;
  const JsonStyle& style_;
  std::string out_;
  Origin origin_ = Origin::kTemplate;
  int depth_ = 0;
};

}  // namespace

Text to_json(Context& context, const Value& value, const JsonStyle& style) {
  JsonPrinter printer(context, style);
  printer.print(value);
  return printer.take();
}

}  // namespace tercet::jinja
