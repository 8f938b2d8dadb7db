// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "model/convert.h"
#include "model/convert_plan.h"

namespace tercet {

// What convert() does once everything is decided, for each of the two forms of a model. Both give
// everything of the report but its plan.
ConvertReport write_gguf(const WeightSource& source, const ConvertPlan& plan,
                         const std::filesystem::path& target, const ConvertProgress& progress,
                         const std::atomic<bool>* stop);
// `target` must not exist or be an empty directory.
ConvertReport write_hf(const WeightSource& source, const ConvertPlan& plan,
                       const std::filesystem::path& target, uint64_t max_shard_bytes,
                       const ConvertProgress& progress, const std::atomic<bool>* stop);

// Tells progress after each tensor and stops between two. Throws kInterrupted.
class ConvertSteps {
 public:
  ConvertSteps(const ConvertPlan& plan, const ConvertProgress& progress,
               const std::atomic<bool>* stop)
      : total_(static_cast<int64_t>(plan.tensors.size())), progress_(progress), stop_(stop) {}

  void before_tensor() const;
  void after_tensor(const std::string& name);

 private:
  int64_t total_;
  int64_t done_ = 0;
  const ConvertProgress& progress_;
  const std::atomic<bool>* stop_;
};

}  // namespace tercet
