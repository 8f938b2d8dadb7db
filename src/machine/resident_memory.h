// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace tercet {

// Bytes of memory that this process holds now, pages of mapped files that it has read included.
uint64_t resident_bytes();

}  // namespace tercet
