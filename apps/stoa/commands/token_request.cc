#include "commands/token_request.h"

#include <algorithm>
#include <chrono>

#include "base/json.h"
#include "commands/json_read.h"
#include "governance/identity/jwt.h"
#include "infra/crypto/encoding.h"
#include "infra/http/client.h"
#include "infra/http/url.h"

namespace stoa::cli {
namespace {

using namespace std::chrono_literals;
constexpr infra::HttpTimeouts kTimeouts{.connect = 5s, .first_byte = 10s, .idle = 10s, .total = 15s};
constexpr std::uint64_t kMaxBody = 256u << 10;
constexpr std::int64_t kMaxLife = 366 * 86'400;

Result<infra::HttpResponse> send(infra::HttpClientRequest request) {
  request.timeouts = kTimeouts;
  request.max_body = kMaxBody;
  infra::HttpClient http(infra::HttpClientOptions::from_environment());
  return http.send(request);
}

// Control characters of a stranger's text do not belong on a terminal.
std::string plain(std::string text) {
  text.resize(std::min<std::size_t>(text.size(), 300));
  std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return text;
}

}  // namespace

Result<std::string> fetch_document(const std::string& url) {
  STOA_CHECK(governance::check_issuer_url(url));
  STOA_TRY(response, send({.url = url}));
  if (response.status != 200) return fail(ErrorCode::kUnavailable, "{}: status {}", url, response.status);
  return std::move(response.body);
}

Result<governance::OidcEndpoints> discover(const std::string& issuer) {
  STOA_TRY(text, fetch_document(governance::discovery_url(issuer)));
  return governance::parse_discovery(text, issuer);
}

Result<Tokens> request_tokens(const std::string& endpoint, const std::string& client_id, const std::string& secret, std::vector<std::pair<std::string, std::string>> form) {
  STOA_CHECK(governance::check_issuer_url(endpoint));
  infra::HttpClientRequest request{.method = "POST", .url = endpoint};
  request.headers.set("Content-Type", "application/x-www-form-urlencoded");
  request.headers.set("Accept", "application/json");
  if (secret.empty())
    form.emplace_back("client_id", client_id);
  else  // RFC 6749, 2.3.1: both are form-encoded first
    request.headers.set("Authorization", "Basic " + infra::to_base64(as_bytes(infra::percent_encode(client_id) + ":" + infra::percent_encode(secret))));
  request.body = infra::format_query(form);
  STOA_TRY(response, send(std::move(request)));
  const auto json = parse_json(response.body);
  if (!json || !json->is_object()) return fail(ErrorCode::kUnavailable, "{}: status {}, and the reply is no JSON object", endpoint, response.status);
  const JsonObject& reply = json->get_object();
  if (response.status != 200) {
    const std::string what = plain(text_of(reply, "error")), why = plain(text_of(reply, "error_description"));
    return fail(ErrorCode::kUnauthenticated, "the issuer refuses to give a token: {}{}{}", what.empty() ? fmt::format("status {}", response.status) : what, why.empty() ? "" : ": ", why);
  }
  Tokens tokens{text_of(reply, "access_token"), text_of(reply, "id_token"), text_of(reply, "refresh_token"), 0};
  if (const std::int64_t life = integer_of(reply, "expires_in"); life > 0) tokens.expires = Clock::system().now() + std::min(life, kMaxLife) * 1'000'000;
  return tokens;
}

Status take_tokens(Session& session, const Tokens& tokens) {
  const std::string& token = session.use_access ? tokens.access : tokens.id;
  if (token.empty()) return fail(ErrorCode::kUnauthenticated, "the issuer gave no {} token", session.use_access ? "access" : "ID");
  const auto jwt = governance::parse_jwt(token);
  if (!jwt)
    return fail(error(ErrorCode::kUnauthenticated, "the issuer's {} token cannot be used: it is not a signed JSON Web Token", session.use_access ? "access" : "ID")
                    .with_hint("issuers give such access tokens for a resource (an API, an audience) that is set up for them; see docs/operating/identity.md"));
  session.token = token;
  session.expires = jwt->expires.value_or(tokens.expires);
  if (!tokens.refresh.empty()) session.refresh_token = tokens.refresh;  // issuers may keep the old one valid, or give a new one each time
  return {};
}

}  // namespace stoa::cli
