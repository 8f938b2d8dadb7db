// SPDX-License-Identifier: Apache-2.0
// A model.safetensors.index.json: every shard it names lies in the model's own directory.
#include <filesystem>

#include "formats/hf_model.h"
#include "fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tercet;  // NOLINT(google-build-using-namespace)
  namespace fs = std::filesystem;
  fuzz::accept_or_refuse([&] {
    const Json json = parse_json(fuzz::text_of({data, size}), "index.json");
    for (const auto& [tensor, file] : weight_map_from_json(json, "index.json")) {
      const fs::path path = (fs::path("/model") / file).lexically_normal();
      fuzz::require(path.parent_path() == "/model" && path.filename() == file,
                    "shards lie in the model's directory");
    }
  });
  return 0;
}
