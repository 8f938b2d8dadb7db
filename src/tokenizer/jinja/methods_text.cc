// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/compare.h"
#include "tokenizer/jinja/methods.h"
#include "tokenizer/jinja/text_operations.h"
#include "tokenizer/jinja/unicode.h"

namespace tercet::jinja {
namespace {

constexpr auto npos = std::string_view::npos;

const Text& self(const Call& call) { return *call.self.string(); }

const Text& require_string(Call& call, std::string_view parameter) {
  const Value& value = call.require(parameter);
  call.context.require_defined(value);
  if (value.string() == nullptr) {
    call.context.fail("{}: '{}' must be a string, not '{}'", call.name, parameter,
                      value.type_name());
  }
  return *value.string();
}

template <Case wanted>
Value cased(Call& call) {
  call.done();
  return call.context.string(change_case(call.context, self(call), wanted));
}

template <Side side>
Value stripped(Call& call) {
  const Text* characters = call.take_string("chars");
  call.done();
  return call.context.string(strip(call.context, self(call), characters, side));
}

Value method_split(Call& call) {
  const Text* separator = call.take_string("sep");
  const int64_t limit = call.take_integer("maxsplit", -1);
  call.done();
  return call.context.list(split(call.context, self(call), separator, limit));
}

Value method_rsplit(Call& call) {
  const Text* separator = call.take_string("sep");
  const int64_t limit = call.take_integer("maxsplit", -1);
  call.done();
  if (separator == nullptr && limit >= 0) {
    call.context.unsupported("rsplit at white space with a limit is not supported");
  }
  return call.context.list(separator == nullptr
                               ? split(call.context, self(call), nullptr, -1)
                               : split_right(call.context, self(call), *separator, limit));
}

Value method_splitlines(Call& call) {
  const bool keep_ends = call.take_boolean("keepends", false);
  call.done();
  return call.context.list(split_lines(call.context, self(call), keep_ends));
}

Value method_replace(Call& call) {
  const Text& from = require_string(call, "old");
  const Text& to = require_string(call, "new");
  const int64_t count = call.take_integer("count", -1);
  call.done();
  return call.context.string(replace(call.context, self(call), from, to, count));
}

Value method_join(Call& call) {
  const Value& parts = call.require("iterable");
  call.done();
  call.context.require_defined(parts);
  TextBuilder out(call.context);
  bool first = true;
  for (const Value& item : items_of(call.context, parts)) {
    if (item.string() == nullptr) {
      call.context.fail("join: an item is '{}', not a string", item.type_name());
    }
    if (!first) out.append(self(call));
    first = false;
    out.append(*item.string());
  }
  return call.context.string(out.take());
}

// startswith and endswith: of one string or any of a tuple, in the text from character `start` to
// `end`.
template <bool at_end>
Value has_affix(Call& call) {
  const Value& wanted = call.require(at_end ? "suffix" : "prefix");
  const Value* start = call.take("start");
  const Value* end = call.take("end");
  call.done();
  const auto place = [](const Value* value) {
    return value == nullptr ? std::nullopt : value->integer();
  };
  const Value part = start == nullptr && end == nullptr
                         ? call.self
                         : get_slice(call.context, call.self, place(start), place(end), {});
  const std::string& text = part.string()->bytes();
  const auto matches = [&](const Value& affix) {
    if (affix.string() == nullptr) {
      call.context.fail("{}: '{}' is no string", call.name, affix.type_name());
    }
    const std::string& bytes = affix.string()->bytes();
    return at_end ? text.ends_with(bytes) : text.starts_with(bytes);
  };
  const List* several = wanted.list();
  if (several == nullptr || several->flavor != List::Flavor::kTuple) return Value(matches(wanted));
  return Value(std::any_of(several->items.begin(), several->items.end(), matches));
}

// find, rfind, index, rindex: the character where `sub` is, -1 or an error when it is nowhere.
template <bool from_right, bool must>
Value find_part(Call& call) {
  const Text& part = require_string(call, "sub");
  const int64_t start = call.take_integer("start", 0);
  call.done();
  const std::string& bytes = self(call).bytes();
  call.context.read(bytes.size());
  const auto count = static_cast<int64_t>(character_count(bytes));
  const int64_t first = start < 0 ? std::max<int64_t>(start + count, 0) : start;
  size_t found = npos;
  if (first <= count) {
    const size_t begin = character_offset(bytes, static_cast<size_t>(first));
    found = from_right ? find_last_text(call.context, bytes, part.bytes())
                       : find_text(call.context, bytes, part.bytes(), begin);
    if (found != npos && found < begin) found = npos;
  }
  if (found == npos && must) call.context.fail("{}: the part is not in the string", call.name);
  if (found == npos) return Value(int64_t{-1});
  return Value(static_cast<int64_t>(character_count(std::string_view(bytes).substr(0, found))));
}

Value method_count(Call& call) {
  const Text& part = require_string(call, "sub");
  call.done();
  const std::string& bytes = self(call).bytes();
  if (part.empty()) return Value(static_cast<int64_t>(character_count(bytes)) + 1);
  int64_t count = 0;
  for (size_t place = find_text(call.context, bytes, part.bytes()); place != npos; ++count) {
    place = find_text(call.context, bytes, part.bytes(), place + part.size());
  }
  return Value(count);
}

template <bool prefix>
Value method_remove(Call& call) {
  const Text& part = require_string(call, prefix ? "prefix" : "suffix");
  call.done();
  const Text& text = self(call);
  const bool there =
      prefix ? text.bytes().starts_with(part.bytes()) : text.bytes().ends_with(part.bytes());
  if (!there) return call.self;
  call.context.allocate(text.size());
  return call.context.string(prefix ? text.slice(part.size(), text.size())
                                    : text.slice(0, text.size() - part.size()));
}

template <bool from_right>
Value method_partition(Call& call) {
  const Text& separator = require_string(call, "sep");
  call.done();
  const Text& text = self(call);
  Context& context = call.context;
  if (separator.empty()) context.fail("{}: the separator is empty", call.name);
  const size_t found = from_right ? find_last_text(context, text.bytes(), separator.bytes())
                                  : find_text(context, text.bytes(), separator.bytes());
  const Value empty{std::string()};
  if (found == npos) {
    return context.list(from_right ? std::vector<Value>{empty, empty, call.self}
                                   : std::vector<Value>{call.self, empty, empty},
                        List::Flavor::kTuple);
  }
  context.allocate(text.size());
  const size_t behind = found + separator.size();
  return context.list(
      {context.string(text.slice(0, found)), context.string(text.slice(found, behind)),
       context.string(text.slice(behind, text.size()))},
      List::Flavor::kTuple);
}

template <bool (*test)(char32_t)>
Value all_characters(Call& call) {
  call.done();
  const std::string& bytes = self(call).bytes();
  call.context.read(bytes.size());
  for (size_t position = 0; position < bytes.size();) {
    if (!test(next_character(bytes, position))) return Value(false);
  }
  return Value(!bytes.empty());
}

bool is_letter_or_digit(char32_t c) { return is_letter(c) || is_digit(c); }

template <Case wanted>
Value has_case(Call& call) {
  call.done();
  const Text& text = self(call);
  const bool letters = change_case(call.context, text, Case::kUpper).bytes() !=
                       change_case(call.context, text, Case::kLower).bytes();
  return Value(letters && change_case(call.context, text, wanted).bytes() == text.bytes());
}

// ljust, rjust and zfill are padding on one side.
template <Side side>
Value padded(Call& call) {
  const int64_t width = call.take_integer("width", 0);
  const Text* given = call.take_string("fillchar");
  call.done();
  const Text fill = given == nullptr ? Text(" ") : *given;
  if (character_count(fill.bytes()) != 1) {
    call.context.fail("{}: 'fillchar' must be one character", call.name);
  }
  const Text& text = self(call);
  const int64_t missing = width - static_cast<int64_t>(character_count(text.bytes()));
  TextBuilder out(call.context);
  if (side == Side::kLeft) out.append(text);
  for (int64_t i = 0; i < missing; ++i) {
    call.context.step();
    out.append(fill);
  }
  if (side == Side::kRight) out.append(text);
  return call.context.string(out.take());
}

struct Named {
  std::string_view name;
  Native native;
};

constexpr std::array kMethods = {
    Named{"capitalize", cased<Case::kCapitalized>},
    Named{"count", method_count},
    Named{"endswith", has_affix<true>},
    Named{"find", find_part<false, false>},
    Named{"index", find_part<false, true>},
    Named{"isalnum", all_characters<is_letter_or_digit>},
    Named{"isalpha", all_characters<is_letter>},
    Named{"isdigit", all_characters<is_digit>},
    Named{"islower", has_case<Case::kLower>},
    Named{"isspace", all_characters<is_space>},
    Named{"isupper", has_case<Case::kUpper>},
    Named{"join", method_join},
    Named{"ljust", padded<Side::kLeft>},
    Named{"lower", cased<Case::kLower>},
    Named{"lstrip", stripped<Side::kLeft>},
    Named{"partition", method_partition<false>},
    Named{"removeprefix", method_remove<true>},
    Named{"removesuffix", method_remove<false>},
    Named{"replace", method_replace},
    Named{"rfind", find_part<true, false>},
    Named{"rindex", find_part<true, true>},
    Named{"rjust", padded<Side::kRight>},
    Named{"rpartition", method_partition<true>},
    Named{"rsplit", method_rsplit},
    Named{"rstrip", stripped<Side::kRight>},
    Named{"split", method_split},
    Named{"splitlines", method_splitlines},
    Named{"startswith", has_affix<false>},
    Named{"strip", stripped<Side::kBoth>},
    Named{"title", cased<Case::kTitle>},
    Named{"upper", cased<Case::kUpper>},
};

constexpr std::string_view kUnsupported =
    "casefold center encode expandtabs format format_map isascii isdecimal isidentifier isnumeric "
    "isprintable istitle maketrans swapcase translate zfill";

}  // namespace

Native find_text_method(Context& context, std::string_view name) {
  const auto found = std::find_if(kMethods.begin(), kMethods.end(),
                                  [&](const Named& entry) { return entry.name == name; });
  if (found != kMethods.end()) return found->native;
  if (is_listed(name, kUnsupported)) {
    context.unsupported("the string method '{}' is not supported", name);
  }
  return nullptr;
}

}  // namespace tercet::jinja
