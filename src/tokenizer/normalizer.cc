// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "core/error.h"
#include "tokenizer/unicode.h"

namespace tercet {
namespace {

constexpr size_t kMaxDecomposition = 32;  // code points of one; 18 is the longest in Unicode

struct CodeRange {
  uint32_t first;
  uint32_t last;
};

template <size_t Count>
bool contains(const CodeRange (&ranges)[Count], uint32_t code) {
  const CodeRange* const after = std::upper_bound(
      std::begin(ranges), std::end(ranges), code,
      [](uint32_t wanted, const CodeRange& range) { return wanted < range.first; });
  return after != std::begin(ranges) && code <= (after - 1)->last;
}

// The Rust tokenizers normalize by the tables of Unicode 9. What later versions added and is
// decomposed, put in order or a mark there is left alone, as they leave it.
// clang-format off
constexpr CodeRange kNewerThanReference[] = {
    {0x7FD, 0x7FD}, {0x897, 0x89F}, {0x8CA, 0x8D3}, {0x9FE, 0x9FE}, {0xAFA, 0xAFF}, {0xB55, 0xB55},
    {0xC04, 0xC04}, {0xC3C, 0xC3C}, {0xCF3, 0xCF3}, {0xD00, 0xD00}, {0xD3B, 0xD3C}, {0xD81, 0xD81},
    {0xEBA, 0xEBA}, {0xECE, 0xECE}, {0x1715, 0x1715}, {0x180F, 0x180F}, {0x1ABF, 0x1ACE},
    {0x1CF7, 0x1CF7}, {0x1DF6, 0x1DFA}, {0x32FF, 0x32FF}, {0xA7F2, 0xA7F4}, {0xA82C, 0xA82C},
    {0xA8FF, 0xA8FF}, {0xAB69, 0xAB69}, {0x10781, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA},
    {0x10D24, 0x10D27}, {0x10D69, 0x10D6D}, {0x10EAB, 0x10EAC}, {0x10EFC, 0x10EFF},
    {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x11073, 0x11074},
    {0x110C2, 0x110C2}, {0x11145, 0x11146}, {0x111C9, 0x111C9}, {0x111CE, 0x111CF},
    {0x11241, 0x11241}, {0x1133B, 0x1133B}, {0x113B8, 0x113C0}, {0x113C2, 0x113C2},
    {0x113C5, 0x113C5}, {0x113C7, 0x113CA}, {0x113CC, 0x113D0}, {0x113D2, 0x113D2},
    {0x113E1, 0x113E2}, {0x1145E, 0x1145E}, {0x1182C, 0x1183A}, {0x11930, 0x11935},
    {0x11937, 0x11938}, {0x1193B, 0x1193E}, {0x11940, 0x11940}, {0x11942, 0x11943},
    {0x119D1, 0x119D7}, {0x119DA, 0x119E0}, {0x119E4, 0x119E4}, {0x11A01, 0x11A0A},
    {0x11A33, 0x11A39}, {0x11A3B, 0x11A3E}, {0x11A47, 0x11A47}, {0x11A51, 0x11A5B},
    {0x11A8A, 0x11A99}, {0x11D31, 0x11D36}, {0x11D3A, 0x11D3A}, {0x11D3C, 0x11D3D},
    {0x11D3F, 0x11D45}, {0x11D47, 0x11D47}, {0x11D8A, 0x11D8E}, {0x11D90, 0x11D91},
    {0x11D93, 0x11D97}, {0x11EF3, 0x11EF6}, {0x11F00, 0x11F01}, {0x11F03, 0x11F03},
    {0x11F34, 0x11F3A}, {0x11F3E, 0x11F42}, {0x11F5A, 0x11F5A}, {0x13440, 0x13440},
    {0x13447, 0x13455}, {0x1611E, 0x1612F}, {0x16F4F, 0x16F4F}, {0x16F7F, 0x16F87},
    {0x16FE4, 0x16FE4}, {0x16FF0, 0x16FF1}, {0x1CF00, 0x1CF2D}, {0x1CF30, 0x1CF46},
    {0x1E030, 0x1E06D}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE},
    {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1E5EE, 0x1E5EF}, {0x1F16C, 0x1F16C},
    {0x1FBF0, 0x1FBF9},
};
// clang-format on

int combining_class(utf8proc_int32_t code) {
  const int value = utf8proc_get_property(code)->combining_class;
  return value != 0 && contains(kNewerThanReference, static_cast<uint32_t>(code)) ? 0 : value;
}

// Canonical order: marks by their classes, those of equal class as they stood.
void order_marks(std::vector<utf8proc_int32_t>& codes) {
  for (size_t at = 0; at < codes.size();) {
    if (combining_class(codes[at]) == 0) {
      ++at;
      continue;
    }
    size_t end = at;
    while (end < codes.size() && combining_class(codes[end]) != 0) ++end;
    std::stable_sort(codes.begin() + static_cast<std::ptrdiff_t>(at),
                     codes.begin() + static_cast<std::ptrdiff_t>(end),
                     [](utf8proc_int32_t a, utf8proc_int32_t b) {
                       return combining_class(a) < combining_class(b);
                     });
    at = end;
  }
}

std::vector<utf8proc_int32_t> decompose(std::string_view text, bool compatibility) {
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                      (compatibility ? UTF8PROC_COMPAT : 0));
  std::vector<utf8proc_int32_t> codes;
  codes.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text.data() + at);
    at += point.length;
    if (contains(kNewerThanReference, point.code)) {
      codes.push_back(static_cast<utf8proc_int32_t>(point.code));
      continue;
    }
    std::array<utf8proc_int32_t, kMaxDecomposition> parts{};
    int boundary = 0;
    const utf8proc_ssize_t count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(point.code), parts.data(),
                                static_cast<utf8proc_ssize_t>(parts.size()), options, &boundary);
    if (count < 0 || count > static_cast<utf8proc_ssize_t>(parts.size())) {
      fail(ErrorCode::kInternal, "U+{:04X} has no decomposition", point.code);
    }
    codes.insert(codes.end(), parts.begin(), parts.begin() + count);
  }
  order_marks(codes);
  return codes;
}

