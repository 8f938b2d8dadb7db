// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "formats/json.h"
#include "tokenizer/hf_codec.h"
#include "tokenizer/pre_types.h"

namespace tercet {

// What a value of tokenizer.ggml.pre stands for, in the terms of a tokenizer.json. The normalizer
// is null where there is none.
Json normalizer_json(const PreType& type);
Json pre_tokenizer_json(const PreType& type);

// The known type that does what the tokenizer does before it merges; nullptr for none.
const PreType* matching_pre_type(const HfSpec& spec, bool byte_level, bool ignore_merges);

}  // namespace tercet
