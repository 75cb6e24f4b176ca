#include "infra/http/server.h"

#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"
#include "base/scheduling.h"
#include "infra/http/connection.h"

namespace stoa::infra {
namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kAcceptPause = std::chrono::milliseconds(100);
constexpr auto kCertificateCheck = std::chrono::milliseconds(1000);
constexpr auto kCloseTime = std::chrono::milliseconds(2000);  // for connections to notice that their socket was closed

Error bind_error(const HttpServerOptions& options, const error_code& ec) {
  Error result = error(ErrorCode::kUnavailable, "cannot listen on {}:{}: {}", options.address, options.port, ec.message());
  if (ec == asio::error::address_in_use) result.hint = "another program (perhaps another stoa) has this port: stop it or choose another port";
  if (ec == asio::error::access_denied) result.hint = "ports below 1024 need privileges: choose a higher one";
  if (ec.value() == EADDRNOTAVAIL) result.hint = "this machine has no such address: use 127.0.0.1 or 0.0.0.0";
  return result;
}

}  // namespace

struct HttpServer::Impl {
  Impl(HttpServerOptions options, Router router) : shared(std::move(options), std::move(router)) {}

  Shared shared;
  std::vector<std::unique_ptr<Loop>> loops;
  std::vector<asio::executor_work_guard<asio::io_context::executor_type>> guards;
  std::optional<tcp::acceptor> acceptor;
  std::uint16_t port = 0;
  std::mutex stop_mutex;
  bool stopped = false;

  Status open();
  void run();
  static awaitable<void> accept_all(Impl* self);
  static awaitable<void> watch_certificates(Impl* self);
  void take(Loop& loop, tcp::socket socket);
};

Status HttpServer::Impl::open() {
  const auto& options = shared.options;
  error_code ec;
  const auto address = asio::ip::make_address(options.address, ec);
  if (ec) return fail(error(ErrorCode::kInvalidArgument, "'{}' is not an IP address", options.address).with_hint("use 127.0.0.1, ::1 or 0.0.0.0"));
  if (options.io_threads < 1 || options.workers < 1 || options.io_threads > 256 || options.workers > 10000)
    return fail(ErrorCode::kInvalidArgument, "HTTP server: {} I/O threads and {} workers are out of range", options.io_threads, options.workers);
  if (!options.tls.certificate.empty()) {
    STOA_TRY(tls, ListenerTls::load(options.tls, options.on_certificate));
    shared.tls = std::move(tls);
  }
  for (int i = 0; i < options.io_threads; ++i) {
    loops.push_back(std::make_unique<Loop>());
    guards.emplace_back(loops.back()->context.get_executor());
  }
  acceptor.emplace(loops.front()->context);
  const tcp::endpoint endpoint(address, options.port);
  acceptor->open(endpoint.protocol(), ec);
  if (!ec) acceptor->set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor->bind(endpoint, ec);
  if (!ec) acceptor->listen(asio::socket_base::max_listen_connections, ec);
  if (ec) return fail(bind_error(options, ec));
  port = acceptor->local_endpoint(ec).port();
  return {};
}

void HttpServer::Impl::take(Loop& loop, tcp::socket socket) {
  ++shared.accepted;
  AddressLimits* const limits = shared.options.per_address;
  const std::string peer = peer_name(socket);
  const auto turn_away = [&](std::string_view reason) {
    ++shared.refused;
    if (shared.options.on_refusal) shared.options.on_refusal({peer, 0, {}, reason});
  };
  if (limits != nullptr && !limits->open(peer_address(peer))) return turn_away("too many connections from this address");
  bool full = false;
  {
    std::lock_guard lock(shared.mutex);
    full = shared.connections >= shared.options.max_connections;
    if (!full) ++shared.connections;
  }
  if (full) {
    if (limits != nullptr) limits->close(peer_address(peer));
    return turn_away("too many connections");
  }
  auto moved = std::make_shared<tcp::socket>(std::move(socket));
  asio::post(loop.context, [this, &loop, moved] {
    auto connection = std::make_shared<Connection>(shared, loop, std::move(*moved));
    asio::co_spawn(loop.context, Connection::serve(connection), [connection](std::exception_ptr thrown) {
      connection->close();
      if (!thrown) return;
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& problem) {
        log(LogLevel::kError, "connection failed", {{"error", std::string(problem.what())}});
      }
    });
  });
}

