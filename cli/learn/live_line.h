// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "cli/common/sparkline.h"
#include "learn/pretrain/train_events.h"

namespace tercet::cli {

// What a terminal can show.
struct LiveStyle {
  size_t columns = 80;
  bool unicode = true;
  bool colour = true;
};

// The state of a run in one line of at most style.columns columns: steps, the curve of its losses,
// the newest loss, tokens per second, what share of `gemm_gflops` that is (MFU), learning rate,
// time left. What has no room is left out, the least telling first; the curve takes what is left.
std::string live_line(const learn::StepReport& report, const Series& losses, double gemm_gflops,
                      const LiveStyle& style);

}  // namespace tercet::cli
