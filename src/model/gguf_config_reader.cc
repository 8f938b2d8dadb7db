// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <limits>

#include "core/error.h"
#include "formats/printable.h"
#include "model/gguf_architectures.h"
#include "model/gguf_model.h"

namespace tercet {
namespace {

constexpr std::array kArchitectures = {kArchLlama,  kArchQwen2,    kArchQwen3,    kArchGemma3,
                                       kArchBitnet, kArchBitnet25, kArchBitnet2B, kArchTercet};

constexpr const char* kEmbedding = "token_embd.weight";
constexpr const char* kRopeFactors = "rope_freqs.weight";

// Reads the keys of one architecture.
class Reader {
 public:
  explicit Reader(const GgufFile& file)
      : file_(file), architecture_(file.string("general.architecture")) {
    const auto known = [&](const char* name) { return architecture_ == name; };
    if (std::none_of(kArchitectures.begin(), kArchitectures.end(), known)) {
      fail(ErrorCode::kUnsupported,
           "{}: architecture '{}' is not supported; this version runs llama, qwen2, qwen3, gemma3, "
           "bitnet, bitnet-25, bitnet-b1.58 and tercet",
           file.path().string(), printable(architecture_));
    }
  }

  ModelConfig read() const {
    refuse_unsupported();
    ModelConfig config = read_shape();
    read_kind(config);
    read_biases(config);
    read_rope(config);
    read_windows(config);
    read_token_ids(config);
    config.validate(file_.path().string());
    read_dense_maps(config);
    return config;
  }

 private:
  std::string key(const char* name) const { return architecture_ + "." + name; }
  bool has(const char* name) const { return file_.find(key(name)) != nullptr; }
  bool has_tensor(const char* name) const { return file_.find_tensor(name) != nullptr; }
  float real_or(const char* name, float fallback) const {
    return static_cast<float>(file_.real_or(key(name), static_cast<double>(fallback)));
  }

  // Features that change the result and that Forward does not have.
  void refuse_unsupported() const {
    if (file_.integer_or(key("expert_count"), 0) != 0) {
      fail(ErrorCode::kUnsupported, "{}: {} is not 0; mixtures of experts are not supported",
           file_.path().string(), key("expert_count"));
    }
    for (const char* name : {"attn_logit_softcapping", "final_logit_softcapping"}) {
      if (real_or(name, 0.0f) == 0.0f) continue;
      fail(ErrorCode::kUnsupported, "{}: {} is set; capping logits is not supported",
           file_.path().string(), key(name));
    }
  }

  ModelConfig read_shape() const {
    ModelConfig config;
    const TensorView& embedding = file_.tensor(kEmbedding);
    const int64_t rows = embedding.shape.empty() ? 0 : embedding.shape.front();
    config.vocab_size = file_.integer_or(key("vocab_size"), rows);
    config.hidden_size = file_.integer(key("embedding_length"));
    config.intermediate_size = file_.integer(key("feed_forward_length"));
    config.num_hidden_layers = file_.integer(key("block_count"));
    config.num_attention_heads = file_.integer(key("attention.head_count"));
    config.num_key_value_heads =
        file_.integer_or(key("attention.head_count_kv"), config.num_attention_heads);
    config.head_dim = read_head_dim(config);
    config.max_position_embeddings = file_.integer(key("context_length"));
    config.rms_norm_eps = static_cast<float>(file_.real(key("attention.layer_norm_rms_epsilon")));
    config.tie_word_embeddings = !has_tensor("output.weight");
    return config;
  }

  int64_t read_head_dim(const ModelConfig& config) const {
    const int64_t heads = config.num_attention_heads;
    const int64_t derived = heads > 0 ? config.hidden_size / heads : 0;
    const int64_t head_dim = file_.integer_or(key("attention.key_length"), derived);
    const int64_t value_dim = file_.integer_or(key("attention.value_length"), head_dim);
    if (value_dim == head_dim) return head_dim;
    fail(ErrorCode::kUnsupported, "{}: {} is {}, the head size {}; only equal ones are supported",
         file_.path().string(), key("attention.value_length"), value_dim, head_dim);
  }

  void read_kind(ModelConfig& config) const {
    if (architecture_ == kArchTercet) {
      read_own_features(config);
      return;
    }
    const bool dense_blocks = architecture_ == kArchLlama || architecture_ == kArchQwen2 ||
                              architecture_ == kArchQwen3 || architecture_ == kArchGemma3;
    config.norm = dense_blocks ? NormPlacement::kPre : NormPlacement::kSub;
    const bool relu2 = architecture_ == kArchBitnet25 || architecture_ == kArchBitnet2B;
    config.hidden_act = relu2 ? Activation::kRelu2 : Activation::kSilu;
    if (architecture_ == kArchBitnet && has("hidden_act")) {
      config.hidden_act = parse_activation(file_.string(key("hidden_act")));
    }
    config.linear = read_linear_kind();
    if (architecture_ == kArchLlama) config.attention_scale = real_or("attention.scale", 0.0f);
    if (architecture_ == kArchGemma3) read_gemma3(config);
  }

