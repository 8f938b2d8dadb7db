// SPDX-License-Identifier: Apache-2.0
#include "cli/common/signals.h"

#include <csignal>

#include "core/error.h"

namespace tercet::cli {
namespace {

// A signal handler can reach nothing but globals.
std::atomic<bool> stop_flag{false};
std::atomic<bool> termination_flag{false};
static_assert(std::atomic<bool>::is_always_lock_free);

extern "C" void request_stop(int signal) {
  if (signal == SIGTERM) termination_flag.store(true, std::memory_order_relaxed);
  stop_flag.store(true, std::memory_order_relaxed);
}

}  // namespace

void install_signal_handlers() {
  struct sigaction action = {};
  action.sa_handler = request_stop;
  sigemptyset(&action.sa_mask);
  // Back to the default for the second signal; no SA_RESTART, so that a blocked read() returns.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // A parent may have left it ignored.
  struct sigaction pipe_action = {};
  pipe_action.sa_handler = SIG_DFL;
  sigaction(SIGPIPE, &pipe_action, nullptr);
}

void survive_interrupts() {
  struct sigaction action = {};
  action.sa_handler = request_stop;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
}

bool termination_requested() { return termination_flag.load(std::memory_order_relaxed); }

bool take_stop_request() { return stop_flag.exchange(false, std::memory_order_relaxed); }

const std::atomic<bool>& stop_requested() { return stop_flag; }

void throw_if_stopped() {
  if (stop_flag.load(std::memory_order_relaxed)) fail(ErrorCode::kInterrupted, "interrupted");
}

}  // namespace tercet::cli
