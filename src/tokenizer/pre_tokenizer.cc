// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/pre_tokenizer.h"

#include <span>
#include <utility>

#include "tokenizer/byte_level.h"
#include "tokenizer/unicode.h"

namespace tercet {
namespace {

// Hands every piece of one step on to the next ones.
class Stage final : public PieceSink {
 public:
  Stage(std::span<const std::unique_ptr<const PreTokenizerStep>> steps, bool continues,
        PieceSink& out)
      : steps_(steps), continues_(continues), out_(out) {}

  void take(std::string_view piece, bool at_start) override {
    if (piece.empty()) return;
    if (steps_.empty()) return out_.take(piece, at_start);
    Stage next(steps_.subspan(1), continues_, out_);
    PieceSink& sink = steps_.size() == 1 ? out_ : static_cast<PieceSink&>(next);
    steps_.front()->apply(piece, at_start, continues_, sink);
  }

 private:
  std::span<const std::unique_ptr<const PreTokenizerStep>> steps_;
  bool continues_;
  PieceSink& out_;
};

// Joins matches and stretches as a behaviour has it; they come in order.
class Joiner {
 public:
  Joiner(std::string_view text, SplitBehavior behavior,
         const std::function<void(std::string_view)>& out)
      : text_(text), behavior_(behavior), out_(out) {}

  void add(size_t begin, size_t end, bool is_match) {
    if (has_pending_ && joins(is_match)) {
      pending_.end = end;
    } else {
      flush();
      pending_ = {begin, end};
      has_pending_ = true;
      pending_removed_ = behavior_ == SplitBehavior::kRemoved && is_match;
    }
    previous_match_ = is_match;
  }

  void flush() {
    if (has_pending_ && !pending_removed_ && pending_.begin != pending_.end) {
      out_(text_.substr(pending_.begin, pending_.end - pending_.begin));
    }
    has_pending_ = false;
  }

 private:
  bool joins(bool is_match) const {
    switch (behavior_) {
      case SplitBehavior::kContiguous:
        return is_match == previous_match_;
      case SplitBehavior::kMergedWithPrevious:
        return is_match && !previous_match_;
      case SplitBehavior::kMergedWithNext:
        return !is_match && previous_match_;
      case SplitBehavior::kRemoved:
      case SplitBehavior::kIsolated:
        break;
    }
    return false;
  }

  std::string_view text_;
  SplitBehavior behavior_;
  const std::function<void(std::string_view)>& out_;
  RegexMatch pending_;
  bool has_pending_ = false;
  bool pending_removed_ = false;
  bool previous_match_ = false;
};

// What splits: shared by the steps that differ in how they find matches.
class SplitStep : public PreTokenizerStep {
 public:
  SplitStep(SplitBehavior behavior, bool invert) : behavior_(behavior), invert_(invert) {}

 protected:
  void split(std::string_view piece, bool at_start, const MatchFinder& finder,
             PieceSink& out) const {
    split_by(piece, finder, behavior_, invert_, [&](std::string_view part) {
      out.take(part, at_start && part.data() == piece.data());
    });
  }

 private:
  SplitBehavior behavior_;
  bool invert_;
};

class RegexSplit final : public SplitStep {
 public:
  RegexSplit(Regex regex, SplitBehavior behavior, bool invert)
      : SplitStep(behavior, invert), regex_(std::move(regex)) {}
  void apply(std::string_view piece, bool at_start, bool, PieceSink& out) const override {
    RegexSearch search(regex_, piece);
    split(
        piece, at_start, [&] { return search.next(); }, out);
  }

 private:
  Regex regex_;
};

class LiteralSplit final : public SplitStep {
 public:
  LiteralSplit(std::string literal, SplitBehavior behavior, bool invert)
      : SplitStep(behavior, invert), literal_(std::move(literal)) {}
  void apply(std::string_view piece, bool at_start, bool, PieceSink& out) const override {
    size_t from = 0;
    const auto next = [&]() -> std::optional<RegexMatch> {
      const size_t begin = piece.find(literal_, from);
      if (begin == std::string_view::npos) return std::nullopt;
      from = begin + literal_.size();
      return RegexMatch{begin, from};
    };
    split(piece, at_start, next, out);
  }

 private:
  std::string literal_;
};

class CharSplit final : public SplitStep {
 public:
  CharSplit(bool (*matches)(uint32_t), SplitBehavior behavior)
      : SplitStep(behavior, false), matches_(matches) {}
  void apply(std::string_view piece, bool at_start, bool, PieceSink& out) const override {
    size_t at = 0;
    const auto next = [&]() -> std::optional<RegexMatch> {
      while (at < piece.size()) {
        const CodePoint point = code_point_at(piece.data() + at);
        at += point.length;
        if (matches_(point.code)) return RegexMatch{at - point.length, at};
      }
      return std::nullopt;
    };
    split(piece, at_start, next, out);
  }

