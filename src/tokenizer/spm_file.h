// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "tokenizer/vocabulary.h"

namespace tercet {

// Reads the bytes of a SentencePiece `tokenizer.model`; `file` names them in errors. Throws
// kBadInput when they are damaged, and kUnsupported naming the field for a model that is not BPE, a
// normalizer other than identity, or white space treated in another way.
TokenizerSpec parse_spm(std::string_view bytes, const std::string& file);

// parse_spm of a file. Throws kIo when it cannot be read.
TokenizerSpec read_spm_file(const std::filesystem::path& path);

}  // namespace tercet
