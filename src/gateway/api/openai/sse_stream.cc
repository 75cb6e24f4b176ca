#include "gateway/api/openai/sse_stream.h"

#include "gateway/api/openai/errors.h"
#include "infra/http/sse.h"

namespace stoa::gateway::openai {

bool SseStream::write(std::string_view text) {
  if (!begun_) scope_.start_stream("text/event-stream; charset=utf-8");
  begun_ = true;
  return scope_.write(text);
}

bool SseStream::send(const JsonObject& data, std::string_view event) { return write(infra::format_sse(dump_json(data), event)); }

void SseStream::done() {
  if (scope_.conclude()) write(infra::format_sse("[DONE]"));  // else the end is missing, and the stream is cut
  scope_.end_stream();
}

void SseStream::end() { scope_.end_stream(); }

void SseStream::fail(const Error& error) {
  scope_.set_error(error);
  if (scope_.conclude()) send(to_wire(error).body);
  scope_.end_stream();
}

}  // namespace stoa::gateway::openai
