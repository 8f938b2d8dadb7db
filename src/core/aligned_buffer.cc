// SPDX-License-Identifier: Apache-2.0
#include "core/aligned_buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

#include "core/error.h"

namespace tercet {
namespace {

size_t mapped_size(size_t bytes) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

[[noreturn]] void refuse(size_t bytes) {
  fail(ErrorCode::kIo,
       "the system does not give {} MiB of memory; choose a smaller model or a shorter context",
       (bytes >> 20) + 1);
}

uint8_t* allocate(size_t bytes) {
  void* memory = ::operator new (bytes, std::align_val_t{AlignedBuffer::kAlignment}, std::nothrow);
  if (memory == nullptr) refuse(bytes);
  std::memset(memory, 0, bytes);
  return static_cast<uint8_t*>(memory);
}

// Maps one large page too much and gives back what lies before the first large page and behind the
// end.
uint8_t* map_large(size_t bytes) {
  constexpr size_t kLargePage = AlignedBuffer::kLargePage;
  if (bytes > std::numeric_limits<size_t>::max() / 2) refuse(bytes);
  const size_t wanted = mapped_size(bytes);
  void* memory = mmap(nullptr, wanted + kLargePage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) refuse(bytes);
  uint8_t* start = static_cast<uint8_t*>(memory);
  const size_t past = reinterpret_cast<uintptr_t>(memory) % kLargePage;
  const size_t before = past == 0 ? 0 : kLargePage - past;
  if (before != 0) munmap(start, before);
  if (before != kLargePage) munmap(start + before + wanted, kLargePage - before);
  // A request; without large pages the memory works the same.
  madvise(start + before, wanted, MADV_HUGEPAGE);
  return start + before;
}

}  // namespace

AlignedBuffer::AlignedBuffer(size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  data_ = bytes < kLargeFrom ? allocate(bytes) : map_large(bytes);
}

AlignedBuffer::~AlignedBuffer() { release(); }

void AlignedBuffer::release() noexcept {
  if (data_ == nullptr) return;
  if (size_ < kLargeFrom) {
    ::operator delete (data_, std::align_val_t{kAlignment});
  } else {
    munmap(data_, mapped_size(size_));
  }
}

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

}  // namespace tercet
