// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>

#include "formats/hf_model.h"
#include "learn/nn/transformer.h"
#include "learn/pretrain/recipe.h"

namespace tercet::learn {

// Runs that start from a model that is there (Recipe::init_from): an HF directory of any type that
// check_trainable() allows, or a checkpoint of a run.

// Gives `recipe` the shape, activation and norm placement of the model in `directory`, but for what
// `says(field)` tells is given already. Throws kIo / kBadInput / kUnsupported naming file and
// field.
void take_shape(Recipe& recipe, const std::filesystem::path& directory,
                const std::function<bool(const char*)>& says);

// The architecture of a run that starts from `source`: its shape, with the recipe's linear maps and
// norms, and positions for the recipe's sequences. `recipe` is resolved. Throws kUsage naming the
// field in which the recipe says another shape, or a tensor that has no place with its norms;
// kUnsupported for what cannot be trained and for packed weights; kBadInput when the embeddings are
// fewer than `vocab_size`.
ModelConfig config_from(const HfModel& source, const Recipe& recipe, int64_t vocab_size);

// Throws kBadInput when the tokenizer beside the model and the one beside the data are defined by
// different files of the same name.
void check_same_tokenizer(const std::filesystem::path& model, const std::filesystem::path& data);

// Copies the weights; the model's config is config_from(). Norms that the source has not stay at
// one; where a Hadamard transform comes to a dense map, its weights are transformed too, so that it
// computes the same. Returns whether every weight of the model came from the source as it is.
bool take_weights(Transformer& model, const HfModel& source);

}  // namespace tercet::learn
