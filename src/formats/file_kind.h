// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace tercet {

// What a file is, by its first bytes. Everything but the first four kinds is something that people
// take for a model: another project's format, an archive, or what a failed download leaves.
enum class FileKind {
  kGguf,
  kSafetensors,
  kSentencePiece,
  kJson,
  kEmpty,
  kZeros,
  kGitLfsPointer,
  kHtml,
  kXml,
  kPickle,
  kBigEndianGguf,
  kOldGgml,
  kOtherWeights,
  kArchive,
  kText,
  kUnknown,
};

struct FileDescription {
  FileKind kind = FileKind::kUnknown;
  std::string what;    // a clause that follows "it is", e.g. "a gzip archive"
  std::string advice;  // what to do about it; empty where nothing helps
};

// Looks at the first 4 KiB of `bytes` at most.
FileDescription describe_file(std::span<const uint8_t> bytes);

// "it is a gzip archive; unpack it first": `what` and `advice` as the end of a sentence.
std::string explain(const FileDescription& description);

// Why a directory without config.json is no model and what is in its place, in the same form: "it
// holds 'a.gguf'; give that file".
std::string explain_directory(const std::filesystem::path& directory);

}  // namespace tercet
