// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/loops/loops.inl.h"

namespace tercet::learn {

extern const LoopTable kLoopsAvx2;
const LoopTable kLoopsAvx2 = make_loop_table("avx2");

}  // namespace tercet::learn
