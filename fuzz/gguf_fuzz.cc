// Any bytes as a GGUF file, and the tokenizer it claims to hold: an error or a usable object, never a crash.
#include <cstddef>
#include <cstdint>

#include "models/formats/gguf.h"
#include "models/tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = stoa::models::GgufFile::parse({reinterpret_cast<const std::byte*>(data), size}, "fuzz.gguf");
  if (!file) return 0;
  std::size_t sum = 0;
  for (const auto& tensor : file->tensors())
    for (const auto byte : tensor.data.first(std::min<std::size_t>(tensor.data.size(), 64))) sum += static_cast<std::size_t>(byte);
  const auto tokenizer = stoa::models::Tokenizer::from_gguf(*file);
  if (tokenizer) sum += tokenizer->decode(tokenizer->encode("Fuzzing \xF0\x9F\x99\x82 is fun\xFF", {})).size();
  return sum == SIZE_MAX ? 1 : 0;  // keeps the reads
}
