// Server-sent events (WHATWG HTML, 9.2): a formatter for servers and a bounded parser for clients.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace stoa::infra {

struct SseEvent {
  std::string event;  // empty = "message"
  std::string data;
  std::string id;
};

// One event as bytes; data with line breaks becomes several data lines.
std::string format_sse(std::string_view data, std::string_view event = "", std::string_view id = "");
// A comment line, which clients ignore: keeps proxies from closing a quiet stream.
std::string format_sse_comment(std::string_view text);

// Feed it pieces as they come; it calls back for each complete event. An event cut off by the end of the stream is dropped, as
// the standard says.
class SseParser {
 public:
  // False from the callback stops: feed returns ok and ignores the rest.
  using Callback = std::function<bool(const SseEvent&)>;
  explicit SseParser(Callback callback, std::size_t max_event = 4u << 20) : callback_(std::move(callback)), max_event_(max_event) {}

  // kTooLarge when a line or an event exceeds the limit; the parser is then dead.
  Status feed(std::string_view piece);
  bool stopped() const { return stopped_; }
  const std::string& last_id() const { return last_id_; }

 private:
  void line(std::string_view text);
  void dispatch();

  Callback callback_;
  std::size_t max_event_;
  std::string buffer_;   // an unfinished line
  SseEvent event_;
  std::string last_id_;
  bool has_data_ = false, skip_lf_ = false, first_ = true, stopped_ = false;
};

}  // namespace stoa::infra
