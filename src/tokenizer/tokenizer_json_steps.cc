// SPDX-License-Identifier: Apache-2.0
// The normalizer and the pre-tokenizer of a tokenizer.json.
#include <utility>

#include "core/error.h"
#include "formats/json_fields.h"
#include "formats/printable.h"
#include "tokenizer/tokenizer_json.h"

namespace tercet {
namespace {

// The steps of a component: itself, or of a Sequence its members, nested ones in place.
void flatten(const Json& json, const char* members, const std::string& origin,
             std::vector<const Json*>& out) {
  if (json.is_null()) return;
  const JsonFields fields(json, origin);
  if (fields.string_or("type", "") != "Sequence") return out.push_back(&json);
  const Json* list = fields.find(members);
  if (list == nullptr || !list->is_array()) {
    fail(ErrorCode::kBadInput, "{}: a Sequence has no list of {}", origin, members);
  }
  for (const Json& element : *list) flatten(element, members, origin, out);
}

[[noreturn]] void unsupported(const std::string& origin, const char* part,
                              const std::string& type) {
  fail(ErrorCode::kUnsupported, "{}: the {} '{}' is not supported", origin, part, printable(type));
}

std::string required_string(const JsonFields& fields, const char* name) {
  if (!fields.has(name)) fail(ErrorCode::kBadInput, "{} is missing", fields.describe(name));
  return fields.string_or(name, "");
}

// {"String": ...} or {"Regex": ...}
struct PatternText {
  std::string text;
  bool is_regex = false;
};

PatternText read_pattern(const JsonFields& fields) {
  const auto pattern = fields.object("pattern");
  const bool literal = pattern && pattern->has("String");
  if (!pattern || literal == pattern->has("Regex")) {
    fail(ErrorCode::kBadInput, "{} is neither a String nor a Regex", fields.describe("pattern"));
  }
  PatternText out{pattern->string_or(literal ? "String" : "Regex", ""), !literal};
  if (out.text.empty()) fail(ErrorCode::kUnsupported, "{} is empty", fields.describe("pattern"));
  return out;
}

std::unique_ptr<const NormalizerStep> make_replacing(const JsonFields& fields,
                                                     const std::string& origin) {
  PatternText pattern = read_pattern(fields);
  std::string content = fields.string_or("content", "");
  if (pattern.is_regex) return make_regex_replace(Regex(pattern.text, origin), std::move(content));
  return make_replace(std::move(pattern.text), std::move(content));
}

std::unique_ptr<const NormalizerStep> make_normalizer(const Json& json, const std::string& origin) {
  const JsonFields fields(json, origin, "normalizer.");
  const std::string type = fields.string_or("type", "");
  if (type == "NFC") return make_unicode_normalizer(UnicodeForm::kNfc);
  if (type == "NFD") return make_unicode_normalizer(UnicodeForm::kNfd);
  if (type == "NFKC") return make_unicode_normalizer(UnicodeForm::kNfkc);
  if (type == "NFKD") return make_unicode_normalizer(UnicodeForm::kNfkd);
  if (type == "Prepend") return make_prepend(required_string(fields, "prepend"));
  if (type == "Replace") return make_replacing(fields, origin);
  if (type == "Lowercase") return make_lowercase();
  if (type == "StripAccents") return make_strip_accents();
  if (type == "Strip") {
    return make_strip(fields.boolean_or("strip_left", true),
                      fields.boolean_or("strip_right", true));
  }
  unsupported(origin, "normalizer", type);
}

SplitBehavior read_behavior(const JsonFields& fields, const char* fallback) {
  const std::string name = fields.string_or("behavior", fallback);
  const std::pair<const char*, SplitBehavior> known[] = {
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous}};
  for (const auto& [text, behavior] : known) {
    if (name == text) return behavior;
  }
  fail(ErrorCode::kUnsupported, "{} = '{}' is not a known behavior", fields.describe("behavior"),
       printable(name));
}

std::string regex_summary(std::string_view pattern, SplitBehavior behavior, bool invert) {
  return fmt::format("regex {} {} {}\n", static_cast<int>(behavior), invert, pattern);
}

// Builds the steps of a pre-tokenizer and says what they do.
class PreTokenizerReader {
 public:
  PreTokenizerReader(const std::string& origin, HfSpec& spec) : origin_(origin), spec_(spec) {}

  void add(const Json& json, bool is_last) {
    const JsonFields fields(json, origin_, "pre_tokenizer.");
    const std::string type = fields.string_or("type", "");
    if (type == "Split") return add_split(fields);
    if (type == "ByteLevel") return add_byte_level(fields, is_last);
    if (type == "Metaspace") return add_metaspace(fields);
    if (type == "Digits") return add_digits(fields);
    if (type == "Punctuation") return add_punctuation(fields);
    if (type == "Whitespace") return add_whitespace();
    if (type == "WhitespaceSplit") {
      return put(make_char_split(is_space_char, SplitBehavior::kRemoved), "spaces removed\n");
    }
    unsupported(origin_, "pre-tokenizer", type);
  }

