#include "governance/identity/jwt.h"

#include <algorithm>
#include <cmath>

#include "infra/crypto/encoding.h"

namespace stoa::governance {
namespace {

constexpr JsonLimits kJsonLimits{.max_bytes = kMaxJwt, .max_depth = 16};
constexpr std::size_t kMaxAudiences = 64, kMaxText = 1024;
constexpr double kMaxSeconds = 1e11;  // the year 5138: more is a mistake, or milliseconds

std::unexpected<Error> refused(std::string_view why) {
  return fail(error(ErrorCode::kUnauthenticated, "the token is not accepted: {}", why).with_hint("sign in again with `stoa login`, or ask the issuer for a new token"));
}

Result<JsonObject> read_part(std::string_view part, std::string_view what) {
  const auto bytes = infra::from_base64url(part);
  if (!bytes) return refused(fmt::format("its {} is not base64url", what));
  auto json = parse_json(as_text(*bytes), kJsonLimits);
  if (!json || !json->is_object()) return refused(fmt::format("its {} is no JSON object", what));
  return std::move(json->get_object());
}

// Absent is empty; another type, or too long a text, is an error.
Result<std::optional<std::string>> text_of(const JsonObject& object, std::string_view name) {
  const Json* value = object.if_contains(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string() || value->get_string().size() > kMaxText) return refused(fmt::format("its '{}' is no text of a reasonable length", name));
  return std::string(value->get_string());
}

Status read_time(const JsonObject& claims, std::string_view name, std::optional<Micros>& out) {
  const Json* value = claims.if_contains(name);
  if (value == nullptr) return {};
  const double seconds = value->is_double() ? value->get_double() : value->is_int64() ? static_cast<double>(value->get_int64()) : -1;
  if (!(seconds >= 0 && seconds <= kMaxSeconds)) return refused(fmt::format("its '{}' is no time", name));
  out = static_cast<Micros>(std::floor(seconds * 1e6));
  return {};
}

Status read_audiences(Jwt& jwt) {
  const Json* value = jwt.claims.if_contains("aud");
  if (value == nullptr) return {};
  if (value->is_string()) {
    jwt.audiences.emplace_back(value->get_string());
    return {};
  }
  if (!value->is_array() || value->get_array().size() > kMaxAudiences) return refused("its audience is neither a text nor a short list");
  for (const Json& item : value->get_array()) {
    if (!item.is_string()) return refused("its audience is not a list of texts");
    jwt.audiences.emplace_back(item.get_string());
  }
  return {};
}

Status read_header(std::string_view part, Jwt& jwt) {
  STOA_TRY(header, read_part(part, "header"));
  for (const std::string_view name : {"crit", "jwk", "jku", "x5u", "b64", "zip", "enc"})
    if (header.contains(name)) return refused(fmt::format("'{}' in its header is not supported", name));
  STOA_TRY(algorithm, text_of(header, "alg"));
  const auto scheme = infra::parse_scheme(algorithm.value_or(""));
  if (!scheme) return refused(scheme.error().message);
  jwt.scheme = *scheme;
  STOA_TRY(key_id, text_of(header, "kid"));
  jwt.key_id = key_id.value_or("");
  STOA_TRY(type, text_of(header, "typ"));
  jwt.type = type.value_or("");
  std::ranges::transform(jwt.type, jwt.type.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (jwt.type.starts_with("application/")) jwt.type.erase(0, std::string_view("application/").size());
  return {};
}

Status read_claims(std::string_view part, Jwt& jwt) {
  STOA_TRY(claims, read_part(part, "body"));
  jwt.claims = std::move(claims);
  for (const auto& [name, into] : {std::pair{"iss", &jwt.issuer}, {"sub", &jwt.subject}, {"jti", &jwt.id}, {"azp", &jwt.client}, {"client_id", &jwt.client}}) {
    STOA_TRY(text, text_of(jwt.claims, name));
    if (text) *into = *text;
  }
  STOA_TRY(nonce, text_of(jwt.claims, "nonce"));
  jwt.nonce = std::move(nonce);
  STOA_CHECK(read_audiences(jwt));
  STOA_CHECK(read_time(jwt.claims, "exp", jwt.expires));
  STOA_CHECK(read_time(jwt.claims, "nbf", jwt.not_before));
  return read_time(jwt.claims, "iat", jwt.issued);
}

}  // namespace

bool looks_like_jwt(std::string_view token) { return token.starts_with("eyJ") && std::ranges::count(token, '.') == 2; }

Result<Jwt> parse_jwt(std::string_view token) {
  if (token.size() > kMaxJwt) return refused("it is too long");
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) return refused("it does not have three parts");
  Jwt jwt;
  STOA_CHECK(read_header(token.substr(0, first), jwt));
  STOA_CHECK(read_claims(token.substr(first + 1, second - first - 1), jwt));
  jwt.signed_text = token.substr(0, second);
  auto signature = infra::from_base64url(token.substr(second + 1));
  if (!signature || signature->empty()) return refused("its signature is not base64url");
  jwt.signature = std::move(*signature);
  return jwt;
}

Status check_claims(const Jwt& jwt, const JwtRules& rules, Micros now) {
  if (!rules.schemes.empty() && std::ranges::find(rules.schemes, jwt.scheme) == rules.schemes.end())
    return refused(fmt::format("signatures with {} are not accepted from this issuer", infra::scheme_name(jwt.scheme)));
  if (std::ranges::find(rules.types, jwt.type) == rules.types.end()) return refused("it is a token of another type");
  if (rules.issuer.empty() || jwt.issuer != rules.issuer) return refused("it comes from another issuer");
  if (std::ranges::find_first_of(rules.audiences, jwt.audiences) == rules.audiences.end()) return refused("it is meant for another audience");
  if (rules.nonce && (!jwt.nonce || *jwt.nonce != *rules.nonce)) return refused("it belongs to another sign-in");
  if (!jwt.expires) return refused("it has no end");
  if (now >= *jwt.expires + kJwtClockSkew) return refused("it has expired");
  if (jwt.not_before && now < *jwt.not_before - kJwtClockSkew) return refused("its time has not begun");
  if (jwt.issued && now < *jwt.issued - kJwtClockSkew) return refused("it was made in the future: the clocks of issuer and server differ");
  return {};
}

const Json* find_claim(const Jwt& jwt, std::string_view path) {
  if (const Json* whole = jwt.claims.if_contains(path); whole != nullptr) return whole;  // names may be URLs, which have dots
  const JsonObject* object = &jwt.claims;
  while (true) {
    const std::size_t dot = path.find('.');
    const Json* value = object->if_contains(path.substr(0, dot));
    if (value == nullptr || dot == std::string_view::npos) return value;
    object = value->if_object();
    if (object == nullptr) return nullptr;
    path.remove_prefix(dot + 1);
  }
}

std::string text_claim(const Jwt& jwt, std::string_view path) {
  const Json* value = find_claim(jwt, path);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::vector<std::string> texts_claim(const Jwt& jwt, std::string_view path) {
  std::vector<std::string> texts;
  const Json* value = find_claim(jwt, path);
  if (value == nullptr) return texts;
  if (value->is_string()) texts.emplace_back(value->get_string());
  if (const JsonArray* items = value->if_array(); items != nullptr)
    for (const Json& item : *items)
      if (item.is_string()) texts.emplace_back(item.get_string());
  return texts;
}

std::string sign_jwt(const infra::SigningKey& key, std::string_view key_id, std::string_view type, const JsonObject& claims) {
  const JsonObject header{{"alg", "EdDSA"}, {"typ", type}, {"kid", key_id}};
  std::string text = infra::to_base64url(as_bytes(dump_json(header))) + "." + infra::to_base64url(as_bytes(dump_json(claims)));
  text += "." + infra::to_base64url(key.sign(as_bytes(text)));
  return text;
}

}  // namespace stoa::governance
