// SPDX-License-Identifier: Apache-2.0
// A GGUF file: header, metadata, tensor descriptions, and every typed accessor on every key.
#include "formats/gguf.h"

#include "fuzz/target.h"

namespace tercet::fuzz {
namespace {

// A key has one type, so all accessors but one or two must refuse it.
void read_as_every_type(const GgufFile& file, const std::string& key) {
  accept_or_refuse([&] { (void)file.integer(key); });
  accept_or_refuse([&] { (void)file.integer_or(key, 0); });
  accept_or_refuse([&] { (void)file.real(key); });
  accept_or_refuse([&] { (void)file.real_or(key, 0); });
  accept_or_refuse([&] { (void)file.boolean_or(key, false); });
  accept_or_refuse([&] { (void)file.string(key); });
  accept_or_refuse([&] { (void)file.string_or(key, ""); });
  accept_or_refuse([&] { (void)file.strings(key); });
  accept_or_refuse([&] { (void)file.reals(key); });
  accept_or_refuse([&] { (void)file.integers(key); });
}

void read_file(std::span<const uint8_t> bytes) {
  const GgufFile file(bytes, "fuzz.gguf");
  for (const auto& [key, value] : file.metadata()) {
    require(file.find(key) == &value, "every key is found");
    read_as_every_type(file, key);
  }
  for (const TensorView& tensor : file.tensors()) {
    require(file.find_tensor(tensor.name) == &tensor, "every tensor is found");
    require(lies_in(tensor.bytes, bytes), "tensors lie in the file");
    accept_or_refuse([&] { (void)to_f32(tensor); });
  }
}

}  // namespace
}  // namespace tercet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tercet::fuzz::accept_or_refuse([&] { tercet::fuzz::read_file({data, size}); });
  return 0;
}
