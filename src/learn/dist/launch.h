// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace tercet::learn {

// Which of the processes of one run this is ("rank"), and where rank 0 is to be met.
struct Launch {
  int64_t rank = 0;
  int64_t ranks = 1;
  std::string address;         // of rank 0's machine: a name or a number
  uint16_t port = 0;           // where rank 0 listens
  int listen_descriptor = -1;  // of rank 0: a socket that listens there already
  std::string interface;       // network interface for the data; empty: the way to rank 0
};

// The value of an environment variable, or null; ::getenv in programs.
using Environment = std::function<const char*(const char* name)>;

// What torchrun (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT), OpenMPI's mpirun (OMPI_COMM_WORLD_*),
// Slurm's srun (SLURM_PROCID, SLURM_STEP_ID, SLURM_STEP_NUM_TASKS, SLURM_STEP_NODELIST or
// SLURM_NODELIST) or the mpirun of MPICH and its kin (PMI_*) says, in this order; nothing when none
// of them started this process. MASTER_ADDR and MASTER_PORT win over what the others' variables
// tell of it. Throws kUsage naming the variable for settings that cannot work.
std::optional<Launch> read_launch(const Environment& environment);

// Where a parent process that listens for rank 0 says so (`tercet pretrain --ranks`).
inline constexpr const char* kListenVariable = "TERCET_LISTEN_FD";

}  // namespace tercet::learn
