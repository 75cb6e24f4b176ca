#include "infra/http/connection.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <netinet/tcp.h>

namespace stoa::infra {
namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr std::size_t kReadSmall = 8u << 10, kReadLarge = 64u << 10;
constexpr auto kSweep = std::chrono::milliseconds(100);
constexpr auto kLinger = std::chrono::milliseconds(2000);  // for the client to read a last answer
constexpr std::size_t kLingerBytes = 32u << 20;            // of an unread body that are thrown away meanwhile
// Bytes that the kernel takes before they can be sent. It would take megabytes, minutes of an answer, and a client that does not read would go unnoticed
// all that time.
constexpr int kUnsent = 128 << 10;
constexpr std::size_t kKeptBuffer = 256u << 10;            // larger send buffers are given back after use

}  // namespace

std::string peer_name(const tcp::socket& socket) {
  error_code ec;
  const auto remote = socket.remote_endpoint(ec);
  if (ec) return {};
  // A socket that listens for IPv6 shows IPv4 clients as mapped addresses; limits and policies are about the address itself.
  auto from = remote.address();
  if (from.is_v6() && from.to_v6().is_v4_mapped()) from = asio::ip::make_address_v4(asio::ip::v4_mapped, from.to_v6());
  return fmt::format("{}:{}", from.to_string(), remote.port());
}

Connection::Connection(Shared& shared, Loop& loop, tcp::socket socket)
    : shared_(shared), loop_(loop), socket_(std::move(socket)), wake_(loop.context) {
  place_ = loop_.connections.insert(loop_.connections.end(), this);
  error_code ec;
  socket_.set_option(tcp::no_delay(true), ec);
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsent, sizeof kUnsent);  // where it fails, buffers are larger
  peer_ = peer_name(socket_);
  address_ = peer_address(peer_);
  if (shared_.tls) tls_context_ = shared_.tls->current();
  if (tls_context_) tls_.emplace(socket_, *tls_context_);
  loop_.sweep_soon();
}

Connection::~Connection() {
  close();
  loop_.connections.erase(place_);
  release_body();
  if (shared_.options.per_address != nullptr) shared_.options.per_address->close(address_);
  std::lock_guard lock(shared_.mutex);
  --shared_.connections;
  shared_.closed.notify_all();
}

void Loop::sweep_soon() {
  if (sweeping) return;
  sweeping = true;
  sweep.expires_after(kSweep);
  sweep.async_wait([this](error_code ec) {
    sweeping = false;
    if (ec) return;
    const auto now = std::chrono::steady_clock::now();
    for (auto it = connections.begin(); it != connections.end();) (*it++)->check_time(now);
    if (!connections.empty()) sweep_soon();
  });
}

// Reads into in_; 0 with read_error_ set when nothing came. Not a coroutine of its own, so it costs no frame more.
awaitable<std::size_t> Connection::read_some() {
  chunk_.resize(phase_ == Phase::kReceiving && in_.empty() ? kReadLarge : kReadSmall);
  const auto buffer = asio::buffer(chunk_);
  if (tls_) return tls_->async_read_some(buffer, asio::redirect_error(use_awaitable, read_error_));
  return socket_.async_read_some(buffer, asio::redirect_error(use_awaitable, read_error_));
}

void Connection::check_time(SteadyTime now) {
  if (phase_ == Phase::kAnswering) pump();  // whose answer may be complete without a word: from here on that is idle time
  if (now >= write_deadline_) return close();
  if (now < deadline_ && !too_slow(now)) return;
  if (phase_ != Phase::kReceiving || timed_out_) return close();
  // Ends the pending read; the coroutine then answers 408.
  timed_out_ = true;
  deadline_ = now + kLinger;
  error_code ec;
  socket_.cancel(ec);
}

// A body that comes drop by drop keeps every other limit and holds a connection for as long as it likes.
bool Connection::too_slow(SteadyTime now) const {
  const auto& options = shared_.options;
  if (phase_ != Phase::kReceiving || body_began_ > now || now - body_began_ < options.body_grace) return false;
  const double seconds = std::chrono::duration<double>(now - body_began_).count();
  return static_cast<double>(accounted_) < static_cast<double>(options.min_body_rate) * seconds;
}

