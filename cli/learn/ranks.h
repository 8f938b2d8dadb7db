// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "learn/dist/team.h"

namespace tercet::cli {

// What one rank's interruption (Error of kind kInterrupted out of `body`) means to the others.
enum class Interruption {
  kOfAll,     // they have ended together
  kEndsRest,  // they are in the middle of something, and end with it
};

// Runs `body`, which trains or quantizes, on the ranks that torchrun, mpirun or srun started, when
// their variables say so; alone otherwise. `ranks` is what the user asked for, 0 for nothing:
// without a launcher that many copies of this process are started on this machine, rank 0 with its
// input and output, and this one ends when they have, with their exit status. When `body` throws or
// another rank is lost, the process prints one line and ends at once, since threads may wait for
// ever for those that are gone.
void with_ranks(int64_t ranks, Interruption interruption,
                const std::function<void(learn::Team)>& body);

}  // namespace tercet::cli
