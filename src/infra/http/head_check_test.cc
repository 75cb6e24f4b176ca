#include "infra/http/head_check.h"

#include <gtest/gtest.h>

#include "infra/http/parser.h"
#include "infra/http/router.h"

namespace stoa::infra {
namespace {

// The status that the bytes of a request get: 0 when its head is taken; -1 when it waits for more.
int status_of(std::string_view text, std::size_t step) {
  RequestParser parser(16u << 10);
  std::string data;
  for (std::size_t at = 0; at < text.size();) {
    data += text.substr(at, step);
    at += step;
    const auto used = parser.feed(data);
    if (!used) return parser.status();
    data.erase(0, *used);
    if (parser.head_done()) return 0;
  }
  return -1;
}

TEST(HeadCheck, RefusesWhatTwoReadersCouldTakeDifferently) {
  const std::string host = "Host: h\r\n";
  const auto get = [&](const std::string& target, const std::string& fields = "") { return "GET " + target + " HTTP/1.1\r\n" + host + fields + "\r\n"; };
  const auto named = [&](const std::string& name) { return "GET / HTTP/1.1\r\nHost: " + name + "\r\n\r\n"; };
  std::string many;
  for (int i = 0; i < 100; ++i) many += "X: y\r\n";
  const struct { std::string text; int status; } cases[] = {
      {get("/"), 0}, {get("/a/b?c=d"), 0}, {"GET / HTTP/1.0\r\n\r\n", 0}, {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", 0}, {get("*"), 400},
      // Methods.
      {"PATCH / HTTP/1.1\r\n" + host + "\r\n", 0}, {"TRACE / HTTP/1.1\r\n" + host + "\r\n", 501}, {"CONNECT h:1 HTTP/1.1\r\n" + host + "\r\n", 400}, {"BREW / HTTP/1.1\r\n" + host + "\r\n", 501},
      {"get / HTTP/1.1\r\n" + host + "\r\n", 501},
      // Lines.
      {"GET / HTTP/1.1\n" + host + "\r\n", 400}, {"GET / HTTP/1.1\r\nHost: h\n\r\n", 400}, {get("/", "X: a\rb\r\n"), 400}, {get("/", "X: a\r\n b\r\n"), 400}, {get("/", "X: a\r\n\tb\r\n"), 400},
      {get("/", std::string("X: a\0b\r\n", 8)), 400}, {get("/", "X: a\x7f\r\n"), 400}, {get("/", "X: a\tb\r\n"), 0}, {get("/", "X: \xc3\xbc\r\n"), 0}, {"nonsense\r\n", 400}, {"GET /\r\n", 400},
      {"GET / HTTP/2.0\r\n", 400}, {"GET / HTTP/1.2\r\n", 400}, {"GET  / HTTP/1.1\r\n", 400}, {"GET / a HTTP/1.1\r\n", 400}, {" GET / HTTP/1.1\r\n", 400}, {"\x16\x03\x01\x02", 400},
      {"GET / HTT", -1}, {"GET / HTTP/1.1\r\nHost: h\r", -1}, {get("/", "X : y\r\n"), 400}, {get("/", ": y\r\n"), 400}, {get("/", "X\r\n"), 400},
      // Sizes.
      {get("/" + std::string(8191, 'x')), 0}, {get("/" + std::string(8192, 'x')), 414}, {get("/", many), 431}, {get("/", many.substr(6)), 0}, {get("/", "X: " + std::string(20'000, 'x') + "\r\n"), 431},
      {std::string(20'000, 'A'), 431}, {"GET /" + std::string(20'000, 'x'), 431},
      // Fields that come once, and what a body may be.
      {"GET / HTTP/1.1\r\n\r\n", 400}, {get("/", "Host: h\r\n"), 400}, {get("/", "Authorization: a\r\nauthorization: a\r\n"), 400}, {get("/", "Content-Length: 0\r\nContent-Length: 0\r\n"), 400},
      {get("/", "Content-Length: 0, 0\r\n"), 400}, {get("/", "Content-Length: +1\r\n"), 400}, {get("/", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400}, {get("/", "Content-Type: a\r\nContent-Type: b\r\n"), 400},
      {get("/", "Content-Encoding: gzip\r\n"), 415}, {get("/", "Content-Encoding: Identity\r\n"), 0}, {get("/", "Content-Encoding: br, gzip\r\n"), 415}, {get("/", "Transfer-Encoding: gzip, chunked\r\n"), 501},
      // Hosts and absolute targets.
      {named("example.com:8080"), 0}, {named("[::1]:80"), 0}, {named(""), 0}, {named("a@b"), 400}, {named("a/b"), 400}, {named("a b"), 400}, {named("a,b"), 400}, {named("a\\b"), 400},
      {get("http://h/x"), 0}, {get("http://H:80/x"), 0}, {get("http://other/x"), 400}, {get("http://u@h/x"), 400}, {get("ftp://h/x"), 400}, {get("h/x"), 400}, {get("http://h:81/x"), 400},
      // Paths.
      {get("/a%2Fb"), 0}, {get("/a//b"), 0}, {get("/."), 400}, {get("/.."), 400}, {get("/a/../b"), 400}, {get("/a/./b"), 400}, {get("/%2e%2E/b"), 400}, {get("/a%2f..%2Fb"), 400}, {get("/..%2fb"), 400},
      {get("/a..b/...c"), 0}, {get("/a\\b"), 400}, {get("/a%5cb"), 400}, {get("/a%00b"), 400}, {get("/a%0d%0ab"), 400}, {get("/a%7f"), 400}, {get("/%ff"), 400}, {get("/%c0%ae%c0%ae/"), 400}, {get("/%C3%BC"), 0},
      {get("/a%"), 400}, {get("/a%2"), 400}, {get("/a%zz"), 400}, {get("/a#b"), 400}, {get("/?a=../%00"), 0},
  };
  for (const auto& [text, status] : cases)
    for (const std::size_t step : {std::size_t{1}, std::size_t{3}, std::size_t{100'000}}) EXPECT_EQ(status_of(text, step), status) << text.substr(0, 120) << " in pieces of " << step;
}

// What passes leads where it says, however the router takes it apart.
TEST(HeadCheck, PathsThatPassHaveNoWayUp) {
  const std::string parts[] = {"a", ".", "..", "%2e", "%2E.", "/", "%2f", "%5c", "//", "b%20c", "%252e"};
  int passed = 0;
  for (const auto& a : parts)
    for (const auto& b : parts)
      for (const auto& c : parts) {
        HttpRequest request;
        const std::string target = "/" + a + b + c;
        if (!set_target(request, target)) continue;
        ++passed;
        std::string decoded;
        for (std::size_t i = 0; i < request.path.size(); ++i) {
          if (request.path[i] == '%') decoded += static_cast<char>(std::stoi(request.path.substr(i + 1, 2), nullptr, 16)), i += 2;
          else decoded += request.path[i];
        }
        EXPECT_EQ(("/" + decoded + "/").find("/../"), std::string::npos) << target;
        EXPECT_EQ(("/" + decoded + "/").find("/./"), std::string::npos) << target;
        EXPECT_EQ(decoded.find('\\'), std::string::npos) << target;
      }
  EXPECT_GT(passed, 100);
}

}  // namespace
}  // namespace stoa::infra
