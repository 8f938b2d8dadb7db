// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>

#include "core/thread_pool.h"
#include "kernels/kernel_table.h"
#include "model/model.h"

namespace tercet {

// How a converted model compares with its source.
struct VerifyReport {
  int64_t positions = 0;           // compared
  double relative_rms_median = 0;  // over positions: RMS of the logit difference / RMS of logits
  double relative_rms_max = 0;
  double top1_agreement = 0;    // share of positions with the same most likely token
  int64_t ternary_tensors = 0;  // compared code by code; 0 unless both models are ternary
  bool ternary_equal = true;    // all their codes and effective scales are identical
};

// Runs both on the same pseudo-random tokens (fixed seed) and compares logits and ternary weights.
// Throws kBadInput when the two have different shapes, and what loading them throws.
VerifyReport verify(const Model& source, const Model& target, const KernelTable& kernels,
                    ThreadPool& pool);
VerifyReport verify(const std::filesystem::path& source, const std::filesystem::path& target,
                    const KernelTable& kernels, ThreadPool& pool);

}  // namespace tercet
