// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace tercet::jinja {

// What a template may use. Templates come with model files, which strangers write: exceeding any of
// these is an error that names it. The defaults are far above what real chat templates need.
struct Limits {
  size_t max_template_bytes = size_t{1} << 20;
  size_t max_nodes = 200'000;  // of the syntax tree
  int max_nesting = 100;       // brackets, blocks, operators and values inside each other
  int max_depth = 400;         // evaluations inside each other, macros calling macros included
  uint64_t max_steps = 20'000'000;
  size_t max_output_bytes = size_t{64} << 20;
  size_t max_memory_bytes = size_t{256} << 20;  // everything ever made, freed or not
  size_t max_collection_items = 1'000'000;      // of one list or mapping
  size_t max_range_items = 100'000;
};

}  // namespace tercet::jinja
