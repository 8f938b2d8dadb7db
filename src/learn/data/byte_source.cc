// SPDX-License-Identifier: Apache-2.0
#include "learn/data/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <vector>

#include "core/error.h"

namespace tercet {
namespace {

constexpr size_t kInputBytes = size_t{128} << 10;

class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(const std::filesystem::path& path)
      : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (descriptor_ < 0) fail_errno("open");
    struct stat info = {};
    if (::fstat(descriptor_, &info) != 0 || !S_ISREG(info.st_mode)) {
      ::close(descriptor_);
      fail(ErrorCode::kIo, "cannot read '{}': it is not a regular file", path_.string());
    }
  }
  ~PlainSource() override { ::close(descriptor_); }
  PlainSource(const PlainSource&) = delete;
  PlainSource& operator=(const PlainSource&) = delete;

  size_t read(std::span<char> out) override {
    while (true) {
      const ssize_t got = ::read(descriptor_, out.data(), out.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail_errno("read");
      position_ += static_cast<uint64_t>(got);
      return static_cast<size_t>(got);
    }
  }
  uint64_t stored_bytes_read() const override { return position_; }

 private:
  [[noreturn]] void fail_errno(const char* action) const {
    const int number = errno;
    fail(ErrorCode::kIo, "cannot {} '{}': {}", action, path_.string(), errno_text(number));
  }

  std::filesystem::path path_;
  int descriptor_;
  uint64_t position_ = 0;
};

// What both unpackers share: a plain file behind an input buffer, and their complaints.
class PackedSource : public ByteSource {
 public:
  explicit PackedSource(const std::filesystem::path& path)
      : path_(path), file_(path), input_(kInputBytes) {}
  uint64_t stored_bytes_read() const override { return file_.stored_bytes_read(); }

 protected:
  std::span<char> refill() { return std::span(input_).first(file_.read(input_)); }
  [[noreturn]] void fail_cut() const {
    fail(ErrorCode::kBadInput, "'{}' ends in the middle of its compressed data; fetch it again",
         path_.string());
  }
  [[noreturn]] void fail_damaged(const char* reason) const {
    fail(ErrorCode::kBadInput, "'{}' has damaged compressed data ({}); fetch it again",
         path_.string(), reason);
  }

 private:
  std::filesystem::path path_;
  PlainSource file_;
  std::vector<char> input_;
};

class GzipSource final : public PackedSource {
 public:
  explicit GzipSource(const std::filesystem::path& path) : PackedSource(path) {
    constexpr int kGzipWrapper = 16;
    if (inflateInit2(&stream_, MAX_WBITS + kGzipWrapper) != Z_OK) {
      fail(ErrorCode::kInternal, "zlib cannot be initialized");
    }
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  size_t read(std::span<char> out) override {
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    while (stream_.avail_out == out.size()) {
      if (stream_.avail_in == 0) {
        const std::span<char> input = refill();
        if (input.empty()) {
          if (!between_members_) fail_cut();
          return 0;
        }
        stream_.next_in = reinterpret_cast<Bytef*>(input.data());
        stream_.avail_in = static_cast<uInt>(input.size());
      }
      step();
    }
    return out.size() - stream_.avail_out;
  }

 private:
  // A gzip file may be several members one after another.
  void step() {
    if (between_members_ && started_ && inflateReset(&stream_) != Z_OK) {
      fail(ErrorCode::kInternal, "zlib cannot be reset");
    }
    started_ = true;
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
      fail_damaged(stream_.msg != nullptr ? stream_.msg : "not gzip data");
    }
    between_members_ = status == Z_STREAM_END;
  }

  z_stream stream_ = {};
  bool started_ = false;
  bool between_members_ = false;  // false before the first member: an empty file is a cut one
};

class ZstdSource final : public PackedSource {
 public:
  explicit ZstdSource(const std::filesystem::path& path)
      : PackedSource(path), stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) fail(ErrorCode::kInternal, "zstd cannot be initialized");
  }
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }
  ZstdSource(const ZstdSource&) = delete;
  ZstdSource& operator=(const ZstdSource&) = delete;

  size_t read(std::span<char> out) override {
    ZSTD_outBuffer output = {out.data(), out.size(), 0};
    while (output.pos == 0) {
      // Text may still wait inside the decoder when all input is taken, unless a frame has ended.
      if (input_.pos == input_.size && (frame_ended_ || !flushing_)) {
        const std::span<char> next = refill();
        if (next.empty()) {
          if (!frame_ended_) fail_cut();
          return 0;
        }
        input_ = {next.data(), next.size(), 0};
      }
      const size_t status = ZSTD_decompressStream(stream_, &output, &input_);
      if (ZSTD_isError(status)) fail_damaged(ZSTD_getErrorName(status));
      frame_ended_ = status == 0;
      flushing_ = output.pos == output.size;
    }
    return output.pos;
  }

 private:
  ZSTD_DStream* stream_;
  ZSTD_inBuffer input_ = {nullptr, 0, 0};
  bool frame_ended_ = false;
  bool flushing_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> open_byte_source(const std::filesystem::path& path) {
  const std::filesystem::path extension = path.extension();
  if (extension == ".gz") return std::make_unique<GzipSource>(path);
  if (extension == ".zst") return std::make_unique<ZstdSource>(path);
  return std::make_unique<PlainSource>(path);
}

std::filesystem::path unpacked_name(const std::filesystem::path& path) {
  const std::filesystem::path extension = path.extension();
  return extension == ".gz" || extension == ".zst" ? path.stem() : path.filename();
}

}  // namespace tercet
