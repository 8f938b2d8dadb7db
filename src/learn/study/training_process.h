// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "formats/json.h"

namespace tercet::learn {

// A training in a process of its own, so that its memory is its own and can be measured: started
// with its JSON lines and its errors going to files, which are read as it writes them. It gets a
// SIGTERM, on which it saves, when this process ends in whatever way.
class TrainingProcess {
 public:
  // Runs `program arguments...`; `folder` must exist and holds the two files. Throws kIo.
  TrainingProcess(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                  const std::filesystem::path& folder, const std::string& name);
  // Asks it to stop, waits for it, and removes the files.
  ~TrainingProcess();
  TrainingProcess(const TrainingProcess&) = delete;
  TrainingProcess& operator=(const TrainingProcess&) = delete;

  // The lines that it has written since the last call.
  std::vector<Json> new_events();
  // Its exit status once it has ended; 128 + n when signal n ended it.
  std::optional<int> exit_status();
  // What it said last on its standard error, without "tercet: error: ".
  std::string last_words() const;
  // Lets it save and end; only the first call counts.
  void request_stop();

 private:
  pid_t child_ = -1;
  std::optional<int> status_;
  bool stopping_ = false;
  std::filesystem::path events_file_;
  std::filesystem::path errors_file_;
  std::streamoff read_ = 0;  // bytes of the events file
};

}  // namespace tercet::learn
