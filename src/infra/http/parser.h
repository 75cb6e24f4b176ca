// Incremental HTTP/1.1 parsing without I/O: bytes in, messages out, limits kept. Used by server and client; fuzzed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "infra/http/message.h"

namespace stoa::infra {

// One request. Feed it what arrived; it takes the head only when that is complete, so the caller keeps unconsumed bytes and
// feeds them again with more behind. It stops after the head (to let the caller set the body's limit) and after the body.
class RequestParser {
 public:
  explicit RequestParser(std::size_t max_header);
  ~RequestParser();

  // Bytes consumed. On error `status()` is the HTTP status to answer: 400, 413, 417, 431 or 501.
  Result<std::size_t> feed(std::string_view data);
  int status() const;

  bool head_done() const;
  bool done() const;
  std::optional<std::uint64_t> content_length() const;  // after the head
  bool keep_alive() const;
  bool http_1_0() const;
  bool expects_continue() const;
  void set_max_body(std::uint64_t bytes);  // 413 beyond; before: no body byte is taken
  std::size_t body_size() const;

  HttpRequest& request();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One response, its body handed on in pieces. As above, unconsumed bytes are fed again; it stops after the head.
class ResponseParser {
 public:
  struct Sink {
    std::function<Status(int status, const HttpHeaders& headers)> on_head;
    std::function<bool(std::string_view piece)> on_data;  // false stops: feed returns, stopped() is true
  };
  // `no_body` for answers to HEAD, and to CONNECT when they succeed.
  ResponseParser(std::size_t max_header, std::uint64_t max_body, bool no_body, Sink sink);
  ~ResponseParser();

  // Bytes consumed. Errors: kUnavailable when malformed, kTooLarge beyond a limit, what on_head returned.
  Result<std::size_t> feed(std::string_view data);
  // The connection ended. An error when the message had not.
  Status feed_end();

  bool head_done() const;
  bool done() const;
  bool stopped() const;
  bool keep_alive() const;  // after done()
  int status() const;
  HttpHeaders& headers();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stoa::infra
