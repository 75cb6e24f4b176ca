// Any bytes as a tokenizer file (tokenizer.json when they begin with "{", GGUF otherwise), which then encodes difficult text and
// itself: ids stay inside of the vocabulary and decode.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "models/tokenizer/tokenizer.h"

namespace {

using namespace stoa;
using namespace stoa::models;

Result<Tokenizer> load(std::string_view bytes) {
  if (bytes.starts_with('{')) return Tokenizer::from_json(bytes, "fuzz");
  STOA_TRY(file, GgufFile::parse(std::as_bytes(std::span(bytes)), "fuzz"));
  return Tokenizer::from_gguf(file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto tokenizer = load(bytes);
  if (!tokenizer) return 0;
  constexpr std::string_view kText = "Hello, wörld! it's 1234\r\n\t  你好 \xf0\x9f\x98\x80 \xff\xe4\xbd <s>[CLS]<|im_end|> aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
  for (const auto text : {kText, bytes}) {
    for (const bool parse : {false, true}) {
      const auto ids = tokenizer->encode(text, {.add_special = true, .parse_special = parse});
      for (const auto id : ids)
        if (id < 0 || id >= tokenizer->size()) std::abort();
      (void)tokenizer->decode(ids, parse);
    }
  }
  return 0;
}
