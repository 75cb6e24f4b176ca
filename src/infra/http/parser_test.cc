#include "infra/http/parser.h"

#include <gtest/gtest.h>

namespace stoa::infra {
namespace {

struct Outcome {
  int status = 0;  // 0 = a whole request
  std::string body;
  std::size_t used = 0;
  bool keep_alive = false;
};

// Feeds `text` in pieces of `step` bytes, keeping what was not consumed, as a connection does.
Outcome parse(std::string_view text, std::size_t step, std::uint64_t max_body = 100, std::size_t max_header = 400) {
  RequestParser parser(max_header);
  Outcome outcome;
  std::string data;
  std::size_t at = 0;
  while (!parser.done()) {
    const bool had_head = parser.head_done();
    const auto used = parser.feed(data);
    if (!used) return {parser.status(), {}, 0, false};
    data.erase(0, *used);
    outcome.used += *used;
    if (!had_head && parser.head_done()) {
      parser.set_max_body(max_body);
      continue;
    }
    if (parser.done()) break;
    if (at >= text.size()) return {-1, {}, outcome.used, false};
    data += text.substr(at, step);
    at += step;
  }
  outcome.body = parser.request().body;
  outcome.keep_alive = parser.keep_alive();
  return outcome;
}

TEST(RequestParser, AcceptsAndRefuses) {
  struct Case {
    std::string text;
    int status;
    std::string body;
  };
  const std::string host = "Host: h\r\n";
  const Case cases[] = {
      {"GET / HTTP/1.1\r\n" + host + "\r\n", 0, ""},
      {"GET / HTTP/1.0\r\n\r\n", 0, ""},
      {"POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc", 0, "abc"},
      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 0, "abcde"},
      {"GET / HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", 0, ""},
      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, ""},
      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n", 0, "a"},
      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(5000, 'x'), 431, ""},
      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + std::string(5000, 'x'), 431, ""},
      {"GET / HTTP/1.1\r\n\r\n", 400, ""},
      {"GET / HTTP/1.1\r\n" + host + host + "\r\n", 400, ""},
      {"GET / HTTP/1.1\r\n" + host + "Authorization: a\r\nAuthorization: a\r\n\r\n", 400, ""},
      {"GET / HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n", 400, ""},
      {"GET / HTTP/1.1\r\n" + host + "X: a\r\n\tb\r\n\r\n", 400, ""},
      {"GET / HTTP/1.1\r\n X: a\r\n" + host + "\r\n", 400, ""},
      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400, ""},
      {"POST / HTTP/1.1\r\n" + host + "Content-Length: 4\r\n\r\n\r\n x", 0, "\r\n x"},
      {"GET / HTTP/2.0\r\n" + host + "\r\n", 400, ""},
      {"GET  / HTTP/1.1\r\n" + host + "\r\n", 400, ""},
      {"G\x01T / HTTP/1.1\r\n" + host + "\r\n", 400, ""},
      {"GET x HTTP/1.1\r\n" + host + "\r\n", 400, ""},
      {"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400, ""},
      {"POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400, ""},
      {"POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, ""},
      {"POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ""},
      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400, ""},
      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", 501, ""},
      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, ""},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ""},
      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc", 400, ""},
      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400, ""},
      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nffff\r\n", 413, ""},
      {"POST / HTTP/1.1\r\n" + host + "Content-Length: 101\r\n\r\n" + std::string(101, 'x'), 413, ""},
      {"POST / HTTP/1.1\r\n" + host + "Expect: miracles\r\n\r\n", 417, ""},
      {"GET /" + std::string(500, 'x') + " HTTP/1.1\r\n" + host + "\r\n", 431, ""},
      {"GET / HTTP/1.1\r\n" + host + "X: " + std::string(500, 'x') + "\r\n\r\n", 431, ""},
      {"POST / HTTP/1.1\r\n" + host + "Content-Length: 9\r\n\r\nabc", -1, ""},
  };
  for (const auto& c : cases)
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{5000}}) {
      const Outcome outcome = parse(c.text, step);
      EXPECT_EQ(outcome.status, c.status) << c.text.substr(0, 100) << " in pieces of " << step;
      EXPECT_EQ(outcome.body, c.body) << c.text.substr(0, 100);
      if (c.status == 0) { EXPECT_EQ(outcome.used, c.text.size()); }
    }
}

// Many short lines, each taken as it comes, are held against the same limit as one long line.
TEST(RequestParser, LimitsTheWholeHead) {
  std::string text = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 100; ++i) text += "A: b\r\n";
  for (const std::size_t step : {1, 6, 5000}) EXPECT_EQ(parse(text + "\r\n", step).status, 431) << step;
}

TEST(RequestParser, IgnoresTrailers) {
  RequestParser parser(400);
  std::string data = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: late\r\n\r\n";
  data.erase(0, *parser.feed(data));
  ASSERT_TRUE(parser.head_done());
  EXPECT_EQ(*parser.feed(data), data.size());
  EXPECT_TRUE(parser.done());
  EXPECT_FALSE(parser.request().headers.has("Authorization"));
}

TEST(RequestParser, LeavesThePipelinedRequestAlone) {
  const std::string first = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx";
  EXPECT_EQ(parse(first + "GET /b HTTP/1.1\r\nHost: h\r\n\r\n", 5000).used, first.size());
}

TEST(ResponseParser, BodiesAndEnds) {
  struct Case {
    std::string text;
    bool end, no_body;
    std::string body;
    bool ok, keep_alive;
  };
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const Case cases[] = {
      {ok + "Content-Length: 2\r\n\r\nhi", false, false, "hi", true, true},
      {ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false, false, "hi", true, true},
      {ok + "\r\nuntil the end", true, false, "until the end", true, false},
      {ok + "Content-Length: 9\r\n\r\nhi", true, false, "hi", false, false},
      {ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", true, false, "hi", false, false},
      {ok + "Content-Length: 9\r\n\r\n", false, true, "", true, true},
      {"HTTP/1.1 204 No Content\r\n\r\n", false, false, "", true, true},
      {"HTTP/1.1 200 OK\r\nContent-", true, false, "", false, false},
      {"SSH-2.0-x\r\n\r\n", false, false, "", false, false},
      {ok + "Content-Length: 1000\r\n\r\n", false, false, "", false, false},
      {"", true, false, "", false, false},
  };
  for (const auto& c : cases)
    for (const std::size_t step : {std::size_t{1}, std::size_t{5000}}) {
      std::string body, data;
      ResponseParser parser(400, 100, c.no_body, {{}, [&](std::string_view piece) {
                                                    body += piece;
                                                    return true;
                                                  }});
      Status status;
      for (std::size_t at = 0; at < c.text.size() && status; at += step) {
        data += c.text.substr(at, step);
        for (std::size_t round = 0; round < 2 && status && !parser.done() && !data.empty(); ++round) {  // it stops after the head
          auto used = parser.feed(data);
          if (used) data.erase(0, *used);
          else status = fail(used.error());
        }
      }
      if (status && c.end) status = parser.feed_end();
      EXPECT_EQ(status.has_value() && parser.done(), c.ok) << c.text;
      EXPECT_EQ(body, c.body) << c.text;
      if (c.ok) { EXPECT_EQ(parser.keep_alive(), c.keep_alive) << c.text; }
    }
}

}  // namespace
}  // namespace stoa::infra