bool Connection::admit(const HttpRequest& request) {
  if (shared_.options.per_address == nullptr) return true;
  const int wait = shared_.options.per_address->admit(address_, std::chrono::steady_clock::now());
  if (wait == 0) return true;
  ++shared_.refused;
  const Error problem = error(ErrorCode::kResourceExhausted, "too many requests from this address").with_hint(fmt::format("try again in {} s", wait)).with_retry_after(wait);
  HttpResponse response = shared_.router.render_error(request, 429, problem);
  response.headers.set("Retry-After", std::to_string(wait));
  refuse_with(request, std::move(response), problem.message);
  return false;
}

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  if (exchange_) exchange_->detach();  // its number may mean another socket as soon as this one is closed
  error_code ec;
  socket_.close(ec);
  wake_.cancel();
  if (exchange_) exchange_->gone();
}

awaitable<bool> Connection::receive(RequestParser& parser, Router::Match& match) {
  expect(Phase::kIdle, shared_.options.idle_timeout);
  if (chunk_.capacity() > kReadSmall) chunk_ = {};  // an idle connection stays small
  while (true) {
    // RFC 9112, 2.2: empty lines before a request are skipped.
    if (phase_ == Phase::kIdle) in_.erase(0, std::min(in_.find_first_not_of("\r\n"), in_.size()));
    if (!in_.empty()) {
      if (phase_ == Phase::kIdle) expect(Phase::kReceiving, shared_.options.header_timeout);
      auto used = parser.feed(in_);
      if (!used) {
        refuse(parser.request(), parser.status(), used.error());
        co_return false;
      }
      in_.erase(0, *used);
    }
    if (parser.head_done()) break;
    if (phase_ == Phase::kIdle && shared_.draining) co_return false;
    const std::size_t n = co_await read_some();
    if (read_error_) {
      if (timed_out_ && !closed_) refuse(parser.request(), 408, error(ErrorCode::kDeadlineExceeded, "the request's header did not arrive in time"));
      co_return false;
    }
    in_.append(chunk_, 0, n);
  }
  ++shared_.requests;
  parser.request().peer = peer_;
  parser.request().tls = tls_.has_value();
  parser.request().peer_certificate = certificate_;
  parser.request().listener = shared_.options.roles;
  if (!admit(parser.request())) co_return false;
  match = shared_.router.match(parser.request());
  co_return co_await receive_body(parser, match);
}

awaitable<bool> Connection::receive_body(RequestParser& parser, const Router::Match& match) {
  if (parser.done()) co_return true;
  if (match.route == nullptr) {
    refuse_with(parser.request(), match.refusal, match.reason);
    co_return false;
  }
  const RouteOptions options = match.route->options;
  const std::uint64_t limit = options.max_body != 0 ? options.max_body : shared_.options.max_body;
  if (parser.content_length().value_or(0) > limit) {
    refuse(parser.request(), 413, error(ErrorCode::kTooLarge, "the body of {} bytes exceeds the limit of {} bytes", *parser.content_length(), limit));
    co_return false;
  }
  parser.set_max_body(limit);
  body_began_ = shared_.options.min_body_rate == 0 ? SteadyTime::max() : std::chrono::steady_clock::now();
  expect(Phase::kReceiving, options.body_timeout.count() != 0 ? options.body_timeout : shared_.options.body_timeout);
  if (parser.expects_continue() && in_.empty()) {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    if (tls_) co_await asio::async_write(*tls_, asio::buffer(kContinue), asio::redirect_error(use_awaitable, read_error_));
    else co_await asio::async_write(socket_, asio::buffer(kContinue), asio::redirect_error(use_awaitable, read_error_));
    if (read_error_) co_return false;
  }
  while (true) {
    auto used = parser.feed(in_);
    if (!used) {
      refuse(parser.request(), parser.status(), used.error());
      co_return false;
    }
    in_.erase(0, *used);
    const std::size_t grown = parser.body_size() - accounted_;
    accounted_ += grown;
    if (shared_.buffered.fetch_add(grown) + grown > shared_.options.max_buffered) {
      ++shared_.refused;
      refuse(parser.request(), 503, error(ErrorCode::kUnavailable, "the server holds too many request bodies; try again"));
      co_return false;
    }
    if (parser.done()) {
      body_began_ = SteadyTime::max();
      co_return true;
    }
    const std::size_t n = co_await read_some();
    if (read_error_) {
      if (timed_out_ && !closed_) refuse(parser.request(), 408, error(ErrorCode::kDeadlineExceeded, "the request's body did not arrive in time"));
      co_return false;
    }
    in_.append(chunk_, 0, n);
  }
}

