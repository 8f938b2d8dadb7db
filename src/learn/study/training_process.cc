// SPDX-License-Identifier: Apache-2.0
#include "learn/study/training_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

#include "core/error.h"

namespace tercet::learn {
namespace {

constexpr int kCannotStart = 127;

int open_for_child(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    const int number = errno;
    fail(ErrorCode::kIo, "cannot write '{}': {}", file.string(), errno_text(number));
  }
  return descriptor;
}

// Between fork and exec: only calls that are safe there.
[[noreturn]] void become(char* const* arguments, int output, int errors, pid_t parent) {
  // A terminal's Ctrl-C goes to the parent alone, which passes it on once: a second one would kill.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(kCannotStart);  // it died before the line above
  ::dup2(output, STDOUT_FILENO);
  ::dup2(errors, STDERR_FILENO);
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing >= 0) ::dup2(nothing, STDIN_FILENO);
  ::execv(arguments[0], arguments);
  ::_exit(kCannotStart);
}

pid_t start(std::vector<std::string> words, int output, int errors) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) become(arguments.data(), output, errors, parent);
  if (child < 0) {
    const int number = errno;
    fail(ErrorCode::kIo, "cannot start '{}': {}", words.front(), errno_text(number));
  }
  return child;
}

}  // namespace

TrainingProcess::TrainingProcess(const std::filesystem::path& program,
                                 const std::vector<std::string>& arguments,
                                 const std::filesystem::path& folder, const std::string& name)
    : events_file_(folder / (name + ".progress.jsonl")), errors_file_(folder / (name + ".errors")) {
  std::vector<std::string> words = {program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const int output = open_for_child(events_file_);
  int errors = -1;
  try {
    errors = open_for_child(errors_file_);
    child_ = start(std::move(words), output, errors);
  } catch (...) {
    ::close(output);
    if (errors >= 0) ::close(errors);
    throw;
  }
  ::close(output);
  ::close(errors);
}

TrainingProcess::~TrainingProcess() {
  request_stop();
  while (!status_) {
    int status = 0;
    if (::waitpid(child_, &status, 0) == child_ || errno != EINTR) status_ = 0;
  }
  std::error_code ignored;
  std::filesystem::remove(events_file_, ignored);
  std::filesystem::remove(errors_file_, ignored);
}

std::vector<Json> TrainingProcess::new_events() {
  std::ifstream file(events_file_);
  file.seekg(read_);
  std::vector<Json> events;
  for (std::string line; std::getline(file, line);) {
    if (file.eof()) break;  // half a line: the rest comes
    read_ += static_cast<std::streamoff>(line.size()) + 1;
    Json event = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (event.is_object()) events.push_back(std::move(event));
  }
  return events;
}

std::optional<int> TrainingProcess::exit_status() {
  if (status_) return status_;
  int status = 0;
  if (::waitpid(child_, &status, WNOHANG) == child_) {
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return status_;
}

std::string TrainingProcess::last_words() const {
  std::ifstream file(errors_file_);
  std::string last;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) last = line;
  }
  const std::string prefix = "error: ";
  const size_t at = last.find(prefix);
  return at == std::string::npos ? last : last.substr(at + prefix.size());
}

void TrainingProcess::request_stop() {
  if (stopping_ || exit_status()) return;
  stopping_ = true;
  ::kill(child_, SIGTERM);
}

}  // namespace tercet::learn
