// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tercet::learn {

// A TCP socket, closed with the object. Move-only.
class Socket {
 public:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  ~Socket();
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int get() const { return descriptor_; }
  // The number of this end's address, without the port: "127.0.0.1".
  std::string local_address() const;
  uint16_t local_port() const;

 private:
  int descriptor_;
};

// Listens on the one address that `host` names, which must be this machine's, or on all of them
// when that is a name for a loopback address here; port 0: any that is free. Throws kIo naming
// both.
Socket listen_on(const std::string& host, uint16_t port);

// One attempt; the socket does not block. Nothing, and why in `reason`, when nobody listens there
// (yet) or the name is not known.
std::optional<Socket> connect_to(const std::string& host, uint16_t port, std::string& reason);

}  // namespace tercet::learn
