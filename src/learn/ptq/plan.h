// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/json.h"
#include "formats/model_config.h"
#include "learn/ptq/options.h"
#include "learn/ptq/plan_hardware.h"
#include "learn/ptq/plan_memory.h"
#include "learn/ptq/plan_time.h"

namespace tercet::learn {

// What a run will need, computed before it begins. Bytes and seconds.
struct PtqPlan {
  int64_t blocks = 0;  // those of all sweeps
  int64_t windows = 0;
  int64_t tokens = 0;             // of calibration
  uint64_t activation_bytes = 0;  // on the way through the model
  bool spills = false;            // to a file, because they pass max_memory
  uint64_t block_bytes = 0;       // one block's weights, moments and work space
  uint64_t peak_memory = 0;
  uint64_t output_bytes = 0;  // directory and packed file
  uint64_t disk_bytes = 0;    // that, spilled activations and blocks to be trained again
  double flops = 0;
  double seconds = 0;
  std::string widest_work;     // what takes block_bytes
  uint64_t program_bytes = 0;  // libraries, tokenizer, text
  uint64_t network_bytes = 0;  // that one rank sends
  std::vector<PlanStage> stages;
  PlanHardware hardware;          // as settled
  bool assumed_tokens = false;    // no text was read
  bool assumed_weights = false;   // only config.json was
  BlockTrainingOptions training;  // as settled
  EndToEndOptions tuning;
};

// rows: tokens of each window, of all ranks; what is planned is for one of these.
// options.max_memory must be settled. Throws kUsage when one block does not fit in max_memory.
PtqPlan plan_quantization(const ModelConfig& config, const PtqOptions& options,
                          const std::vector<int64_t>& rows, const PlanHardware& hardware = {});

Json to_json(const PtqPlan& plan);

}  // namespace tercet::learn
