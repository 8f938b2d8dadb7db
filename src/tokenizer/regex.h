// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tercet {

struct RegexMatch {
  size_t begin = 0;
  size_t end = 0;
};

// A regular expression of a tokenizer file, written for Oniguruma with Ruby's syntax, matched by
// PCRE2 (UTF, Unicode properties, JIT, match limits). Immutable; safe to share between threads.
class Regex {
 public:
  // Throws kUnsupported naming `origin`, the pattern and what of it is not understood.
  Regex(const std::string& pattern, const std::string& origin);

  const std::string& pattern() const { return pattern_; }

 private:
  struct Code;
  friend class RegexSearch;
  std::string pattern_;
  std::string origin_;
  std::shared_ptr<const Code> code_;
};

// Finds the matches of an expression in a text, in order, without overlap; an empty match directly
// after another match does not count. `text` must be valid UTF-8 and outlive this.
class RegexSearch {
 public:
  RegexSearch(const Regex& regex, std::string_view text);
  ~RegexSearch();
  RegexSearch(const RegexSearch&) = delete;
  RegexSearch& operator=(const RegexSearch&) = delete;

  // Nothing at the end. Throws kUnsupported when the expression takes too many steps on the text.
  std::optional<RegexMatch> next();

 private:
  struct State;
  const Regex& regex_;
  std::string_view text_;
  std::unique_ptr<State> state_;
  size_t from_ = 0;
  std::optional<size_t> last_end_;
};

// The pattern in PCRE2's syntax. Throws kUnsupported naming what of Oniguruma's has no equal there
// or would mean something else.
std::string to_pcre2_syntax(std::string_view pattern, const std::string& origin);

}  // namespace tercet
