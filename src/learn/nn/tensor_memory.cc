// SPDX-License-Identifier: Apache-2.0
#include "learn/nn/tensor_memory.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <c10/util/Exception.h>
#include <sys/mman.h>
#include <torch/version.h>

#include <cstring>
#include <map>
#include <mutex>
#include <unordered_map>

namespace tercet::learn {
namespace {

// Smaller tensors stay with libtorch's own allocator.
constexpr size_t kSmallest = size_t{256} << 10;
constexpr size_t kLargePage = size_t{2} << 20;

size_t rounded_up(size_t bytes) {
  const size_t step = bytes >= kLargePage ? kLargePage / 2 : kSmallest / 4;
  return (bytes + step - 1) / step * step;
}

class KeepingAllocator final : public c10::Allocator {
 public:
  // Never destroyed: tensors may outlive everything else.
  static KeepingAllocator*& instance() {
    static KeepingAllocator* allocator = nullptr;
    return allocator;
  }

#if TORCH_VERSION_MAJOR >= 2
  c10::DataPtr allocate(size_t bytes) override { return allocate_any(bytes); }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
#else
  c10::DataPtr allocate(size_t bytes) const override {
    return const_cast<KeepingAllocator*>(this)->allocate_any(bytes);
  }
#endif
  c10::DeleterFnPtr raw_deleter() const override { return &KeepingAllocator::give_back; }

 private:
  static void give_back(void* block) { instance()->keep(block); }

  c10::DataPtr allocate_any(size_t bytes) {
    void* block = bytes < kSmallest ? c10::alloc_cpu(bytes) : take(rounded_up(bytes));
    return {block, block, &KeepingAllocator::give_back, c10::Device(c10::DeviceType::CPU)};
  }

  // A kept block that is at most an eighth too large, or a new one.
  void* take(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = kept_.lower_bound(bytes);
    if (found != kept_.end() && found->first <= bytes + bytes / 8) {
      void* block = found->second;
      kept_.erase(found);
      return block;
    }
    void* block = map(bytes);
    if (block == nullptr) {
      release_kept();
      block = map(bytes);
    }
    TORCH_CHECK(block != nullptr, "not enough memory: you tried to allocate ", bytes, " bytes.");
    sizes_[block] = bytes;
    return block;
  }

  void keep(void* block) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto found = sizes_.find(block);
    if (found != sizes_.end()) {
      kept_.emplace(found->second, block);
      return;
    }
    lock.unlock();
    c10::free_cpu(block);
  }

  static void* map(size_t bytes) {
    void* block =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return nullptr;
    if (bytes >= kLargePage) ::madvise(block, bytes, MADV_HUGEPAGE);
    return block;
  }

  void release_kept() {
    for (const auto& [bytes, block] : kept_) {
      ::munmap(block, bytes);
      sizes_.erase(block);
    }
    kept_.clear();
  }

  std::mutex mutex_;
  std::multimap<size_t, void*> kept_;
  std::unordered_map<void*, size_t> sizes_;
};

}  // namespace

void keep_tensor_memory() {
  if (KeepingAllocator::instance() != nullptr) return;
  KeepingAllocator::instance() = new KeepingAllocator();
  c10::SetCPUAllocator(KeepingAllocator::instance(), /*priority=*/1);
}

}  // namespace tercet::learn
