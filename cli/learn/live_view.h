// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "cli/common/progress.h"
#include "cli/common/sparkline.h"
#include "learn/pretrain/train_events.h"

namespace tercet::cli {

// A training run on stderr: on a terminal one line that is drawn again as it changes
// (live_line.h), at most ten times a second, with lasting lines above it; elsewhere a plain line
// every ten seconds. Follows the terminal's size.
class LiveView {
 public:
  // gemm_gflops: what 100 % MFU is.
  LiveView(int64_t first_step, int64_t steps, double gemm_gflops);
  // Clears the line.
  ~LiveView();
  LiveView(const LiveView&) = delete;
  LiveView& operator=(const LiveView&) = delete;

  void step(const learn::StepReport& report);
  // A lasting line. A warning stands out where there is colour.
  void message(std::string_view line);
  void warning(std::string_view line);

 private:
  using Clock = std::chrono::steady_clock;
  void draw();
  void lasting(std::string_view line, bool stands_out);

  std::string first_line_;  // until there is a step to report
  double gemm_gflops_;
  TerminalStyle style_;
  Progress plain_;  // where there is no terminal
  Series losses_;
  std::optional<learn::StepReport> newest_;
  Clock::time_point next_draw_;
};

}  // namespace tercet::cli
