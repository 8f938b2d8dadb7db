// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/loops/loops.inl.h"

namespace tercet::learn {

extern const LoopTable kLoopsBaseline;
const LoopTable kLoopsBaseline = make_loop_table("baseline");

}  // namespace tercet::learn
