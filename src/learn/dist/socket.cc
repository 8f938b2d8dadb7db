// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "core/error.h"

namespace tercet::learn {
namespace {

constexpr int kConnectMilliseconds = 2000;

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

// What a name or number stands for; nothing, and why in `reason`, when it cannot be looked up.
Addresses addresses_of(const std::string& host, uint16_t port, std::string& reason) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) reason = ::gai_strerror(error);
  return {error == 0 ? found : nullptr, &::freeaddrinfo};
}

sockaddr_storage name_of(int descriptor) {
  sockaddr_storage name = {};
  socklen_t size = sizeof(name);
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&name), &size) != 0) {
    const int number = errno;
    fail(ErrorCode::kIo, "cannot read a socket's address: {}", errno_text(number));
  }
  return name;
}

bool is_loopback(const addrinfo& address) {
  if (address.ai_family == AF_INET6) {
    return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(address.ai_addr)->sin6_addr);
  }
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(address.ai_addr);
  return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
}

bool means_this_machine_only(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

// All of this machine's addresses in the place of one.
void widen(addrinfo& address) {
  if (address.ai_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address.ai_addr)->sin6_addr = in6addr_any;
  } else {
    reinterpret_cast<sockaddr_in*>(address.ai_addr)->sin_addr.s_addr = htonl(INADDR_ANY);
  }
}

// connect() that gives up early: a machine that drops packets would hold it for minutes.
bool connected(int descriptor, const addrinfo& address, std::string& reason) {
  int error = ::connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd waiting = {.fd = descriptor, .events = POLLOUT, .revents = 0};
    error = ETIMEDOUT;
    if (::poll(&waiting, 1, kConnectMilliseconds) > 0) {
      socklen_t size = sizeof(error);
      ::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
    }
  }
  if (error != 0) reason = errno_text(error);
  return error == 0;
}

}  // namespace

Socket::~Socket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Socket::Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

std::string Socket::local_address() const {
  const sockaddr_storage name = name_of(descriptor_);
  std::array<char, INET6_ADDRSTRLEN> text = {};
  const void* number =
      name.ss_family == AF_INET6
          ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(&name)->sin6_addr)
          : &reinterpret_cast<const sockaddr_in*>(&name)->sin_addr;
  ::inet_ntop(name.ss_family, number, text.data(), text.size());
  return text.data();
}

uint16_t Socket::local_port() const {
  const sockaddr_storage name = name_of(descriptor_);
  return ntohs(name.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&name)->sin6_port
                                          : reinterpret_cast<const sockaddr_in*>(&name)->sin_port);
}

Socket listen_on(const std::string& host, uint16_t port) {
  std::string reason = "it has no address";
  const Addresses found = addresses_of(host, port, reason);
  for (addrinfo* a = found.get(); a != nullptr; a = a->ai_next) {
    // Debian's /etc/hosts calls a machine's own name 127.0.1.1, where no other machine gets.
    if (is_loopback(*a) && !means_this_machine_only(host)) widen(*a);
    Socket socket(::socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol));
    // A run that is started again must not wait until the system forgets the one before.
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (::bind(socket.get(), a->ai_addr, a->ai_addrlen) == 0 &&
        ::listen(socket.get(), SOMAXCONN) == 0) {
      return socket;
    }
    reason = errno_text(errno);
  }
  fail(ErrorCode::kIo,
       "rank 0 cannot listen on {}:{}: {}; MASTER_ADDR must name rank 0's own machine, and "
       "MASTER_PORT a port that is free there",
       host, port, reason);
}

std::optional<Socket> connect_to(const std::string& host, uint16_t port, std::string& reason) {
  const Addresses found = addresses_of(host, port, reason);
  for (const addrinfo* a = found.get(); a != nullptr; a = a->ai_next) {
    Socket socket(
        ::socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol));
    if (!connected(socket.get(), *a, reason)) continue;
    // On one machine, a port without a listener can be connected with itself.
    if (socket.local_port() == port) continue;
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return socket;
  }
  return std::nullopt;
}

}  // namespace tercet::learn
