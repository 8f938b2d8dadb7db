// SPDX-License-Identifier: Apache-2.0
#include "cli/common/signals.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/error.h"

namespace tercet::cli {
namespace {

// A signal handler can reach nothing but globals.
std::atomic<bool> stop_flag{false};
std::atomic<bool> termination_flag{false};
static_assert(std::atomic<bool>::is_always_lock_free);
// Wakes read_until_stopped(). A read() alone would miss the signal that comes just before it, or
// that another thread handles.
std::array<int, 2> wake_pipe{-1, -1};

std::atomic<const char*> stop_notice{nullptr};
static_assert(std::atomic<const char*>::is_always_lock_free);

extern "C" void request_stop(int signal) {
  const int before = errno;
  if (const char* notice = stop_notice.exchange(nullptr); notice != nullptr) {
    // Ctrl-C ends also who reads stderr (`2>&1 | tee log`), and there is something to save.
    std::signal(SIGPIPE, SIG_IGN);
    [[maybe_unused]] const ssize_t said = ::write(STDERR_FILENO, notice, std::strlen(notice));
  }
  if (signal != SIGINT) termination_flag.store(true);
  stop_flag.store(true);
  // A full pipe wakes the reader as well.
  [[maybe_unused]] const ssize_t written = ::write(wake_pipe[1], "", 1);
  errno = before;
}

void open_wake_pipe() {
  if (wake_pipe[0] >= 0) return;
  if (::pipe(wake_pipe.data()) != 0) {
    const int number = errno;
    fail(ErrorCode::kIo, "cannot open a pipe: {}", errno_text(number));
  }
  for (const int end : wake_pipe) {
    ::fcntl(end, F_SETFD, FD_CLOEXEC);
    ::fcntl(end, F_SETFL, O_NONBLOCK);
  }
}

void drain_wake_pipe() {
  std::array<char, 64> bytes;
  while (::read(wake_pipe[0], bytes.data(), bytes.size()) > 0) {
  }
}

}  // namespace

void install_signal_handlers() {
  open_wake_pipe();
  struct sigaction action = {};
  action.sa_handler = request_stop;
  sigemptyset(&action.sa_mask);
  // Back to the default for the second signal; no SA_RESTART, so that a blocked read() returns.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // The terminal or the way to it is gone, and nohup is not there to ignore that.
  struct sigaction hangup = {};
  sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
  // A parent may have left it ignored.
  struct sigaction pipe_action = {};
  pipe_action.sa_handler = SIG_DFL;
  sigaction(SIGPIPE, &pipe_action, nullptr);
}

void announce_stop(const char* notice) { stop_notice.store(notice); }

void survive_interrupts() {
  struct sigaction action = {};
  action.sa_handler = request_stop;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
}

bool termination_requested() { return termination_flag.load(std::memory_order_relaxed); }

bool take_stop_request() {
  const bool was_set = stop_flag.exchange(false);
  drain_wake_pipe();
  return was_set;
}

ssize_t read_until_stopped(int descriptor, void* buffer, size_t size) {
  std::array<pollfd, 2> sources{{{.fd = descriptor, .events = POLLIN, .revents = 0},
                                 {.fd = wake_pipe[0], .events = POLLIN, .revents = 0}}};
  while (!stop_flag.load()) {
    const int ready = ::poll(sources.data(), sources.size(), -1);
    if (ready < 0 && errno != EINTR) return -1;
    if (ready <= 0) continue;
    // The flag is set before its byte is written: without it, this byte's request was taken.
    if (sources[1].revents != 0) {
      drain_wake_pipe();
      continue;
    }
    const ssize_t count = ::read(descriptor, buffer, size);
    if (count >= 0 || errno != EINTR) return count;
  }
  errno = EINTR;
  return -1;
}

const std::atomic<bool>& stop_requested() { return stop_flag; }

void throw_if_stopped() {
  if (stop_flag.load(std::memory_order_relaxed)) fail(ErrorCode::kInterrupted, "interrupted");
}

}  // namespace tercet::cli
