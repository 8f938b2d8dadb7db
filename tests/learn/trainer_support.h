// SPDX-License-Identifier: Apache-2.0
// Small training runs inside the test's process, which can be stopped at an exact step.
#pragma once

#include <atomic>
#include <sstream>
#include <utility>

#include "formats/json.h"
#include "learn/data/build.h"
#include "learn/data/hash.h"
#include "learn/data_support.h"
#include "learn/pretrain/trainer.h"

namespace tercet::learn::testing {

using tercet::testing::TemporaryDirectory;

// A tokenizer and a data set in `directory`/data.
inline void make_data(const TemporaryDirectory& directory) {
  std::filesystem::create_directories(directory.file("tokenizer"));
  std::filesystem::copy_file(TERCET_SOURCE_DIR "/tests/golden/tokenizers/sentencepiece.json",
                             directory.file("tokenizer/tokenizer.json"));
  tercet::testing::write_bytes(directory.file("tokenizer/tokenizer_config.json"),
                               R"({"bos_token": "<s>", "eos_token": "</s>"})");
  std::filesystem::create_directories(directory.file("corpus"));
  for (uint64_t i = 0; i < 40; ++i) {
    tercet::testing::write_bytes(directory.file(fmt::format("corpus/{:02}.txt", i)),
                                 tercet::testing::some_text(600, i));
  }
  BuildOptions build;
  build.inputs = {directory.file("corpus")};
  build.tokenizer = directory.file("tokenizer");
  build.out = directory.file("data");
  build.validation_fraction = 0.2;
  build_dataset(build, {}, nullptr);
}

class Training : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new TemporaryDirectory;
    make_data(*shared_);
  }
  static void TearDownTestSuite() {
    delete shared_;
    shared_ = nullptr;
  }

  static Recipe recipe() {
    Recipe r;
    r.hidden_size = 20;
    r.intermediate_size = 44;
    r.num_hidden_layers = 2;
    r.num_attention_heads = 2;
    r.num_key_value_heads = 1;
    r.data = {{shared_->file("data").string(), {}}};
    r.sequence_length = 16;
    r.batch_size = 4;
    r.micro_batch_size = 2;
    r.steps = 12;
    r.learning_rate = 0.01;
    r.warmup_steps = 2;
    r.threads = 1;
    r.eval_every = 4;
    r.eval_tokens = 64;
    r.sample_every = 0;
    r.checkpoint_every = 3;
    return r;
  }

  std::filesystem::path out(const std::string& name) const { return directory_.file(name); }

  // Trains to the end.
  TrainResult train(const Recipe& recipe, const std::string& name,
                    const TrainEvents& events = {}) const {
    return pretrain(recipe, out(name), false, events, nullptr);
  }
  TrainResult resume(const std::string& name, const TrainEvents& events = {}) const {
    return pretrain({}, out(name), true, events, nullptr);
  }
  // Stops a run as Ctrl-C does after the step, used or skipped, at which `when` says so.
  void train_until(const Recipe& recipe, const std::string& name,
                   const std::function<bool(int64_t step, bool skipped)>& when) const {
    std::atomic<bool> stop = false;
    TrainEvents events;
    events.on_step = [&](const StepReport& r) { stop = stop || when(r.step, false); };
    events.on_skip = [&](const SkipReport& r) { stop = stop || when(r.step, true); };
    try {
      pretrain(recipe, out(name), false, events, &stop);
      ADD_FAILURE() << "it was not stopped";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInterrupted) << error.what();
    }
  }
  void train_until(const Recipe& recipe, const std::string& name, int64_t last) const {
    train_until(recipe, name, [last](int64_t step, bool) { return step == last; });
  }

  // The lines of log.jsonl whose "event" is `kind`.
  std::vector<Json> events(const std::string& name, const std::string& kind) const {
    std::vector<Json> found;
    std::istringstream log(tercet::testing::read_bytes(out(name) / "log.jsonl"));
    for (std::string line; std::getline(log, line);) {
      Json json = Json::parse(line);
      if (json.at("event") == kind) found.push_back(std::move(json));
    }
    return found;
  }
  std::string weights(const std::string& name) const {
    return tercet::testing::read_bytes(out(name) / "model.safetensors");
  }
  std::filesystem::path checkpoint(const std::string& name, int64_t step) const {
    return out(name) / "checkpoints" / fmt::format("step-{:08}", step);
  }
  Json state(const std::filesystem::path& checkpoint) const {
    return read_json_file(checkpoint / "state.json");
  }
  // Changes state.json as someone would who also knows how to make its checksum.
  void change_state(const std::filesystem::path& checkpoint,
                    const std::function<void(Json&)>& change) const {
    Json json = state(checkpoint);
    change(json);
    json.erase("state_checksum");
    const std::string text = json.dump();
    Fnv1a64 hash;
    hash.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    json["state_checksum"] = fmt::format("{:016x}", hash.value());
    tercet::testing::write_bytes(checkpoint / "state.json", json.dump(2));
  }

 private:
  static inline TemporaryDirectory* shared_ = nullptr;
  TemporaryDirectory directory_;
};

}  // namespace tercet::learn::testing
