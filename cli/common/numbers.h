// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace tercet::cli {

// For people; --json has the plain numbers.
std::string format_bytes(uint64_t bytes);    // "512 B", "1.5 KiB", "23.0 GiB"
std::string format_count(uint64_t count);    // "950", "1.2 K", "3.45 M", "2.41 B"
std::string format_seconds(double seconds);  // "850 ms", "12.3 s", "4:05", "1:02:03"

}  // namespace tercet::cli
