// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/member.h"

#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <utility>

namespace tercet::learn {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kRetry(100);
constexpr int kFarewellBeats = 3;

std::string host_name() {
  std::array<char, 256> name = {};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

// Containers of one machine have the boot id in common, but names of their own.
std::string machine_id() {
  std::string id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  return id + " " + host_name();
}

// The cores that this process may use, as text to compare.
std::string core_mask() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return "";
  std::string mask;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) mask += fmt::format("{},", cpu);
  }
  return mask;
}

Message hello(const Launch& launch) {
  return {MessageKind::kHello,
          {number_field(kProtocol), number_field(launch.rank), number_field(launch.ranks),
           host_name(), number_field(::getpid()), machine_id(), core_mask()}};
}

void check_stop(const std::atomic<bool>* stop) {
  if (stop != nullptr && *stop) fail(ErrorCode::kInterrupted, "interrupted");
}

}  // namespace

Member::Member(const Launch& launch, const Patience& patience, OverHandler on_over,
               const std::atomic<bool>* stop)
    : patience_(patience), on_over_(std::move(on_over)), socket_(connect(launch, stop)) {
  send(hello(launch));
  thread_ = std::thread([this] { listen(); });
  try {
    wait_for_welcome(stop);
  } catch (const Error& error) {
    fail_run(error.code(), error.what());
    thread_.join();
    throw;
  }
}

Member::~Member() {
  leave({MessageKind::kBye, {}});
  thread_.join();
}

Socket Member::connect(const Launch& launch, const std::atomic<bool>* stop) const {
  const Clock::time_point deadline = Clock::now() + patience_.join;
  std::string reason = "nobody listens there";
  while (Clock::now() < deadline) {
    check_stop(stop);
    if (auto socket = connect_to(launch.address, launch.port, reason)) return std::move(*socket);
    std::this_thread::sleep_for(kRetry);
  }
  fail(ErrorCode::kUsage,
       "rank {} cannot reach rank 0 at {}:{} ({}): MASTER_ADDR must name rank 0's machine, and "
       "MASTER_PORT a port that other machines reach",
       launch.rank, launch.address, launch.port, reason);
}

void Member::wait_for_welcome(const std::atomic<bool>* stop) {
  std::unique_lock lock(mutex_);
  while (!welcome_ && !over_) {
    changed_.wait_for(lock, kRetry);
    check_stop(stop);
  }
  if (over_) throw Error(over_->code, over_->message);
}

void Member::listen() {
  Clock::time_point next_beat = Clock::now() + patience_.beat;
  while (!closed_) {
    const auto wait = std::chrono::duration_cast<milliseconds>(next_beat - Clock::now());
    pollfd source = {.fd = socket_.get(), .events = POLLIN, .revents = 0};
    const int64_t least = 1;
    if (::poll(&source, 1, static_cast<int>(std::max(wait.count(), least))) > 0) receive();
    if (Clock::now() < next_beat) continue;
    // One beat, however late; see Coordinator::check_time().
    next_beat = Clock::now() + patience_.beat;
    beat();
  }
}

void Member::beat() {
  if (leaving_) {
    if (++silent_ > kFarewellBeats) closed_ = true;
    return;
  }
  send({MessageKind::kBeat, {}});
  if (++silent_ > patience_.silent_beats) {
    end({ErrorCode::kIo, "rank 0 has given no sign of life for some time"});
  }
}

void Member::receive() {
  std::array<char, 65536> block;
  const ssize_t count = ::recv(socket_.get(), block.data(), block.size(), 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) return end({ErrorCode::kIo, "rank 0 is gone"});
  silent_ = 0;
  try {
    reader_.append({block.data(), static_cast<size_t>(count)});
    while (auto message = reader_.next()) handle(std::move(*message));
  } catch (const Error& error) {
    end({ErrorCode::kIo,
         fmt::format("what rank 0's address says makes no sense: {}", error.what())});
  }
}

void Member::handle(Message message) {
  if (message.kind == MessageKind::kOver) {
    return end({static_cast<ErrorCode>(parse_number_field(message, 0)), text_field(message, 1)});
  }
  const std::lock_guard lock(mutex_);
  if (message.kind == MessageKind::kWelcome) {
    local_rank_ = parse_number_field(message, 0);
    sharing_ = parse_number_field(message, 1);
    seen_address_ = text_field(message, 2);
    welcome_ = true;
  } else if (message.kind == MessageKind::kReply) {
    reply_ = std::move(message.fields);
  }
  changed_.notify_all();
}

void Member::end(Over over) {
  closed_ = true;
  bool tell = false;
  {
    const std::lock_guard lock(mutex_);
    if (over_ || leaving_) return;
    over_ = over;
    tell = welcome_ && on_over_;
  }
  changed_.notify_all();
  if (tell) on_over_(over.code, over.message);
  const std::lock_guard lock(mutex_);
  told_ = true;
  changed_.notify_all();
}

void Member::send(const Message& message) {
  const std::string bytes = encode(message);
  const std::lock_guard lock(send_mutex_);
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count =
        ::send(socket_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count >= 0) {
      sent += static_cast<size_t>(count);
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return;  // reading tells why
    pollfd full = {.fd = socket_.get(), .events = POLLOUT, .revents = 0};
    // What is begun must be finished, or nothing after it can be read; but not for ever.
    const milliseconds wait = sent == 0 ? patience_.beat : patience_.beat * patience_.silent_beats;
    if (::poll(&full, 1, static_cast<int>(wait.count())) == 0) return;
  }
}

std::vector<std::string> Member::request(std::vector<std::string> fields) {
  const std::lock_guard one_at_a_time(request_mutex_);
  {
    const std::lock_guard lock(mutex_);
    reply_.reset();
  }
  send({MessageKind::kRequest, std::move(fields)});
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return reply_ || over_ || leaving_; });
  if (!reply_) fail(ErrorCode::kIo, "{}", over_ ? over_->message : "the run is over");
  return std::move(*reply_);
}

void Member::fail_run(ErrorCode code, const std::string& message) {
  leave({MessageKind::kFailed, {number_field(static_cast<int64_t>(code)), message}});
}

bool Member::over_within(milliseconds time) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [&] { return told_; });
}

void Member::leave(const Message& last) {
  {
    // Before the message: it is not told what it says itself.
    const std::lock_guard lock(mutex_);
    if (leaving_) return;
    leaving_ = true;  // what the coordinator answers is no news
  }
  send(last);
  // The coordinator reads to the end and closes, which the thread waits for: closing with something
  // unread could take back what was sent.
  ::shutdown(socket_.get(), SHUT_WR);
  changed_.notify_all();
}

}  // namespace tercet::learn
