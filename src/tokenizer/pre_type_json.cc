// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/pre_type_json.h"

#include <string>
#include <utility>

#include "tokenizer/tokenizer_json.h"

namespace tercet {

Json normalizer_json(const PreType& type) { return type.nfc ? Json{{"type", "NFC"}} : Json(); }

Json pre_tokenizer_json(const PreType& type) {
  Json steps = Json::array();
  for (const std::string_view pattern : type.patterns) {
    if (pattern == kEachDigit) {
      steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
    } else {
      steps.push_back({{"type", "Split"},
                       {"pattern", {{"Regex", pattern}}},
                       {"behavior", "Isolated"},
                       {"invert", false}});
    }
  }
  steps.push_back({{"type", "ByteLevel"},
                   {"add_prefix_space", false},
                   {"trim_offsets", true},
                   {"use_regex", false}});
  return {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
}

const PreType* matching_pre_type(const HfSpec& spec, bool byte_level, bool ignore_merges) {
  if (!byte_level) return nullptr;
  for (const PreType& type : pre_types()) {
    HfSpec known;
    read_normalizer(normalizer_json(type), "", known);
    std::string summary;
    for (const std::string_view pattern : type.patterns) {
      summary += pattern == kEachDigit ? kDigitsSummary : isolated_regex_summary(pattern);
    }
    if (known.normalizer_summary == spec.normalizer_summary &&
        summary == spec.pre_tokenizer_summary && type.ignore_merges == ignore_merges) {
      return &type;
    }
  }
  return nullptr;
}

}  // namespace tercet
