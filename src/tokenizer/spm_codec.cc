// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/spm_codec.h"

#include <utility>

#include "core/error.h"
#include "tokenizer/bpe.h"
#include "tokenizer/gguf_vocabulary.h"
#include "tokenizer/tokenizer_json_writer.h"
#include "tokenizer/utf8.h"

namespace tercet {
namespace {

constexpr std::string_view kUnknownSurface = " \xE2\x81\x87 ";  // U+2047, what SentencePiece shows

void append_escaped(std::string_view text, std::string& out) {
  for (const char c : text) {
    if (c == ' ') {
      out += kSpaceSymbol;
    } else {
      out += c;
    }
  }
}

void append_unescaped(std::string_view text, std::string& out) {
  while (true) {
    const size_t symbol = text.find(kSpaceSymbol);
    out += text.substr(0, symbol);
    if (symbol == std::string_view::npos) return;
    out += ' ';
    text.remove_prefix(symbol + kSpaceSymbol.size());
  }
}

// Runs of spaces to one, those at the end away, and those at the beginning unless the text
// continues.
std::string without_extra_spaces(std::string_view text, bool continues) {
  std::string out;
  for (const char c : text) {
    const bool extra = out.empty() ? !continues : out.back() == ' ';
    if (c != ' ' || !extra) out += c;
  }
  return out;
}

std::vector<int32_t> encode_text(const Vocabulary& vocabulary, std::string_view text,
                                 bool continues) {
  const TokenizerSpec& spec = vocabulary.spec();
  std::string cleaned;
  if (spec.remove_extra_whitespaces) {
    cleaned = without_extra_spaces(text, continues);
    text = cleaned;
  }
  if (text.empty()) return {};
  std::string normalized;
  normalized.reserve(text.size() + text.size() / 2);
  if (spec.add_dummy_prefix && !continues) normalized += kSpaceSymbol;
  append_escaped(text, normalized);
  // Here and not before: space symbols that stand in the text itself go as well.
  while (spec.remove_extra_whitespaces && normalized.ends_with(kSpaceSymbol)) {
    normalized.resize(normalized.size() - kSpaceSymbol.size());
  }
  return bpe_encode(vocabulary, normalized);
}

SpecialIds special_ids_of(const TokenizerSpec& spec) {
  SpecialIds ids;
  ids.bos = static_cast<int32_t>(spec.bos_id);
  ids.eos = static_cast<int32_t>(spec.eos_id);
  ids.unknown = static_cast<int32_t>(spec.unknown_id);
  ids.padding = static_cast<int32_t>(spec.padding_id);
  if (spec.add_bos) ids.prefix = {ids.bos};
  if (spec.add_eos) ids.suffix = {ids.eos};
  if (ids.eos >= 0) ids.ends.push_back(ids.eos);
  for (const int32_t id : spec.other_ends) ids.ends.push_back(id);
  return ids;
}

class SpmCodec final : public Codec {
 public:
  explicit SpmCodec(TokenizerSpec spec)
      : vocabulary_(std::move(spec)), special_ids_(special_ids_of(vocabulary_.spec())) {}

  const std::vector<Piece>& pieces() const override { return vocabulary_.spec().pieces; }
  const SpecialIds& special_ids() const override { return special_ids_; }
  int32_t find_special(std::string_view text) const override {
    return vocabulary_.find_special(text);
  }
  bool is_special(int32_t id) const override {
    return vocabulary_.piece(id).type == PieceType::kControl;
  }

  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override {
    if (!options.with_special) return encode_text(vocabulary_, text, options.continues);
    return encode_with_special(text, options);
  }

  void append_text(int32_t id, DecodeState& state, std::string& out) const override {
    const Piece& entry = vocabulary_.piece(id);
    if (entry.type == PieceType::kControl) return;
    const bool drops_space = std::exchange(state.at_text_start, false) &&
                             vocabulary_.spec().add_dummy_prefix &&
                             entry.text.starts_with(kSpaceSymbol);
    if (entry.type == PieceType::kUnknown) {
      out += kUnknownSurface;
    } else if (entry.type == PieceType::kByte) {
      out += static_cast<char>(vocabulary_.byte_of(id));
    } else {
      append_unescaped(std::string_view(entry.text).substr(drops_space ? kSpaceSymbol.size() : 0),
                       out);
    }
  }

  void write_gguf(GgufWriter& writer) const override {
    write_gguf_vocabulary(vocabulary_.spec(), writer);
  }
  std::string to_json() const override { return sentencepiece_json(vocabulary_, special_ids_); }

 private:
  // Every stretch between control pieces is a text of its own, with its own leading space, as
  // llama.cpp and the Rust tokenizers have it.
  std::vector<int32_t> encode_with_special(std::string_view text,
                                           const EncodeOptions& options) const {
    std::vector<int32_t> ids;
    const auto append = [&](std::string_view stretch, bool first) {
      const std::vector<int32_t> encoded =
          encode_text(vocabulary_, stretch, options.continues && first);
      ids.insert(ids.end(), encoded.begin(), encoded.end());
    };
    size_t begin = 0;
    for (size_t at = 0; at < text.size();) {
      const size_t free = free_bytes(options.data, at, text.size());
      const int32_t id = vocabulary_.match_control(text.substr(at, free));
      if (id < 0) {
        ++at;
        continue;
      }
      append(text.substr(begin, at - begin), begin == 0);
      ids.push_back(id);
      at += vocabulary_.piece(id).text.size();
      begin = at;
    }
    append(text.substr(begin), begin == 0);
    return ids;
  }

  Vocabulary vocabulary_;
  SpecialIds special_ids_;
};

}  // namespace

std::unique_ptr<const Codec> make_spm_codec(TokenizerSpec spec) {
  return std::make_unique<const SpmCodec>(std::move(spec));
}

}  // namespace tercet
