// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/hf_codec.h"

#include <mutex>
#include <unordered_map>
#include <utility>

#include "tokenizer/gguf_bpe.h"
#include "tokenizer/tokenizer_json_writer.h"
#include "tokenizer/unicode.h"

namespace tercet {
namespace {

// Lends buffers to encoders; as many exist as have run at one time.
class WorkspacePool {
 public:
  class Lease {
   public:
    explicit Lease(WorkspacePool& pool) : pool_(pool), workspace_(pool.take()) {}
    ~Lease() { pool_.give_back(std::move(workspace_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    BpeWorkspace& operator*() const { return *workspace_; }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<BpeWorkspace> workspace_;
  };

 private:
  std::unique_ptr<BpeWorkspace> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<BpeWorkspace> workspace = std::move(idle_.back());
        idle_.pop_back();
        return workspace;
      }
    }
    return std::make_unique<BpeWorkspace>();
  }
  void give_back(std::unique_ptr<BpeWorkspace> workspace) {
    workspace->shrink();
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(workspace));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<BpeWorkspace>> idle_;
};

// Encodes the words that pre-tokenizing finds.
class WordEncoder final : public PieceSink {
 public:
  WordEncoder(const BpeModel& model, BpeWorkspace& workspace, std::vector<int32_t>& ids)
      : model_(model), workspace_(workspace), ids_(ids) {}
  void take(std::string_view word, bool) override {
    if (model_.byte_level()) {
      model_.encode_word(word, workspace_, ids_);
    } else {
      model_.encode_long(word, workspace_, ids_);
    }
  }

 private:
  const BpeModel& model_;
  BpeWorkspace& workspace_;
  std::vector<int32_t>& ids_;
};

std::string normalize(const NormalizerSteps& steps, std::string_view text, bool continues) {
  std::string out(text);
  for (const auto& step : steps) step->apply(out, continues);
  return out;
}

// `text` as valid UTF-8, with the ranges of `data` where they are then. Each range and what lies
// between them is repaired by itself.
struct RepairedText {
  RepairedText(std::string_view text, std::span<const TextRange> data) : ranges(data) {
    view = valid_utf8(text, storage);
    if (data.empty() || view.data() == text.data()) return;
    std::string all;
    std::string part;
    size_t done = 0;
    for (const TextRange& range : data) {
      all += valid_utf8(text.substr(done, range.begin - done), part);
      const size_t begin = all.size();
      all += valid_utf8(text.substr(range.begin, range.end - range.begin), part);
      moved.push_back({begin, all.size()});
      done = range.end;
    }
    all += valid_utf8(text.substr(done), part);
    storage = std::move(all);
    view = storage;
    ranges = moved;
  }
  RepairedText(const RepairedText&) = delete;
  RepairedText& operator=(const RepairedText&) = delete;

  std::string_view view;
  std::span<const TextRange> ranges;
  std::string storage;
  std::vector<TextRange> moved;
};

// Those looked for before normalizing, or those after, with normalized texts.
AddedTokenMatcher matcher_of(const std::vector<AddedToken>& tokens, bool normalized,
                             const NormalizerSteps& steps) {
  std::vector<AddedToken> chosen;
  for (const AddedToken& token : tokens) {
    // Without a normalizer both are the same.
    if ((token.normalized && !steps.empty()) != normalized) continue;
    chosen.push_back(token);
    if (normalized) chosen.back().text = normalize(steps, token.text, false);
    if (chosen.back().text.empty()) chosen.pop_back();
  }
  return AddedTokenMatcher(std::move(chosen));
}

class HfCodec final : public Codec {
 public:
  explicit HfCodec(HfSpec spec)
      : model_(std::move(spec.bpe)),
        raw_matcher_(matcher_of(spec.added, false, spec.normalizer)),
        normalized_matcher_(matcher_of(spec.added, true, spec.normalizer)),
        spec_(std::move(spec)) {
    for (const AddedToken& token : spec_.added) added_.emplace(token.text, &token);
    is_special_.resize(model_.pieces().size());
    for (const AddedToken& token : spec_.added) {
      is_special_[static_cast<size_t>(token.id)] = token.special;
    }
  }

  const std::vector<Piece>& pieces() const override { return model_.pieces(); }
  const SpecialIds& special_ids() const override { return spec_.special_ids; }
  int32_t find_special(std::string_view text) const override {
    const auto found = added_.find(text);
    return found == added_.end() ? -1 : found->second->id;
  }
  bool is_special(int32_t id) const override { return is_special_[static_cast<size_t>(id)]; }

  std::vector<int32_t> encode(std::string_view raw, const EncodeOptions& options) const override {
    const RepairedText repaired(raw, options.data);
    const std::string_view text = repaired.view;
    std::vector<int32_t> ids;
    ids.reserve(text.size() / 4 + 8);
    const WorkspacePool::Lease workspace(pool_);
    WordEncoder words(model_, *workspace, ids);
    const auto encode_stretch = [&](std::string_view stretch) {
      const auto begin = static_cast<size_t>(stretch.data() - text.data());
      // Normalizing moves bytes about: a control token that is looked for behind it counts only
      // where the whole stretch is the program's own.
      const bool with_special =
          options.with_special && !touches_any(repaired.ranges, begin, begin + stretch.size());
      encode_normalized(stretch, begin == 0, {options.continues, with_special, {}}, words, ids);
    };
    raw_matcher_.split(text, options.with_special, repaired.ranges,
                       [&](std::string_view stretch, const AddedToken* token) {
                         if (token == nullptr) return encode_stretch(stretch);
                         ids.push_back(token->id);
                       });
    return ids;
  }

  void append_text(int32_t id, DecodeState& state, std::string& out) const override {
    if (is_special(id)) return;
    spec_.decoder.append(model_.pieces()[static_cast<size_t>(id)].text, state, out);
  }

  void write_gguf(GgufWriter& writer) const override { write_gguf_bpe(spec_, model_, writer); }
  std::string to_json() const override { return byte_level_json(spec_, model_); }

 private:
  void encode_normalized(std::string_view stretch, bool at_start, const EncodeOptions& options,
                         WordEncoder& words, std::vector<int32_t>& ids) const {
    const bool continues = options.continues && at_start;
    std::string normalized;
    std::string_view text = stretch;
    if (!spec_.normalizer.empty()) {
      normalized = normalize(spec_.normalizer, stretch, continues);
      text = normalized;
    }
    normalized_matcher_.split(
        text, options.with_special, {}, [&](std::string_view part, const AddedToken* token) {
          if (token != nullptr) return ids.push_back(token->id);
          const bool part_at_start = at_start && part.data() == text.data();
          pre_tokenize(spec_.pre_tokenizer, part, part_at_start, continues, words);
        });
  }

  BpeModel model_;
  AddedTokenMatcher raw_matcher_;
  AddedTokenMatcher normalized_matcher_;
  HfSpec spec_;  // without what went into the model
  std::unordered_map<std::string_view, const AddedToken*> added_;
  std::vector<bool> is_special_;
  mutable WorkspacePool pool_;
};

}  // namespace

std::unique_ptr<const Codec> make_hf_codec(HfSpec spec) {
  return std::make_unique<const HfCodec>(std::move(spec));
}

}  // namespace tercet
