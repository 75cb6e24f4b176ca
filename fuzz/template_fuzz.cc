// Any bytes as a chat template, rendered with small limits: an error or a text, in bounded steps.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "models/tokenizer/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stoa::models::TemplateLimits limits{.max_output_bytes = 1 << 16, .max_steps = 20'000};
  const auto chat = stoa::models::ChatTemplate::parse(std::string(reinterpret_cast<const char*>(data), size), limits);
  if (!chat) return 0;
  const std::array messages{stoa::ChatMessage{"system", "be brief"}, stoa::ChatMessage{"user", "hi {{ 1 }}"}, stoa::ChatMessage{"assistant", "hello"}};
  static_cast<void>(chat->render({.messages = messages, .bos_token = "<s>", .eos_token = "</s>", .tools_json = R"([{"type":"function"}])", .extra_json = R"({"x":1})"}));
  return 0;
}
