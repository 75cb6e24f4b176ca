// Any bytes as a safetensors file: an error or a file whose every view lies inside of the bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "models/formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa::models;
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto file = SafetensorsFile::parse(bytes, "fuzz");
  if (!file) return 0;
  for (const auto& tensor : file->tensors()) {
    if (tensor.data.size() != dtype_bytes(tensor.dtype, static_cast<std::size_t>(tensor.elements()))) std::abort();
    if (!tensor.data.empty() && (tensor.data.data() < bytes.data() || tensor.data.data() + tensor.data.size() > bytes.data() + size)) std::abort();
  }
  return 0;
}
