// SPDX-License-Identifier: Apache-2.0
// A config.json: what it accepts describes a model, and survives being written and read again.
#include "formats/hf_model.h"
#include "fuzz/target.h"

namespace tercet::fuzz {
namespace {

void read_config(std::string_view text) {
  const ModelConfig config = model_config_from_json(parse_json(text, "config.json"), "config.json");
  require(config.parameter_count() > 0, "a model has parameters");
  if (config.num_hidden_layers <= 64) require(!tensor_specs(config).empty(), "a model has tensors");
  // What cannot be written for another reader is refused, never written as something else.
  accept_or_refuse([&] {
    const Json written = model_config_to_json(config);
    require(model_config_from_json(written, "written.json") == config,
            "a written configuration reads as itself");
  });
}

}  // namespace
}  // namespace tercet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tercet::fuzz::accept_or_refuse([&] {
    tercet::fuzz::read_config(tercet::fuzz::text_of({data, size}));
  });
  return 0;
}
