// The server over real sockets on loopback: written bytes in, bytes out.
#include "infra/http/server.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <thread>

namespace stoa::infra {
namespace {

constexpr milliseconds kPatience{10'000};  // far beyond what anything here takes; only a failure waits for it

// A plain TCP client.
class Socket {
 public:
  explicit Socket(std::uint16_t port, int receive_buffer = 0) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const timeval time{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Socket() { close(); }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_) {}
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  bool connected() const { return connected_; }
  void send(std::string_view text) { (void)!::send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
  // What arrives until the text contains `end`, or the connection ends.
  std::string read_until(std::string_view end) {
    std::string text;
    char buffer[65536];
    while (text.find(end) == std::string::npos) {
      const auto n = ::recv(fd_, buffer, sizeof buffer, 0);
      if (n <= 0) break;
      text.append(buffer, static_cast<std::size_t>(n));
    }
    return text;
  }
  std::string read_all() { return read_until(std::string_view("\0never\0", 7)); }

 private:
  int fd_;
  bool connected_ = false;
};

// Set by one thread, waited for by another.
class Signal {
 public:
  void set() {
    std::lock_guard lock(mutex_);
    set_ = true;
    condition_.notify_all();
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return condition_.wait_for(lock, kPatience, [&] { return set_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool set_ = false;
};

Router plain_routes() {
  Router router;
  EXPECT_TRUE(router.add("GET", "/hello", [](const HttpRequest&, Responder& r) { r.send(HttpResponse::text(200, "hello")); }, {.inline_on_io = true}));
  EXPECT_TRUE(router.add("GET", "/work", [](const HttpRequest& q, Responder& r) { r.send(HttpResponse::text(200, std::string(q.query_param("x").value_or("")))); }));
  EXPECT_TRUE(router.add("POST", "/echo", [](const HttpRequest& q, Responder& r) { r.send(HttpResponse::text(200, q.body)); }));
  EXPECT_TRUE(router.add("POST", "/big", [](const HttpRequest& q, Responder& r) { r.send(HttpResponse::text(200, std::to_string(q.body.size()))); },
                         {.max_body = 4u << 20}));
  EXPECT_TRUE(router.add("GET", "/stream", [](const HttpRequest&, Responder& r) {
    r.start(200, {{"Content-Type", "text/event-stream"}});
    r.write("data: 1\n\n");
    r.write("");
    r.write("data: 2\n\n");
    r.finish();
  }));
  EXPECT_TRUE(router.add("GET", "/broken", [](const HttpRequest&, Responder& r) {
    r.start(200, {});
    r.write("part");
    r.abort();
  }));
  EXPECT_TRUE(router.add("GET", "/inject", [](const HttpRequest&, Responder& r) { r.send({200, {{"X-A", "b\r\nX-Evil: 1"}}, ""}); }));
  EXPECT_TRUE(router.add("GET", "/none", [](const HttpRequest&, Responder& r) { r.send({204, {}, ""}); }));
  return router;
}

// What servers tell of refusals: by status, how often, and the last one of each.
struct Refusals {
  struct Told { int times = 0; std::string peer, request, reason; };
  RefusalObserver observer() {
    return [this](const HttpRefusal& refusal) {
      std::lock_guard lock(mutex);
      by_status[refusal.status] = {by_status[refusal.status].times + 1, std::string(refusal.peer), refusal.request, std::string(refusal.reason)};
    };
  }
  Told of(int status) {
    std::lock_guard lock(mutex);
    return by_status[status];
  }
  std::mutex mutex;
  std::map<int, Told> by_status;
};

std::unique_ptr<HttpServer> serve(Router router, HttpServerOptions options = {}) {
  options.max_body = std::min<std::uint64_t>(options.max_body, 1u << 20);
  auto server = HttpServer::start(options, std::move(router));
  EXPECT_TRUE(server) << server.error().message;
  return std::move(*server);
}

// For requests after which the server closes the connection.
std::string ask(const HttpServer& server, std::string_view request) {
  Socket socket(server.port());
  socket.send(request);
  return socket.read_all();
}

TEST(HttpServer, AnswersOneRequest) {
  HttpServerOptions options;
  options.idle_timeout = milliseconds(1500);  // so that every connection ends by itself
  Refusals refusals;
  options.on_refusal = refusals.observer();
  const auto server = serve(plain_routes(), options);
  struct Case {
    std::string request, status, contains, lacks;
  };
  const Case cases[] = {
      {"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n", "200", "Content-Length: 5\r\n\r\nhello", "Connection: close"},
      {"\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "200", "Connection: close\r\n\r\nhello", "keep-alive"},
      {"GET /hello HTTP/1.0\r\n\r\n", "200", "Connection: close\r\n\r\nhello", "keep-alive"},
      {"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200", "Connection: keep-alive", "close"},
      {"HEAD /hello HTTP/1.1\r\nHost: h\r\n\r\n", "200", "Content-Length: 5\r\n", "hello"},
      {"GET /work?x=a%20b HTTP/1.1\r\nHost: h\r\n\r\n", "200", "\r\n\r\na b", ""},
      {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "200", "\r\n\r\nabc", ""},
      {"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "200", "\r\n\r\nabc", ""},
      {"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n", "200", "Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n", "Content-Length"},
      {"GET /stream HTTP/1.0\r\n\r\n", "200", "\r\n\r\ndata: 1\n\ndata: 2\n\n", "chunked"},
      {"HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n", "200", "\r\n\r\n", "data"},
      {"GET /broken HTTP/1.1\r\nHost: h\r\n\r\n", "200", "part", "\r\n0\r\n"},
      {"GET /inject HTTP/1.1\r\nHost: h\r\n\r\n", "200", "X-A: b  X-Evil: 1\r\n", "\nX-Evil"},
      {"GET /none HTTP/1.1\r\nHost: h\r\n\r\n", "204", "\r\n\r\n", "Content-Length"},
      {"GET /nope HTTP/1.1\r\nHost: h\r\n\r\n", "404", "nothing is served at /nope", ""},
      {"POST /nope HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "404", "Connection: close", ""},
      {"PUT /hello HTTP/1.1\r\nHost: h\r\n\r\n", "405", "Allow: GET, HEAD\r\n", ""},
      {"nonsense\r\n\r\n", "400", "Connection: close", ""},
      {"GET /hello HTTP/1.1\r\n\r\n", "400", "Host", ""},
      {"GET /hello HTTP/1.1\r\nHost: h\r\nX: " + std::string(20000, 'x') + "\r\n\r\n", "431", "Connection: close", ""},
      {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n", "413", "1000000000 bytes exceeds the limit of 1048576", ""},
      {"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", "413", "Connection: close", ""},
  };
  std::vector<Socket> sockets;
  for (const auto& c : cases) {
    sockets.emplace_back(server->port());
    sockets.back().send(c.request);
  }
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    const Case& c = cases[i];
    const std::string answer = sockets[i].read_all();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + c.status + " ")) << c.request.substr(0, 80) << "\n" << answer;
    EXPECT_NE(answer.find(c.contains), std::string::npos) << c.request.substr(0, 80) << "\n" << answer;
    if (!c.lacks.empty()) { EXPECT_EQ(answer.find(c.lacks), std::string::npos) << c.request.substr(0, 80) << "\n" << answer; }
  }
  EXPECT_GE(server->stats().requests, 15u);

  const struct { int status; std::string request, reason; } told[] = {
      {400, "", ""}, {404, "POST /nope", "nothing is served at /nope"}, {405, "PUT /hello", "PUT is not allowed at /hello"}, {413, "POST /echo", "the limit of 1048576 bytes"}, {431, "", "exceed the limit"}};
  for (const auto& [status, request, reason] : told) {
    const auto found = refusals.of(status);
    EXPECT_EQ(found.times, std::ranges::count(cases, std::to_string(status), &Case::status)) << status;
    EXPECT_TRUE(found.peer.starts_with("127.0.0.1:")) << found.peer;
    EXPECT_EQ(request.empty() ? request : found.request, request);
    EXPECT_NE(found.reason.find(reason), std::string::npos) << status << " " << found.reason;
  }
  EXPECT_EQ(refusals.of(200).times + refusals.of(204).times, 0);
}

TEST(HttpServer, KeepsConnectionsAliveAndInOrder) {
  const auto server = serve(plain_routes());
  Socket socket(server->port());
  for (int i = 0; i < 3; ++i) {
    socket.send("GET /work?x=<" + std::to_string(i) + "> HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(socket.read_until("<" + std::to_string(i) + ">").starts_with("HTTP/1.1 200"));
  }
  std::string pipelined;
  for (int i = 0; i < 100; ++i)
    pipelined += "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n" + std::to_string(1000 + i) + "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";
  socket.send(pipelined + "GET /work?x=last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const std::string answers = socket.read_all();
  std::size_t at = 0;
  for (int i = 0; i < 100; ++i) {
    at = answers.find("\r\n\r\n" + std::to_string(1000 + i), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_TRUE(answers.ends_with("last"));
  EXPECT_EQ(server->stats().accepted, 1u);
}

TEST(HttpServer, AsksForTheBodyOnlyWhenItWantsIt) {
  const auto server = serve(plain_routes());
  Socket wanted(server->port());
  wanted.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(wanted.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  wanted.send("abc");
  EXPECT_TRUE(wanted.read_until("abc").starts_with("HTTP/1.1 200"));
  Socket refused(server->port());
  refused.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_TRUE(refused.read_all().starts_with("HTTP/1.1 413"));
}

TEST(HttpServer, ReceivesLargeBodiesInPieces) {
  const auto server = serve(plain_routes());
  Socket socket(server->port());
  const std::string body(3u << 20, 'b');
  socket.send("POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n");
  std::thread sender([&] {
    for (std::size_t at = 0; at < body.size(); at += 65536) socket.send(std::string_view(body).substr(at, 65536));
  });
  EXPECT_NE(socket.read_until(std::to_string(body.size())).find("200 OK"), std::string::npos);
  sender.join();
}

TEST(HttpServer, TimesOutSlowClients) {
  HttpServerOptions options;
  options.header_timeout = options.body_timeout = milliseconds(150);
  options.idle_timeout = milliseconds(500);
  Refusals refusals;
  options.on_refusal = refusals.observer();
  const auto server = serve(plain_routes(), options);
  Socket slow_header(server->port());
  slow_header.send("GET /hello HTTP/1.1\r\nHost:");
  Socket slow_body(server->port()), silent(server->port());
  slow_body.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_TRUE(slow_header.read_all().starts_with("HTTP/1.1 408"));
  EXPECT_TRUE(slow_body.read_all().starts_with("HTTP/1.1 408"));
  EXPECT_EQ(silent.read_all(), "");
  EXPECT_EQ(refusals.of(408).times, 2);
}

TEST(HttpServer, TimesOutBodiesThatDrip) {
  HttpServerOptions options;
  options.min_body_rate = 1u << 20;
  options.body_grace = milliseconds(200);
  const auto server = serve(plain_routes(), options);
  Socket socket(server->port());
  socket.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
  std::atomic<bool> stop{false};
  std::thread dripping([&] {
    while (!stop) {
      socket.send("x");
      std::this_thread::sleep_for(milliseconds(20));
    }
  });
  EXPECT_TRUE(socket.read_until("\r\n\r\n").starts_with("HTTP/1.1 408"));
  stop = true;
  dripping.join();
}

TEST(HttpServer, LimitsWhatOneAddressTakes) {
  AddressLimits limits({.connections = 3, .requests_per_second = 0.001, .burst = 2});
  HttpServerOptions options;
  options.per_address = &limits;
  Refusals refusals;
  options.on_refusal = refusals.observer();
  const auto server = serve(plain_routes(), options);
  {
    Socket first(server->port()), second(server->port()), third(server->port());
    for (Socket* socket : {&first, &second}) {
      socket->send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
      EXPECT_TRUE(socket->read_until("hello").starts_with("HTTP/1.1 200"));
    }
    third.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string refused = third.read_until("\r\n\r\n");
    EXPECT_TRUE(refused.starts_with("HTTP/1.1 429")) << refused;
    EXPECT_NE(refused.find("Retry-After: "), std::string::npos) << refused;
    Socket beyond(server->port());
    EXPECT_EQ(beyond.read_all(), "");
    EXPECT_EQ(refusals.of(429).request, "GET /hello");
    EXPECT_EQ(refusals.of(0).reason, "too many connections from this address");
  }
  const auto soon = Deadline::after(kPatience);
  while (server->stats().connections > 0 && !soon.passed()) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_TRUE(ask(*server, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 429")) << "the connections were given back, the requests not";
}

TEST(HttpServer, KnowsClientsOfEitherFamilyByTheirOwnAddress) {
  Router router;
  ASSERT_TRUE(router.add("GET", "/peer", [](const HttpRequest& q, Responder& r) { r.send(HttpResponse::text(200, "from " + q.peer)); }));
  HttpServerOptions options;
  options.address = "::";
  auto server = HttpServer::start(options, std::move(router));
  if (!server) GTEST_SKIP() << "no IPv6 here: " << server.error().message;
  const std::string answer = ask(**server, "GET /peer HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(answer.find("from 127.0.0.1:"), std::string::npos) << answer;
}

TEST(HttpServer, HoldsTheProducerBackWhileTheClientIsSlow) {
  std::atomic<std::size_t> produced{0};
  constexpr std::size_t kTotal = 64u << 20;
  Router router;
  ASSERT_TRUE(router.add("GET", "/flood", [&](const HttpRequest&, Responder& r) {
    const std::string piece(64u << 10, 'x');
    r.start(200, {});
    while (produced < kTotal && r.write(piece)) produced += piece.size();
    r.finish();
  }));
  const auto server = serve(std::move(router));
  Socket socket(server->port(), 64 << 10);
  socket.send("GET /flood HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  std::string text = socket.read_until("xxxx");
  // The kernel's buffers and the send buffer fill up; then the producer has to stand still.
  std::size_t before = 0;
  do {
    before = produced;
    std::this_thread::sleep_for(milliseconds(100));
  } while (produced != before);
  EXPECT_LT(produced, std::size_t{2} << 20);
  text += socket.read_all();
  EXPECT_EQ(produced, kTotal);
  EXPECT_EQ(static_cast<std::size_t>(std::count(text.begin(), text.end(), 'x')), kTotal);
  EXPECT_TRUE(text.ends_with("\r\n0\r\n\r\n"));
}

TEST(HttpServer, CutsOffAClientThatTakesNothing) {
  Signal gone;
  Router router;
  ASSERT_TRUE(router.add("GET", "/flood", [&](const HttpRequest&, Responder& r) {
    const std::string piece(256u << 10, 'x');
    r.start(200, {});
    while (r.write(piece)) continue;
    gone.set();
  }));
  HttpServerOptions options;
  options.write_timeout = milliseconds(200);
  const auto server = serve(std::move(router), options);
  Socket socket(server->port(), 4096);
  socket.send("GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(gone.wait());
}

TEST(HttpServer, TellsAHandlerThatTheClientHasGone) {
  Signal running, told, by_token;
  Router router;
  ASSERT_TRUE(router.add("GET", "/think", [&](const HttpRequest&, Responder& r) {
    r.on_gone([&] { told.set(); });
    running.set();
    // Computes without writing anything; the flag alone stops it.
    const CancelToken cancel = r.cancelled();
    const Deadline patience = Deadline::after(kPatience);
    while (!cancel.cancelled() && !patience.passed()) std::this_thread::sleep_for(milliseconds(1));
    if (cancel.cancelled()) by_token.set();
    EXPECT_FALSE(r.write("x"));
  }));
  const auto server = serve(std::move(router));
  Socket socket(server->port());
  socket.send("GET /think HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(running.wait());
  socket.close();
  EXPECT_TRUE(told.wait());
  EXPECT_TRUE(by_token.wait());
}

TEST(HttpServer, ShedsLoadWhenEveryWorkerIsBusy) {
  Signal release;
  std::atomic<int> running{0};
  Router router = plain_routes();
  ASSERT_TRUE(router.add("GET", "/block", [&](const HttpRequest&, Responder& r) {
    ++running;
    release.wait();
    r.send(HttpResponse::text(200, "done"));
  }));
  HttpServerOptions options;
  options.workers = 2;
  options.queue = 1;
  Refusals refusals;
  options.on_refusal = refusals.observer();
  const auto server = serve(std::move(router), options);
  const std::string request = "GET /block HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  std::vector<Socket> busy;
  for (std::size_t i = 0; i < 3; ++i) {
    busy.emplace_back(server->port());
    busy.back().send(request);
    // The first two have to be with a worker before the third takes the place in the queue.
    while (server->stats().requests < i + 1 || running < static_cast<int>(std::min<std::size_t>(i + 1, 2))) std::this_thread::sleep_for(milliseconds(1));
  }
  const std::string shed = ask(*server, request);
  EXPECT_TRUE(shed.starts_with("HTTP/1.1 503")) << shed;
  EXPECT_NE(shed.find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_EQ(refusals.of(503).times, 1);
  EXPECT_TRUE(ask(*server, "GET /hello HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200"));  // inline routes still answer
  release.set();
  for (auto& socket : busy) EXPECT_TRUE(socket.read_all().ends_with("done"));
}

TEST(HttpServer, ServesManyConnectionsOnSeveralThreads) {
  HttpServerOptions options;
  options.io_threads = 3;
  options.max_connections = 300;
  const auto server = serve(plain_routes(), options);
  std::vector<Socket> sockets;
  for (int i = 0; i < 300; ++i) sockets.emplace_back(server->port());
  for (auto& socket : sockets) socket.send("GET /work?x=fine HTTP/1.1\r\nHost: h\r\n\r\n");
  for (auto& socket : sockets) EXPECT_TRUE(socket.read_until("fine").starts_with("HTTP/1.1 200"));
  Socket beyond(server->port());
  beyond.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(beyond.read_all(), "");
  EXPECT_EQ(server->stats().connections, 300u);
}

TEST(HttpServer, ForgetsAConnectionAsSoonAsItsClientClosesIt) {
  HttpServerOptions options;
  options.max_connections = 4;
  const auto server = serve(plain_routes(), options);
  for (int i = 0; i < 40; ++i) {
    {
      Socket socket(server->port());
      socket.send("GET /work?x=fine HTTP/1.1\r\nHost: h\r\n\r\n");
      EXPECT_TRUE(socket.read_until("fine").starts_with("HTTP/1.1 200")) << i;
    }
    const auto soon = Deadline::after(kPatience);
    while (server->stats().connections > 0 && !soon.passed()) std::this_thread::sleep_for(milliseconds(1));
    ASSERT_EQ(server->stats().connections, 0u) << i;
  }
}

TEST(HttpServer, DrainsBeforeItStops) {
  Signal running, release;
  Router router = plain_routes();
  ASSERT_TRUE(router.add("GET", "/slow", [&](const HttpRequest&, Responder& r) {
    running.set();
    release.wait();
    r.send(HttpResponse::text(200, "finished"));
  }));
  auto server = serve(std::move(router));
  Socket idle(server->port()), slow(server->port());
  idle.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
  idle.read_until("hello");
  slow.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(running.wait());
  std::thread stopper([&] { server->stop(kPatience); });
  EXPECT_EQ(idle.read_all(), "");  // idle connections are closed at once
  EXPECT_FALSE(Socket(server->port()).connected());
  release.set();
  const std::string answer = slow.read_all();
  EXPECT_TRUE(answer.ends_with("finished")) << answer;
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
  stopper.join();
}

TEST(HttpServer, StopsHandlersThatDoNotEnd) {
  Signal running;
  Router router;
  ASSERT_TRUE(router.add("GET", "/endless", [&](const HttpRequest&, Responder& r) {
    r.start(200, {});
    running.set();
    while (r.write("tick\n")) std::this_thread::sleep_for(milliseconds(1));
  }));
  auto server = serve(std::move(router));
  Socket socket(server->port());
  socket.send("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(running.wait());
  server->stop(milliseconds(20));
  EXPECT_FALSE(socket.read_all().ends_with("0\r\n\r\n"));
  EXPECT_EQ(server->stats().connections, 0u);
}

TEST(HttpServer, NamesWhatIsWrongWithItsOptions) {
  const auto server = serve(plain_routes());
  HttpServerOptions taken;
  taken.port = server->port();
  const auto second = HttpServer::start(taken, Router());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(second.error().message.find(std::to_string(taken.port)), std::string::npos);
  EXPECT_FALSE(second.error().hint.empty());
  HttpServerOptions name, absent, key, none;
  name.address = "not-an-address";
  absent.address = "192.0.2.1";
  key.tls.certificate = "/nonexistent.pem";
  none.workers = 0;
  for (const auto& options : {name, absent, key, none}) EXPECT_FALSE(HttpServer::start(options, Router())) << options.address;
}

}  // namespace
}  // namespace stoa::infra
