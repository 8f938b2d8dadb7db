// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "learn/dist/coordinator.h"
#include "learn/dist/launch.h"
#include "learn/dist/message.h"
#include "learn/dist/socket.h"

namespace tercet::learn {

// Told on a thread of its own that the run is over because of another rank: lost, or failed with
// this error. The work under way may hang for ever, so it should end the process.
using OverHandler = std::function<void(ErrorCode code, const std::string& message)>;

// A rank's connection to the coordinator. All functions may be called from several threads.
class Member {
 public:
  // Joins; returns when all ranks are there. Throws what the coordinator objects to, kUsage when
  // nobody listens at the launch's address in time, kInterrupted when *stop becomes true.
  Member(const Launch& launch, const Patience& patience, OverHandler on_over,
         const std::atomic<bool>* stop);
  // Takes its leave.
  ~Member();
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  int64_t local_rank() const { return local_rank_; }  // among the ranks on this machine
  int64_t sharing() const { return sharing_; }        // ranks that may run on the same cores
  // Of this machine, as the others can reach it.
  std::string local_address() const {
    return seen_address_.empty() ? socket_.local_address() : seen_address_;
  }

  // One operation of KeyValues. Throws kIo when the run is over.
  std::vector<std::string> request(std::vector<std::string> fields);
  // Tells the others that this rank cannot go on, and leaves.
  void fail_run(ErrorCode code, const std::string& message);
  // Whether the run ended (and the handler was called) within `time`.
  bool over_within(std::chrono::milliseconds time);

 private:
  struct Over {
    ErrorCode code;
    std::string message;
  };

  Socket connect(const Launch& launch, const std::atomic<bool>* stop) const;
  void wait_for_welcome(const std::atomic<bool>* stop);
  void listen();
  void beat();
  void receive();
  void handle(Message message);
  void end(Over over);
  void send(const Message& message);
  void leave(const Message& last);

  Patience patience_;
  OverHandler on_over_;
  Socket socket_;
  MessageReader reader_;  // the thread's
  int silent_ = 0;        // the thread's: beats since the coordinator's last sign of life
  bool closed_ = false;   // the thread's: nothing more is to come
  std::mutex request_mutex_;
  std::mutex send_mutex_;
  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  bool welcome_ = false;
  std::atomic<bool> leaving_ = false;
  bool told_ = false;  // the handler was called
  std::optional<Over> over_;
  std::optional<std::vector<std::string>> reply_;
  int64_t local_rank_ = 0;
  int64_t sharing_ = 1;
  std::string seen_address_;  // of rank 0, when it met itself at a loopback address
  std::thread thread_;        // last: it uses all of the above
};

}  // namespace tercet::learn
