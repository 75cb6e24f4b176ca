#include "gateway/api/sse_stream.h"

#include "infra/http/sse.h"

namespace stoa::gateway {

bool SseStream::write(std::string_view text) {
  if (!begun_) scope_.start_stream("text/event-stream; charset=utf-8");
  begun_ = true;
  return scope_.write(text);
}

bool SseStream::send(const JsonObject& data, std::string_view event) { return write(infra::format_sse(dump_json(data), event)); }

bool SseStream::send_text(std::string_view json, std::string_view event) { return write(infra::format_sse(json, event)); }

void SseStream::end_with(std::string_view data, std::string_view event) {
  if (scope_.conclude()) write(infra::format_sse(data, event));
  scope_.end_stream();
}

void SseStream::end() { scope_.end_stream(); }

void SseStream::fail_with(const Error& error, const JsonObject& data, std::string_view event) {
  scope_.set_error(error);
  end_with(dump_json(data), event);
}

}  // namespace stoa::gateway
