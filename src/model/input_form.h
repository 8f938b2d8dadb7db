// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "formats/model_config.h"
#include "kernels/kernel_table.h"

namespace tercet {

// What a map with int8 activations makes of its input before the product (BitnetVariants).
struct InputForm {
  int bits = 8;          // 4: to [-8, 7] by the mean magnitude
  int64_t groups = 1;    // of columns, each with a scale (and shift) of its own
  int64_t hadamard = 0;  // elements of a transform; 0: none
  int64_t kept = 0;      // inputs that are not zeroed; 0: all
  bool shifted = false;  // minus the smallest of a group

  bool changes_input() const { return hadamard > 0 || kept > 0 || shifted; }
};

// That of the low-bit map with that name in GGUF files and so many columns.
InputForm input_form(const ModelConfig& config, std::string_view gguf_name, int64_t cols);

// The memory of a batch of rounded inputs.
struct RoundedInputs {
  float* changed = nullptr;  // [tokens, cols], if changes_input(); may be the inputs themselves
  int8_t* q = nullptr;       // [tokens, cols]
  float* scales = nullptr;   // [tokens, groups], what each group was multiplied by
  float* shifts = nullptr;   // [tokens, groups], if shifted: what was subtracted first
};
// Rounds one token of x: [tokens, cols].
void round_input(const InputForm& form, const float* x, int64_t cols, int64_t token,
                 const KernelTable& kernels, const RoundedInputs& to);

}  // namespace tercet
