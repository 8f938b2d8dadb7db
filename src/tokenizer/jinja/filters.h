// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tokenizer/jinja/call.h"

// The filters, as Jinja documents them; `tojson` as transformers redefines it.
namespace tercet::jinja {

// filters_text.cc
Value filter_upper(Call& call);
Value filter_lower(Call& call);
Value filter_capitalize(Call& call);
Value filter_title(Call& call);
Value filter_string(Call& call);
Value filter_trim(Call& call);
Value filter_replace(Call& call);
Value filter_join(Call& call);
Value filter_indent(Call& call);
Value filter_wordcount(Call& call);
Value filter_tojson(Call& call);

// filters_number.cc
Value filter_abs(Call& call);
Value filter_int(Call& call);
Value filter_float(Call& call);
Value filter_round(Call& call);
Value filter_sum(Call& call);

// filters_list.cc
Value filter_default(Call& call);
Value filter_length(Call& call);
Value filter_list(Call& call);
Value filter_items(Call& call);
Value filter_first(Call& call);
Value filter_last(Call& call);
Value filter_reverse(Call& call);
Value filter_batch(Call& call);
Value filter_safe(Call& call);

// filters_order.cc
Value filter_sort(Call& call);
Value filter_unique(Call& call);
Value filter_min(Call& call);
Value filter_max(Call& call);
Value filter_dictsort(Call& call);

// filters_select.cc
Value filter_map(Call& call);
Value filter_select(Call& call);
Value filter_reject(Call& call);
Value filter_selectattr(Call& call);
Value filter_rejectattr(Call& call);

}  // namespace tercet::jinja
