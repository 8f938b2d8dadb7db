// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/thread_pool.h"
#include "kernels/kernel_table.h"
#include "model/kv_cache.h"

namespace tercet {

// Neighbouring tokens of one sequence among the rows of a batch.
struct BatchPart {
  KvCache* cache = nullptr;
  int64_t row = 0;       // of the first one
  int64_t tokens = 0;    // 1 or more
  int64_t position = 0;  // of the first one
};

// softmax(scale * q K^T) V of all heads of a batch, each token over its own sequence. Keys and
// values are read once for all the query heads that share them, and for some neighbouring tokens.
// A token's result depends neither on the batch nor on the number of threads: it is the sum, in
// order, of what each segment of the cache gives. Keeps its scratch memory.
class Attention {
 public:
  Attention(const ModelConfig& config, const KernelTable& kernels, ThreadPool& pool);

  // Cuts the work of a layer into tasks; valid until the next plan.
  void plan(std::span<const BatchPart> parts);
  // queries, out: [rows, heads * head_dim]; the keys and values of all rows are in their caches.
  void run(int64_t layer, const float* queries, float* out);

  uint64_t scratch_bytes() const;

 private:
  // Some tokens of a part, the query heads of one key-value head, some segments.
  struct Task {
    BatchPart part;
    int64_t first_token = 0;  // within the part
    int64_t tokens = 0;
    int64_t kv_head = 0;
    int64_t first_segment = 0;
    int64_t last_segment = 0;  // exclusive
    int64_t state = -1;  // of the first query in split_, where segments have tasks of their own
  };
  struct Plan {
    int64_t window = 0;  // positions that a token sees, itself included
    std::vector<Task> tasks;
    bool parallel = false;
  };
  struct States {
    std::vector<float> maxima;
    std::vector<float> sums;
    std::vector<float> outs;
    void resize(int64_t queries, int64_t stride);
    // Those from query `first` on.
    AttentionState from(int64_t first, int64_t stride);
  };
  // What a thread works in.
  struct Workspace {
    std::atomic<bool> taken{false};
    std::vector<float> queries;
    std::vector<float> weights;
    std::vector<int32_t> first;
    std::vector<int32_t> last;
    States segment;
    States total;
  };

  Plan make_plan(std::span<const BatchPart> parts, int64_t window);
  void add_tasks(const BatchPart& part, bool split, Plan& plan);
  Workspace& take_workspace();
  void run_task(const Task& task, int64_t window, int64_t layer, const float* queries,
                Workspace& work, float* out);
  void attend_segment(const Task& task, int64_t window, int64_t layer, int64_t segment,
                      Workspace& work, const AttentionState& state);
  void pack_queries(const Task& task, const float* queries, Workspace& work) const;
  void write(const Task& task, const AttentionState& state, float* out) const;
  void merge_split(const Plan& plan, float* out);

  const ModelConfig& config_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  float scale_;
  int64_t stride_;  // of values
  int64_t group_;   // query heads that share a key-value head
  int64_t tokens_per_task_;
  Plan all_;      // of the layers that see everything
  Plan sliding_;  // of those that do not
  int64_t split_queries_ = 0;
  States split_;
  std::vector<std::unique_ptr<Workspace>> workspaces_;
};

}  // namespace tercet
