// SPDX-License-Identifier: Apache-2.0
#include "model/token_tiles.h"

#include <algorithm>
#include <functional>

namespace tercet {

int TokenTiles::tokens(int64_t tile) const {
  return static_cast<int>(std::min(tokens_ - first(tile), widest_));
}

int TokenTiles::width(int64_t tile) const {
  return *std::find_if(widths_.begin(), widths_.end(),
                       [wanted = tokens(tile)](int width) { return width >= wanted; });
}

PanelTile TokenTiles::tile(int64_t tile) const {
  return {width(tile), places_.data() + first(tile) * arrangement_.row_places,
          sums_.data() + first(tile) * arrangement_.groups,
          scales_.data() + first(tile) * scales_per_token_, scales_per_token_ > 1};
}

void TokenTiles::arrange_scales(const Scales& scales, int64_t tile) {
  float* to = scales_.data() + first(tile) * scales_per_token_;
  for (int64_t group = 0; group < scales_per_token_; ++group) {
    for (int64_t t = 0; t < tokens(tile); ++t) {
      to[group * width(tile) + t] = scales.values[(first(tile) + t) * scales_per_token_ + group];
    }
  }
}

void TokenTiles::arrange(const PackedMatrix::Arrangement& arrangement, const int8_t* q,
                         const Scales& scales, int64_t tokens, const KernelTable& kernels,
                         ThreadPool& pool) {
  arrangement_ = arrangement;
  q_ = q;
  tokens_ = tokens;
  widest_ = kernels.tiles.back();
  widths_ = kernels.tiles;
  const int64_t places = first(count() - 1) + width(count() - 1);
  const auto grow = [](auto& vector, int64_t size) {
    if (std::ssize(vector) < size) vector.resize(static_cast<size_t>(size));
  };
  grow(places_, places * arrangement.row_places);
  grow(sums_, places * arrangement.groups);
  scales_per_token_ = scales.per_token;
  // One where nobody takes a place, for kernels divide by all of them.
  scales_.assign(static_cast<size_t>(places * scales_per_token_), 1.0f);
  const auto body = [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      arrange_scales(scales, index);
      arrange_tile(arrangement.source, q + first(index) * arrangement.cols, this->tokens(index),
                   arrangement.cols, arrangement.group, width(index),
                   places_.data() + first(index) * arrangement.row_places,
                   sums_.data() + first(index) * arrangement.groups);
    }
  };
  if (count() == 1) return body(0, 1);
  pool.parallel_for(count(), 1, std::ref(body));
}

}  // namespace tercet
