// SPDX-License-Identifier: Apache-2.0
// Ranks as threads of one process, on loopback.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <future>
#include <optional>
#include <thread>

#include "core/error.h"
#include "learn/dist/coordinator.h"
#include "learn/dist/member.h"

namespace tercet::learn {
namespace {

using namespace std::chrono_literals;

Patience quick() {
  Patience patience;
  patience.join = 20s;
  patience.beat = 50ms;
  patience.silent_beats = 60;  // a busy machine is not a silent one
  return patience;
}

// What a member's handler was told.
struct Told {
  std::promise<std::pair<ErrorCode, std::string>> promise;
  std::future<std::pair<ErrorCode, std::string>> future = promise.get_future();
  OverHandler handler() {
    return [this](ErrorCode code, const std::string& text) { promise.set_value({code, text}); };
  }
};

// A coordinator for `ranks`, and launches that lead there.
struct Meeting {
  explicit Meeting(int64_t count, const Patience& patience = quick()) : ranks(count) {
    Socket listener = listen_on("127.0.0.1", 0);
    port = listener.local_port();
    coordinator.emplace(std::move(listener), count, patience);
  }
  Launch launch(int64_t rank) const { return {rank, ranks, "127.0.0.1", port, -1, ""}; }
  std::future<std::unique_ptr<Member>> join(int64_t rank, Told& told) {
    return join(launch(rank), told);
  }
  static std::future<std::unique_ptr<Member>> join(const Launch& launch, Told& told) {
    return std::async(std::launch::async, [launch, &told] {
      return std::make_unique<Member>(launch, quick(), told.handler(), nullptr);
    });
  }

