// HTTP/1.1 client: blocking calls with limits and timeouts for every phase, TLS with verification, connections kept alive. It goes
// wherever it is told to: servers use it through Egress (egress.h), which decides where requests may go.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "infra/http/sender.h"
#include "infra/http/tls.h"
#include "infra/http/url.h"

namespace stoa::infra {

// Says of every place that a request would go to whether it may.
class HttpGuard {
 public:
  virtual ~HttpGuard() = default;
  // Before a name is looked up or a byte is sent, and again for each redirect.
  virtual Status check_url(const Url& url) const = 0;
  // Of each address that url.host was resolved to ("192.0.2.1", "2001:db8::1"): if one may not be reached, nothing is connected to.
  // Not asked behind a proxy, which resolves names itself.
  virtual Status check_address(const Url& url, std::string_view address) const = 0;
};

struct HttpClientOptions {
  std::string ca_file{};             // further trusted certificates (PEM), beside the system's
  std::string certificate{};         // shown to servers that ask for one (PEM chain), with its key
  std::string key{};
  TlsVersion tls_minimum = TlsVersion::k1_3;
  std::shared_ptr<const HttpGuard> guard{};  // null: anywhere
  std::string http_proxy{};          // "http://host:port" for http:// URLs; empty = none
  std::string https_proxy{};         // same for https:// (CONNECT)
  std::string no_proxy{};            // comma-separated hosts and domain suffixes, or "*"; loopback never goes through a proxy
  std::size_t max_header = 64u << 10;
  std::size_t idle_per_host = 8;   // connections kept
  std::chrono::milliseconds keep_alive{30'000};

  // Proxy settings from HTTP_PROXY, HTTPS_PROXY and NO_PROXY (either case).
  static HttpClientOptions from_environment();
};

// Certificate files that change are taken up with the next connection.
class HttpClient final : public HttpSender {
 public:
  explicit HttpClient(HttpClientOptions options = {});
  ~HttpClient() override;
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  Result<int> stream(const HttpClientRequest& request, const HttpStream& stream) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stoa::infra
