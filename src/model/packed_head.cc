// SPDX-License-Identifier: Apache-2.0
#include "model/packed_head.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "core/error.h"
#include "model/linear.h"

namespace tercet {
namespace {

constexpr std::array<std::pair<HeadPrecision, const char*>, 4> kNames = {{
    {HeadPrecision::kStored, "stored"},
    {HeadPrecision::kInt4, "int4"},
    {HeadPrecision::kInt6, "int6"},
    {HeadPrecision::kInt8, "int8"},
}};

// Bound of what lies on the stack.
constexpr size_t kMostParts = 16 * kMaxPanelRows;  // of a tile

// Rows of the stored head that are in memory at a time while it is packed.
constexpr int64_t kRowsAtOnce = 4096;

constexpr int kUpperBits = 4;
// Digits of the upper plane run from 1 to 15, so that the sum of both planes is symmetric.
constexpr int kLargestUpper = 7;

int lower_bits(HeadPrecision precision) {
  return precision == HeadPrecision::kInt8 ? 4 : precision == HeadPrecision::kInt6 ? 2 : 0;
}

// The lower plane: nibbles, or pairs of bits, both from half of their range below zero.
PanelSource lower_source(int bits) {
  if (bits == 4) return nibble_source();
  PanelSource source = panel_source(packing::Layout::kTrit4);
  source.offset = 2;
  return source;
}

int64_t panels_of(int64_t rows, int64_t panel_rows) { return (rows + panel_rows - 1) / panel_rows; }

size_t plane_bytes(const PanelSource& source, int64_t rows, int64_t cols, int64_t panel_rows) {
  return static_cast<size_t>(panel_shape(source, rows, cols, cols, panel_rows).bytes());
}

// Inputs in two parts of eight bits: x * scale = 256 * upper + lower. 0 for a vector that holds
// something else than numbers.
constexpr float kLargestInput = 32512;  // 127 * 256

float split(const float* x, int64_t count, int8_t* upper, int8_t* lower) {
  float largest = 0;
  bool is_finite = true;
  for (int64_t i = 0; i < count; ++i) {
    is_finite &= std::isfinite(x[i]);
    largest = std::max(largest, std::abs(x[i]));
  }
  if (!is_finite) {
    std::fill(upper, upper + count, int8_t{0});
    std::fill(lower, lower + count, int8_t{0});
    return std::numeric_limits<float>::quiet_NaN();
  }
  const float scale = kLargestInput / std::max(largest, 1e-30f);
  for (int64_t i = 0; i < count; ++i) {
    const int whole = static_cast<int>(std::lrintf(x[i] * scale));
    const int high = (whole + 128) >> 8;
    upper[i] = static_cast<int8_t>(high);
    lower[i] = static_cast<int8_t>(whole - 256 * high);
  }
  return scale;
}

// Digits of one row in the order of a plane: for nibbles columns 8i + j and 8i + 4 + j share byte
// 4i + j, pairs of bits lie four to a byte.
void lay_digit(int bits, int64_t column, int digit, uint8_t* row) {
  const int64_t byte = bits == 4 ? column / 8 * 4 + column % 4 : column / 4;
  const int64_t place = bits == 4 ? column % 8 / 4 * 4 : column % 4 * 2;
  row[byte] = static_cast<uint8_t>(row[byte] | (digit << place));
}

}  // namespace

const char* to_string(HeadPrecision precision) {
  for (const auto& [value, name] : kNames) {
    if (value == precision) return name;
  }
  return "unknown";
}

HeadPrecision parse_head_precision(std::string_view text) {
  for (const auto& [value, name] : kNames) {
    if (text == name) return value;
  }
  fail(ErrorCode::kUsage, "unknown head precision '{}'; choose one of stored, int4, int6, int8",
       text);
}

HeadPrecision fast_head_precision(const LinearWeights& head) {
  constexpr int64_t kLarge = int64_t{1} << 24;  // weights
  return head.rows * head.cols >= kLarge ? HeadPrecision::kInt8 : HeadPrecision::kStored;
}

PackedHead::PackedHead(const LinearWeights& head, HeadPrecision precision,
                       const KernelTable& kernels, ThreadPool& pool, FunctionRef<void()> forget)
    : kernels_(kernels),
      precision_(precision),
      rows_(head.rows),
      cols_(head.cols),
      row_scales_(static_cast<size_t>(panels_of(rows_, kernels.panel_rows) * kernels.panel_rows)),
      upper_(nibble_source(), rows_, cols_, kernels.panel_rows, {}, {}) {
  if (cols_ > kMaxPanelColumns) {
    fail(ErrorCode::kUnsupported,
         "tensor '{}' has rows of {} weights, products of more than {} do not fit 32 bits",
         head.name, cols_, kMaxPanelColumns);
  }
  const int64_t panel_rows = kernels.panel_rows;
  const int bits = lower_bits(precision);
  const size_t upper_bytes = plane_bytes(nibble_source(), rows_, cols_, panel_rows);
  const size_t lower_bytes =
      bits == 0 ? 0 : plane_bytes(lower_source(bits), rows_, cols_, panel_rows);
  memory_ = AlignedBuffer(upper_bytes + lower_bytes);
  const auto upper = memory_.bytes().first(upper_bytes);
  const auto lower = memory_.bytes().subspan(upper_bytes);
  int64_t stretch = 0;  // its first panel
  const auto body = [&](int64_t begin, int64_t end) {
    fill(head, stretch + begin, end - begin, upper, lower);
  };
  const int64_t panels = panels_of(rows_, panel_rows);
  const int64_t step = std::max<int64_t>(kRowsAtOnce / panel_rows, 1);
  for (; stretch < panels; stretch += step) {
    pool.parallel_for(std::min(step, panels - stretch), 1, std::ref(body));
    forget();
  }

  std::vector<float> upper_scales = row_scales_;
  for (float& scale : upper_scales) scale *= static_cast<float>(1 << bits);
  upper_ = PackedMatrix(nibble_source(), rows_, cols_, panel_rows, std::move(upper_scales), upper);
  if (bits != 0) {
    lower_.emplace(lower_source(bits), rows_, cols_, panel_rows, row_scales_, lower);
  }
}

void PackedHead::fill(const LinearWeights& head, int64_t first, int64_t count,
                      std::span<uint8_t> upper, std::span<uint8_t> lower) {
  const int64_t panel_rows = kernels_.panel_rows;
  const int bits = lower_bits(precision_);
  const int half = bits == 0 ? 0 : 1 << (bits - 1);
  const float largest = static_cast<float>(kLargestUpper * (1 << bits) + std::max(half - 1, 0));
  const int64_t upper_stride = (cols_ + 7) / 8 * 4;
  const int64_t lower_stride = bits == 4 ? upper_stride : (cols_ + 3) / 4;
  std::vector<float> values(static_cast<size_t>(cols_));
  std::vector<uint8_t> upper_rows(static_cast<size_t>(panel_rows * upper_stride));
  std::vector<uint8_t> lower_rows(static_cast<size_t>(panel_rows * lower_stride));
  for (int64_t panel = first; panel < first + count; ++panel) {
    std::fill(upper_rows.begin(), upper_rows.end(), uint8_t{0});
    std::fill(lower_rows.begin(), lower_rows.end(), uint8_t{0});
    const int64_t rows = std::min(panel_rows, rows_ - panel * panel_rows);
    for (int64_t i = 0; i < rows; ++i) {
      decode_row(head, panel * panel_rows + i, values.data());
      float absmax = 0;
      for (const float value : values) absmax = std::max(absmax, std::abs(value));
      const float scale = absmax / largest;
      row_scales_[static_cast<size_t>(panel * panel_rows + i)] = scale;
      const float inverse = scale > 0 ? 1 / scale : 0;
      for (int64_t c = 0; c < cols_; ++c) {
        const int whole = static_cast<int>(std::lrintf(values[static_cast<size_t>(c)] * inverse));
        const int high = (whole + half) >> bits;
        lay_digit(kUpperBits, c, high + 8, upper_rows.data() + i * upper_stride);
        if (bits == 0) continue;
        const int low = whole - (high << bits) + half;
        lay_digit(bits, c, low, lower_rows.data() + i * lower_stride);
      }
    }
    const auto pack = [&](const PanelSource& source, const std::vector<uint8_t>& stored,
                          int64_t stride, std::span<uint8_t> plane) {
      const PanelShape shape = panel_shape(source, rows_, cols_, cols_, panel_rows);
      pack_panels(source, {stored, stride, rows, cols_, cols_}, panel_rows, 0, 1,
                  plane.data() + panel * shape.panel_bytes);
    };
    pack(nibble_source(), upper_rows, upper_stride, upper);
    if (bits != 0) pack(lower_source(bits), lower_rows, lower_stride, lower);
  }
}

void PackedHead::prepare(const float* x, int64_t tokens, ThreadPool& pool, Scratch& scratch) const {
  const int64_t size = tokens * cols_;
  scratch.q.resize(static_cast<size_t>(2 * size));
  scratch.scales.resize(static_cast<size_t>(2 * tokens));
  int8_t* q = scratch.q.data();
  float* scales = scratch.scales.data();
  for (int64_t t = 0; t < tokens; ++t) {
    const float scale = split(x + t * cols_, cols_, q + t * cols_, q + size + t * cols_);
    scales[t] = scale / 256;
    scales[tokens + t] = scale;
  }
  const auto arrange = [&](const PackedMatrix& plane, Parts& parts) {
    parts.high.arrange(plane.arrangement(), q, {scales}, tokens, kernels_, pool);
    parts.low.arrange(plane.arrangement(), q + size, {scales + tokens}, tokens, kernels_, pool);
  };
  arrange(upper_, scratch.upper);
  if (lower_ && lower_->arrangement() != upper_.arrangement()) arrange(*lower_, scratch.lower);
}

const PackedHead::Parts& PackedHead::lower_parts(const Scratch& scratch) const {
  return lower_->arrangement() == upper_.arrangement() ? scratch.upper : scratch.lower;
}

void PackedHead::add_panel(const PackedMatrix& plane, int64_t panel, const TokenTiles& tiles,
                           TokenSet wanted, float* sums) const {
  std::array<float, kMostParts> products;
  const int64_t panel_rows = kernels_.panel_rows;
  for (int64_t tile = 0; tile < tiles.count(); ++tile) {
    const int64_t first = tiles.first(tile);
    const int count = tiles.tokens(tile);
    if ((wanted >> first & ((TokenSet{1} << count) - 1)) == 0) continue;
    plane.multiply(kernels_, panel, 1, tiles.tile(tile), count, products.data(), panel_rows);
    for (int64_t t = 0; t < count; ++t) {
      float* to = sums + (first + t) * panel_rows;
      const float* from = products.data() + t * panel_rows;
      for (int64_t i = 0; i < rows_of(panel); ++i) to[i] += from[i];
    }
  }
}

void PackedHead::add_rest(int64_t panel, TokenSet wanted, const Scratch& scratch,
                          float* sums) const {
  add_panel(upper_, panel, scratch.upper.low, wanted, sums);
  if (!lower_) return;
  add_panel(*lower_, panel, lower_parts(scratch).high, wanted, sums);
  add_panel(*lower_, panel, lower_parts(scratch).low, wanted, sums);
}

void PackedHead::multiply(const float* x, int64_t tokens, ThreadPool& pool, Scratch& scratch,
                          float* out) const {
  const int64_t panel_rows = kernels_.panel_rows;
  for (int64_t first = 0; first < tokens; first += kTokensAtOnce) {
    const int64_t count = std::min(kTokensAtOnce, tokens - first);
    prepare(x + first * cols_, count, pool, scratch);
    const auto body = [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel) {
        std::array<float, kTokensAtOnce * kMaxPanelRows> sums;
        std::fill_n(sums.begin(), count * panel_rows, 0.0f);
        add_panel(upper_, panel, scratch.upper.high, ~TokenSet{0}, sums.data());
        add_rest(panel, ~TokenSet{0}, scratch, sums.data());
        for (int64_t t = 0; t < count; ++t) {
          std::copy_n(sums.data() + t * panel_rows, rows_of(panel),
                      out + (first + t) * rows_ + panel * panel_rows);
        }
      }
    };
    pool.parallel_for(upper_.panels(), 1, std::ref(body));
  }
}

