// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "core/thread_pool.h"

namespace tercet {

// A loop of an instruction set's dot products of unsigned with signed bytes and nothing else, all
// operands in registers: what no kernel for that set can pass.
struct DotLoop {
  const char* instruction;  // "vpdpbusd zmm"
  int64_t macs_per_step;
  void (*run)(int64_t steps, uint32_t* sink);  // sink: what the sums are added to, modulo 2^32
};

// That of the kernel table `isa`; nullptr when there is none.
const DotLoop* find_dot_loop(std::string_view isa);

// Multiply-adds of int8 per second of all threads of the pool together, the best of a few runs that
// take some 20 ms in all. The CPU must have the instructions.
double measure_dot_peak(const DotLoop& loop, ThreadPool& pool);

}  // namespace tercet
