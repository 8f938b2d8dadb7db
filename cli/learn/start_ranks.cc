// SPDX-License-Identifier: Apache-2.0
#include "cli/learn/start_ranks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cli/common/learning_half.h"
#include "cli/common/output.h"
#include "cli/common/signals.h"
#include "core/error.h"
#include "learn/dist/launch.h"
#include "learn/dist/socket.h"

namespace tercet::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLook(50);
// Ranks end by themselves when another one has; what is left then hangs.
constexpr std::chrono::seconds kGrace(8);
constexpr std::array kStopSignals = {SIGINT, SIGTERM, SIGHUP};

// Returns the mask as it was.
sigset_t block_stop_signals() {
  sigset_t signals;
  sigset_t before;
  ::sigemptyset(&signals);
  for (const int number : kStopSignals) ::sigaddset(&signals, number);
  ::sigprocmask(SIG_BLOCK, &signals, &before);
  return before;
}

// Strings as execve() wants them.
class Words {
 public:
  explicit Words(std::vector<std::string> words) : words_(std::move(words)) {
    for (std::string& word : words_) pointers_.push_back(word.data());
    pointers_.push_back(nullptr);
  }
  char* const* data() { return pointers_.data(); }

 private:
  std::vector<std::string> words_;
  std::vector<char*> pointers_;
};

// This process' own command line.
std::vector<std::string> command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  return words;
}

std::vector<std::string> rank_environment(int64_t rank, int64_t ranks,
                                          const learn::Socket& listener) {
  std::vector<std::string> variables = {
      fmt::format("RANK={}", rank), fmt::format("WORLD_SIZE={}", ranks), "MASTER_ADDR=127.0.0.1",
      fmt::format("MASTER_PORT={}", listener.local_port())};
  if (rank == 0) {
    variables.push_back(fmt::format("{}={}", learn::kListenVariable, listener.get()));
  }
  for (char** variable = ::environ; *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  return variables;
}

// In the child: only what is safe after fork().
[[noreturn]] void become_rank(int64_t rank, pid_t parent, const sigset_t& mask, int listener,
                              const char* program, Words& arguments, Words& environment) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // it was too late for that
  for (const int number : kStopSignals) {
    struct sigaction action = {};
    ::sigaction(number, nullptr, &action);
    if (action.sa_handler != SIG_IGN) ::signal(number, SIG_DFL);
  }
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  if (rank == 0) {
    ::fcntl(listener, F_SETFD, 0);
  } else {
    const int nowhere = ::open("/dev/null", O_RDWR);
    for (int stream = 0; stream < 3; ++stream) ::dup2(nowhere, stream);
  }
  ::execve(program, arguments.data(), environment.data());
  ::_exit(1);
}

std::vector<pid_t> start_all(int64_t ranks) {
  const learn::Socket listener = learn::listen_on("127.0.0.1", 0);
  const std::string program = program_path().string();
  Words arguments(command_line());
  const pid_t parent = ::getpid();
  std::vector<pid_t> children;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    Words environment(rank_environment(rank, ranks, listener));
    // A signal that this process' handlers caught in the child would be forgotten there.
    const sigset_t mask = block_stop_signals();
    const pid_t child = ::fork();
    if (child == 0) {
      become_rank(rank, parent, mask, listener.get(), program.c_str(), arguments, environment);
    }
    const int number = errno;
    ::sigprocmask(SIG_SETMASK, &mask, nullptr);
    if (child < 0) {  // those that were started end with this process
      fail(ErrorCode::kIo, "cannot start rank {}: {}", rank, errno_text(number));
    }
    children.push_back(child);
  }
  return children;
}

// How a process ended.
struct Ending {
  int64_t rank = 0;
  int status = 0;  // as of waitpid()
  bool clean() const { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }
};

void signal_all(const std::vector<pid_t>& children, int signal) {
  for (const pid_t child : children) {
    if (child > 0) ::kill(child, signal);
  }
}

// A child that has ended; it becomes 0 in `children`.
std::optional<Ending> reap(std::vector<pid_t>& children) {
  int status = 0;
  const pid_t ended = ::waitpid(-1, &status, WNOHANG);
  const auto found = std::find(children.begin(), children.end(), ended);
  if (ended <= 0 || found == children.end()) return std::nullopt;
  *found = 0;
  return Ending{found - children.begin(), status};
}

// Endings in their order. gave_up_on_first: whether rank 0 had to be ended from here.
std::vector<Ending> wait_for_all(std::vector<pid_t> children, bool& gave_up_on_first) {
  std::vector<Ending> endings;
  bool passed_on = false;
  std::optional<Clock::time_point> deadline;
  while (endings.size() < children.size()) {
    if (stop_requested() && !passed_on) {
      passed_on = true;
      // Ranks may have had the same signal from the terminal or a group, and the second of a kind
      // would kill them.
      signal_all(children, termination_requested() ? SIGINT : SIGTERM);
    }
    if (const auto ending = reap(children)) {
      endings.push_back(*ending);
      if (!ending->clean() && !deadline) deadline = Clock::now() + kGrace;
    } else {
      std::this_thread::sleep_for(kLook);
    }
    // Once interrupted, saving may take its time.
    if (deadline && !passed_on && Clock::now() > *deadline) {
      if (children.front() > 0) gave_up_on_first = true;
      signal_all(children, SIGKILL);
    }
  }
  return endings;
}

}  // namespace

void start_ranks(int64_t ranks) {
  bool gave_up_on_first = false;
  const std::vector<Ending> endings = wait_for_all(start_all(ranks), gave_up_on_first);
  const auto first = std::find_if(endings.begin(), endings.end(),
                                  [](const Ending& ending) { return ending.rank == 0; });
  const auto bad = std::find_if(endings.begin(), endings.end(),
                                [](const Ending& ending) { return !ending.clean(); });
  // Rank 0 has said what is wrong, unless it was not able to.
  if (gave_up_on_first) {
    fail(ErrorCode::kIo,
         "rank 0 gave no sign of life and was ended; continue what is saved with --resume");
  }
  if (WIFSIGNALED(first->status)) {
    const int number = WTERMSIG(first->status);
    // A rank that has only just started does not yet catch what is passed on to it.
    const bool by_request =
        std::find(kStopSignals.begin(), kStopSignals.end(), number) != kStopSignals.end();
    if (stop_requested() && by_request) {
      fail(ErrorCode::kInterrupted, "interrupted; what is saved continues with --resume");
    }
    fail(ErrorCode::kIo, "rank 0 was ended by signal {} ({}); continue with --resume", number,
         ::strsignal(number));
  }
  const Ending& decisive = first->clean() && bad != endings.end() ? *bad : *first;
  flush_output();
  std::exit(WIFEXITED(decisive.status) ? WEXITSTATUS(decisive.status) : exit_code(ErrorCode::kIo));
}

}  // namespace tercet::cli
