// SPDX-License-Identifier: Apache-2.0
#include "learn/data/shard.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "core/checked.h"
#include "core/error.h"
#include "core/file.h"

namespace tercet {
namespace {

static_assert(std::endian::native == std::endian::little, "shards are little-endian");

constexpr std::array<uint8_t, 4> kMagic = {'T', 'C', 'T', 'S'};
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 64;
constexpr size_t kBufferBytes = size_t{256} << 10;
constexpr uint64_t kVerifyBytes = uint64_t{1} << 20;  // read at a time

// Byte offsets of the fields; what follows the last one up to kHeaderBytes is zero.
enum Offset : size_t {
  kVersionAt = 4,
  kBytesPerTokenAt = 8,
  kVocabSizeAt = 12,
  kTokensAt = 16,
  kDocumentsAt = 24,
  kFingerprintAt = 32,
  kChecksumAt = 40,
  kPaddingAt = 48,
};

using HeaderBytes = std::array<uint8_t, kHeaderBytes>;

template <typename T>
void put(HeaderBytes& bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(value));
}

template <typename T>
T get(const HeaderBytes& bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

HeaderBytes encode_header(const ShardHeader& header) {
  HeaderBytes bytes = {};
  std::copy(kMagic.begin(), kMagic.end(), bytes.begin());
  put(bytes, kVersionAt, kVersion);
  put(bytes, kBytesPerTokenAt, header.bytes_per_token);
  put(bytes, kVocabSizeAt, header.vocab_size);
  put(bytes, kTokensAt, header.n_tokens);
  put(bytes, kDocumentsAt, header.n_documents);
  put(bytes, kFingerprintAt, header.tokenizer_fingerprint);
  put(bytes, kChecksumAt, header.checksum);
  return bytes;
}

[[noreturn]] void fail_no_shard(const std::string& name) {
  fail(ErrorCode::kBadInput, "'{}' is not a token shard; build the data set again", name);
}

ShardHeader decode_header(const HeaderBytes& bytes, const std::string& name) {
  if (!std::equal(kMagic.begin(), kMagic.end(), bytes.begin())) fail_no_shard(name);
  const auto version = get<uint32_t>(bytes, kVersionAt);
  if (version != kVersion) {
    fail(ErrorCode::kUnsupported, "'{}': shard version {} is not the version {} this program reads",
         name, version, kVersion);
  }
  ShardHeader header;
  header.bytes_per_token = get<uint32_t>(bytes, kBytesPerTokenAt);
  header.vocab_size = get<uint32_t>(bytes, kVocabSizeAt);
  header.n_tokens = get<uint64_t>(bytes, kTokensAt);
  header.n_documents = get<uint64_t>(bytes, kDocumentsAt);
  header.tokenizer_fingerprint = get<uint64_t>(bytes, kFingerprintAt);
  header.checksum = get<uint64_t>(bytes, kChecksumAt);
  return header;
}

void check_header(const ShardHeader& header, const HeaderBytes& bytes, uint64_t file_bytes,
                  const std::string& name) {
  const auto damaged = [&](const char* field, uint64_t value) {
    fail(ErrorCode::kBadInput, "'{}': {} {} in the header is impossible; build the data set again",
         name, field, value);
  };
  if (header.vocab_size == 0 || header.vocab_size > INT32_MAX) {
    damaged("vocab_size", header.vocab_size);
  }
  if (header.bytes_per_token != bytes_per_token(header.vocab_size)) {
    damaged("bytes_per_token", header.bytes_per_token);
  }
  if (header.n_documents > header.n_tokens) damaged("n_documents", header.n_documents);
  for (size_t i = kPaddingAt; i < kHeaderBytes; ++i) {
    if (bytes[i] != 0) damaged("padding", bytes[i]);
  }
  const auto expected = checked_mul(header.n_tokens, header.bytes_per_token);
  if (!expected || *expected != file_bytes - kHeaderBytes) {
    fail(ErrorCode::kBadInput,
         "'{}' has {} bytes, its header promises {} tokens of {} bytes; build the data set again",
         name, file_bytes, header.n_tokens, header.bytes_per_token);
  }
}

// The ids at `bytes`, which may be the last part of `out`; false when one is outside the
// vocabulary.
template <typename T>
bool widen(const uint8_t* bytes, uint64_t count, uint32_t vocab_size, int64_t* out) {
  uint32_t largest = 0;
  for (uint64_t i = 0; i < count; ++i) {
    T id;
    std::memcpy(&id, bytes + i * sizeof(T), sizeof(T));
    largest = std::max<uint32_t>(largest, id);
    out[i] = id;
  }
  return largest < vocab_size;
}

}  // namespace

uint32_t bytes_per_token(uint32_t vocab_size) { return vocab_size <= 65536 ? 2 : 4; }

ShardWriter::ShardWriter(const std::filesystem::path& path, uint32_t vocab_size,
                         uint64_t tokenizer_fingerprint)
    : file_(path) {
  header_.bytes_per_token = bytes_per_token(vocab_size);
  header_.vocab_size = vocab_size;
  header_.tokenizer_fingerprint = tokenizer_fingerprint;
  file_.write(HeaderBytes{});
}

ShardWriter::ShardWriter(const std::filesystem::path& path, uint32_t vocab_size,
                         uint64_t tokenizer_fingerprint, const ShardProgress& progress)
    : file_(path, kHeaderBytes + progress.n_tokens * bytes_per_token(vocab_size)),
      checksum_(progress.checksum) {
  header_.bytes_per_token = bytes_per_token(vocab_size);
  header_.vocab_size = vocab_size;
  header_.n_tokens = progress.n_tokens;
  header_.n_documents = progress.n_documents;
  header_.tokenizer_fingerprint = tokenizer_fingerprint;
  check_written(file_.path());
}

void ShardWriter::check_written(const std::filesystem::path& file) const {
  Fnv1a64 found;
  found.update(MappedFile(file).bytes().subspan(kHeaderBytes));
  if (found.value() != checksum_.value()) {
    fail(ErrorCode::kBadInput, "'{}' is not what an earlier build wrote", file.string());
  }
}

void ShardWriter::append(std::span<const int32_t> ids) {
  for (const int32_t id : ids) {
    const auto value = static_cast<uint32_t>(id);
    if (value >= header_.vocab_size) {
      fail(ErrorCode::kInternal, "token id {} is outside the vocabulary of {}", id,
           header_.vocab_size);
    }
    for (uint32_t byte = 0; byte < header_.bytes_per_token; ++byte) {
      buffer_.push_back(static_cast<uint8_t>(value >> (8 * byte)));
    }
    if (buffer_.size() >= kBufferBytes) write_buffer();
  }
  header_.n_tokens += ids.size();
}

void ShardWriter::write_buffer() {
  checksum_.update(buffer_);
  file_.write(buffer_);
  buffer_.clear();
}

ShardProgress ShardWriter::flush() {
  write_buffer();
  file_.flush();
  return {header_.n_tokens, header_.n_documents, checksum_.value()};
}

ShardHeader ShardWriter::finish() {
  write_buffer();
  header_.checksum = checksum_.value();
  file_.commit(encode_header(header_));
  return header_;
}

ShardReader::ShardReader(const std::filesystem::path& path) : file_(path) {
  HeaderBytes bytes;
  if (file_.size() < bytes.size()) fail_no_shard(path.string());
  file_.read_at(0, bytes);
  header_ = decode_header(bytes, path.string());
  check_header(header_, bytes, file_.size(), path.string());
}

int32_t ShardReader::token(uint64_t index) const {
  int64_t id = 0;
  copy(index, 1, &id);
  return static_cast<int32_t>(id);
}

void ShardReader::copy(uint64_t begin, uint64_t count, int64_t* out) const {
  if (begin > size() || count > size() - begin) {
    fail(ErrorCode::kInternal, "'{}': tokens [{}, {} + {}) of {}", path().string(), begin, begin,
         count, size());
  }
  // Read to the end of `out`, from where each id moves forward to its place.
  const uint64_t width = header_.bytes_per_token;
  uint8_t* bytes = reinterpret_cast<uint8_t*>(out + count) - count * width;
  file_.read_at(kHeaderBytes + begin * width, {bytes, count * width});
  const bool valid = width == 2 ? widen<uint16_t>(bytes, count, header_.vocab_size, out)
                                : widen<uint32_t>(bytes, count, header_.vocab_size, out);
  if (!valid) {
    fail(ErrorCode::kBadInput,
         "'{}' is damaged: near token {} is an id outside the vocabulary of {}; build the data set "
         "again",
         path().string(), begin, header_.vocab_size);
  }
}

void ShardReader::will_need(uint64_t begin, uint64_t count) const {
  file_.will_need(kHeaderBytes + begin * header_.bytes_per_token, count * header_.bytes_per_token);
}

void ShardReader::verify(const std::atomic<bool>* stop) const {
  Fnv1a64 checksum;
  std::vector<uint8_t> buffer(kVerifyBytes);
  for (uint64_t begin = kHeaderBytes; begin < file_.size(); begin += kVerifyBytes) {
    if (stop != nullptr && *stop) fail(ErrorCode::kInterrupted, "interrupted");
    const auto part = std::span(buffer).first(std::min(kVerifyBytes, file_.size() - begin));
    file_.will_need(begin + part.size(), kVerifyBytes);
    file_.read_at(begin, part);
    checksum.update(part);
  }
  if (checksum.value() != header_.checksum) {
    fail(ErrorCode::kBadInput, "'{}' is damaged: its checksum differs; build the data set again",
         path().string());
  }
}

}  // namespace tercet
