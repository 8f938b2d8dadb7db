// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace tercet {

// "0.1.0" or, built from a clone, "0.1.0+<revision>", with "-dirty" behind when it had changes.
// Results are stamped with it.
std::string version();

// The compiler, build type and sanitizers, e.g. "GCC 12.2.0, Release".
std::string build_description();

}  // namespace tercet