void Connection::begin(ExchangeOptions options) {
  phase_ = Phase::kAnswering;
  deadline_ = SteadyTime::max();
  answered_ = false;
  options.send_buffer = shared_.options.send_buffer;
  options.draining = &shared_.draining;
  if (exchange_) exchange_->detach();
  // The loop outlives every handler: stop() joins the workers first.
  exchange_ = std::make_shared<Exchange>(options, [weak = weak_from_this(), &context = loop_.context] {
    asio::post(context, [weak] {
      if (const auto self = weak.lock()) self->pump();
    });
  });
  if (!tls_) exchange_->attach(socket_.native_handle());
}

awaitable<void> Connection::answer(RequestParser& parser, const Router::Match& match) {
  ExchangeOptions options;
  options.head_only = parser.request().method == "HEAD";
  options.http_1_0 = parser.http_1_0();
  options.keep_alive = parser.keep_alive();
  options.on_io_thread = match.route != nullptr && match.route->options.inline_on_io;
  begin(options);
  if (match.route == nullptr) {
    tell(parser.request(), match.refusal.status, match.reason);
    exchange_->send(match.refusal);
  } else if (match.route->options.inline_on_io) {
    shared_.router.run(*match.route, parser.request(), *exchange_);
    exchange_->handler_returned();
  } else {
    auto request = std::make_shared<HttpRequest>(std::move(parser.request()));
    const auto job = [&shared = shared_, route = match.route, request, exchange = exchange_] {
      if (exchange->client_gone()) exchange->abort();
      else shared.router.run(*route, *request, *exchange);
      exchange->handler_returned();
    };
    if (!shared_.workers.submit(job)) {
      ++shared_.refused;
      const Error problem = error(ErrorCode::kUnavailable, "the server is busy").with_hint("try again in a second");
      HttpResponse busy = shared_.router.render_error(*request, 503, problem);
      if (!busy.headers.has("Retry-After")) busy.headers.set("Retry-After", "1");
      tell(*request, 503, problem.message);
      exchange_->send(std::move(busy));
    }
  }
  pump();
  co_await wait_for_answer(true);
}

void Connection::tell(const HttpRequest& request, int status, std::string_view reason) const {
  if (!shared_.options.on_refusal) return;
  shared_.options.on_refusal({peer_, status, request.path.empty() ? request.method : request.method + " " + request.path, reason});
}

// Answers a request that was not received whole: the rest of the connection cannot be understood, so it ends after that.
void Connection::refuse(const HttpRequest& request, int status, const Error& error) {
  refuse_with(request, shared_.router.render_error(request, status, error), error.message);
}

void Connection::refuse_with(const HttpRequest& request, HttpResponse response, std::string_view reason) {
  tell(request, response.status, reason);
  timed_out_ = false;
  refused_ = true;
  ExchangeOptions options;
  options.keep_alive = false;
  options.head_only = request.method == "HEAD";
  begin(options);
  exchange_->send(std::move(response));
  pump();
}

