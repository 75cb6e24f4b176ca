// Request bodies of the Anthropic dialect. Whatever the bytes are, the parser returns a request or an error that can be put on the wire; what it takes
// ends with a message that a model can answer, and every answer of a tool has its call.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string_view>

#include "gateway/api/anthropic/errors.h"
#include "gateway/api/anthropic/messages_json.h"

using namespace stoa;
using namespace stoa::gateway;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto body = parse_body({reinterpret_cast<const char*>(data), size});
  if (!body) return 0;
  const auto call = anthropic::parse_message_call(*body);
  if (!call) {
    const auto response = anthropic::error_response(call.error(), "req_1");
    if (response.status < 400 || !parse_json(response.body)) std::abort();
    return 0;
  }
  auto prompt = anthropic::parse_prompt(*body);
  if (!prompt || prompt->request.messages.size() != call->request.messages.size() || call->request.max_tokens < 1 || call->request.messages.back().role == "assistant") std::abort();
  std::set<std::string> called;
  for (const ChatMessage& message : call->request.messages) {
    for (const ToolCall& made : message.tool_calls) called.insert(made.id);
    if (message.role == "tool" && !called.contains(message.tool_call_id)) std::abort();
  }
  // PDF has a target of its own.
  if (std::ranges::any_of(prompt->documents, [](const anthropic::MessageDocument& document) { return !document.pdf.empty(); })) return 0;
  if (!anthropic::find_passages({}, nullptr, prompt->documents, "what")) std::abort();
  if (!anthropic::place_documents(prompt->request, prompt->documents, {})) std::abort();
  return 0;
}
