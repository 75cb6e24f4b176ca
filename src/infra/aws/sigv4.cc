#include "infra/aws/sigv4.h"

#include <algorithm>
#include <cctype>
#include <map>

#include <fmt/format.h>

#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"
#include "infra/crypto/secret.h"
#include "infra/http/url.h"

namespace stoa::infra {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return std::string(text);
}

// AWS4 + secret, then date, region, service and a last word, each keyed by the one before.
Sha256Digest signing_key(const std::string& secret, std::string_view date, const SigningScope& scope) {
  std::string first = "AWS4" + secret;
  Sha256Digest key = hmac_sha256(as_bytes(first), as_bytes(date));
  wipe(std::as_writable_bytes(std::span(first)));
  for (const std::string_view part : {std::string_view(scope.region), std::string_view(scope.service), std::string_view("aws4_request")})
    key = hmac_sha256(key, as_bytes(part));
  return key;
}

}  // namespace

std::string sign_v4(const AwsCredentials& credentials, const SigningScope& scope, std::string_view method, std::string_view path, const HttpHeaders& headers,
                    std::string_view body) {
  std::map<std::string, std::string> sorted;
  for (const auto& [name, value] : headers.all()) sorted[lower(name)] = trimmed(value);
  std::string canonical_headers, signed_headers;
  for (const auto& [name, value] : sorted) {
    canonical_headers += name + ":" + value + "\n";
    signed_headers += (signed_headers.empty() ? "" : ";") + name;
  }
  const std::string canonical = fmt::format("{}\n{}\n\n{}\n{}\n{}", method, percent_encode(path, "/"), canonical_headers, signed_headers, sha256_hex(body));
  const std::string date = scope.time.substr(0, 8), place = fmt::format("{}/{}/{}/aws4_request", date, scope.region, scope.service);
  const std::string to_sign = fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", scope.time, place, sha256_hex(canonical));
  Sha256Digest key = signing_key(credentials.secret_key, date, scope);
  const std::string signature = to_hex(hmac_sha256(key, as_bytes(to_sign)));
  wipe(key);
  return fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}", credentials.access_key, place, signed_headers, signature);
}

Status sign_request(HttpClientRequest& request, const AwsCredentials& credentials, std::string_view region, std::string_view service, Micros now) {
  STOA_TRY(url, parse_url(request.url));
  if (!url.query.empty()) return fail(ErrorCode::kInvalidArgument, "{}: requests with a query are not signed", url.origin());
  std::string time;  // 2026-01-31T12:00:00.123456Z -> 20260131T120000Z
  for (const char c : to_rfc3339(now).substr(0, 19))
    if (c != '-' && c != ':') time += c;
  time += 'Z';
  request.headers.set("x-amz-date", time);
  if (!credentials.session_token.empty()) request.headers.set("x-amz-security-token", credentials.session_token);
  HttpHeaders all = request.headers;
  all.set("host", url.authority());  // the client adds the same
  request.headers.set("authorization", sign_v4(credentials, {std::string(region), std::string(service), time}, request.method, url.path.empty() ? "/" : url.path, all, request.body));
  return {};
}

}  // namespace stoa::infra
