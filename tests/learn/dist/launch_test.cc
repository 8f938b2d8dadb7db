// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/launch.h"

#include <gtest/gtest.h>

#include <map>

#include "core/error.h"

namespace tercet::learn {
namespace {

using Variables = std::map<std::string, std::string>;

std::optional<Launch> launch_of(const Variables& variables) {
  return read_launch([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(Launch, NothingSaysNothing) {
  EXPECT_FALSE(launch_of({}));
  EXPECT_FALSE(launch_of({{"MASTER_ADDR", "a"}, {"MASTER_PORT", "1"}}));
  // A shell inside a Slurm allocation.
  EXPECT_FALSE(launch_of({{"SLURM_NTASKS", "4"}, {"SLURM_JOB_NODELIST", "a,b"}}));
  // A script that sbatch runs.
  EXPECT_FALSE(launch_of({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_NODELIST", "a"}}));
}

TEST(Launch, Torchrun) {
  Variables variables = {
      {"RANK", "3"}, {"WORLD_SIZE", "4"}, {"MASTER_ADDR", "node7"}, {"MASTER_PORT", "29511"}};
  auto launch = launch_of(variables);
  ASSERT_TRUE(launch);
  EXPECT_EQ(launch->rank, 3);
  EXPECT_EQ(launch->ranks, 4);
  EXPECT_EQ(launch->address, "node7");
  EXPECT_EQ(launch->port, 29511);
  variables["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  EXPECT_EQ(launch_of(variables)->port, 29512);
  variables.erase("TORCHELASTIC_USE_AGENT_STORE");
  variables.erase("MASTER_PORT");
  EXPECT_EQ(launch_of(variables)->port, 29500);
  // Whatever else started it from outside.
  variables.insert({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "9"}});
  EXPECT_EQ(launch_of(variables)->ranks, 4);
}

TEST(Launch, OneRankNeedsNoAddress) {
  const auto launch = launch_of({{"RANK", "0"}, {"WORLD_SIZE", "1"}});
  ASSERT_TRUE(launch);
  EXPECT_EQ(launch->ranks, 1);
}

TEST(Launch, Mpirun) {
  Variables variables = {{"OMPI_COMM_WORLD_RANK", "1"},
                         {"OMPI_COMM_WORLD_SIZE", "2"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                         {"OMPI_MCA_ess_base_jobid", "1234"}};
  const auto launch = launch_of(variables);
  ASSERT_TRUE(launch);
  EXPECT_EQ(launch->rank, 1);
  EXPECT_EQ(launch->address, "127.0.0.1");
  variables["OMPI_MCA_ess_base_jobid"] = "1235";
  EXPECT_NE(launch_of(variables)->port, launch->port);
  variables["MASTER_PORT"] = "31000";
  EXPECT_EQ(launch_of(variables)->port, 31000);
  variables["OMPI_COMM_WORLD_LOCAL_SIZE"] = "1";
  EXPECT_THROW(launch_of(variables), Error);
  variables["MASTER_ADDR"] = "first";
  EXPECT_EQ(launch_of(variables)->address, "first");
}

TEST(Launch, MpirunOfMpich) {
  Variables variables = {{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALNRANKS", "2"}};
  const auto launch = launch_of(variables);
  ASSERT_TRUE(launch);
  EXPECT_EQ(launch->rank, 1);
  EXPECT_EQ(launch->ranks, 2);
  EXPECT_EQ(launch->address, "127.0.0.1");
  variables["MPI_LOCALNRANKS"] = "1";
  EXPECT_THROW(launch_of(variables), Error);
}

TEST(Launch, Slurm) {
  Variables variables = {
      {"SLURM_PROCID", "2"}, {"SLURM_NTASKS", "8"}, {"SLURM_JOB_ID", "77"}, {"SLURM_STEP_ID", "0"}};
  EXPECT_THROW(launch_of(variables), Error);
  const std::map<std::string, std::string> first = {
      {"alpha", "alpha"},     {"alpha,beta", "alpha"},     {"node[03-05,7],x1", "node03"},
      {"node[3,7]", "node3"}, {"r[1-2]n[08-09]", "r1n08"}, {"gpu[12]", "gpu12"}};
  for (const auto& [list, node] : first) {
    variables["SLURM_NODELIST"] = list;
    EXPECT_EQ(launch_of(variables)->address, node) << list;
  }
  EXPECT_EQ(launch_of(variables)->ranks, 8);
  // A step of some of the allocation's tasks, on some of its nodes.
  variables["SLURM_STEP_NUM_TASKS"] = "4";
  EXPECT_EQ(launch_of(variables)->ranks, 4);
  variables["SLURM_STEP_NODELIST"] = "beta";
  EXPECT_EQ(launch_of(variables)->address, "beta");
  const uint16_t port = launch_of(variables)->port;
  EXPECT_GE(port, 20000);
  variables["SLURM_PROCID"] = "3";
  EXPECT_EQ(launch_of(variables)->port, port);
  variables["SLURM_JOB_ID"] = "78";
  EXPECT_NE(launch_of(variables)->port, port);
}

TEST(Launch, ImpossibleSettingsAreRefusedByName) {
  const Variables good = {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}};
  const std::vector<std::pair<Variables, std::string>> cases = {
      {{{"RANK", "2"}}, "ranks count from 0 to 1"},
      {{{"RANK", "-1"}}, "RANK is '-1'"},
      {{{"RANK", "1x"}}, "RANK is '1x'"},
      {{{"WORLD_SIZE", "0"}}, "WORLD_SIZE is '0'"},
      {{{"WORLD_SIZE", "99999"}}, "WORLD_SIZE"},
      {{{"RANK", ""}}, "RANK is not set"},
      {{{"WORLD_SIZE", ""}}, "WORLD_SIZE is not set"},
      {{{"MASTER_ADDR", ""}}, "MASTER_ADDR"},
      {{{"MASTER_PORT", "70000"}}, "MASTER_PORT is '70000'"},
      {{{kListenVariable, "one"}}, kListenVariable},
  };
  for (const auto& [changes, word] : cases) {
    Variables variables = good;
    for (const auto& [name, value] : changes) variables[name] = value;
    try {
      launch_of(variables);
      FAIL() << word;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace tercet::learn
