// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

#include "kernels/kernel_table.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace tercet::cli {

// The options that every command which runs a model has: MODEL, -t, --kv-type, --force, --json.
struct ModelArguments {
  std::string model;
  int threads = 0;     // 0: one per physical core
  bool force = false;  // also when memory seems short
  bool json = false;

  KvType kv_type = KvType::kF16;

  void add_to(CLI::App& command);
  int thread_count() const;
};

// --kv-type: in what keys and values are kept.
void add_kv_type(CLI::App& command, KvType& type);

// Loads the MODEL argument: a GGUF file or an HF directory. An empty one is a usage error that
// names the model that comes with Tercet, where there is one. Unless `force`, kUnsupported when the
// memory there is holds neither its weights nor, with them, a context of `context` tokens.
Model load_model(const std::string& argument, bool force = false, int64_t context = 0,
                 KvType kv_type = KvType::kF16);

// The path of a file in models/, which comes with the sources. Throws kIo when it is not there.
std::filesystem::path bundled_model(const std::string& file);

// The model's tokenizer; kUnsupported with the reason when it has none.
const Tokenizer& tokenizer_of(const Model& model);

// The best kernels for this CPU, or those that the environment variable TERCET_ISA names.
const KernelTable& chosen_kernels();

}  // namespace tercet::cli
