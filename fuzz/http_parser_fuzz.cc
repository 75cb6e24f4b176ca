// HTTP requests and responses in arbitrary pieces: no crash, limits kept, and the outcome does not depend on the pieces.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "infra/http/parser.h"

namespace {

using namespace stoa;
using namespace stoa::infra;

constexpr std::size_t kMaxHeader = 1024;
constexpr std::uint64_t kMaxBody = 256;

// The request's text when whole, nothing when it is unfinished or refused.
std::optional<std::string> parse_request(std::string_view text, std::size_t step) {
  RequestParser parser(kMaxHeader);
  std::string data;
  for (std::size_t at = 0;;) {
    const bool had_head = parser.head_done();
    const auto used = parser.feed(data);
    if (!used) return std::nullopt;
    if (*used > data.size() || parser.body_size() > kMaxBody) std::abort();
    data.erase(0, *used);
    if (parser.done()) break;
    if (!had_head && parser.head_done()) {
      parser.set_max_body(kMaxBody);
      continue;
    }
    if (at >= text.size()) return std::nullopt;
    data += text.substr(at, step);
    at += step;
  }
  return parser.request().method + " " + parser.request().target + "\n" + parser.request().body;
}

void parse_response(std::string_view text, std::size_t step) {
  std::size_t received = 0;
  ResponseParser parser(kMaxHeader, kMaxBody, false, {{}, [&](std::string_view piece) {
                                                        received += piece.size();
                                                        return received < 200;
                                                      }});
  std::string data;
  for (std::size_t at = 0; at < text.size() && !parser.done() && !parser.stopped(); at += step) {
    data += text.substr(at, step);
    for (int round = 0; round < 2 && !data.empty() && !parser.done() && !parser.stopped(); ++round) {
      const auto used = parser.feed(data);
      if (!used) return;
      data.erase(0, *used);
    }
    if (received > kMaxBody) std::abort();
  }
  if (!parser.done() && !parser.stopped()) (void)parser.feed_end();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const std::size_t step = 1 + bytes[0] % 64;
  const auto whole = parse_request(text, text.size()), pieces = parse_request(text, step);
  if (whole && pieces && *whole != *pieces) std::abort();
  parse_response(text, step);
  return 0;
}
