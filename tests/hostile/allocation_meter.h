// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace tercet::hostile {

// Counts what operator new gives out, in the whole program that allocation_meter.cc is linked into.
// One at a time, on one thread.
class AllocationMeter {
 public:
  AllocationMeter();
  // The most bytes that were held at once since construction, beyond those held then.
  size_t peak() const;
};

// What parsing a file may hold at once. Files that are lists of the smallest possible items (empty
// strings, one-byte numbers, empty JSON lists) grow most: their items become objects.
constexpr size_t allowed_bytes(size_t file_bytes) { return 64 * file_bytes + (size_t{8} << 20); }

}  // namespace tercet::hostile
