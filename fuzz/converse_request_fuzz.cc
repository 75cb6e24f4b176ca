// Request bodies of the Converse dialect. Whatever the bytes are, the parser returns a request or an error that can be put on the wire; what it takes
// ends with a message that a model can answer, every answer of a tool has its call, and every image its place.
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "gateway/api/bedrock/converse_json.h"
#include "gateway/api/bedrock/errors.h"
#include "require.h"

using namespace stoa;
using namespace stoa::gateway;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto body = parse_body({reinterpret_cast<const char*>(data), size});
  if (!body) return 0;
  const auto call = bedrock::parse_converse(*body);
  if (!call) {
    const auto response = bedrock::error_response(call.error(), "req_1");
    require(response.status >= 400 && parse_json(response.body) && !bedrock::stream_exception(call.error()).empty());
    return 0;
  }
  require(call->request.messages.back().role != "assistant");
  std::set<std::string> called;
  for (const ChatMessage& message : call->request.messages) {
    for (const ToolCall& made : message.tool_calls) called.insert(made.id);
    require(message.role != "tool" || called.contains(message.tool_call_id));
    for (const ChatImage& image : message.images) require(image.at <= message.content.size() && !image.data.empty());
  }
  return 0;
}
