// SPDX-License-Identifier: Apache-2.0
// What travels between the ranks that quantize one model. Every rank makes the same calls; with one
// rank they do nothing.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "learn/dist/team.h"
#include "learn/ptq/activation_store.h"
#include "learn/ptq/layer_quantizer.h"
#include "learn/ptq/moments.h"

namespace tercet::learn {

// The number of ranks on the machine that has the most.
int64_t most_on_one_machine(Team team);

// The sum of the ranks' moments, the same bits on all. A rank without windows has none.
void sum_moments(Team team, Moments& moments);

// Those of the windows `drawn` for a step that this rank works on; every store lends it what it
// does not hold.
std::vector<size_t> take_windows(Team team, const std::vector<int64_t>& rows,
                                 const std::vector<size_t>& drawn,
                                 const std::vector<ActivationStore*>& stores);

// The sum of the ranks' gradients of `parameters`, the same bits on all. A rank that worked on
// nothing has none.
void sum_gradients(Team team, const std::vector<at::Tensor>& parameters);

// Rank 0's tensors (f32) by name, on all ranks.
void share_tensors(Team team, std::map<std::string, at::Tensor>& tensors);

// quantize_layer() with the map's rows divided among the ranks, where the method looks at each row
// alone; otherwise every rank quantizes all. The result is the same bits on all ranks.
LayerResult quantize_layer_shared(Team team, const at::Tensor& weight, Moments fit,
                                  const Moments& held_out, const LayerOptions& options,
                                  const std::string& name);

}  // namespace tercet::learn
