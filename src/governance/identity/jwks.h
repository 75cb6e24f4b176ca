// The public keys of an issuer (JSON Web Key Set, RFC 7517) and the document that says where they are (OpenID Connect Discovery 1.0).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "governance/identity/jwt.h"
#include "infra/crypto/public_key.h"

namespace stoa::governance {

class KeySet {
 public:
  // At most kMaxKeys. Keys of kinds that are not known here, or not for signatures, are passed over (issuers publish such beside others);
  // kInvalidArgument when none is left or the text is no key set.
  static constexpr std::size_t kMaxKeys = 64;
  static Result<KeySet> parse(std::string_view json);

  // Whether a key that the token may be signed with is here: the one of its id, or without an id the only one that fits its algorithm.
  bool has(const Jwt& jwt) const { return find(jwt) != nullptr; }
  // Whether that key signed it.
  bool verify(const Jwt& jwt) const;
  std::size_t size() const { return keys_.size(); }

 private:
  struct Entry {
    std::string id;
    std::optional<infra::SignatureScheme> only;  // "alg"
    infra::VerificationKey key;
  };
  static Result<Entry> read(const JsonObject& object);
  const Entry* find(const Jwt& jwt) const;

  std::vector<Entry> keys_;
};

struct OidcEndpoints {
  std::string keys, authorization, token;  // the last two may be empty
};
// The document at discovery_url(issuer): its issuer must be `issuer` to the letter, and its addresses https, or http on this machine.
Result<OidcEndpoints> parse_discovery(std::string_view json, std::string_view issuer);
std::string discovery_url(std::string_view issuer);
// kInvalidArgument for anything but https, or http on this machine: keys that come over an open line prove nothing.
Status check_issuer_url(std::string_view url);

}  // namespace stoa::governance
