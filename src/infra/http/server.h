// HTTP/1.1 server. Connections are handled by coroutines on a few I/O threads; handlers are plain blocking functions on a bounded
// pool of workers. Keep-alive, pipelining, chunked streams, TLS, limits on everything, drain on stop.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "infra/http/address_limits.h"
#include "infra/http/router.h"
#include "infra/http/tls.h"

namespace stoa::infra {

// A request that the server refused itself, before any handler saw it, or a connection that it ended.
struct HttpRefusal {
  std::string_view peer;    // as HttpRequest has it
  int status = 0;           // of the answer; 0: there was none, as when a handshake failed
  std::string request;      // "POST /v1/files", as far as it could be read; without the query
  std::string_view reason;  // may repeat what the client sent
};
// Called before the answer goes out, on the threads of all connections: it must not wait for anything.
using RefusalObserver = std::function<void(const HttpRefusal&)>;

struct HttpServerOptions {
  std::string address = "127.0.0.1";  // IPv4 or IPv6 literal
  std::uint16_t port = 0;             // 0 = let the system pick; HttpServer::port() tells
  TlsOptions tls{};                   // files that change are taken up within seconds; connections that exist keep what they have
  CertificateObserver on_certificate{};  // told of every certificate loaded or refused
  RefusalObserver on_refusal{};        // told of every refusal; may be empty
  ListenerRoles roles = ListenerRoles::all();  // only routes of these are served

  int io_threads = 1;
  int workers = 64;                   // handlers running at once
  std::size_t queue = 256;            // requests waiting for a worker; beyond: 503 with Retry-After
  std::size_t max_connections = 10000;  // beyond: closed at once

  AddressLimits* per_address = nullptr;   // connections and rates by the client's address; outlives the server; null: no such limits

  std::size_t max_header = 16u << 10;    // request line and fields; beyond: 431
  std::uint64_t max_body = 8u << 20;     // default of a route; beyond: 413
  std::uint64_t max_buffered = 1u << 30;  // bodies of all connections together; beyond: 503
  std::size_t send_buffer = 256u << 10;  // of one connection; Responder::write waits beyond it

  std::chrono::milliseconds header_timeout{10'000};  // from the first byte of a request to its last header; then 408
  std::chrono::milliseconds body_timeout{60'000};    // for the body; then 408
  std::uint64_t min_body_rate = 0;                   // bytes a second, on average; a body that is slower after body_grace: 408
  std::chrono::milliseconds body_grace{10'000};
  std::chrono::milliseconds idle_timeout{75'000};    // between requests
  std::chrono::milliseconds write_timeout{30'000};   // without the client taking a byte
};

struct HttpServerStats {
  std::uint64_t connections = 0;  // open now
  std::uint64_t accepted = 0;
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;      // 503 for want of a worker or buffer, and connections beyond the limit
  std::uint64_t working = 0;      // handlers running now
};

// Thread-safe. All timeouts are checked several times a second, so they are not exact to the millisecond.
class HttpServer {
 public:
  // Binds, listens and serves. Errors: kUnavailable when the address cannot be bound (named, with a hint), kInvalidArgument
  // for a bad address or certificate.
  static Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options, Router router);
  ~HttpServer();  // stop(0)
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  std::string url() const;  // "http://127.0.0.1:8080"
  const Router& router() const;
  HttpServerStats stats() const;
  // Reads the certificate files again at once. An error names file and reason; the certificate in use then stays.
  Status reload_certificates();

  // Stops accepting, lets running requests end within `drain`, then closes every connection (their handlers see the client
  // gone) and waits for the handlers to return. Again is harmless.
  void stop(std::chrono::milliseconds drain);

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace stoa::infra
