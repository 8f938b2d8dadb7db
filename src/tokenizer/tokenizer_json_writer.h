// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "tokenizer/bpe_model.h"
#include "tokenizer/codec.h"
#include "tokenizer/hf_codec.h"
#include "tokenizer/vocabulary.h"

namespace tercet {

// The text of a tokenizer.json that gives the same ids: the file that the tokenizer came with, or
// one made from a pre-tokenizer that has a name. Throws kUnsupported naming what cannot be said.
std::string byte_level_json(const HfSpec& spec, const BpeModel& model);

// The same for a vocabulary with scores: merges in the order of the scores. Bytes that are no UTF-8
// are the exception: there a tokenizer.json knows U+FFFD only.
std::string sentencepiece_json(const Vocabulary& vocabulary, const SpecialIds& ids);

}  // namespace tercet
