// The stream of one answer as server-sent events. It begins with the first event, so that what fails before is still a plain
// error response with its status.
#pragma once

#include <string_view>

#include "base/json.h"
#include "gateway/api/pipeline.h"

namespace stoa::gateway::openai {

// One thread at a time.
class SseStream {
 public:
  explicit SseStream(RequestScope& scope) : scope_(scope) {}

  // False when the client has gone. `event` is the optional name of the event.
  bool send(const JsonObject& data, std::string_view event = "");
  bool begun() const { return begun_; }
  // "data: [DONE]" and the proper end.
  void done();
  // The proper end without [DONE], for families whose last event says it.
  void end();
  // Mid-stream failure: data {"error": ...} without [DONE], which clients raise as an error.
  void fail(const Error& error);

 private:
  bool write(std::string_view text);

  RequestScope& scope_;
  bool begun_ = false;
};

}  // namespace stoa::gateway::openai
