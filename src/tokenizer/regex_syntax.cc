// SPDX-License-Identifier: Apache-2.0
#include <optional>

#include "core/error.h"
#include "formats/printable.h"
#include "tokenizer/regex.h"
#include "tokenizer/unicode.h"

namespace tercet {
namespace {

constexpr std::string_view kSpaceItems = "\\p{Z}\\t-\\r\\x{85}";  // \s; PCRE2 adds U+180E
constexpr std::string_view kHexItems = "0-9A-Fa-f";

// \w: letters, marks, decimal and letter numbers, connectors, the letters in circles and boxes, and
// of the other numbers those of Latin-1.
std::string word_items() {
  std::string items =
      "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}"
      "\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}";
  for (const char* category : {"L", "M", "Nd", "Nl", "Pc"}) items += newer_members(category);
  return items;
}

// Rewrites a pattern from front to back; what is not mentioned means the same in both.
class Translator {
 public:
  Translator(std::string_view pattern, const std::string& origin)
      : pattern_(pattern), origin_(origin) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape(false);
      } else if (c == '[') {
        char_class();
      } else if (c == '(') {
        group();
      } else if (c == '{') {
        interval();
      } else {
        copy(1);
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    fail(ErrorCode::kUnsupported, "{}: the pattern '{}' uses {}, which is not supported", origin_,
         printable(std::string(pattern_)), what);
  }

  std::string_view rest() const { return pattern_.substr(at_); }
  void copy(size_t bytes) {
    out_ += pattern_.substr(at_, bytes);
    at_ += bytes;
  }
  void put(size_t bytes_read, std::string_view text) {
    out_ += text;
    at_ += bytes_read;
  }

  // A set of characters that may stand alone or among others in a class.
  void put_set(size_t bytes_read, std::string_view items, bool in_class) {
    put(bytes_read, in_class ? std::string(items) : "[" + std::string(items) + "]");
  }
  void put_complement(size_t bytes_read, std::string_view items) {
    put(bytes_read, "[^" + std::string(items) + "]");
  }

  void escape(bool in_class) {
    if (at_ + 1 >= pattern_.size()) refuse("a backslash at its end");
    const char c = pattern_[at_ + 1];
    switch (c) {
      case 's':
        return put_set(2, kSpaceItems, in_class);
      case 'S':
        return in_class ? copy(2) : put_complement(2, kSpaceItems);
      case 'h':
        return put_set(2, kHexItems, in_class);
      case 'w':
        return put_set(2, word_items(), in_class);
      case 'd':
        return put_set(2, "\\d" + newer_members("Nd"), in_class);
      case 'D':
        return in_class ? copy(2) : put_complement(2, "\\d" + newer_members("Nd"));
      case 'W':
      case 'H':
        if (in_class) refuse("\\W or \\H inside a class");
        return put_complement(2, c == 'H' ? std::string(kHexItems) : word_items());
      case 'v':
        return put(2, "\\x0B");
      case 'u':
        return unicode_escape();
      case 'p':
      case 'P':
        return property(in_class);
      case 'b':
      case 'B':
        if (in_class) return copy(2);
        return word_boundary(c == 'B');
      default:
        break;
    }
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter && std::string_view("nrtfaexRXAzZGk").find(c) == std::string_view::npos) {
      refuse("\\" + std::string(1, c));
    }
    copy(2);
  }

  void unicode_escape() {
    const std::string_view digits = pattern_.substr(at_ + 2, 4);
    if (digits.size() != 4 ||
        digits.find_first_not_of("0123456789ABCDEFabcdef") != std::string_view::npos) {
      refuse("\\u without four hexadecimal digits");
    }
    put(6, "\\x{" + std::string(digits) + "}");
  }