// Characters that NFC leaves alone unless one that is not of these follows: starters that are no
// second half of a composition and, if they decompose, compose again. Not all of them, but those of
// most texts.
bool is_stable(uint32_t code) {
  constexpr CodeRange kRanges[] = {
      {0x0, 0x2FF},     {0x400, 0x481},   {0x5D0, 0x5EA},   {0x620, 0x64A},   {0x2010, 0x2027},
      {0x3041, 0x3096}, {0x30A1, 0x30FA}, {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}};
  return contains(kRanges, code);
}

// NFC of a text that is mostly stable: other characters are normalized together with the one before
// them, up to the next stable one.
std::string nfc_of_stretches(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t done = 0;      // copied to `out`
  size_t previous = 0;  // beginning of the character before `at`
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text.data() + at);
    if (is_stable(point.code)) {
      previous = at;
      at += point.length;
      continue;
    }
    size_t end = at;
    while (end < text.size()) {
      const CodePoint next = code_point_at(text.data() + end);
      if (is_stable(next.code)) break;
      end += next.length;
    }
    const size_t begin = std::max(done, previous);
    out += text.substr(done, begin - done);
    out += unicode_normalize(text.substr(begin, end - begin), UnicodeForm::kNfc);
    done = end;
    previous = end;
    at = end;
  }
  return out += text.substr(done);
}

// All below U+0300, judged by bytes.
bool is_nfc_already(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<uint8_t>(c) >= 0xCC; });
}

bool is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<uint8_t>(c) >= 0x80; });
}

class UnicodeNormalizer final : public NormalizerStep {
 public:
  explicit UnicodeNormalizer(UnicodeForm form) : form_(form) {}
  void apply(std::string& text, bool) const override {
    if (form_ == UnicodeForm::kNfc) {
      if (!is_nfc_already(text)) text = nfc_of_stretches(text);
    } else if (!is_ascii(text)) {
      text = unicode_normalize(text, form_);
    }
  }

 private:
  UnicodeForm form_;
};

