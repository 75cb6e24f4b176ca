#include "infra/http/client.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>

#include "base/log.h"
#include "infra/http/parser.h"
#include "infra/http/transport.h"
#include "infra/http/url.h"

namespace stoa::infra {
namespace {

struct Idle {
  std::unique_ptr<Transport> transport;
  SteadyTime since;
};

std::string variable(const char* name, const char* other) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') value = std::getenv(other);
  return value == nullptr ? "" : value;
}

bool is_loopback(std::string_view host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

// Entries are host names or domain suffixes, with or without a leading dot.
bool bypasses_proxy(std::string_view host, std::string_view no_proxy) {
  if (is_loopback(host)) return true;
  while (!no_proxy.empty()) {
    const auto comma = no_proxy.find(',');
    auto entry = no_proxy.substr(0, comma);
    while (entry.starts_with(' ') || entry.starts_with('.')) entry.remove_prefix(1);
    while (entry.ends_with(' ')) entry.remove_suffix(1);
    if (entry == "*" || (!entry.empty() && equals_ignoring_case(host, entry))) return true;
    if (!entry.empty() && host.size() > entry.size() && host[host.size() - entry.size() - 1] == '.' &&
        equals_ignoring_case(host.substr(host.size() - entry.size()), entry))
      return true;
    if (comma == std::string_view::npos) break;
    no_proxy.remove_prefix(comma + 1);
  }
  return false;
}

Deadline sooner(milliseconds time, Deadline other) { return {std::min(Deadline::after(time).at, other.at)}; }
// When a redirect leads to another origin, these go along; whatever else was set could be a credential under any name.
bool is_harmless(std::string_view name) {
  static constexpr std::string_view kHarmless[] = {"accept", "accept-encoding", "accept-language", "user-agent", "range", "if-range", "if-none-match", "if-modified-since"};
  return std::ranges::any_of(kHarmless, [&](std::string_view each) { return equals_ignoring_case(each, name); });
}

bool is_redirect(int status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }
bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" || method == "OPTIONS";
}

Status check_request(const HttpClientRequest& request) {
  const auto bad = [](std::string_view text) { return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos; };
  if (request.method.empty() || bad(request.method) || request.method.find(' ') != std::string::npos)
    return fail(ErrorCode::kInvalidArgument, "bad HTTP method");
  for (const auto& [name, value] : request.headers.all())
    if (name.empty() || bad(name) || name.find_first_of(": ") != std::string::npos || bad(value))
      return fail(ErrorCode::kInvalidArgument, "header '{}' has a line break or a bad name", bad(name) ? "?" : name);
  return {};
}

std::string format_head(const HttpClientRequest& request, const Url& url, bool through_proxy) {
  std::string head = fmt::format("{} {}{} HTTP/1.1\r\nHost: {}\r\n", request.method, through_proxy ? url.origin() : "", url.target(), url.authority());
  for (const auto& [name, value] : request.headers.all()) {
    if (equals_ignoring_case(name, "host") || equals_ignoring_case(name, "content-length") || equals_ignoring_case(name, "connection")) continue;
    head += name + ": " + value + "\r\n";
  }
  if (!request.body.empty() || (request.method != "GET" && request.method != "HEAD")) head += fmt::format("Content-Length: {}\r\n", request.body.size());
  return head + "\r\n";
}

}  // namespace

struct HttpClient::Impl {
  HttpClientOptions options;
  std::mutex mutex;
  std::multimap<std::string, Idle> idle;  // by origin, oldest first within one
  std::shared_ptr<TlsTrust> trust;
  std::string trust_files;  // their signature when it was loaded

  std::unique_ptr<Transport> take_idle(const std::string& key);
  void give_back(const std::string& key, std::unique_ptr<Transport> transport);
  Result<std::shared_ptr<TlsTrust>> tls_trust();
  Result<std::optional<Url>> proxy_for(const Url& url) const;
  Result<std::unique_ptr<Transport>> open(const Url& url, const std::optional<Url>& proxy, const StepLimit& limit);

  struct Outcome {
    int status = 0;
    HttpHeaders headers;
    bool untouched = false;  // failed before a byte of the answer: the connection may have been closed while idle
  };
  Result<Outcome> once(const HttpClientRequest& request, const Url& url, const HttpStream& stream, Deadline total);
  Status send_request(Transport& transport, const HttpClientRequest& request, const Url& url, bool through_proxy, Deadline total);
  // `data` holds what was received and not yet parsed; `touched` becomes true with the first byte.
  Status read_reply(Transport& transport, const HttpClientRequest& request, ResponseParser& parser, Deadline first, Deadline total,
                    bool& touched, std::string& data);
};

