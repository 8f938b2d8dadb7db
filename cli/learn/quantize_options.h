// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "learn/ptq/options.h"
#include "learn/ptq/plan_hardware.h"

namespace tercet::cli {

// As given; what is not given follows from the method.
struct QuantizeArguments {
  const CLI::App* command = nullptr;  // that knows what was given
  learn::PtqOptions options;
  std::string method = "pt-bitnet";
  std::string group_size;
  std::string activations = "int8";
  std::string shrinkage;
  std::optional<double> cross_term;
  std::string token_weights;
  double equalization = 0;
  std::optional<int> flip_rounds;
  bool feedback = false;
  bool no_feedback = false;
  std::optional<double> held_out;
  bool no_training = false;
  std::optional<int> block_steps;
  std::optional<int> sweeps;
  std::optional<int> tune_steps;
  std::string block_loss = "auto";
  std::string precision = "bf16";
  int grid_points = 20;
  bool no_hessian = false;
  std::string gguf_type = "auto";
  std::string head_type;
  std::string embedding_type;
  std::optional<int64_t> ranks;
  bool dry_run = false;
  learn::PlanHardware hardware;  // of the plan; what is 0 is measured here
  bool plans_elsewhere = false;  // any of it is given
  bool json = false;
};

// Adds every option of the command; what the user gives lands in `arguments`.
void add_quantize_options(CLI::App& command, const std::shared_ptr<QuantizeArguments>& arguments);

// Why no GGUF file follows the directory; empty when one does.
std::string why_no_gguf(const QuantizeArguments& arguments);

// The run that they ask for. Throws kUsage for what does not go together.
learn::PtqOptions options_of(const QuantizeArguments& arguments);

}  // namespace tercet::cli
