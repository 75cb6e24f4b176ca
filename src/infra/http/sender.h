// Outgoing HTTP as its users see it: a request, how long it may take, and whoever sends it. Takes no part in where requests may go:
// servers get their HttpSender from Egress (egress.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "infra/http/message.h"

namespace stoa::infra {

struct HttpTimeouts {
  std::chrono::milliseconds connect{10'000};     // name lookup, TCP and TLS
  std::chrono::milliseconds first_byte{60'000};  // from the request sent to the response's head
  std::chrono::milliseconds idle{60'000};        // between two pieces, sent or received
  std::chrono::milliseconds total{600'000};
};

struct HttpClientRequest {
  std::string method = "GET";
  std::string url{};        // http:// or https://
  HttpHeaders headers{};  // Host, Content-Length and Connection are added
  std::string body{};
  HttpTimeouts timeouts{};
  CancelToken cancel{};   // looked at several times a second; a cancelled call returns kCancelled
  int max_redirects = 0;  // GET and HEAD only; when the origin changes, only headers that cannot hold a secret go along
  std::uint64_t max_body = 64u << 20;  // of the response
  bool repeatable = false;  // may be sent again although its method is not idempotent: when a connection that was kept is closed before a byte of the answer
};

// What a stream is told, on the thread that called. Returning false from on_data ends the transfer without an error.
struct HttpStream {
  std::function<Status(int status, const HttpHeaders& headers)> on_head;  // an error ends the call with it
  std::function<bool(std::string_view piece)> on_data;
};

// Thread-safe; each call uses the caller's thread.
// Errors: kInvalidArgument (URL, CA file), kPermissionDenied (the rules of egress; the message says which), kUnavailable (name, refused,
// TLS, connection lost, malformed reply), kDeadlineExceeded (the message says which phase), kTooLarge, kCancelled. Every message names the
// host. Statuses of 400 and above are responses, not errors.
class HttpSender {
 public:
  virtual ~HttpSender() = default;
  // For large or endless bodies: nothing is kept. The status is also returned. Redirects that are followed are not shown.
  virtual Result<int> stream(const HttpClientRequest& request, const HttpStream& stream) = 0;
  // The whole response; its body is at most request.max_body.
  virtual Result<HttpResponse> send(const HttpClientRequest& request);
};

}  // namespace stoa::infra
