// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace tercet::learn {

// A part of a network: the same result for the same input whenever it is called in one step.
using Segment = std::function<at::Tensor(const at::Tensor&)>;

// segment(x), of which only x is kept for the backward pass, where the segment runs a second time:
// the same bits and gradients for less memory and a third more work. Both runs record gradients, so
// that what depends on at::GradMode is the same in both. `weights`: everything else in the segment
// that wants a gradient; a tensor that is not among them gets none. What the segment refers to
// must outlive the backward pass.
at::Tensor recomputed(Segment segment, const at::Tensor& x, const std::vector<at::Tensor>& weights);

}  // namespace tercet::learn
