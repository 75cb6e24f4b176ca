// The stream of one answer as server-sent events. It begins with the first event, so that what fails before is still a plain
// error response with its status.
#pragma once

#include <string_view>

#include "base/json.h"
#include "gateway/api/pipeline.h"

namespace stoa::gateway {

// One thread at a time.
class SseStream {
 public:
  explicit SseStream(RequestScope& scope) : scope_(scope) {}

  // False when the client has gone. `event` is the optional name of the event.
  bool send(const JsonObject& data, std::string_view event = "");
  bool send_text(std::string_view json, std::string_view event = "");
  bool begun() const { return begun_; }
  // The last event, by which clients tell that the answer is whole or has failed, and the proper end. The event is sent only when the request has been
  // recorded; else the stream is cut.
  void end_with(std::string_view data, std::string_view event = "");
  // The proper end, for families whose last event was sent before.
  void end();
  // The last event of an answer that fails in mid-stream.
  void fail_with(const Error& error, const JsonObject& data, std::string_view event = "");

 private:
  bool write(std::string_view text);

  RequestScope& scope_;
  bool begun_ = false;
};

}  // namespace stoa::gateway
