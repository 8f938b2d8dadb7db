// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "core/half.h"

// One block of each type as f32, for decode_blocks().
namespace tercet::packing {

inline float load_f16(const uint8_t* at) {
  return f16_to_f32(static_cast<uint16_t>(at[0] | (at[1] << 8)));
}

// blocks of 32
void decode_q4_0(const uint8_t* block, float* out);
void decode_q4_1(const uint8_t* block, float* out);
void decode_q5_0(const uint8_t* block, float* out);
void decode_q5_1(const uint8_t* block, float* out);
void decode_q8_0(const uint8_t* block, float* out);
void decode_iq4_nl(const uint8_t* block, float* out);

// blocks of 256 with scales of their own for every 16 or 32 weights
void decode_q2_k(const uint8_t* block, float* out);
void decode_q3_k(const uint8_t* block, float* out);
void decode_q4_k(const uint8_t* block, float* out);
void decode_q5_k(const uint8_t* block, float* out);
void decode_q6_k(const uint8_t* block, float* out);

// one or two bits a weight
void decode_tq1_0(const uint8_t* block, float* out);
void decode_tq2_0(const uint8_t* block, float* out);
void decode_q1_0(const uint8_t* block, float* out);
void decode_q2_0(const uint8_t* block, float* out);
void decode_q2_0_g128(const uint8_t* block, float* out);

}  // namespace tercet::packing
