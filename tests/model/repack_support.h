// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/rng.h"
#include "core/thread_pool.h"
#include "model/convert.h"
#include "model/test_models.h"
#include "model/verify.h"
#include "temporary_directory.h"

namespace tercet::test {

namespace fs = std::filesystem;

// A form that a ternary model can have; hf: the packed form of an HF directory.
struct Form {
  std::string name;
  std::optional<StoredType> type;
};

inline const std::vector<Form> kForms = {
    {"tq1_0", StoredType::kTq1_0}, {"tq2_0", StoredType::kTq2_0}, {"i2_s", StoredType::kI2S},
    {"q1_0", StoredType::kQ1_0},   {"q2_0", StoredType::kQ2_0},   {"trit4", StoredType::kTrit4},
    {"trit5", StoredType::kTrit5}, {"hf", std::nullopt},
};

// Converts models from form to form in a directory of its own.
class RepackTest : public ::testing::Test {
 protected:
  // Latent weights; `draw` gives each value.
  fs::path make_hf(const ModelConfig& config, const std::string& name,
                   const std::function<float(Rng&)>& draw) {
    FloatWeights weights = random_weights(config, 21);
    Rng rng(3);
    for (const TensorSpec& spec : tensor_specs(config)) {
      if (!spec.low_bit) continue;
      for (float& value : weights.at(spec.hf_name)) value = draw(rng);
    }
    write_hf_model(directory_ / name, config, weights);
    return directory_ / name;
  }

  ConvertReport to(const fs::path& source, const fs::path& target, const Form& form,
                   bool allow_rounding = false) {
    ConvertOptions options;
    options.linear_type = form.type;
    options.rest_type = StoredType::kF32;
    options.to_hf = options.packed = !form.type;
    options.allow_rounding = allow_rounding;
    return convert(source, target, options, {}, nullptr);
  }

  fs::path path(const std::string& name, const Form& form) const {
    return directory_ / (form.type ? name + ".gguf" : name);
  }

  VerifyReport compare(const fs::path& a, const fs::path& b) {
    return verify(a, b, select_kernels(""), pool_);
  }

  void expect_refused(ErrorCode code, const std::string& text, const std::function<void()>& run) {
    try {
      run();
      ADD_FAILURE() << "no error; expected one with: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  }

  testing::TemporaryDirectory directory_;
  ThreadPool pool_{2};
};

}  // namespace tercet::test
