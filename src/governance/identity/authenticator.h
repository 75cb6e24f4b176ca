// Whatever a request shows to say who sends it, into the principal: API keys, tokens of identity providers, tokens that this server lent,
// certificates of nodes.
#pragma once

#include <string_view>

#include "base/result.h"
#include "contracts/principal.h"
#include "governance/identity/delegated_tokens.h"
#include "governance/identity/elevations.h"
#include "governance/identity/identity.h"
#include "governance/identity/nodes.h"
#include "governance/identity/oidc.h"

namespace stoa::governance {

struct Credentials {
  std::string_view bearer;                              // of the Authorization header; may be empty
  const infra::PeerCertificate* certificate = nullptr;  // that the connection was opened with, verified
};

// Thread-safe. What it refers to outlives it; what is null is not accepted here.
class Authenticator {
 public:
  explicit Authenticator(Identity& identity, OidcUsers* oidc = nullptr, DelegatedTokens* delegated = nullptr, Elevations* elevations = nullptr, Nodes* nodes = nullptr)
      : identity_(identity), oidc_(oidc), delegated_(delegated), elevations_(elevations), nodes_(nodes) {}

  // A bearer text decides where there is one: a node may pass on a request of a person. kUnauthenticated, or as the parts say.
  Result<Principal> authenticate(const Credentials& credentials) const;

 private:
  Result<Principal> token(std::string_view text) const;

  Identity& identity_;
  OidcUsers* const oidc_;
  DelegatedTokens* const delegated_;
  Elevations* const elevations_;
  Nodes* const nodes_;
};

}  // namespace stoa::governance
