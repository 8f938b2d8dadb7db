// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/coordinator.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace tercet::learn {
namespace {

// For connections that never say hello.
constexpr size_t kMostStrangers = 64;
// For the last words to reach the ranks when the run is over.
constexpr std::chrono::seconds kFarewell(5);
constexpr const char* kTooLate =
    "the run at this address already has all its ranks, or is over; give each run a MASTER_PORT of "
    "its own";

Message over(ErrorCode code, const std::string& message) {
  return {MessageKind::kOver, {number_field(static_cast<int64_t>(code)), message}};
}

}  // namespace

std::string Coordinator::Peer::name() const {
  return fmt::format("rank {} (process {} on {})", rank, process, host);
}

Coordinator::Coordinator(Socket listener, int64_t ranks, const Patience& patience)
    : listener_(std::move(listener)),
      ranks_(ranks),
      patience_(patience),
      started_(Clock::now()),
      next_beat_(started_ + patience.beat) {
  ::fcntl(listener_.get(), F_SETFL, ::fcntl(listener_.get(), F_GETFL) | O_NONBLOCK);
  thread_ = std::thread([this] { serve(); });
}

Coordinator::~Coordinator() {
  rank_zero_left_ = true;
  thread_.join();
}

void Coordinator::serve() {
  while (!finished()) {
    poll_once();
    peers_.remove_if([](const Peer& peer) { return peer.closed; });
    check_time();
  }
}

bool Coordinator::finished() const {
  if (over_) {
    return (peers_.empty() && !awaits_more_) || Clock::now() > ended_ + kFarewell;
  }
  return joined_ == ranks_ && std::none_of(peers_.begin(), peers_.end(),
                                           [](const Peer& peer) { return peer.rank >= 0; });
}

void Coordinator::poll_once() {
  std::vector<pollfd> sources{{.fd = listener_.get(), .events = POLLIN, .revents = 0}};
  std::vector<Peer*> order;
  for (Peer& peer : peers_) {
    const auto events = static_cast<short>(peer.unsent.empty() ? POLLIN : POLLIN | POLLOUT);
    sources.push_back({.fd = peer.socket.get(), .events = events, .revents = 0});
    order.push_back(&peer);
  }
  const auto wait =
      std::chrono::duration_cast<std::chrono::milliseconds>(next_beat_ - Clock::now());
  const int64_t milliseconds = std::clamp<int64_t>(wait.count() + 1, 1, 1000);
  if (::poll(sources.data(), sources.size(), static_cast<int>(milliseconds)) <= 0) return;
  for (size_t i = 0; i < order.size(); ++i) {
    if (sources[i + 1].revents & POLLOUT) flush(*order[i]);
    if (sources[i + 1].revents & ~POLLOUT) receive(*order[i]);
  }
  if (sources[0].revents != 0) accept_peer();
}

void Coordinator::accept_peer() {
  const int descriptor = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (descriptor < 0) return;
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  Socket socket(descriptor);
  if (peers_.size() < static_cast<size_t>(ranks_) + kMostStrangers) {
    peers_.emplace_back(std::move(socket));
  }
}

void Coordinator::receive(Peer& peer) {
  std::array<char, 65536> block;
  const ssize_t count = ::recv(peer.socket.get(), block.data(), block.size(), 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) return lost(peer, "is gone");
  peer.silent = 0;
  try {
    peer.reader.append({block.data(), static_cast<size_t>(count)});
    while (auto message = peer.reader.next()) handle(peer, *message);
  } catch (const Error& error) {
    lost(peer, fmt::format("cannot be understood: {}", error.what()));
  }
}

void Coordinator::handle(Peer& peer, const Message& message) {
  if (peer.rank < 0 && message.kind != MessageKind::kHello) {
    fail(ErrorCode::kBadInput, "it does not say who it is");
  }
  switch (message.kind) {
    case MessageKind::kHello:
      return admit(peer, message);
    case MessageKind::kRequest:
      return send(peer, {MessageKind::kReply, store_.perform(message)});
    case MessageKind::kFailed:
      peer.leaving = true;
      return end_run(static_cast<ErrorCode>(parse_number_field(message, 0)),
                     fmt::format("{}: {}", peer.name(), text_field(message, 1)));
    case MessageKind::kBye:
      peer.leaving = true;
      if (joined_ < ranks_) {
        end_run(ErrorCode::kIo, fmt::format("{} left before the run began", peer.name()));
      }
      return;
    default:
      return;
  }
}

void Coordinator::admit(Peer& peer, const Message& hello) {
  if (peer.rank >= 0 || hello.fields.size() < 7) fail(ErrorCode::kBadInput, "a second hello");
  peer.host = hello.fields[3];
  peer.process = hello.fields[4];
  peer.machine = hello.fields[5];
  peer.cores = hello.fields[6];
  // A run that goes well is not to be disturbed by what comes to the wrong place.
  if (joined_ == ranks_) return send(peer, over(ErrorCode::kUsage, kTooLate));
  const int64_t rank = parse_number_field(hello, 1);
  // Whoever comes after the end of a run that never began hears why, as those before it did.
  if (rank >= 0 && rank < ranks_) came_.insert(rank);
  if (all_came()) awaits_more_ = false;
  if (over_) return send(peer, *over_);
  const std::string reason = objection(peer, hello);
  peer.rank = rank;
  if (!reason.empty()) return end_run(ErrorCode::kUsage, reason);
  if (++joined_ == ranks_) welcome_all();
}

