// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/jinja/lexer.h"

#include <algorithm>
#include <array>

#include "tokenizer/jinja/string_literal.h"
#include "tokenizer/jinja/unicode.h"

namespace tercet::jinja {
namespace {

constexpr auto npos = std::string_view::npos;

// Line ends become line feeds, and one at the very end is dropped.
std::string normalize_lines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

bool is_name_start(char32_t c) { return c == '_' || is_letter(c); }
bool is_name_part(char32_t c) { return is_name_start(c) || is_digit(c); }

class Lexer {
 public:
  Lexer(Context& context, std::string source) : context_(context), source_(std::move(source)) {}

  std::vector<Token> run() {
    while (position_ < source_.size()) {
      const size_t tag = find_tag();
      read_text(tag);
      if (tag == npos) break;
      read_tag();
    }
    push(Token::Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(position_); }
  bool at(std::string_view text) const { return rest().starts_with(text); }
  char peek(size_t ahead = 0) const {
    return position_ + ahead < source_.size() ? source_[position_ + ahead] : '\0';
  }

  [[noreturn]] void fail(std::string_view message) {
    context_.set_line(line_);
    context_.fail("{}", message);
  }

  void push(Token::Kind kind, std::string text) {
    context_.step();
    context_.allocate(sizeof(Token) + text.size());
    tokens_.push_back({kind, line_, std::move(text)});
  }

  void move_to(size_t position) {
    line_ +=
        static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(position_),
                                    source_.begin() + static_cast<std::ptrdiff_t>(position), '\n'));
    position_ = position;
  }
  void skip(size_t bytes) { move_to(position_ + bytes); }
  void skip_white_space() { move_to(skip_space(source_, position_, source_.size())); }

