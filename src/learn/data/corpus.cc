// SPDX-License-Identifier: Apache-2.0
#include "learn/data/corpus.h"

#include <algorithm>
#include <system_error>

#include "core/error.h"
#include "learn/data/byte_source.h"
#include "learn/data/hash.h"

namespace tercet {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_io(const fs::path& path, const std::error_code& error) {
  fail(ErrorCode::kIo, "cannot read '{}': {}", path.string(), error.message());
}

void collect_directory(const fs::path& directory, std::vector<fs::path>& files) {
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;  // of links that lead nowhere
    if (it->path().filename().string().starts_with('.')) {
      it.disable_recursion_pending();
    } else if (it->is_regular_file(ignored)) {
      found.push_back(it->path());
    }
  }
  if (error) fail_io(directory, error);
  std::sort(found.begin(), found.end());
  files.insert(files.end(), found.begin(), found.end());
}

std::vector<fs::path> collect(const std::vector<fs::path>& inputs) {
  std::vector<fs::path> files;
  for (const fs::path& input : inputs) {
    std::error_code error;
    const fs::file_status status = fs::status(input, error);
    if (error) fail_io(input, error);
    if (fs::is_directory(status)) {
      collect_directory(input, files);
    } else {
      files.push_back(input);
    }
  }
  return files;
}

bool is_json_lines(const fs::path& path) {
  const fs::path extension = unpacked_name(path).extension();
  return extension == ".jsonl" || extension == ".json" || extension == ".ndjson";
}

std::string name_inputs(const std::vector<fs::path>& files) {
  return files.size() == 1 ? fmt::format("'{}'", files[0].string())
                           : fmt::format("the {} files of the corpus", files.size());
}

}  // namespace

CorpusReader::CorpusReader(const std::vector<fs::path>& inputs, const CorpusOptions& options)
    : files_(collect(inputs)), options_(options) {
  if (files_.empty()) {
    fail(ErrorCode::kBadInput, "the corpus is empty: {} has no file that is not hidden",
         inputs.size() == 1 ? fmt::format("'{}'", inputs[0].string()) : "none of its inputs");
  }
  for (const fs::path& file : files_) {
    std::error_code error;
    const uint64_t size = fs::file_size(file, error);
    if (!error) total_bytes_ += size;
  }
}

bool CorpusReader::next(DocumentPiece& piece) {
  while (file_ < files_.size()) {
    const fs::path& file = files_[file_];
    if (current_ == nullptr) {
      current_ = is_json_lines(file) ? open_json_lines(file, options_)
                                     : open_text_documents(file, options_);
    }
    if (current_->next(piece)) {
      ++pieces_;
      documents_ += piece.last ? 1 : 0;
      return true;
    }
    finished_bytes_ += current_->stored_bytes_read();
    current_.reset();
    ++file_;
    pieces_ = 0;
    documents_before_file_ = documents_;
  }
  if (documents_ == 0) {
    fail(ErrorCode::kBadInput, "the corpus is empty: there is no text in {}", name_inputs(files_));
  }
  return false;
}

void CorpusReader::go_to_file(const CorpusPosition& position) {
  current_.reset();
  file_ = std::min(position.file, files_.size());
  pieces_ = 0;
  documents_ = documents_before_file_ = position.documents;
  finished_bytes_ = 0;
  for (size_t i = 0; i < file_; ++i) {
    std::error_code error;
    const uint64_t size = fs::file_size(files_[i], error);
    if (!error) finished_bytes_ += size;
  }
}

uint64_t CorpusReader::fingerprint() const {
  Fnv1a64 hash;
  const auto add = [&hash](const void* bytes, size_t size) {
    hash.update({static_cast<const uint8_t*>(bytes), size});
  };
  for (const fs::path& file : files_) {
    std::error_code ignored;
    const std::string name = fs::absolute(file).lexically_normal().string();
    const uint64_t size = fs::file_size(file, ignored);
    const auto time = fs::last_write_time(file, ignored).time_since_epoch().count();
    add(name.c_str(), name.size() + 1);
    add(&size, sizeof(size));
    add(&time, sizeof(time));
  }
  return hash.value();
}

uint64_t CorpusReader::stored_bytes_read() const {
  return finished_bytes_ + (current_ != nullptr ? current_->stored_bytes_read() : 0);
}

}  // namespace tercet
