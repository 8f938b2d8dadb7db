// SPDX-License-Identifier: Apache-2.0
#include "hostile/allocation_meter.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace tercet::hostile {
namespace {

std::atomic<size_t> held{0};
std::atomic<size_t> most{0};
size_t held_at_start = 0;

void* try_allocate(size_t size, size_t alignment) noexcept {
  const size_t rounded = (size + alignment - 1) / alignment * alignment;
  void* memory =
      rounded < size ? nullptr : std::aligned_alloc(alignment, std::max(rounded, alignment));
  if (memory == nullptr) return nullptr;
  const size_t now = held.fetch_add(::malloc_usable_size(memory)) + ::malloc_usable_size(memory);
  if (now > most.load()) most.store(now);
  return memory;
}

void* allocate(size_t size, size_t alignment) {
  void* memory = try_allocate(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void release(void* memory) noexcept {
  if (memory == nullptr) return;
  held.fetch_sub(::malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

AllocationMeter::AllocationMeter() {
  held_at_start = held.load();
  most.store(held_at_start);
}

size_t AllocationMeter::peak() const { return most.load() - held_at_start; }

}  // namespace tercet::hostile

using tercet::hostile::allocate;
using tercet::hostile::release;
using tercet::hostile::try_allocate;

// All forms of them: a sanitizer brings those that are missing, which then do not match ours.
void* operator new(size_t size) { return allocate(size, alignof(std::max_align_t)); }
void* operator new[](size_t size) { return allocate(size, alignof(std::max_align_t)); }
void* operator new(size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<size_t>(alignment));
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return try_allocate(size, alignof(std::max_align_t));
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return try_allocate(size, alignof(std::max_align_t));
}
void* operator new(size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return try_allocate(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return try_allocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, size_t) noexcept { release(memory); }
void operator delete[](void* memory, size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { release(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
  release(memory);
}
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
  release(memory);
}
