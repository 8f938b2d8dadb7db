// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/causal_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "learn/nn/cpu_dispatch.h"

namespace tercet::learn {
namespace {

// Queries of a block: fewer leave out more of the square, more make better products.
constexpr int64_t kBlockRows = 128;

struct Block {
  int64_t first = 0;
  int64_t rows = 0;
  int64_t stored = 0;  // probabilities of one head in the blocks before
  int64_t end() const { return first + rows; }
  int64_t elements() const { return rows * end(); }
};

std::vector<Block> blocks_of(int64_t length) {
  std::vector<Block> blocks;
  int64_t stored = 0;
  for (int64_t first = 0; first < length; first += kBlockRows) {
    blocks.push_back({first, std::min(kBlockRows, length - first), stored});
    stored += blocks.back().elements();
  }
  return blocks;
}

// Heads that share keys lie one behind the other, so that a block of grouped-query attention is a
// plain batch of products.
class Layout {
 public:
  explicit Layout(const AttentionHeads& heads)
      : pairs_(heads.k.size(0) * heads.k.size(1)),
        shared_(heads.q.size(1) / heads.k.size(1)),
        length_(heads.q.size(2)),
        dim_(heads.q.size(3)) {}

  int64_t length() const { return length_; }
  // [n kv_heads, shared * rows, dim]
  at::Tensor queries(const at::Tensor& q, const Block& block) const {
    return rows_of(q, block).reshape({pairs_, shared_ * block.rows, dim_});
  }
  void put_queries(const at::Tensor& part, const Block& block, const at::Tensor& q) const {
    rows_of(q, block).copy_(part.view({pairs_, shared_, block.rows, dim_}));
  }
  // [n kv_heads, end, dim]: the keys that a block sees
  at::Tensor keys(const at::Tensor& k, const Block& block) const {
    return k.view({pairs_, length_, dim_}).narrow(1, 0, block.end());
  }

  // [n kv_heads, shared * rows, end] of the flat tensor of all blocks
  at::Tensor probabilities(const at::Tensor& all, const Block& block) const {
    const int64_t heads = pairs_ * shared_;
    return all.narrow(0, heads * block.stored, heads * block.elements())
        .view({pairs_, shared_ * block.rows, block.end()});
  }

  // body(first matrix, matrices) in parallel over the matrices [rows, end] of a block's scores.
  template <typename Body>
  void for_matrices(const Block& block, const Body& body) const {
    const int64_t elements = block.elements();
    at::parallel_for(0, pairs_ * shared_, std::max<int64_t>(1, 16384 / elements),
                     [&](int64_t begin, int64_t end) { body(begin * elements, end - begin); });
  }

 private:
  at::Tensor rows_of(const at::Tensor& q, const Block& block) const {
    return q.view({pairs_, shared_, length_, dim_}).narrow(2, block.first, block.rows);
  }

  int64_t pairs_;
  int64_t shared_;
  int64_t length_;
  int64_t dim_;
};

}  // namespace

int64_t causal_probabilities(int64_t length) {
  const Block last = blocks_of(length).back();
  return last.stored + last.elements();
}

at::Tensor causal_attention(const AttentionHeads& heads, const at::Tensor& probabilities,
                            float scale) {
  const Layout layout(heads);
  const at::Tensor mixed = at::empty_like(heads.q);
  for (const Block& block : blocks_of(layout.length())) {
    at::Tensor p = layout.probabilities(probabilities, block);
    at::bmm_out(p, layout.queries(heads.q, block), layout.keys(heads.k, block).transpose(1, 2));
    with_storage(p.scalar_type(), [&]<typename Store>() {
      layout.for_matrices(block, [&](int64_t from, int64_t count) {
        loops().typed<Store>().causal_softmax(storage<Store>(p) + from, count, block.rows,
                                              block.first, scale);
      });
    });
    layout.put_queries(at::bmm(p, layout.keys(heads.v, block)), block, mixed);
  }
  return mixed;
}

AttentionHeads causal_attention_backward(const at::Tensor& dmixed, const AttentionHeads& heads,
                                         const at::Tensor& probabilities, float scale) {
  const Layout layout(heads);
  const at::Tensor dq = at::empty_like(heads.q);
  // Blocks add to the same keys: sums in f32.
  const at::Tensor dk = at::zeros(heads.k.sizes(), heads.k.options().dtype(at::kFloat));
  const at::Tensor dv = at::zeros_like(dk);
  for (const Block& block : blocks_of(layout.length())) {
    const at::Tensor p = layout.probabilities(probabilities, block);
    const at::Tensor dy = layout.queries(dmixed, block);
    layout.keys(dv, block).add_(at::bmm(p.transpose(1, 2), dy));
    const at::Tensor dscores = at::bmm(dy, layout.keys(heads.v, block).transpose(1, 2));
    with_storage(p.scalar_type(), [&]<typename Store>() {
      layout.for_matrices(block, [&](int64_t from, int64_t count) {
        loops().typed<Store>().causal_softmax_backward(storage<Store>(p) + from,
                                                       storage<Store>(dscores) + from, count,
                                                       block.rows, block.first, scale);
      });
    });
    layout.put_queries(at::bmm(dscores, layout.keys(heads.k, block)), block, dq);
    layout.keys(dk, block).add_(at::bmm(dscores.transpose(1, 2), layout.queries(heads.q, block)));
  }
  const auto compute = heads.q.scalar_type();
  return {dq, dk.to(compute), dv.to(compute)};
}

}  // namespace tercet::learn
