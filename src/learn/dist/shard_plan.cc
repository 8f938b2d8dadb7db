// SPDX-License-Identifier: Apache-2.0
#include "learn/dist/shard_plan.h"

#include <algorithm>
#include <numeric>

namespace tercet::learn {
namespace {

constexpr int64_t kGrain = 16;  // elements: pieces begin where vector registers do

int64_t divided_up(int64_t value, int64_t by) { return (value + by - 1) / by; }

int64_t bucket_size(int64_t total, int64_t ranks, int64_t largest) {
  const int64_t rounds = divided_up(total, ranks * largest);
  return divided_up(divided_up(total, std::max<int64_t>(1, ranks * rounds)), kGrain) * kGrain;
}

}  // namespace

std::vector<Bucket> plan_shards(const std::vector<int64_t>& sizes, int64_t ranks, int64_t largest) {
  const int64_t total = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  const int64_t capacity = bucket_size(total, ranks, largest);
  std::vector<Bucket> buckets;
  for (size_t i = sizes.size(); i-- > 0;) {
    for (int64_t begin = 0; begin < sizes[i];) {
      if (buckets.empty() || buckets.back().elements == capacity) {
        buckets.push_back({static_cast<int64_t>(buckets.size()) % ranks, 0, {}});
      }
      Bucket& bucket = buckets.back();
      const int64_t end = std::min(sizes[i], begin + capacity - bucket.elements);
      bucket.pieces.push_back({i, begin, end});
      bucket.elements += end - begin;
      begin = end;
    }
  }
  return buckets;
}

}  // namespace tercet::learn
