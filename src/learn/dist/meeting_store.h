// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "learn/dist/member.h"

namespace tercet::learn {

// The coordinator's store as c10d's backends want it: where their ranks exchange addresses. The
// member must outlive it. It waits as long as the run lives: a rank may be busy for hours, and the
// coordinator ends the run when one is lost.
class MeetingStore : public c10d::Store {
 public:
  explicit MeetingStore(Member& member) : c10d::Store(kPatience), member_(&member) {}

  void set(const std::string& key, const std::vector<uint8_t>& value) override;
  std::vector<uint8_t> compareSet(const std::string& key, const std::vector<uint8_t>& expected,
                                  const std::vector<uint8_t>& desired) override;
  // Waits until there is a value.
  std::vector<uint8_t> get(const std::string& key) override;
  int64_t add(const std::string& key, int64_t value) override;
  bool deleteKey(const std::string& key) override;
  bool check(const std::vector<std::string>& keys) override;
  int64_t getNumKeys() override;
  void wait(const std::vector<std::string>& keys) override;
  void wait(const std::vector<std::string>& keys,
            const std::chrono::milliseconds& timeout) override;
  // Virtual in newer libtorch only.
  c10::intrusive_ptr<c10d::Store> clone();

  static constexpr std::chrono::milliseconds kPatience = std::chrono::hours(24 * 20);

 private:
  Member* member_;
};

}  // namespace tercet::learn
