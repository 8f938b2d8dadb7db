// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace tercet::cli {

// Runs this process' command line again as `ranks` processes that meet on loopback, of which only
// rank 0 prints; passes on that it should stop, and when one dies sees to it that all do. Ends with
// rank 0's exit status, or the first other one that is not 0. They end with this process, however
// it does. Throws kIo when they cannot be started or rank 0 is killed.
[[noreturn]] void start_ranks(int64_t ranks);

}  // namespace tercet::cli
