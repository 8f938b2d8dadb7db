// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel_table.h"

namespace tercet {

// Multiplies a small random panel of every format with a tile of every width and compares with sums
// written out, so that a CPU, an emulator or a compiler that gets an instruction wrong shows before
// it speaks. Takes well under a millisecond on any instruction set but the scalar one. Throws
// kInternal naming the table and the kernel.
void check_kernels(const KernelTable& kernels);

}  // namespace tercet
