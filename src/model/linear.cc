// SPDX-License-Identifier: Apache-2.0
#include "model/linear.h"

#include <algorithm>
#include <array>
#include <functional>

#include "core/error.h"

namespace tercet {
namespace {

// Rows that one task computes for all tokens: few enough for their weights to stay in the first
// level cache from one token to the next, enough to make the call worth it.
constexpr int64_t kRowBlock = 32;

// Below this many multiplications waking other threads costs more than it saves.
constexpr int64_t kMinParallelWork = int64_t{1} << 16;

constexpr size_t kMaxJobs = 8;

int64_t block_count(const LinearWeights& weights) {
  return (weights.rows + kRowBlock - 1) / kRowBlock;
}

struct RowRange {
  int64_t first = 0;
  int64_t count = 0;
};

// Types that a kernel multiplies as they lie.
bool has_float_kernel(StoredType type) { return is_float(type) || type == StoredType::kQ8_0; }

void float_rows(const LinearWeights& w, RowRange rows, const float* x, const KernelTable& kernels,
                float* out) {
  const uint8_t* data = w.data.data() + rows.first * w.row_stride;
  switch (w.type) {
    case StoredType::kF32:
      return kernels.dot_f32(data, rows.count, w.cols, x, out);
    case StoredType::kF16:
      return kernels.dot_f16(data, rows.count, w.cols, x, out);
    case StoredType::kBF16:
      return kernels.dot_bf16(data, rows.count, w.cols, x, out);
    default:
      return kernels.dot_q8_0(data, rows.count, w.cols, x, out);
  }
}

// Rows of any other type: some columns of a row are decoded, multiplied with every token and
// forgotten. out: that of the first row, w.rows apart from token to token.
void decoded_rows(const LinearWeights& w, RowRange rows, const float* x, int64_t tokens,
                  const KernelTable& kernels, float* out) {
  std::array<float, kDecodeColumns> columns;
  for (int64_t i = 0; i < rows.count; ++i) {
    for (int64_t first = 0; first < w.cols; first += kDecodeColumns) {
      const int64_t count = std::min(kDecodeColumns, w.cols - first);
      decode_columns(w, rows.first + i, first,
                     std::span(columns).first(static_cast<size_t>(count)));
      for (int64_t t = 0; t < tokens; ++t) {
        float product = 0;
        kernels.dot_f32(columns.data(), 1, count, x + t * w.cols + first, &product);
        float& sum = out[t * w.rows + i];
        sum = first == 0 ? product : sum + product;
      }
    }
  }
}

// One block of rows of a matrix that takes floats, for every token: the weights are read once, the
// tokens change.
void run_row_block(const LinearJob& job, int64_t block, int64_t tokens,
                   const KernelTable& kernels) {
  const LinearWeights& w = *job.weights;
  const int64_t first = block * kRowBlock;
  const RowRange rows{first, std::min(kRowBlock, w.rows - first)};
  if (!has_float_kernel(w.type)) {
    return decoded_rows(w, rows, job.input.x, tokens, kernels, job.out + first);
  }
  for (int64_t t = 0; t < tokens; ++t) {
    float_rows(w, rows, job.input.x + t * w.cols, kernels, job.out + t * w.rows + first);
  }
}

// How `tokens` vectors are cut into tiles: full ones of the widest kind, then one that just holds
// the rest.
class Tiling {
 public:
  Tiling(const KernelTable& kernels, int64_t tokens)
      : kernels_(kernels), tokens_(tokens), widest_(kernels.tiles.back()) {}

  int64_t count() const { return (tokens_ + widest_ - 1) / widest_; }
  int64_t first(int64_t tile) const { return tile * widest_; }
  int tokens(int64_t tile) const {
    return static_cast<int>(std::min<int64_t>(tokens_ - first(tile), widest_));
  }
  // Places of a tile, of which the last one may leave some idle.
  int places(int64_t tile) const {
    return *std::find_if(kernels_.tiles.begin(), kernels_.tiles.end(),
                         [wanted = tokens(tile)](int places) { return places >= wanted; });
  }
  // Of all tiles before this one.
  int64_t places_before(int64_t tile) const { return tile * widest_; }
  int64_t all_places() const { return places_before(count() - 1) + places(count() - 1); }

 private:
  const KernelTable& kernels_;
  int64_t tokens_;
  int64_t widest_;
};

// The input of one int8 product in the order of its panels.
struct ArrangedInput {
  const LinearScratch::Tiles* tiles = nullptr;
  const float* scales = nullptr;  // [all places]

