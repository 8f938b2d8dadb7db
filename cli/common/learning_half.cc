// SPDX-License-Identifier: Apache-2.0
#include "cli/common/learning_half.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "core/error.h"

namespace tercet::cli {
namespace {

constexpr size_t kMaxCaptured = size_t{16} << 20;

// argv as execv() wants it; the strings must outlive the result.
std::vector<char*> argument_vector(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::string read_all(int descriptor) {
  std::string text;
  std::array<char, 65536> block;
  while (true) {
    const ssize_t count = ::read(descriptor, block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    // Beyond the limit the pipe is still drained, so that the child can end.
    if (text.size() < kMaxCaptured) text.append(block.data(), static_cast<size_t>(count));
  }
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return 127;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

std::filesystem::path program_path() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored);
}

std::optional<std::filesystem::path> find_learning_half() {
  const std::filesystem::path folder = program_path().parent_path();
  for (const auto& candidate :
       {folder / "tercet-learn", folder / ".." / "libexec" / "tercet-learn"}) {
    if (::access(candidate.c_str(), X_OK) == 0) return candidate.lexically_normal();
  }
  return std::nullopt;
}

void exec_learning_half(const std::vector<std::string>& arguments) {
  const std::optional<std::filesystem::path> program = find_learning_half();
  if (!program) {
    fail(ErrorCode::kIo,
         "this build has no learning half, which '{}' needs: run scripts/setup.sh, then build with "
         "TERCET_LEARN=ON (cmake --preset release)",
         arguments.empty() ? "this command" : arguments.front());
  }
  // OpenMP threads that spin while they wait lose most of a shared machine's time: on two cores
  // with other work running, training was 17 times slower. Threads that sleep at once lose a third
  // of a free machine's time on the short loops between products. Spinning for some microseconds
  // costs a fifth on a shared machine and saves a quarter on a free one. Who knows better sets one
  // of the variables.
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) {
    ::setenv("OMP_WAIT_POLICY", "passive", /*overwrite=*/0);
    ::setenv("GOMP_SPINCOUNT", "1000", /*overwrite=*/0);
  }
  std::vector<std::string> words = {program->string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  ::execv(program->c_str(), argument_vector(words).data());
  const int number = errno;
  fail(ErrorCode::kIo, "cannot start '{}': {}", program->string(), errno_text(number));
}

ChildResult run_and_capture(const std::filesystem::path& program,
                            const std::vector<std::string>& arguments) {
  std::array<int, 2> ends = {};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    const int number = errno;
    fail(ErrorCode::kIo, "cannot make a pipe: {}", errno_text(number));
  }
  std::vector<std::string> words = {program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t child = 0;
  const int error = ::posix_spawn(&child, program.c_str(), &actions, nullptr,
                                  argument_vector(words).data(), ::environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  ChildResult result;
  if (error == 0) {
    result.output = read_all(ends[0]);
    result.exit_status = wait_for(child);
  }
  ::close(ends[0]);
  if (error != 0) {
    fail(ErrorCode::kIo, "cannot start '{}': {}", program.string(), errno_text(error));
  }
  return result;
}

}  // namespace tercet::cli
