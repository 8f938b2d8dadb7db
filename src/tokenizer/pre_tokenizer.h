// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/regex.h"
#include "tokenizer/word_scanner.h"

namespace tercet {

// Takes the pieces of a text in order. A view is valid during the call only.
class PieceSink {
 public:
  virtual ~PieceSink() = default;
  // `at_start`: whether the piece begins the whole text.
  virtual void take(std::string_view piece, bool at_start) = 0;
};

// One pre-tokenizer: takes a piece apart, or rewrites it. Immutable.
class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  // `piece` is valid UTF-8 and not empty. `continues`: whether the text follows other text, so that
  // nothing is to be put before its first piece. Empty pieces are not handed on.
  virtual void apply(std::string_view piece, bool at_start, bool continues,
                     PieceSink& out) const = 0;
};

using PreTokenizerSteps = std::vector<std::unique_ptr<const PreTokenizerStep>>;

// Runs a piece through all steps into `out`.
void pre_tokenize(const PreTokenizerSteps& steps, std::string_view text, bool at_start,
                  bool continues, PieceSink& out);

// What becomes of the matches ("delimiters") of a splitting pattern.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

// Finds the next match in a text from a place on; nothing when there is none.
using MatchFinder = std::function<std::optional<RegexMatch>()>;

// Each match or stretch between matches, as the behaviour has it, into `out`. `invert` exchanges
// matches and stretches.
void split_by(std::string_view text, const MatchFinder& next_match, SplitBehavior behavior,
              bool invert, const std::function<void(std::string_view)>& out);

enum class PrependScheme { kAlways, kFirst, kNever };

// The steps, by their names in tokenizer.json.
std::unique_ptr<const PreTokenizerStep> make_regex_split(Regex regex, SplitBehavior behavior,
                                                         bool invert);
std::unique_ptr<const PreTokenizerStep> make_literal_split(std::string literal,
                                                           SplitBehavior behavior, bool invert);
std::unique_ptr<const PreTokenizerStep> make_char_split(bool (*matches)(uint32_t code),
                                                        SplitBehavior behavior);
std::unique_ptr<const PreTokenizerStep> make_scanner(const WordScanner& scanner);
std::unique_ptr<const PreTokenizerStep> make_metaspace(std::string replacement,
                                                       PrependScheme scheme, bool split);
// ByteLevel's leading space, and its rewriting of bytes as characters where other steps follow.
std::unique_ptr<const PreTokenizerStep> make_leading_space();
std::unique_ptr<const PreTokenizerStep> make_byte_level_text();

// Of char_split: Digits, Punctuation, WhitespaceSplit.
bool is_numeric_char(uint32_t code);
bool is_punctuation_char(uint32_t code);
bool is_space_char(uint32_t code);

}  // namespace tercet