 private:
  bool (*matches_)(uint32_t);
};

class ScannerStep final : public PreTokenizerStep {
 public:
  explicit ScannerStep(const WordScanner& scanner) : scanner_(scanner) {}
  void apply(std::string_view piece, bool at_start, bool, PieceSink& out) const override {
    while (!piece.empty()) {
      const size_t length = scanner_.next(piece);
      out.take(piece.substr(0, length), std::exchange(at_start, false));
      piece.remove_prefix(length);
    }
  }

 private:
  WordScanner scanner_;
};

class Metaspace final : public PreTokenizerStep {
 public:
  Metaspace(std::string replacement, PrependScheme scheme, bool split)
      : replacement_(std::move(replacement)), scheme_(scheme), split_(split) {}

  void apply(std::string_view piece, bool at_start, bool continues, PieceSink& out) const override {
    std::string text;
    text.reserve(piece.size() + piece.size() / 2);
    const bool begins_with_space = piece.starts_with(' ') || piece.starts_with(replacement_);
    const bool wanted =
        scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && at_start);
    if (wanted && !begins_with_space && !(continues && at_start)) text += replacement_;
    for (const char c : piece) {
      if (c == ' ') {
        text += replacement_;
      } else {
        text += c;
      }
    }
    if (!split_) return out.take(text, at_start);
    size_t begin = 0;
    for (size_t at = text.find(replacement_, 1); at != std::string::npos;
         at = text.find(replacement_, at + 1)) {
      out.take(std::string_view(text).substr(begin, at - begin), at_start && begin == 0);
      begin = at;
    }
    out.take(std::string_view(text).substr(begin), at_start && begin == 0);
  }

 private:
  std::string replacement_;
  PrependScheme scheme_;
  bool split_;
};

class LeadingSpace final : public PreTokenizerStep {
 public:
  void apply(std::string_view piece, bool at_start, bool continues, PieceSink& out) const override {
    if (piece.starts_with(' ') || (continues && at_start)) return out.take(piece, at_start);
    std::string text = " ";
    text += piece;
    out.take(text, at_start);
  }
};

class ByteLevelText final : public PreTokenizerStep {
 public:
  void apply(std::string_view piece, bool at_start, bool, PieceSink& out) const override {
    std::string text;
    append_byte_level(piece, text);
    out.take(text, at_start);
  }
};

}  // namespace

void pre_tokenize(const PreTokenizerSteps& steps, std::string_view text, bool at_start,
                  bool continues, PieceSink& out) {
  Stage(steps, continues, out).take(text, at_start);
}

void split_by(std::string_view text, const MatchFinder& next_match, SplitBehavior behavior,
              bool invert, const std::function<void(std::string_view)>& out) {
  Joiner joiner(text, behavior, out);
  size_t done = 0;
  while (const auto match = next_match()) {
    if (match->begin != done) joiner.add(done, match->begin, invert);
    joiner.add(match->begin, match->end, !invert);
    done = match->end;
  }
  if (done != text.size()) joiner.add(done, text.size(), invert);
  joiner.flush();
}

std::unique_ptr<const PreTokenizerStep> make_regex_split(Regex regex, SplitBehavior behavior,
                                                         bool invert) {
  return std::make_unique<RegexSplit>(std::move(regex), behavior, invert);
}
std::unique_ptr<const PreTokenizerStep> make_literal_split(std::string literal,
                                                           SplitBehavior behavior, bool invert) {
  return std::make_unique<LiteralSplit>(std::move(literal), behavior, invert);
}
std::unique_ptr<const PreTokenizerStep> make_char_split(bool (*matches)(uint32_t code),
                                                        SplitBehavior behavior) {
  return std::make_unique<CharSplit>(matches, behavior);
}
std::unique_ptr<const PreTokenizerStep> make_scanner(const WordScanner& scanner) {
  return std::make_unique<ScannerStep>(scanner);
}
std::unique_ptr<const PreTokenizerStep> make_metaspace(std::string replacement,
                                                       PrependScheme scheme, bool split) {
  return std::make_unique<Metaspace>(std::move(replacement), scheme, split);
}
std::unique_ptr<const PreTokenizerStep> make_leading_space() {
  return std::make_unique<LeadingSpace>();
}
std::unique_ptr<const PreTokenizerStep> make_byte_level_text() {
  return std::make_unique<ByteLevelText>();
}

bool is_numeric_char(uint32_t code) {
  return (CharTable::instance().flags(code) & kCharNumber) != 0;
}
bool is_punctuation_char(uint32_t code) {
  const uint8_t flags = CharTable::instance().flags(code);
  // In ASCII the symbols ($+<=>^`|~) count as well.
  return (flags & kCharPunctuation) != 0 || (code < 0x80 && (flags & kCharSymbol) != 0);
}
bool is_space_char(uint32_t code) { return (CharTable::instance().flags(code) & kCharSpace) != 0; }

}  // namespace tercet
