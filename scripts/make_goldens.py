#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/models: tiny random models of every architecture and packing that Tercet reads,
with the logits that transformers computes for them in float32 (development tool: needs torch,
transformers, accelerate and safetensors).

usage: scripts/make_goldens.py OUT_DIRECTORY [NAME...]     (tests/golden/models; all without names)

Each model is written first and then loaded with from_pretrained, so that the reference goes the way
of a user's directory. Beside the model's own files lie golden.json (token ids, the positions whose
logits are kept, versions) and golden.safetensors (logits, [positions, vocab_size], f32).
Weights are bf16; norms, biases and scales are random, so that none can be forgotten unnoticed.
Ternary models round activations to int8: of several seeds the one is kept whose activations stay
farthest from a tie, since there a sum in another order would tip the rounding.
"""

import copy
import json
import os
import shutil
import sys

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # transformers compiles its ternary layers otherwise

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations import bitnet
from transformers.models.llama import modeling_llama
from transformers.models.phi3 import modeling_phi3
from transformers.quantizers.quantizers_utils import should_convert_module

TOKENS = 80
TERNARY_TOKENS = 24
KEPT = 8  # positions whose logits are kept, spread over the sequence, the last included
SEEDS = 12  # tried for ternary models

SHAPE = {
    "vocab_size": 160, "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
    "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False,
}
GEMMA = {
    "vocab_size": 160, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 6,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 24,
    "max_position_embeddings": 512, "query_pre_attn_scalar": 24, "sliding_window": 16,
    "bos_token_id": 2, "eos_token_id": 1,
}
ONLINE = {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"}
OFFLINE = {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "offline"}
PLAIN = {"quant_method": "bitnet", "modules_to_not_convert": None}
NORMS = {"use_rms_norm": True, "rms_norm_eps": 1e-5}
KEPT_DENSE = {"modules_to_not_convert": ["lm_head", "model.layers.0.self_attn", "down_proj"]}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
WIDE = {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 1, "vocab_size": 96,
        "tie_word_embeddings": True}

# config.json of each model. transformers 4 writes rope_theta and rope_scaling, 5 rope_parameters.
MODELS = {
    "llama": {**SHAPE, "model_type": "llama", "rope_theta": 20000.0},
    "llama-bias": {**SHAPE, "model_type": "llama", "attention_bias": True, "mlp_bias": True,
                   "head_dim": 24, "tie_word_embeddings": True,
                   "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0}},
    "llama-linear": {**SHAPE, "model_type": "llama", "rope_scaling": {"type": "linear", "factor": 4.0}},
    "llama-llama3": {**SHAPE, "model_type": "llama", "head_dim": 32, "rope_theta": 500000.0,
                     "rope_scaling": LLAMA3},
    "llama-llama3-bias": {**SHAPE, "model_type": "llama", "attention_bias": True,
                          "tie_word_embeddings": True, "rope_theta": 1000.0, "rope_scaling": LLAMA3},
    "llama-yarn": {**SHAPE, "model_type": "llama", "head_dim": 32, "rope_scaling": YARN},
    "llama-yarn-all": {**SHAPE, "model_type": "llama", "head_dim": 32, "rope_parameters": {
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 6.0,
        "original_max_position_embeddings": 64, "truncate": False, "mscale": 0.9,
        "mscale_all_dim": 0.4, "beta_fast": 8.0, "beta_slow": 0.5}},
    "llama-partial": {**SHAPE, "model_type": "llama", "head_dim": 24, "partial_rotary_factor": 0.5},
    "mistral": {**SHAPE, "model_type": "mistral", "head_dim": 24, "sliding_window": 20},
    "qwen2": {**SHAPE, "model_type": "qwen2", "rope_theta": 1000000.0, "tie_word_embeddings": True},
    "qwen2-windows": {**SHAPE, "model_type": "qwen2", "use_sliding_window": True,
                      "sliding_window": 20, "max_window_layers": 1, "rope_scaling": YARN},
    "qwen3": {**SHAPE, "model_type": "qwen3", "head_dim": 32, "rope_theta": 1000000.0},
    "gemma3": {**GEMMA, "model_type": "gemma3_text",
               "rope_scaling": {"rope_type": "linear", "factor": 8.0}},
    "gemma3-odd": {**GEMMA, "model_type": "gemma3_text", "num_hidden_layers": 3,
                   "query_pre_attn_scalar": 40, "attention_bias": True,
                   "layer_types": ["full_attention", "sliding_attention", "full_attention"],
                   "rope_parameters": {
                       "full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 50000.0},
                       "sliding_attention": {"rope_type": "default", "rope_theta": 3000.0}}},
    "bitnet-latent": {**SHAPE, "model_type": "bitnet", "quantization_config": ONLINE,
                      "tie_word_embeddings": True},
    "bitnet-packed": {**SHAPE, "model_type": "bitnet", "quantization_config": OFFLINE,
                      "tie_word_embeddings": True},
    "bitnet-wide": {**SHAPE, **WIDE, "model_type": "bitnet", "quantization_config": OFFLINE},
    "llama-packed": {**SHAPE, "model_type": "llama", "quantization_config": PLAIN,
                     "rope_theta": 500000.0, "rope_scaling": LLAMA3},
    "llama-packed-norms": {**SHAPE, "model_type": "llama", "rms_norm_eps": 1e-5,
                           "quantization_config": {**PLAIN, **NORMS}},
    "llama-latent-norms": {**SHAPE, "model_type": "llama", "rms_norm_eps": 1e-5,
                           "quantization_config": {**ONLINE, **NORMS}},
    "llama-wide": {**SHAPE, **WIDE, "model_type": "llama", "quantization_config": PLAIN},
    "llama-packed-kept": {**SHAPE, "model_type": "llama",
                          "quantization_config": {**PLAIN, **KEPT_DENSE}},
    "qwen2-packed-kept": {**SHAPE, "model_type": "qwen2",
                          "quantization_config": {**OFFLINE, **KEPT_DENSE}},
    "bitnet-latent-kept": {**SHAPE, "model_type": "bitnet",
                           "quantization_config": {**ONLINE, **KEPT_DENSE}},
    "qwen2-packed": {**SHAPE, "model_type": "qwen2", "quantization_config": PLAIN},
}
SHARDED = ("llama-llama3", "llama-packed")
EXTRA_ENDS = ("qwen3", [3, 2])  # generation_config.json of one model


def rotate_partly(fraction):
    """transformers has no LLaMA that rotates part of a head; Phi-3's rotation does just that."""
    plain_init = modeling_llama.LlamaRotaryEmbedding.compute_default_rope_parameters
    plain_apply = modeling_llama.apply_rotary_pos_emb

    def init(config, **_):
        dims = int(config.head_dim * fraction)
        theta = config.rope_parameters["rope_theta"]
        return 1.0 / theta ** (torch.arange(0, dims, 2, dtype=torch.float) / dims), 1.0

    modeling_llama.LlamaRotaryEmbedding.compute_default_rope_parameters = staticmethod(init)
    modeling_llama.apply_rotary_pos_emb = modeling_phi3.apply_rotary_pos_emb

    def undo():
        modeling_llama.LlamaRotaryEmbedding.compute_default_rope_parameters = staticmethod(plain_init)
        modeling_llama.apply_rotary_pos_emb = plain_apply

    return undo