  PanelTile tile(const Tiling& tiling, int64_t index) const {
    const int64_t before = tiling.places_before(index);
    const PackedMatrix::Arrangement& arrangement = tiles->arrangement;
    return {tiling.places(index), tiles->q.data() + before * arrangement.row_places,
            tiles->sums.data() + before * arrangement.groups, scales + before};
  }
};

void arrange(const LinearJob& job, const Tiling& tiling, ThreadPool& pool,
             LinearScratch::Tiles& out) {
  const PackedMatrix::Arrangement& arrangement = job.packed->arrangement();
  out.arrangement = arrangement;
  out.input = job.input.q;
  const auto grow = [](auto& vector, int64_t size) {
    if (std::ssize(vector) < size) vector.resize(static_cast<size_t>(size));
  };
  grow(out.q, tiling.all_places() * arrangement.row_places);
  grow(out.sums, tiling.all_places() * arrangement.groups);
  const auto body = [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t before = tiling.places_before(tile);
      arrange_tile(arrangement.source, job.input.q + tiling.first(tile) * arrangement.cols,
                   tiling.tokens(tile), arrangement.cols, arrangement.group, tiling.places(tile),
                   out.q.data() + before * arrangement.row_places,
                   out.sums.data() + before * arrangement.groups);
    }
  };
  if (tiling.count() == 1) return body(0, 1);
  pool.parallel_for(tiling.count(), 1, std::ref(body));
}

// Panels that are multiplied with one tile after the other, so that they should stay in the second
// level cache meanwhile.
constexpr int64_t kCachedBytes = int64_t{1} << 18;

void run_panels(const LinearJob& job, const ArrangedInput& input, const Tiling& tiling,
                int64_t begin, int64_t end, const KernelTable& kernels) {
  const PackedMatrix& matrix = *job.packed;
  const int64_t step = std::max<int64_t>(kCachedBytes / matrix.panel_bytes(), 1);
  for (int64_t first = begin; first < end; first += step) {
    const int64_t count = std::min(step, end - first);
    for (int64_t tile = 0; tile < tiling.count(); ++tile) {
      matrix.multiply(kernels, first, count, input.tile(tiling, tile), tiling.tokens(tile),
                      job.out + tiling.first(tile) * matrix.rows(), matrix.rows());
    }
  }
}

void add_bias(const LinearWeights& w, int64_t tokens, float* out) {
  for (int64_t t = 0; t < tokens; ++t, out += w.rows) {
    for (int64_t row = 0; row < w.rows; ++row) out[row] += w.bias[static_cast<size_t>(row)];
  }
}

// A job with all that is decided before threads take part.
struct Task {
  const LinearJob* job = nullptr;
  ArrangedInput input;
  int64_t blocks = 0;  // panels, or blocks of rows

  void run(int64_t begin, int64_t end, int64_t tokens, const Tiling& tiling,
           const KernelTable& kernels) const {
    if (job->packed != nullptr) return run_panels(*job, input, tiling, begin, end, kernels);
    for (int64_t block = begin; block < end; ++block) run_row_block(*job, block, tokens, kernels);
  }
};

}  // namespace

uint64_t LinearScratch::bytes() const {
  uint64_t bytes = 0;
  for (const Tiles& tiles : tiles_) bytes += tiles.q.size() + tiles.sums.size() * sizeof(int32_t);
  return bytes;
}

void run_linear(std::span<const LinearJob> jobs, int64_t tokens, const KernelTable& kernels,
                ThreadPool& pool, LinearScratch& scratch) {
  const Tiling tiling(kernels, tokens);
  std::array<Task, kMaxJobs> tasks;
  if (jobs.size() > tasks.size()) {
    fail(ErrorCode::kInternal, "{} linear maps at once, at most {} are run", jobs.size(), kMaxJobs);
  }
  size_t arranged = 0;
  int64_t blocks = 0;
  int64_t work = 0;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const LinearJob& job = jobs[i];
    tasks[i] = {&job, {}, job.packed != nullptr ? job.packed->panels() : block_count(*job.weights)};
    blocks += tasks[i].blocks;
    work += job.weights->rows * job.weights->cols * tokens;
    if (job.packed == nullptr) continue;
    size_t place = 0;
    while (place < arranged && (scratch.place(place).input != job.input.q ||
                                scratch.place(place).arrangement != job.packed->arrangement())) {
      ++place;
    }
    if (place == arranged) arrange(job, tiling, pool, scratch.place(arranged++));
    tasks[i].input = {&scratch.place(place), job.input.scale};
  }
  // Blocks are numbered through all jobs, so that one wait for the pool serves them together.
  const auto body = [&](int64_t begin, int64_t end) {
    int64_t offset = 0;
    for (const Task& task : std::span(tasks).first(jobs.size())) {
      const int64_t first = std::max(begin - offset, int64_t{0});
      const int64_t last = std::min(end - offset, task.blocks);
      if (first < last) task.run(first, last, tokens, tiling, kernels);
      offset += task.blocks;
    }
  };
  if (work < kMinParallelWork) {
    body(0, blocks);
  } else {
    pool.parallel_for(blocks, 1, std::ref(body));
  }
  for (const LinearJob& job : jobs) {
    if (!job.weights->bias.empty()) add_bias(*job.weights, tokens, job.out);
  }
}

}  // namespace tercet
