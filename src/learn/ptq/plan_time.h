// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/model_config.h"
#include "learn/ptq/options.h"
#include "learn/ptq/plan_hardware.h"

namespace tercet::learn {

// What one rank does in a stage of the whole run.
struct PlanStage {
  std::string name;  // as StageClock has it
  double flops = 0;
  double double_flops = 0;  // of these
  double bf16_flops = 0;    // of these
  double memory_bytes = 0;  // through arrays that no cache holds
  double disk_bytes = 0;
  double network_bytes = 0;  // sent, and as many received
  double seconds = 0;
};

// rows: tokens of each window, of all ranks. Settled options and hardware.
std::vector<PlanStage> plan_stages(const ModelConfig& config, const PtqOptions& options,
                                   const std::vector<int64_t>& rows, const PlanHardware& hardware);

}  // namespace tercet::learn
