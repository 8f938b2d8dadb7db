// SPDX-License-Identifier: Apache-2.0
#include "model/convert_plan.h"

#include "core/error.h"
#include "model/gguf_model.h"
#include "model/ternary_blocks.h"

namespace tercet {
namespace {

constexpr int64_t kQ8Block = 32;

bool is_linear_map(const TensorSpec& spec) {
  return spec.rows > 0 && spec.gguf_name.starts_with("blk.");
}

bool is_block_type(StoredType type) { return is_ternary(type) && !is_own(type); }

// llama.cpp's blocks need whole blocks in a row, and carry one scale per tensor.
bool fits_blocks(const WeightSource& source, const TensorSpec& spec) {
  return spec.cols % kTernaryBlock == 0 &&
         source.scale_reach(spec).scope == packing::ScaleScope::kTensor;
}

StoredType auto_linear_type(const WeightSource& source, const std::vector<TensorSpec>& specs) {
  if (source.config().linear == LinearKind::kDense) return StoredType::kF16;
  for (const TensorSpec& spec : specs) {
    if (spec.low_bit && !fits_blocks(source, spec)) return StoredType::kTrit5;
  }
  return StoredType::kTq2_0;
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

void check_blocks(const WeightSource& source, const PlannedTensor& tensor) {
  const TensorSpec& spec = tensor.spec;
  if (fits_blocks(source, spec)) return;
  const std::string type = upper(to_string(tensor.type));
  if (spec.cols % kTernaryBlock != 0) {
    fail(ErrorCode::kUsage,
         "{} needs rows of a multiple of {}, '{}' has {} columns; use --type trit5", type,
         kTernaryBlock, spec.gguf_name, spec.cols);
  }
  fail(ErrorCode::kUsage,
       "{} is written with one scale per tensor, '{}' has one per row or group; use --type trit5",
       type, spec.gguf_name);
}

void check_q8(const PlannedTensor& tensor) {
  if (tensor.spec.cols % kQ8Block == 0) return;
  fail(ErrorCode::kUsage, "Q8_0 needs rows of a multiple of {}, '{}' has {} columns; use {} f16",
       kQ8Block, tensor.spec.gguf_name, tensor.spec.cols,
       tensor.is_linear ? "--type" : "--rest-type");
}

void check_fit(const WeightSource& source, const PlannedTensor& tensor) {
  if (tensor.spec.rows == 0) return;
  if (is_block_type(tensor.type)) check_blocks(source, tensor);
  if (tensor.type == StoredType::kQ8_0) check_q8(tensor);
}

// Heads whose rows lie in another order in the target, for q and k; 0 for all other tensors.
int64_t permuted_heads(const WeightSource& source, const std::string& architecture,
                       const std::string& gguf_name) {
  if (source.rope_order() == rope_order_of(architecture)) return 0;
  const auto is_of = [&](const std::string& map) {
    return gguf_name.ends_with(map + ".weight") || gguf_name.ends_with(map + ".bias");
  };
  if (is_of(".attn_q")) return source.config().num_attention_heads;
  if (is_of(".attn_k")) return source.config().num_key_value_heads;
  return 0;
}

StoredType choose_rest_type(const ConvertOptions& options, StoredType linear) {
  const StoredType type =
      options.rest_type.value_or(is_ternary(linear) ? StoredType::kF16 : linear);
  if (is_ternary(type)) {
    fail(ErrorCode::kUsage, "{} cannot hold embedding and head; use f32, f16, bf16 or q8_0",
         to_string(type));
  }
  return type;
}

void refuse_rounding(const WeightSource& source, StoredType linear) {
  if (!is_ternary(linear) || source.config().linear != LinearKind::kDense) return;
  fail(ErrorCode::kUsage,
       "'{}' is a dense model, which plain rounding to {} would destroy; make it ternary with "
       "tercet pretrain, or use --type f16",
       source.path().string(), to_string(linear));
}

}  // namespace

ConvertPlan plan_conversion(const WeightSource& source, const ConvertOptions& options) {
  const std::vector<TensorSpec> specs = tensor_specs(source.config());
  ConvertPlan plan;
  plan.linear_type = options.linear_type ? *options.linear_type : auto_linear_type(source, specs);
  refuse_rounding(source, plan.linear_type);
  plan.rest_type = choose_rest_type(options, plan.linear_type);

  // Multiplied out, the weights no longer call for int8 activations.
  plan.config = source.config();
  if (!is_ternary(plan.linear_type)) plan.config.linear = LinearKind::kDense;
  plan.architecture = gguf_architecture(plan.config, plan.linear_type);

  for (const TensorSpec& spec : specs) {
    PlannedTensor tensor;
    tensor.spec = spec;
    tensor.is_linear = is_linear_map(spec);
    tensor.permuted_heads = permuted_heads(source, plan.architecture, spec.gguf_name);
    tensor.rotary_dim = source.config().rotary_dimensions();
    tensor.to_adjacent = rope_order_of(plan.architecture) == RopeOrder::kAdjacent;
    if (spec.rows > 0) tensor.type = tensor.is_linear ? plan.linear_type : plan.rest_type;
    check_fit(source, tensor);
    plan.tensors.push_back(std::move(tensor));
  }
  return plan;
}

}  // namespace tercet
