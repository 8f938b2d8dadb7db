// SPDX-License-Identifier: Apache-2.0
#include "model/forward.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <utility>

#include "core/error.h"
#include "model/attention.h"
#include "model/rms_norm.h"

namespace tercet {
namespace {

constexpr size_t kMaxSharedInputs = 3;  // q, k and v

std::vector<float> scratch(int64_t tokens, int64_t width) {
  return std::vector<float>(static_cast<size_t>(tokens * width));
}

void activate(Activation kind, const float* gate, const float* up, int64_t count, float* out) {
  switch (kind) {
    case Activation::kSilu:
      for (int64_t i = 0; i < count; ++i) out[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
      return;
    case Activation::kRelu2:
      for (int64_t i = 0; i < count; ++i) {
        const float positive = std::max(gate[i], 0.0f);
        out[i] = positive * positive * up[i];
      }
      return;
    case Activation::kGeluTanh:
      for (int64_t i = 0; i < count; ++i) {
        constexpr float kSlope = 0.79788456080286536f;  // sqrt(2 / pi)
        const float g = gate[i];
        const float bent = kSlope * (g + 0.044715f * g * g * g);
        out[i] = 0.5f * g * (1.0f + std::tanh(bent)) * up[i];
      }
      return;
  }
}

float score_scale(const ModelConfig& config) {
  return config.attention_scale != 0.0f ? config.attention_scale
                                        : 1.0f / std::sqrt(static_cast<float>(config.head_dim));
}

}  // namespace

Forward::Forward(const Model& model, const KernelTable& kernels, ThreadPool& pool, int64_t chunk)
    : Forward(std::make_shared<const PackedModel>(model, kernels, pool), pool, chunk) {}

Forward::Forward(std::shared_ptr<const PackedModel> packed, ThreadPool& pool, int64_t chunk)
    : packed_(std::move(packed)),
      model_(packed_->model()),
      config_(model_.config()),
      kernels_(packed_->kernels()),
      pool_(pool),
      score_scale_(score_scale(config_)),
      chunk_(chunk) {
  const int64_t attention = config_.num_attention_heads * config_.head_dim;
  const int64_t key_value = config_.num_key_value_heads * config_.head_dim;
  const int64_t widest = std::max({config_.hidden_size, attention, config_.intermediate_size});
  prepared_.resize(has_input_norms(config_.norm) ? kMaxSharedInputs : 1);
  for (Prepared& slot : prepared_) {
    if (has_input_norms(config_.norm)) slot.normed = scratch(chunk, widest);
    slot.quantized.resize(static_cast<size_t>(chunk * widest));
    slot.scales = scratch(chunk, 1);
  }
  residual_ = scratch(chunk, config_.hidden_size);
  hidden_ = scratch(chunk, config_.hidden_size);
  query_ = scratch(chunk, attention);
  key_ = scratch(chunk, key_value);
  value_ = scratch(chunk, key_value);
  attended_ = scratch(chunk, attention);
  gate_ = scratch(chunk, config_.intermediate_size);
  up_ = scratch(chunk, config_.intermediate_size);
  add_rotation(scaled_frequencies(config_, model_.weights().rope_factors));
  if (config_.rope_local_theta != 0.0f) {
    add_rotation(plain_frequencies(config_.rotary_dimensions(), config_.rope_local_theta));
  }
}

void Forward::add_rotation(RopeFrequencies frequencies) {
  Rope rope(model_.rope_order(), std::move(frequencies));
  const int64_t pairs = rope.pairs();
  rotations_.push_back({std::move(rope), scratch(chunk_, pairs), scratch(chunk_, pairs)});
}

uint64_t Forward::scratch_bytes() const {
  size_t floats = 0;
  size_t bytes = 0;
  for (const Prepared& slot : prepared_) {
    floats += slot.normed.size() + slot.scales.size();
    bytes += slot.quantized.size();
  }
  for (const auto* buffer :
       {&residual_, &hidden_, &query_, &key_, &value_, &attended_, &gate_, &up_}) {
    floats += buffer->size();
  }
  for (const Rotation& rotation : rotations_) {
    floats += rotation.cosines.size() + rotation.sines.size();
  }
  return bytes + floats * sizeof(float) + linear_scratch_.bytes();
}

template <typename Body>
void Forward::for_tokens(int64_t tokens, const Body& body) {
  if (tokens == 1) return body(0);
  const auto range = [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) body(t);
  };
  pool_.parallel_for(tokens, 1, std::ref(range));
}

void Forward::check(std::span<const int32_t> tokens, const KvCache& cache,
                    std::span<const float> logits, LogitsFor which) const {
  const int64_t count = static_cast<int64_t>(tokens.size());
  if (count == 0) fail(ErrorCode::kUsage, "there are no tokens to run; give at least one");
  for (const int32_t token : tokens) {
    if (token >= 0 && token < config_.vocab_size) continue;
    fail(ErrorCode::kBadInput, "token id {} is outside the vocabulary of {} tokens", token,
         config_.vocab_size);
  }
  if (count > cache.max_tokens() - cache.length()) {
    fail(
        ErrorCode::kUsage,
        "{} tokens do not fit in the context of {} ({} taken); shorten the text or choose a longer "
        "context",
        cache.length() + count, cache.max_tokens(), cache.length());
  }
  const int64_t rows = which == LogitsFor::kAll ? count : 1;
  if (static_cast<int64_t>(logits.size()) != rows * config_.vocab_size) {
    fail(ErrorCode::kInternal, "room for {} logits where {} are due", logits.size(),
         rows * config_.vocab_size);
  }
  if (cache.config() != config_) {
    fail(ErrorCode::kInternal, "the key-value cache was made for another model");
  }
}

void Forward::run(std::span<const int32_t> tokens, KvCache& cache, std::span<float> logits,
                  LogitsFor which) {
  check(tokens, cache, logits, which);
  const int64_t total = static_cast<int64_t>(tokens.size());
  for (int64_t start = 0; start < total; start += chunk_) {
    const int64_t count = std::min(chunk_, total - start);
    run_chunk(tokens.subspan(static_cast<size_t>(start), static_cast<size_t>(count)), cache);
    if (which == LogitsFor::kAll) {
      write_logits(0, count, logits.data() + start * config_.vocab_size);
    } else if (start + count == total) {
      write_logits(count - 1, 1, logits.data());
    }
  }
}

void Forward::run_chunk(std::span<const int32_t> tokens, KvCache& cache) {
  const int64_t count = static_cast<int64_t>(tokens.size());
  embed(tokens);
  for (Rotation& rotation : rotations_) {
    const int64_t pairs = rotation.rope.pairs();
    for (int64_t t = 0; t < count; ++t) {
      rotation.rope.angles(cache.length() + t, rotation.cosines.data() + t * pairs,
                           rotation.sines.data() + t * pairs);
    }
  }
  const std::vector<LayerWeights>& layers = model_.weights().layers;
  for (size_t i = 0; i < layers.size(); ++i) {
    attention_block(layers[i], static_cast<int64_t>(i), count, cache);
    feed_forward_block(layers[i], count);
  }
  cache.advance(count);
}

void Forward::embed(std::span<const int32_t> tokens) {
  for (size_t t = 0; t < tokens.size(); ++t) {
    decode_row(model_.weights().embedding, tokens[t],
               residual_.data() + t * static_cast<size_t>(config_.hidden_size));
  }
  if (config_.embedding_multiplier == 1.0f) return;
  const size_t count = tokens.size() * static_cast<size_t>(config_.hidden_size);
  for (size_t i = 0; i < count; ++i) residual_[i] *= config_.embedding_multiplier;
}

void Forward::attention_block(const LayerWeights& layer, int64_t index, int64_t tokens,
                              KvCache& cache) {
  const float* input = normed(residual_.data(), layer.attention_norm, tokens, hidden_.data());
  project({{&layer.q, query_.data()}, {&layer.k, key_.data()}, {&layer.v, value_.data()}}, input,
          tokens);
  rotate_and_store(layer, index, tokens, cache);
  attend_all(index, tokens, cache);
  const float* context =
      normed(attended_.data(), layer.attention_sub_norm, tokens, attended_.data());
  project({{&layer.o, hidden_.data()}}, context, tokens);
  add_to_residual(normed(hidden_.data(), layer.post_attention_norm, tokens, hidden_.data()),
                  tokens);
}

void Forward::feed_forward_block(const LayerWeights& layer, int64_t tokens) {
  const float* input = normed(residual_.data(), layer.ffn_norm, tokens, hidden_.data());
  project({{&layer.gate, gate_.data()}, {&layer.up, up_.data()}}, input, tokens);
  const int64_t width = config_.intermediate_size;
  for_tokens(tokens, [&](int64_t t) {
    float* gate = gate_.data() + t * width;
    activate(config_.hidden_act, gate, up_.data() + t * width, width, gate);
  });
  const float* gated = normed(gate_.data(), layer.ffn_sub_norm, tokens, gate_.data());
  project({{&layer.down, hidden_.data()}}, gated, tokens);
  add_to_residual(normed(hidden_.data(), layer.post_ffn_norm, tokens, hidden_.data()), tokens);
}

void Forward::rotate_and_store(const LayerWeights& weights, int64_t layer, int64_t tokens,
                               KvCache& cache) {
  const int64_t dim = config_.head_dim;
  const int64_t heads = config_.num_attention_heads;
  const int64_t kv_heads = config_.num_key_value_heads;
  // Sliding layers have the second rotation where there are two.
  const Rotation& rotation = rotations_[config_.is_sliding(layer) ? rotations_.size() - 1 : 0];
  const int64_t pairs = rotation.rope.pairs();
  for_tokens(tokens, [&](int64_t t) {
    const float* cosines = rotation.cosines.data() + t * pairs;
    const float* sines = rotation.sines.data() + t * pairs;
    const auto place = [&](float* head, const std::vector<float>& norm) {
      if (!norm.empty()) rms_norm(head, norm, config_.rms_norm_eps, head);
      rotation.rope.rotate(cosines, sines, head);
    };
    for (int64_t h = 0; h < heads; ++h) {
      place(query_.data() + (t * heads + h) * dim, weights.q_norm);
    }
    for (int64_t h = 0; h < kv_heads; ++h) {
      float* key = key_.data() + (t * kv_heads + h) * dim;
      const float* value = value_.data() + (t * kv_heads + h) * dim;
      place(key, weights.k_norm);
      const int64_t at = (cache.length() + t) * dim;
      std::copy(key, key + dim, cache.keys(layer, h) + at);
      std::copy(value, value + dim, cache.values(layer, h) + at);
    }
  });
}

void Forward::attend_all(int64_t layer, int64_t tokens, KvCache& cache) {
  const int64_t dim = config_.head_dim;
  const int64_t heads = config_.num_attention_heads;
  const int64_t heads_per_kv = heads / config_.num_key_value_heads;
  const int64_t window = config_.is_sliding(layer) ? config_.sliding_window : cache.max_tokens();
  // Head-major, so that each thread stays with the keys of few heads.
  const auto body = [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t head = item / tokens;
      const int64_t t = item % tokens;
      const int64_t kv_head = head / heads_per_kv;
      const int64_t at = (t * heads + head) * dim;
      const int64_t seen = cache.length() + t + 1;
      const int64_t first = std::max(seen - window, int64_t{0});
      attend(query_.data() + at, cache.keys(layer, kv_head) + first * dim,
             cache.values(layer, kv_head) + first * dim, seen - first, dim, score_scale_, kernels_,
             attended_.data() + at);
    }
  };
  constexpr int64_t kMinParallelWork = int64_t{1} << 15;
  const int64_t items = tokens * heads;
  if (items * (cache.length() + tokens) * dim < kMinParallelWork) return body(0, items);
  pool_.parallel_for(items, 1, std::ref(body));
}