  LinearKind read_linear_kind() const {
    if (file_.find(kLinearKey) != nullptr) return parse_linear_kind(file_.string(kLinearKey));
    const auto is_bitnet_map = [](const TensorView& tensor) {
      const std::optional<StoredType> type = stored_type(tensor.type);
      return tensor.name.starts_with("blk.") && type && is_ternary(*type) &&
             !has_inner_scales(*type);
    };
    const auto& tensors = file_.tensors();
    return std::any_of(tensors.begin(), tensors.end(), is_bitnet_map) ? LinearKind::kB158
                                                                      : LinearKind::kDense;
  }

  // Each tensor says so by its type.
  void read_dense_maps(ModelConfig& config) const {
    constexpr std::string_view kWeight = ".weight";
    std::vector<std::string> maps;
    for (const TensorSpec& spec : tensor_specs(config)) {
      const TensorView* tensor = spec.low_bit ? file_.find_tensor(spec.gguf_name) : nullptr;
      const auto type = tensor != nullptr ? stored_type(tensor->type) : std::nullopt;
      if (!type || is_ternary(*type)) continue;
      maps.push_back(spec.hf_name.substr(0, spec.hf_name.size() - kWeight.size()));
    }
    std::sort(maps.begin(), maps.end());
    config.dense_maps = std::move(maps);
  }

  void read_gemma3(ModelConfig& config) const {
    config.norm = NormPlacement::kSandwich;
    config.hidden_act = Activation::kGeluTanh;
    config.zero_centered_norms = true;
    config.embedding_multiplier = gemma_embedding_multiplier(config.hidden_size);
    config.attention_scale = gemma3_attention_scale(config);
    config.rope_local_theta = real_or("rope.freq_base_swa", kGemma3LocalTheta);
  }

  void read_own_features(ModelConfig& config) const {
    config.hidden_act = parse_activation(file_.string("tercet.hidden_act"));
    config.linear = parse_linear_kind(file_.string(kLinearKey));
    config.norm = parse_norm_placement(file_.string("tercet.norm"));
    config.zero_centered_norms = file_.boolean_or("tercet.zero_centered_norms", false);
    config.embedding_multiplier = real_or("embedding_scale", 1.0f);
    config.attention_scale = real_or("attention.scale", 0.0f);
    config.rope_local_theta = real_or("rope.freq_base_swa", 0.0f);
    BitnetVariants& variants = config.variants;
    variants.activation_bits = file_.integer_or(key("activation_bits"), variants.activation_bits);
    variants.o_proj_top_k = real_or("o_proj_top_k", variants.o_proj_top_k);
    variants.hadamard = file_.boolean_or(key("hadamard"), false);
    variants.quant_groups = file_.integer_or(key("quant_groups"), variants.quant_groups);
    variants.shifted_gate_input = file_.boolean_or(key("shifted_gate_input"), false);
  }

  // A file says so by having the tensors; that all layers have them is checked with the others.
  void read_biases(ModelConfig& config) const {
    config.attention_bias = has_tensor("blk.0.attn_q.bias");
    config.output_bias = has_tensor("blk.0.attn_output.bias");
    config.mlp_bias = has_tensor("blk.0.ffn_gate.bias");
    // Rotated as neighbours, q and k would need the norm's weights in that order too.
    config.qk_norm = architecture_ != kArchLlama && has_tensor("blk.0.attn_q_norm.weight");
  }

  void read_rope(ModelConfig& config) const {
    config.rope_theta = real_or("rope.freq_base", 10000.0f);
    const int64_t rotary = file_.integer_or(key("rope.dimension_count"), config.head_dim);
    config.rotary_dim = rotary == config.head_dim ? 0 : rotary;
    // Without a type the factor means linear scaling; old files call it rope.scale_linear.
    const std::string type = file_.string_or(key("rope.scaling.type"), "linear");
    const float factor = real_or("rope.scaling.factor", real_or("rope.scale_linear", 0.0f));
    RopeScaling& scaling = config.rope_scaling;
    if (type == "yarn") {
      scaling = read_yarn(config, factor);
    } else if (type == "linear" && factor != 0.0f && factor != 1.0f) {
      scaling.type = RopeType::kLinear;
      scaling.factor = factor;
    } else if (type != "linear" && type != "none") {
      fail(ErrorCode::kUnsupported, "{}: {} is '{}'; none, linear and yarn are supported",
           file_.path().string(), key("rope.scaling.type"), printable(type));
    }
    if (!has_tensor(kRopeFactors)) return;
    if (scaling.type != RopeType::kDefault) {
      fail(ErrorCode::kUnsupported,
           "{}: {} and tensor '{}' both scale rotary frequencies; one of them is supported",
           file_.path().string(), key("rope.scaling.type"), kRopeFactors);
    }
    scaling = read_llama3();
  }

