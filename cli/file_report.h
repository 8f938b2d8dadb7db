// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "formats/json.h"
#include "model/weight_source.h"

namespace tercet::cli {

// What a path is to someone who wants to run it, whatever it is:
//   path, kind     "model" | "tokenizer" | "weights" | "settings" | "other"
//   what           a clause: "a GGUF file of architecture llama", "an HTML page"
//   can_run        whether `tercet run` takes it; with the memory that is free now
//   reason         why not, or what to do; empty when it can run
//   memory         of models: weight_bytes, kv_bytes_per_token, available_bytes, and for each of
//                  the contexts 2048 and the model's own: context, bytes, fits, sentence
// Throws kIo when `path` cannot be read, and for nothing else.
Json report_file(const std::filesystem::path& path);

// The member `memory` above.
Json report_memory(const WeightSource& source);

// The lines of such a report, on stdout.
void print_file_report(const Json& report);

}  // namespace tercet::cli