class Prepend final : public NormalizerStep {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(std::string& text, bool continues) const override {
    if (!text.empty() && !continues) text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class Replace final : public NormalizerStep {
 public:
  Replace(std::string literal, std::string replacement)
      : literal_(std::move(literal)), replacement_(std::move(replacement)) {}
  void apply(std::string& text, bool) const override { replace_all(text, literal_, replacement_); }

 private:
  std::string literal_;
  std::string replacement_;
};

class RegexReplace final : public NormalizerStep {
 public:
  RegexReplace(Regex regex, std::string replacement)
      : regex_(std::move(regex)), replacement_(std::move(replacement)) {}
  void apply(std::string& text, bool) const override {
    RegexSearch search(regex_, text);
    std::string out;
    size_t done = 0;
    while (const auto match = search.next()) {
      out.append(text, done, match->begin - done);
      out += replacement_;
      done = match->end;
    }
    out.append(text, done);
    text = std::move(out);
  }

 private:
  Regex regex_;
  std::string replacement_;
};

class Strip final : public NormalizerStep {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void apply(std::string& text, bool) const override {
    const CharTable& table = CharTable::instance();
    size_t begin = 0;
    size_t end = 0;  // of the last character that is not white space
    for (size_t at = 0; at < text.size();) {
      const CodePoint point = code_point_at(text.data() + at);
      at += point.length;
      const bool space = (table.flags(point.code) & kCharSpace) != 0;
      if (space && end == 0) begin = at;
      if (!space) end = at;
    }
    if (right_) text.erase(end);
    if (left_) text.erase(0, std::min(begin, text.size()));
  }

 private:
  bool left_;
  bool right_;
};

class Lowercase final : public NormalizerStep {
 public:
  void apply(std::string& text, bool) const override {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
      const CodePoint point = code_point_at(text.data() + at);
      at += point.length;
      const utf8proc_int32_t lower = utf8proc_tolower(static_cast<utf8proc_int32_t>(point.code));
      append_utf8(static_cast<uint32_t>(lower), out);
      // The one lower case of two characters: of I with a dot.
      if (point.code == 0x130) out += "\xCC\x87";
    }
    text = std::move(out);
  }
};

class StripAccents final : public NormalizerStep {
 public:
  void apply(std::string& text, bool) const override {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
      const CodePoint point = code_point_at(text.data() + at);
      const bool mark = (CharTable::instance().flags(point.code) & kCharMark) != 0 &&
                        !contains(kNewerThanReference, point.code);
      if (!mark) out.append(text, at, point.length);
      at += point.length;
    }
    text = std::move(out);
  }
};

}  // namespace

std::string unicode_normalize(std::string_view text, UnicodeForm form) {
  const bool compatibility = form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd;
  std::vector<utf8proc_int32_t> codes = decompose(text, compatibility);
  if (form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc) {
    const utf8proc_ssize_t composed = utf8proc_normalize_utf32(
        codes.data(), static_cast<utf8proc_ssize_t>(codes.size()),
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    if (composed < 0) fail(ErrorCode::kInternal, "composing a text failed");
    codes.resize(static_cast<size_t>(composed));
  }
  std::string out;
  out.reserve(text.size());
  for (const utf8proc_int32_t code : codes) append_utf8(static_cast<uint32_t>(code), out);
  return out;
}

void replace_all(std::string& text, std::string_view literal, std::string_view replacement) {
  size_t at = text.find(literal);
  if (at == std::string::npos) return;
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  size_t done = 0;
  for (; at != std::string::npos; at = text.find(literal, done)) {
    out.append(text, done, at - done);
    out += replacement;
    done = at + literal.size();
  }
  out.append(text, done);
  text = std::move(out);
}

std::unique_ptr<const NormalizerStep> make_unicode_normalizer(UnicodeForm form) {
  return std::make_unique<UnicodeNormalizer>(form);
}
std::unique_ptr<const NormalizerStep> make_prepend(std::string prefix) {
  return std::make_unique<Prepend>(std::move(prefix));
}
std::unique_ptr<const NormalizerStep> make_replace(std::string literal, std::string replacement) {
  return std::make_unique<Replace>(std::move(literal), std::move(replacement));
}
std::unique_ptr<const NormalizerStep> make_regex_replace(Regex regex, std::string replacement) {
  return std::make_unique<RegexReplace>(std::move(regex), std::move(replacement));
}
std::unique_ptr<const NormalizerStep> make_strip(bool left, bool right) {
  return std::make_unique<Strip>(left, right);
}
std::unique_ptr<const NormalizerStep> make_lowercase() { return std::make_unique<Lowercase>(); }
std::unique_ptr<const NormalizerStep> make_strip_accents() {
  return std::make_unique<StripAccents>();
}

}  // namespace tercet
