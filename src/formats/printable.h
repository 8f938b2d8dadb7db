// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace tercet {

// Text from a file, made fit for a one-line error message: at most 80 bytes ("..." marks the cut),
// bytes that are not printable ASCII as '?'.
inline std::string printable(std::string_view text) {
  constexpr size_t kLimit = 80;
  std::string out(text.substr(0, kLimit));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7E) c = '?';
  }
  if (text.size() > kLimit) out += "...";
  return out;
}

}  // namespace tercet
