// SPDX-License-Identifier: Apache-2.0
#include "learn/ptq/activation_store.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/error.h"

namespace tercet::learn {
namespace {

int open_nameless(const std::filesystem::path& directory) {
  std::string name = (directory / "activations-XXXXXX").string();
  const int descriptor = ::mkstemp(name.data());
  if (descriptor < 0) {
    const int number = errno;
    fail(ErrorCode::kIo, "cannot make a file for activations in '{}': {}", directory.string(),
         errno_text(number));
  }
  ::unlink(name.c_str());
  return descriptor;
}

// Calls transfer(bytes done) until all are.
template <typename Transfer>
void transfer_all(size_t bytes, const char* what, Transfer transfer) {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t count = transfer(done);
    if (count > 0) {
      done += static_cast<size_t>(count);
    } else if (count == 0 || errno != EINTR) {
      const int number = count == 0 ? ENOSPC : errno;
      fail(ErrorCode::kIo,
           "cannot {} the activations on disk: {}; free space there, or give more "
           "memory with --max-memory",
           what, errno_text(number));
    }
  }
}

}  // namespace

ActivationStore::ActivationStore(std::vector<int64_t> rows, int64_t width,
                                 const std::filesystem::path& spill, const WindowShare& share)
    : rows_(std::move(rows)), width_(width), share_(share) {
  for (size_t window = 0; window < rows_.size(); ++window) {
    offsets_.push_back(floats_);
    if (holds(window)) floats_ += rows_[window] * width_;
  }
  if (!spill.empty()) descriptor_ = open_nameless(spill);
}

ActivationStore::~ActivationStore() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

ActivationStore::ActivationStore(ActivationStore&& other) noexcept
    : rows_(std::move(other.rows_)),
      offsets_(std::move(other.offsets_)),
      floats_(other.floats_),
      width_(other.width_),
      share_(other.share_),
      kept_(std::move(other.kept_)),
      lent_(std::move(other.lent_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

at::Tensor ActivationStore::place(size_t window) const {
  return kept_.narrow(0, offsets_[window], rows_[window] * width_).view({rows_[window], width_});
}

at::Tensor ActivationStore::lend(size_t window) {
  return lent_[window] = at::empty({rows_[window], width_}, at::kFloat);
}

at::Tensor ActivationStore::get(size_t window) const {
  if (!holds(window)) return lent_.at(window);
  if (descriptor_ < 0) return place(window);
  const at::Tensor out = at::empty({rows_[window], width_}, at::kFloat);
  char* bytes = static_cast<char*>(out.data_ptr());
  const off_t begin = offsets_[window] * static_cast<off_t>(sizeof(float));
  transfer_all(out.nbytes(), "read", [&](size_t done) {
    return ::pread(descriptor_, bytes + done, out.nbytes() - done,
                   begin + static_cast<off_t>(done));
  });
  return out;
}

void ActivationStore::put(size_t window, const at::Tensor& values) {
  if (descriptor_ < 0) {
    // Stores that nothing is put in take no memory.
    if (!kept_.defined()) kept_ = at::empty({floats_}, at::kFloat);
    place(window).copy_(values);
    return;
  }
  const at::Tensor source = values.contiguous();
  const char* bytes = static_cast<const char*>(source.data_ptr());
  const off_t begin = offsets_[window] * static_cast<off_t>(sizeof(float));
  transfer_all(source.nbytes(), "write", [&](size_t done) {
    return ::pwrite(descriptor_, bytes + done, source.nbytes() - done,
                    begin + static_cast<off_t>(done));
  });
}

uint64_t ActivationStore::bytes(const std::vector<int64_t>& rows, int64_t width) {
  uint64_t tokens = 0;
  for (const int64_t count : rows) tokens += static_cast<uint64_t>(count);
  return tokens * static_cast<uint64_t>(width) * sizeof(float);
}

}  // namespace tercet::learn
