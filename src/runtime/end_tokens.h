// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "model/model.h"

namespace tercet {

// Every token that ends an answer of `model`: those its files name (config.json,
// generation_config.json, the eos, eot and eom ids of GGUF, the EOS of the tokenizer), and the
// control tokens that end a turn in the known families, such as <|im_end|>. Chat models end their
// turns by a token that their files often do not call EOS. Ascending, each once.
std::vector<int32_t> end_of_generation_ids(const Model& model);

}  // namespace tercet
