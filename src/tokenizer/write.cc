// SPDX-License-Identifier: Apache-2.0
// The files of a tokenizer in an HF directory; load.cc reads them.
#include <algorithm>

#include "core/file.h"
#include "formats/json.h"
#include "tokenizer/codec.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_files.h"

namespace tercet {
namespace {

bool contains(const std::vector<int32_t>& ids, int32_t id) {
  return id >= 0 && std::find(ids.begin(), ids.end(), id) != ids.end();
}

Json config_json(const Codec& codec) {
  const SpecialIds& ids = codec.special_ids();
  // Of transformers' classes the one that takes tokenizer.json as it is; those named after a model
  // build a tokenizer of their own from its vocabulary.
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false},
                 {"add_bos_token", contains(ids.prefix, ids.bos)},
                 {"add_eos_token", contains(ids.suffix, ids.eos)}};
  const std::pair<const char*, int32_t> roles[] = {{"bos_token", ids.bos},
                                                   {"eos_token", ids.eos},
                                                   {"unk_token", ids.unknown},
                                                   {"pad_token", ids.padding}};
  for (const auto& [name, id] : roles) {
    if (id >= 0) config[name] = codec.pieces()[static_cast<size_t>(id)].text;
  }
  return config;
}

}  // namespace

void Tokenizer::write_files(const std::filesystem::path& directory) const {
  write_text_file(directory / kTokenizerJsonName, codec_->to_json());
  write_text_file(directory / kTokenizerConfigName, config_json(*codec_).dump(2) + "\n");
}

}  // namespace tercet