  int64_t ranks;
  uint16_t port = 0;
  std::optional<Coordinator> coordinator;
};

std::string error_of(std::future<std::unique_ptr<Member>> joining) {
  try {
    joining.get();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// The next message that arrives, read byte by byte so that none after it is lost.
Message next_from(const Socket& socket) {
  MessageReader reader;
  while (true) {
    if (auto message = reader.next()) return *message;
    char byte = 0;
    if (pollfd waiting = {.fd = socket.get(), .events = POLLIN, .revents = 0};
        ::poll(&waiting, 1, 5000) <= 0 || ::recv(socket.get(), &byte, 1, 0) <= 0) {
      throw std::runtime_error("the coordinator is silent");
    }
    reader.append({&byte, 1});
  }
}

TEST(Meeting, RanksMeetCountAndLeave) {
  Meeting meeting(3);
  Told told[3];
  auto second = meeting.join(1, told[1]);
  auto first = meeting.join(0, told[0]);
  EXPECT_EQ(second.wait_for(100ms), std::future_status::timeout);  // one is missing
  auto third = meeting.join(2, told[2]);
  const auto a = first.get(), b = second.get(), c = third.get();
  EXPECT_EQ(a->local_rank(), 0);
  EXPECT_EQ(c->local_rank(), 2);
  EXPECT_EQ(b->sharing(), 3);
  EXPECT_EQ(b->local_address(), "127.0.0.1");
  a->request({"set", "k", "v"});
  EXPECT_EQ(c->request({"get", "k"}), std::vector<std::string>{"v"});
  // Ranks that leave in good order are no loss, in whatever order.
  std::this_thread::sleep_for(quick().beat * 3);
  EXPECT_EQ(told[0].future.wait_for(0s), std::future_status::timeout);
}

TEST(Meeting, ALostRankIsToldToAll) {
  Meeting meeting(3);
  Told told[3];
  auto first = meeting.join(0, told[0]), second = meeting.join(1, told[1]);
  // Rank 2 by hand: it joins and vanishes.
  std::string reason;
  std::optional<Socket> third = connect_to("127.0.0.1", meeting.port, reason);
  ASSERT_TRUE(third) << reason;
  const std::string hello =
      encode({MessageKind::kHello, {"1", "2", "3", "elsewhere", "4711", "machine", "0,"}});
  ASSERT_EQ(::send(third->get(), hello.data(), hello.size(), 0),
            static_cast<ssize_t>(hello.size()));
  const auto a = first.get(), b = second.get();
  EXPECT_EQ(a->sharing(), 2);  // not with a rank on another machine
  third.reset();
  for (int rank = 0; rank < 2; ++rank) {
    ASSERT_EQ(told[rank].future.wait_for(5s), std::future_status::ready);
    const auto [code, text] = told[rank].future.get();
    EXPECT_EQ(code, ErrorCode::kIo);
    EXPECT_EQ(text, "rank 2 (process 4711 on elsewhere) is gone");
  }
  EXPECT_TRUE(a->over_within(1s));
  EXPECT_THROW(a->request({"count"}), Error);
}

TEST(Meeting, ASilentRankIsLost) {
  Patience patience = quick();
  patience.silent_beats = 20;
  Meeting meeting(2, patience);
  Told told;
  auto first = meeting.join(0, told);
  std::string reason;
  const std::optional<Socket> second = connect_to("127.0.0.1", meeting.port, reason);
  const std::string hello = encode({MessageKind::kHello, {"1", "1", "2", "far", "1", "m", "0,"}});
  ASSERT_GT(::send(second->get(), hello.data(), hello.size(), 0), 0);
  const auto member = first.get();
  ASSERT_EQ(told.future.wait_for(5s), std::future_status::ready);
  EXPECT_NE(told.future.get().second.find("rank 1 (process 1 on far) has given no sign of life"),
            std::string::npos);
}

TEST(Meeting, ALostCoordinatorIsSeenByMembers) {
  Socket listener = listen_on("127.0.0.1", 0);
  Told told;
  const Launch launch{1, 2, "127.0.0.1", listener.local_port(), -1, ""};
  auto joining = Meeting::join(launch, told);
  std::optional<Socket> served(::accept(listener.get(), nullptr, nullptr));
  const std::string welcome = encode({MessageKind::kWelcome, {"1", "2", ""}});
  ASSERT_GT(::send(served->get(), welcome.data(), welcome.size(), 0), 0);
  const auto member = joining.get();
  served.reset();
  ASSERT_EQ(told.future.wait_for(5s), std::future_status::ready);
  EXPECT_NE(told.future.get().second.find("rank 0"), std::string::npos);
}

TEST(Meeting, ARanksErrorReachesTheOthers) {
  Meeting meeting(2);
  Told told[2];
  auto first = meeting.join(0, told[0]), second = meeting.join(1, told[1]);
  const auto a = first.get(), b = second.get();
  b->fail_run(ErrorCode::kBadInput, "shard 7 is damaged");
  ASSERT_EQ(told[0].future.wait_for(5s), std::future_status::ready);
  const auto [code, text] = told[0].future.get();
  EXPECT_EQ(code, ErrorCode::kBadInput);
  EXPECT_NE(text.find("rank 1"), std::string::npos);
  EXPECT_NE(text.find("shard 7 is damaged"), std::string::npos);
  EXPECT_EQ(told[1].future.wait_for(100ms), std::future_status::timeout);  // it knows
}

TEST(Meeting, ImpossibleGroupsAreRefused) {
  {
    Meeting meeting(3);
    Told told[4];
    auto one = meeting.join(1, told[0]), other = meeting.join(1, told[1]);
    for (auto* joining : {&one, &other}) {
      const std::string text = error_of(std::move(*joining));
      EXPECT_NE(text.find("two processes call themselves rank 1"), std::string::npos) << text;
    }
    for (const int64_t late : {0, 2}) {
      const std::string text = error_of(meeting.join(late, told[2 + late / 2]));
      EXPECT_NE(text.find("two processes call themselves rank 1"), std::string::npos) << text;
    }
  }
  {
    Meeting meeting(2);
    Told told[2];
    Launch launch = meeting.launch(1);
    launch.ranks = 4;
    auto one = meeting.join(0, told[0]), other = Meeting::join(launch, told[1]);
    for (auto* joining : {&one, &other}) {
      EXPECT_EQ(error_of(std::move(*joining)).find("rank 1 on "), 0u);
    }
  }
  {
    Patience patience = quick();
    patience.join = 3s;
    Meeting meeting(4, patience);
    Told told[2];
    auto one = meeting.join(0, told[0]), other = meeting.join(2, told[1]);
    EXPECT_NE(error_of(std::move(one)).find("missing: 1, 3"), std::string::npos);
    EXPECT_NE(error_of(std::move(other)).find("only 2 of 4 ranks"), std::string::npos);
  }
}

// The first to come may contradict rank 0's launch before rank 0 itself has come.
TEST(Meeting, LateComersHearWhyARunNeverBegan) {
  for (const auto& [second, third] : {std::pair(0, 2), std::pair(2, 0)}) {
    Meeting meeting(3);
    Told told[3];
    Launch wrong = meeting.launch(1);
    wrong.ranks = 4;
    const std::string reason = error_of(Meeting::join(wrong, told[1]));
    EXPECT_EQ(reason.find("rank 1 on "), 0u) << reason;
    EXPECT_EQ(error_of(meeting.join(second, told[second])), reason);
    // Rank 0, where it has heard, ends the coordinator, which still waits for the last.
    auto ending = std::async(std::launch::async, [&] {
      if (second == 0) meeting.coordinator.reset();
    });
    EXPECT_EQ(error_of(meeting.join(third, told[third])), reason);
    EXPECT_EQ(ending.wait_for(4s), std::future_status::ready);
  }
}

TEST(Meeting, ACoordinatorWithoutRankZeroEndsTheRun) {
  Meeting meeting(2);
  std::string reason;
  std::optional<Socket> rank = connect_to("127.0.0.1", meeting.port, reason);
  ASSERT_TRUE(rank) << reason;
  ASSERT_EQ(next_from(*rank).kind, MessageKind::kBeat);  // the coordinator knows of it
  // As when rank 0 is interrupted before it has come.
  auto ending = std::async(std::launch::async, [&] { meeting.coordinator.reset(); });
  Message message = next_from(*rank);
  while (message.kind == MessageKind::kBeat) message = next_from(*rank);
  EXPECT_EQ(message.kind, MessageKind::kOver);
  EXPECT_EQ(text_field(message, 1), "rank 0 left before the run began");
  rank.reset();
  EXPECT_EQ(ending.wait_for(4s), std::future_status::ready);  // less than its last patience
}

TEST(Meeting, StrangersAndLateComersDoNotDisturb) {
  Meeting meeting(2);
  std::string reason;
  std::optional<Socket> stranger = connect_to("127.0.0.1", meeting.port, reason);
  ASSERT_GT(::send(stranger->get(), "GET / HTTP/1.1\r\n\r\n", 18, 0), 0);
  const std::optional<Socket> mute = connect_to("127.0.0.1", meeting.port, reason);
  Told told[3];
  auto first = meeting.join(0, told[0]), second = meeting.join(1, told[1]);
  const auto a = first.get(), b = second.get();
  EXPECT_NE(error_of(meeting.join(1, told[2])).find("already has all its ranks"),
            std::string::npos);
  stranger.reset();
  EXPECT_EQ(told[0].future.wait_for(quick().beat * 4), std::future_status::timeout);
  EXPECT_EQ(b->request({"count"}), std::vector<std::string>{"0"});
}

TEST(Meeting, WaitingCanBeInterrupted) {
  Meeting meeting(2);
  std::atomic<bool> stop = false;
  auto joining = std::async(std::launch::async, [&] {
    return std::make_unique<Member>(meeting.launch(0), quick(), nullptr, &stop);
  });
  EXPECT_EQ(joining.wait_for(100ms), std::future_status::timeout);
  stop = true;
  EXPECT_EQ(error_of(std::move(joining)), "interrupted");
}

// A name that only this machine takes for itself must not keep other machines out.
TEST(Meeting, ANameForALoopbackAddressMeansAllAddresses) {
  EXPECT_EQ(listen_on("127.0.0.1", 0).local_address(), "127.0.0.1");
  const std::string local = listen_on("localhost", 0).local_address();
  EXPECT_TRUE(local == "127.0.0.1" || local == "::1") << local;
  try {
    EXPECT_EQ(listen_on("ip6-loopback", 0).local_address(), "::");
  } catch (const Error&) {
    GTEST_SKIP() << "/etc/hosts has no such name";
  }
}

TEST(Meeting, NobodyThere) {
  Patience patience = quick();
  patience.join = 300ms;
  const uint16_t port = listen_on("127.0.0.1", 0).local_port();
  const Launch launch{1, 2, "127.0.0.1", port, -1, ""};
  try {
    Member member(launch, patience, nullptr, nullptr);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_NE(std::string(error.what()).find("MASTER_ADDR"), std::string::npos);
  }
  const Socket taken = listen_on("127.0.0.1", 0);
  EXPECT_THROW(listen_on("127.0.0.1", taken.local_port()), Error);
}

}  // namespace
}  // namespace tercet::learn
