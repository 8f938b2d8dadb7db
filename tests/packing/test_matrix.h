// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "core/error.h"
#include "core/rng.h"
#include "packing/ternary.h"

namespace tercet::packing {

// A ternary matrix with seeded codes and distinct scales.
inline TernaryMatrix make_matrix(int64_t rows, int64_t cols, ScaleScope scope = ScaleScope::kTensor,
                                 int64_t group_size = 0) {
  TernaryMatrix matrix;
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.scope = scope;
  matrix.group_size = group_size;
  Rng rng(static_cast<uint64_t>(rows * 1000 + cols));
  for (int64_t i = 0; i < rows * cols; ++i) {
    matrix.codes.push_back(static_cast<int8_t>(static_cast<int>(rng.below(3)) - 1));
  }
  int64_t scales = 1;
  if (scope == ScaleScope::kRow) scales = rows;
  if (scope == ScaleScope::kGroup) scales = rows * ((cols + group_size - 1) / group_size);
  for (int64_t i = 0; i < scales; ++i) {
    matrix.scales.push_back(0.5f + static_cast<float>(i) / 7.0f);
  }
  return matrix;
}

inline void expect_equal(const TernaryMatrix& a, const TernaryMatrix& b) {
  EXPECT_EQ(a.rows, b.rows);
  EXPECT_EQ(a.cols, b.cols);
  EXPECT_EQ(a.scope, b.scope);
  EXPECT_EQ(a.group_size, b.group_size);
  EXPECT_EQ(a.codes, b.codes);
  EXPECT_EQ(a.scales, b.scales);
}

// Runs `action`, which must throw Error{code} whose one line contains `part`.
inline void expect_error(ErrorCode code, const std::string& part,
                         const std::function<void()>& action) {
  try {
    action();
    ADD_FAILURE() << "no error, expected one with '" << part << "'";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
  }
}

}  // namespace tercet::packing
