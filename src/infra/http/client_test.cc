// The client against the server of this module, and against sockets that misbehave.
#include "infra/http/client.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "infra/http/server.h"
#include "infra/http/sse.h"

namespace stoa::infra {
namespace {

// A listening socket that answers each connection with the next of its scripts, word for word, and closes it.
class ScriptedServer {
 public:
  // `reads_on`: reads another request from each connection before it closes that.
  explicit ScriptedServer(std::vector<std::string> scripts, bool reads_on = false) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd_, 16), 0);
    socklen_t size = sizeof address;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, reads_on, scripts = std::move(scripts)] {
      for (const auto& script : scripts) {
        const int peer = ::accept(fd_, nullptr, nullptr);
        if (peer < 0) return;
        std::string request;
        char buffer[4096];
        while (request.find("\r\n\r\n") == std::string::npos) {
          const auto n = ::recv(peer, buffer, sizeof buffer, 0);
          if (n <= 0) break;
          request.append(buffer, static_cast<std::size_t>(n));
        }
        requests.push_back(request);
        (void)!::send(peer, script.data(), script.size(), MSG_NOSIGNAL);
        if (script.empty() || reads_on) ::recv(peer, buffer, sizeof buffer, 0);  // says nothing until the client gives up
        ::close(peer);
      }
    });
  }
  ~ScriptedServer() {
    ::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::vector<std::string> requests;  // read after the client has its answer

 private:
  int fd_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

std::unique_ptr<HttpServer> serve(HttpServerOptions options = {}) {
  Router router;
  EXPECT_TRUE(router.add("GET", "/hello", [](const HttpRequest& q, Responder& r) { r.send({200, {{"X-Peer", q.peer}, {"X-TLS", q.tls ? "1" : "0"}}, "hello"}); }));
  EXPECT_TRUE(router.add("POST", "/echo", [](const HttpRequest& q, Responder& r) { r.send({200, {{"X-Auth", std::string(q.headers.get("authorization"))}}, q.body}); }));
  EXPECT_TRUE(router.add("GET", "/events", [](const HttpRequest&, Responder& r) {
    r.start(200, {{"Content-Type", "text/event-stream"}});
    for (int i = 0; i < 1000; ++i) r.write(format_sse(std::to_string(i)));
    r.finish();
  }));
  EXPECT_TRUE(router.add("GET", "/broken", [](const HttpRequest&, Responder& r) {
    r.start(200, {});
    r.write("part");
    r.abort();
  }));
  EXPECT_TRUE(router.add("GET", "/hop/{n}", [](const HttpRequest& q, Responder& r) {
    const int n = std::stoi(std::string(q.path_param("n")));
    r.send({302, {{"Location", n == 0 ? "/hello" : "../hop/" + std::to_string(n - 1)}}, "moved"});
  }));
  EXPECT_TRUE(router.add("GET", "/stuck", [](const HttpRequest&, Responder& r) {
    while (!r.client_gone()) std::this_thread::sleep_for(milliseconds(1));
  }));
  options.max_body = 32u << 20;
  auto server = HttpServer::start(options, std::move(router));
  EXPECT_TRUE(server) << server.error().message;
  return std::move(*server);
}

HttpClientRequest get(std::string url) {
  HttpClientRequest request;
  request.url = std::move(url);
  return request;
}

TEST(HttpClient, SendsAndReusesConnections) {
  const auto server = serve();
  HttpClient client;
  const auto first = client.send(get(server->url() + "/hello"));
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->status, 200);
  EXPECT_EQ(first->body, "hello");
  HttpClientRequest post = get(server->url() + "/echo");
  post.method = "POST";
  post.headers = {{"Authorization", "Bearer x"}};
  for (const std::size_t size : {std::size_t{0}, std::size_t{10}, std::size_t{5u << 20}}) {
    post.body.assign(size, 'b');
    const auto echoed = client.send(post);
    ASSERT_TRUE(echoed) << echoed.error().message;
    EXPECT_EQ(echoed->body, post.body);
    EXPECT_EQ(echoed->headers.get("x-auth"), "Bearer x");
  }
  HttpClientRequest head = get(server->url() + "/hello");
  head.method = "HEAD";
  const auto headed = client.send(head);
  ASSERT_TRUE(headed);
  EXPECT_EQ(headed->headers.get("Content-Length"), "5");
  EXPECT_EQ(headed->body, "");
  EXPECT_EQ(client.send(get(server->url() + "/none"))->status, 404);
  EXPECT_EQ(server->stats().accepted, 1u);
}

