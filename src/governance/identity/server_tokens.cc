#include "governance/identity/server_tokens.h"

#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"

namespace stoa::governance {

Result<ServerTokens> ServerTokens::from_seed(ByteSpan seed) {
  STOA_TRY(key, infra::SigningKey::from_seed(seed));
  STOA_TRY(check, infra::VerificationKey::ed25519(key.public_key()));
  const auto digest = infra::sha256(ByteSpan(key.public_key()));
  return ServerTokens(key, check, infra::to_hex(ByteSpan(digest).first(8)));
}

std::string ServerTokens::sign(std::string_view type, std::string_view id, Micros now, Micros expires, JsonObject claims) const {
  claims["iss"] = kServerIssuer;
  claims["aud"] = kServerIssuer;
  claims["jti"] = id;
  claims["iat"] = now / 1'000'000;
  claims["exp"] = expires / 1'000'000;
  return sign_jwt(key_, key_id_, type, claims);
}

Result<std::string> ServerTokens::open(const Jwt& jwt, std::string_view type, Micros now) const {
  const JwtRules rules{.issuer = std::string(kServerIssuer), .audiences = {std::string(kServerIssuer)}, .schemes = {infra::SignatureScheme::kEdDsa}, .types = {std::string(type)}, .nonce = {}};
  STOA_CHECK(check_claims(jwt, rules, now));
  if (jwt.key_id != key_id_ || !check_.verify(jwt.scheme, as_bytes(jwt.signed_text), jwt.signature))
    return fail(ErrorCode::kUnauthenticated, "the token is not accepted: it was not signed by this server");
  return jwt.id;
}

}  // namespace stoa::governance