void PackedHead::multiply_top(const float* x, int64_t tokens, ThreadPool& pool, Scratch& scratch,
                              float* out) const {
  if (!lower_) return multiply(x, tokens, pool, scratch, out);
  std::array<Unsure, kTokensAtOnce> unsure;
  for (int64_t first = 0; first < tokens; first += kTokensAtOnce) {
    const int64_t count = std::min(kTokensAtOnce, tokens - first);
    prepare(x + first * cols_, count, pool, scratch);
    const std::span<Unsure> here = std::span(unsure).first(static_cast<size_t>(count));
    for (int64_t t = 0; t < count; ++t)
      here[static_cast<size_t>(t)] = unsure_about(x + (first + t) * cols_);
    look(here, pool, scratch, out + first * rows_);
    for (int64_t t = 0; t < count; ++t) {
      here[static_cast<size_t>(t)].least = least_reach(t, scratch);
    }
    finish(here, pool, scratch, out + first * rows_);
  }
}

PackedHead::Unsure PackedHead::unsure_about(const float* x) const {
  double sum = 0;
  double square = 0;
  for (int64_t c = 0; c < cols_; ++c) {
    sum += static_cast<double>(x[c]);
    square += static_cast<double>(x[c]) * static_cast<double>(x[c]);
  }
  // The digits of the lower plane are about uniform over their range, whose middle is -1/2. The low
  // parts, a 256th of the inputs' range, hide in the many deviations.
  const int range = 1 << lower_bits(precision_);
  return {.middle = static_cast<float>(-0.5 * sum),
          .reach = kSafeDeviations * static_cast<float>(std::sqrt(square * range * range / 12)),
          .least = 0};
}

