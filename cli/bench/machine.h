// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/kernel_table.h"

namespace tercet::cli {

// Measures and prints what the machine can do at most: how fast memory is read and how many int8
// multiply-adds the dot product of `kernels`' instruction set does, with each number of threads
// (one per physical core if none are given).
void bench_machine(const KernelTable& kernels, std::vector<int> threads, bool json);

}  // namespace tercet::cli
