// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/loops/loop_table.h"

namespace tercet::learn {

extern const LoopTable kLoopsBaseline;
#ifdef TERCET_LOOPS_AVX2
extern const LoopTable kLoopsAvx2;
#endif
#ifdef TERCET_LOOPS_AVX512
extern const LoopTable kLoopsAvx512;
#endif

const LoopTable& loops() {
#ifdef TERCET_LOOPS_AVX512
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    return kLoopsAvx512;
  }
#endif
#ifdef TERCET_LOOPS_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return kLoopsAvx2;
#endif
  return kLoopsBaseline;
}

}  // namespace tercet::learn
