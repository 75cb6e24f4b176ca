// Any bytes as a GGUF file: an error or a file whose every view lies inside of the bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "models/formats/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa::models;
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto file = GgufFile::parse(bytes, "fuzz");
  if (!file) {
    if (file.error().message.empty()) std::abort();
    return 0;
  }
  for (const auto& entry : file->metadata()) {
    (void)file->get_int(entry.key);
    (void)file->get_float(entry.key);
    (void)file->get_bool(entry.key);
    (void)file->get_string(entry.key);
    for (std::size_t i = 0; i < entry.array.count; ++i) {
      (void)entry.array.int_at(i);
      (void)entry.array.float_at(i);
    }
    for (const auto text : entry.array.strings)
      if (text.data() < reinterpret_cast<const char*>(data) || text.data() + text.size() > reinterpret_cast<const char*>(data + size)) std::abort();
  }
  for (const auto& tensor : file->tensors()) {
    if (tensor.data.size() != dtype_bytes(tensor.dtype, static_cast<std::size_t>(tensor.elements()))) std::abort();
    if (tensor.data.data() < bytes.data() || tensor.data.data() + tensor.data.size() > bytes.data() + size) std::abort();
    if (file->tensor(tensor.name) != &tensor) std::abort();
  }
  return 0;
}
