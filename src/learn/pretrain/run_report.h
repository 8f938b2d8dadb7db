// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "learn/pretrain/event_file.h"
#include "learn/pretrain/train_events.h"
#include "learn/pretrain/training_log.h"

namespace tercet::learn {

// What a run says while it runs: log.jsonl, the TensorBoard event file, and its caller's events.
class RunReport {
 public:
  // Opens both files after cutting them to what the checkpoint that the run goes on from knew.
  // `events` must outlive it. Throws kIo.
  RunReport(const std::filesystem::path& out, uint64_t log_bytes, uint64_t event_bytes,
            const TrainEvents& events);

  void start(const RunInfo& info);
  void step(const StepReport& report);
  void skip(const SkipReport& report);
  void eval(const EvalReport& report);
  void stats(const WeightReport& report);
  void sample(int64_t step, const std::string& prompt, const std::string& text);
  void checkpoint(const std::filesystem::path& directory);

  // Lengths of both files, which survive a crash of the machine after flush().
  void flush();
  uint64_t log_bytes() const { return log_.bytes(); }
  uint64_t event_bytes() const { return curves_.bytes(); }

 private:
  TrainingLog log_;
  EventFile curves_;
  const TrainEvents& events_;
};

}  // namespace tercet::learn
