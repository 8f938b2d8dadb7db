// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "formats/hf_model.h"
#include "learn/ptq/block_quantizer.h"
#include "learn/ptq/options.h"
#include "learn/ptq/window_share.h"
#include "learn/ptq/windows.h"

namespace tercet::learn {

// Windows of a text, as of read_windows(); none without a text. Throws kBadInput for a tokenizer
// that is not the model's.
Windows text_windows(const std::filesystem::path& text, const HfModel& model, int64_t context,
                     int64_t limit, bool cut);

// Those to calibrate on, for `ranks` ranks to share. Throws kBadInput for too short a text, kUsage
// when there is no window for each rank.
Windows calibration_windows(const PtqOptions& options, const HfModel& model, int64_t ranks);

// Those to evaluate on, none without a text.
Windows evaluation_windows(const PtqOptions& options, const HfModel& model);

// Tokens of each window.
std::vector<int64_t> lengths_of(const Windows& windows);

// Whether the full-precision model runs beside the quantized one.
bool needs_both_sides(const PtqOptions& options);

// The windows of `share` before the first block; both_sides: those of the full-precision model too.
CalibrationState initial_state(const HfModel& model, const PtqOptions& options,
                               const std::filesystem::path& spill, const Windows& windows,
                               const WindowShare& share, bool both_sides);

}  // namespace tercet::learn
