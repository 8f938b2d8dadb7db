// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/function_ref.h"
#include "core/thread_pool.h"
#include "kernels/kernel_table.h"
#include "model/packed_matrix.h"
#include "model/token_tiles.h"
#include "model/weights.h"

namespace tercet {

// How the output head is multiplied: as it is stored, or rounded to integers of so many bits with a
// scale for each row.
enum class HeadPrecision { kStored, kInt4, kInt6, kInt8 };
// "stored", "int4", "int6", "int8"
const char* to_string(HeadPrecision precision);
// Throws kUsage naming the value and the choices.
HeadPrecision parse_head_precision(std::string_view text);

// What suits generation best: int8 where the head is large enough for its bytes to cost time, for
// then each token reads half a byte of every weight.
HeadPrecision fast_head_precision(const LinearWeights& head);

// An output head of 4, 6 or 8 bits, in two planes: the upper four bits of every weight, which give
// each logit to a few percent, and the rest, which is read only for rows that can matter. Inputs
// are rounded to 16 bits, as two int8 parts with a product each, so that the rounding of the
// weights is the only one that shows.
class PackedHead {
 public:
  // precision: not kStored. Rows are decoded, so `head` may have any stored type. Throws
  // kUnsupported naming the tensor when its rows are too long, kIo when memory lacks. `forget` is
  // called from time to time, when the rows read so far may leave memory.
  PackedHead(const LinearWeights& head, HeadPrecision precision, const KernelTable& kernels,
             ThreadPool& pool, FunctionRef<void()> forget);

  HeadPrecision precision() const { return precision_; }
  uint64_t bytes() const { return memory_.size(); }
  // Those of the upper plane, which every token reads.
  uint64_t upper_bytes() const { return upper_.bytes(); }

  // The inputs' high bytes, and their low ones.
  struct Parts {
    TokenTiles high;
    TokenTiles low;
  };

  // What multiplying keeps from call to call.
  struct Scratch {
    std::vector<int8_t> q;      // [2 parts, tokens, cols]
    std::vector<float> scales;  // [2 parts, tokens]
    Parts upper;
    Parts lower;                // not used where the planes lie in the same order
    std::vector<float> best;    // [tokens, panels], the largest logit by the upper plane
    std::vector<float> reach;   // [tokens, panels], and what it might be
    std::vector<float> ranked;  // [panels]
  };

  // All logits with all bits. x: [tokens, cols]; out: [tokens, rows].
  void multiply(const float* x, int64_t tokens, ThreadPool& pool, Scratch& scratch,
                float* out) const;
  // The same, but only rows near a token's largest logit get all bits: those that the upper plane,
  // give or take kSafeDeviations of its own error, puts within kLikely of the largest (of a part
  // kMostLikelyPanels of the panels at most, beyond those that may hold the largest), and their
  // neighbours. All others keep the error of four bits. A token's logits do not depend on the
  // others.
  void multiply_top(const float* x, int64_t tokens, ThreadPool& pool, Scratch& scratch,
                    float* out) const;

 private:
  static constexpr float kSafeDeviations = 12;
  static constexpr int64_t kMostLikelyPanels = 16;  // one in so many
  static constexpr float kLikely = 4;               // e^-4: 2 % of the best token's probability
  static constexpr int64_t kTokensAtOnce = 16;

  // A bit for each token of a call.
  using TokenSet = uint32_t;
  static_assert(kTokensAtOnce <= 32);

  // What is not known of a token's logits once the upper plane has met the high parts.
  struct Unsure {
    float middle;  // of what is missing, in units of the row's scale
    float reach;   // and how far from that it may be
    float least;   // panels that may reach this get all bits
  };

  // Rounds the rows of panels [first, first + count) and lays them into both planes.
  void fill(const LinearWeights& head, int64_t first, int64_t count, std::span<uint8_t> upper,
            std::span<uint8_t> lower);
  void prepare(const float* x, int64_t tokens, ThreadPool& pool, Scratch& scratch) const;
  // sums[t * panel_rows + row] += the products of one plane's panel with tokens, with all in
  // `wanted` at least.
  void add_panel(const PackedMatrix& plane, int64_t panel, const TokenTiles& tiles, TokenSet wanted,
                 float* sums) const;
  Unsure unsure_about(const float* x) const;
  // The upper plane's products with the high parts, [tokens, rows], and what scratch says of
  // panels.
  void look(std::span<const Unsure> unsure, ThreadPool& pool, Scratch& scratch, float* out) const;
  float least_reach(int64_t token, Scratch& scratch) const;
  // All bits for what may be likely, and for the others the middle of what is missing.
  void finish(std::span<const Unsure> unsure, ThreadPool& pool, Scratch& scratch, float* out) const;
  // All products that look() leaves out.
  void add_rest(int64_t panel, TokenSet wanted, const Scratch& scratch, float* sums) const;
  const Parts& lower_parts(const Scratch& scratch) const;
  int64_t rows_of(int64_t panel) const {
    return std::min<int64_t>(kernels_.panel_rows, rows_ - panel * kernels_.panel_rows);
  }

  const KernelTable& kernels_;
  HeadPrecision precision_;
  int64_t rows_;
  int64_t cols_;
  AlignedBuffer memory_;
  std::vector<float> row_scales_;  // [panels * panel_rows], of the whole integers
  PackedMatrix upper_;
  std::optional<PackedMatrix> lower_;
};

}  // namespace tercet
