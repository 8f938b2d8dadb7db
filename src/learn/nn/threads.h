// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace tercet::learn {

// Threads for all products of this process, libtorch's and OpenBLAS's.
void set_compute_threads(int threads);

}  // namespace tercet::learn
