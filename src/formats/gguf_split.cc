// SPDX-License-Identifier: Apache-2.0
//
// Opening a GGUF model that lies in one file or in several.
#include <fmt/format.h>

#include <optional>
#include <utility>

#include "core/error.h"
#include "formats/gguf.h"
#include "formats/gguf_parse.h"
#include "formats/gguf_types.h"
#include "formats/printable.h"

namespace tercet {
namespace fs = std::filesystem;

namespace {

// Which part of how many a file says it is.
struct Split {
  int64_t number = 0;  // from 0
  int64_t count = 1;
  std::optional<int64_t> tensors;  // of all parts
};

std::optional<int64_t> find_integer(const GgufContents& contents, const char* key,
                                    const std::string& origin) {
  const auto position = contents.metadata_index.find(key);
  if (position == contents.metadata_index.end()) return std::nullopt;
  const GgufValue& value = contents.metadata[position->second].second;
  constexpr uint64_t kLargest = uint64_t{1} << 31;  // parts or tensors
  if (const auto* number = std::get_if<int64_t>(&value.value)) {
    if (*number >= 0 && static_cast<uint64_t>(*number) <= kLargest) return *number;
  } else if (const auto* whole = std::get_if<uint64_t>(&value.value)) {
    if (*whole <= kLargest) return static_cast<int64_t>(*whole);
  }
  fail(ErrorCode::kBadInput, "{}: metadata '{}' is no number of parts or tensors", origin, key);
}

Split read_split(const GgufContents& contents, const std::string& origin) {
  Split split;
  split.count = find_integer(contents, kGgufSplitCount, origin).value_or(1);
  split.number = find_integer(contents, kGgufSplitNo, origin).value_or(0);
  split.tensors = find_integer(contents, kGgufSplitTensors, origin);
  if (split.count <= 1) return {0, 1, split.tensors};
  if (split.number >= split.count) {
    fail(ErrorCode::kBadInput, "{}: {} is {} of {} parts", origin, kGgufSplitNo, split.number,
         split.count);
  }
  return split;
}

std::string part_suffix(int64_t number, int64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", number + 1, count);
}

// What precedes "-00002-of-00003.gguf" in the name of a part.
std::string part_prefix(const fs::path& path, const Split& split) {
  const std::string name = path.filename().string();
  const std::string suffix = part_suffix(split.number, split.count);
  if (name.size() > suffix.size() && name.ends_with(suffix)) {
    return name.substr(0, name.size() - suffix.size());
  }
  fail(ErrorCode::kBadInput,
       "{}: this is part {} of {} of a model; its name must end in '{}' for the others to be found",
       path.string(), split.number + 1, split.count, suffix);
}

void check_part(const GgufContents& part, const Split& wanted, const std::string& origin) {
  const Split found = read_split(part, origin);
  if (found.number == wanted.number && found.count == wanted.count &&
      found.tensors == wanted.tensors) {
    return;
  }
  fail(ErrorCode::kBadInput,
       "{}: the file says it is part {} of {} of a model with {} tensors, its name and the part "
       "that was opened say {} of {} with {}; the parts do not belong together",
       origin, found.number + 1, found.count, found.tensors.value_or(0), wanted.number + 1,
       wanted.count, wanted.tensors.value_or(0));
}

fs::path existing_part(const fs::path& path, const Split& split) {
  std::error_code error;
  if (fs::exists(path, error)) return path;
  fail(ErrorCode::kIo, "'{}' is missing: part {} of {} of a model; all parts must lie together",
       path.string(), split.number + 1, split.count);
}

}  // namespace

GgufFile::GgufFile(const fs::path& path) : path_(path) {
  MappedFile named(path);
  GgufContents contents = parse_gguf(named.bytes(), path.string());
  const Split split = read_split(contents, path.string());
  version_ = contents.version;
  const auto add = [this](MappedFile file, GgufContents part) {
    add_part(std::move(part), file.bytes().size(), file.path().string());
    files_.push_back(std::move(file));
  };
  const std::string prefix = split.count == 1 ? "" : part_prefix(path, split);
  for (int64_t number = 0; number < split.count; ++number) {
    if (number == split.number) {
      add(std::move(named), std::move(contents));
      continue;
    }
    const Split wanted{number, split.count, split.tensors};
    const fs::path other = path.parent_path() / (prefix + part_suffix(number, split.count));
    MappedFile file(existing_part(other, wanted));
    GgufContents part = parse_gguf(file.bytes(), other.string());
    check_part(part, wanted, other.string());
    add(std::move(file), std::move(part));
  }
  if (split.tensors && *split.tensors != static_cast<int64_t>(tensors_.size())) {
    fail(ErrorCode::kBadInput, "{}: {} is {}, but the {} parts hold {} tensors", path.string(),
         kGgufSplitTensors, *split.tensors, split.count, tensors_.size());
  }
}

GgufFile::GgufFile(std::span<const uint8_t> bytes, fs::path name) : path_(std::move(name)) {
  GgufContents contents = parse_gguf(bytes, path_.string());
  version_ = contents.version;
  add_part(std::move(contents), bytes.size(), path_.string());
}

// The first part has the metadata; the others only say which they are.
void GgufFile::add_part(GgufContents contents, uint64_t bytes, const std::string& origin) {
  if (file_bytes_ == 0) {
    metadata_ = std::move(contents.metadata);
    metadata_index_ = std::move(contents.metadata_index);
  }
  file_bytes_ += bytes;
  for (TensorView& tensor : contents.tensors) {
    if (!tensor_index_.emplace(tensor.name, tensors_.size()).second) {
      fail(ErrorCode::kBadInput, "{}: tensor '{}' is in another part of the model too", origin,
           printable(tensor.name));
    }
    tensors_.push_back(std::move(tensor));
  }
}

}  // namespace tercet
