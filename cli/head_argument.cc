// SPDX-License-Identifier: Apache-2.0
#include "cli/head_argument.h"

namespace tercet::cli {

void HeadArgument::add_to(CLI::App& command, const char* usual) {
  text = usual;
  command
      .add_option("--head", text,
                  "Output head: stored as it is in the file, int8, int6 or int4 (rounded, a scale "
                  "per row); auto: int8 for large ones")
      ->capture_default_str();
}

HeadPrecision HeadArgument::precision(const Model& model) const {
  return text == "auto" ? fast_head_precision(model.weights().head) : parse_head_precision(text);
}

}  // namespace tercet::cli
