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

// Panels that are multiplied with one tile after the other, so that they should stay in the second
// level cache meanwhile.
constexpr int64_t kCachedBytes = int64_t{1} << 18;

void run_panels(const LinearJob& job, const TokenTiles& input, int64_t begin, int64_t end,
                const KernelTable& kernels) {
  const PackedMatrix& matrix = *job.packed;
  const int64_t step = std::max<int64_t>(kCachedBytes / matrix.panel_bytes(), 1);
  for (int64_t first = begin; first < end; first += step) {
    const int64_t count = std::min(step, end - first);
    for (int64_t tile = 0; tile < input.count(); ++tile) {
      matrix.multiply(kernels, first, count, input.tile(tile), input.tokens(tile),
                      job.out + input.first(tile) * matrix.rows() + first * kernels.panel_rows,
                      matrix.rows());
    }
  }
  if (job.input.shift == nullptr) return;
  const int64_t first_row = begin * kernels.panel_rows;
  matrix.add_shifts(job.input.shift, input.tokens(), first_row,
                    std::min(end * kernels.panel_rows, matrix.rows()), job.out);
}

void add_bias(const LinearWeights& w, int64_t tokens, float* out) {
  for (int64_t t = 0; t < tokens; ++t, out += w.rows) {
    for (int64_t row = 0; row < w.rows; ++row) out[row] += w.bias[static_cast<size_t>(row)];
  }
}

// A job with all that is decided before threads take part.
struct Task {
  const LinearJob* job = nullptr;
  const TokenTiles* input = nullptr;  // of packed ones
  int64_t blocks = 0;                 // panels, or blocks of rows

  void run(int64_t begin, int64_t end, int64_t tokens, const KernelTable& kernels) const {
    if (job->packed != nullptr) return run_panels(*job, *input, begin, end, kernels);
    for (int64_t block = begin; block < end; ++block) run_row_block(*job, block, tokens, kernels);
  }
};

}  // namespace

uint64_t LinearScratch::bytes() const {
  uint64_t bytes = 0;
  for (const TokenTiles& place : places_) bytes += place.bytes();
  return bytes;
}

void run_linear(std::span<const LinearJob> jobs, int64_t tokens, const KernelTable& kernels,
                ThreadPool& pool, LinearScratch& scratch) {
  std::array<Task, kMaxJobs> tasks;
  if (jobs.size() > tasks.size()) {
    fail(ErrorCode::kInternal, "{} linear maps at once, at most {} are run", jobs.size(), kMaxJobs);
  }
  size_t arranged = 0;
  int64_t blocks = 0;
  int64_t work = 0;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const LinearJob& job = jobs[i];
    tasks[i] = {&job, nullptr,
                job.packed != nullptr ? job.packed->panels() : block_count(*job.weights)};
    blocks += tasks[i].blocks;
    work += job.weights->rows * job.weights->cols * tokens;
    if (job.packed == nullptr) continue;
    const PackedMatrix::Arrangement& wanted = job.packed->arrangement();
    size_t place = 0;
    while (place < arranged && !scratch.place(place).holds(wanted, job.input.q)) ++place;
    if (place == arranged) {
      scratch.place(arranged++)
          .arrange(wanted, job.input.q, {job.input.scale, job.input.groups}, tokens, kernels, pool);
    }
    tasks[i].input = &scratch.place(place);
  }
  // Blocks are numbered through all jobs, so that one wait for the pool serves them together.
  const auto body = [&](int64_t begin, int64_t end) {
    int64_t offset = 0;
    for (const Task& task : std::span(tasks).first(jobs.size())) {
      const int64_t first = std::max(begin - offset, int64_t{0});
      const int64_t last = std::min(end - offset, task.blocks);
      if (first < last) task.run(first, last, tokens, kernels);
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
