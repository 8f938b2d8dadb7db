// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "formats/model_config.h"
#include "learn/ptq/options.h"
#include "learn/ptq/window_share.h"

namespace tercet::learn {

// What a run will need, computed before it begins. Bytes and seconds.
struct PtqPlan {
  int64_t windows = 0;
  int64_t tokens = 0;             // of calibration
  int64_t ranks = 1;              // that share them; what follows is for one of these
  uint64_t activation_bytes = 0;  // on the way through the model
  bool spills = false;            // to a file, because they pass max_memory
  uint64_t block_bytes = 0;       // one block's weights, moments and work space
  uint64_t peak_memory = 0;
  uint64_t output_bytes = 0;
  uint64_t disk_bytes = 0;  // output and spilled activations
  double flops = 0;
  double gflops = 0;  // of a product on this machine, measured
  double seconds = 0;
  BlockTrainingOptions training;  // as settled
  EndToEndOptions tuning;
};

// rows: tokens of each window. options.max_memory must be settled. Throws kUsage when one block
// does not fit in max_memory.
PtqPlan plan_quantization(const ModelConfig& config, const PtqOptions& options,
                          const std::vector<int64_t>& rows);

// The same for one of the ranks that share these windows; max_memory is that of this one. What it
// does for all, the solver's work, is counted as if it were alone.
PtqPlan plan_for_rank(const ModelConfig& config, PtqOptions options,
                      const std::vector<int64_t>& rows, const WindowShare& share);

// Physical memory of the machine in bytes, for a default of max_memory.
uint64_t machine_memory();

}  // namespace tercet::learn