def is_ternary(spec):
    return "quantization_config" in spec


def is_low_bit(name, quantization):
    kept = quantization.get("modules_to_not_convert")
    return name.endswith("_proj.weight") and should_convert_module(name.removesuffix(".weight"), kept)


def random_tensor(name, shape, zero_centered, generator):
    noise = torch.randn(shape, generator=generator)
    if name.endswith("norm.weight"):
        return (0.0 if zero_centered else 1.0) + 0.3 * noise
    if name.endswith(".bias"):
        return 0.5 * noise
    if "embed_tokens" in name:
        return noise
    return 1.3 * noise / shape[-1] ** 0.5


def packed(name, weight, spec, generator):
    """uint8 codes and their scale, by the convention of the linear class."""
    codes = (weight / weight.abs().mean()).round().clamp(-1, 1)
    scale = weight.abs().mean() * (0.8 + 0.4 * torch.rand((), generator=generator))
    if spec["quantization_config"].get("linear_class", "bitlinear") == "bitlinear":
        scale = 1.0 / scale
    return {name: bitnet.pack_weights(codes), name + "_scale": scale.reshape(1).to(torch.bfloat16)}


def dense_config(spec):
    """A copy, since transformers writes into what it is given."""
    dense = {key: value for key, value in spec.items() if key != "quantization_config"}
    return AutoConfig.for_model(**copy.deepcopy(dense))


def random_weights(spec, seed):
    """What the files hold, by name."""
    generator = torch.Generator().manual_seed(seed)
    config = dense_config(spec)
    shapes = AutoModelForCausalLM.from_config(config, dtype=torch.float32).state_dict()
    quantization = spec.get("quantization_config", {})
    is_packed = is_ternary(spec) and quantization.get("quantization_mode") != "online"
    out = {}
    for name, like in shapes.items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        value = random_tensor(name, tuple(like.shape), "gemma3" in spec["model_type"], generator)
        if is_packed and is_low_bit(name, quantization):
            out.update(packed(name, value, spec, generator))
        else:
            out[name] = value.to(torch.bfloat16)
        if is_low_bit(name, quantization) and quantization.get("use_rms_norm"):
            norm = name.removesuffix("weight") + "rms_norm.weight"
            out[norm] = random_tensor(norm, (like.shape[1],), False, generator).to(torch.bfloat16)
    return {name: tensor.contiguous() for name, tensor in out.items()}


