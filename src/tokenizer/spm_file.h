// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "tokenizer/vocabulary.h"

namespace tercet {

// Reads a SentencePiece `tokenizer.model`. Throws kIo, kBadInput when the file is damaged, and
// kUnsupported naming the field for a model that is not BPE, a normalizer other than identity, or
// white space treated in another way.
TokenizerSpec read_spm_file(const std::filesystem::path& path);

}  // namespace tercet
