#include "infra/http/transport.h"

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include <netdb.h>
#include <sys/socket.h>

namespace stoa::infra {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kCancelCheck = std::chrono::milliseconds(50);
constexpr std::size_t kReadSize = 16u << 10;  // every open stream has so much
constexpr int kMaxLookups = 32;

// getaddrinfo cannot be interrupted: it runs on a thread that is left alone when the time is up, so their number is limited.
struct Lookup {
  std::mutex mutex;
  std::condition_variable done;
  bool finished = false;
  int error = 0;
  std::vector<tcp::endpoint> endpoints;
};
std::atomic<int> lookups_running{0};

void look_up(const std::shared_ptr<Lookup>& lookup, const std::string& host, std::uint16_t port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  std::lock_guard lock(lookup->mutex);
  lookup->error = error;
  for (const addrinfo* info = found; info != nullptr && lookup->endpoints.size() < 16; info = info->ai_next) {
    tcp::endpoint endpoint;
    if (info->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), info->ai_addr, info->ai_addrlen);
    endpoint.resize(info->ai_addrlen);
    endpoint.port(port);
    lookup->endpoints.push_back(endpoint);
  }
  if (found != nullptr) freeaddrinfo(found);
  lookup->finished = true;
  lookup->done.notify_all();
}

Result<std::vector<tcp::endpoint>> resolve(const std::string& host, std::uint16_t port, const StepLimit& limit) {
  error_code ec;
  const auto literal = asio::ip::make_address(host, ec);
  if (!ec) return std::vector<tcp::endpoint>{{literal, port}};
  if (lookups_running.fetch_add(1) >= kMaxLookups) {
    --lookups_running;
    return fail(error(ErrorCode::kUnavailable, "too many name lookups are stuck").with_hint("check the machine's DNS settings"));
  }
  const auto lookup = std::make_shared<Lookup>();
  std::thread([lookup, host, port] {
    look_up(lookup, host, port);
    --lookups_running;
  }).detach();
  std::unique_lock lock(lookup->mutex);
  while (!lookup->finished) {
    if (limit.cancel.cancelled()) return fail(ErrorCode::kCancelled, "cancelled while looking up {}", host);
    if (limit.deadline.passed()) return fail(ErrorCode::kDeadlineExceeded, "timed out looking up the name {}", host);
    lookup->done.wait_until(lock, std::min(limit.deadline.at, std::chrono::steady_clock::now() + kCancelCheck));
  }
  if (lookup->endpoints.empty())
    return fail(error(ErrorCode::kUnavailable, "cannot look up the name {}: {}", host, gai_strerror(lookup->error)).with_hint("check the name and the network"));
  return lookup->endpoints;
}

}  // namespace

struct TlsTrust::Impl {
  asio::ssl::context context{asio::ssl::context::tls_client};
};

TlsTrust::TlsTrust() : impl_(std::make_unique<Impl>()) {}
TlsTrust::~TlsTrust() = default;

Result<std::shared_ptr<TlsTrust>> TlsTrust::load(const HttpClientOptions& options) {
  std::shared_ptr<TlsTrust> trust(new TlsTrust());
  auto& context = trust->impl_->context;
  error_code ec;
  SSL_CTX_set_min_proto_version(context.native_handle(), options.tls_minimum == TlsVersion::k1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
  context.set_default_verify_paths(ec);
  context.set_verify_mode(asio::ssl::verify_peer, ec);
  if (!options.ca_file.empty()) {
    context.load_verify_file(options.ca_file, ec);
    if (ec) return fail(ErrorCode::kInvalidArgument, "cannot read certificates from {}: {}", options.ca_file, ec.message());
  }
  if (options.certificate.empty()) return trust;
  context.set_password_callback([](std::size_t, asio::ssl::context::password_purpose) { return std::string(); }, ec);
  context.use_certificate_chain_file(options.certificate, ec);
  if (ec) return fail(ErrorCode::kInvalidArgument, "cannot read the client's certificate {}: {}", options.certificate, ec.message());
  context.use_private_key_file(options.key, asio::ssl::context::pem, ec);
  if (ec) return fail(ErrorCode::kInvalidArgument, "cannot use the client's key {}: {}", options.key, ec.message());
  return trust;
}

struct Transport::Impl {
  asio::io_context context{1};
  tcp::socket socket{context};
  std::optional<asio::ssl::stream<tcp::socket&>> tls;
  std::string peer;
  std::string chunk;

  // Runs the operation that `start` begins, on this thread, until it ends, is late or is cancelled.
  template <class Start>
  Result<std::size_t> step(const StepLimit& limit, Start start, error_code& ec) {
    bool finished = false;
    std::size_t count = 0;
    start([&](error_code result, std::size_t n = 0) {
      ec = result;
      count = n;
      finished = true;
    });
    context.restart();
    while (!finished) {
      const bool cancelled = limit.cancel.cancelled(), late = limit.deadline.passed();
      if (cancelled || late) {
        error_code ignored;
        socket.close(ignored);
        context.restart();
        context.run();  // ends at once: every operation on a closed socket is aborted
        if (cancelled) return fail(ErrorCode::kCancelled, "cancelled while {} {}", limit.what, peer);
        return fail(ErrorCode::kDeadlineExceeded, "timed out {} {}", limit.what, peer);
      }
      if (context.stopped()) context.restart();
      context.run_one_until(std::min(limit.deadline.at, std::chrono::steady_clock::now() + kCancelCheck));
    }
    return count;
  }
};

Transport::Transport() : impl_(std::make_unique<Impl>()) {}
Transport::~Transport() = default;

Result<std::unique_ptr<Transport>> Transport::connect(const std::string& host, std::uint16_t port, const AddressCheck& check, const StepLimit& limit) {
  STOA_TRY(endpoints, resolve(host, port, limit));
  if (check)
    for (const auto& endpoint : endpoints) STOA_CHECK(check(endpoint.address().to_string()));
  Error last = error(ErrorCode::kUnavailable, "{} has no address", host);
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    std::unique_ptr<Transport> transport(new Transport());
    Impl& impl = *transport->impl_;
    impl.peer = fmt::format("{}:{}", host, port);
    // An address that does not answer leaves time for those after it.
    StepLimit share = limit;
    const auto now = std::chrono::steady_clock::now();
    if (limit.deadline.at != SteadyTime::max()) share.deadline.at = now + (limit.deadline.at - now) / static_cast<int>(endpoints.size() - i);
    error_code ec;
    auto done = impl.step(share, [&](auto handler) { impl.socket.async_connect(endpoints[i], handler); }, ec);
    if (done && !ec) {
      impl.socket.set_option(tcp::no_delay(true), ec);
      return transport;
    }
    if (!done && done.error().code == ErrorCode::kCancelled) return fail(std::move(done).error());
    last = done ? error(ErrorCode::kUnavailable, "cannot connect to {}: {}", impl.peer, ec.message()) : std::move(done).error();
    if (ec == asio::error::connection_refused) last.hint = "nothing listens there: check the address and that the server runs";
  }
  return fail(std::move(last));
}

