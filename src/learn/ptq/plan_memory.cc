// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/plan_memory.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>

#include "learn/ptq/block.h"
#include "learn/ptq/block_shapes.h"
#include "learn/ptq/moments.h"

namespace tercet::learn {
namespace {

// Matrices of a map's size that exist together, as f32: while codes are searched, while weights are
// corrected for earlier errors (doubles counted twice), and of a whole block while it is trained.
constexpr double kSolverCopies = 10;
constexpr double kCorrectionCopies = 4;
constexpr double kTrainingCopies = 12;
constexpr double kWaitingCopies = 2;  // of maps that stay as they are

struct Peak {
  double floats = 0;
  std::string where;
  void meet(double other, const std::string& what) {
    if (other <= floats) return;
    floats = other;
    where = what;
  }
};

double weights_of(const std::array<MapShape, 7>& shapes) {
  double sum = 0;
  for (const MapShape& shape : shapes) sum += shape.weights();
  return sum;
}

// Of a sum's element, in floats.
double sum_size(double cols) { return cols > kWidestDouble ? 1 : 2; }

double moments_floats(const MapShape& shape, bool cross) {
  const double square = shape.cols * shape.cols;
  const double residual = cross && shape.writes_residual ? shape.weights() : 0;
  return sum_size(shape.cols) * (square * (cross ? 2 : 1) + residual);
}

// Scores, their exponentials and a mask; inner activations.
double window_floats(const ModelConfig& config, int64_t longest) {
  return static_cast<double>(longest * (3 * config.num_attention_heads * longest +
                                        4 * config.intermediate_size + 4 * config.hidden_size));
}

// From moments to codes of one map. The last map of an input needs its moments no longer than for
// the correction.
void meet_map(const MapShape& shape, const std::string& name, bool cross, double weights,
              Peak& peak) {
  const double square = shape.cols * shape.cols;
  const double sums = moments_floats(shape, cross);
  const double held = shape.last_of_input ? sum_size(shape.cols) * square : sums;
  if (cross) {
    const double correction = held + kCorrectionCopies * shape.weights() + 2 * square;
    peak.meet(weights + correction, "correcting " + name);
  }
  const double kept = shape.last_of_input ? 0 : sums;
  peak.meet(weights + kept + square + kSolverCopies * shape.weights(), "the codes of " + name);
}

Peak quantizing(const ModelConfig& config, const PtqOptions& options, int64_t longest) {
  const bool trains = options.block_training.steps > 0;
  const bool cross = options.layer.cross_term != 0 && !trains;
  const auto shapes = block_shapes(config, options);
  const double block = weights_of(shapes);
  Peak peak;
  peak.meet(block + window_floats(config, longest), "a window on its way");
  double done = 0;  // weights that exist twice, as they were and as they are
  double moments = 0;
  for (const MapShape& shape : shapes)
    moments += shape.last_of_input ? 2 * shape.cols * shape.cols : 0;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const MapShape& shape = shapes[i];
    const std::string& name = linear_maps()[i];
    const double stripe = std::min(shape.cols, static_cast<double>(kMomentStripe)) * shape.cols;
    const double gathered = trains ? moments : moments_floats(shape, cross);
    if (trains || shape.gathers > 0) {
      peak.meet(block + done + gathered + stripe + window_floats(config, longest),
                "the second moments before " + name);
    }
    if (shape.chosen == 0) continue;
    meet_map(shape, name, cross, block + done + (trains ? moments : 0), peak);
    done += shape.weights();
  }
  return peak;
}

}  // namespace

uint64_t block_training_bytes(const ModelConfig& config, const PtqOptions& options,
                              int64_t longest) {
  const auto shapes = block_shapes(config, options);
  double moments = 0;
  double copies = 0;
  for (const MapShape& shape : shapes) {
    copies += (shape.chosen > 0 ? kTrainingCopies : kWaitingCopies) * shape.weights();
    if (shape.last_of_input) moments += sum_size(shape.cols) * shape.cols * shape.cols;
  }
  const double window =
      static_cast<double>(longest * (12 * config.hidden_size + 8 * config.intermediate_size +
                                     4 * config.num_attention_heads * longest));
  return static_cast<uint64_t>(sizeof(float) * (moments + copies + window));
}

BlockMemory block_memory(const ModelConfig& config, const PtqOptions& options, int64_t longest) {
  const Peak peak = quantizing(config, options, longest);
  BlockMemory out{static_cast<uint64_t>(sizeof(float) * peak.floats), peak.where};
  if (options.block_training.steps == 0) return out;
  const uint64_t training = block_training_bytes(config, options, longest);
  if (training > out.bytes) out = {training, "the training of a block"};
  return out;
}

uint64_t resident_bytes() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/statm", "r"),
                                                             &std::fclose);
  unsigned long long size = 0;
  unsigned long long resident = 0;
  if (!file || std::fscanf(file.get(), "%llu %llu", &size, &resident) != 2) return 0;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace tercet::learn
