// Any bytes as a tokenizer.json: an error or a tokenizer that encodes and decodes any text.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "models/tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto tokenizer = stoa::models::Tokenizer::from_json(text, "fuzz.json");
  if (!tokenizer) return 0;
  for (const std::string_view sample : {std::string_view("Hello, w\xC3\xB6rld 123"), text.substr(0, 200)})
    static_cast<void>(tokenizer->decode(tokenizer->encode(sample, {.add_special = true, .parse_special = true})));
  return 0;
}