  // The next "{{", "{%" or "{#".
  size_t find_tag() const {
    for (size_t at = source_.find('{', position_); at != npos; at = source_.find('{', at + 1)) {
      const char next = at + 1 < source_.size() ? source_[at + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') return at;
    }
    return npos;
  }

  // Takes the text up to the tag at `tag`, and of it what the tag's sign lets stand.
  void read_text(size_t tag) {
    const size_t end = tag == npos ? source_.size() : tag;
    size_t kept = end;
    if (tag != npos) {
      const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
      if (sign == '-') {
        kept = skip_space_backwards(source_, position_, end);
      } else if (sign != '+' && source_[tag + 1] != '{') {
        kept = without_indentation(end);
      }
    }
    if (kept > position_) push(Token::Kind::kText, source_.substr(position_, kept - position_));
    move_to(end);
  }

  // `end`, or the beginning of its line when there is only white space before it on the line.
  size_t without_indentation(size_t end) const {
    size_t line_begin = end;
    while (line_begin > position_ && source_[line_begin - 1] != '\n') --line_begin;
    if (line_begin == position_ && !line_starting_) return end;
    return skip_space(source_, line_begin, end) == end ? line_begin : end;
  }

  void read_tag() {
    const char kind = source_[position_ + 1];
    if (kind == '#') return read_comment();
    if (kind == '%' && read_raw()) return;
    push(kind == '{' ? Token::Kind::kExpressionBegin : Token::Kind::kTagBegin, "");
    skip(2);
    if (peek() == '-' || peek() == '+') skip(1);
    const char* closing = kind == '{' ? "}}" : "%}";
    brackets_.clear();
    while (true) {
      skip_white_space();
      if (position_ == source_.size()) {
        fail(kind == '{' ? "'{{' is never closed" : "'{%' is never closed");
      }
      if (brackets_.empty() && read_tag_end(closing)) break;
      read_token();
    }
  }

  // The end of a tag, with the white space that goes with it.
  bool read_tag_end(std::string_view closing) {
    const bool expression = closing == "}}";
    const bool strips = peek() == '-' && rest().substr(1).starts_with(closing);
    const bool keeps = !expression && peek() == '+' && rest().substr(1).starts_with(closing);
    if (!strips && !keeps && !at(closing)) return false;
    push(expression ? Token::Kind::kExpressionEnd : Token::Kind::kTagEnd, "");
    skip_closing(strips, keeps, expression);
    return true;
  }

  void skip_closing(bool strips, bool keeps, bool expression) {
    skip(strips || keeps ? 3 : 2);
    if (strips) {
      skip_white_space();
    } else if (!keeps && !expression && peek() == '\n') {
      skip(1);
    }
    line_starting_ = source_[position_ - 1] == '\n';
  }

  void read_comment() {
    const bool has_sign = peek(2) == '-' || peek(2) == '+';
    const size_t begin = position_ + (has_sign ? 3 : 2);
    const size_t end = source_.find("#}", begin);
    if (end == npos) fail("'{#' is never closed");
    const char sign = end > begin ? source_[end - 1] : '\0';
    const bool strips = sign == '-';
    const bool keeps = sign == '+';
    move_to(strips || keeps ? end - 1 : end);
    skip_closing(strips, keeps, false);
  }

  // Length of "{%- name" from `at` on, up to its end sign, or 0 when another tag is there.
  size_t match_word_tag(size_t at, std::string_view word) const {
    size_t place = at + 2;
    if (place < source_.size() && (source_[place] == '-' || source_[place] == '+')) ++place;
    place = skip_space(source_, place, source_.size());
    if (source_.compare(place, word.size(), word) != 0) return 0;
    place = skip_space(source_, place + word.size(), source_.size());
    if (place < source_.size() && (source_[place] == '-' || source_[place] == '+')) {
      return source_.compare(place + 1, 2, "%}") == 0 ? place - at : 0;
    }
    return source_.compare(place, 2, "%}") == 0 ? place - at : 0;
  }

  // {% raw %}...{% endraw %}; false when the tag here is another.
  bool read_raw() {
    const size_t head = match_word_tag(position_, "raw");
    if (head == 0 || source_[position_ + head] == '+') return false;
    skip(head);
    const bool strips = peek() == '-';
    skip(strips ? 3 : 2);
    if (strips) skip_white_space();
    line_starting_ = source_[position_ - 1] == '\n';
    for (size_t tag = source_.find("{%", position_); tag != npos;
         tag = source_.find("{%", tag + 2)) {
      const size_t length = match_word_tag(tag, "endraw");
      if (length == 0) continue;
      read_text(tag);
      skip(length);
      skip_closing(peek() == '-', peek() == '+', false);
      return true;
    }
    fail("'{% raw %}' is never closed by '{% endraw %}'");
  }

  void read_token() {
    const char c = peek();
    if (c == '"' || c == '\'') return read_string();
    if (c >= '0' && c <= '9') return read_number();
    size_t end = position_;
    const char32_t first = next_character(source_, end);
    if (is_name_start(first)) return read_name();
    read_operator();
  }

  void read_name() {
    size_t end = position_;
    for (size_t next = end; next < source_.size(); end = next) {
      if (!is_name_part(next_character(source_, next))) break;
    }
    push(Token::Kind::kName, source_.substr(position_, end - position_));
    position_ = end;
  }

  void read_string() {
    const char quote = peek();
    size_t end = position_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2u : 1u;
    if (end >= source_.size()) fail("a string is never closed");
    context_.set_line(line_);
    push(Token::Kind::kString,
         unescape(context_, std::string_view(source_).substr(position_ + 1, end - position_ - 1)));
    move_to(end + 1);
  }

  // Decimal digits with single underscores between them, from `at` on; the place behind.
  size_t skip_digits(size_t at) const {
    const auto digit = [&](size_t i) {
      return i < source_.size() && source_[i] >= '0' && source_[i] <= '9';
    };
    while (digit(at) || (at < source_.size() && source_[at] == '_' && digit(at + 1))) ++at;
    return at;
  }

  void read_number() {
    size_t end = skip_digits(position_);
    bool real = false;
    if (end < source_.size() && source_[end] == '.' && skip_digits(end + 1) > end + 1) {
      end = skip_digits(end + 1);
      real = true;
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      const size_t sign = end + 1;
      const bool has_sign = sign < source_.size() && (source_[sign] == '-' || source_[sign] == '+');
      const size_t digits = has_sign ? sign + 1 : sign;
      if (skip_digits(digits) > digits) {
        end = skip_digits(digits);
        real = true;
      }
    }
    if (end < source_.size() && is_name_part(static_cast<unsigned char>(source_[end]))) {
      fail("a number is followed by a letter; only decimal numbers are supported");
    }
    std::string digits = source_.substr(position_, end - position_);
    std::erase(digits, '_');
    push(real ? Token::Kind::kReal : Token::Kind::kInteger, std::move(digits));
    position_ = end;
  }

  void read_operator() {
    static constexpr std::array<std::string_view, 26> kOperators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (const std::string_view candidate : kOperators) {
      if (!at(candidate)) continue;
      balance(candidate.front());
      push(Token::Kind::kOperator, std::string(candidate));
      position_ += candidate.size();
      return;
    }
    context_.set_line(line_);
    size_t end = position_;
    next_character(source_, end);
    context_.fail("unexpected character '{}'", source_.substr(position_, end - position_));
  }

  void balance(char c) {
    if (c == '(' || c == '[' || c == '{') {
      brackets_ += c;
    } else if (c == ')' || c == ']' || c == '}') {
      const char opening = c == ')' ? '(' : c == ']' ? '[' : '{';
      if (brackets_.empty() || brackets_.back() != opening) {
        fail(fmt::format("unexpected '{}'", c));
      }
      brackets_.pop_back();
    }
  }

  Context& context_;
  const std::string source_;
  size_t position_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::string brackets_;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(Context& context, std::string_view source) {
  return Lexer(context, normalize_lines(source)).run();
}

}  // namespace tercet::jinja
