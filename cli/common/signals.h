// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

namespace tercet::cli {

// After this the first Ctrl-C (or SIGTERM) only sets the flag below, so that a command can end
// cleanly with its state saved; the second one kills the process. A reader that has gone away
// (SIGPIPE) ends the process without a word, as it does other Unix filters.
void install_signal_handlers();

// Set once the user asked to stop. Commands hand it to the library, which polls it.
const std::atomic<bool>& stop_requested();

// From here on Ctrl-C only sets the flag, however often, until it is taken: for commands that go on
// after it. SIGTERM, which also sets the flag, means the end: termination_requested().
void survive_interrupts();
bool termination_requested();
// Whether the flag was set; clears it.
bool take_stop_request();

// Throws kInterrupted when the flag is set.
void throw_if_stopped();

}  // namespace tercet::cli
