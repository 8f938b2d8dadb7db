// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "learn/dist/key_values.h"
#include "learn/dist/message.h"
#include "learn/dist/socket.h"

namespace tercet::learn {

// How long ranks wait for each other.
struct Patience {
  std::chrono::milliseconds join = std::chrono::minutes(5);  // until all ranks are there
  std::chrono::milliseconds beat = std::chrono::seconds(1);  // between signs of life
  int silent_beats = 20;  // without one, then a rank counts as lost
};

// The meeting point of a run's ranks, a thread in rank 0's process to which every rank, also rank
// 0, holds a connection. It lets the run begin when all are there and none contradicts another,
// keeps their store, and when one fails, ends or falls silent it tells all others, which then end.
class Coordinator {
 public:
  // Serves at `listener` from now on.
  Coordinator(Socket listener, int64_t ranks, const Patience& patience);
  // Ends a run that has not begun, and waits until every rank has taken its leave or was lost; for
  // ranks that have yet to hear why a run never began, some seconds.
  ~Coordinator();
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

 private:
  using Clock = std::chrono::steady_clock;

  // One connection: a rank once it has said hello.
  struct Peer {
    explicit Peer(Socket s) : socket(std::move(s)) {}
    Socket socket;
    MessageReader reader;
    std::string unsent;
    int64_t rank = -1;
    std::string host, process, machine, cores;
    int silent = 0;  // beats since its last sign of life
    bool leaving = false;
    bool closed = false;
    std::string name() const;  // for messages
  };

  void serve();
  bool finished() const;
  bool all_came() const { return came_.size() == static_cast<size_t>(ranks_); }
  void poll_once();
  void accept_peer();
  void receive(Peer& peer);
  void handle(Peer& peer, const Message& message);
  void admit(Peer& peer, const Message& hello);
  // What forbids this rank to join; empty when nothing does.
  std::string objection(const Peer& peer, const Message& hello) const;
  void welcome_all();
  void check_time();
  void beat();
  void lost(Peer& peer, const std::string& how);
  void end_run(ErrorCode code, const std::string& message);
  void send(Peer& peer, const Message& message);
  static void flush(Peer& peer);
  // The address of rank 0's machine at which others came; nothing where it can tell itself.
  std::string seen_address(const Peer& peer) const;
  std::string missing_ranks() const;

  Socket listener_;
  int64_t ranks_;
  Patience patience_;
  std::list<Peer> peers_;
  int64_t joined_ = 0;
  std::optional<Message> over_;               // what all ranks are told when the run has ended
  std::set<int64_t> came_;                    // ranks that have said hello, joined or not
  bool awaits_more_ = false;                  // after a run's end, ranks that have not
  std::atomic<bool> rank_zero_left_ = false;  // its process ends this coordinator
  KeyValues store_;
  Clock::time_point started_;
  Clock::time_point next_beat_;
  Clock::time_point ended_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace tercet::learn