std::string Coordinator::objection(const Peer& peer, const Message& hello) const {
  const int64_t rank = parse_number_field(hello, 1);
  const int64_t ranks = parse_number_field(hello, 2);
  if (parse_number_field(hello, 0) != kProtocol) {
    return fmt::format("rank {} on {} runs another version of this program", rank, peer.host);
  }
  if (ranks != ranks_ || rank < 0 || rank >= ranks_) {
    return fmt::format("rank {} on {} was started as one of {} ranks, rank 0 as one of {}", rank,
                       peer.host, ranks, ranks_);
  }
  for (const Peer& other : peers_) {
    if (other.rank != rank) continue;
    return fmt::format(
        "two processes call themselves rank {}: process {} on {} and process {} on {}; each needs "
        "a number of its own",
        rank, other.process, other.host, peer.process, peer.host);
  }
  return "";
}

void Coordinator::welcome_all() {
  const auto count = [&](auto&& matches) {
    return number_field(std::count_if(peers_.begin(), peers_.end(), matches));
  };
  for (Peer& peer : peers_) {
    if (peer.rank < 0) continue;
    const std::string before = count([&](const Peer& other) {
      return other.rank >= 0 && other.rank < peer.rank && other.machine == peer.machine;
    });
    const std::string sharing = count([&](const Peer& other) {
      return other.rank >= 0 && other.machine == peer.machine && other.cores == peer.cores;
    });
    send(peer, {MessageKind::kWelcome, {before, sharing, seen_address(peer)}});
  }
}

std::string Coordinator::seen_address(const Peer& peer) const {
  if (peer.rank != 0) return "";
  const auto elsewhere = std::find_if(peers_.begin(), peers_.end(), [&](const Peer& other) {
    return other.rank > 0 && other.host != peer.host;
  });
  return elsewhere == peers_.end() ? "" : elsewhere->socket.local_address();
}

void Coordinator::check_time() {
  const Clock::time_point now = Clock::now();
  if (rank_zero_left_ && joined_ < ranks_) {
    end_run(ErrorCode::kIo, "rank 0 left before the run began");
  }
  if (!over_ && joined_ < ranks_ && now > started_ + patience_.join) {
    end_run(ErrorCode::kUsage,
            fmt::format("only {} of {} ranks have come within {} s; missing: {}", joined_, ranks_,
                        std::chrono::duration_cast<std::chrono::seconds>(patience_.join).count(),
                        missing_ranks()));
  }
  if (now < next_beat_) return;
  // One beat, however late: a process that was stopped must not take that time for silence.
  next_beat_ = now + patience_.beat;
  beat();
}

void Coordinator::beat() {
  for (Peer& peer : peers_) {
    if (++peer.silent > patience_.silent_beats) {
      lost(peer, fmt::format("has given no sign of life for {} s",
                             std::chrono::duration_cast<std::chrono::seconds>(
                                 patience_.beat * patience_.silent_beats)
                                 .count()));
    } else {
      send(peer, {MessageKind::kBeat, {}});
    }
  }
}

void Coordinator::lost(Peer& peer, const std::string& how) {
  peer.closed = true;
  if (over_ || peer.leaving || peer.rank < 0) return;
  end_run(ErrorCode::kIo, fmt::format("{} {}", peer.name(), how));
}

void Coordinator::end_run(ErrorCode code, const std::string& message) {
  if (over_) return;
  over_ = over(code, message);
  ended_ = Clock::now();
  // Others may be on their way, and nobody else could tell them. Who interrupts does not wait.
  awaits_more_ = !all_came() && code != ErrorCode::kInterrupted && !rank_zero_left_ &&
                 ended_ < started_ + patience_.join;
  // Rank 0 last: when it hears of it, it ends this process.
  for (const bool first : {false, true}) {
    for (Peer& peer : peers_) {
      if ((peer.rank == 0) == first) send(peer, *over_);
    }
  }
}

void Coordinator::send(Peer& peer, const Message& message) {
  if (peer.closed) return;
  peer.unsent += encode(message);
  flush(peer);
}

void Coordinator::flush(Peer& peer) {
  const ssize_t count =
      ::send(peer.socket.get(), peer.unsent.data(), peer.unsent.size(), MSG_NOSIGNAL);
  // What cannot be sent is seen again when its end is read.
  if (count > 0) peer.unsent.erase(0, static_cast<size_t>(count));
}

std::string Coordinator::missing_ranks() const {
  std::vector<int64_t> missing;
  for (int64_t rank = 0; rank < ranks_; ++rank) {
    const bool there = std::any_of(peers_.begin(), peers_.end(),
                                   [&](const Peer& peer) { return peer.rank == rank; });
    if (!there) missing.push_back(rank);
  }
  return fmt::format("{}", fmt::join(missing, ", "));
}

}  // namespace tercet::learn
