// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

namespace tercet::cli {

// The words as one would type them into a shell: those with anything but letters, digits and
// "_-./=,:+@%" stand in quotes.
std::string quoted_words(std::span<const std::string> words);

// What this process was started with, for the records of results: "tercet twin --out ...", whatever
// program carries it out.
std::string command_line();

}  // namespace tercet::cli
