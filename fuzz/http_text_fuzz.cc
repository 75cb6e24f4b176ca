// URLs, queries, form uploads and server-sent events: no crash, and what is accepted keeps its promises.
#include <cstdint>
#include <string>

#include "infra/http/multipart.h"
#include "infra/http/router.h"
#include "infra/http/sse.h"
#include "infra/http/url.h"
#include "require.h"

namespace {

using namespace stoa;
using namespace stoa::infra;

void urls(std::string_view text) {
  if (const auto url = parse_url(text)) {
    // What was accepted prints to something that is accepted and means the same.
    const auto again = parse_url(url->origin() + url->target());
    if (url->scheme == "http" || url->scheme == "https") require(again && again->host == url->host && again->target() == url->target());
    (void)resolve_url(*url, text.substr(text.size() / 2));
  }
  require(*percent_decode(percent_encode(text)) == text);
  if (const auto pairs = parse_query(text)) require(*parse_query(format_query(*pairs)) == *pairs);
  HttpRequest request;
  (void)set_target(request, std::string(text));
}

void forms(std::string_view text) {
  const auto parts = parse_form("multipart/form-data; boundary=B", text);
  if (!parts) return;
  for (const auto& part : *parts) {
    require(part.filename.find_first_of("/\\") == std::string::npos && part.filename != "..");
    require(part.data.data() >= text.data() && part.data.data() + part.data.size() <= text.data() + text.size());
  }
}

void events(std::string_view text, std::size_t step) {
  std::string whole, pieces;
  SseParser at_once([&](const SseEvent& event) { return whole += event.event + "\1" + event.data + "\2", true; }, 512);
  const bool fits = at_once.feed(text).has_value();
  SseParser bit_by_bit([&](const SseEvent& event) { return pieces += event.event + "\1" + event.data + "\2", true; }, 512);
  bool fitted = true;
  for (std::size_t at = 0; at < text.size() && fitted; at += step) fitted = bit_by_bit.feed(text.substr(at, step)).has_value();
  if (fits && fitted) require(whole == pieces);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  urls(text);
  forms(text);
  events(text, 1 + bytes[0] % 16);
  return 0;
}
