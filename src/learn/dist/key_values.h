// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "learn/dist/message.h"

namespace tercet::learn {

// The store that the ranks meet in, at the coordinator. Operations, as fields of a request, and
// what they return:
//   set key value -> []              get key -> [value], or [] when there is none
//   add key number -> [sum]          check key... -> ["1"] when all exist, else ["0"]
//   delete key -> ["1"] or ["0"]     count -> [number of keys]
//   compare_set key expected desired -> [value]: sets it when it is as expected, or when it does
//                                                not exist and nothing is expected
class KeyValues {
 public:
  // Throws kBadInput for an unknown operation or one that lacks an argument.
  std::vector<std::string> perform(const Message& request);

 private:
  std::string add(const std::string& key, const Message& request);
  std::string compare_set(const std::string& key, const std::string& expected,
                          const std::string& desired);

  std::map<std::string, std::string> values_;
};

}  // namespace tercet::learn
