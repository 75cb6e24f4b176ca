// JSON Web Tokens (RFC 7519) as signed compact texts (RFC 7515): read strictly, checked against keys and rules, and made. Only public-key
// signatures are known here: "none" and the HMACs do not parse, so that no key of anyone can be taken for a shared secret.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "infra/crypto/public_key.h"
#include "infra/crypto/signature.h"

namespace stoa::governance {

inline constexpr std::size_t kMaxJwt = 12 * 1024;          // bytes of a whole token
inline constexpr Micros kJwtClockSkew = 60'000'000;        // by which the clocks of signer and reader may differ

// A token as it was sent. Nothing in it is to be believed before verify and check_claims.
struct Jwt {
  infra::SignatureScheme scheme = infra::SignatureScheme::kEdDsa;
  std::string key_id;                    // "kid": opaque, only ever compared with the ids of known keys; may be empty
  std::string type;                      // "typ" in lower case without "application/"; empty when absent
  std::string issuer, subject, id;       // "iss", "sub", "jti"; empty when absent
  std::string client;                    // "client_id", else "azp"
  std::vector<std::string> audiences;
  std::optional<Micros> expires, not_before, issued;
  std::optional<std::string> nonce;
  JsonObject claims;                     // all of them
  std::string signed_text;               // what the signature is over
  Bytes signature;
};

// kUnauthenticated, in words that repeat nothing of the token. Refused besides what is malformed: tokens that bring their own key or its
// address (jwk, jku, x5u) and extensions that must be understood (crit).
Result<Jwt> parse_jwt(std::string_view token);
// Whether a text has the form of such a token, so that it is worth reading as one.
bool looks_like_jwt(std::string_view token);

struct JwtRules {
  std::string issuer;                    // equal to the last character
  std::vector<std::string> audiences;    // one of which the token must name
  std::vector<infra::SignatureScheme> schemes;             // accepted; empty: all that are known
  std::vector<std::string> types{"", "jwt", "at+jwt"};
  std::optional<std::string> nonce;      // of the login that asked for the token
};
// Algorithm, type, issuer, audience, nonce, and that `now` lies within its time: "exp" is required, "nbf" and "iat" count where they are.
Status check_claims(const Jwt& jwt, const JwtRules& rules, Micros now);

// A claim by name, or by names with dots for one inside another ("realm_access.roles"); nullptr when there is none.
const Json* find_claim(const Jwt& jwt, std::string_view path);
std::string text_claim(const Jwt& jwt, std::string_view path);                // empty when it is no text
std::vector<std::string> texts_claim(const Jwt& jwt, std::string_view path);  // a text, or an array of which the texts count

// A token of our own, signed with Ed25519.
std::string sign_jwt(const infra::SigningKey& key, std::string_view key_id, std::string_view type, const JsonObject& claims);

}  // namespace stoa::governance