  // Ours tells how the tensor of factors was made.
  RopeScaling read_llama3() const {
    RopeScaling out;
    out.type = RopeType::kLlama3;
    const std::string prefix = "tercet.rope.llama3.";
    if (file_.find(prefix + "original_context_length") == nullptr) return out;
    const auto real = [&](const char* name) {
      return static_cast<float>(file_.real(prefix + name));
    };
    out.original_max_position_embeddings = file_.integer(prefix + "original_context_length");
    out.factor = real("factor");
    out.low_freq_factor = real("low_freq_factor");
    out.high_freq_factor = real("high_freq_factor");
    return out;
  }

  RopeScaling read_yarn(const ModelConfig& config, float factor) const {
    for (const auto& [name, neutral] : {std::pair{"rope.scaling.yarn_ext_factor", 1.0f},
                                        std::pair{"rope.scaling.yarn_attn_factor", 1.0f},
                                        std::pair{"rope.scaling.yarn_log_multiplier", 0.0f}}) {
      if (real_or(name, neutral) == neutral) continue;
      fail(ErrorCode::kUnsupported, "{}: {} is not {}, which is all that is supported",
           file_.path().string(), key(name), neutral);
    }
    RopeScaling out;
    out.type = RopeType::kYarn;
    out.factor = factor == 0.0f ? 1.0f : factor;
    out.original_max_position_embeddings = file_.integer_or(
        key("rope.scaling.original_context_length"), config.max_position_embeddings);
    out.beta_fast = real_or("rope.scaling.yarn_beta_fast", out.beta_fast);
    out.beta_slow = real_or("rope.scaling.yarn_beta_slow", out.beta_slow);
    out.truncate = file_.boolean_or(key("rope.scaling.truncate"), true);
    out.attention_factor =
        yarn_attention_factor(out.factor) * real_or("rope.scaling.attn_factor", 1.0f);
    if (architecture_ == kArchTercet) {
      out.attention_factor = real_or("rope.scaling.attention_factor", out.attention_factor);
    }
    return out;
  }

  void read_windows(ModelConfig& config) const {
    const int64_t window = file_.integer_or(key("attention.sliding_window"), 0);
    const int64_t layers = config.num_hidden_layers;
    if (window == 0 || layers < 1 || layers > kMaxLayers) return;
    config.sliding_window = window;
    if (architecture_ == kArchTercet) {
      if (!has("attention.sliding_layers")) return;
      for (const int64_t flag : file_.integers(key("attention.sliding_layers"))) {
        config.sliding_layers.push_back(flag != 0);
      }
    } else if (architecture_ == kArchGemma3) {
      const int64_t every =
          file_.integer_or(key("attention.sliding_window_pattern"), kGemma3Pattern);
      if (every < 2) {
        fail(ErrorCode::kUnsupported, "{}: {} is {}; 2 or more is supported", file_.path().string(),
             key("attention.sliding_window_pattern"), every);
      }
      if (every > layers) return;  // all slide
      for (int64_t i = 0; i < layers; ++i) config.sliding_layers.push_back((i + 1) % every != 0);
    } else if (architecture_ != kArchLlama && window < config.max_position_embeddings) {
      fail(ErrorCode::kUnsupported, "{}: {} does not say which layers slide; not supported",
           file_.path().string(), key("attention.sliding_window"));
    }
  }

  int32_t token_id(const std::string& name, int64_t id) const {
    if (id >= -1 && id <= std::numeric_limits<int32_t>::max()) return static_cast<int32_t>(id);
    fail(ErrorCode::kBadInput, "{}: {} is {}, outside any vocabulary", file_.path().string(), name,
         id);
  }

  // Ours first: a tokenizer has one end-of-text token, a chat model may stop at several.
  void read_token_ids(ModelConfig& config) const {
    const std::string bos = file_.find("tercet.bos_token_id") != nullptr
                                ? "tercet.bos_token_id"
                                : "tokenizer.ggml.bos_token_id";
    config.bos_token_id = token_id(bos, file_.integer_or(bos, -1));
    std::vector<int32_t>& ends = config.eos_token_ids;
    ends.clear();
    if (file_.find("tercet.eos_token_ids") != nullptr) {
      for (const int64_t id : file_.integers("tercet.eos_token_ids")) {
        ends.push_back(token_id("tercet.eos_token_ids", id));
      }
      return;
    }
    // The end of a text, of a turn, and of a message.
    for (const char* name : {"eos", "eot", "eom"}) {
      const std::string full = std::string("tokenizer.ggml.") + name + "_token_id";
      if (file_.find(full) == nullptr) continue;
      const int32_t id = token_id(full, file_.integer(full));
      if (std::find(ends.begin(), ends.end(), id) == ends.end()) ends.push_back(id);
    }
  }

  const GgufFile& file_;
  std::string architecture_;
};

}  // namespace

ModelConfig config_from_gguf(const GgufFile& file) { return Reader(file).read(); }

}  // namespace tercet
