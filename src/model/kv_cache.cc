// SPDX-License-Identifier: Apache-2.0
#include "model/kv_cache.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "core/checked.h"
#include "core/error.h"

namespace tercet {
namespace {

constexpr std::array<const char*, kKvTypes> kNames = {"f32", "f16", "bf16", "int8"};
constexpr std::array<int64_t, kKvTypes> kElementBytes = {4, 2, 2, 1};

// So that a head fits on the stack.
constexpr int64_t kMaxHeadDim = 1024;

// Beyond it no system has addresses.
constexpr uint64_t kMostBytes = uint64_t{1} << 47;

int64_t element_bytes(KvType type) { return kElementBytes[static_cast<size_t>(type)]; }

int64_t whole_blocks(int64_t positions) {
  return (positions + kKeyBlock - 1) / kKeyBlock * kKeyBlock;
}

// Of one position of one head.
int64_t head_bytes(const ModelConfig& config, KvType type) {
  const int64_t elements = config.head_dim + value_stride(config.head_dim);
  const int64_t scales = type == KvType::kInt8 ? 2 * int64_t{sizeof(float)} : 0;
  return elements * element_bytes(type) + scales;
}

// A key in the cache's type goes to one column of its block.
template <class Element>
void put_column(const Element* from, int64_t count, uint8_t* block, int64_t column) {
  uint8_t* to = block + column * int64_t{sizeof(Element)};
  for (int64_t d = 0; d < count; ++d) {
    std::memcpy(to + d * kKeyBlock * int64_t{sizeof(Element)}, from + d, sizeof(Element));
  }
}

// What int8 is multiplied with to give x back. NaN for a vector that was not finite.
float quantize(const float* x, int64_t count, int8_t* out, const KernelTable& kernels) {
  return 1.0f / kernels.quantize_absmax_i8(x, count, out);
}

}  // namespace

const char* to_string(KvType type) { return kNames[static_cast<size_t>(type)]; }

KvType kv_type_named(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) {
    fail(ErrorCode::kUsage, "'{}' is no type of a key-value cache; use f32, f16, bf16 or int8",
         name);
  }
  return static_cast<KvType>(found - kNames.begin());
}

KvCache::KvCache(const ModelConfig& config, int64_t max_tokens, KvType type)
    : config_(config), type_(type), max_tokens_(max_tokens) {
  if (max_tokens < 1)
    fail(ErrorCode::kUsage, "a context of {} tokens is too short; use 1 or more", max_tokens);
  if (max_tokens > config.max_position_embeddings) {
    fail(ErrorCode::kUsage, "a context of {} tokens exceeds the {} that the model was made for",
         max_tokens, config.max_position_embeddings);
  }
  if (config.head_dim > kMaxHeadDim) {
    fail(ErrorCode::kUnsupported, "head_dim is {}, this version runs models of up to {}",
         config.head_dim, kMaxHeadDim);
  }
  if (bytes() > kMostBytes) {
    fail(ErrorCode::kUsage, "a context of {} tokens needs {} MiB of memory; choose a shorter one",
         max_tokens, bytes() >> 20);
  }
}

uint64_t KvCache::bytes_per_token(const ModelConfig& config, KvType type) {
  return checked_mul(static_cast<uint64_t>(config.num_hidden_layers * config.num_key_value_heads),
                     static_cast<uint64_t>(head_bytes(config, type)))
      .value_or(std::numeric_limits<uint64_t>::max());
}

uint64_t KvCache::bytes_for(const ModelConfig& config, int64_t max_tokens, KvType type) {
  // Saturates: no such amount can be allocated anyway.
  return checked_mul(bytes_per_token(config, type), static_cast<uint64_t>(whole_blocks(max_tokens)))
      .value_or(std::numeric_limits<uint64_t>::max());
}

uint64_t KvCache::held_bytes() const {
  uint64_t bytes = 0;
  for (const AlignedBuffer& segment : segments_) bytes += segment.size();
  return bytes;
}

int64_t KvCache::capacity(int64_t segment) const {
  return std::min(kSegmentPositions, whole_blocks(max_tokens_ - segment * kSegmentPositions));
}

void KvCache::reserve(int64_t tokens) {
  const int64_t wanted = (length_ + tokens + kSegmentPositions - 1) / kSegmentPositions;
  while (std::ssize(segments_) < wanted) {
    const auto positions = static_cast<uint64_t>(capacity(std::ssize(segments_)));
    segments_.emplace_back(positions * bytes_per_token(config_, type_));
  }
}

// Each head has its part of a segment: keys, values, scales of the keys, of the values.
KvCache::Head KvCache::head(int64_t layer, int64_t kv_head, int64_t segment) {
  const int64_t positions = capacity(segment);
  const int64_t keys = positions * config_.head_dim * element_bytes(type_);
  const int64_t values = positions * value_stride(config_.head_dim) * element_bytes(type_);
  uint8_t* start =
      segments_[static_cast<size_t>(segment)].data() +
      (layer * config_.num_key_value_heads + kv_head) * positions * head_bytes(config_, type_);
  float* scales = nullptr;
  if (type_ == KvType::kInt8) {
    scales = static_cast<float*>(static_cast<void*>(start + keys + values));
  }
  return {start, start + keys, scales, scales == nullptr ? nullptr : scales + positions};
}

void KvCache::store(int64_t layer, int64_t kv_head, int64_t position, const float* key,
                    const float* value, const KernelTable& kernels) {
  const Head to = head(layer, kv_head, position / kSegmentPositions);
  const int64_t place = position % kSegmentPositions;
  const int64_t dim = config_.head_dim;
  uint8_t* block = to.keys + place / kKeyBlock * kKeyBlock * dim * element_bytes(type_);
  const int64_t column = place % kKeyBlock;
  void* values = to.values + place * value_stride(dim) * element_bytes(type_);
  if (type_ == KvType::kF32) {
    put_column(key, dim, block, column);
    std::memcpy(values, value, static_cast<size_t>(dim) * sizeof(float));
  } else if (type_ == KvType::kInt8) {
    std::array<int8_t, kMaxHeadDim> narrow;
    to.key_scales[place] = quantize(key, dim, narrow.data(), kernels);
    put_column(narrow.data(), dim, block, column);
    to.value_scales[place] = quantize(value, dim, static_cast<int8_t*>(values), kernels);
  } else {
    const auto convert = type_ == KvType::kF16 ? kernels.narrow_to_f16 : kernels.narrow_to_bf16;
    std::array<uint16_t, kMaxHeadDim> narrow;
    convert(key, dim, narrow.data());
    put_column(narrow.data(), dim, block, column);
    convert(value, dim, static_cast<uint16_t*>(values));
  }
}

void KvCache::truncate(int64_t length) {
  if (length < 0 || length > length_) {
    fail(ErrorCode::kInternal, "cannot truncate a cache of {} tokens to {}", length_, length);
  }
  length_ = length;
}

void KvCache::advance(int64_t tokens) {
  if (tokens < 0 || tokens > max_tokens_ - length_) {
    fail(ErrorCode::kInternal, "cache of {} tokens cannot take {} after {}", max_tokens_, tokens,
         length_);
  }
  length_ += tokens;
}

}  // namespace tercet
