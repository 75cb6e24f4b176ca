#include "gateway/api/document_links.h"

#include <charconv>
#include <vector>

#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"
#include "infra/http/url.h"

namespace stoa::gateway {
namespace {

constexpr std::size_t kMaxToken = 8192;
// Fields of the payload: none of them can hold a line break.
constexpr char kSeparator = '\n';
enum Field { kDocument, kExpiry, kKey, kFields };

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find(kSeparator, begin);
    parts.emplace_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

std::unexpected<Error> refused() {
  return fail(error(ErrorCode::kUnauthenticated, "this link to a document is not valid or has expired")
                  .with_hint("ask again: a new answer carries new links"));
}

}  // namespace

DocumentLinks::DocumentLinks(ByteSpan installation_secret, std::chrono::seconds lifetime, const Clock& clock) : lifetime_(lifetime), clock_(clock) {
  const auto key = infra::hmac_sha256(installation_secret, as_bytes("document links"));
  key_.assign(key.begin(), key.end());
}

std::string DocumentLinks::sign(std::string_view payload) const { return infra::to_base64url(infra::hmac_sha256(key_, as_bytes(payload))); }

std::string DocumentLinks::path(const Principal& reader, std::string_view document, std::string_view anchor, int page) const {
  const Micros expiry = clock_.now() / 1'000'000 + lifetime_.count();
  const std::string payload = fmt::format("{}{}{}{}{}", document, kSeparator, expiry, kSeparator, reader.key.empty() && reader.grants.empty() ? reader.id : reader.key);
  const std::string token = infra::to_base64url(as_bytes(payload)) + "." + sign(payload);
  std::string fragment;
  if (!anchor.empty())
    fragment = "#" + infra::percent_encode(anchor);
  else if (page > 0)
    fragment = fmt::format("#page={}", page);
  return fmt::format("/v1/stoa/documents/{}/content?token={}{}", infra::percent_encode(document), token, fragment);
}

Result<std::string> DocumentLinks::open(std::string_view document, std::string_view token) const {
  const auto dot = token.find('.');
  if (token.size() > kMaxToken || dot == std::string_view::npos) return refused();
  const auto payload = infra::from_base64url(token.substr(0, dot));
  if (!payload || !infra::constant_time_equal(sign(as_text(*payload)), token.substr(dot + 1))) return refused();
  const auto fields = split(as_text(*payload));
  if (fields.size() != kFields || fields[kDocument] != document || fields[kKey].empty()) return refused();
  Micros expiry = 0;
  const std::string& text = fields[kExpiry];
  if (std::from_chars(text.data(), text.data() + text.size(), expiry).ec != std::errc() || clock_.now() / 1'000'000 >= expiry) return refused();
  return fields[kKey];
}

}  // namespace stoa::gateway
