// SPDX-License-Identifier: Apache-2.0
#include "model/gguf_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "formats/printable.h"

namespace tercet {
namespace {

constexpr const char* kArchLlama = "llama";
constexpr const char* kArchBitnet = "bitnet";
constexpr const char* kArchBitnet2B = "bitnet-b1.58";
constexpr std::array kArchitectures = {kArchLlama, kArchBitnet, kArchBitnet2B, kArchTercet};

constexpr const char* kEmbedding = "token_embd.weight";
constexpr const char* kFirstLinear = "blk.0.attn_q.weight";

// Reads the keys of one architecture.
class Reader {
 public:
  explicit Reader(const GgufFile& file)
      : file_(file), architecture_(file.string("general.architecture")) {
    const auto known = [&](const char* name) { return architecture_ == name; };
    if (std::none_of(kArchitectures.begin(), kArchitectures.end(), known)) {
      fail(ErrorCode::kUnsupported,
           "{}: architecture '{}' is not supported; this version runs llama, bitnet, bitnet-b1.58 "
           "and tercet",
           file.path().string(), printable(architecture_));
    }
  }

  ModelConfig read() const {
    refuse_what_is_missing_here();
    ModelConfig config = read_shape();
    read_kind(config);
    read_token_ids(config);
    config.validate(file_.path().string());
    return config;
  }

 private:
  std::string key(const char* name) const { return architecture_ + "." + name; }

  // Features that change the result and that Forward does not have.
  void refuse_what_is_missing_here() const {
    if (file_.integer_or(key("expert_count"), 0) != 0) {
      fail(ErrorCode::kUnsupported, "{}: {} is not 0; mixtures of experts are not supported",
           file_.path().string(), key("expert_count"));
    }
    // Without a type the factor means linear scaling; old files call it rope.scale_linear.
    const std::string scaling = key("rope.scaling.type");
    const double factor =
        file_.real_or(key("rope.scaling.factor"), file_.real_or(key("rope.scale_linear"), 0.0));
    const bool neutral =
        file_.string_or(scaling, "linear") == "none" || factor == 0.0 || factor == 1.0;
    if (!neutral) {
      fail(ErrorCode::kUnsupported, "{}: {} asks for scaled rotary embeddings; not supported",
           file_.path().string(), scaling);
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
    config.rope_theta = static_cast<float>(file_.real_or(key("rope.freq_base"), 10000.0));
    config.tie_word_embeddings = file_.find_tensor("output.weight") == nullptr;
    return config;
  }

  int64_t read_head_dim(const ModelConfig& config) const {
    const int64_t heads = config.num_attention_heads;
    const int64_t derived = heads > 0 ? config.hidden_size / heads : 0;
    const int64_t head_dim = file_.integer_or(key("attention.key_length"), derived);
    for (const char* name : {"attention.value_length", "rope.dimension_count"}) {
      const int64_t value = file_.integer_or(key(name), head_dim);
      if (value == head_dim) continue;
      fail(ErrorCode::kUnsupported, "{}: {} is {}, the head size {}; only equal ones are supported",
           file_.path().string(), key(name), value, head_dim);
    }
    return head_dim;
  }

  void read_kind(ModelConfig& config) const {
    if (architecture_ == kArchTercet) {
      config.hidden_act = parse_activation(file_.string("tercet.hidden_act"));
      config.linear = parse_linear_kind(file_.string("tercet.linear"));
      config.norm = parse_norm_placement(file_.string("tercet.norm"));
      return;
    }
    config.hidden_act = architecture_ == kArchBitnet2B ? Activation::kRelu2 : Activation::kSilu;
    config.norm = architecture_ == kArchLlama ? NormPlacement::kPre : NormPlacement::kSub;
    const std::optional<StoredType> type = stored_type(file_.tensor(kFirstLinear).type);
    config.linear = type && is_ternary(*type) ? LinearKind::kB158 : LinearKind::kDense;
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
    config.eos_token_ids.clear();
    if (file_.find("tercet.eos_token_ids") != nullptr) {
      for (const int64_t id : file_.integers("tercet.eos_token_ids")) {
        config.eos_token_ids.push_back(token_id("tercet.eos_token_ids", id));
      }
    } else if (file_.find("tokenizer.ggml.eos_token_id") != nullptr) {
      const std::string eos = "tokenizer.ggml.eos_token_id";
      config.eos_token_ids.push_back(token_id(eos, file_.integer(eos)));
    }
  }

  const GgufFile& file_;
  std::string architecture_;
};

}  // namespace

std::string gguf_architecture(const ModelConfig& config, StoredType linear) {
  const bool dense = config.linear == LinearKind::kDense;
  const bool silu = config.hidden_act == Activation::kSilu;
  if (dense && config.norm == NormPlacement::kPre && silu) return kArchLlama;
  // The other readers of these two use the embedding as head whatever the file holds.
  // They also size the attention sub-norm by the hidden size.
  const bool square = config.num_attention_heads * config.head_dim == config.hidden_size;
  const bool as_bitnet = !dense && !is_own(linear) && config.norm == NormPlacement::kSub &&
                         config.tie_word_embeddings && square;
  if (!as_bitnet) return kArchTercet;
  return silu ? kArchBitnet : kArchBitnet2B;
}

RopeOrder rope_order_of(const std::string& architecture) {
  return architecture == kArchLlama ? RopeOrder::kAdjacent : RopeOrder::kHalfSplit;
}

ModelConfig config_from_gguf(const GgufFile& file) { return Reader(file).read(); }

void set_gguf_config(GgufWriter& writer, const ModelConfig& config,
                     const std::string& architecture) {
  const auto key = [&](const char* name) { return architecture + "." + name; };
  const auto count = [&](const char* name, int64_t value) {
    writer.set(key(name), GgufValue::u32(static_cast<uint32_t>(value)));
  };
  writer.set("general.architecture", GgufValue::string(architecture));
  count("vocab_size", config.vocab_size);
  count("context_length", config.max_position_embeddings);
  count("embedding_length", config.hidden_size);
  count("block_count", config.num_hidden_layers);
  count("feed_forward_length", config.intermediate_size);
  count("attention.head_count", config.num_attention_heads);
  count("attention.head_count_kv", config.num_key_value_heads);
  count("attention.key_length", config.head_dim);
  count("attention.value_length", config.head_dim);
  count("rope.dimension_count", config.head_dim);
  writer.set(key("rope.freq_base"), GgufValue::f32(config.rope_theta));
  writer.set(key("attention.layer_norm_rms_epsilon"), GgufValue::f32(config.rms_norm_eps));
  if (architecture == kArchTercet) {
    writer.set("tercet.hidden_act", GgufValue::string(to_string(config.hidden_act)));
    writer.set("tercet.linear", GgufValue::string(to_string(config.linear)));
    writer.set("tercet.norm", GgufValue::string(to_string(config.norm)));
  }
  writer.set("tercet.bos_token_id", GgufValue::i32(config.bos_token_id));
  writer.set("tercet.eos_token_ids", GgufValue::i32s(config.eos_token_ids));
}

std::string scale_tensor_name(const std::string& weight_name) {
  constexpr std::string_view kSuffix = ".weight";
  std::string base = weight_name;
  if (base.ends_with(kSuffix)) base.resize(base.size() - kSuffix.size());
  return base + ".scale";
}

}  // namespace tercet
