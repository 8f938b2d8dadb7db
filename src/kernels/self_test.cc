// SPDX-License-Identifier: Apache-2.0
#include "kernels/self_test.h"

#include <array>
#include <vector>

#include "core/error.h"
#include "core/rng.h"

namespace tercet {
namespace {

constexpr int64_t kUnits = 45;  // more than any kernel takes before it widens its sums

constexpr std::array<const char*, kPanelFormats> kNames = {"1-bit", "2-bit", "five-trit", "4-bit"};

// What field number `field` of a byte counts for. Only bytes that stand for codes.
int digit_of(PanelFormat format, int byte, int field) {
  if (format != PanelFormat::kTrit5) {
    const int bits = 8 / fields_of(format);
    return byte >> (field * bits) & ((1 << bits) - 1);
  }
  const int last = byte / 84;
  if (field == 4) return last;
  int rest = byte - 84 * last;
  for (int i = 0; i < field; ++i) rest /= 3;
  return rest % 3;
}

int random_byte(PanelFormat format, Rng& rng) {
  if (format != PanelFormat::kTrit5) return static_cast<int>(rng.below(256));
  return static_cast<int>(84 * rng.below(3) + rng.below(81));
}

// A panel, and its digits written out: [rows, places].
struct Panel {
  PanelFormat format;
  std::vector<uint8_t> bytes;
  std::vector<int8_t> digits;
  int64_t places;
};

Panel random_panel(PanelFormat format, int64_t rows) {
  Rng rng(static_cast<uint64_t>(format));
  const int fields = fields_of(format);
  Panel panel = {format, {}, {}, kUnits * fields * 4};
  panel.bytes.resize(static_cast<size_t>(kUnits * 4 * rows));
  panel.digits.resize(static_cast<size_t>(rows * panel.places));
  for (int64_t i = 0; i < std::ssize(panel.bytes); ++i) {
    const int byte = random_byte(format, rng);
    panel.bytes[static_cast<size_t>(i)] = static_cast<uint8_t>(byte);
    const int64_t unit = i / (4 * rows);
    const int64_t row = i / 4 % rows;
    for (int field = 0; field < fields; ++field) {
      const int64_t place = (unit * fields + field) * 4 + i % 4;
      panel.digits[static_cast<size_t>(row * panel.places + place)] =
          static_cast<int8_t>(digit_of(format, byte, field));
    }
  }
  return panel;
}

void check_product(const KernelTable& kernels, const Panel& panel, int tile) {
  Rng rng(static_cast<uint64_t>(tile));
  const int64_t rows = kernels.panel_rows;
  std::vector<int8_t> q(static_cast<size_t>(tile * panel.places));  // [tile, places]
  for (int8_t& value : q) value = static_cast<int8_t>(static_cast<int>(rng.below(256)) - 128);
  std::vector<int8_t> arranged(q.size());  // [places / 4][tile][4]
  for (int t = 0; t < tile; ++t) {
    for (int64_t place = 0; place < panel.places; ++place) {
      arranged[static_cast<size_t>((place / 4 * tile + t) * 4 + place % 4)] =
          q[static_cast<size_t>(t * panel.places + place)];
    }
  }
  // A correction of its own for each token, and scales of 1: the result is the sum itself.
  std::vector<int32_t> sums(static_cast<size_t>(tile));
  for (int t = 0; t < tile; ++t) sums[static_cast<size_t>(t)] = 1000 * t;
  const std::vector<float> ones(static_cast<size_t>(tile), 1.0f);
  std::vector<float> out(static_cast<size_t>(tile * rows));
  PanelCall call;
  call.panels = panel.bytes.data();
  call.panel_count = 1;
  call.units = call.last_units = kUnits;
  call.w_scales = ones.data();
  call.tile = {tile, arranged.data(), sums.data(), ones.data()};
  call.tokens = tile;
  call.rows = rows;
  call.out = out.data();
  call.out_stride = rows;
  kernels.panel_dot[static_cast<size_t>(panel.format)](call);

  for (int t = 0; t < tile; ++t) {
    for (int64_t row = 0; row < rows; ++row) {
      const int8_t* digits = panel.digits.data() + row * panel.places;
      const int8_t* values = q.data() + t * panel.places;
      int32_t expected = -sums[static_cast<size_t>(t)];
      for (int64_t place = 0; place < panel.places; ++place) {
        expected += digits[place] * values[place];
      }
      if (out[static_cast<size_t>(t * rows + row)] == static_cast<float>(expected)) continue;
      fail(ErrorCode::kInternal,
           "the {} kernel of {} for {} tokens computes wrongly on this CPU; choose another with "
           "TERCET_ISA and please report it",
           kNames[static_cast<size_t>(panel.format)], kernels.name, tile);
    }
  }
}

}  // namespace

void check_kernels(const KernelTable& kernels) {
  for (int format = 0; format < kPanelFormats; ++format) {
    if (kernels.panel_dot[static_cast<size_t>(format)] == nullptr) continue;
    const Panel panel = random_panel(static_cast<PanelFormat>(format), kernels.panel_rows);
    for (const int tile : kernels.tiles) check_product(kernels, panel, tile);
  }
}

}  // namespace tercet
