// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "core/thread_pool.h"
#include "kernels/kernel_table.h"
#include "model/attention.h"
#include "model/kv_cache.h"
#include "model/linear.h"
#include "model/model.h"
#include "model/packed_model.h"
#include "model/rope.h"

namespace tercet {

// Which of the tokens given get logits.
enum class LogitsFor { kNone, kLast, kAll };

// What a call appends to one sequence: one or more tokens.
struct SequenceStep {
  std::span<const int32_t> tokens;
  KvCache* cache = nullptr;
  LogitsFor logits = LogitsFor::kLast;
};

// The transformer forward of one model. Keeps its scratch memory, so it runs one call at a time;
// the model, the kernel table and the pool must outlive it and may be shared. Results depend
// neither on the number of threads, nor on how a sequence is cut into calls, nor on what other
// sequences run in the same call.
class Forward {
 public:
  // Tokens processed together; a longer input is cut up. Many, so that weights are read seldom, and
  // a multiple of the tiles in which linear maps take them.
  static constexpr int64_t kDefaultChunk = 240;

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

  // The same for several sequences, each with a cache of its own, whose weights are read together.
  // logits: [logit_rows(steps), vocab_size], row after row in the order of steps and tokens. With
  // a head of few bits, unlikely logits are less exact in steps that want their last only
  // (PackedHead::multiply_top).
  void run_batch(std::span<const SequenceStep> steps, std::span<float> logits);
  static int64_t logit_rows(std::span<const SequenceStep> steps);

  // Bytes of scratch memory, once a whole chunk has been run.
  uint64_t scratch_bytes() const;

 private:
  // The input of a linear map, normed and quantized as that map needs it.
  struct Prepared {
    std::vector<float> own;         // [rows, widest input], where maps change their input
    std::vector<int8_t> quantized;  // [rows, widest input]
    std::vector<float> scales;      // [rows, groups]
    std::vector<float> shifts;      // [rows, groups], where inputs are shifted
  };
  // One set of rotary frequencies and what they give for the rows of a pass.
  struct Rotation {
    Rope rope;
    std::vector<float> cosines;  // [rows, pairs]
    std::vector<float> sines;    // [rows, pairs]
  };
  struct Projection {
    const LinearWeights* weights;
    float* out;
  };

  // Floats in a row of the buffers below.
  struct Widths {
    int64_t hidden;
    int64_t attention;
    int64_t key_value;
    int64_t intermediate;
    int64_t widest;
  };
  // Tokens of one or more sequences that go through the layers together, at most a chunk.
  struct Pass {
    std::vector<BatchPart> parts;
    std::vector<int32_t> tokens;       // [rows]
    std::vector<size_t> part_of;       // [rows], the number of the part
    std::vector<int64_t> logits_rows;  // rising
    std::vector<bool> all_bits;  // [logits_rows]: of a step that wants the logits of all tokens
  };

  bool has_own_inputs() const {
    return has_input_norms(config_.norm) || config_.linear == LinearKind::kOneBit;
  }
  // Whether inputs are changed on their way into maps, one each or several of the same.
  bool changes_inputs() const { return has_own_inputs() || config_.variants.any(); }
  void check(std::span<const SequenceStep> steps, std::span<const float> logits) const;
  void check_step(const SequenceStep& step) const;
  void run_pass(float* logits);
  Widths widths() const;
  void make_room(int64_t rows);
  void embed();
  void turn_angles();
  void attention_block(const LayerWeights& layer, int64_t index);
  void feed_forward_block(const LayerWeights& layer);
  void add_rotation(RopeFrequencies frequencies);
  void rotate_and_store(const LayerWeights& weights, int64_t layer);
  void rotate_and_store_row(const LayerWeights& weights, int64_t layer, int64_t row);
  void write_logits(float* logits);
  // The sequence that a row belongs to, and its position there.
  KvCache& cache_of(int64_t row) const;
  int64_t position_of(int64_t row) const;

  // Norm of `tokens` rows of x, or x itself when the architecture has no norm there.
  const float* normed(const float* x, const std::vector<float>& weight, int64_t tokens, float* out);
  // A LayerNorm without weights; x, out: [tokens, width].
  void plain_norm(const float* x, int64_t width, int64_t tokens, float* out);
  // What maps of `width` columns that share an input get: behind the block's norm, or, where norms
  // without weights stand inside the maps, behind that, once for all of them.
  const float* map_input(const float* x, const std::vector<float>& weight, int64_t tokens,
                         int64_t width, float* out);
  // Linear maps that share their input x: [tokens, cols].
  void project(std::initializer_list<Projection> projections, const float* x, int64_t tokens);
  LinearInput prepare(Prepared& slot, const LinearWeights& weights, const float* x, int64_t tokens);
  void add_to_residual(const float* x, int64_t tokens);
  // body(row) for `tokens` rows, on the pool when there is more than one.
  template <typename Body>
  void for_tokens(int64_t tokens, const Body& body);

  std::shared_ptr<const PackedModel> packed_;
  const Model& model_;
  const ModelConfig& config_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  int64_t chunk_;
  Attention attention_;
  Pass pass_;
  int64_t room_ = 0;  // rows that the buffers below have room for; grows up to a chunk

  LinearScratch linear_scratch_;
  PackedHead::Scratch head_scratch_;
  std::vector<Prepared> prepared_;  // as many as linear maps with norms of their own share an input
  std::vector<float> residual_;     // [rows, hidden]
  std::vector<float> hidden_;       // [rows, hidden]: normed residual, or a block's output
  std::vector<float> query_;        // [rows, n_heads * head_dim]
  std::vector<float> key_;          // [rows, n_kv_heads * head_dim]
  std::vector<float> value_;        // [rows, n_kv_heads * head_dim]
  std::vector<float> attended_;     // [rows, n_heads * head_dim]
  std::vector<float> gate_;         // [rows, intermediate]
  std::vector<float> up_;           // [rows, intermediate]
  std::vector<Rotation> rotations_;  // of all layers; a second one, if any, of sliding layers
};

}  // namespace tercet
