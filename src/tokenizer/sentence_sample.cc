// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/sentence_sample.h"

#include <utility>

#include "tokenizer/utf8.h"

namespace tercet {
namespace {

constexpr size_t kMaxSentenceBytes = 4096;  // SentencePiece skips sentences past 4192

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Prefix prefix = utf8_prefix(text);
    if (prefix.kind == Utf8Prefix::Kind::kCharacter) out += text.substr(0, prefix.length);
    text.remove_prefix(prefix.length);
  }
  return out;
}

// Where to end a sentence in `text`, valid UTF-8 that is too long: before a space, else between
// characters.
size_t sentence_end(std::string_view text) {
  const size_t space = text.rfind(' ', kMaxSentenceBytes);
  if (space != std::string_view::npos && space != 0) return space;
  size_t end = kMaxSentenceBytes;
  while ((static_cast<uint8_t>(text[end]) & 0xC0u) == 0x80u) --end;
  return end;
}

}  // namespace

SentenceSample::SentenceSample(uint64_t max_bytes, uint64_t max_sentences, uint64_t seed)
    : max_bytes_(max_bytes), max_sentences_(max_sentences), rng_(seed) {}

void SentenceSample::add(std::string_view text) {
  while (!text.empty()) {
    const size_t end = text.find_first_of("\r\n");
    add_line(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
}

void SentenceSample::add_line(std::string_view line) {
  const std::string valid = valid_utf8(line);
  std::string_view rest = valid;
  while (rest.size() > kMaxSentenceBytes) {
    const size_t end = sentence_end(rest);
    add_sentence(std::string(rest.substr(0, end)));
    rest.remove_prefix(end);
  }
  if (!rest.empty()) add_sentence(std::string(rest));
}

void SentenceSample::add_sentence(std::string sentence) {
  const double key = rng_.uniform();
  if (key >= threshold_) return;
  bytes_ += sentence.size();
  sentences_.push_back(std::move(sentence));
  keys_.push_back(key);
  if (bytes_ > max_bytes_ || sentences_.size() > max_sentences_) shrink();
}

void SentenceSample::shrink() {
  threshold_ *= 0.8;
  size_t kept = 0;
  bytes_ = 0;
  for (size_t i = 0; i < sentences_.size(); ++i) {
    if (keys_[i] >= threshold_) continue;
    bytes_ += sentences_[i].size();
    if (kept != i) sentences_[kept] = std::move(sentences_[i]);
    keys_[kept++] = keys_[i];
  }
  sentences_.resize(kept);
  keys_.resize(kept);
}

}  // namespace tercet
