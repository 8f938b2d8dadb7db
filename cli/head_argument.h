// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "model/model.h"
#include "model/packed_head.h"

namespace tercet::cli {

// --head: how the output head is multiplied.
struct HeadArgument {
  std::string text = "auto";

  // `usual` is what happens without the option: "auto" or "stored".
  void add_to(CLI::App& command, const char* usual = "auto");
  // "auto" stands for what suits generating with this model best. Throws kUsage for other words
  // than the names of precisions.
  HeadPrecision precision(const Model& model) const;
};

}  // namespace tercet::cli
