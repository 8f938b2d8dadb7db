// SPDX-License-Identifier: Apache-2.0
#include "model/convert_plan.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "model/gguf_model.h"
#include "packing/row_codes.h"

namespace tercet {
namespace {

using packing::ScaleScope;

constexpr int64_t kQ8Block = 32;
constexpr int64_t kQ6Block = 256;
constexpr const char* kEmbedding = "token_embd.weight";
constexpr int64_t kPackedRows = 4;  // of a byte in transformers' packed form

bool is_linear_map(const TensorSpec& spec) {
  return spec.rows > 0 && spec.gguf_name.starts_with("blk.");
}

// A tensor of the source and what it is made of.
struct Part {
  TensorSpec spec;
  bool is_linear = false;
  MatrixForm form;  // of matrices
};

std::vector<Part> survey(const WeightSource& source) {
  std::vector<Part> parts;
  for (const TensorSpec& spec : tensor_specs(source.config())) {
    Part part{spec, is_linear_map(spec), {}};
    if (spec.rows > 0) part.form = source.matrix_form(spec);
    source.release(spec);
    parts.push_back(std::move(part));
  }
  return parts;
}

bool is_ternary_map(const Part& part) { return part.is_linear && is_ternary(part.form.type); }

StoredType auto_linear_type(const WeightSource& source, const std::vector<Part>& parts) {
  if (std::none_of(parts.begin(), parts.end(), is_ternary_map)) return StoredType::kF16;
  const bool fits_tq2 = std::all_of(parts.begin(), parts.end(), [](const Part& part) {
    const bool fits = part.form.reach.scope == ScaleScope::kTensor &&
                      part.spec.cols % packing::block_codes(packing::Layout::kTq2_0) == 0;
    return !is_ternary_map(part) || fits;
  });
  const LinearKind linear = source.config().linear;
  if (linear == LinearKind::kB1 || linear == LinearKind::kOneBit) return StoredType::kSign8;
  return linear == LinearKind::kB158 && fits_tq2 ? StoredType::kTq2_0 : StoredType::kTrit5;
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

std::string reach_text(const ScaleReach& reach) {
  if (reach.scope == ScaleScope::kRow) return "row";
  return fmt::format("{} columns", reach.group_size);
}

void check_one_scale(const std::string& type, const PlannedTensor& tensor) {
  if (tensor.reach.scope == ScaleScope::kTensor) return;
  fail(ErrorCode::kUsage, "{} has one scale per tensor, '{}' has one per {}; use --type trit5",
       type, tensor.spec.gguf_name, reach_text(tensor.reach));
}

void check_columns(const PlannedTensor& tensor, int64_t block, const char* instead) {
  const TensorSpec& spec = tensor.spec;
  if (spec.cols % block == 0) return;
  fail(ErrorCode::kUsage, "{} needs rows of a multiple of {}, '{}' has {} columns; use {} {}",
       upper(to_string(tensor.type)), block, spec.gguf_name, spec.cols,
       tensor.is_linear ? "--type" : "--rest-type", instead);
}

void check_fit(const PlannedTensor& tensor) {
  if (tensor.spec.rows == 0) return;
  if (tensor.type == StoredType::kQ8_0) check_columns(tensor, kQ8Block, "f16");
  if (tensor.type == StoredType::kQ6_K) check_columns(tensor, kQ6Block, "q8_0");
  if (!is_ternary(tensor.type)) return;
  check_columns(tensor, packing::block_codes(layout_of(tensor.type)), "trit5");
  if (tensor.type == StoredType::kI2S) check_one_scale("I2_S", tensor);
}

void check_packed(const Part& part, const PlannedTensor& tensor) {
  if (!is_ternary(part.form.type)) {
    fail(ErrorCode::kUsage,
         "the packed form takes all linear maps, '{}' is {} in the source; use --type f16 or a "
         "GGUF file",
         tensor.spec.gguf_name, to_string(part.form.type));
  }
  check_one_scale("the packed form", tensor);
  if (tensor.spec.rows % kPackedRows == 0) return;
  fail(ErrorCode::kUsage,
       "the packed form holds four rows in a byte, '{}' has {}; use --type f32 or a GGUF file",
       tensor.spec.gguf_name, tensor.spec.rows);
}

// Heads whose rows lie in another order in the target, for q and k; 0 for all other tensors.
int64_t permuted_heads(const WeightSource& source, const std::string& architecture,
                       const std::string& gguf_name) {
  // HF directories, which have no architecture of GGUF, hold rows in half-split order.
  const RopeOrder target =
      architecture.empty() ? RopeOrder::kHalfSplit : rope_order_of(architecture);
  if (source.rope_order() == target) return 0;
  const auto is_of = [&](const std::string& map) {
    return gguf_name.ends_with(map + ".weight") || gguf_name.ends_with(map + ".bias");
  };
  if (is_of(".attn_q")) return source.config().num_attention_heads;
  if (is_of(".attn_k")) return source.config().num_key_value_heads;
  return 0;
}

StoredType choose_rest_type(const ConvertOptions& options, StoredType linear) {
  return options.rest_type.value_or(is_ternary(linear) ? StoredType::kF16 : linear);
}

// Of the embedding; that of the head where it is one matrix with it.
StoredType choose_embedding_type(const WeightSource& source, const ConvertOptions& options,
                                 StoredType rest) {
  const StoredType type = options.embedding_type.value_or(rest);
  if (type == rest || !source.config().tie_word_embeddings) return type;
  fail(ErrorCode::kUsage,
       "embedding and head of '{}' are one matrix, which cannot be both {} and {}; leave out the "
       "type of the embedding",
       source.path().string(), to_string(type), to_string(rest));
}

// The type of a tensor in the target. What is not ternary never becomes so by rounding.
StoredType choose_type(const Part& part, const ConvertPlan& plan, const std::string& source) {
  if (part.spec.rows == 0) return StoredType::kF32;
  const StoredType rest = part.spec.gguf_name == kEmbedding ? plan.embedding_type : plan.rest_type;
  const StoredType wanted = part.is_linear ? plan.linear_type : rest;
  if (!is_ternary(wanted) || is_ternary(part.form.type)) return wanted;
  // A dense map among ternary ones, such as a layer that was left out of quantization.
  if (part.is_linear) return is_float(plan.rest_type) ? plan.rest_type : StoredType::kF16;
  fail(ErrorCode::kUsage,
       "{} cannot hold '{}' of '{}', which is {} there; use --rest-type f32, f16, bf16, q8_0 or "
       "q6_k",
       to_string(wanted), part.spec.gguf_name, source, to_string(part.form.type));
}

void refuse_rounding(const WeightSource& source, const std::vector<Part>& parts,
                     const ConvertPlan& plan) {
  const bool wanted = plan.packed || is_ternary(plan.linear_type);
  if (!wanted || std::any_of(parts.begin(), parts.end(), is_ternary_map)) return;
  fail(ErrorCode::kUsage,
       "'{}' is a dense model, which plain rounding to {} would destroy; make it ternary with "
       "tercet pretrain, or use --type f16",
       source.path().string(), plan.packed ? "packed codes" : to_string(plan.linear_type));
}

// OneBit's vectors and norms have a place in Tercet's GGUF files only, beside codes.
void refuse_without_vectors(const WeightSource& source, const ConvertOptions& options) {
  if (source.config().linear != LinearKind::kOneBit) return;
  if (!options.to_hf && (!options.linear_type || is_own(*options.linear_type))) return;
  fail(ErrorCode::kUsage,
       "'{}' is a OneBit model, whose linear maps have vectors and norms of their own; {} cannot "
       "hold them: write a GGUF file with --type sign8, trit5 or trit4",
       source.path().string(),
       options.to_hf ? "an HF directory"
                     : fmt::format("--type {}", to_string(*options.linear_type)));
}

// What is neither ternary nor read by anybody else would compute something else without them.
void refuse_without_variants(const WeightSource& source, const ConvertOptions& options) {
  const BitnetVariants& variants = source.config().variants;
  if (!variants.any()) return;
  const bool by_group = variants.quant_groups > 1;
  const auto fits = [&](StoredType type) {
    return is_own(type) || (has_scale_tensor(type) && !by_group);
  };
  if (!options.to_hf && (!options.linear_type || fits(*options.linear_type))) return;
  fail(
      ErrorCode::kUsage,
      "the linear maps of '{}' have inputs of variants of BitNet that only Tercet computes; {} "
      "cannot say so: write a GGUF file with --type {}",
      source.path().string(),
      options.to_hf ? "an HF directory" : fmt::format("--type {}", to_string(*options.linear_type)),
      by_group ? "sign8, trit5 or trit4" : "tq2_0, tq1_0, trit5 or trit4");
}

// HF directories hold floats, or packed codes in the linear maps of a b1.58 model.
void choose_hf_types(const WeightSource& source, const ConvertOptions& options,
                     const std::vector<Part>& parts, ConvertPlan& plan) {
  const bool ternary = std::any_of(parts.begin(), parts.end(), is_ternary_map);
  const bool is_b158 = source.config().linear == LinearKind::kB158;
  plan.packed = options.packed || (!options.linear_type && ternary && is_b158);
  if (plan.packed && ternary && !is_b158) {
    fail(ErrorCode::kUsage,
         "the packed form is that of BitNet b1.58 models, the linear maps of '{}' are {}; use "
         "--type f16",
         source.path().string(), to_string(source.config().linear));
  }
  plan.linear_type = options.linear_type.value_or(StoredType::kF16);
  plan.rest_type = options.rest_type.value_or(plan.linear_type);
  plan.embedding_type = choose_embedding_type(source, options, plan.rest_type);
  for (const StoredType type : {plan.linear_type, plan.rest_type, plan.embedding_type}) {
    if (is_float(type)) continue;
    fail(ErrorCode::kUsage, "an HF directory cannot hold {}; use f32, f16, bf16 or packed",
         to_string(type));
  }
}

PlannedTensor plan_tensor(const WeightSource& source, const Part& part, const ConvertPlan& plan,
                          const ConvertOptions& options) {
  PlannedTensor tensor;
  tensor.spec = part.spec;
  tensor.is_linear = part.is_linear;
  tensor.reach = part.form.reach;
  const int64_t groups = plan.config.variants.quant_groups;
  // Also where the scales of all groups happen to be equal.
  if (groups > 1 && part.spec.low_bit) {
    tensor.reach = {ScaleScope::kGroup, part.spec.cols / groups};
  }
  tensor.allow_rounding = options.allow_rounding;
  tensor.rotary_dim = source.config().rotary_dimensions();
  tensor.permuted_heads = permuted_heads(source, plan.architecture, part.spec.gguf_name);
  tensor.to_adjacent = !plan.to_hf && rope_order_of(plan.architecture) == RopeOrder::kAdjacent;
  tensor.type = choose_type(part, plan, source.path().string());
  // Only readers of b1.58 models look for such a tensor.
  tensor.scale_tensor = has_scale_tensor(tensor.type) && plan.config.linear == LinearKind::kB158 &&
                        tensor.reach.scope == ScaleScope::kTensor;
  // A single scale would save nothing.
  if (is_own(tensor.type) && part.form.half_scales && tensor.reach.scope != ScaleScope::kTensor) {
    tensor.scale_type = packing::ScaleType::kF16;
  }
  tensor.packed = plan.packed && part.is_linear && part.spec.low_bit;
  if (tensor.packed) {
    check_packed(part, tensor);
  } else {
    check_fit(tensor);
  }
  return tensor;
}

}  // namespace

std::vector<int64_t> row_order(const PlannedTensor& tensor) {
  if (tensor.permuted_heads == 0) return {};
  // A bias has one element for each row of its matrix.
  const int64_t rows = tensor.spec.rows == 0 ? tensor.spec.cols : tensor.spec.rows;
  const int64_t head_dim = rows / tensor.permuted_heads;
  const auto permutation = tensor.to_adjacent ? adjacent_permutation : half_split_permutation;
  return permutation(tensor.permuted_heads, head_dim, tensor.rotary_dim);
}

ConvertPlan plan_conversion(const WeightSource& source, const ConvertOptions& options) {
  refuse_without_vectors(source, options);
  refuse_without_variants(source, options);
  const std::vector<Part> parts = survey(source);
  ConvertPlan plan;
  plan.to_hf = options.to_hf;
  plan.config = source.config();
  if (plan.to_hf) {
    choose_hf_types(source, options, parts, plan);
  } else {
    plan.linear_type = options.linear_type ? *options.linear_type : auto_linear_type(source, parts);
    plan.rest_type = choose_rest_type(options, plan.linear_type);
    plan.embedding_type = choose_embedding_type(source, options, plan.rest_type);
  }
  refuse_rounding(source, parts, plan);

  // Multiplied out, the weights no longer call for int8 activations.
  if (!plan.packed && !is_ternary(plan.linear_type)) {
    plan.config.linear = LinearKind::kDense;
    plan.config.dense_maps.clear();
  }
  if (!plan.to_hf) {
    const StoredType strangest = is_own(plan.rest_type) ? plan.rest_type : plan.linear_type;
    plan.architecture = gguf_architecture(plan.config, strangest);
  }
  for (const Part& part : parts) {
    plan.tensors.push_back(plan_tensor(source, part, plan, options));
  }
  return plan;
}

}  // namespace tercet
