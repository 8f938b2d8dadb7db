// SPDX-License-Identifier: Apache-2.0
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <torch/version.h>

#include <fstream>
#include <memory>
#include <string>

#include "cli/common/output.h"
#include "cli/learn/commands.h"
#include "learn/nn/loops/loop_table.h"
#include "learn/pretrain/evaluate.h"

namespace tercet::cli {
namespace {

// Whether a library of that name is loaded into this process.
bool is_loaded(const std::string& name) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(name) != std::string::npos) return true;
  }
  return false;
}

void doctor(bool json) {
  const Json report = {{"libtorch", TORCH_VERSION},
                       {"cuda", at::hasCUDA()},
                       {"openblas", is_loaded("libopenblas")},
                       {"onednn", at::globalContext().hasMKLDNN()},
                       {"threads", at::get_num_threads()},
                       {"loops", learn::loops().name},
                       {"gemm_f32_gflops", learn::measured_gemm_gflops(at::kFloat, at::kCPU)},
                       {"gemm_bf16_gflops", learn::measured_gemm_gflops(at::kBFloat16, at::kCPU)}};
  if (json) return print_json(report);
  for (const auto& [key, value] : report.items()) print_text("{:<18} {}\n", key, value.dump());
}

}  // namespace

void add_learn_doctor(CLI::App& app) {
  CLI::App* command = app.add_subcommand("doctor", "What libtorch finds on this machine");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "Print one JSON document on stdout and nothing else there");
  command->callback([json] { doctor(*json); });
}

}  // namespace tercet::cli
