// Whose rights are lent: a principal that is found again later, as it is then.
#pragma once

#include <string>

#include "base/result.h"
#include "contracts/principal.h"
#include "governance/identity/external_users.h"
#include "governance/identity/identity.h"

namespace stoa::governance {

// Thread-safe. `identity` and `users` outlive it.
class Lenders {
 public:
  Lenders(Identity& identity, ExternalUsers& users) : identity_(identity), users_(users) {}

  // Who that is now: of a key, its role, scopes and groups of this moment, refused when it is revoked; of a user who came through an identity
  // provider (no key), what the provider said the last time, refused when disabled. kUnauthenticated for anyone else.
  Result<Principal> now(const std::string& principal, const std::string& key) const { return key.empty() ? users_.holder(principal) : identity_.holder(key); }

  // Whether rights can be lent by this principal: not by a job, nor under break-glass access, nor by who works on the data folder itself.
  bool can_lend(const Principal& principal) const { return principal.grants.empty() && principal.elevation.empty() && now(principal.id, principal.key); }

 private:
  Identity& identity_;
  ExternalUsers& users_;
};

}  // namespace stoa::governance
