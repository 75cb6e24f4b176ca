#include "gateway/providers/access_tokens.h"

#include <algorithm>
#include <optional>

#include "gateway/providers/codec.h"
#include "infra/crypto/encoding.h"
#include "infra/crypto/private_key.h"
#include "infra/http/url.h"

namespace stoa::gateway {
namespace {

constexpr std::string_view kScope = "https://www.googleapis.com/auth/cloud-platform", kGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
constexpr Micros kSecond = 1'000'000;
constexpr std::int64_t kLifetime = 3600;   // of the JWT, and at most that of a token, in seconds
constexpr Micros kRenew = 300 * kSecond;   // before its end another is asked for, if nobody does so already
constexpr Micros kPause = 30 * kSecond;    // after a try that failed
constexpr Micros kUseless = 30 * kSecond;  // before its end it is no longer sent
constexpr milliseconds kPatience{20'000};
constexpr std::uint64_t kMaxReply = 64u << 10;

Result<std::string> assertion_of(const ServiceAccount& account, Micros now) {
  JsonObject head{{"alg", "RS256"}, {"typ", "JWT"}};
  if (!account.key_id.empty()) head["kid"] = account.key_id;
  const std::int64_t issued = now / kSecond;
  const JsonObject claims{{"iss", account.email}, {"scope", kScope}, {"aud", account.token_url}, {"iat", issued}, {"exp", issued + kLifetime}};
  const std::string text = infra::to_base64url(as_bytes(dump_json(head))) + "." + infra::to_base64url(as_bytes(dump_json(claims)));
  STOA_TRY(signature, infra::sign_rs256(account.private_key, as_bytes(text)));
  return text + "." + infra::to_base64url(signature);
}

}  // namespace

Result<ServiceAccount> parse_service_account(std::string_view json) {
  const auto parsed = parse_json(json, {.max_bytes = 64u << 10});
  const auto wrong = [](std::string_view what) { return fail(error(ErrorCode::kInvalidArgument, "the service account {}", what).with_hint("take the JSON file of its key as Google gave it")); };
  if (!parsed || !parsed->is_object()) return wrong("is no JSON object");
  const JsonObject& object = parsed->get_object();
  ServiceAccount account{std::string(upstream_text(object, "client_email")), std::string(upstream_text(object, "private_key_id")),
                         std::string(upstream_text(object, "private_key")), std::string(upstream_text(object, "token_uri"))};
  if (account.email.empty()) return wrong("has no client_email");
  if (account.private_key.empty()) return wrong("has no private_key");
  const auto url = infra::parse_url(account.token_url);
  if (!url || (url->scheme != "https" && url->scheme != "http") || url->host.empty()) return wrong("has no token_uri");
  if (const auto tried = infra::sign_rs256(account.private_key, {}); !tried) return wrong("has a private_key that cannot be used");
  return account;
}

struct AccessTokens::Kept {
  struct Token {
    std::string text;
    Micros end = 0;
  };
  std::mutex mutex;       // of what follows, held for moments
  Token token;
  std::uint64_t tries = 0;
  std::optional<Error> failed;  // how the last try went
  Micros pause = 0;             // until then nobody tries, as long as there is a token that works

  std::mutex exchange;  // held while asking

  Result<Token> ask(const ServiceAccount& account, infra::HttpSender& sender, const infra::HttpClientRequest& like, Micros now) {
    STOA_TRY(assertion, assertion_of(account, now));
    infra::HttpClientRequest request{.method = "POST", .url = account.token_url, .body = infra::format_query({{"grant_type", std::string(kGrant)}, {"assertion", assertion}})};
    request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}, {"Accept", "application/json"}};
    request.timeouts = like.timeouts;
    request.timeouts.total = std::min(request.timeouts.total, kPatience);
    request.cancel = like.cancel;
    request.max_body = kMaxReply;
    STOA_TRY(reply, sender.send(request));
    const auto json = parse_json(reply.body);
    const JsonObject none;
    const JsonObject& object = json && json->is_object() ? json->get_object() : none;
    const std::string_view text = upstream_text(object, "access_token");
    if (reply.status != 200) {
      const std::string_view why = upstream_text(object, "error_description").empty() ? upstream_text(object, "error") : upstream_text(object, "error_description");
      return fail(error(ErrorCode::kUnavailable, "{} answered {}: {}", account.token_url, reply.status, why.substr(0, 200))
                      .with_hint(reply.status < 500 ? "the key of the service account may be revoked: set a new one with 'stoa providers set-key'" : ""));
    }
    if (text.empty() || text.size() > 16u << 10 || !std::ranges::all_of(text, [](unsigned char c) { return c > ' ' && c < 0x7f; }))
      return fail(ErrorCode::kUnavailable, "{} answered without a token", account.token_url);
    const std::int64_t lifetime = std::clamp<std::int64_t>(upstream_count(object, "expires_in").value_or(0), 0, kLifetime);
    return Token{std::string(text), now + lifetime * kSecond};
  }
};

std::shared_ptr<AccessTokens::Kept> AccessTokens::kept(const std::string& account) {
  const auto digest = infra::sha256(account);
  std::lock_guard lock(mutex_);
  if (accounts_.size() >= kMaxAccounts && !accounts_.contains(digest)) accounts_.clear();
  auto& place = accounts_[digest];
  if (place == nullptr) place = std::make_shared<Kept>();
  return place;
}

Result<std::string> AccessTokens::get(const std::string& account, infra::HttpSender& sender, const infra::HttpClientRequest& request) {
  const std::shared_ptr<Kept> place = kept(account);
  Micros left = 0;
  std::uint64_t tries = 0;
  {
    std::lock_guard lock(place->mutex);
    left = place->token.end - clock_.now();
    tries = place->tries;
    if (left > kRenew || (left > kUseless && clock_.now() < place->pause)) return place->token.text;
  }
  const bool usable = left > kUseless;
  std::unique_lock asking(place->exchange, std::defer_lock);
  if (usable ? !asking.try_lock() : (asking.lock(), false)) {
    std::lock_guard lock(place->mutex);
    return place->token.text;  // another thread asks already
  }
  {
    std::lock_guard lock(place->mutex);
    if (place->token.end - clock_.now() > kRenew) return place->token.text;
    if (place->tries != tries && place->failed && !usable) return fail(*place->failed);  // the exchange that this one waited for
  }
  auto parsed = parse_service_account(account);
  if (!parsed) parsed.error().code = ErrorCode::kUnavailable;
  auto fresh = parsed ? place->ask(*parsed, sender, request, clock_.now()) : Result<Kept::Token>(std::unexpected(parsed.error()));
  std::lock_guard lock(place->mutex);
  ++place->tries;
  place->failed = fresh ? std::nullopt : std::optional(fresh.error());
  place->pause = clock_.now() + kPause;
  if (fresh) place->token = std::move(*fresh);
  if (!fresh && !usable) return fail(*place->failed);
  return place->token.text;
}

}  // namespace stoa::gateway
