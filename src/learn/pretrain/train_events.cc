// SPDX-License-Identifier: Apache-2.0
#include "learn/pretrain/train_events.h"

namespace tercet::learn {

Json to_json(const std::vector<CorpusInfo>& corpora) {
  Json list = Json::array();
  for (const CorpusInfo& corpus : corpora) {
    list.push_back({{"data", corpus.name},
                    {"path", corpus.path},
                    {"tokens", corpus.tokens},
                    {"share", corpus.share},
                    {"epochs", corpus.epochs}});
  }
  return list;
}

Json to_json(const std::vector<CorpusLoss>& corpora) {
  Json list = Json::array();
  for (const CorpusLoss& corpus : corpora) {
    list.push_back({{"data", corpus.name},
                    {"validation_loss", corpus.validation_loss},
                    {"validation_tokens", corpus.tokens}});
  }
  return list;
}

}  // namespace tercet::learn
