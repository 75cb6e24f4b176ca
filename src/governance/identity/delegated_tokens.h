// Tokens for jobs: minutes long, for named actions on named things and nothing else, in the name of someone whose rights they never exceed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contracts/call.h"
#include "governance/access/access.h"
#include "governance/audit/audit.h"
#include "governance/identity/lent_rights.h"
#include "governance/identity/server_tokens.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

struct NewDelegatedToken {
  std::string name;           // what it is for, 1..128 bytes
  std::vector<Grant> grants;  // 1..16
  Micros lifetime = Micros{15} * 60 * 1'000'000;  // at most kMaxLifetime
};
struct DelegatedToken {
  std::string id;             // "job_...": the principal that the token makes
  std::string holder, name;   // whose rights it uses
  std::vector<Grant> grants;
  Micros created = 0, expires = 0;
  std::optional<Micros> revoked;
};
struct IssuedDelegatedToken {
  DelegatedToken token;
  std::string secret;  // the token itself; shown once, stored nowhere
};

// Thread-safe. What is passed by reference outlives the object.
class DelegatedTokens {
 public:
  static constexpr Micros kMaxLifetime = Micros{60} * 60 * 1'000'000;

  static Result<std::unique_ptr<DelegatedTokens>> open(infra::SqlDatabase& database, AuditLog& audit, const Access& access, Lenders lenders, ServerTokens tokens,
                                                       const Clock& clock = Clock::system());

  // Each grant is something that the caller may do itself. kPermissionDenied otherwise, and for a caller who uses lent rights already.
  Result<IssuedDelegatedToken> issue(const Call& actor, const NewDelegatedToken& wanted);
  // Those of the caller that have not ended, newest first; at most 1000.
  Result<std::vector<DelegatedToken>> list(const Call& actor);
  // The caller's own. Works at once.
  Status revoke(const Call& actor, std::string_view id);

  // The job that the token speaks for: with the rights that its holder has now, limited to the grants.
  Result<Principal> authenticate(const Jwt& jwt);

 private:
  DelegatedTokens(infra::SqlDatabase& database, AuditLog& audit, const Access& access, Lenders lenders, ServerTokens tokens, const Clock& clock)
      : database_(database), audit_(audit), access_(access), lenders_(lenders), tokens_(std::move(tokens)), clock_(clock) {}
  Status allow(const Call& actor, const NewDelegatedToken& wanted);

  infra::SqlDatabase& database_;
  AuditLog& audit_;
  const Access& access_;
  Lenders lenders_;
  const ServerTokens tokens_;
  const Clock& clock_;
};

// "dataset.read dataset support@1": action, kind of thing, and its name (absent: what has no name of its own). kInvalidArgument.
Result<Grant> parse_grant(std::string_view text);
std::string grant_text(const Grant& grant);

}  // namespace stoa::governance
