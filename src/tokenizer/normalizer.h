// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/regex.h"

namespace tercet {

// One step of rewriting a text before it is split. Immutable.
class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  // `text` is valid UTF-8 and stays so. `continues`: the text follows other text, so that nothing
  // is put before it.
  virtual void apply(std::string& text, bool continues) const = 0;
};

using NormalizerSteps = std::vector<std::unique_ptr<const NormalizerStep>>;

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

// `text`, valid UTF-8, in a Unicode normalization form. Linear in the text but for sorting runs of
// combining marks.
std::string unicode_normalize(std::string_view text, UnicodeForm form);

// The steps, by their names in tokenizer.json.
std::unique_ptr<const NormalizerStep> make_unicode_normalizer(UnicodeForm form);
std::unique_ptr<const NormalizerStep> make_prepend(std::string prefix);
std::unique_ptr<const NormalizerStep> make_replace(std::string literal, std::string replacement);
std::unique_ptr<const NormalizerStep> make_regex_replace(Regex regex, std::string replacement);
std::unique_ptr<const NormalizerStep> make_strip(bool left, bool right);
std::unique_ptr<const NormalizerStep> make_lowercase();
std::unique_ptr<const NormalizerStep> make_strip_accents();

// Every occurrence of `literal`, not empty, in `text` by `replacement`.
void replace_all(std::string& text, std::string_view literal, std::string_view replacement);

}  // namespace tercet
