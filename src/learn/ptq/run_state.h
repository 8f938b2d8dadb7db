// SPDX-License-Identifier: Apache-2.0
// What an output directory says of the run that makes it: quantize.json.
#pragma once

#include <filesystem>
#include <string>

#include "formats/json.h"
#include "learn/ptq/options.h"

namespace tercet::learn {

inline constexpr const char* kStateFile = "quantize.json";
// Its fields that every run has.
inline constexpr const char* kStatus = "status";
inline constexpr const char* kFingerprint = "fingerprint";
inline constexpr const char* kOptions = "options";
// What kStatus may be: blocks are being made; the model is there; it is also measured and packed.
inline constexpr const char* kRunning = "running";
inline constexpr const char* kQuantized = "quantized";
inline constexpr const char* kComplete = "complete";

// Throws kIo, and kBadInput for what no run has written.
Json read_state(const std::filesystem::path& path);
bool holds_model(const Json& state);

// Throws kUsage where options.out is no place for the run: in the source, full of other things, or
// with --resume of another run, whose difference is named.
void check_target(const PtqOptions& options, const std::string& fingerprint);

// A file that a killed process was about to write: NAME.PID.tmp, of a name that runs write.
bool is_temporary(const std::filesystem::directory_entry& entry);

}  // namespace tercet::learn
