// SPDX-License-Identifier: Apache-2.0
#include "model/forward.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "core/error.h"

namespace tercet {
namespace {

constexpr size_t kMaxSharedInputs = 3;  // q, k and v

auto gate_kernel(Activation kind, const KernelTable& kernels) {
  switch (kind) {
    case Activation::kSilu:
      return kernels.silu_gate;
    case Activation::kRelu2:
      return kernels.relu2_gate;
    case Activation::kGeluTanh:
      break;
  }
  return kernels.gelu_gate;
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
      chunk_(chunk),
      attention_(config_, kernels_, pool) {
  prepared_.resize(has_own_inputs() ? kMaxSharedInputs : 1);
  add_rotation(scaled_frequencies(config_, model_.weights().rope_factors));
  if (config_.rope_local_theta != 0.0f) {
    add_rotation(plain_frequencies(config_.rotary_dimensions(), config_.rope_local_theta));
  }
}

void Forward::add_rotation(RopeFrequencies frequencies) {
  rotations_.push_back({Rope(model_.rope_order(), std::move(frequencies)), {}, {}});
}

Forward::Widths Forward::widths() const {
  const int64_t attention = config_.num_attention_heads * config_.head_dim;
  return {.hidden = config_.hidden_size,
          .attention = attention,
          .key_value = config_.num_key_value_heads * config_.head_dim,
          .intermediate = config_.intermediate_size,
          .widest = std::max({config_.hidden_size, attention, config_.intermediate_size})};
}

void Forward::make_room(int64_t rows) {
  if (rows <= room_) return;
  room_ = rows;
  const Widths w = widths();
  const auto size = [&](int64_t width) { return static_cast<size_t>(rows * width); };
  for (Prepared& slot : prepared_) {
    if (changes_inputs()) slot.own.resize(size(w.widest));
    slot.quantized.resize(size(w.widest));
    slot.scales.resize(size(config_.variants.quant_groups));
    slot.shifts.resize(size(config_.variants.quant_groups));
  }
  residual_.resize(size(w.hidden));
  hidden_.resize(size(w.hidden));
  query_.resize(size(w.attention));
  key_.resize(size(w.key_value));
  value_.resize(size(w.key_value));
  attended_.resize(size(w.attention));
  gate_.resize(size(w.intermediate));
  up_.resize(size(w.intermediate));
  for (Rotation& rotation : rotations_) {
    rotation.cosines.resize(size(rotation.rope.pairs()));
    rotation.sines.resize(size(rotation.rope.pairs()));
  }
}

uint64_t Forward::scratch_bytes() const {
  const Widths w = widths();
  int64_t floats = 2 * (w.hidden + w.attention + w.key_value + w.intermediate);
  for (const Rotation& rotation : rotations_) floats += 2 * rotation.rope.pairs();
  const int64_t own = changes_inputs() ? w.widest : 0;
  const int64_t slot = (own + 1) * int64_t{sizeof(float)} + 2 * w.widest;  // and for run_linear
  const int64_t row = floats * int64_t{sizeof(float)} + slot * std::ssize(prepared_);
  return static_cast<uint64_t>(row * chunk_) + attention_.scratch_bytes();
}

template <typename Body>
void Forward::for_tokens(int64_t tokens, const Body& body) {
  if (tokens == 1) return body(0);
  // Ranges of neighbours, since they write to neighbouring places of the cache.
  const int64_t grain = std::clamp<int64_t>(tokens / pool_.size(), 1, kKeyBlock);
  pool_.parallel_for(tokens, grain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) body(t);
  });
}

void Forward::check_step(const SequenceStep& step) const {
  const int64_t count = std::ssize(step.tokens);
  const KvCache& cache = *step.cache;
  if (count == 0) fail(ErrorCode::kUsage, "there are no tokens to run; give at least one");
  for (const int32_t token : step.tokens) {
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
  if (cache.config() != config_) {
    fail(ErrorCode::kInternal, "the key-value cache was made for another model");
  }
}

void Forward::check(std::span<const SequenceStep> steps, std::span<const float> logits) const {
  for (size_t i = 0; i < steps.size(); ++i) {
    check_step(steps[i]);
    for (size_t j = 0; j < i; ++j) {
      if (steps[i].cache != steps[j].cache) continue;
      fail(ErrorCode::kInternal, "two sequences of a batch have the same key-value cache");
    }
  }
  const int64_t due = logit_rows(steps) * config_.vocab_size;
  if (std::ssize(logits) != due) {
    fail(ErrorCode::kInternal, "room for {} logits where {} are due", logits.size(), due);
  }
}

int64_t Forward::logit_rows(std::span<const SequenceStep> steps) {
  int64_t rows = 0;
  for (const SequenceStep& step : steps) {
    if (step.logits == LogitsFor::kLast) ++rows;
    if (step.logits == LogitsFor::kAll) rows += std::ssize(step.tokens);
  }
  return rows;
}

void Forward::run(std::span<const int32_t> tokens, KvCache& cache, std::span<float> logits,
                  LogitsFor which) {
  const SequenceStep step{tokens, &cache, which};
  run_batch({&step, 1}, logits);
}

void Forward::run_batch(std::span<const SequenceStep> steps, std::span<float> logits) {
  check(steps, logits);
  for (const SequenceStep& step : steps) step.cache->reserve(std::ssize(step.tokens));
  float* out = logits.data();
  const auto run_pass_now = [&] {
    run_pass(out);
    out += std::ssize(pass_.logits_rows) * config_.vocab_size;
    pass_ = {};
  };
  pass_ = {};
  for (const SequenceStep& step : steps) {
    const int64_t count = std::ssize(step.tokens);
    for (int64_t begin = 0; begin < count;) {
      const int64_t row = std::ssize(pass_.tokens);
      const int64_t taken = std::min(count - begin, chunk_ - row);
      const auto tokens =
          step.tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(taken));
      pass_.tokens.insert(pass_.tokens.end(), tokens.begin(), tokens.end());
      pass_.part_of.insert(pass_.part_of.end(), tokens.size(), pass_.parts.size());
      pass_.parts.push_back({step.cache, row, taken, step.cache->length()});
      begin += taken;
      for (int64_t t = 0; t < taken; ++t) {
        const bool is_last = begin == count && t + 1 == taken;
        if (step.logits == LogitsFor::kAll || (step.logits == LogitsFor::kLast && is_last)) {
          pass_.logits_rows.push_back(row + t);
          pass_.all_bits.push_back(step.logits == LogitsFor::kAll);
        }
      }
      if (row + taken == chunk_) run_pass_now();
    }
  }
  if (!pass_.tokens.empty()) run_pass_now();
}

void Forward::run_pass(float* logits) {
  make_room(std::ssize(pass_.tokens));
  embed();
  turn_angles();
  attention_.plan(pass_.parts);
  const std::vector<LayerWeights>& layers = model_.weights().layers;
  for (size_t i = 0; i < layers.size(); ++i) {
    attention_block(layers[i], static_cast<int64_t>(i));
    feed_forward_block(layers[i]);
  }
  for (const BatchPart& part : pass_.parts) part.cache->advance(part.tokens);
  if (!pass_.logits_rows.empty()) write_logits(logits);
}

void Forward::embed() {
  const int64_t width = config_.hidden_size;
  for_tokens(std::ssize(pass_.tokens), [&](int64_t row) {
    float* out = residual_.data() + row * width;
    decode_row(model_.weights().embedding, pass_.tokens[static_cast<size_t>(row)], out);
    if (config_.embedding_multiplier == 1.0f) return;
    for (int64_t i = 0; i < width; ++i) out[i] *= config_.embedding_multiplier;
  });
}

KvCache& Forward::cache_of(int64_t row) const {
  return *pass_.parts[pass_.part_of[static_cast<size_t>(row)]].cache;
}

int64_t Forward::position_of(int64_t row) const {
  const BatchPart& part = pass_.parts[pass_.part_of[static_cast<size_t>(row)]];
  return part.position + row - part.row;
}

void Forward::turn_angles() {
  for_tokens(std::ssize(pass_.tokens), [&](int64_t row) {
    for (Rotation& rotation : rotations_) {
      const int64_t at = row * rotation.rope.pairs();
      rotation.rope.angles(position_of(row), rotation.cosines.data() + at,
                           rotation.sines.data() + at);
    }
  });
}

void Forward::attention_block(const LayerWeights& layer, int64_t index) {
  const int64_t rows = std::ssize(pass_.tokens);
  const float* input =
      map_input(residual_.data(), layer.attention_norm, rows, layer.q.cols, hidden_.data());
  project({{&layer.q, query_.data()}, {&layer.k, key_.data()}, {&layer.v, value_.data()}}, input,
          rows);
  rotate_and_store(layer, index);
  attention_.run(index, query_.data(), attended_.data());
  const float* context =
      map_input(attended_.data(), layer.attention_sub_norm, rows, layer.o.cols, attended_.data());
  project({{&layer.o, hidden_.data()}}, context, rows);
  add_to_residual(normed(hidden_.data(), layer.post_attention_norm, rows, hidden_.data()), rows);
}

void Forward::feed_forward_block(const LayerWeights& layer) {
  const int64_t rows = std::ssize(pass_.tokens);
  const float* input =
      map_input(residual_.data(), layer.ffn_norm, rows, layer.gate.cols, hidden_.data());
  project({{&layer.gate, gate_.data()}, {&layer.up, up_.data()}}, input, rows);
  const int64_t width = config_.intermediate_size;
  const auto activate = gate_kernel(config_.hidden_act, kernels_);
  for_tokens(rows, [&](int64_t row) {
    float* gate = gate_.data() + row * width;
    activate(gate, up_.data() + row * width, width, gate);
  });
  const float* gated =
      map_input(gate_.data(), layer.ffn_sub_norm, rows, layer.down.cols, gate_.data());
  project({{&layer.down, hidden_.data()}}, gated, rows);
  add_to_residual(normed(hidden_.data(), layer.post_ffn_norm, rows, hidden_.data()), rows);
}

void Forward::rotate_and_store(const LayerWeights& weights, int64_t layer) {
  for_tokens(std::ssize(pass_.tokens),
             [&](int64_t row) { rotate_and_store_row(weights, layer, row); });
}

void Forward::rotate_and_store_row(const LayerWeights& weights, int64_t layer, int64_t row) {
  const int64_t dim = config_.head_dim;
  const int64_t heads = config_.num_attention_heads;
  const int64_t kv_heads = config_.num_key_value_heads;
  // Sliding layers have the second rotation where there are two.
  const Rotation& rotation = rotations_[config_.is_sliding(layer) ? rotations_.size() - 1 : 0];
  const int64_t pairs = rotation.rope.pairs();
  const auto place = [&](float* head, const std::vector<float>& norm) {
    if (!norm.empty()) kernels_.rms_norm(head, norm.data(), dim, config_.rms_norm_eps, head);
    rotation.rope.rotate(rotation.cosines.data() + row * pairs, rotation.sines.data() + row * pairs,
                         kernels_, head);
  };
  for (int64_t h = 0; h < heads; ++h) {
    place(query_.data() + (row * heads + h) * dim, weights.q_norm);
  }
  for (int64_t h = 0; h < kv_heads; ++h) {
    const int64_t at = (row * kv_heads + h) * dim;
    place(key_.data() + at, weights.k_norm);
    cache_of(row).store(layer, h, position_of(row), key_.data() + at, value_.data() + at, kernels_);
  }
}

void Forward::write_logits(float* logits) {
  const int64_t width = config_.hidden_size;
  const int64_t rows = std::ssize(pass_.logits_rows);
  for (int64_t i = 0; i < rows; ++i) {  // rows move up only
    const int64_t from = pass_.logits_rows[static_cast<size_t>(i)];
    if (from == i) continue;
    std::copy_n(residual_.data() + from * width, width, residual_.data() + i * width);
  }
  const float* input = normed(residual_.data(), model_.weights().final_norm, rows, hidden_.data());
  const PackedHead* head = packed_->head();
  if (head == nullptr) return project({{&model_.weights().head, logits}}, input, rows);
  const auto kind_ends = [&](int64_t begin) {
    int64_t end = begin + 1;
    while (end < rows &&
           pass_.all_bits[static_cast<size_t>(end)] == pass_.all_bits[static_cast<size_t>(begin)]) {
      ++end;
    }
    return end;
  };
  for (int64_t begin = 0, end = 0; begin < rows; begin = end) {
    end = kind_ends(begin);
    const float* x = input + begin * width;
    float* out = logits + begin * config_.vocab_size;
    if (pass_.all_bits[static_cast<size_t>(begin)]) {
      head->multiply(x, end - begin, pool_, head_scratch_, out);
    } else {
      head->multiply_top(x, end - begin, pool_, head_scratch_, out);
    }
  }
}

const float* Forward::normed(const float* x, const std::vector<float>& weight, int64_t tokens,
                             float* out) {
  if (weight.empty()) return x;
  const int64_t width = static_cast<int64_t>(weight.size());
  for_tokens(tokens, [&](int64_t t) {
    kernels_.rms_norm(x + t * width, weight.data(), width, config_.rms_norm_eps, out + t * width);
  });
  return out;
}

void Forward::plain_norm(const float* x, int64_t width, int64_t tokens, float* out) {
  for_tokens(tokens, [&](int64_t t) {
    kernels_.layer_norm(x + t * width, width, kPlainNormEps, out + t * width);
  });
}

const float* Forward::map_input(const float* x, const std::vector<float>& weight, int64_t tokens,
                                int64_t width, float* out) {
  if (config_.norm != NormPlacement::kInsidePlain) return normed(x, weight, tokens, out);
  const int64_t groups = config_.variants.quant_groups;
  plain_norm(x, width / groups, tokens * groups, out);
  return out;
}

void Forward::project(std::initializer_list<Projection> projections, const float* x,
                      int64_t tokens) {
  std::array<LinearJob, kMaxSharedInputs> jobs;
  size_t count = 0;
  // Maps without an input of their own read the same: once as it is, once rounded.
  std::array<std::optional<LinearInput>, 2> shared;
  for (const Projection& projection : projections) {
    const LinearWeights& weights = *projection.weights;
    Prepared& slot = prepared_[has_own_inputs() ? count : 0];
    LinearInput input;
    if (weights.has_own_input()) {
      input = prepare(slot, weights, x, tokens);
    } else {
      std::optional<LinearInput>& same = shared[weights.int8_activations ? 1 : 0];
      if (!same) same = prepare(slot, weights, x, tokens);
      input = *same;
    }
    jobs[count++] = {&weights, packed_->find(weights), input, projection.out};
  }
  run_linear(std::span(jobs).first(count), tokens, kernels_, pool_, linear_scratch_);
  for (const LinearJob& job : std::span(jobs).first(count)) {
    if (!job.weights->input_scale.empty()) plain_norm(job.out, job.weights->rows, tokens, job.out);
  }
}

LinearInput Forward::prepare(Prepared& slot, const LinearWeights& weights, const float* x,
                             int64_t tokens) {
  const int64_t width = weights.cols;
  const float* input = normed(x, weights.input_norm, tokens, slot.own.data());
  if (!weights.input_scale.empty()) {
    for_tokens(tokens, [&](int64_t t) {
      for (int64_t i = 0; i < width; ++i) {
        slot.own[static_cast<size_t>(t * width + i)] =
            input[t * width + i] * weights.input_scale[static_cast<size_t>(i)];
      }
    });
    input = slot.own.data();
  }
  if (!weights.int8_activations) return {input, nullptr, nullptr};
  const InputForm& form = weights.input;
  const RoundedInputs to{slot.own.data(), slot.quantized.data(), slot.scales.data(),
                         slot.shifts.data()};
  for_tokens(tokens, [&](int64_t t) { round_input(form, input, width, t, kernels_, to); });
  return {input, to.q, to.scales, form.shifted ? to.shifts : nullptr, form.groups};
}

void Forward::add_to_residual(const float* x, int64_t tokens) {
  const int64_t width = config_.hidden_size;
  for_tokens(tokens,
             [&](int64_t t) { kernels_.add(x + t * width, width, residual_.data() + t * width); });
}

}  // namespace tercet
