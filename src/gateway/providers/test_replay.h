// A sender that replays the bytes of an upstream, for tests: whole, in pieces of any size, or cut off.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "infra/http/sender.h"

namespace stoa::gateway {

struct Replay : infra::HttpSender {
  int status = 200;
  infra::HttpHeaders headers{{"Content-Type", "text/event-stream"}};
  std::string body;
  std::size_t piece = 1 << 20;        // bytes at a time
  std::optional<Error> refuse;        // instead of an answer
  std::optional<Error> fails_after;   // after the whole body
  infra::HttpClientRequest asked;

  Result<int> stream(const infra::HttpClientRequest& request, const infra::HttpStream& to) override {
    asked = request;
    if (refuse) return fail(*refuse);
    if (to.on_head) STOA_CHECK(to.on_head(status, headers));
    for (std::size_t at = 0; at < body.size(); at += piece)
      if (!to.on_data(std::string_view(body).substr(at, piece))) return status;
    if (fails_after) return fail(*fails_after);
    return status;
  }
};

}  // namespace stoa::gateway
