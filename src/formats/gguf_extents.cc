// SPDX-License-Identifier: Apache-2.0
#include "formats/gguf_extents.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "core/error.h"
#include "formats/gguf_types.h"
#include "formats/printable.h"

namespace tercet {
namespace {

constexpr std::array kQ2Types = {DType::kQ2_0, DType::kQ2_0G128};
constexpr std::array<uint64_t, 2> kQ2Groups = {64, 128};

uint64_t cols_of(const TensorView& view) {
  return view.shape.empty() ? 1 : static_cast<uint64_t>(view.shape.back());
}

uint64_t rows_of(const TensorView& view) {
  const uint64_t cols = cols_of(view);
  return cols == 0 ? 0 : static_cast<uint64_t>(view.elements()) / cols;
}

std::string where(const GgufTensorInfo& info, const std::string& origin) {
  return origin + ": tensor '" + printable(info.view.name) + "'";
}

uint64_t bytes_as(const GgufTensorInfo& info, DType type, const std::string& origin) {
  return tensor_bytes(type, rows_of(info.view), cols_of(info.view), where(info, origin));
}

// The room of a tensor: up to where the next one starts, or to the end of the data.
class Rooms {
 public:
  Rooms(const std::vector<GgufTensorInfo>& infos, uint64_t data_bytes, uint64_t alignment)
      : data_bytes_(data_bytes), alignment_(alignment) {
    for (const GgufTensorInfo& info : infos) offsets_.insert(info.offset);
  }

  uint64_t of(const GgufTensorInfo& info) const {
    const uint64_t end = next(info);
    return end > info.offset ? end - info.offset : 0;
  }

  // Whether a tensor of `bytes` fills its room, padding aside. What follows the last tensor need
  // not be padding alone.
  bool filled_by(const GgufTensorInfo& info, uint64_t bytes) const {
    const uint64_t room = of(info);
    if (bytes > room) return false;
    return is_last(info) || room - bytes < alignment_;
  }

  bool is_last(const GgufTensorInfo& info) const { return info.offset == *offsets_.rbegin(); }

 private:
  uint64_t next(const GgufTensorInfo& info) const {
    const auto after = offsets_.upper_bound(info.offset);
    return after == offsets_.end() ? data_bytes_ : std::min(*after, data_bytes_);
  }

  std::set<uint64_t> offsets_;
  uint64_t data_bytes_;
  uint64_t alignment_;
};

// The types of id 42 that a tensor can be: those whose size fills its room. When both do, the last
// tensor of a file is that whose padding is plain padding.
std::vector<DType> q2_candidates(const GgufTensorInfo& info, const Rooms& rooms, uint64_t alignment,
                                 const std::string& origin) {
  std::vector<DType> fitting;
  std::vector<DType> exact;
  for (size_t i = 0; i < kQ2Types.size(); ++i) {
    if (cols_of(info.view) % kQ2Groups[i] != 0) continue;
    const uint64_t bytes = bytes_as(info, kQ2Types[i], origin);
    if (!rooms.filled_by(info, bytes)) continue;
    fitting.push_back(kQ2Types[i]);
    if (rooms.of(info) - bytes < alignment) exact.push_back(kQ2Types[i]);
  }
  return exact.empty() ? fitting : exact;
}

[[noreturn]] void fail_q2_size(const GgufTensorInfo& info, const Rooms& rooms,
                               const std::string& origin) {
  const uint64_t elements = static_cast<uint64_t>(info.view.elements());
  fail(ErrorCode::kBadInput,
       "{}: type id 42 (Q2_0) with {} elements takes {} bytes in groups of 64 or {} in groups of "
       "128, but has room for {}; the file is cut, damaged or of another dialect",
       where(info, origin), elements, elements / 64 * 18, elements / 128 * 34, rooms.of(info));
}

void resolve_q2(std::vector<GgufTensorInfo>& infos, const Rooms& rooms, uint64_t alignment,
                const std::string& origin) {
  std::vector<GgufTensorInfo*> open;
  std::set<DType> seen;
  for (GgufTensorInfo& info : infos) {
    if (info.type_id != kGgufQ2Id) continue;
    const std::vector<DType> candidates = q2_candidates(info, rooms, alignment, origin);
    if (candidates.empty()) fail_q2_size(info, rooms, origin);
    info.view.type = candidates.front();
    if (candidates.size() == 1) {
      seen.insert(candidates.front());
    } else {
      open.push_back(&info);
    }
  }
  if (!open.empty() && seen.size() != 1) {
    fail(ErrorCode::kUnsupported,
         "{}: type id 42 (Q2_0) may mean groups of 64 or of 128, this tensor is as large either "
         "way, and the file's other tensors {}",
         where(*open.front(), origin), seen.empty() ? "do not tell which" : "are of both kinds");
  }
  for (GgufTensorInfo* info : open) info->view.type = *seen.begin();
}

void check_i2_s(const GgufTensorInfo& info, const Rooms& rooms, const std::string& origin) {
  if (rooms.filled_by(info, bytes_as(info, DType::kI2S, origin))) return;
  fail(ErrorCode::kBadInput,
       "{}: type id 36 with {} elements takes {} bytes as I2_S, but has room for {}; the id once "
       "meant IQ4_NL_4_4, which is not read",
       where(info, origin), info.view.elements(), bytes_as(info, DType::kI2S, origin),
       rooms.of(info));
}

}  // namespace

void resolve_types(std::vector<GgufTensorInfo>& infos, uint64_t data_bytes, uint64_t alignment,
                   const std::string& origin) {
  const Rooms rooms(infos, data_bytes, alignment);
  resolve_q2(infos, rooms, alignment, origin);
  for (GgufTensorInfo& info : infos) {
    if (info.view.type == DType::kI2S) check_i2_s(info, rooms, origin);
    info.bytes = bytes_as(info, info.view.type, origin);
  }
}

}  // namespace tercet
