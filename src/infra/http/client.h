// HTTP/1.1 client: blocking calls with limits and timeouts for every phase, TLS with verification, connections kept alive.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
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
  int max_redirects = 0;  // GET and HEAD only; Authorization is dropped when the origin changes
  std::uint64_t max_body = 64u << 20;  // of the response
};

struct HttpClientOptions {
  std::string ca_file{};             // further trusted certificates (PEM), beside the system's
  std::string http_proxy{};          // "http://host:port" for http:// URLs; empty = none
  std::string https_proxy{};         // same for https:// (CONNECT)
  std::string no_proxy{};            // comma-separated hosts and domain suffixes, or "*"; loopback never goes through a proxy
  std::size_t max_header = 64u << 10;
  std::size_t idle_per_host = 8;   // connections kept
  std::chrono::milliseconds keep_alive{30'000};

  // Proxy settings from HTTP_PROXY, HTTPS_PROXY and NO_PROXY (either case).
  static HttpClientOptions from_environment();
};

// What a stream is told, on the thread that called. Returning false from on_data ends the transfer without an error.
struct HttpStream {
  std::function<Status(int status, const HttpHeaders& headers)> on_head;  // an error ends the call with it
  std::function<bool(std::string_view piece)> on_data;
};

// Thread-safe; each call uses the caller's thread.
// Errors: kInvalidArgument (URL, CA file), kUnavailable (name, refused, TLS, connection lost, malformed reply),
// kDeadlineExceeded (the message says which phase), kTooLarge, kCancelled. Every message names the host. Statuses of 400 and
// above are responses, not errors.
class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options = {});
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  Result<HttpResponse> send(const HttpClientRequest& request);
  // For large or endless bodies: nothing is kept. The status is also returned. Redirects that are followed are not shown.
  Result<int> stream(const HttpClientRequest& request, const HttpStream& stream);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stoa::infra
