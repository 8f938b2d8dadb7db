// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/loops/loops.inl.h"

namespace tercet::learn {

extern const LoopTable kLoopsAvx512;
const LoopTable kLoopsAvx512 = make_loop_table("avx512");

}  // namespace tercet::learn
