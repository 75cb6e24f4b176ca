// Any bytes as a safetensors file: an error or tensors that lie inside the file.
#include <cstddef>
#include <cstdint>

#include "models/formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = stoa::models::SafetensorsFile::parse({reinterpret_cast<const std::byte*>(data), size}, "fuzz.safetensors");
  if (!file) return 0;
  std::size_t sum = 0;
  for (const auto& tensor : file->tensors())
    for (const auto byte : tensor.data) sum += static_cast<std::size_t>(byte);
  return sum == SIZE_MAX ? 1 : 0;
}
