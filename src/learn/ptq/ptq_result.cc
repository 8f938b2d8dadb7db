// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/ptq_result.h"

#include "core/error.h"
#include "learn/ptq/output_directory.h"

namespace tercet::learn {

Json to_json(const PtqResult& result) {
  Json layers = Json::array();
  for (const LayerReport& layer : result.layers) layers.push_back(to_json(layer));
  Json out = {{"quantized_weights", result.quantized_weights},
              {"bits_per_weight", result.bits_per_weight},
              {"seconds", result.seconds},
              {"stage_seconds", result.stage_seconds},
              {"peak_rss_bytes", result.peak_rss_bytes},
              {"plan", to_json(result.plan)},
              {"layers", std::move(layers)}};
  if (result.file) {
    const PackedFile& file = *result.file;
    out["file"] = {{"name", file.name},
                   {"bytes", file.bytes},
                   {"type", file.type},
                   {"embedding_type", file.embedding_type},
                   {"head_type", file.head_type},
                   {"linear_bits_per_weight", file.linear_bits_per_weight},
                   {"model_bits_per_weight", file.model_bits_per_weight}};
  }
  if (result.tuning) {
    out["tuning"] = {{"first_kl", result.tuning->first_loss},
                     {"last_kl", result.tuning->last_loss}};
  }
  if (result.evaluation) {
    const EvaluationReport& e = *result.evaluation;
    out["evaluation"] = {{"text", result.evaluation_text},
                         {"tokens", e.tokens},
                         {"mean_nll", e.mean_nll},
                         {"perplexity", e.perplexity()},
                         {"source_mean_nll", e.source_nll},
                         {"source_perplexity", e.source_perplexity()},
                         {"kl_divergence_mean", e.kl_divergence_mean},
                         {"top1_agreement", e.top1_agreement}};
  }
  return out;
}

PtqResult ptq_result_from_json(const Json& json) {
  PtqResult out;
  try {
    for (const Json& layer : json.at("layers")) out.layers.push_back(layer_report_from_json(layer));
    out.quantized_weights = json.at("quantized_weights").get<int64_t>();
    out.bits_per_weight = json.at("bits_per_weight").get<double>();
    out.seconds = json.at("seconds").get<double>();
    out.stage_seconds = json.at("stage_seconds").get<std::map<std::string, double>>();
    out.peak_rss_bytes = json.at("peak_rss_bytes").get<uint64_t>();
    if (const auto tuning = json.find("tuning"); tuning != json.end()) {
      out.tuning = {tuning->at("first_kl").get<double>(), tuning->at("last_kl").get<double>()};
    }
    if (const auto e = json.find("evaluation"); e != json.end()) {
      out.evaluation_text = e->at("text").get<std::string>();
      out.evaluation = {.tokens = e->at("tokens").get<int64_t>(),
                        .source_nll = e->at("source_mean_nll").get<double>(),
                        .mean_nll = e->at("mean_nll").get<double>(),
                        .kl_divergence_mean = e->at("kl_divergence_mean").get<double>(),
                        .top1_agreement = e->at("top1_agreement").get<double>()};
    }
    if (const auto file = json.find("file"); file != json.end()) {
      out.file = {.name = file->at("name").get<std::string>(),
                  .type = file->at("type").get<std::string>(),
                  .embedding_type = file->at("embedding_type").get<std::string>(),
                  .head_type = file->at("head_type").get<std::string>(),
                  .bytes = file->at("bytes").get<uint64_t>(),
                  .linear_bits_per_weight = file->at("linear_bits_per_weight").get<double>(),
                  .model_bits_per_weight = file->at("model_bits_per_weight").get<double>()};
    }
  } catch (const Json::exception& error) {
    fail(ErrorCode::kBadInput, "quantize.json of the finished model is damaged: {}", error.what());
  }
  return out;
}

}  // namespace tercet::learn
