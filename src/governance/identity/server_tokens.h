// Tokens that this server signs itself, for the short-lived rights it lends: a signed id with an end. What the id gives is in the store, so
// that it can be taken back at once.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "governance/identity/jwt.h"
#include "infra/crypto/public_key.h"
#include "infra/crypto/signature.h"

namespace stoa::governance {

inline constexpr std::string_view kServerIssuer = "stoa";
inline constexpr std::string_view kDelegatedType = "stoa-delegated+jwt";  // delegated_tokens.h
inline constexpr std::string_view kElevationType = "stoa-elevation+jwt";  // elevations.h

// Immutable, so thread-safe.
class ServerTokens {
 public:
  // `seed`: ServerSecret::kTokenSigning.
  static Result<ServerTokens> from_seed(ByteSpan seed);

  // `claims` are for whoever reads the token; nobody believes them.
  std::string sign(std::string_view type, std::string_view id, Micros now, Micros expires, JsonObject claims = {}) const;
  // The id of a token of this type that was signed here and has not expired. kUnauthenticated.
  Result<std::string> open(const Jwt& jwt, std::string_view type, Micros now) const;

 private:
  ServerTokens(infra::SigningKey key, infra::VerificationKey check, std::string id) : key_(std::move(key)), check_(std::move(check)), key_id_(std::move(id)) {}
  infra::SigningKey key_;
  infra::VerificationKey check_;
  std::string key_id_;
};

}  // namespace stoa::governance
