// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/launch.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <string_view>
#include <system_error>

#include "core/error.h"

namespace tercet::learn {
namespace {

constexpr int64_t kMostRanks = 4096;
constexpr uint16_t kDefaultPort = 29500;  // torchrun's
// Jobs of one machine that do not say a port get one of these by their number.
constexpr uint64_t kFirstJobPort = 20000;
constexpr uint64_t kJobPorts = 8000;

std::optional<std::string> text(const Environment& environment, const char* name) {
  const char* value = environment(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

std::optional<std::string> first_text(const Environment& environment,
                                      std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (auto value = text(environment, name)) return value;
  }
  return std::nullopt;
}

int64_t number(const Environment& environment, const char* name, int64_t low, int64_t high) {
  const auto value = text(environment, name);
  if (!value) {
    fail(ErrorCode::kUsage, "{} is not set, but other variables of its kind are; set all or none",
         name);
  }
  int64_t parsed = 0;
  const char* end = value->data() + value->size();
  const auto [rest, error] = std::from_chars(value->data(), end, parsed);
  if (error != std::errc() || rest != end || parsed < low || parsed > high) {
    fail(ErrorCode::kUsage, "{} is '{}', it must be a number from {} to {}", name, *value, low,
         high);
  }
  return parsed;
}

// The launchers' variables for the same things.
struct Names {
  const char* rank;
  const char* ranks;
};

// Nothing unless one of the two is set.
std::optional<Launch> read_numbers(const Environment& environment, const Names& names) {
  if (!text(environment, names.rank) && !text(environment, names.ranks)) return std::nullopt;
  Launch launch;
  launch.ranks = number(environment, names.ranks, 1, kMostRanks);
  launch.rank = number(environment, names.rank, 0, kMostRanks);
  if (launch.rank >= launch.ranks) {
    fail(ErrorCode::kUsage, "{} is {}, but {} is {}: ranks count from 0 to {}", names.rank,
         launch.rank, names.ranks, launch.ranks, launch.ranks - 1);
  }
  return launch;
}

// The first name of Slurm's short form: "node[03-05,7],x1" is node03.
std::string first_node(const std::string& list) {
  std::string node;
  for (size_t i = 0; i < list.size() && list[i] != ','; ++i) {
    if (list[i] != '[') {
      node += list[i];
      continue;
    }
    const size_t close = std::min(list.find(']', i), list.size());
    const size_t end = std::min(list.find_first_of(",-]", i), close);
    node += list.substr(i + 1, end - i - 1);
    i = close;
  }
  return node;
}

// A port that all ranks of a job agree on, and its neighbours on the machine most likely not.
uint16_t job_port(std::string_view job) {
  uint64_t hash = 14695981039346656037U;
  for (const char c : job) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return static_cast<uint16_t>(kFirstJobPort + hash % kJobPorts);
}

void read_port(const Environment& environment, Launch& launch, std::string_view job) {
  if (text(environment, "MASTER_PORT")) {
    launch.port = static_cast<uint16_t>(number(environment, "MASTER_PORT", 1, 65535));
  } else {
    launch.port = job.empty() ? kDefaultPort : job_port(job);
  }
}

// torchrun, or variables set by hand.
void complete_plain(const Environment& environment, Launch& launch) {
  const auto address = text(environment, "MASTER_ADDR");
  if (!address) {
    fail(ErrorCode::kUsage,
         "MASTER_ADDR is not set: give the name or address of the machine that rank 0 runs on");
  }
  launch.address = *address;
  read_port(environment, launch, "");
  // torchrun may listen there itself, for ranks that are Python programs.
  if (text(environment, "TORCHELASTIC_USE_AGENT_STORE") == "True") ++launch.port;
}

// How many of the ranks are on this machine is said by the one or the other.
void complete_mpi(const Environment& environment, Launch& launch) {
  const auto address = text(environment, "MASTER_ADDR");
  const auto here = first_text(environment, {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"});
  const bool one_machine = here == std::to_string(launch.ranks);
  if (!address && !one_machine) {
    fail(ErrorCode::kUsage,
         "MASTER_ADDR is not set, and mpirun's ranks run on several machines: give the name or "
         "address of rank 0's machine (mpirun -x MASTER_ADDR=...)");
  }
  launch.address = address.value_or("127.0.0.1");
  read_port(environment, launch,
            first_text(environment, {"OMPI_MCA_ess_base_jobid", "PMIX_NAMESPACE"}).value_or(""));
}

void complete_slurm(const Environment& environment, Launch& launch) {
  const auto address = text(environment, "MASTER_ADDR");
  const auto nodes =
      first_text(environment, {"SLURM_STEP_NODELIST", "SLURM_NODELIST", "SLURM_JOB_NODELIST"});
  if (!address && !nodes) {
    fail(ErrorCode::kUsage,
         "neither MASTER_ADDR nor SLURM_NODELIST is set: where rank 0 runs is unknown");
  }
  launch.address = address ? *address : first_node(*nodes);
  const auto job = text(environment, "SLURM_JOB_ID");
  const auto step = text(environment, "SLURM_STEP_ID");
  read_port(environment, launch, job ? *job + "." + step.value_or("") : "");
}

}  // namespace

std::optional<Launch> read_launch(const Environment& environment) {
  std::optional<Launch> launch;
  void (*complete)(const Environment&, Launch&) = complete_plain;
  if (!(launch = read_numbers(environment, {"RANK", "WORLD_SIZE"}))) {
    launch = read_numbers(environment, {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"});
    complete = complete_mpi;
  }
  // Only of a step: sbatch sets the numbers of a first task for its script, too.
  if (!launch && text(environment, "SLURM_PROCID") && text(environment, "SLURM_STEP_ID")) {
    const bool of_step = text(environment, "SLURM_STEP_NUM_TASKS").has_value();
    launch = read_numbers(environment,
                          {"SLURM_PROCID", of_step ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS"});
    complete = complete_slurm;
  }
  if (!launch && (launch = read_numbers(environment, {"PMI_RANK", "PMI_SIZE"}))) {
    complete = complete_mpi;
  }
  if (!launch || launch->ranks == 1) return launch;
  complete(environment, *launch);
  if (launch->rank == 0 && text(environment, kListenVariable)) {
    launch->listen_descriptor = static_cast<int>(number(environment, kListenVariable, 3, 1 << 20));
  }
  launch->interface = text(environment, "GLOO_SOCKET_IFNAME").value_or("");
  return launch;
}

}  // namespace tercet::learn
