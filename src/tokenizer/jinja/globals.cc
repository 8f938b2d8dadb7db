// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <ctime>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/builtins.h"
#include "tokenizer/jinja/print.h"

namespace tercet::jinja {
namespace {

int64_t bound(Call& call, const Value& value) {
  call.context.require_defined(value);
  if (!value.integer()) {
    call.context.fail("range: '{}' is no integer", value.type_name());
  }
  return *value.integer();
}

Value global_range(Call& call) {
  const int64_t first = bound(call, call.require("start"));
  const Value* second = call.take("stop");
  const Value* third = call.take("step");
  call.done();
  const int64_t begin = second == nullptr ? 0 : first;
  const int64_t end = second == nullptr ? first : bound(call, *second);
  const int64_t step = third == nullptr ? 1 : bound(call, *third);
  if (step == 0) call.context.fail("range: the step is 0");
  std::vector<Value> items;
  const size_t limit = call.context.limits().max_range_items;
  for (int64_t i = begin; step > 0 ? i < end : i > end;) {
    if (items.size() == limit) {
      call.context.fail("range: more than max_range_items = {} items", limit);
    }
    items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return call.context.list(std::move(items), List::Flavor::kRange);
}

// The members of a mapping that may be given, and then the keywords.
Map take_members(Call& call) {
  Map members;
  if (const Value* given = call.take("mapping")) {
    if (const Map* map = given->map()) {
      members = *map;
    } else {
      for (const Value& pair : items_of(call.context, *given)) {
        const std::vector<Value> parts = items_of(call.context, pair);
        if (parts.size() != 2 || !members.set(parts[0], parts[1])) {
          call.context.fail("{}: an item is no pair of a key and a value", call.name);
        }
      }
    }
  }
  for (const auto& [name, value] : call.keywords) members.set(name, value);
  call.used_keywords = call.keywords.size();
  call.done();
  return members;
}

Value global_dict(Call& call) { return call.context.map(take_members(call)); }

Value global_namespace(Call& call) {
  auto space = std::make_shared<Namespace>();
  const Map members = take_members(call);
  for (const auto& [key, value] : members.entries()) {
    if (key.string() == nullptr) call.context.fail("namespace: a name is no string");
    space->attributes.insert_or_assign(key.string()->bytes(), value);
  }
  return call.context.adopt(std::move(space));
}

Value global_raise_exception(Call& call) {
  const Text message = to_text(call.context, call.require("message"));
  call.done();
  call.context.fail("the template says: {}", message.bytes());
}

// The time as Python's strftime() writes it, in the C locale.
Value global_strftime_now(Call& call) {
  const Text* format = call.take_string("format");
  call.done();
  if (format == nullptr) call.context.fail("strftime_now: the format is missing");
  constexpr std::string_view kLetters = "aAbBcdDeFHIjmMnpRSTuUVwWxXyYZz%";
  const std::time_t now = std::chrono::system_clock::to_time_t(call.context.now());
  std::tm parts{};
  localtime_r(&now, &parts);
  std::string out;
  const std::string& bytes = format->bytes();
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != '%') {
      out += bytes[i];
      continue;
    }
    const char letter = ++i < bytes.size() ? bytes[i] : '\0';
    if (letter == '\0' || kLetters.find(letter) == std::string_view::npos) {
      call.context.unsupported("strftime_now: '%{}' is not supported",
                               letter == '\0' ? "" : std::string(1, letter));
    }
    const char directive[] = {'%', letter, '\0'};
    std::array<char, 64> buffer{};
    out.append(buffer.data(), std::strftime(buffer.data(), buffer.size(), directive, &parts));
    call.context.allocate(buffer.size());
  }
  return call.context.string(Text(std::move(out), format->origin()));
}

struct Named {
  std::string_view name;
  Native native;
};
constexpr std::array kGlobals = {
    Named{"dict", global_dict},
    Named{"namespace", global_namespace},
    Named{"raise_exception", global_raise_exception},
    Named{"range", global_range},
    Named{"strftime_now", global_strftime_now},
};

}  // namespace

Native find_global(std::string_view name) {
  const auto found = std::find_if(kGlobals.begin(), kGlobals.end(),
                                  [&](const Named& entry) { return entry.name == name; });
  return found == kGlobals.end() ? nullptr : found->native;
}

}  // namespace tercet::jinja
