// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/thread_pool.h"
#include "kernels/kernel_table.h"
#include "model/model.h"

namespace tercet {

// How a converted model compares with its source.
struct VerifyReport {
  int64_t positions = 0;           // compared
  double relative_rms_median = 0;  // over positions: RMS of the logit difference / RMS of logits
  double relative_rms_max = 0;     // both NaN when logits of any position are not finite
  double top1_agreement = 0;       // share of positions with the same most likely token
  int64_t ternary_tensors = 0;     // compared code by code; 0 unless both models are ternary
  bool ternary_equal = true;       // all their codes and effective scales are identical
  // Every matrix is ternary in both models or of a type that holds the source's values, and rows
  // have kept their order: the logits should be the same.
  bool lossless = false;
};

// In words, what shows that the target does not compute what its source does; empty when nothing
// does. The limits: 1e-6 at every position when lossless, otherwise a median of 0.1 and 0.5 at the
// worst position (q8_0 and bf16 stay well below them).
std::string find_fault(const VerifyReport& report);

// Runs both on the same pseudo-random tokens (fixed seed) and compares logits and ternary weights.
// Throws kBadInput when the two have different shapes, and what loading them throws.
VerifyReport verify(const Model& source, const Model& target, const KernelTable& kernels,
                    ThreadPool& pool);
VerifyReport verify(const std::filesystem::path& source, const std::filesystem::path& target,
                    const KernelTable& kernels, ThreadPool& pool);

}  // namespace tercet
