// Any bytes as a chat template: an error or text within the limits.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "models/tokenizer/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa::models;
  const TemplateLimits limits{.max_source_bytes = 1 << 16, .max_output_bytes = 1 << 16, .max_steps = 20'000, .max_depth = 60};
  const auto parsed = ChatTemplate::parse(std::string(reinterpret_cast<const char*>(data), size), limits);
  if (!parsed) return 0;
  const std::vector<stoa::ChatMessage> messages = {{"system", "Be brief."}, {"user", " Hi \xc3\xa9"}, {"assistant", "<think>x</think>y"}, {"user", "bye"}};
  const auto text = parsed->render({.messages = messages, .bos_token = "<s>", .eos_token = "</s>", .tools_json = R"([{"function":{"name":"f","parameters":{"a":[1,2.5,null]}}}])"});
  if (text && text->size() > 2 * limits.max_output_bytes) std::abort();
  return 0;
}
