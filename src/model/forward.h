// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "core/thread_pool.h"
#include "kernels/kernel_table.h"
#include "model/kv_cache.h"
#include "model/linear.h"
#include "model/model.h"
#include "model/packed_model.h"
#include "model/rope.h"

namespace tercet {

// Which of the tokens given get logits.
enum class LogitsFor { kLast, kAll };

// The transformer forward of one model. Keeps its scratch memory, so it serves one sequence at a
// time; the model, the kernel table and the pool must outlive it and may be shared. Results depend
// neither on the number of threads nor on how a sequence is cut into calls.
class Forward {
 public:
  // Tokens processed together; a longer input is cut up.
  static constexpr int64_t kDefaultChunk = 64;

  // Packs the model's matrices for itself; the other one shares them.
  Forward(const Model& model, const KernelTable& kernels, ThreadPool& pool,
          int64_t chunk = kDefaultChunk);
  Forward(std::shared_ptr<const PackedModel> packed, ThreadPool& pool,
          int64_t chunk = kDefaultChunk);

  // Appends `tokens` (one or more) to the sequence in `cache` and writes logits: [vocab_size] for
  // kLast, [tokens, vocab_size] for kAll. Throws, before anything is changed, kBadInput for an id
  // outside the vocabulary and kUsage when the cache has no room for the tokens.
  void run(std::span<const int32_t> tokens, KvCache& cache, std::span<float> logits,
           LogitsFor which);

  // Bytes of scratch memory.
  uint64_t scratch_bytes() const;

 private:
  // The input of a linear map, normed and quantized as that map needs it.
  struct Prepared {
    std::vector<float> normed;      // [chunk, widest input]
    std::vector<int8_t> quantized;  // [chunk, widest input]
    std::vector<float> scales;      // [chunk]
  };
  // One set of rotary frequencies and what they give for the tokens of a chunk.
  struct Rotation {
    Rope rope;
    std::vector<float> cosines;  // [chunk, pairs]
    std::vector<float> sines;    // [chunk, pairs]
  };
  struct Projection {
    const LinearWeights* weights;
    float* out;
  };

  void check(std::span<const int32_t> tokens, const KvCache& cache, std::span<const float> logits,
             LogitsFor which) const;
  void run_chunk(std::span<const int32_t> tokens, KvCache& cache);
  void embed(std::span<const int32_t> tokens);
  void attention_block(const LayerWeights& layer, int64_t index, int64_t tokens, KvCache& cache);
  void feed_forward_block(const LayerWeights& layer, int64_t tokens);
  void add_rotation(RopeFrequencies frequencies);
  void rotate_and_store(const LayerWeights& weights, int64_t layer, int64_t tokens, KvCache& cache);
  void attend_all(int64_t layer, int64_t tokens, KvCache& cache);
  void write_logits(int64_t first_token, int64_t tokens, float* logits);

  // Norm of `tokens` rows of x, or x itself when the architecture has no norm there.
  const float* normed(const float* x, const std::vector<float>& weight, int64_t tokens, float* out);
  // Linear maps that share their input x: [tokens, cols].
  void project(std::initializer_list<Projection> projections, const float* x, int64_t tokens);
  LinearInput prepare(Prepared& slot, const LinearWeights& weights, const float* x, int64_t tokens);
  void add_to_residual(const float* x, int64_t tokens);
  // body(token) for every token of the chunk, on the pool when there is more than one.
  template <typename Body>
  void for_tokens(int64_t tokens, const Body& body);

  std::shared_ptr<const PackedModel> packed_;
  const Model& model_;
  const ModelConfig& config_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  float score_scale_;
  int64_t chunk_;

  LinearScratch linear_scratch_;
  PackedHead::Scratch head_scratch_;
  std::vector<Prepared> prepared_;  // as many as linear maps with norms of their own share an input
  std::vector<float> residual_;     // [chunk, hidden]
  std::vector<float> hidden_;       // [chunk, hidden]: normed residual, or a block's output
  std::vector<float> query_;        // [chunk, n_heads * head_dim]
  std::vector<float> key_;          // [chunk, n_kv_heads * head_dim]
  std::vector<float> value_;        // [chunk, n_kv_heads * head_dim]
  std::vector<float> attended_;     // [chunk, n_heads * head_dim]
  std::vector<float> gate_;         // [chunk, intermediate]
  std::vector<float> up_;           // [chunk, intermediate]
  std::vector<Rotation> rotations_;  // of all layers; a second one, if any, of sliding layers
};

}  // namespace tercet
