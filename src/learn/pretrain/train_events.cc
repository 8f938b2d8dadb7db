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

Json to_json(const StepReport& report) {
  Json line = {{"event", "step"},
               {"step", report.step},
               {"tokens", report.tokens},
               {"loss", report.loss},
               {"grad_norm", report.grad_norm},
               {"learning_rate", report.learning_rate},
               {"weight_decay", report.weight_decay},
               {"tokens_per_second", report.tokens_per_second},
               {"gflops", report.gflops},
               {"data_ms", report.data_ms}};
  if (report.quantized_share < 1) line["quantized_share"] = report.quantized_share;
  return line;
}

Json to_json(const SkipReport& report) {
  return {{"event", "skip"},
          {"step", report.step},
          {"loss", report.loss},
          {"grad_norm", report.grad_norm},
          {"recent_loss", report.recent_loss}};
}

Json to_json(const EvalReport& report) {
  Json line = {{"event", "eval"},
               {"step", report.step},
               {"validation_loss", report.validation_loss},
               {"perplexity", report.perplexity},
               {"validation_tokens", report.tokens},
               {"best", report.best}};
  if (report.quantized_share < 1) line["quantized_share"] = report.quantized_share;
  if (report.loss_as_trained) line["loss_as_trained"] = *report.loss_as_trained;
  if (report.corpora.size() > 1) line["corpora"] = to_json(report.corpora);
  return line;
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
