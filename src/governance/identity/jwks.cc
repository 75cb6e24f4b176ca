#include "governance/identity/jwks.h"

#include <algorithm>

#include "infra/crypto/encoding.h"
#include "infra/http/url.h"

namespace stoa::governance {
namespace {

constexpr JsonLimits kJsonLimits{.max_bytes = 256 * 1024, .max_depth = 16};
constexpr std::size_t kMaxText = 2048;

std::string text_of(const JsonObject& object, std::string_view name) {
  const Json* value = object.if_contains(name);
  return value != nullptr && value->is_string() && value->get_string().size() <= kMaxText ? std::string(value->get_string()) : std::string();
}

Result<JsonObject> read_object(std::string_view json, std::string_view what) {
  auto value = parse_json(json, kJsonLimits);
  if (!value) return fail(std::move(value).error().in(what));
  if (!value->is_object()) return fail(ErrorCode::kInvalidArgument, "{}: not a JSON object", what);
  return std::move(value->get_object());
}

Result<infra::VerificationKey> read_key(const JsonObject& object) {
  const std::string kind = text_of(object, "kty"), curve = text_of(object, "crv");
  const auto number = [&](std::string_view name) { return infra::from_base64url(text_of(object, name)); };
  if (kind == "RSA") {
    STOA_TRY(n, number("n"));
    STOA_TRY(e, number("e"));
    return infra::VerificationKey::rsa(n, e);
  }
  if (kind == "EC" && (curve == "P-256" || curve == "P-384")) {
    STOA_TRY(x, number("x"));
    STOA_TRY(y, number("y"));
    return curve == "P-256" ? infra::VerificationKey::p256(x, y) : infra::VerificationKey::p384(x, y);
  }
  if (kind == "OKP" && curve == "Ed25519") {
    STOA_TRY(x, number("x"));
    return infra::VerificationKey::ed25519(x);
  }
  return fail(ErrorCode::kUnsupported, "a key of a kind that is not known here");
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

}  // namespace

Result<KeySet::Entry> KeySet::read(const JsonObject& object) {
  if (const std::string use = text_of(object, "use"); !use.empty() && use != "sig") return fail(ErrorCode::kUnsupported, "not for signatures");
  if (const Json* operations = object.if_contains("key_ops"); operations != nullptr) {
    const JsonArray* list = operations->if_array();
    if (list == nullptr || std::ranges::find(*list, Json("verify")) == list->end()) return fail(ErrorCode::kUnsupported, "not for checking signatures");
  }
  STOA_TRY(key, read_key(object));
  Entry entry{text_of(object, "kid"), {}, std::move(key)};
  if (const std::string algorithm = text_of(object, "alg"); !algorithm.empty()) {
    STOA_TRY(scheme, infra::parse_scheme(algorithm));
    entry.only = scheme;
  }
  return entry;
}

Result<KeySet> KeySet::parse(std::string_view json) {
  STOA_TRY(object, read_object(json, "the issuer's keys"));
  const Json* keys = object.if_contains("keys");
  if (keys == nullptr || !keys->is_array()) return fail(ErrorCode::kInvalidArgument, "the issuer's keys: there is no list 'keys'");
  if (keys->get_array().size() > kMaxKeys) return fail(ErrorCode::kInvalidArgument, "the issuer's keys: {} of them, and at most {} are read", keys->get_array().size(), kMaxKeys);
  KeySet set;
  for (const Json& item : keys->get_array()) {
    if (!item.is_object()) continue;
    if (auto entry = read(item.get_object())) set.keys_.push_back(std::move(*entry));
  }
  if (set.keys_.empty()) return fail(ErrorCode::kInvalidArgument, "the issuer's keys: none is of a kind that can be used (RSA from 2048 bits, P-256, P-384, Ed25519)");
  return set;
}

const KeySet::Entry* KeySet::find(const Jwt& jwt) const {
  const Entry* found = nullptr;
  for (const Entry& entry : keys_) {
    if (!entry.key.fits(jwt.scheme) || (entry.only && *entry.only != jwt.scheme)) continue;
    if (jwt.key_id.empty()) {
      if (found != nullptr) return nullptr;  // which one is meant would be a guess
      found = &entry;
    } else if (entry.id == jwt.key_id) {
      return &entry;
    }
  }
  return found;
}

bool KeySet::verify(const Jwt& jwt) const {
  const Entry* entry = find(jwt);
  return entry != nullptr && entry->key.verify(jwt.scheme, as_bytes(jwt.signed_text), jwt.signature);
}

Status check_issuer_url(std::string_view url) {
  const auto parsed = infra::parse_url(url);
  if (!parsed) return fail(ErrorCode::kInvalidArgument, "'{}' is no URL", url.substr(0, 200));
  if (!parsed->userinfo.empty()) return fail(ErrorCode::kInvalidArgument, "the URL of an issuer holds no user name");
  if (parsed->scheme == "https" || (parsed->scheme == "http" && is_loopback(parsed->host))) return {};
  return fail(ErrorCode::kInvalidArgument, "'{}' is neither https nor on this machine", url.substr(0, 200));
}

std::string discovery_url(std::string_view issuer) {
  while (issuer.ends_with('/')) issuer.remove_suffix(1);
  return fmt::format("{}/.well-known/openid-configuration", issuer);
}

Result<OidcEndpoints> parse_discovery(std::string_view json, std::string_view issuer) {
  STOA_TRY(object, read_object(json, "the issuer's description"));
  if (const std::string named = text_of(object, "issuer"); named != issuer)
    return fail(error(ErrorCode::kInvalidArgument, "the issuer's description is of '{}', not of '{}'", named.substr(0, 200), issuer)
                    .with_hint("write the issuer in the providers file exactly as it calls itself"));
  OidcEndpoints endpoints{text_of(object, "jwks_uri"), text_of(object, "authorization_endpoint"), text_of(object, "token_endpoint")};
  STOA_CHECK(check_issuer_url(endpoints.keys));
  for (const std::string* url : {&endpoints.authorization, &endpoints.token})
    if (!url->empty()) STOA_CHECK(check_issuer_url(*url));
  return endpoints;
}

}  // namespace stoa::governance