TEST(HttpClient, StreamsAndMayStopEarly) {
  const auto server = serve();
  HttpClient client;
  std::vector<std::string> events;
  SseParser parser([&](const SseEvent& event) {
    events.push_back(event.data);
    return true;
  });
  std::string type;
  const auto status = client.stream(get(server->url() + "/events"), {[&](int, const HttpHeaders& headers) -> Status {
                                                                       type = headers.get("content-type");
                                                                       return {};
                                                                     },
                                                                     [&](std::string_view piece) { return parser.feed(piece).has_value(); }});
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(type, "text/event-stream");
  ASSERT_EQ(events.size(), 1000u);
  EXPECT_EQ(events.back(), "999");
  int pieces = 0;
  EXPECT_TRUE(client.stream(get(server->url() + "/events"), {{}, [&](std::string_view) { return ++pieces < 1; }}));
  EXPECT_EQ(pieces, 1);
  const auto refused = client.stream(get(server->url() + "/hello"), {[](int, const HttpHeaders&) -> Status { return fail(ErrorCode::kConflict, "no"); }, {}});
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
}

TEST(HttpClient, FollowsRedirectsOnlyWhenAsked) {
  const auto server = serve();
  HttpClient client;
  HttpClientRequest request = get(server->url() + "/hop/2");
  EXPECT_EQ(client.send(request)->status, 302);
  request.max_redirects = 5;
  EXPECT_EQ(client.send(request)->body, "hello");
  request.max_redirects = 2;
  EXPECT_EQ(client.send(request)->status, 302);

  // Credentials stay with the origin they were given for.
  ScriptedServer other({"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"});
  ScriptedServer first({"HTTP/1.1 302 Found\r\nLocation: " + other.url() + "/x\r\nContent-Length: 0\r\n\r\n"});
  HttpClientRequest secret = get(first.url() + "/");
  secret.headers = {{"Authorization", "Bearer secret"}};
  secret.max_redirects = 1;
  ASSERT_EQ(client.send(secret)->body, "ok");
  EXPECT_NE(first.requests.at(0).find("secret"), std::string::npos);
  EXPECT_EQ(other.requests.at(0).find("secret"), std::string::npos);
}

