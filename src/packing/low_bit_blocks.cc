// SPDX-License-Identifier: Apache-2.0
//
// Blocks of one or two bits a weight as f32. Codes that only differ from the ternary ones by being
// invalid there (the bit pair 3) have a value here, as llama.cpp gives them one.
#include "packing/block_decoders.h"
#include "packing/quant_blocks.h"

namespace tercet::packing {
namespace {

// Two bits a weight in storage order, the first lowest: 0, 1, 2, 3 for -1, 0, 1, 2.
template <int kWeights>
void decode_pairs(const uint8_t* block, float* out) {
  const float scale = load_f16(block);
  const float values[4] = {-scale, 0.0f * scale, scale, 2.0f * scale};
  for (int i = 0; i < kWeights / 4; ++i) {
    const uint8_t byte = block[2 + i];
    for (int place = 0; place < 4; ++place) out[4 * i + place] = values[(byte >> (2 * place)) & 3];
  }
}

// `width` bytes of base-3 fractions of 256: times 3, what passes 256 is the next digit. Digit n of
// byte m is weight n * width + m.
float* decode_fractions(const uint8_t* bytes, int width, int places, float scale, float* out) {
  int power = 1;
  for (int place = 0; place < places; ++place, power *= 3) {
    for (int m = 0; m < width; ++m) {
      const int fraction = (bytes[m] * power) & 255;
      *out++ = scale * static_cast<float>(((3 * fraction) >> 8) - 1);
    }
  }
  return out;
}

}  // namespace

void decode_tq1_0(const uint8_t* block, float* out) {
  const float scale = load_f16(block + 52);
  out = decode_fractions(block, 32, 5, scale, out);
  out = decode_fractions(block + 32, 16, 5, scale, out);
  decode_fractions(block + 48, 4, 4, scale, out);
}

void decode_tq2_0(const uint8_t* block, float* out) {
  const float scale = load_f16(block + 64);
  for (int half = 0; half < 2; ++half) {
    const uint8_t* bytes = block + 32 * half;
    for (int place = 0; place < 4; ++place) {
      for (int m = 0; m < 32; ++m) {
        *out++ = scale * static_cast<float>(((bytes[m] >> (2 * place)) & 3) - 1);
      }
    }
  }
}

void decode_q1_0(const uint8_t* block, float* out) {
  const float scale = load_f16(block);
  for (int i = 0; i < 128; ++i) {
    out[i] = ((block[2 + i / 8] >> (i % 8)) & 1) != 0 ? scale : -scale;
  }
}

void decode_q2_0(const uint8_t* block, float* out) { decode_pairs<64>(block, out); }

void decode_q2_0_g128(const uint8_t* block, float* out) { decode_pairs<128>(block, out); }

}  // namespace tercet::packing
