// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "formats/json.h"
#include "tokenizer/hf_codec.h"

namespace tercet {

// Reads the text of a tokenizer.json; `origin` names it in errors. Throws kBadInput when it is
// damaged, kUnsupported naming what of it this program does not interpret.
HfSpec parse_tokenizer_json(std::string_view text, const std::string& origin);

// The parts of a tokenizer.json, for readers of other files that describe a tokenizer in its terms.
// Null means absent.
void read_normalizer(const Json& json, const std::string& origin, HfSpec& spec);
// Sets bpe.byte_level when the last step is ByteLevel.
void read_pre_tokenizer(const Json& json, const std::string& origin, HfSpec& spec);
void read_decoder(const Json& json, const std::string& origin, HfSpec& spec);
void read_post_processor(const Json& json, const std::string& origin, HfSpec& spec);

}  // namespace tercet