std::unique_ptr<Transport> HttpClient::Impl::take_idle(const std::string& key) {
  const auto now = std::chrono::steady_clock::now();
  std::lock_guard lock(mutex);
  std::erase_if(idle, [&](const auto& entry) { return now - entry.second.since > options.keep_alive; });
  while (true) {
    auto [begin, end] = idle.equal_range(key);
    if (begin == end) return nullptr;
    const auto newest = std::prev(end);
    auto transport = std::move(newest->second.transport);
    idle.erase(newest);
    if (transport->still_idle()) return transport;
  }
}

void HttpClient::Impl::give_back(const std::string& key, std::unique_ptr<Transport> transport) {
  std::lock_guard lock(mutex);
  if (idle.count(key) >= options.idle_per_host) idle.erase(idle.lower_bound(key));
  if (options.idle_per_host > 0) idle.emplace(key, Idle{std::move(transport), std::chrono::steady_clock::now()});
}

Result<std::shared_ptr<TlsTrust>> HttpClient::Impl::tls_trust() {
  std::lock_guard lock(mutex);
  std::string files = file_signature({&options.ca_file, &options.certificate, &options.key});
  if (trust && files == trust_files) return trust;
  trust_files = std::move(files);
  auto loaded = TlsTrust::load(options);
  if (!loaded && !trust) return fail(std::move(loaded).error());
  if (loaded) trust = std::move(*loaded);
  else log_error("the client's TLS files were not reloaded, those before stay in use", loaded.error());
  return trust;
}

Result<std::optional<Url>> HttpClient::Impl::proxy_for(const Url& url) const {
  const std::string& text = url.scheme == "https" ? options.https_proxy : options.http_proxy;
  if (text.empty() || bypasses_proxy(url.host, options.no_proxy)) return std::nullopt;
  auto proxy = parse_url(text.find("://") == std::string::npos ? "http://" + text : text);
  if (!proxy || proxy->scheme != "http")
    return fail(error(ErrorCode::kInvalidArgument, "the proxy '{}' is not usable", text).with_hint("give it as http://host:port"));
  return std::optional<Url>(std::move(*proxy));
}

Result<std::unique_ptr<Transport>> HttpClient::Impl::open(const Url& url, const std::optional<Url>& proxy, const StepLimit& limit) {
  AddressCheck check;
  if (options.guard && !proxy) check = [&](const std::string& address) { return options.guard->check_address(url, address); };
  STOA_TRY(transport, Transport::connect(proxy ? proxy->host : url.host, proxy ? proxy->port : url.port, check, limit));
  if (url.scheme != "https") return std::move(transport);
  if (proxy) {
    const std::string target = fmt::format("{}:{}", url.host, url.port);
    STOA_CHECK(transport->write(fmt::format("CONNECT {} HTTP/1.1\r\nHost: {}\r\n\r\n", target, target), limit));
    ResponseParser parser(options.max_header, 0, true, {});
    std::string data;
    while (!parser.done()) {
      STOA_TRY(count, transport->read(data, limit));
      if (count == 0) STOA_CHECK(parser.feed_end());
      STOA_TRY(used, parser.feed(data));
      data.erase(0, used);
    }
    if (parser.status() != 200) return fail(ErrorCode::kUnavailable, "the proxy {} answered {} to CONNECT {}", proxy->authority(), parser.status(), target);
  }
  STOA_TRY(trusted, tls_trust());
  STOA_CHECK(transport->start_tls(url.host, trusted, limit));
  return std::move(transport);
}

Status HttpClient::Impl::send_request(Transport& transport, const HttpClientRequest& request, const Url& url, bool through_proxy, Deadline total) {
  const auto limit = [&] { return StepLimit{sooner(request.timeouts.idle, total), "sending the request to", request.cancel}; };
  std::string head = format_head(request, url, through_proxy);
  const bool small = request.body.size() < 64u << 10;  // in one packet with the head
  if (small) head += request.body;
  STOA_CHECK(transport.write(head, limit()));
  for (std::size_t sent = 0; !small && sent < request.body.size(); sent += 1u << 20)
    STOA_CHECK(transport.write(std::string_view(request.body).substr(sent, 1u << 20), limit()));
  return {};
}

Status HttpClient::Impl::read_reply(Transport& transport, const HttpClientRequest& request, ResponseParser& parser, Deadline first, Deadline total,
                                    bool& touched, std::string& data) {
  while (true) {
    if (!data.empty()) {
      const bool had_head = parser.head_done();
      STOA_TRY(used, parser.feed(data));
      data.erase(0, used);
      if (parser.done() || parser.stopped()) return {};
      if (!had_head && parser.head_done()) continue;  // it stops after the head: the body may be here already
    }
    const StepLimit wait = parser.head_done() ? StepLimit{sooner(request.timeouts.idle, total), "reading the reply of", request.cancel}
                                              : StepLimit{{std::min(first.at, total.at)}, "waiting for the first byte of", request.cancel};
    STOA_TRY(count, transport.read(data, wait));
    if (count == 0) return parser.feed_end();
    touched = true;
  }
}