void PackedHead::look(std::span<const Unsure> unsure, ThreadPool& pool, Scratch& scratch,
                      float* out) const {
  const int64_t panel_rows = kernels_.panel_rows;
  const int64_t panels = upper_.panels();
  scratch.best.resize(unsure.size() * static_cast<size_t>(panels));
  scratch.reach.resize(scratch.best.size());
  const auto body = [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) {
      std::array<float, kTokensAtOnce * kMaxPanelRows> sums;
      std::fill_n(sums.begin(), std::ssize(unsure) * panel_rows, 0.0f);
      add_panel(upper_, panel, scratch.upper.high, ~TokenSet{0}, sums.data());
      const float* scales = row_scales_.data() + panel * panel_rows;
      for (int64_t t = 0; t < std::ssize(unsure); ++t) {
        const auto [middle, reach, least] = unsure[static_cast<size_t>(t)];
        const float* of_token = sums.data() + t * panel_rows;
        float best = -std::numeric_limits<float>::infinity();
        float furthest = best;
        for (int64_t i = 0; i < rows_of(panel); ++i) {
          const float logit = of_token[i] + scales[i] * middle;
          best = std::max(best, logit);
          furthest = std::max(furthest, logit + scales[i] * reach);
        }
        scratch.best[static_cast<size_t>(t * panels + panel)] = best;
        scratch.reach[static_cast<size_t>(t * panels + panel)] = furthest;
        std::copy_n(of_token, rows_of(panel), out + t * rows_ + panel * panel_rows);
      }
    }
  };
  pool.parallel_for(panels, 1, std::ref(body));
}