Status Transport::start_tls(const std::string& host, const std::shared_ptr<TlsTrust>& trust, const StepLimit& limit) {
  Impl& impl = *impl_;
  impl.tls.emplace(impl.socket, trust->impl().context);
  impl.tls->set_verify_callback(asio::ssl::host_name_verification(host));
  error_code literal;
  asio::ip::make_address(host, literal);
  if (literal) SSL_set_tlsext_host_name(impl.tls->native_handle(), host.c_str());  // SNI carries names, not addresses
  error_code ec;
  auto done = impl.step(limit, [&](auto handler) { impl.tls->async_handshake(asio::ssl::stream_base::client, handler); }, ec);
  if (!done) return fail(std::move(done).error());
  if (!ec) return {};
  const long verified = SSL_get_verify_result(impl.tls->native_handle());
  if (verified != X509_V_OK)
    return fail(error(ErrorCode::kUnavailable, "TLS: the certificate of {} is not trusted: {}", impl.peer, X509_verify_cert_error_string(verified))
                    .with_hint("if you trust its issuer, add the issuer's certificate as a CA file"));
  return fail(error(ErrorCode::kUnavailable, "TLS with {} failed: {}", impl.peer, ec.message())
                  .with_hint("the certificate may be for another name, or the server may not speak TLS there, or only an older version"));
}

Status Transport::write(std::string_view bytes, const StepLimit& limit) {
  Impl& impl = *impl_;
  while (!bytes.empty()) {
    error_code ec;
    const auto buffer = asio::buffer(bytes.data(), bytes.size());
    auto done = impl.step(limit, [&](auto handler) {
      if (impl.tls) impl.tls->async_write_some(buffer, handler);
      else impl.socket.async_write_some(buffer, handler);
    }, ec);
    if (!done) return fail(std::move(done).error());
    if (ec) return fail(ErrorCode::kUnavailable, "lost the connection to {} {}: {}", impl.peer, limit.what, ec.message());
    bytes.remove_prefix(*done);
  }
  return {};
}

Result<std::size_t> Transport::read(std::string& into, const StepLimit& limit) {
  Impl& impl = *impl_;
  impl.chunk.resize(kReadSize);
  error_code ec;
  const auto buffer = asio::buffer(impl.chunk);
  auto done = impl.step(limit, [&](auto handler) {
    if (impl.tls) impl.tls->async_read_some(buffer, handler);
    else impl.socket.async_read_some(buffer, handler);
  }, ec);
  if (!done) return fail(std::move(done).error());
  // A TLS stream that ends without its closing message counts as ended: the message's own length tells whether it is whole.
  if (ec == asio::error::eof || ec == asio::ssl::error::stream_truncated) return 0;
  if (ec) return fail(ErrorCode::kUnavailable, "lost the connection to {} {}: {}", impl.peer, limit.what, ec.message());
  into.append(impl.chunk, 0, *done);
  return *done;
}

bool Transport::still_idle() {
  char byte = 0;
  return ::recv(impl_->socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace stoa::infra
