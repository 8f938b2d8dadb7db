// SPDX-License-Identifier: Apache-2.0
#include "packing/own_codes.h"

#include <algorithm>
#include <array>

namespace tercet::packing {
namespace {

// The places of a byte and what each is worth. The last weight of trit5 is 84 and not 81, so that
// byte / 4 alone tells the last trit: a 64-entry byte table, which is one instruction where CPUs
// have it.
struct Trit5 {
  static constexpr std::array<int, 5> kWeights = {1, 3, 9, 27, 84};
  static constexpr int kDigits = 3;
  static constexpr int code(int digit) { return digit - 1; }
  static constexpr int digit(int code) { return code + 1; }
  static constexpr int kIdle = 1;  // the digit of places that no code has
};
struct Trit4 : Trit5 {
  static constexpr std::array<int, 4> kWeights = {1, 4, 16, 64};
};
struct Sign8 {
  static constexpr std::array<int, 8> kWeights = {1, 2, 4, 8, 16, 32, 64, 128};
  static constexpr int kDigits = 2;
  static constexpr int code(int digit) { return 2 * digit - 1; }
  static constexpr int digit(int code) { return code > 0 ? 1 : 0; }
  static constexpr int kIdle = 0;
};

// One entry per byte value: its codes, and whether pack() can yield it.
template <class Format>
struct ByteTable {
  static constexpr size_t kPlaces = Format::kWeights.size();
  std::array<std::array<int8_t, kPlaces>, 256> codes = {};
  std::array<bool, 256> valid = {};
};

template <class Format>
constexpr ByteTable<Format> make_table() {
  ByteTable<Format> table;
  constexpr size_t kPlaces = ByteTable<Format>::kPlaces;
  int combinations = 1;
  for (size_t i = 0; i < kPlaces; ++i) combinations *= Format::kDigits;
  for (int combination = 0; combination < combinations; ++combination) {
    std::array<int8_t, kPlaces> codes = {};
    int rest = combination;
    int byte = 0;
    for (size_t i = 0; i < kPlaces; ++i) {
      const int digit = rest % Format::kDigits;
      codes[i] = static_cast<int8_t>(Format::code(digit));
      byte += digit * Format::kWeights[i];
      rest /= Format::kDigits;
    }
    table.codes[byte] = codes;
    table.valid[byte] = true;
  }
  return table;
}

template <class Format>
inline constexpr ByteTable<Format> kTable = make_table<Format>();

static_assert(!kTable<Trit5>.valid[81] && kTable<Trit5>.valid[84] && kTable<Trit5>.valid[248] &&
              !kTable<Trit5>.valid[249]);
static_assert(kTable<Trit4>.valid[0xAA] && !kTable<Trit4>.valid[3] && !kTable<Trit4>.valid[0xC0]);

template <class Format>
uint8_t pack_byte(std::span<const int8_t> codes) {
  int byte = 0;
  for (size_t i = 0; i < Format::kWeights.size(); ++i) {
    byte += Format::kWeights[i] * (i < codes.size() ? Format::digit(codes[i]) : Format::kIdle);
  }
  return static_cast<uint8_t>(byte);
}

template <class Format>
void pack(std::span<const int8_t> codes, uint8_t* bytes) {
  while (!codes.empty()) {
    const auto places = codes.first(std::min(codes.size(), Format::kWeights.size()));
    *bytes++ = pack_byte<Format>(places);
    codes = codes.subspan(places.size());
  }
}

template <class Format>
void unpack(const uint8_t* bytes, std::span<int8_t> codes) {
  while (!codes.empty()) {
    const auto& places = kTable<Format>.codes[*bytes++];
    const size_t used = std::min(codes.size(), places.size());
    std::copy_n(places.begin(), used, codes.begin());
    codes = codes.subspan(used);
  }
}

// The table's `valid` as arithmetic on bytes: a value that is at most sound_limit() where the byte
// stands for codes. Of many bytes the largest value tells, which is how the compiler can test them
// at once.
constexpr uint8_t soundness(Trit5, uint8_t byte) {
  const uint8_t one = byte >= 84 ? 84 : 0;
  const uint8_t two = byte >= 168 ? 84 : 0;
  return static_cast<uint8_t>(byte - one - two);
}
constexpr uint8_t soundness(Trit4, uint8_t byte) {
  return static_cast<uint8_t>(byte & (byte >> 1) & 0x55);
}
constexpr uint8_t soundness(Sign8, uint8_t) { return 0; }
constexpr uint8_t sound_limit(Trit5) { return 80; }
constexpr uint8_t sound_limit(Trit4) { return 0; }
constexpr uint8_t sound_limit(Sign8) { return 0; }

template <class Format>
constexpr bool rule_equals_table() {
  for (size_t byte = 0; byte < 256; ++byte) {
    const uint8_t value = soundness(Format{}, static_cast<uint8_t>(byte));
    if ((value <= sound_limit(Format{})) != kTable<Format>.valid[byte]) return false;
  }
  return true;
}
static_assert(rule_equals_table<Trit5>() && rule_equals_table<Trit4>());

// The largest soundness of `size` bytes.
template <class Format>
uint8_t worst(const uint8_t* bytes, int64_t size) {
  constexpr int64_t kStep = 64;
  std::array<uint8_t, kStep> lanes = {};
  int64_t done = 0;
  for (; done + kStep <= size; done += kStep) {
    for (size_t i = 0; i < kStep; ++i) {
      const uint8_t value = soundness(Format{}, bytes[done + static_cast<int64_t>(i)]);
      lanes[i] = lanes[i] > value ? lanes[i] : value;
    }
  }
  uint8_t out = 0;
  for (; done < size; ++done) out = std::max(out, soundness(Format{}, bytes[done]));
  for (const uint8_t lane : lanes) out = std::max(out, lane);
  return out;
}

template <class Format>
bool is_valid(const uint8_t* bytes, int64_t count) {
  constexpr int64_t kPlaces = Format::kWeights.size();
  const int64_t size = (count + kPlaces - 1) / kPlaces;
  bool valid = worst<Format>(bytes, size) <= sound_limit(Format{});
  const auto& last = kTable<Format>.codes[bytes[size - 1]];
  for (int64_t i = count - (size - 1) * kPlaces; i < kPlaces; ++i)
    valid &= last[static_cast<size_t>(i)] == Format::code(Format::kIdle);
  return valid;
}

// work(Trit5{}), work(Trit4{}) or work(Sign8{}).
template <class Work>
auto visit(Layout layout, const Work& work) {
  if (layout == Layout::kTrit5) return work(Trit5{});
  if (layout == Layout::kSign8) return work(Sign8{});
  return work(Trit4{});
}

}  // namespace

int64_t codes_per_byte(Layout layout) {
  return visit(layout, [](auto format) { return std::ssize(decltype(format)::kWeights); });
}

int64_t row_bytes(Layout layout, int64_t cols, int64_t group) {
  const int64_t places = codes_per_byte(layout);
  const auto bytes = [places](int64_t count) { return count / places + (count % places != 0); };
  return cols / group * bytes(group) + bytes(cols % group);
}

void pack_group(Layout layout, std::span<const int8_t> codes, uint8_t* bytes) {
  visit(layout, [&](auto format) { pack<decltype(format)>(codes, bytes); });
}

void unpack_group(Layout layout, const uint8_t* bytes, std::span<int8_t> codes) {
  visit(layout, [&](auto format) { unpack<decltype(format)>(bytes, codes); });
}

bool can_hold(Layout layout, std::span<const int8_t> codes) {
  return layout != Layout::kSign8 || std::find(codes.begin(), codes.end(), 0) == codes.end();
}

bool bytes_are_sound(Layout layout, std::span<const uint8_t> bytes) {
  const int64_t size = static_cast<int64_t>(bytes.size());
  return visit(layout, [&](auto format) {
    return worst<decltype(format)>(bytes.data(), size) <= sound_limit(format);
  });
}

bool group_is_valid(Layout layout, const uint8_t* bytes, int64_t count) {
  return visit(layout, [&](auto format) { return is_valid<decltype(format)>(bytes, count); });
}

}  // namespace tercet::packing
