// SPDX-License-Identifier: Apache-2.0
// Runs a target on every file of its corpus, so that targets and corpus stay sound in builds by any
// compiler, and holds each run against the memory that a file of its size may cost.
//
// usage: TARGET FOLDER
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "core/file.h"
#include "fuzz/target.h"
#include "hostile/allocation_meter.h"

namespace tercet::fuzz {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Whether the target stayed within its memory.
bool replay(const fs::path& path) {
  // An exact copy on the heap, so that a sanitizer sees a read behind its end.
  const std::string text = read_text_file(path, uint64_t{1} << 30);
  const std::vector<uint8_t> input(text.begin(), text.end());
  const hostile::AllocationMeter meter;
  LLVMFuzzerTestOneInput(input.data(), input.size());
  const size_t peak = meter.peak();
  if (peak <= hostile::allowed_bytes(input.size())) return true;
  fmt::print(stderr, "{}: {} bytes of input cost {} bytes of memory\n", path.string(), input.size(),
             peak);
  return false;
}

int replay_all(const fs::path& folder) {
  const std::vector<fs::path> files = files_of(folder);
  if (files.empty()) {
    fmt::print(stderr, "{}: no inputs\n", folder.string());
    return 1;
  }
  const auto failures = std::count_if(files.begin(), files.end(), [](const fs::path& file) {
    fmt::print("{}\n", file.filename().string());  // the last one is the culprit of a crash
    std::fflush(stdout);
    return !replay(file);
  });
  fmt::print("{} inputs, {} too hungry\n", files.size(), failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tercet::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: {} FOLDER\n", argv[0]);
    return 2;
  }
  return tercet::fuzz::replay_all(argv[1]);
}
