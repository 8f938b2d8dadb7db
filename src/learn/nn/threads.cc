// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/threads.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>

namespace tercet::learn {

void set_compute_threads(int threads) {
  at::set_num_threads(threads);
  // libtorch's own setting does not reach an OpenBLAS that has threads of its own.
  using Setter = void (*)(int);
  void* symbol = ::dlsym(RTLD_DEFAULT, "openblas_set_num_threads");
  if (symbol != nullptr) reinterpret_cast<Setter>(symbol)(threads);
}

}  // namespace tercet::learn
