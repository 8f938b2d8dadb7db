// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "tokenizer/jinja/builtins.h"
#include "tokenizer/jinja/filters.h"

namespace tercet::jinja {
namespace {

struct Named {
  std::string_view name;
  Native native;
};

constexpr std::array kFilters = {
    Named{"abs", filter_abs},
    Named{"batch", filter_batch},
    Named{"capitalize", filter_capitalize},
    Named{"count", filter_length},
    Named{"d", filter_default},
    Named{"default", filter_default},
    Named{"dictsort", filter_dictsort},
    Named{"first", filter_first},
    Named{"float", filter_float},
    Named{"indent", filter_indent},
    Named{"int", filter_int},
    Named{"items", filter_items},
    Named{"join", filter_join},
    Named{"last", filter_last},
    Named{"length", filter_length},
    Named{"list", filter_list},
    Named{"lower", filter_lower},
    Named{"map", filter_map},
    Named{"max", filter_max},
    Named{"min", filter_min},
    Named{"reject", filter_reject},
    Named{"rejectattr", filter_rejectattr},
    Named{"replace", filter_replace},
    Named{"reverse", filter_reverse},
    Named{"round", filter_round},
    Named{"safe", filter_safe},
    Named{"select", filter_select},
    Named{"selectattr", filter_selectattr},
    Named{"sort", filter_sort},
    Named{"string", filter_string},
    Named{"sum", filter_sum},
    Named{"title", filter_title},
    Named{"tojson", filter_tojson},
    Named{"trim", filter_trim},
    Named{"unique", filter_unique},
    Named{"upper", filter_upper},
    Named{"wordcount", filter_wordcount},
};

}  // namespace

Native find_filter(std::string_view name) {
  const auto found = std::find_if(kFilters.begin(), kFilters.end(),
                                  [&](const Named& entry) { return entry.name == name; });
  return found == kFilters.end() ? nullptr : found->native;
}

}  // namespace tercet::jinja
