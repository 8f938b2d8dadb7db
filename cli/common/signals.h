// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>

namespace tercet::cli {

// After this the first Ctrl-C (or SIGTERM) only sets the flag below, so that a command can end
// cleanly with its state saved; the second one kills the process. A reader that has gone away
// (SIGPIPE) ends the process without a word, as it does other Unix filters.
void install_signal_handlers();

// What the first signal says at once on stderr where stopping takes a while; a literal.
void announce_stop(const char* notice);

// Set once the user asked to stop. Commands hand it to the library, which polls it.
const std::atomic<bool>& stop_requested();

// From here on Ctrl-C only sets the flag, however often, until it is taken: for commands that go on
// after it. SIGTERM, which also sets the flag, means the end: termination_requested().
void survive_interrupts();
bool termination_requested();
// Whether the flag was set; clears it.
bool take_stop_request();

// read() that a signal always ends, also one that came before it or that another thread handled:
// -1 with errno EINTR while the flag is set.
ssize_t read_until_stopped(int descriptor, void* buffer, size_t size);

// Throws kInterrupted when the flag is set.
void throw_if_stopped();

}  // namespace tercet::cli