awaitable<void> HttpServer::Impl::accept_all(Impl* self) {
  asio::steady_timer pause(self->loops.front()->context);
  for (std::size_t next = 0; !self->shared.draining; ++next) {
    Loop& loop = *self->loops[next % self->loops.size()];
    error_code ec;
    tcp::socket socket = co_await self->acceptor->async_accept(loop.context, asio::redirect_error(use_awaitable, ec));
    if (ec == asio::error::operation_aborted || ec == asio::error::bad_descriptor) break;
    if (ec) {
      // Out of descriptors, most likely: connections that end will free some.
      log(LogLevel::kWarning, "accept failed", {{"error", ec.message()}});
      pause.expires_after(kAcceptPause);
      error_code ignored;
      co_await pause.async_wait(asio::redirect_error(use_awaitable, ignored));
      continue;
    }
    self->take(loop, std::move(socket));
  }
}

// Ends with its loop.
awaitable<void> HttpServer::Impl::watch_certificates(Impl* self) {
  asio::steady_timer pause(self->loops.front()->context);
  while (!self->shared.draining) {
    pause.expires_after(kCertificateCheck);
    error_code ignored;
    co_await pause.async_wait(asio::redirect_error(use_awaitable, ignored));
    self->shared.tls->watch();
  }
}

void HttpServer::Impl::run() {
  asio::co_spawn(loops.front()->context, accept_all(this), asio::detached);
  if (shared.tls) asio::co_spawn(loops.front()->context, watch_certificates(this), asio::detached);
  for (auto& loop : loops)
    loop->thread = std::thread([&context = loop->context] {
    run_promptly("http");
    context.run();
  });
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options, Router router) {
  try {
    auto impl = std::make_unique<Impl>(std::move(options), std::move(router));
    STOA_CHECK(impl->open());
    impl->run();
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
  } catch (const std::exception& problem) {
    return fail(ErrorCode::kInternal, "HTTP server: {}", problem.what());
  }
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { stop(milliseconds(0)); }

void HttpServer::stop(milliseconds drain) {
  std::lock_guard once(impl_->stop_mutex);
  if (std::exchange(impl_->stopped, true)) return;
  Shared& shared = impl_->shared;
  shared.draining = true;
  asio::post(impl_->loops.front()->context, [this] {
    error_code ec;
    impl_->acceptor->close(ec);
  });
  for (auto& loop : impl_->loops)
    asio::post(loop->context, [&loop = *loop] {
      for (auto it = loop.connections.begin(); it != loop.connections.end();) (*it++)->close_if_idle();
    });
  const auto wait = [&](milliseconds time) {
    std::unique_lock lock(shared.mutex);
    shared.closed.wait_for(lock, time, [&] { return shared.connections == 0; });
  };
  wait(drain);
  // Handlers that still run see their client gone; they are waited for, since they use what their caller owns.
  for (auto& loop : impl_->loops)
    asio::post(loop->context, [&loop = *loop] {
      for (auto it = loop.connections.begin(); it != loop.connections.end();) (*it++)->close();
    });
  shared.workers.stop();
  wait(kCloseTime);
  impl_->guards.clear();
  for (auto& loop : impl_->loops) loop->context.stop();
  for (auto& loop : impl_->loops)
    if (loop->thread.joinable()) loop->thread.join();
}

std::uint16_t HttpServer::port() const { return impl_->port; }
const Router& HttpServer::router() const { return impl_->shared.router; }

Status HttpServer::reload_certificates() { return impl_->shared.tls ? impl_->shared.tls->reload() : Status{}; }

std::string HttpServer::url() const {
  const auto& options = impl_->shared.options;
  const bool v6 = options.address.find(':') != std::string::npos;
  return fmt::format("{}://{}:{}", impl_->shared.tls ? "https" : "http", v6 ? "[" + options.address + "]" : options.address, impl_->port);
}

HttpServerStats HttpServer::stats() const {
  Shared& shared = impl_->shared;
  std::lock_guard lock(shared.mutex);
  return {shared.connections, shared.accepted, shared.requests, shared.refused, shared.workers.running()};
}

}  // namespace stoa::infra
