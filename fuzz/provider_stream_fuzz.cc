// Streams of providers: the first byte chooses the family and how the rest is cut into pieces; for those that come in frames of AWS, each line is a frame:
// the name of an event, a space, its payload ("!" before the name: an exception). Whatever the bytes are, a decoder gives deltas
// that can be put on the wire, and at the end an answer or an error.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "gateway/providers/codec.h"
#include "infra/aws/event_stream.h"

namespace {

std::string frames(std::string_view lines) {
  std::string out;
  while (!lines.empty()) {
    const auto end = lines.find('\n');
    std::string_view line = lines.substr(0, end);
    lines = end == std::string_view::npos ? std::string_view() : lines.substr(end + 1);
    const bool exception = line.starts_with('!');
    if (exception) line.remove_prefix(1);
    const auto space = std::min(line.find(' '), line.size());
    out += stoa::infra::format_event_message({{{exception ? ":exception-type" : ":event-type", std::string(line.substr(0, space))}, {":message-type", exception ? "exception" : "event"}},
                                              std::string(line.substr(std::min(space + 1, line.size()))) + (line.starts_with("PayloadPart") ? "\n\n" : "")});
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa;
  using namespace stoa::gateway;
  if (size == 0) return 0;
  constexpr std::array<std::string_view, 2> kFamilies{"openai", "anthropic"};
  constexpr std::array<std::string_view, 3> kClouds{"vertex", "bedrock", "sagemaker"};  // from 'A' on
  constexpr std::array<std::size_t, 4> kPieces{1u << 20, 1, 3, 64};
  const unsigned choice = static_cast<std::uint8_t>(data[0] - '0');
  const std::string_view raw(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool cloud = data[0] >= 'A';
  const std::string_view family = cloud ? kClouds[(data[0] - 'A') % kClouds.size()] : kFamilies[choice % kFamilies.size()];
  const std::string framed = cloud && family != "vertex" ? frames(raw) : std::string();
  const std::string_view bytes = framed.empty() ? raw : std::string_view(framed);
  int calls = 0;
  const models::DeltaSink sink = [&](const ChatDelta& delta) {
    if (!is_valid_utf8(delta.text) || !is_valid_utf8(delta.reasoning)) std::abort();
    for (const ToolCallDelta& call : delta.tool_calls) {
      if (call.index < 0 || call.index > calls || call.index >= kMaxUpstreamCalls) std::abort();
      if (call.index == calls) {
        if (call.name.empty() || call.id.empty()) std::abort();  // the first of a call
        ++calls;
      }
    }
    return true;
  };
  UpstreamAnswer answer(sink);
  ChatRequest request;
  if (choice & 2) request.constraint = AnswerConstraint{};
  const auto decoder = make_codec(family)->decoder(request);
  const std::size_t piece = kPieces[choice / 4 % kPieces.size()];
  for (std::size_t at = 0; at < bytes.size(); at += piece)
    if (!decoder->feed(bytes.substr(at, piece), answer)) break;
  static_cast<void>(decoder->end(answer));
  if (answer.complete && !answer.finish) std::abort();
  if (answer.usage.prompt_tokens < 0 || answer.usage.cached_tokens > answer.usage.prompt_tokens) std::abort();
  static_cast<void>(status_error(400 + static_cast<int>(choice), {}, bytes));
  return 0;
}
