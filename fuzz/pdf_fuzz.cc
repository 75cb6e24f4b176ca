// Any bytes as a PDF: an error that says why, or blocks of valid text on pages that exist.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/utf8.h"
#include "data/parse/document.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stoa::ByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto document = stoa::data::parse_document(bytes, "x.pdf", "application/pdf", {.max_text = 1 << 20, .max_pages = 50});
  if (!document) {
    if (document.error().message.empty()) std::abort();
    return 0;
  }
  if (document->content_type != "application/pdf") return 0;
  for (const auto& block : document->blocks)
    if (block.text.empty() || !stoa::is_valid_utf8(block.text) || block.page < 1 || block.page > document->pages) std::abort();
  return 0;
}