  // \p{L}, \P{L}, \p{^L}: with the members that PCRE2's older tables lack.
  void property(bool in_class) {
    if (pattern_.substr(at_ + 2, 1) != "{") refuse("\\p without braces");
    const size_t end = pattern_.find('}', at_);
    if (end == std::string_view::npos) refuse("\\p without an end");
    std::string_view name = pattern_.substr(at_ + 3, end - at_ - 3);
    bool negated = pattern_[at_ + 1] == 'P';
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    const size_t length = end + 1 - at_;
    const std::string newer = name.size() <= 2 ? newer_members(name) : std::string();
    const std::string plain = "\\p{" + std::string(name) + "}";
    if (!negated) return put_set(length, plain + newer, in_class);
    if (in_class) return put(length, "\\P{" + std::string(name) + "}");
    put_complement(length, plain + newer);
  }

  void word_boundary(bool negated) {
    const std::string word = "[" + word_items() + "]";
    const std::string here = "(?<=" + word + ")";
    const std::string not_here = "(?<!" + word + ")";
    const std::string next = "(?=" + word + ")";
    const std::string not_next = "(?!" + word + ")";
    put(2, negated ? "(?:" + here + next + "|" + not_here + not_next + ")"
                   : "(?:" + here + not_next + "|" + not_here + next + ")");
  }

  // A class inside a class is a union in Oniguruma; PCRE2 would take the bracket as a character.
  void char_class() {
    size_t depth = 1;
    copy(1);
    if (rest().starts_with('^')) copy(1);
    if (rest().starts_with(']')) put(1, "\\]");
    while (depth > 0) {
      if (at_ >= pattern_.size()) refuse("a class without an end");
      if (rest().starts_with("&&")) refuse("an intersection (&&) of classes");
      if (rest().starts_with("[:")) refuse("a POSIX bracket ([:name:])");
      if (rest().starts_with("[^")) refuse("a negated class inside a class");
      const char c = pattern_[at_];
      if (c == '\\') {
        escape(true);
      } else if (c == '[') {
        ++depth;
        ++at_;
      } else if (c == ']' && depth > 1) {
        --depth;
        ++at_;
      } else {
        depth -= c == ']' ? 1 : 0;
        copy(1);
      }
    }
  }

  void group() {
    if (rest().starts_with("(*")) refuse("(*");
    if (!rest().starts_with("(?")) return copy(1);
    for (const std::string_view same : {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"}) {
      if (rest().starts_with(same)) return copy(same.size());
    }
    if (rest().starts_with("(?<")) return copy(3);  // a name
    if (rest().starts_with("(?#")) return comment();
    options();
  }

  void comment() {
    const size_t end = pattern_.find(')', at_);
    if (end == std::string_view::npos) refuse("a comment without an end");
    at_ = end + 1;
  }

  // (?i) and (?i:...); Ruby's m, that a dot matches line ends, is PCRE2's s.
  void options() {
    copy(2);
    for (; at_ < pattern_.size(); ++at_) {
      const char c = pattern_[at_];
      if (c == ')' || c == ':') return copy(1);
      if (c != 'i' && c != 'm' && c != '-') break;
      out_ += c == 'm' ? 's' : c;
    }
    refuse("a group of an unknown kind");
  }

  // {,n} is {0,n}; a plus after an interval repeats it in Ruby and makes it possessive in PCRE2.
  void interval() {
    const size_t end = rest().find('}');
    const std::string_view inside =
        end == std::string_view::npos ? std::string_view() : rest().substr(1, end - 1);
    const bool is_interval = !inside.empty() && inside != "," &&
                             inside.find_first_not_of("0123456789,") == std::string_view::npos;
    if (!is_interval) return put(1, "\\{");
    if (rest().substr(end + 1).starts_with('+')) refuse("a plus after an interval");
    if (inside.starts_with(',')) return put(end + 1, "{0" + std::string(inside) + "}");
    copy(end + 1);
  }

  std::string_view pattern_;
  const std::string& origin_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string to_pcre2_syntax(std::string_view pattern, const std::string& origin) {
  return Translator(pattern, origin).run();
}

}  // namespace tercet
