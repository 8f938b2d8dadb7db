// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/runtime_kernels.h"

namespace tercet::learn {

const KernelTable& runtime_kernels() {
  static const KernelTable& table = select_kernels("");
  return table;
}

}  // namespace tercet::learn
