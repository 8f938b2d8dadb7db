// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace tercet::learn {

// From here on the memory of large CPU tensors is kept when they go and given to the next of about
// that size, on large pages. A training step asks for the same sizes again and again; from malloc
// half of them would be fresh pages that the system has to clear. Process-wide; call once, before
// tensors are made.
void keep_tensor_memory();

}  // namespace tercet::learn
