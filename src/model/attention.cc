// SPDX-License-Identifier: Apache-2.0
#include "model/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tercet {
namespace {

// Queries that one task brings to a segment: so many that the cache is read seldom, so few that
// their scores stay in the second level cache.
constexpr int64_t kTaskQueries = 32;

// Products below which one thread is faster than waking another.
constexpr int64_t kMinParallelWork = int64_t{1} << 16;

// A plan with fewer tasks for each thread splits those of long contexts.
constexpr int64_t kTasksPerThread = 4;

float score_scale(const ModelConfig& config) {
  return config.attention_scale != 0.0f ? config.attention_scale
                                        : 1.0f / std::sqrt(static_cast<float>(config.head_dim));
}

// The position of the first token that the one at `position` sees.
int64_t first_seen(int64_t position, int64_t window) {
  return std::max<int64_t>(position + 1 - window, 0);
}

}  // namespace

void Attention::States::resize(int64_t queries, int64_t stride) {
  const auto count = static_cast<size_t>(queries);
  if (maxima.size() >= count) return;
  maxima.resize(count);
  sums.resize(count);
  outs.resize(count * static_cast<size_t>(stride));
}

AttentionState Attention::States::from(int64_t first, int64_t stride) {
  return {maxima.data() + first, sums.data() + first, outs.data() + first * stride};
}

Attention::Attention(const ModelConfig& config, const KernelTable& kernels, ThreadPool& pool)
    : config_(config),
      kernels_(kernels),
      pool_(pool),
      scale_(score_scale(config)),
      stride_(value_stride(config.head_dim)),
      group_(config.num_attention_heads / config.num_key_value_heads),
      tokens_per_task_(std::max<int64_t>(kTaskQueries / group_, 1)) {
  const int64_t queries = tokens_per_task_ * group_;
  for (int i = 0; i < pool.size(); ++i) {
    auto work = std::make_unique<Workspace>();
    work->queries.resize(static_cast<size_t>(queries * config.head_dim));
    work->weights.resize(static_cast<size_t>(queries * kSegmentPositions));
    work->first.resize(static_cast<size_t>(queries));
    work->last.resize(static_cast<size_t>(queries));
    work->segment.resize(queries, stride_);
    work->total.resize(queries, stride_);
    workspaces_.push_back(std::move(work));
  }
}

uint64_t Attention::scratch_bytes() const {
  const int64_t queries = tokens_per_task_ * group_;
  const int64_t floats =
      queries * (config_.head_dim + kSegmentPositions + 2 * stride_ + 6) * pool_.size();
  return static_cast<uint64_t>(floats) * sizeof(float) + split_.outs.size() * sizeof(float);
}

void Attention::plan(std::span<const BatchPart> parts) {
  split_queries_ = 0;
  all_ = make_plan(parts, std::numeric_limits<int64_t>::max() / 2);
  sliding_ = config_.sliding_window > 0 ? make_plan(parts, config_.sliding_window) : Plan{};
  split_.resize(split_queries_, stride_);
}

Attention::Plan Attention::make_plan(std::span<const BatchPart> parts, int64_t window) {
  Plan plan;
  plan.window = window;
  int64_t tasks = 0;
  int64_t work = 0;
  for (const BatchPart& part : parts) {
    const int64_t seen = std::min(part.position + part.tokens, window);
    tasks += (part.tokens + tokens_per_task_ - 1) / tokens_per_task_ * config_.num_key_value_heads;
    work += part.tokens * seen * config_.num_attention_heads * config_.head_dim;
  }
  plan.parallel = pool_.size() > 1 && work >= kMinParallelWork;
  const bool split = plan.parallel && tasks < kTasksPerThread * pool_.size();
  for (const BatchPart& part : parts) add_tasks(part, split, plan);
  return plan;
}

// Head by head, so that each thread stays with the keys of few heads.
void Attention::add_tasks(const BatchPart& part, bool split, Plan& plan) {
  for (int64_t kv_head = 0; kv_head < config_.num_key_value_heads; ++kv_head) {
    for (int64_t first = 0; first < part.tokens; first += tokens_per_task_) {
      Task task;
      task.part = part;
      task.first_token = first;
      task.tokens = std::min(tokens_per_task_, part.tokens - first);
      task.kv_head = kv_head;
      const int64_t last = part.position + first + task.tokens - 1;
      task.first_segment = first_seen(part.position + first, plan.window) / kSegmentPositions;
      task.last_segment = last / kSegmentPositions + 1;
      if (!split || task.last_segment - task.first_segment == 1) {
        plan.tasks.push_back(task);
        continue;
      }
      const int64_t end = task.last_segment;
      for (int64_t segment = task.first_segment; segment < end; ++segment) {
        task.first_segment = segment;
        task.last_segment = segment + 1;
        task.state = split_queries_;
        split_queries_ += task.tokens * group_;
        plan.tasks.push_back(task);
      }
    }
  }
}