// With `watch` it reads meanwhile: the next request may come, and above all the end of the stream shows at once that the client
// has gone. A client that pipelines is not watched, because a pending read could not be left when the answer is complete.
awaitable<void> Connection::wait_for_answer(bool watch) {
  while (!answered_ && !closed_) {
    if (watch && in_.empty()) {
      exchange_->reading(true);
      const std::size_t n = co_await read_some();
      exchange_->reading(false);
      pump();
      if (!read_error_) {
        in_.append(chunk_, 0, n);
        continue;
      }
      watch = false;
      last_ = true;
      if (answered_ || closed_) break;
      exchange_->gone();
      if (read_error_ != asio::error::eof) close();  // after a mere end of stream the client may still read
      continue;
    }
    wake_.expires_at(SteadyTime::max());
    error_code ignored;
    co_await wake_.async_wait(asio::redirect_error(use_awaitable, ignored));
  }
}

awaitable<void> Connection::linger() {
  expect(Phase::kClosing, kLinger);
  for (std::size_t taken = 0; taken < kLingerBytes && !closed_;) {
    const std::size_t n = co_await read_some();
    if (read_error_) break;
    taken += n;
  }
}

void Connection::pump() {
  if (writing_ || answered_ || closed_) return;
  switch (exchange_->take(out_)) {
    case Exchange::Next::kWait: return;
    case Exchange::Next::kData:
      writing_ = true;
      out_offset_ = 0;
      return write_more();
    case Exchange::Next::kDone: return ended();
    case Exchange::Next::kAbort: return close();
  }
}

void Connection::write_more() {
  write_deadline_ = std::chrono::steady_clock::now() + shared_.options.write_timeout;
  const auto rest = asio::buffer(out_.data() + out_offset_, out_.size() - out_offset_);
  const auto done = [self = shared_from_this()](error_code ec, std::size_t n) {
    self->write_deadline_ = SteadyTime::max();
    if (ec) {
      self->writing_ = false;
      return self->close();
    }
    self->out_offset_ += n;
    if (self->out_offset_ < self->out_.size()) return self->write_more();
    self->writing_ = false;
    self->out_.clear();
    if (self->out_.capacity() > kKeptBuffer) self->out_.shrink_to_fit();
    self->exchange_->sent();
    self->pump();
  };
  if (tls_) tls_->async_write_some(rest, done);
  else socket_.async_write_some(rest, done);
}

void Connection::ended() {
  answered_ = true;
  last_ = last_ || !exchange_->keep_alive() || shared_.draining;
  // The coroutine may be in the middle of a read for the next request: from here on that is idle time.
  expect(last_ ? Phase::kClosing : Phase::kIdle, last_ ? kLinger : shared_.options.idle_timeout);
  if (last_ && tls_) {
    tls_->async_shutdown([self = shared_from_this()](error_code) {
      error_code ec;
      self->socket_.shutdown(tcp::socket::shutdown_send, ec);
    });
  } else if (last_ && refused_) {
    // Closing with bytes unread would reset the connection and could take the answer with it: see linger().
    error_code ec;
    socket_.shutdown(tcp::socket::shutdown_send, ec);
  } else if (last_) {
    close();
  }
  wake_.cancel();
}

awaitable<void> Connection::serve(std::shared_ptr<Connection> self) {
  if (self->tls_) {
    self->expect(Phase::kClosing, self->shared_.options.header_timeout);
    error_code ec;
    co_await self->tls_->async_handshake(asio::ssl::stream_base::server, asio::redirect_error(use_awaitable, ec));
    if (ec) {
      // Others have merely gone, as probes do that look whether anybody listens.
      if (ec.category() == asio::error::get_ssl_category()) self->tell({}, 0, "TLS handshake: " + ec.message());
      co_return;
    }
    self->certificate_ = verified_peer(self->tls_->native_handle());
  }
  while (!self->closed_) {
    RequestParser parser(self->shared_.options.max_header);
    Router::Match match;
    const bool received = co_await self->receive(parser, match);
    if (received) co_await self->answer(parser, match);
    else if (self->refused_) co_await self->wait_for_answer(false);
    self->release_body();
    if (!received || self->last_) break;
  }
  // After the client's end of stream there is nothing to wait for (and its event would not come a second time).
  if (self->last_ && !self->closed_ && self->read_error_ != asio::error::eof) co_await self->linger();
  self->close();
}

}  // namespace stoa::infra
