// SPDX-License-Identifier: Apache-2.0
#include "model/input_form.h"

#include <algorithm>

#include "kernels/top_k.h"

namespace tercet {
namespace {

bool is_map(std::string_view gguf_name, std::string_view map) {
  return gguf_name.ends_with(map) && gguf_name.starts_with("blk.");
}

// x minus the smallest of each group, in place.
void shift_groups(const InputForm& form, int64_t width, float* x, float* shifts) {
  for (int64_t group = 0; group < form.groups; ++group, x += width) {
    const float smallest = *std::min_element(x, x + width);
    for (int64_t i = 0; i < width; ++i) x[i] -= smallest;
    shifts[group] = smallest;
  }
}

}  // namespace

InputForm input_form(const ModelConfig& config, std::string_view gguf_name, int64_t cols) {
  const BitnetVariants& variants = config.variants;
  const bool is_o = is_map(gguf_name, ".attn_output.weight");
  const bool is_late = is_o || is_map(gguf_name, ".ffn_down.weight");
  const bool is_gate = is_map(gguf_name, ".ffn_gate.weight") || is_map(gguf_name, ".ffn_up.weight");
  InputForm form;
  form.groups = variants.quant_groups;
  form.bits = variants.activation_bits == 4 && (!is_late || variants.hadamard) ? 4 : 8;
  if (is_late && variants.hadamard) form.hadamard = hadamard_block(cols);
  if (is_o && variants.o_proj_top_k < 1.0f) form.kept = kept_inputs(variants.o_proj_top_k, cols);
  form.shifted = is_gate && variants.shifted_gate_input;
  return form;
}

void round_input(const InputForm& form, const float* x, int64_t cols, int64_t token,
                 const KernelTable& kernels, const RoundedInputs& to) {
  const int64_t width = cols / form.groups;
  const float* input = x + token * cols;
  if (form.changes_input()) {
    float* changed = to.changed + token * cols;
    if (changed != input) std::copy(input, input + cols, changed);
    if (form.hadamard > 0) kernels.hadamard(changed, cols, form.hadamard);
    if (form.kept > 0) keep_largest({changed, static_cast<size_t>(cols)}, form.kept);
    if (form.shifted) shift_groups(form, width, changed, to.shifts + token * form.groups);
    input = changed;
  }
  const auto quantize = form.bits == 4 ? kernels.quantize_absmean_i4 : kernels.quantize_absmax_i8;
  for (int64_t group = 0; group < form.groups; ++group) {
    const int64_t first = group * width;
    to.scales[token * form.groups + group] =
        quantize(input + first, width, to.q + token * cols + first);
  }
}

}  // namespace tercet
