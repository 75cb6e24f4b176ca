// Internal to the server, the one header of this module that shows Asio: a connection and the event loop it lives on.
#pragma once

#include <atomic>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/time.h"
#include "infra/http/exchange.h"
#include "infra/http/parser.h"
#include "infra/http/server.h"
#include "infra/http/worker_pool.h"

namespace stoa::infra {

class Connection;

// "192.0.2.1:40222"; empty for a socket that has lost its peer.
std::string peer_name(const boost::asio::ip::tcp::socket& socket);

// What the connections of one server have in common.
struct Shared {
  HttpServerOptions options;
  Router router;
  std::unique_ptr<ListenerTls> tls;  // null: plain HTTP
  WorkerPool workers;
  std::atomic<bool> draining{false};
  std::atomic<std::uint64_t> accepted{0}, requests{0}, refused{0}, buffered{0};
  std::mutex mutex;
  std::condition_variable closed;
  std::size_t connections = 0;  // guarded by mutex

  Shared(HttpServerOptions options, Router router)
      : options(std::move(options)), router(std::move(router)), workers(static_cast<std::size_t>(this->options.workers), this->options.queue) {}
};

// One event loop with its connections. All of a connection's members are touched by its loop's thread only.
struct Loop {
  std::list<Connection*> connections;  // outlives the context, whose end destroys the connections left
  bool sweeping = false;
  boost::asio::io_context context{1};
  boost::asio::steady_timer sweep{context};
  std::thread thread;

  void sweep_soon();
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Shared& shared, Loop& loop, boost::asio::ip::tcp::socket socket);
  ~Connection();

  static boost::asio::awaitable<void> serve(std::shared_ptr<Connection> self);

  void pump();  // sends what the exchange has
  void check_time(SteadyTime now);
  void close();
  void close_if_idle() {
    if (phase_ == Phase::kIdle && in_.empty()) close();
  }

 private:
  enum class Phase { kIdle, kReceiving, kAnswering, kClosing };

  void expect(Phase phase, milliseconds time) {
    phase_ = phase;
    deadline_ = std::chrono::steady_clock::now() + time;
  }
  boost::asio::awaitable<std::size_t> read_some();
  bool too_slow(SteadyTime now) const;
  bool admit(const HttpRequest& request);
  boost::asio::awaitable<bool> receive(RequestParser& parser, Router::Match& match);
  boost::asio::awaitable<bool> receive_body(RequestParser& parser, const Router::Match& match);
  boost::asio::awaitable<void> answer(RequestParser& parser, const Router::Match& match);
  void tell(const HttpRequest& request, int status, std::string_view reason) const;
  void refuse(const HttpRequest& request, int status, const Error& error);
  void refuse_with(const HttpRequest& request, HttpResponse response, std::string_view reason);
  boost::asio::awaitable<void> wait_for_answer(bool watch);
  boost::asio::awaitable<void> linger();
  void begin(ExchangeOptions options);
  void write_more();
  void ended();
  void release_body() { shared_.buffered -= std::exchange(accounted_, 0); }

  Shared& shared_;
  Loop& loop_;
  boost::asio::ip::tcp::socket socket_;
  std::shared_ptr<boost::asio::ssl::context> tls_context_;  // the one of its handshake, also after a reload
  std::optional<boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>> tls_;
  std::shared_ptr<const PeerCertificate> certificate_;
  boost::asio::steady_timer wake_;  // cancelled to wake the coroutine when the answer is complete
  std::list<Connection*>::iterator place_;
  std::string peer_;
  IpAddress address_;

  Phase phase_ = Phase::kIdle;
  SteadyTime body_began_ = SteadyTime::max();  // while a body is received
  SteadyTime deadline_ = SteadyTime::max(), write_deadline_ = SteadyTime::max();
  bool timed_out_ = false, closed_ = false;

  std::string in_;  // received, not yet parsed
  std::string chunk_;
  boost::system::error_code read_error_;
  std::size_t accounted_ = 0;  // body bytes counted in shared_.buffered

  std::shared_ptr<Exchange> exchange_;
  std::string out_;
  std::size_t out_offset_ = 0;
  bool writing_ = false, answered_ = true, last_ = false, refused_ = false;
};

}  // namespace stoa::infra