Result<HttpClient::Impl::Outcome> HttpClient::Impl::once(const HttpClientRequest& request, const Url& url, const HttpStream& stream, Deadline total) {
  STOA_TRY(proxy, proxy_for(url));
  const std::string key = url.origin();
  auto transport = take_idle(key);
  const bool reused = transport != nullptr;
  if (!reused) {
    STOA_TRY(opened, open(url, proxy, StepLimit{sooner(request.timeouts.connect, total), "connecting to", request.cancel}));
    transport = std::move(opened);
  }
  bool touched = false;
  const auto failed = [&](Status& status) -> Result<Outcome> {
    if (reused && !touched && status.error().code == ErrorCode::kUnavailable) return Outcome{0, {}, true};
    return fail(std::move(status).error());
  };
  if (Status sent = send_request(*transport, request, url, proxy && url.scheme == "http", total); !sent) return failed(sent);
  const Deadline first = Deadline::after(request.timeouts.first_byte);
  std::string data;
  for (int interim = 0; interim < 10; ++interim) {  // RFC 9110, 15.2: replies of 1xx come before the one that counts
    ResponseParser parser(options.max_header, request.max_body, request.method == "HEAD", {stream.on_head, stream.on_data});
    if (Status read = read_reply(*transport, request, parser, first, total, touched, data); !read) return failed(read);
    if (parser.status() < 200) continue;
    Outcome outcome{parser.status(), std::move(parser.headers()), false};
    if (parser.keep_alive() && data.empty()) give_back(key, std::move(transport));
    return outcome;
  }
  return fail(ErrorCode::kUnavailable, "{} sent too many interim replies", url.authority());
}

HttpClientOptions HttpClientOptions::from_environment() {
  HttpClientOptions options;
  // The upper-case HTTP_PROXY is not read where a CGI request header could have set it; Stoa is never run as a CGI program.
  options.http_proxy = variable("http_proxy", "HTTP_PROXY");
  options.https_proxy = variable("https_proxy", "HTTPS_PROXY");
  options.no_proxy = variable("no_proxy", "NO_PROXY");
  return options;
}

HttpClient::HttpClient(HttpClientOptions options) : impl_(std::make_unique<Impl>()) { impl_->options = std::move(options); }
HttpClient::~HttpClient() = default;

Result<int> HttpClient::stream(const HttpClientRequest& original, const HttpStream& stream) try {
  STOA_CHECK(check_request(original));
  STOA_TRY(url, parse_url(original.url));
  const HttpClientRequest* request = &original;  // not a copy: bodies can be large
  std::optional<HttpClientRequest> elsewhere;    // as it is sent behind a redirect to another origin
  const Deadline total = Deadline::after(original.timeouts.total);
  const bool may_follow = original.method == "GET" || original.method == "HEAD";
  for (int hops = 0;; ++hops) {
    if (url.scheme != "http" && url.scheme != "https")
      return fail(ErrorCode::kInvalidArgument, "URL '{}': only http and https are spoken here", original.url);
    if (impl_->options.guard) STOA_CHECK(impl_->options.guard->check_url(url));
    const bool follow = may_follow && hops < original.max_redirects;
    // A redirect that will be followed is not the answer: neither its head nor its body is shown.
    bool redirected = false;
    const HttpStream shown{
        [&](int status, const HttpHeaders& headers) -> Status {
          redirected = follow && is_redirect(status) && headers.has("Location");
          return redirected || !stream.on_head ? Status{} : stream.on_head(status, headers);
        },
        [&](std::string_view piece) { return !redirected && (!stream.on_data || stream.on_data(piece)); }};
    Result<Impl::Outcome> outcome = impl_->once(*request, url, shown, total);
    if (outcome && outcome->untouched) {
      if (!is_idempotent(original.method) && !original.repeatable)
        return fail(error(ErrorCode::kUnavailable, "{} closed the connection as the request was sent", url.authority()).with_hint("try again"));
      outcome = impl_->once(*request, url, shown, total);
      if (outcome && outcome->untouched) return fail(ErrorCode::kUnavailable, "{} keeps closing the connection", url.authority());
    }
    if (!outcome) return fail(std::move(outcome).error());
    if (!redirected) return outcome->status;
    STOA_TRY(next, resolve_url(url, outcome->headers.get("Location")));
    if (url.scheme == "https" && next.scheme != "https")
      return fail(ErrorCode::kUnavailable, "{} redirects from https to {}: refused", url.authority(), next.scheme);
    if (next.origin() != url.origin()) {
      HttpHeaders kept;
      for (const auto& [name, value] : request->headers.all())
        if (is_harmless(name)) kept.add(name, value);
      HttpClientRequest next_request = *request;
      next_request.headers = std::move(kept);
      elsewhere = std::move(next_request);
      request = &*elsewhere;
    }
    url = std::move(next);
  }
} catch (const std::exception& problem) {
  return fail(ErrorCode::kInternal, "HTTP request to {}: {}", original.url, problem.what());
}

}  // namespace stoa::infra
