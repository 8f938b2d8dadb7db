// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "core/half.h"
#include "core/rng.h"
#include "kernels/every_isa.h"

namespace tercet {
namespace {

std::vector<float> draw(int64_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(rng.uniform() * 4 - 2));
  return values;
}

// One storage type: how rows are stored, which values they then hold, and the kernel.
struct Storage {
  const char* name;
  std::function<std::vector<uint8_t>(const std::vector<float>&)> store;
  std::function<float(float)> kept;
  std::function<void(const KernelTable&, const uint8_t*, int64_t, int64_t, const float*, float*)>
      dot;
};

template <class T, class Convert>
std::vector<uint8_t> store_each(const std::vector<float>& values, Convert convert) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    const T stored = convert(values[i]);
    std::memcpy(&bytes[i * sizeof(T)], &stored, sizeof(T));
  }
  return bytes;
}

const Storage kStorages[] = {
    {"f32", [](const auto& v) { return store_each<float>(v, [](float x) { return x; }); },
     [](float x) { return x; },
     [](const KernelTable& t, const uint8_t* w, int64_t rows, int64_t cols, const float* x,
        float* out) { t.dot_f32(w, rows, cols, x, out); }},
    {"f16", [](const auto& v) { return store_each<uint16_t>(v, f32_to_f16); },
     [](float x) { return f16_to_f32(f32_to_f16(x)); },
     [](const KernelTable& t, const uint8_t* w, int64_t rows, int64_t cols, const float* x,
        float* out) { t.dot_f16(w, rows, cols, x, out); }},
    {"bf16", [](const auto& v) { return store_each<uint16_t>(v, f32_to_bf16); },
     [](float x) { return bf16_to_f32(f32_to_bf16(x)); },
     [](const KernelTable& t, const uint8_t* w, int64_t rows, int64_t cols, const float* x,
        float* out) { t.dot_bf16(w, rows, cols, x, out); }},
};

// The order that kernel_table.h promises.
float lane_sum(const std::vector<float>& w, const std::vector<float>& x) {
  std::vector<float> lanes(32, 0.0f);
  for (size_t i = 0; i < w.size(); ++i) {
    const float product = w[i] * x[i];
    lanes[i % 32] += product;
  }
  for (size_t width = 16; width > 0; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

TEST(FloatDot, SameBitsAsTheDocumentedOrderOnEveryIsa) {
  for (const Storage& storage : kStorages) {
    SCOPED_TRACE(storage.name);
    for (int64_t cols = 1; cols <= 330; cols += cols < 70 ? 1 : 13) {
      const int64_t rows = 2;
      const std::vector<float> weights = draw(rows * cols, 1);
      const std::vector<float> x = draw(cols, 2);
      const std::vector<uint8_t> bytes = storage.store(weights);
      on_every_isa([&](const KernelTable& table) {
        std::vector<float> out(rows);
        storage.dot(table, bytes.data(), rows, cols, x.data(), out.data());
        for (int64_t row = 0; row < rows; ++row) {
          std::vector<float> kept;
          for (int64_t i = 0; i < cols; ++i) kept.push_back(storage.kept(weights[row * cols + i]));
          EXPECT_EQ(out[row], lane_sum(kept, x)) << cols;
        }
      });
    }
  }
}

// As safetensors may place them. Where the hardware forgives it, only a sanitizer sees a kernel
// that relies on more; the weights lie at the end of the heap block, so that it sees reads behind
// them.
TEST(FloatDot, WeightsMayLieAtAnyAddress) {
  for (const Storage& storage : kStorages) {
    SCOPED_TRACE(storage.name);
    for (const int64_t cols : {1, 31, 32, 45, 320}) {
      const std::vector<uint8_t> aligned = storage.store(draw(3 * cols, 5));
      const std::vector<float> x = draw(cols, 6);
      std::vector<uint8_t> moved(1);
      moved.insert(moved.end(), aligned.begin(), aligned.end());
      moved.shrink_to_fit();
      on_every_isa([&](const KernelTable& table) {
        std::vector<float> expected(3);
        std::vector<float> out(3);
        storage.dot(table, aligned.data(), 3, cols, x.data(), expected.data());
        storage.dot(table, moved.data() + 1, 3, cols, x.data(), out.data());
        EXPECT_EQ(out, expected) << cols;
      });
    }
  }
}

TEST(FloatDot, SumsWhatItShould) {  // against double, without the order above
  const int64_t cols = 1000;
  const std::vector<float> w = draw(cols, 3);
  const std::vector<float> x = draw(cols, 4);
  double sum = 0;
  for (int64_t i = 0; i < cols; ++i) sum += static_cast<double>(w[i]) * static_cast<double>(x[i]);
  on_every_isa([&](const KernelTable& table) {
    float out = 0;
    table.dot_f32(w.data(), 1, cols, x.data(), &out);
    EXPECT_NEAR(out, sum, 1e-4);
  });
}

TEST(FloatDot, EveryHalfIsWidenedExactly) {
  on_every_isa([](const KernelTable& table) {
    for (uint32_t bits = 0; bits < 65536; ++bits) {
      std::vector<uint16_t> half(32, 0);
      half[bits % 32] = static_cast<uint16_t>(bits);
      const std::vector<float> ones(32, 1.0f);
      float out = 0;
      table.dot_f16(half.data(), 1, 32, ones.data(), &out);
      const float expected = f16_to_f32(static_cast<uint16_t>(bits));
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(out)) << bits;
      } else {
        ASSERT_EQ(out, expected) << bits;
      }
    }
  });
}

TEST(FloatDot, Q8BlocksScaleTheirInts) {
  for (const int64_t cols : {32, 64, 96, 320, 576}) {
    Rng rng(7);
    std::vector<uint8_t> bytes(1);  // odd address: q8_0 needs no alignment
    std::vector<float> values;
    for (int64_t block = 0; block < 2 * cols / 32; ++block) {
      const uint16_t scale = f32_to_f16(static_cast<float>(rng.uniform()) - 0.3f);
      bytes.push_back(static_cast<uint8_t>(scale & 0xFF));
      bytes.push_back(static_cast<uint8_t>(scale >> 8));
      for (int i = 0; i < 32; ++i) {
        bytes.push_back(static_cast<uint8_t>(rng.below(256)));
        values.push_back(f16_to_f32(scale) * static_cast<float>(static_cast<int8_t>(bytes.back())));
      }
    }
    const std::vector<float> x = draw(cols, 8);
    on_every_isa([&](const KernelTable& table) {
      float out[2] = {};
      table.dot_q8_0(bytes.data() + 1, 2, cols, x.data(), out);
      EXPECT_EQ(out[0], lane_sum({values.begin(), values.begin() + cols}, x)) << cols;
      EXPECT_EQ(out[1], lane_sum({values.begin() + cols, values.end()}, x)) << cols;
    });
  }
}

TEST(FloatDot, NanAndInfinityPassThrough) {
  on_every_isa([](const KernelTable& table) {
    std::vector<float> w(45, 1.0f);
    const std::vector<float> x(45, 2.0f);
    float out = 0;
    w[44] = std::numeric_limits<float>::quiet_NaN();
    table.dot_f32(w.data(), 1, 45, x.data(), &out);
    EXPECT_TRUE(std::isnan(out));
    w[44] = -std::numeric_limits<float>::infinity();
    table.dot_f32(w.data(), 1, 45, x.data(), &out);
    EXPECT_EQ(out, -std::numeric_limits<float>::infinity());
  });
}

}  // namespace
}  // namespace tercet
