// Any bytes as HTML, Markdown and text: parsed and cut into passages without a crash, and every passage is valid UTF-8.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/utf8.h"
#include "data/parse/chunk.h"
#include "data/parse/document.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stoa::ByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
  for (const char* name : {"x.html", "x.md", "x.txt"}) {
    const auto document = stoa::data::parse_document(bytes, name);
    if (!document) continue;
    const auto chunks = stoa::data::chunk_document(*document, stoa::data::approximate_tokens);
    if (!chunks) continue;
    for (const auto& chunk : *chunks) {
      if (chunk.text.empty() || !stoa::is_valid_utf8(chunk.text)) std::abort();
    }
  }
  return 0;
}
