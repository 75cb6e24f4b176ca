#include "infra/aws/event_stream.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include <boost/crc.hpp>

namespace stoa::infra {
namespace {

constexpr std::size_t kPrelude = 12, kChecksum = 4, kLeast = kPrelude + kChecksum;
constexpr std::uint8_t kText = 7;

std::uint32_t checksum(std::string_view bytes) {
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

std::uint32_t number(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char byte : bytes.substr(0, 4)) value = value << 8 | static_cast<std::uint8_t>(byte);
  return value;
}

void put(std::string& out, std::uint32_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

std::unexpected<Error> damaged(std::string_view what) { return fail(ErrorCode::kDataLoss, "a message of the event stream is damaged: {}", what); }

// How many bytes the value of each type takes; of bytes and text, the two of their length.
constexpr std::array<std::size_t, 10> kSizes{0, 0, 1, 2, 4, 8, 2, 2, 8, 16};  // true, false, byte, short, int, long, bytes, text, timestamp, uuid

Status read_headers(std::string_view bytes, EventMessage& out) {
  while (!bytes.empty()) {
    const std::size_t name_size = static_cast<std::uint8_t>(bytes.front());
    if (name_size == 0 || bytes.size() < 1 + name_size + 1) return damaged("a header has no name");
    const std::string_view name = bytes.substr(1, name_size);
    const std::uint8_t type = static_cast<std::uint8_t>(bytes[1 + name_size]);
    bytes.remove_prefix(1 + name_size + 1);
    if (type >= kSizes.size()) return damaged("a header has a type that does not exist");
    std::size_t size = kSizes[type];
    if (bytes.size() < size) return damaged("a header is cut off");
    if (type == kText || type == 6) {
      size = std::size_t{static_cast<std::uint8_t>(bytes[0])} << 8 | static_cast<std::uint8_t>(bytes[1]);
      bytes.remove_prefix(2);
      if (bytes.size() < size) return damaged("a header is cut off");
    }
    if (type == kText) out.headers.emplace_back(name, bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return {};
}

}  // namespace

std::string_view EventMessage::header(std::string_view name) const {
  const auto found = std::ranges::find(headers, name, &std::pair<std::string, std::string>::first);
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

std::string format_event_message(const EventMessage& message) {
  std::string headers;
  for (const auto& [name, value] : message.headers) {
    const std::string_view key = std::string_view(name).substr(0, 255), text = std::string_view(value).substr(0, 0xffff);
    put(headers, static_cast<std::uint32_t>(key.size()), 1);
    headers += key;
    put(headers, kText, 1);
    put(headers, static_cast<std::uint32_t>(text.size()), 2);
    headers += text;
  }
  std::string out;
  out.reserve(kLeast + headers.size() + message.payload.size());
  put(out, static_cast<std::uint32_t>(kLeast + headers.size() + message.payload.size()), 4);
  put(out, static_cast<std::uint32_t>(headers.size()), 4);
  put(out, checksum(out), 4);
  out += headers;
  out += message.payload;
  put(out, checksum(out), 4);
  return out;
}

Status EventStreamParser::feed(std::string_view piece) {
  if (dead_) return damaged("it follows one that was");
  if (stopped_) return {};
  buffer_ += piece;
  std::size_t used = 0;
  Status status;
  for (std::size_t before = std::string::npos; status && !stopped_ && used != before;) {
    before = used;
    status = next(used);
  }
  buffer_.erase(0, used);
  dead_ = !status;
  return status;
}

// Reads the message at `used`, if it is all there.
Status EventStreamParser::next(std::size_t& used) {
  const std::string_view rest = std::string_view(buffer_).substr(used);
  if (rest.size() < kPrelude) return {};
  const std::size_t total = number(rest), headers = number(rest.substr(4));
  if (checksum(rest.substr(0, 8)) != number(rest.substr(8))) return damaged("the checksum of its lengths is wrong");
  if (total < kLeast || headers > total - kLeast) return damaged("its lengths cannot be");
  if (total > max_message_ || headers > kMaxHeaders) return fail(ErrorCode::kTooLarge, "a message of the event stream has {} bytes, of at most {}", total, max_message_);
  if (rest.size() < total) return {};
  if (checksum(rest.substr(0, total - kChecksum)) != number(rest.substr(total - kChecksum))) return damaged("its checksum is wrong");
  EventMessage message;
  STOA_CHECK(read_headers(rest.substr(kPrelude, headers), message));
  message.payload = rest.substr(kPrelude + headers, total - kLeast - headers);
  used += total;
  stopped_ = !callback_(std::move(message));
  return {};
}

}  // namespace stoa::infra
