// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel_table.h"

namespace tercet::learn {

// The kernels with which the runtime would run a model on this CPU: what training shares with them
// is the same to the bit.
const KernelTable& runtime_kernels();

}  // namespace tercet::learn