void Forward::write_logits(int64_t first_token, int64_t tokens, float* logits) {
  const float* last = residual_.data() + first_token * config_.hidden_size;
  const float* input = normed(last, model_.weights().final_norm, tokens, hidden_.data());
  const PackedHead* head = packed_->head();
  if (head == nullptr) return project({{&model_.weights().head, logits}}, input, tokens);
  if (tokens == 1) return head->multiply_top(input, pool_, head_scratch_, logits);
  head->multiply(input, tokens, pool_, head_scratch_, logits);
}

const float* Forward::normed(const float* x, const std::vector<float>& weight, int64_t tokens,
                             float* out) {
  if (weight.empty()) return x;
  const int64_t width = static_cast<int64_t>(weight.size());
  for_tokens(tokens, [&](int64_t t) {
    rms_norm(x + t * width, weight, config_.rms_norm_eps, out + t * width);
  });
  return out;
}

void Forward::project(std::initializer_list<Projection> projections, const float* x,
                      int64_t tokens) {
  std::array<LinearJob, kMaxSharedInputs> jobs;
  size_t count = 0;
  for (const Projection& projection : projections) {
    const LinearWeights& weights = *projection.weights;
    // Maps without a norm of their own read the same input: what the first prepared serves all.
    const LinearInput input =
        count > 0 && weights.input_norm.empty()
            ? jobs[0].input
            : prepare(prepared_[weights.input_norm.empty() ? 0 : count], weights, x, tokens);
    jobs[count++] = {&weights, packed_->find(weights), input, projection.out};
  }
  run_linear(std::span(jobs).first(count), tokens, kernels_, pool_, linear_scratch_);
}

LinearInput Forward::prepare(Prepared& slot, const LinearWeights& weights, const float* x,
                             int64_t tokens) {
  const int64_t width = weights.cols;
  const float* input = normed(x, weights.input_norm, tokens, slot.normed.data());
  if (!weights.int8_activations) return {input, nullptr, nullptr};
  for_tokens(tokens, [&](int64_t t) {
    slot.scales[static_cast<size_t>(t)] =
        kernels_.quantize_absmax_i8(input + t * width, width, slot.quantized.data() + t * width);
  });
  return {input, slot.quantized.data(), slot.scales.data()};
}

void Forward::add_to_residual(const float* x, int64_t tokens) {
  const int64_t count = tokens * config_.hidden_size;
  for (int64_t i = 0; i < count; ++i) residual_[static_cast<size_t>(i)] += x[i];
}

}  // namespace tercet
