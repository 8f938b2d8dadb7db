// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace tercet::cli {

// Bytes per second that `threads` threads read from memory together: the best of a few passes over
// a buffer larger than common caches, about a quarter of a second in all. The upper bound of
// generation speed is this over the model's bytes.
double measure_memory_read_speed(int threads);

}  // namespace tercet::cli
