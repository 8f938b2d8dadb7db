// SPDX-License-Identifier: Apache-2.0
#include "cli/synthetic_options.h"

namespace tercet::cli {

void SyntheticArguments::add_to(CLI::App& command) {
  command
      .add_option(
          "--type", type,
          "Type of the linear maps: trit5, trit4, sign8, tq1_0, tq2_0, i2_s, q1_0, q2_0, q8_0, "
          "f16, bf16, f32")
      ->capture_default_str();
  command
      .add_option("--rest-type", rest_type,
                  "Type of embedding and head: auto (f16), f32, f16, bf16, q8_0, q6_k")
      ->capture_default_str();
  command.add_option("--seed", seed, "Of the random weights")->capture_default_str();
}

ConvertOptions SyntheticArguments::convert_options() const {
  ConvertOptions options;
  options.linear_type = parse_stored_type(type);
  if (rest_type != "auto") options.rest_type = parse_stored_type(rest_type);
  return options;
}

SyntheticSource SyntheticArguments::source(const SyntheticShape& shape) const {
  const StoredType linear = parse_stored_type(type);
  const bool binary = linear == StoredType::kQ1_0 || linear == StoredType::kSign8;
  return SyntheticSource(shape, {.seed = seed, .binary = binary});
}

}  // namespace tercet::cli
