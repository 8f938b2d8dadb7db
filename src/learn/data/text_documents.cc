// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "learn/data/byte_source.h"
#include "learn/data/document_source.h"

namespace tercet {
namespace {

constexpr std::string_view kMarker = "<|endoftext|>";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kSpace = " \t\r\n";

class TextDocuments final : public DocumentSource {
 public:
  TextDocuments(const std::filesystem::path& path, const CorpusOptions& options)
      : path_(path),
        piece_bytes_(std::max<size_t>(options.piece_bytes, 64)),
        source_(open_byte_source(path)) {
    refill();
    if (rest().starts_with(kByteOrderMark)) begin_ += kByteOrderMark.size();
  }

  uint64_t stored_bytes_read() const override { return source_->stored_bytes_read(); }

  bool next(DocumentPiece& piece) override {
    while (!finished_) {
      if (take_piece(piece)) return true;
    }
    return false;
  }

 private:
  std::string_view rest() const { return std::string_view(buffer_).substr(begin_); }

  // One step through the file; true when `piece` was filled.
  bool take_piece(DocumentPiece& piece) {
    const size_t marker = rest().find(kMarker);
    if (marker != std::string_view::npos) {
      const std::string_view text = without_last_line_end(rest().substr(0, marker));
      const bool filled = deliver(text, true, piece);
      begin_ += marker + kMarker.size();
      need_line_end_skip_ = true;
      skip_line_end();
      return filled;
    }
    if (!at_end_ && rest().size() < piece_bytes_) {
      refill();
      skip_line_end();
      return false;
    }
    if (at_end_) {
      finished_ = true;
      return deliver(rest(), true, piece);
    }
    // The bytes that may begin a marker stay; so does the white space before it.
    const size_t end = cut_position(rest().substr(0, rest().size() - (kMarker.size() - 1)));
    const bool filled = deliver(rest().substr(0, end), false, piece);
    begin_ += end;
    return filled;
  }

  bool deliver(std::string_view text, bool last, DocumentPiece& piece) {
    const bool opens = !inside_document_;
    if (opens && last && is_blank(text)) return false;
    piece.text.assign(text);
    piece.first = opens;
    piece.last = last;
    inside_document_ = !last;
    return true;
  }

  static std::string_view without_last_line_end(std::string_view text) {
    if (!text.ends_with('\n')) return text;
    text.remove_suffix(1);
    if (text.ends_with('\r')) text.remove_suffix(1);
    return text;
  }

  // The line end after a marker belongs to the marker; it may not have been read yet.
  void skip_line_end() {
    if (!need_line_end_skip_ || (rest().size() < 2 && !at_end_)) return;
    if (rest().starts_with("\r\n")) {
      begin_ += 2;
    } else if (rest().starts_with('\n')) {
      begin_ += 1;
    }
    need_line_end_skip_ = false;
  }

  void refill() {
    buffer_.erase(0, begin_);
    begin_ = 0;
    const size_t old_size = buffer_.size();
    buffer_.resize(std::max(old_size + kMarker.size(), 2 * piece_bytes_));
    size_t filled = old_size;
    while (filled < buffer_.size()) {
      const size_t got = source_->read(std::span(buffer_).subspan(filled));
      if (got == 0) break;
      filled += got;
    }
    at_end_ = filled < buffer_.size();
    buffer_.resize(filled);
    if (std::memchr(buffer_.data() + old_size, 0, filled - old_size) != nullptr) {
      fail(ErrorCode::kBadInput, "'{}' is not text: it holds zero bytes; leave it out",
           path_.string());
    }
  }

  std::filesystem::path path_;
  size_t piece_bytes_;
  std::unique_ptr<ByteSource> source_;
  std::string buffer_;
  size_t begin_ = 0;  // of what is not delivered yet
  bool at_end_ = false;
  bool finished_ = false;
  bool inside_document_ = false;
  bool need_line_end_skip_ = false;
};

}  // namespace

size_t cut_position(std::string_view text) {
  for (const std::string_view stops : {std::string_view("\n"), kSpace}) {
    const size_t stop = text.find_last_of(stops);
    if (stop == std::string_view::npos) continue;
    const size_t word_end = text.find_last_not_of(kSpace, stop);
    if (word_end != std::string_view::npos) return word_end + 1;
  }
  // No white space, or nothing before it: between characters. A character has at most three
  // continuation bytes, so a text that is not UTF-8 is cut at its end.
  const auto continues = [&](size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xC0u) == 0x80u;
  };
  for (size_t back = 1; back <= 4 && back < text.size(); ++back) {
    const size_t at = text.size() - back;
    if (!continues(at)) return at;
  }
  return text.size();
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(kSpace) == std::string_view::npos;
}

std::unique_ptr<DocumentSource> open_text_documents(const std::filesystem::path& path,
                                                    const CorpusOptions& options) {
  return std::make_unique<TextDocuments>(path, options);
}

}  // namespace tercet
