// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/calibration.h"

#include <algorithm>

#include "core/error.h"
#include "learn/ptq/head.h"

namespace tercet::learn {
namespace {

constexpr int64_t kFewestTokens = 256;

}  // namespace

Windows text_windows(const std::filesystem::path& text, const HfModel& model, int64_t context,
                     int64_t limit, bool cut) {
  if (text.empty()) return {};
  const Tokenizer tokenizer = Tokenizer::load(model.directory());
  if (tokenizer.vocab_size() > model.config().vocab_size) {
    fail(ErrorCode::kBadInput, "'{}': the tokenizer has {} tokens, the model {}",
         model.directory().string(), tokenizer.vocab_size(), model.config().vocab_size);
  }
  return read_windows(text, tokenizer, context, limit, cut);
}

Windows calibration_windows(const PtqOptions& options, const HfModel& model, int64_t ranks) {
  Windows windows = text_windows(options.calibration, model, options.context,
                                 options.calibration_tokens, options.cut_documents);
  if (windows.empty()) return windows;
  int64_t tokens = 0;
  for (const auto& window : windows) tokens += std::ssize(window);
  if (tokens < kFewestTokens) {
    fail(ErrorCode::kBadInput,
         "'{}' is too short to calibrate on: {} tokens, {} at least are needed",
         options.calibration.string(), tokens, kFewestTokens);
  }
  if (std::ssize(windows) < ranks) {
    fail(ErrorCode::kUsage,
         "{} ranks cannot share the {} windows of '{}'; start at most {}, or give more text, more "
         "--calib-tokens or a shorter --ctx",
         ranks, windows.size(), options.calibration.string(), windows.size());
  }
  return windows;
}

Windows evaluation_windows(const PtqOptions& options, const HfModel& model) {
  return text_windows(options.evaluation, model, options.evaluation_context,
                      options.evaluation_tokens, options.cut_documents);
}

std::vector<int64_t> lengths_of(const Windows& windows) {
  std::vector<int64_t> rows;
  for (const auto& window : windows) rows.push_back(std::ssize(window));
  return rows;
}

bool needs_both_sides(const PtqOptions& options) {
  return options.layer.cross_term != 0 || options.block_training.steps > 0 ||
         options.end_to_end.steps > 0;
}

CalibrationState initial_state(const HfModel& model, const PtqOptions& options,
                               const std::filesystem::path& spill, const Windows& windows,
                               const WindowShare& share, bool both_sides) {
  const ModelConfig& config = model.config();
  CalibrationState state;
  state.rows = lengths_of(windows);
  const double kept = static_cast<double>(windows.size()) * (1 - options.held_out);
  state.fit_windows = std::max<size_t>(static_cast<size_t>(kept + 0.5), 1);
  const size_t sides = windows.empty() ? 0 : (both_sides ? 2 : 1);
  for (size_t side = 0; side < sides; ++side) {
    state.residual.emplace_back(state.rows, config.hidden_size, spill, share);
    const auto type = side == 0 ? options.rest.embedding : std::nullopt;
    for (size_t i = 0; i < windows.size(); ++i) {
      if (share.has(i)) state.residual[side].put(i, embedded(model, windows[i], type));
    }
  }
  for (const int64_t width :
       {config.num_attention_heads * config.head_dim, config.intermediate_size}) {
    for (size_t side = 0; side < sides; ++side) {
      state.inner.emplace_back(state.rows, width, spill, share);
    }
  }
  return state;
}

}  // namespace tercet::learn
