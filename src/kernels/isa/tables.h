// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel_table.h"

// The one symbol that the objects of each ISA export (scripts/check_kernel_exports.py holds them to
// it). Only those that TERCET_KERNELS_<ISA> announces are in the program.
namespace tercet {

extern const KernelTable kScalarKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvxVnniKernels;
extern const KernelTable kAvx512Kernels;
extern const KernelTable kAvx512VbmiKernels;
extern const KernelTable kNeonKernels;
extern const KernelTable kNeonI8mmKernels;

}  // namespace tercet
