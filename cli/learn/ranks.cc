// SPDX-License-Identifier: Apache-2.0
#include "cli/learn/ranks.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>

#include "cli/common/output.h"
#include "cli/common/signals.h"
#include "cli/learn/start_ranks.h"
#include "core/error.h"
#include "learn/dist/launch.h"
#include "learn/dist/process_group.h"

namespace tercet::cli {
namespace {

using learn::Launch;
using learn::ProcessGroup;
using learn::Team;

// Without waiting for threads or running destructors.
[[noreturn]] void end_process(int64_t rank, ErrorCode code, const std::string& message) {
  const std::string program = rank == 0 ? "tercet" : fmt::format("tercet (rank {})", rank);
  // There may be a progress line.
  const char* line = ::isatty(STDERR_FILENO) == 1 ? "\r\x1b[K" : "";
  write_error_output(fmt::format("{}{}: error: {}\n", line, program, message));
  std::fflush(stderr);
  ::_exit(exit_code(code));
}

void run_as_rank(const Launch& launch, Interruption interruption,
                 const std::function<void(Team)>& body) {
  const auto over = [rank = launch.rank](ErrorCode code, const std::string& message) {
    const char* advice = code == ErrorCode::kIo ? "; continue what is saved with --resume" : "";
    end_process(rank, code, message + advice);
  };
  // Ranks that were not started from here may take their time to come.
  if (launch.rank == 0 && launch.listen_descriptor < 0) {
    write_error_output(fmt::format("rank 0 waits for {} more at {}:{}\n", launch.ranks - 1,
                                   launch.address, launch.port));
  }
  ProcessGroup group(launch, {}, over, &stop_requested());
  const auto fail_all = [&](ErrorCode code, const std::string& message) {
    group.abandon(code, message);
    end_process(launch.rank, code, message);
  };
  try {
    body(Team(&group));
  } catch (const Error& error) {
    const bool of_all = interruption == Interruption::kOfAll;
    if (error.code() == ErrorCode::kInterrupted && of_all) throw;
    fail_all(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    fail_all(ErrorCode::kUsage, "not enough memory; more ranks or a smaller model need less");
  } catch (const std::exception& error) {
    fail_all(ErrorCode::kInternal, error.what());
  }
}

}  // namespace

void with_ranks(int64_t ranks, Interruption interruption, const std::function<void(Team)>& body) {
  const std::optional<Launch> launch =
      learn::read_launch([](const char* name) -> const char* { return std::getenv(name); });
  if (launch && ranks > 0 && launch->ranks != ranks) {
    fail(ErrorCode::kUsage,
         "--ranks is {}, but {} processes were started by variables like RANK; leave it out", ranks,
         launch->ranks);
  }
  if (launch && launch->ranks > 1) return run_as_rank(*launch, interruption, body);
  if (!launch && ranks > 1) start_ranks(ranks);
  body(Team());
}

}  // namespace tercet::cli
