// The binary framing of event streams of AWS (application/vnd.amazon.eventstream). A message is: its length and the length of its headers
// (4 bytes each, big-endian), a CRC-32 of these eight, the headers, the payload, and a CRC-32 of everything before. A header is its name (1 byte of
// length), a type, and a value whose length depends on the type.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace stoa::infra {

struct EventMessage {
  std::vector<std::pair<std::string, std::string>> headers;  // those that hold text; others are read and left out
  std::string payload;
  std::string_view header(std::string_view name) const;  // empty: there is none
};

// A message as bytes. Names of headers have 1 to 255 bytes, values at most 65535; what is longer is cut.
std::string format_event_message(const EventMessage& message);

// Feed it pieces as they come; it calls back for each complete message.
class EventStreamParser {
 public:
  static constexpr std::size_t kMaxHeaders = 128u << 10;
  // False from the callback stops: feed returns ok and ignores the rest.
  using Callback = std::function<bool(EventMessage&&)>;
  explicit EventStreamParser(Callback callback, std::size_t max_message = 1u << 20) : callback_(std::move(callback)), max_message_(max_message) {}

  // kTooLarge for a message beyond the limit, kDataLoss for what is no message (a wrong checksum, lengths that do not fit); the parser is then dead.
  Status feed(std::string_view piece);
  bool idle() const { return buffer_.empty(); }  // between two messages

 private:
  Status next(std::size_t& used);

  Callback callback_;
  std::size_t max_message_;
  std::string buffer_;  // an unfinished message
  bool stopped_ = false, dead_ = false;
};

}  // namespace stoa::infra