// One is free: there are as many as threads.
Attention::Workspace& Attention::take_workspace() {
  for (size_t i = 0;; i = (i + 1) % workspaces_.size()) {
    if (!workspaces_[i]->taken.exchange(true, std::memory_order_acquire)) return *workspaces_[i];
  }
}

void Attention::run(int64_t layer, const float* queries, float* out) {
  const Plan& plan = config_.is_sliding(layer) ? sliding_ : all_;
  const auto body = [&](int64_t begin, int64_t end) {
    Workspace& work = take_workspace();
    for (int64_t i = begin; i < end; ++i) {
      run_task(plan.tasks[static_cast<size_t>(i)], plan.window, layer, queries, work, out);
    }
    work.taken.store(false, std::memory_order_release);
  };
  if (plan.parallel) {
    pool_.parallel_for(std::ssize(plan.tasks), 1, body);
  } else {
    body(0, std::ssize(plan.tasks));
  }
  merge_split(plan, out);
}

void Attention::run_task(const Task& task, int64_t window, int64_t layer, const float* queries,
                         Workspace& work, float* out) {
  pack_queries(task, queries, work);
  if (task.state >= 0) {
    return attend_segment(task, window, layer, task.first_segment, work,
                          split_.from(task.state, stride_));
  }
  const AttentionState total = work.total.from(0, stride_);
  attend_segment(task, window, layer, task.first_segment, work, total);
  const AttentionState part = work.segment.from(0, stride_);
  for (int64_t segment = task.first_segment + 1; segment < task.last_segment; ++segment) {
    attend_segment(task, window, layer, segment, work, part);
    for (int64_t i = 0; i < task.tokens * group_; ++i) {
      kernels_.merge_attention(part, i, config_.head_dim, total, i);
    }
  }
  write(task, total, out);
}

// Queries are numbered by token, then by head of the group.
void Attention::pack_queries(const Task& task, const float* queries, Workspace& work) const {
  const int64_t count = task.tokens * group_;
  const int64_t dim = config_.head_dim;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = task.part.row + task.first_token + i / group_;
    const int64_t head = task.kv_head * group_ + i % group_;
    const float* from = queries + (row * config_.num_attention_heads + head) * dim;
    float* to = work.queries.data() + i;
    for (int64_t d = 0; d < dim; ++d) to[d * count] = from[d] * scale_;
  }
}

void Attention::attend_segment(const Task& task, int64_t window, int64_t layer, int64_t segment,
                               Workspace& work, const AttentionState& state) {
  const int64_t count = task.tokens * group_;
  const int64_t start = segment * kSegmentPositions;
  const auto within = [=](int64_t position) {
    return static_cast<int32_t>(std::clamp<int64_t>(position - start, 0, kSegmentPositions));
  };
  for (int64_t i = 0; i < count; ++i) {
    const int64_t position = task.part.position + task.first_token + i / group_;
    work.first[static_cast<size_t>(i)] = within(first_seen(position, window));
    work.last[static_cast<size_t>(i)] = within(position + 1);
  }
  const KvCache::Head head = task.part.cache->head(layer, task.kv_head, segment);
  AttentionCall call;
  call.keys = head.keys;
  call.values = head.values;
  call.key_scales = head.key_scales;
  call.value_scales = head.value_scales;
  call.head_dim = config_.head_dim;
  call.query_count = count;
  call.queries = work.queries.data();
  call.first = work.first.data();
  call.last = work.last.data();
  call.weights = work.weights.data();
  call.state = state;
  kernels_.attend[static_cast<size_t>(task.part.cache->type())](call);
}

void Attention::write(const Task& task, const AttentionState& state, float* out) const {
  for (int64_t i = 0; i < task.tokens * group_; ++i) {
    const int64_t row = task.part.row + task.first_token + i / group_;
    const int64_t head = task.kv_head * group_ + i % group_;
    kernels_.finish_attention(state, i, config_.head_dim,
                              out + (row * config_.num_attention_heads + head) * config_.head_dim);
  }
}

// The tasks of one head's segments follow each other; the first one's state takes in the others.
void Attention::merge_split(const Plan& plan, float* out) {
  const Task* first = nullptr;
  const auto finish = [&] {
    if (first != nullptr) write(*first, split_.from(first->state, stride_), out);
  };
  for (const Task& task : plan.tasks) {
    if (task.state < 0) continue;
    const bool continues = first != nullptr && first->part.row == task.part.row &&
                           first->first_token == task.first_token && first->kv_head == task.kv_head;
    if (!continues) {
      finish();
      first = &task;
      continue;
    }
    const AttentionState total = split_.from(first->state, stride_);
    const AttentionState part = split_.from(task.state, stride_);
    for (int64_t i = 0; i < task.tokens * group_; ++i) {
      kernels_.merge_attention(part, i, config_.head_dim, total, i);
    }
  }
  finish();
}

}  // namespace tercet
