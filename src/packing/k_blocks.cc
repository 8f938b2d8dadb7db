// SPDX-License-Identifier: Apache-2.0
//
// Blocks of 256 weights whose scales are themselves small integers times an f16 of the block. The
// weights lie in runs of 32: a byte holds one weight of each of several runs, the first run lowest.
#include <array>
#include <cstring>

#include "packing/block_decoders.h"
#include "packing/quant_blocks.h"

namespace tercet::packing {
namespace {

constexpr int kRun = 32;
constexpr int kRuns = 8;
constexpr int kSixteens = 16;  // groups of 16 weights in a block

// Six-bit scales and offsets of the eight runs of q4_k and q5_k, in 12 bytes: four scales, four
// offsets, then the low four bits of the other four of each, whose upper two bits are the spare
// ones of the first eight bytes.
struct RunScales {
  std::array<float, kRuns> scales;
  std::array<float, kRuns> offsets;
};

RunScales unpack_run_scales(const uint8_t* packed, float scale, float offset) {
  RunScales out;
  for (size_t i = 0; i < 4; ++i) {
    out.scales[i] = scale * static_cast<float>(packed[i] & 63);
    out.offsets[i] = offset * static_cast<float>(packed[4 + i] & 63);
    out.scales[4 + i] = scale * static_cast<float>((packed[8 + i] & 15) | (packed[i] >> 6) << 4);
    out.offsets[4 + i] =
        offset * static_cast<float>((packed[8 + i] >> 4) | (packed[4 + i] >> 6) << 4);
  }
  return out;
}

// Six-bit scales of q3_k in 12 bytes: the low four bits of 0-7 and of 8-15 in the nibbles of the
// first eight, the upper two of i, i + 4, i + 8 and i + 12 in byte 8 + i. The value is 32 less.
std::array<float, kSixteens> unpack_q3_scales(const uint8_t* packed, float scale) {
  std::array<float, kSixteens> out;
  for (size_t i = 0; i < kSixteens; ++i) {
    const int low = i < 8 ? packed[i] & 15 : packed[i - 8] >> 4;
    const int high = (packed[8 + i % 4] >> (2 * (i / 4))) & 3;
    out[i] = scale * static_cast<float>((low | high << 4) - 32);
  }
  return out;
}

}  // namespace

void decode_q2_k(const uint8_t* block, float* out) {
  const uint8_t* scales = block;  // low nibble: scale, high nibble: offset
  const uint8_t* codes = block + 16;
  const float scale = load_f16(block + 80);
  const float offset = load_f16(block + 82);
  for (int run = 0; run < kRuns; ++run) {
    const uint8_t* bytes = codes + run / 4 * kRun;
    const int shift = 2 * (run % 4);
    for (int half = 0; half < 2; ++half) {
      const uint8_t packed = scales[2 * run + half];
      const float d = scale * static_cast<float>(packed & 15);
      const float m = offset * static_cast<float>(packed >> 4);
      for (int i = 0; i < kRun / 2; ++i) {
        *out++ = d * static_cast<float>((bytes[half * 16 + i] >> shift) & 3) - m;
      }
    }
  }
}

void decode_q3_k(const uint8_t* block, float* out) {
  const uint8_t* high = block;  // bit `run` of byte i: the third bit of weight i of the run
  const uint8_t* codes = block + 32;
  const auto scales = unpack_q3_scales(block + 96, load_f16(block + 108));
  for (int run = 0; run < kRuns; ++run) {
    const uint8_t* bytes = codes + run / 4 * kRun;
    const int shift = 2 * (run % 4);
    for (int i = 0; i < kRun; ++i) {
      const int code = ((bytes[i] >> shift) & 3) + ((high[i] >> run) & 1) * 4 - 4;
      out[i] = scales[static_cast<size_t>(2 * run + i / 16)] * static_cast<float>(code);
    }
    out += kRun;
  }
}

void decode_q4_k(const uint8_t* block, float* out) {
  const RunScales runs = unpack_run_scales(block + 4, load_f16(block), load_f16(block + 2));
  const uint8_t* bytes = block + 16;
  for (size_t run = 0; run < kRuns; run += 2, bytes += kRun, out += 2 * kRun) {
    for (int i = 0; i < kRun; ++i) {
      out[i] = runs.scales[run] * static_cast<float>(bytes[i] & 15) - runs.offsets[run];
      out[kRun + i] =
          runs.scales[run + 1] * static_cast<float>(bytes[i] >> 4) - runs.offsets[run + 1];
    }
  }
}

void decode_q5_k(const uint8_t* block, float* out) {
  const RunScales runs = unpack_run_scales(block + 4, load_f16(block), load_f16(block + 2));
  const uint8_t* high = block + 16;  // bit `run` of byte i: the fifth bit of weight i of the run
  const uint8_t* bytes = block + 48;
  for (size_t run = 0; run < kRuns; ++run) {
    const int shift = run % 2 == 0 ? 0 : 4;
    for (int i = 0; i < kRun; ++i) {
      const int code = ((bytes[i] >> shift) & 15) | ((high[i] >> run) & 1) << 4;
      out[i] = runs.scales[run] * static_cast<float>(code) - runs.offsets[run];
    }
    if (run % 2 == 1) bytes += kRun;
    out += kRun;
  }
}

// Two halves of 128 weights. In each, 64 bytes of nibbles hold runs 0 and 1 low, 2 and 3 high, and
// the bit pairs of 32 bytes the upper bits of the four runs.
void decode_q6_k(const uint8_t* block, float* out) {
  const float scale = load_f16(block + 208);
  for (int half = 0; half < 2; ++half) {
    const uint8_t* low = block + half * 64;
    const uint8_t* high = block + 128 + half * 32;
    const uint8_t* scales = block + 192 + half * 8;
    for (int run = 0; run < 4; ++run) {
      const uint8_t* nibbles = low + run % 2 * kRun;
      const int shift = run < 2 ? 0 : 4;
      for (int part = 0; part < 2; ++part) {
        const float d = scale * static_cast<float>(static_cast<int8_t>(scales[2 * run + part]));
        for (int i = 16 * part; i < 16 * part + 16; ++i) {
          const int code = ((nibbles[i] >> shift) & 15) | ((high[i] >> (2 * run)) & 3) << 4;
          *out++ = d * static_cast<float>(code - 32);
        }
      }
    }
  }
}

}  // namespace tercet::packing
