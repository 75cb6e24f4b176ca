// Users whom an identity provider knows, as rows of this installation: made when they come the first time, recognised by issuer and subject
// from then on, and disabled here like any others.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contracts/principal.h"
#include "governance/audit/audit.h"
#include "governance/identity/oidc_provider.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

struct ExternalUser {
  std::string id;               // "user_..."
  std::string tenant, project;  // ids
  std::string name;             // as it was when the user was made: renaming at the issuer changes nothing here
};

// Thread-safe. `database`, `audit` and `clock` outlive it. The tables of Identity exist.
class ExternalUsers {
 public:
  static Result<std::unique_ptr<ExternalUsers>> open(infra::SqlDatabase& database, AuditLog& audit, const Clock& clock = Clock::system());

  // The user of this issuer and subject, with the groups that it has now. New ones and changed groups are written to the audit log.
  // kUnauthenticated: disabled. kPermissionDenied: unknown and may not be made, or the name is another's. kUnavailable: tenant or project do
  // not exist.
  Result<ExternalUser> ensure(const ExternalPrincipal& who);

  // Whether that user may still act.
  Result<bool> enabled(std::string_view user_id);
  // Who the user is for what acts later in their name: with role, scopes and project as their last token gave them. kUnauthenticated when
  // disabled, or unknown to every provider.
  Result<Principal> holder(std::string_view user_id);

 private:
  ExternalUsers(infra::SqlDatabase& database, AuditLog& audit, const Clock& clock) : database_(database), audit_(audit), clock_(clock) {}
  Result<ExternalUser> place(const ExternalPrincipal& who);  // tenant and project
  Status make(const ExternalPrincipal& who, ExternalUser& user);
  Status update(const ExternalPrincipal& who, const ExternalUser& user, std::string_view change);
  AuditEntry entry(const ExternalPrincipal& who, const ExternalUser& user, std::string_view action) const;

  infra::SqlDatabase& database_;
  AuditLog& audit_;
  const Clock& clock_;
};

}  // namespace stoa::governance