// The panels that may hold the largest logit, and of those with likely tokens so many that a
// flat distribution does not cost another head.
float PackedHead::least_reach(int64_t token, Scratch& scratch) const {
  const int64_t panels = upper_.panels();
  const auto best_of = scratch.best.begin() + token * panels;
  const auto reach_of = scratch.reach.begin() + token * panels;
  const float best = *std::max_element(best_of, best_of + panels);
  scratch.ranked.assign(reach_of, reach_of + panels);
  const auto last = scratch.ranked.begin() + panels / kMostLikelyPanels;
  std::nth_element(scratch.ranked.begin(), last, scratch.ranked.end(), std::greater<>());
  return std::min(std::max(*last, best - kLikely), best);
}

void PackedHead::finish(std::span<const Unsure> unsure, ThreadPool& pool, Scratch& scratch,
                        float* out) const {
  const int64_t panel_rows = kernels_.panel_rows;
  const int64_t panels = upper_.panels();
  const auto body = [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t rows = rows_of(panel);
      const float* scales = row_scales_.data() + panel * panel_rows;
      TokenSet wanted = 0;
      for (size_t t = 0; t < unsure.size(); ++t) {
        const float reach =
            scratch.reach[t * static_cast<size_t>(panels) + static_cast<size_t>(panel)];
        if (reach >= unsure[t].least) wanted |= TokenSet{1} << t;
      }
      std::array<float, kTokensAtOnce * kMaxPanelRows> sums;
      if (wanted != 0) {
        for (int64_t t = 0; t < std::ssize(unsure); ++t) {
          std::copy_n(out + t * rows_ + panel * panel_rows, rows, sums.data() + t * panel_rows);
        }
        add_rest(panel, wanted, scratch, sums.data());
      }
      for (int64_t t = 0; t < std::ssize(unsure); ++t) {
        float* logits = out + t * rows_ + panel * panel_rows;
        if ((wanted >> t & 1) != 0) {
          std::copy_n(sums.data() + t * panel_rows, rows, logits);
          continue;
        }
        for (int64_t i = 0; i < rows; ++i) {
          logits[i] += scales[i] * unsure[static_cast<size_t>(t)].middle;
        }
      }
    }
  };
  pool.parallel_for(panels, 1, std::ref(body));
}

}  // namespace tercet