 private:
  void put(std::unique_ptr<const PreTokenizerStep> step, const std::string& summary) {
    spec_.pre_tokenizer.push_back(std::move(step));
    spec_.pre_tokenizer_summary += summary;
  }

  void add_regex(const std::string& pattern, SplitBehavior behavior, bool invert) {
    const std::string summary = regex_summary(pattern, behavior, invert);
    const auto scanner = WordScanner::for_pattern(pattern);
    // The scanner's words cover the text, so keeping the matches apart is all it can be asked for.
    const bool isolated =
        behavior == SplitBehavior::kIsolated || (behavior == SplitBehavior::kRemoved && invert);
    if (scanner && isolated) return put(make_scanner(*scanner), summary);
    put(make_regex_split(Regex(pattern, origin_), behavior, invert), summary);
  }

  void add_split(const JsonFields& fields) {
    const PatternText pattern = read_pattern(fields);
    const SplitBehavior behavior = read_behavior(fields, "");
    const bool invert = fields.boolean_or("invert", false);
    if (pattern.is_regex) return add_regex(pattern.text, behavior, invert);
    put(make_literal_split(pattern.text, behavior, invert),
        fmt::format("literal {} {} {}\n", static_cast<int>(behavior), invert, pattern.text));
  }

  void add_byte_level(const JsonFields& fields, bool is_last) {
    if (fields.boolean_or("add_prefix_space", true)) put(make_leading_space(), "leading space\n");
    if (fields.boolean_or("use_regex", true)) {
      add_regex(std::string(kGpt2Pattern), SplitBehavior::kIsolated, false);
    }
    spec_.bpe.byte_level = is_last;
    if (!is_last) put(make_byte_level_text(), "byte level\n");
  }

  void add_metaspace(const JsonFields& fields) {
    const std::string replacement = fields.string_or("replacement", "\u2581");
    if (replacement.empty()) {
      fail(ErrorCode::kBadInput, "{} is empty", fields.describe("replacement"));
    }
    const bool split = fields.boolean_or("split", true);
    // Older files say add_prefix_space alone.
    const bool adds = fields.boolean_or("add_prefix_space", true);
    const std::string scheme = fields.string_or("prepend_scheme", adds ? "always" : "never");
    const std::pair<const char*, PrependScheme> known[] = {{"always", PrependScheme::kAlways},
                                                           {"first", PrependScheme::kFirst},
                                                           {"never", PrependScheme::kNever}};
    for (const auto& [name, value] : known) {
      if (scheme != name) continue;
      return put(make_metaspace(replacement, value, split),
                 fmt::format("metaspace {} {} {}\n", scheme, split, replacement));
    }
    fail(ErrorCode::kUnsupported, "{} = '{}' is not supported", fields.describe("prepend_scheme"),
         printable(scheme));
  }

  void add_digits(const JsonFields& fields) {
    const bool individual = fields.boolean_or("individual_digits", false);
    put(make_char_split(is_numeric_char,
                        individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous),
        individual ? kDigitsSummary : "numbers\n");
  }

  void add_punctuation(const JsonFields& fields) {
    const SplitBehavior behavior = read_behavior(fields, "Isolated");
    put(make_char_split(is_punctuation_char, behavior),
        fmt::format("punctuation {}\n", static_cast<int>(behavior)));
  }

  void add_whitespace() {
    const Regex words("\\w+|[^\\w\\s]+", origin_);
    put(make_regex_split(words, SplitBehavior::kRemoved, true), "words\n");
  }

  const std::string& origin_;
  HfSpec& spec_;
};

}  // namespace

std::string isolated_regex_summary(std::string_view pattern) {
  return regex_summary(pattern, SplitBehavior::kIsolated, false);
}

void read_normalizer(const Json& json, const std::string& origin, HfSpec& spec) {
  std::vector<const Json*> steps;
  flatten(json, "normalizers", origin, steps);
  for (const Json* step : steps) {
    spec.normalizer.push_back(make_normalizer(*step, origin));
    spec.normalizer_summary += step->dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
}

void read_pre_tokenizer(const Json& json, const std::string& origin, HfSpec& spec) {
  std::vector<const Json*> steps;
  flatten(json, "pretokenizers", origin, steps);
  PreTokenizerReader reader(origin, spec);
  for (const Json* step : steps) reader.add(*step, step == steps.back());
}

}  // namespace tercet
