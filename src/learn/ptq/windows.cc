// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/windows.h"

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "core/file.h"

namespace tercet::learn {
namespace {

constexpr uint64_t kMaxText = uint64_t{1} << 31;
constexpr int64_t kShortest = 2;  // positions of a window that predicts something
constexpr std::string_view kDivider = "<|endoftext|>";

std::string_view stripped(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::vector<std::string_view> documents(std::string_view text) {
  if (text.find(kDivider) == std::string_view::npos) return {text};
  std::vector<std::string_view> out;
  while (true) {
    const size_t end = text.find(kDivider);
    const std::string_view document = stripped(text.substr(0, end));
    if (!document.empty()) out.push_back(document);
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + kDivider.size());
  }
}

// Never splits a character of UTF-8.
std::string_view beginning(std::string_view text, size_t bytes) {
  if (bytes >= text.size()) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0u) == 0x80u) --bytes;
  return text.substr(0, bytes);
}

// The first `most` tokens of a document, which may be far longer than these.
std::vector<int32_t> first_tokens(const Tokenizer& tokenizer, std::string_view document,
                                  int64_t most) {
  // What lies behind a token has an effect on it over less than so many.
  constexpr size_t kMargin = 256;
  constexpr size_t kBytesOfToken = 8;
  const size_t wanted = static_cast<size_t>(std::min<int64_t>(most, std::ssize(document)));
  for (size_t bytes = kBytesOfToken * (wanted + kMargin);; bytes *= 2) {
    const std::string_view part = beginning(document, bytes);
    std::vector<int32_t> ids = tokenizer.encode(part);
    if (part.size() < document.size() && ids.size() < wanted + kMargin) continue;
    if (ids.size() > wanted) ids.resize(wanted);
    return ids;
  }
}

}  // namespace

Windows read_windows(const std::filesystem::path& file, const Tokenizer& tokenizer, int64_t context,
                     int64_t limit, bool cut) {
  if (context < 16) fail(ErrorCode::kUsage, "a context of {} tokens is too short", context);
  const std::string text = read_text_file(file, kMaxText);
  Windows out;
  const int64_t bos = tokenizer.add_bos() && tokenizer.bos_id() >= 0 ? 1 : 0;
  const int64_t room = context - bos;
  int64_t left = limit > 0 ? limit : INT64_MAX;
  for (const std::string_view document : documents(text)) {
    if (left < kShortest) break;
    const std::vector<int32_t> ids = first_tokens(tokenizer, document, cut ? room : left);
    for (int64_t first = 0; first < std::ssize(ids); first += room) {
      const int64_t count = std::min({room, std::ssize(ids) - first, left - bos});
      if (count + bos < kShortest) break;
      std::vector<int32_t> window;
      if (bos > 0) window.push_back(tokenizer.bos_id());
      window.insert(window.end(), ids.begin() + first, ids.begin() + first + count);
      left -= std::ssize(window);
      out.push_back(std::move(window));
      if (cut) break;
    }
  }
  if (out.empty()) {
    fail(ErrorCode::kBadInput, "'{}' is too short: it gives no window of {} tokens or more",
         file.string(), kShortest);
  }
  return out;
}

}  // namespace tercet::learn