TEST(HttpClient, ReadsWhatServersSend) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  struct Case {
    std::string reply, body;
    ErrorCode code;  // checked where body is "!"
  };
  const Case cases[] = {
      {ok + "\r\nuntil the end", "until the end", {}},
      {"HTTP/1.1 103 Early\r\nX: y\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nhi", "hi", {}},
      {ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nTrailer: x\r\n\r\n", "hi", {}},
      {ok + "Content-Length: 9\r\n\r\nhi", "!", ErrorCode::kUnavailable},
      {ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", "!", ErrorCode::kUnavailable},
      {"not http at all\r\n\r\n", "!", ErrorCode::kUnavailable},
      {ok + "Content-Length: 5000\r\n\r\n", "!", ErrorCode::kTooLarge},
      {ok + "\r\n" + std::string(5000, 'x'), "!", ErrorCode::kTooLarge},
      {ok + "X: " + std::string(100'000, 'x') + "\r\n\r\n", "!", ErrorCode::kTooLarge},
  };
  for (const auto& c : cases) {
    ScriptedServer server({c.reply});
    HttpClient client;
    HttpClientRequest request = get(server.url());
    request.max_body = 1000;
    const auto reply = client.send(request);
    if (c.body == "!") {
      ASSERT_FALSE(reply) << c.reply.substr(0, 60);
      EXPECT_EQ(reply.error().code, c.code) << c.reply.substr(0, 60) << ": " << reply.error().message;
    } else {
      ASSERT_TRUE(reply) << c.reply.substr(0, 60) << ": " << reply.error().message;
      EXPECT_EQ(reply->body, c.body);
    }
  }
}

TEST(HttpClient, RetriesOnceWhenAnIdleConnectionWasClosed) {
  const std::string reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
  ScriptedServer server({reply, reply});
  HttpClient client;
  EXPECT_EQ(client.send(get(server.url()))->body, "hi");  // said keep-alive, but closes
  EXPECT_EQ(client.send(get(server.url()))->body, "hi");
}

TEST(HttpClient, RepeatsAPostOnlyWhereThatIsSaidToBeHarmless) {
  const std::string reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
  for (const bool repeatable : {false, true}) {
    ScriptedServer server({reply, reply}, true);
    HttpClient client;
    HttpClientRequest request = get(server.url());
    request.method = "POST";
    request.repeatable = repeatable;
    ASSERT_TRUE(client.send(request));
    const auto again = client.send(request);  // on the connection that was kept, which is closed now
    ASSERT_EQ(again.has_value(), repeatable);
    if (!again) {
      EXPECT_NE(again.error().message.find("as the request was sent"), std::string::npos) << again.error().message;
    }
  }
}

TEST(HttpClient, NamesTheFailure) {
  HttpClient client;
  const auto check = [&](HttpClientRequest request, ErrorCode code, const std::string& says) {
    const auto reply = client.send(request);
    ASSERT_FALSE(reply) << request.url;
    EXPECT_EQ(reply.error().code, code) << reply.error().message;
    EXPECT_NE(reply.error().message.find(says), std::string::npos) << reply.error().message;
  };
  check(get("http://127.0.0.1:1/"), ErrorCode::kUnavailable, "cannot connect to 127.0.0.1:1");
  check(get("ftp://127.0.0.1/"), ErrorCode::kInvalidArgument, "ftp");
  check(get("nonsense"), ErrorCode::kInvalidArgument, "nonsense");
  HttpClientRequest header = get("http://127.0.0.1:1/");
  header.headers = {{"X", "a\r\nEvil: b"}};
  check(header, ErrorCode::kInvalidArgument, "line break");
  const auto server = serve();
  check(get(server->url() + "/broken"), ErrorCode::kUnavailable, "");

  ScriptedServer silent({"", ""});
  HttpClientRequest late = get(silent.url());
  late.timeouts.first_byte = milliseconds(100);
  check(late, ErrorCode::kDeadlineExceeded, "waiting for the first byte of 127.0.0.1");
  HttpClientRequest cancelled = get(server->url() + "/stuck");
  std::thread canceller([token = cancelled.cancel] {
    std::this_thread::sleep_for(milliseconds(50));
    token.cancel();
  });
  check(cancelled, ErrorCode::kCancelled, "cancelled");
  canceller.join();
}

TEST(HttpClient, GoesThroughAProxy) {
  ScriptedServer proxy({"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"});
  HttpClientOptions options;
  options.http_proxy = options.https_proxy = proxy.url();
  options.no_proxy = "example.net";
  HttpClient client(options);
  EXPECT_EQ(client.send(get("http://example.test:8000/a?b"))->body, "hi");
  EXPECT_TRUE(proxy.requests.at(0).starts_with("GET http://example.test:8000/a?b HTTP/1.1\r\nHost: example.test:8000\r\n"));
  const auto refused = client.send(get("https://example.test/"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("CONNECT example.test:443"), std::string::npos) << refused.error().message;
  const auto server = serve();
  EXPECT_EQ(client.send(get(server->url() + "/hello"))->body, "hello");  // loopback is reached directly
}

}  // namespace
}  // namespace stoa::infra
