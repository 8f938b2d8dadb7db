// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "formats/json.h"
#include "learn/data/byte_source.h"
#include "learn/data/document_source.h"

namespace tercet {
namespace {

constexpr size_t kBlockBytes = size_t{128} << 10;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

class JsonLines final : public DocumentSource {
 public:
  JsonLines(const std::filesystem::path& path, const CorpusOptions& options)
      : path_(path), options_(options), source_(open_byte_source(path)) {
    options_.piece_bytes = std::max<size_t>(options.piece_bytes, 64);
  }

  uint64_t stored_bytes_read() const override { return source_->stored_bytes_read(); }

  bool next(DocumentPiece& piece) override {
    while (delivered_ == text_.size()) {
      if (!read_line()) return false;
      text_ = is_blank(line_) ? std::string() : parse_line();
      if (is_blank(text_)) text_.clear();
      delivered_ = 0;
    }
    const std::string_view rest = std::string_view(text_).substr(delivered_);
    const bool last = rest.size() <= options_.piece_bytes;
    const size_t size = last ? rest.size() : cut_position(rest.substr(0, options_.piece_bytes));
    piece.text.assign(rest.substr(0, size));
    piece.first = delivered_ == 0;
    piece.last = last;
    delivered_ += size;
    return true;
  }

 private:
  std::string origin() const { return fmt::format("{}:{}", path_.string(), line_number_); }

  std::string parse_line() const {
    Json object = parse_json(line_, origin(), options_.max_line_bytes);
    if (!object.is_object()) {
      fail(ErrorCode::kBadInput,
           "{}: this line is not a JSON object; one object per line with a field '{}' is expected",
           origin(), options_.text_field);
    }
    const auto field = object.find(options_.text_field);
    if (field == object.end()) {
      fail(ErrorCode::kBadInput, "{}: no field '{}'; name the field that holds the text", origin(),
           options_.text_field);
    }
    if (!field->is_string()) {
      fail(ErrorCode::kBadInput, "{}: the field '{}' is not a string but {}", origin(),
           options_.text_field, field->type_name());
    }
    return std::move(field->get_ref<std::string&>());
  }

  // Fills line_ without its line end; false at the end of the file.
  bool read_line() {
    ++line_number_;
    size_t searched = begin_;
    while (true) {
      const size_t end = buffer_.find('\n', searched);
      const size_t length = (end == std::string::npos ? buffer_.size() : end) - begin_;
      if (length > options_.max_line_bytes) {
        fail(ErrorCode::kBadInput, "{}: the line is longer than {} bytes; is this JSON lines?",
             origin(), options_.max_line_bytes);
      }
      if (end != std::string::npos) return take_line(end, end + 1);
      if (at_end_) return length != 0 && take_line(buffer_.size(), buffer_.size());
      searched = refill();
    }
  }

  bool take_line(size_t end, size_t next_begin) {
    line_.assign(buffer_, begin_, end - begin_);
    if (line_number_ == 1 && line_.starts_with(kByteOrderMark)) {
      line_.erase(0, kByteOrderMark.size());
    }
    if (std::memchr(line_.data(), 0, line_.size()) != nullptr) {
      fail(ErrorCode::kBadInput, "{}: the file is not text: it holds zero bytes; leave it out",
           origin());
    }
    begin_ = next_begin;
    return true;
  }

  // Reads one block more; returns where it starts in buffer_.
  size_t refill() {
    buffer_.erase(0, begin_);
    begin_ = 0;
    const size_t old_size = buffer_.size();
    // A rare long line must not keep its memory for the rest of the file.
    if (old_size == 0 && buffer_.capacity() > 4 * kBlockBytes) buffer_.shrink_to_fit();
    buffer_.resize(old_size + kBlockBytes);
    const size_t got = source_->read(std::span(buffer_).subspan(old_size));
    buffer_.resize(old_size + got);
    at_end_ = got == 0;
    return old_size;
  }

  std::filesystem::path path_;
  CorpusOptions options_;
  std::unique_ptr<ByteSource> source_;
  std::string buffer_;
  size_t begin_ = 0;
  bool at_end_ = false;
  std::string line_;
  uint64_t line_number_ = 0;
  std::string text_;  // of the current document
  size_t delivered_ = 0;
};

}  // namespace

std::unique_ptr<DocumentSource> open_json_lines(const std::filesystem::path& path,
                                                const CorpusOptions& options) {
  return std::make_unique<JsonLines>(path, options);
}

}  // namespace tercet
