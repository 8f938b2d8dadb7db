// SPDX-License-Identifier: Apache-2.0
#include "cli/learn/live_view.h"

#include <fmt/format.h>

#include "cli/common/output.h"
#include "cli/learn/live_line.h"

namespace tercet::cli {
namespace {

constexpr std::chrono::milliseconds kPause{100};
constexpr const char* kClearLine = "\r\x1b[K";

}  // namespace

LiveView::LiveView(int64_t first_step, int64_t steps, double gemm_gflops)
    : first_line_(fmt::format("{}/{}  first step ...", first_step, steps)),
      gemm_gflops_(gemm_gflops),
      style_(stderr_style()),
      plain_("pretrain", steps) {}

LiveView::~LiveView() {
  if (style_.interactive) write_error_output(kClearLine);
}

void LiveView::step(const learn::StepReport& r) {
  if (!style_.interactive) {
    return plain_.update(
        r.step, fmt::format("loss {:.4f}  {:.0f} tokens/s  {:.0f} GFLOP/s ({:.0f} %)", r.loss,
                            r.tokens_per_second, r.gflops, 100 * r.gflops / gemm_gflops_));
  }
  losses_.add(r.loss);
  newest_ = r;
  if (Clock::now() >= next_draw_ || r.step == r.steps) draw();
}

void LiveView::message(std::string_view line) { lasting(line, false); }
void LiveView::warning(std::string_view line) { lasting(line, true); }

void LiveView::lasting(std::string_view line, bool stands_out) {
  if (!style_.interactive) return plain_.message(line);
  const bool colour = stands_out && style_.colour;
  write_error_output(fmt::format("{}{}{}{}\n", kClearLine, colour ? "\x1b[33m" : "", line,
                                 colour ? "\x1b[39m" : ""));
  draw();
}

void LiveView::draw() {
  // The last column stays free: some terminals wrap as soon as it is written.
  const auto columns = static_cast<size_t>(stderr_columns() - 1);
  const LiveStyle style{columns, style_.unicode, style_.colour};
  const std::string line =
      newest_ ? live_line(*newest_, losses_, gemm_gflops_, style) : first_line_.substr(0, columns);
  // Written over, not cleared before: that would flicker.
  write_error_output("\r" + line + "\x1b[K");
  next_draw_ = Clock::now() + kPause;
}

}  // namespace tercet::cli
