// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "formats/model_config.h"
#include "temporary_directory.h"

namespace tercet::testing {

// Plain, without the flush to disk that write_text_file makes: damage tests write thousands.
inline void write_bytes(const std::filesystem::path& path, std::string_view bytes) {
  FILE* file = std::fopen(path.c_str(), "wb");
  ASSERT_NE(file, nullptr);
  ASSERT_EQ(std::fwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
  ASSERT_EQ(std::fclose(file), 0);
}

inline std::string read_bytes(const std::filesystem::path& path) {
  return read_text_file(path, uint64_t{1} << 32);
}

template <typename T>
void append(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

inline std::span<const uint8_t> as_bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)};
}

// The code and message of the Error that `action` throws; nothing when it throws none.
template <typename Action>
std::optional<Error> error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

// Expects an Error with `code` whose one-line message contains `text`.
template <typename Action>
void expect_error(ErrorCode code, const std::string& text, Action action) {
  const auto error = error_of(action);
  ASSERT_TRUE(error.has_value()) << "no error; expected one with: " << text;
  EXPECT_EQ(error->code(), code) << error->what();
  const std::string message = error->what();
  EXPECT_NE(message.find(text), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

// Expects that `part` is a piece of `whole`.
inline void expect_inside(std::span<const uint8_t> part, std::span<const uint8_t> whole) {
  ASSERT_LE(part.size(), whole.size());
  if (part.empty()) return;
  EXPECT_GE(part.data(), whole.data());
  EXPECT_LE(part.data() + part.size(), whole.data() + whole.size());
}

// A small valid configuration with no two sizes alike.
inline ModelConfig small_config() {
  ModelConfig config;
  config.vocab_size = 23;
  config.hidden_size = 12;
  config.intermediate_size = 20;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 6;
  config.num_key_value_heads = 3;
  config.head_dim = 2;
  config.max_position_embeddings = 64;
  config.bos_token_id = 1;
  config.eos_token_ids = {2};
  return config;
}

}  // namespace tercet::testing
