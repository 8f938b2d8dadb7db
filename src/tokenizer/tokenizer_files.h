// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace tercet {

inline constexpr const char* kTokenizerJsonName = "tokenizer.json";
inline constexpr const char* kTokenizerConfigName = "tokenizer_config.json";

// The file that defines the tokenizer at `path`: `path` itself when it is a file; in a directory
// tokenizer.json, else tokenizer.model. Throws kIo when it holds neither.
std::filesystem::path tokenizer_definition(const std::filesystem::path& path);

// Copies what a tokenizer consists of, the definition and the files beside it that say how to use
// it (special tokens, chat template), into the directory `to`, each atomically. `from` as for
// tokenizer_definition(); a lone definition gets the name that its format has in a directory.
// Nothing happens when `to` is where the files are. Throws kIo.
void copy_tokenizer_files(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace tercet