def write_model(directory, name, spec, weights):
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    architecture = type(AutoModelForCausalLM.from_config(dense_config(spec))).__name__
    config = {"architectures": [architecture], "torch_dtype": "bfloat16", **spec}
    write_json(os.path.join(directory, "config.json"), config)
    if name == EXTRA_ENDS[0]:
        write_json(os.path.join(directory, "generation_config.json"), {"eos_token_id": EXTRA_ENDS[1]})
    if name not in SHARDED:
        save_file(weights, os.path.join(directory, "model.safetensors"), {"format": "pt"})
        return
    names = sorted(weights)
    parts = [names[: len(names) // 2], names[len(names) // 2:]]
    weight_map = {}
    for index, part in enumerate(parts):
        file = f"model-{index + 1:05}-of-{len(parts):05}.safetensors"
        save_file({key: weights[key] for key in part}, os.path.join(directory, file), {"format": "pt"})
        weight_map.update({key: file for key in part})
    total = sum(tensor.nbytes for tensor in weights.values())
    write_json(os.path.join(directory, "model.safetensors.index.json"),
               {"metadata": {"total_size": total}, "weight_map": weight_map})


def write_json(path, value):
    with open(path, "w", encoding="ascii") as out:
        json.dump(value, out, indent=1)
        out.write("\n")


class TieMeter:
    """How close activations come to the middle between two int8 values, in steps."""

    def __init__(self):
        self.closest = 0.5

    def look(self, activation):
        x = activation.double()
        scaled = x * (127 / x.abs().amax(-1, keepdim=True).clamp(min=1e-5))
        distance = (scaled - scaled.floor() - 0.5).abs().min().item()
        self.closest = min(self.closest, distance)

    def __enter__(self):
        self.forwards = {cls: cls.forward for cls in (bitnet.BitLinear, bitnet.AutoBitLinear)}
        for cls, forward in self.forwards.items():
            def measured(module, x, forward=forward):
                self.look(module.rms_norm(x) if module.rms_norm is not None else x)
                return forward(module, x)
            cls.forward = measured
        return self

    def __exit__(self, *_):
        for cls, forward in self.forwards.items():
            cls.forward = forward


def load_in_float32(directory):
    model = AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager").eval()
    # Ternary layers keep the dtype of the file, and transformers refuses float() on such models.
    for module in model.modules():
        if isinstance(module, bitnet.BitLinear):
            module.dtype = torch.float32
    return torch.nn.Module.float(model)


def reference_logits(directory, ids):
    model = load_in_float32(directory)
    with torch.no_grad(), TieMeter() as meter:
        logits = model(torch.tensor([ids])).logits[0]
    return logits, meter.closest


def make(out_directory, name, spec):
    directory = os.path.join(out_directory, name)
    undo = rotate_partly(spec["partial_rotary_factor"]) if "partial_rotary_factor" in spec else None
    tokens = TERNARY_TOKENS if is_ternary(spec) else TOKENS
    best = None
    for seed in range(1, SEEDS + 1 if is_ternary(spec) else 2):
        ids = torch.randint(3, spec["vocab_size"], (tokens,),
                            generator=torch.Generator().manual_seed(1000 + seed)).tolist()
        write_model(directory, name, spec, random_weights(spec, seed))
        logits, margin = reference_logits(directory, ids)
        if best is None or margin > best["margin"]:
            best = {"seed": seed, "ids": ids, "logits": logits, "margin": margin}
    write_model(directory, name, spec, random_weights(spec, best["seed"]))
    if undo:
        undo()
    positions = sorted({round(i * (tokens - 1) / (KEPT - 1)) for i in range(KEPT)})
    golden = {"made_by": "scripts/make_goldens.py", "transformers": transformers.__version__,
              "torch": torch.__version__, "seed": best["seed"], "ids": best["ids"],
              "positions": positions}
    if is_ternary(spec):
        golden["steps_to_nearest_tie"] = best["margin"]
    write_json(os.path.join(directory, "golden.json"), golden)
    save_file({"logits": best["logits"][positions].contiguous()},
              os.path.join(directory, "golden.safetensors"))
    for file in os.listdir(directory):
        os.chmod(os.path.join(directory, file), 0o644)
    size = sum(os.path.getsize(os.path.join(directory, file)) for file in os.listdir(directory))
    print(f"{name}: {size} bytes, logits {best['logits'].std():.3f} rms, "
          f"margin {best['margin'] if is_ternary(spec) else '-'}", flush=True)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in sys.argv[2:] or MODELS:
        make(sys.argv[1], name, MODELS[name])


if __name__ == "__main__":
    main()
