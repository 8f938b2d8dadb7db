// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "learn/pretrain/recipe.h"

namespace tercet::learn {

// The recipe of a size: shape, blocks, batch, length and learning rates, those of the papers where
// they print them (methods.md 1.2, 2.2, 3), ours otherwise; small sizes decide all of training,
// alike for all families. The kind of the linear maps, by default the family's, decides between the
// rates.
// Feed-forward blocks are gated, so those of b1's sizes are 8/3 times as wide as the hidden state
// (its paper has 4 times, without a gate). Throws kUsage naming the choices.
Recipe preset_recipe(const std::string& name, const std::string& family,
                     const std::string& linear = "");

// Fields of a recipe as a file or the command line gives them, and the name of that for errors.
struct RecipePart {
  Json fields = Json::object();
  std::string origin;
};

// The preset's recipe (the default recipe when the name is empty) with each part on top of it in
// turn. A preset's rates are those of the family that the parts choose, its warm-up that of its
// length. Throws as preset_recipe() and apply_json() do.
Recipe assembled_recipe(const std::string& preset, std::span<const RecipePart> parts);

// "1m, 3m, ..."
std::string preset_names();

}  // namespace tercet::learn
