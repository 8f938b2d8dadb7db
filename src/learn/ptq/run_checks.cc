// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/run_checks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

#include "core/cpu.h"
#include "core/disk.h"
#include "core/error.h"

namespace tercet::learn {
namespace {

namespace fs = std::filesystem;

constexpr double kCertain = 0.9;  // of the memory that a plan says
constexpr int64_t kBytesAtOnce = int64_t{8} << 20;

uint64_t bytes_in(const fs::path& directory) {
  uint64_t bytes = 0;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, ignored)) {
    if (entry.is_regular_file(ignored)) bytes += entry.file_size(ignored);
  }
  return bytes;
}

// Whether a few neighbours hold two values, or three at equal distances.
bool is_ternary(std::span<float> run) {
  std::sort(run.begin(), run.end());
  const auto end = std::unique(run.begin(), run.end());
  const auto count = end - run.begin();
  if (count != 3) return count == 2;
  const float lower = run[1] - run[0];
  const float upper = run[2] - run[1];
  return std::fabs(upper - lower) <= 0.01f * (upper + lower);
}

// Whether most runs of eight neighbours in rows of `cols` are ternary, as rounding to one or 1.58
// bits leaves them in groups of eight columns or a multiple. Of weights of four levels half are.
bool is_low_bit(const std::vector<float>& values, int64_t cols) {
  constexpr int64_t kRun = 8;
  int64_t runs = 0;
  int64_t ternary = 0;
  for (size_t row = 0; row < values.size(); row += static_cast<size_t>(cols)) {
    for (int64_t first = 0; first + kRun <= cols; first += kRun) {
      std::array<float, kRun> run;
      std::copy_n(&values[row + static_cast<size_t>(first)], kRun, run.begin());
      if (std::all_of(run.begin(), run.end(), [&](float x) { return x == run[0]; })) continue;
      ++runs;
      if (is_ternary(run)) ++ternary;
    }
  }
  return static_cast<double>(ternary) > 0.75 * static_cast<double>(runs);
}

}  // namespace

void check_room(const PtqPlan& plan, const fs::path& out, bool resume, int64_t ranks) {
  const auto others = static_cast<uint64_t>(ranks - 1);
  const uint64_t needed = plan.disk_bytes + (plan.spills ? others * plan.activation_bytes : 0);
  const Disk disk = disk_of(out);
  const uint64_t there = resume ? bytes_in(out) : 0;
  if (needed > disk.free_bytes + there) {
    fail(ErrorCode::kIo,
         "the disk at '{}' has {} MiB free, the run needs {}; free some space or choose another "
         "--out",
         disk.mount_point.string(), disk.free_bytes >> 20, (needed - there) >> 20);
  }
  const uint64_t available = available_memory_bytes();
  const auto memory =
      static_cast<uint64_t>(kCertain * static_cast<double>(plan.peak_memory - plan.program_bytes) *
                            static_cast<double>(ranks));
  if (available == 0 || memory <= available) return;
  fail(ErrorCode::kUsage,
       "the run needs about {} MiB of memory, {} are free; give less with --max-memory, a shorter "
       "--ctx or less --calib-tokens",
       memory >> 20, available >> 20);
}

void check_values(const HfModel& model, const std::atomic<bool>* stop) {
  for (const TensorSpec& spec : tensor_specs(model.config())) {
    if (spec.hf_name.empty()) continue;
    const TensorView& view = model.tensor(spec.hf_name);
    const int64_t rows = view.shape.empty() ? 1 : view.shape.front();
    const size_t row_bytes = view.bytes.size() / static_cast<size_t>(std::max<int64_t>(rows, 1));
    const int64_t at_once =
        std::max<int64_t>(kBytesAtOnce / static_cast<int64_t>(row_bytes + 1), 1);
    for (int64_t row = 0; row < rows; row += at_once) {
      if (stop != nullptr && *stop) fail(ErrorCode::kInterrupted, "interrupted before any block");
      const int64_t count = std::min(at_once, rows - row);
      TensorView part = view;
      if (!part.shape.empty()) part.shape.front() = count;
      part.bytes = view.bytes.subspan(static_cast<size_t>(row) * row_bytes,
                                      static_cast<size_t>(count) * row_bytes);
      const std::vector<float> values = to_f32(part);
      if (!std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); })) {
        fail(ErrorCode::kBadInput, "{}: tensor '{}' holds a value that is not a finite number",
             model.directory().string(), spec.hf_name);
      }
      const bool is_map = spec.rows > 0 && spec.hf_name.starts_with("model.layers.");
      if (row == 0 && is_map && is_low_bit(values, spec.cols)) {
        fail(ErrorCode::kUnsupported,
             "'{}' is ternary or binary already: neighbours in '{}' have three values at most",
             model.directory().string(), spec.hf_name);
      }
    }
    model.release(view);
  }
}

}  // namespace tercet::learn
