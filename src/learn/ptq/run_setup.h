// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>

#include "formats/hf_model.h"
#include "learn/ptq/options.h"

namespace tercet::learn {

// The model to quantize. Throws kUsage for a GGUF file, kUnsupported for a model that is ternary
// already or of a kind that is not computed here.
HfModel open_source(const std::filesystem::path& path);

// Decides what the options leave open and what follows from the model's shape alone, and sets the
// threads of this process; sharing: ranks on the same cores. Throws kUsage for options that
// contradict each other or the model.
void settle(PtqOptions& options, const ModelConfig& config, int64_t sharing);

// --max-memory, or half of what the machine can give.
uint64_t memory_limit(const PtqOptions& options);

}  // namespace tercet::learn
