// SPDX-License-Identifier: Apache-2.0
#include "cli/common/memory_verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "cli/common/numbers.h"
#include "core/checked.h"

namespace tercet::cli {
namespace {

// Activations of a chunk of tokens, logits, the program itself.
constexpr uint64_t kScratchBytes = uint64_t{64} << 20;
constexpr int64_t kContextStep = 256;  // a round number reads better than the last token that fits

uint64_t saturating_add(uint64_t a, uint64_t b) {
  return checked_add(a, b).value_or(std::numeric_limits<uint64_t>::max());
}

uint64_t key_value_bytes(const MemoryQuestion& question) {
  return checked_mul(question.per_token, static_cast<uint64_t>(question.context))
      .value_or(std::numeric_limits<uint64_t>::max());
}

int64_t fitting_context(const MemoryQuestion& question) {
  const uint64_t fixed = saturating_add(question.weights, kScratchBytes);
  if (question.available <= fixed || question.per_token == 0) return 0;
  const uint64_t tokens = (question.available - fixed) / question.per_token;
  if (tokens >= static_cast<uint64_t>(question.context)) return question.context;
  return static_cast<int64_t>(tokens) / kContextStep * kContextStep;
}

}  // namespace

MemoryVerdict judge_memory(const MemoryQuestion& question) {
  MemoryVerdict verdict;
  const uint64_t keys_values = key_value_bytes(question);
  verdict.needed = saturating_add(saturating_add(question.weights, keys_values), kScratchBytes);
  std::string parts = format_bytes(question.weights) + " for weights";
  if (question.context > 0) {
    parts += fmt::format(" and {} for keys and values at a context of {}",
                         format_bytes(keys_values), question.context);
  }
  if (question.available == 0) {
    verdict.fitting_context = question.context;
    verdict.sentence = fmt::format("needs {}; how much is free is not known", parts);
    return verdict;
  }
  verdict.fits = verdict.needed <= question.available;
  verdict.fitting_context = fitting_context(question);
  const std::string free = format_bytes(question.available);
  if (verdict.fits) {
    verdict.sentence = fmt::format("fits: {}, {} are available", parts, free);
  } else if (verdict.fitting_context > 0) {
    verdict.sentence = fmt::format("does not fit: {}, only {} are available; try --ctx {}", parts,
                                   free, verdict.fitting_context);
  } else {
    verdict.sentence = fmt::format(
        "does not fit: {}, only {} are available; take a smaller model or one with "
        "fewer bits per weight",
        parts, free);
  }
  return verdict;
}

}  // namespace tercet::cli
