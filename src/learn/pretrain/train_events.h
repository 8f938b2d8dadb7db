// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "learn/data/verification.h"
#include "learn/pretrain/recipe.h"

namespace tercet::learn {

// A data set in a run.
struct CorpusInfo {
  std::string name;  // the last part of its path, where that tells it from the others
  std::string path;
  uint64_t tokens = 0;  // of its training split
  double share = 1;     // of the sequences
  double epochs = 0;    // of its training split that the whole run makes
};

// [{"data", "path", "tokens", "share", "epochs"}], as logs have it.
Json to_json(const std::vector<CorpusInfo>& corpora);

// What a run knows about itself once it starts.
struct RunInfo {
  Recipe recipe;  // resolved
  ModelConfig config;
  std::string data_fingerprint;  // TrainingState's
  std::string code_version;      // of this program (version.h)
  bool resumed = false;
  std::string checkpoint_version;  // when resumed: of the program that wrote the checkpoint
  int64_t first_step = 0;          // steps done before
  int64_t tokens_per_step = 0;
  std::vector<CorpusInfo> corpora;
  double gemm_gflops = 0;  // measured on this machine with this precision and thread count
  int threads = 1;         // of each rank
  int64_t ranks = 1;
  bool kept_optimizer = false;  // that of init_from
  int64_t optimizer_bytes = 0;  // of the moments that this rank keeps
};

struct StepReport {
  int64_t step = 0;  // 1-based: steps done
  int64_t steps = 0;
  int64_t tokens = 0;  // trained on so far
  double loss = 0;     // nats per token, mean of this step
  double grad_norm = 0;
  double learning_rate = 0;
  double weight_decay = 0;
  double quantized_share = 1;  // of the low-bit maps in this step, see quantized_share_at()
  double tokens_per_second = 0;
  double gflops = 0;  // achieved, evaluate.h's count
  double eta_seconds = 0;
  double data_ms = 0;  // that the step waited for its data
};

// A step whose gradients were not used.
struct SkipReport {
  int64_t step = 0;
  double loss = 0;
  double grad_norm = 0;
  double recent_loss = 0;  // the moving mean that it was compared with
};

// Lines of the log; numbers that are not finite become null.
Json to_json(const StepReport& report);
Json to_json(const SkipReport& report);

// The validation loss on one data set.
struct CorpusLoss {
  std::string name;  // CorpusInfo's
  double validation_loss = 0;
  uint64_t tokens = 0;
};

// [{"data", "validation_loss", "validation_tokens"}], as logs and results have it.
Json to_json(const std::vector<CorpusLoss>& corpora);

struct EvalReport {
  int64_t step = 0;
  // Of the model as it will be used, its low-bit maps quantized; the mean over the data sets by
  // their shares.
  double validation_loss = 0;
  double perplexity = 0;
  uint64_t tokens = 0;
  std::vector<CorpusLoss> corpora;
  bool best = false;           // so far; these weights become checkpoints/best
  double quantized_share = 1;  // of the low-bit maps in the newest step
  // Where that step computed otherwise (also with a8_steps): the validation loss computed so.
  std::optional<double> loss_as_trained;
};

Json to_json(const EvalReport& report);

struct WeightReport;  // weight_stats.h

// How a run tells what happens; all may be empty. Called on the training thread.
struct TrainEvents {
  std::function<void(const VerifyProgress&)> on_verify;  // before on_start
  std::function<void(const RunInfo&)> on_start;
  std::function<void(const StepReport&)> on_step;
  std::function<void(const SkipReport&)> on_skip;
  std::function<void(const EvalReport&)> on_eval;
  std::function<void(const WeightReport&)> on_stats;
  std::function<void(int64_t step, const std::string& text)> on_sample;
  std::function<void(const std::filesystem::path&)> on_checkpoint;
};

struct TrainResult {
  int64_t steps = 0;
  int64_t tokens = 0;
  double validation_loss = 0;
  double perplexity = 0;
  int64_t parameters = 0;
  double step_ms = 0;  // mean
  double seconds = 0;  // of training, over all resumed parts
};

}  // namespace tercet::learn
