// SPDX-License-Identifier: Apache-2.0
#include "model/synthetic_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/half.h"
#include "core/rng.h"
#include "packing/row_codes.h"
#include "tokenizer/gguf_vocabulary.h"

namespace tercet {
namespace {

constexpr int64_t kCodesPerByte = 4;  // of trit4

// Every byte of four codes, once; with `binary` those without a zero.
std::vector<uint8_t> code_bytes(bool binary) {
  std::vector<uint8_t> bytes;
  std::array<int8_t, kCodesPerByte> codes = {};
  for (int combination = 0; combination < 81; ++combination) {
    int rest = combination;
    for (int8_t& code : codes) {
      code = static_cast<int8_t>(rest % 3 - 1);
      rest /= 3;
    }
    if (binary && std::find(codes.begin(), codes.end(), 0) != codes.end()) continue;
    packing::pack_row(packing::Layout::kTrit4, codes, kCodesPerByte, {}, &bytes.emplace_back());
  }
  return bytes;
}

// Four bytes for each random number: its 16-bit parts choose among `choices`, none of them by more
// than a thousandth too often.
void fill_codes(Rng& rng, const std::vector<uint8_t>& choices, std::vector<uint8_t>& out) {
  const uint64_t count = choices.size();
  for (size_t i = 0; i < out.size(); i += 4) {
    uint64_t word = rng.next();
    for (size_t k = i; k < std::min(i + 4, out.size()); ++k, word >>= 16) {
      out[k] = choices[(word & 0xFFFF) * count >> 16];
    }
  }
}

// f16 numbers of random sign, between 1/64 and 1/32: cheap, and of the size of trained embeddings.
void fill_f16(Rng& rng, std::vector<uint8_t>& out) {
  constexpr uint64_t kSignsAndFractions = 0x83FF83FF83FF83FF;
  constexpr uint64_t kExponents = 0x2400240024002400;
  for (size_t i = 0; i < out.size(); i += sizeof(uint64_t)) {
    const uint64_t word = (rng.next() & kSignsAndFractions) | kExponents;
    std::memcpy(out.data() + i, &word, std::min(sizeof(word), out.size() - i));
  }
}

// Tensors do not depend on each other, so that any of them can be made alone.
Rng rng_of(const std::string& name, uint64_t seed) {
  uint64_t hash = 0xCBF29CE484222325;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  return Rng(hash ^ (seed * 0x9E3779B97F4A7C15));
}

// Products of `cols` codes with numbers of the order of one are again of that order. One that f16
// can hold, since some types keep it as that.
float scale_for(int64_t cols, bool binary) {
  const double variance = binary ? 1.0 : 2.0 / 3.0;
  return f16_to_f32(
      f32_to_f16(static_cast<float>(1.0 / std::sqrt(static_cast<double>(cols) * variance))));
}

float around_one(Rng& rng) { return static_cast<float>(0.5 + rng.uniform()); }

TokenizerSpec byte_tokenizer(int64_t vocab_size) {
  TokenizerSpec spec;
  spec.origin = "synthetic tokenizer";
  spec.pieces = {{"<unk>", 0, PieceType::kUnknown},
                 {"<s>", 0, PieceType::kControl},
                 {"</s>", 0, PieceType::kControl}};
  for (int byte = 0; byte < 256; ++byte) {
    spec.pieces.push_back({fmt::format("<0x{:02X}>", byte), 0, PieceType::kByte});
  }
  spec.pieces.push_back({"\u2581", 0, PieceType::kNormal});
  for (int64_t id = std::ssize(spec.pieces); id < vocab_size; ++id) {
    spec.pieces.push_back(
        {fmt::format("\u2581w{}", id), -static_cast<float>(id), PieceType::kNormal});
  }
  spec.unknown_id = 0;
  spec.bos_id = 1;
  spec.eos_id = 2;
  spec.add_bos = true;
  return spec;
}

}  // namespace

SyntheticSource::SyntheticSource(const SyntheticShape& shape, const SyntheticOptions& options)
    : WeightSource(fmt::format("synthetic {}", shape.name), shape.config, RopeOrder::kHalfSplit,
                   "synthetic"),
      description_(shape.description),
      options_(options),
      binary_(options.binary || shape.config.linear == LinearKind::kOneBit) {
  for (const TensorSpec& spec : tensor_specs(config())) {
    if (spec.cols % kCodesPerByte == 0) continue;
    fail(ErrorCode::kInternal, "the shape {} has rows of {}", shape.name, spec.cols);
  }
}

std::string SyntheticSource::display_name() const {
  return fmt::format("random weights, {} shape, seed {}", description_, options_.seed);
}

LinearWeights SyntheticSource::matrix(const TensorSpec& spec, WeightStorage& storage) const {
  LinearWeights out;
  out.name = spec.gguf_name;
  out.rows = spec.rows;
  out.cols = spec.cols;
  out.group_size = spec.cols;
  out.type = spec.low_bit ? StoredType::kTrit4 : StoredType::kF16;
  out.row_stride = spec.low_bit ? spec.cols / kCodesPerByte : spec.cols * 2;
  out.stored_bytes = stored_bytes(spec);
  std::vector<uint8_t>& bytes =
      storage.bytes.emplace_back(static_cast<size_t>(out.rows * out.row_stride));
  Rng rng = rng_of(spec.gguf_name, options_.seed);
  if (spec.low_bit) {
    fill_codes(rng, code_bytes(binary_), bytes);
    const float scale = scale_for(spec.cols, binary_);
    std::vector<float>& scales = storage.floats.emplace_back(1, scale);
    out.scope = matrix_form(spec).reach.scope;
    if (out.scope == packing::ScaleScope::kRow) {
      scales.resize(static_cast<size_t>(spec.rows));
      for (float& of_row : scales) of_row = scale * around_one(rng);
    }
    out.scales = scales;
    out.int8_activations = true;
  } else {
    fill_f16(rng, bytes);
  }
  out.data = bytes;
  return out;
}

std::vector<float> SyntheticSource::vector(const TensorSpec& spec) const {
  std::vector<float> out(static_cast<size_t>(spec.cols), 1.0f);
  if (!spec.gguf_name.ends_with(".input_scale")) return out;
  Rng rng = rng_of(spec.gguf_name, options_.seed);
  for (float& value : out) value = around_one(rng);
  return out;
}

uint64_t SyntheticSource::stored_bytes(const TensorSpec& spec) const {
  if (spec.rows == 0) return static_cast<uint64_t>(spec.cols) * sizeof(float);
  const int64_t row = spec.low_bit ? spec.cols / kCodesPerByte : spec.cols * 2;
  return static_cast<uint64_t>(spec.rows * row);
}

std::string SyntheticSource::stored_type_name(const TensorSpec& spec) const {
  return to_string(spec.rows == 0 ? StoredType::kF32 : matrix_form(spec).type);
}

MatrixForm SyntheticSource::matrix_form(const TensorSpec& spec) const {
  const auto scope = config().linear == LinearKind::kOneBit ? packing::ScaleScope::kRow
                                                            : packing::ScaleScope::kTensor;
  if (spec.low_bit) return {StoredType::kTrit4, {scope, spec.cols}};
  return {StoredType::kF16, {}};
}

std::optional<Tokenizer> SyntheticSource::load_tokenizer(std::string& note) const {
  note = "random weights have no text";
  return std::nullopt;
}

bool SyntheticSource::write_tokenizer(GgufWriter& writer) const {
  const TokenizerSpec spec = byte_tokenizer(config().vocab_size);
  if (std::ssize(spec.pieces) > config().vocab_size) return false;
  write_gguf_vocabulary(spec, writer);
  return true;
}

}  // namespace tercet
