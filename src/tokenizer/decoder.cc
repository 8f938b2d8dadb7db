// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/decoder.h"

#include <optional>
#include <utility>

#include "tokenizer/byte_level.h"
#include "tokenizer/byte_piece.h"
#include "tokenizer/normalizer.h"

namespace tercet {
namespace {

void strip(const Decoder::Step& step, std::string& text) {
  const std::string& unit = step.replacement.from;
  size_t begin = 0;
  for (uint32_t i = 0; i < step.left && text.compare(begin, unit.size(), unit) == 0; ++i) {
    begin += unit.size();
  }
  size_t end = text.size();
  for (uint32_t i = 0; i < step.right && end >= begin + unit.size() &&
                       text.compare(end - unit.size(), unit.size(), unit) == 0;
       ++i) {
    end -= unit.size();
  }
  text = text.substr(begin, end - begin);
}

void apply(const Decoder::Step& step, bool first, std::string& text) {
  switch (step.kind) {
    case Decoder::StepKind::kReplace:
      return replace_all(text, step.replacement.from, step.replacement.to);
    case Decoder::StepKind::kMetaspace:
      return replace_all(text, step.replacement.from, first && step.drops_first ? "" : " ");
    case Decoder::StepKind::kByteFallback:
      if (const auto byte = parse_byte_piece(text)) text = std::string(1, static_cast<char>(*byte));
      return;
    case Decoder::StepKind::kByteLevel:
      if (auto bytes = from_byte_level(text)) text = std::move(*bytes);
      return;
    case Decoder::StepKind::kStrip:
      return strip(step, text);
  }
}

}  // namespace

void Decoder::append(std::string_view text, DecodeState& state, std::string& out) const {
  std::string piece(text);
  const bool first = std::exchange(state.at_text_start, false);
  for (const Step& step : steps) apply(step, first, piece);
  const std::string& unit = text_strip.replacement.from;
  while (state.stripped < text_strip.left && piece.starts_with(unit)) {
    piece.erase(0, unit.size());
    ++state.stripped;
  }
  if (!piece.empty()) state.stripped = text_strip.left;
  if (!first) out += separator;
  out += piece;
}

}  // namespace tercet
