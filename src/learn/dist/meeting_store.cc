// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/meeting_store.h"

#include <string_view>
#include <thread>

namespace tercet::learn {
namespace {

// Between two looks for a key that another rank is to set.
constexpr std::chrono::milliseconds kLook(5);

std::string text(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }
std::vector<uint8_t> bytes(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace

void MeetingStore::set(const std::string& key, const std::vector<uint8_t>& value) {
  member_->request({"set", key, text(value)});
}

std::vector<uint8_t> MeetingStore::compareSet(const std::string& key,
                                              const std::vector<uint8_t>& expected,
                                              const std::vector<uint8_t>& desired) {
  return bytes(member_->request({"compare_set", key, text(expected), text(desired)}).at(0));
}

std::vector<uint8_t> MeetingStore::get(const std::string& key) {
  wait({key});
  return bytes(member_->request({"get", key}).at(0));
}

int64_t MeetingStore::add(const std::string& key, int64_t value) {
  return std::stoll(member_->request({"add", key, number_field(value)}).at(0));
}

bool MeetingStore::deleteKey(const std::string& key) {
  return member_->request({"delete", key}).at(0) == "1";
}

bool MeetingStore::check(const std::vector<std::string>& keys) {
  std::vector<std::string> fields{"check"};
  fields.insert(fields.end(), keys.begin(), keys.end());
  return member_->request(std::move(fields)).at(0) == "1";
}

int64_t MeetingStore::getNumKeys() { return std::stoll(member_->request({"count"}).at(0)); }

void MeetingStore::wait(const std::vector<std::string>& keys) { wait(keys, timeout_); }

void MeetingStore::wait(const std::vector<std::string>& keys,
                        const std::chrono::milliseconds& timeout) {
  // By asking again: a request that waits would hold up those of other threads.
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!check(keys)) {
    if (timeout != kNoTimeout && std::chrono::steady_clock::now() > deadline) {
      TORCH_CHECK(false, "the other ranks did not set ", keys.front(), " in time");
    }
    std::this_thread::sleep_for(kLook);
  }
}

c10::intrusive_ptr<c10d::Store> MeetingStore::clone() {
  return c10::make_intrusive<MeetingStore>(*member_);
}

}  // namespace tercet::learn
