// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/tokenizer.h"

#include <utility>

#include "core/error.h"
#include "tokenizer/codec.h"
#include "tokenizer/decoder.h"
#include "tokenizer/utf8.h"

namespace tercet {

Tokenizer::Tokenizer(std::unique_ptr<const Codec> codec) : codec_(std::move(codec)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

void Tokenizer::write_gguf(GgufWriter& writer) const { codec_->write_gguf(writer); }

int32_t Tokenizer::vocab_size() const { return static_cast<int32_t>(codec_->pieces().size()); }

const Piece& Tokenizer::piece(int32_t id) const {
  if (id < 0 || id >= vocab_size()) {
    fail(ErrorCode::kBadInput, "token id {} is outside the vocabulary of {}", id, vocab_size());
  }
  return codec_->pieces()[static_cast<size_t>(id)];
}

std::string Tokenizer::piece_bytes(int32_t id) const {
  const PieceType type = piece(id).type;
  if (type == PieceType::kUnknown || type == PieceType::kUnused) return {};
  DecodeState state = DecodeState::inside_text();
  std::string out;
  codec_->append_text(id, state, out);
  return out;
}

int32_t Tokenizer::bos_id() const { return codec_->special_ids().bos; }
int32_t Tokenizer::eos_id() const { return codec_->special_ids().eos; }
int32_t Tokenizer::unknown_id() const { return codec_->special_ids().unknown; }
bool Tokenizer::add_bos() const {
  const SpecialIds& ids = codec_->special_ids();
  return ids.bos >= 0 && !ids.prefix.empty() && ids.prefix.front() == ids.bos;
}
const std::vector<int32_t>& Tokenizer::end_ids() const { return codec_->special_ids().ends; }

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  return codec_->encode(text, {});
}

std::vector<int32_t> Tokenizer::encode_continuation(std::string_view text) const {
  return codec_->encode(text, {.continues = true});
}

std::vector<int32_t> Tokenizer::encode_with_special(std::string_view text,
                                                    std::span<const TextRange> data) const {
  return codec_->encode(text, {.with_special = true, .data = data});
}

std::vector<int32_t> Tokenizer::encode_prompt(std::string_view text) const {
  std::vector<int32_t> ids = encode(text);
  const SpecialIds& special = codec_->special_ids();
  ids.insert(ids.begin(), special.prefix.begin(), special.prefix.end());
  ids.insert(ids.end(), special.suffix.begin(), special.suffix.end());
  return ids;
}

std::optional<int32_t> Tokenizer::find_special(std::string_view text) const {
  const int32_t id = codec_->find_special(text);
  return id < 0 ? std::nullopt : std::optional<int32_t>(id);
}

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < vocab_size() && codec_->is_special(id);
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string out;
  DecodeState state;
  for (const int32_t id : ids) {
    piece(id);  // throws for an id that does not exist
    codec_->append_text(id, state, out);
  }
  return out;
}

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool at_text_start)
    : tokenizer_(&tokenizer), state_(at_text_start ? DecodeState() : DecodeState::inside_text()) {}

std::string StreamDecoder::push(int32_t id) {
  tokenizer_->piece(id);
  tokenizer_->codec_->append_text(id, state_, pending_);
  std::string out;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Prefix prefix = utf8_prefix(rest);
    if (prefix.kind == Utf8Prefix::Kind::kIncomplete) break;
    const bool valid = prefix.kind == Utf8Prefix::Kind::kCharacter;
    out += valid ? rest.substr(0, prefix.length) : kReplacementCharacter;
    rest.remove_prefix(prefix.length);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return out;
}

std::string StreamDecoder::finish() {
  // push() leaves nothing but the beginning of one character.
  return std::exchange(pending_, {}).empty() ? std::string() : std::string(kReplacementCharacter);
}

}  // namespace tercet
