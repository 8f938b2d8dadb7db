// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace tercet::learn {

// Token ids of consecutive positions that are computed together, each window from an empty context,
// BOS in front where the tokenizer says so.
using Windows = std::vector<std::vector<int32_t>>;

// The text of a file, as long as it has tokens up to `limit` (0: all). Documents are divided by
// lines `<|endoftext|>`; without such lines the file is one document. Each is cut into windows of
// `context` positions (BOS included) or what is left of it; pieces that predict nothing are left
// out. With `cut` only the first window of a document counts. Throws kIo, kBadInput (no window: the
// file and what to do), kUsage for a context below 16.
Windows read_windows(const std::filesystem::path& file, const Tokenizer& tokenizer, int64_t context,
                     int64_t limit, bool cut);

}  // namespace tercet::learn
