// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "learn/ptq/low_bit_matrix.h"
#include "learn/ptq/moments.h"

namespace tercet::learn {

// Stage 2 of PT-BitNet (methods.md 8.2): minimises (W - A T) h (W - A T)' over single codes, one
// column after the other (the strongest channel first), each code to its best value given the
// others; then the scales are fitted again; `rounds` times at most, or until a round brings less
// than a thousandth. Never makes the error worse. With `held_out`, an error that is to go down as
// well, the matrix of the round where that was lowest is kept and two rounds without a new lowest
// end it. The ranks of `team` have other rows, which end with these; held_out() counts theirs, too.
void flip_codes(LowBitMatrix& matrix, const LayerTarget& target, int rounds,
                const std::function<double(const LowBitMatrix&)>& held_out = {}, Team team = {});

}  // namespace tercet::learn
