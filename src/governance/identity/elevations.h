// Break-glass access: someone who has the right to it takes the role "break_glass" for minutes, with a reason that is written down. It is
// loud: the audit log, an error line in the server's log, a metric and an event all say so, and every request under it carries its id.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "contracts/call.h"
#include "governance/access/access.h"
#include "governance/audit/audit.h"
#include "governance/identity/lent_rights.h"
#include "governance/identity/server_tokens.h"
#include "infra/bus/bus.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

// The role that it gives: policies say what it may (share/roles.policy).
inline constexpr std::string_view kBreakGlassRole = "break_glass";
// Topic of the events, whose payload is {"id", "principal", "user", "tenant", "project", "reason", "state": "begun" | "ended", "expires"}.
inline constexpr std::string_view kBreakGlassTopic = "breakglass.changed";

struct Elevation {
  std::string id;  // "glass_..."
  std::string project, holder, user, reason;
  Micros created = 0, expires = 0;
  std::optional<Micros> ended;
};
struct IssuedElevation {
  Elevation elevation;
  std::string secret;  // the token; shown once
};

// Thread-safe. What is passed by reference outlives the object.
class Elevations {
 public:
  static constexpr Micros kMaxLength = Micros{240} * 60 * 1'000'000;
  static constexpr std::size_t kMinReason = 10, kMaxReason = 1000;  // bytes

  static Result<std::unique_ptr<Elevations>> open(infra::SqlDatabase& database, AuditLog& audit, infra::EventBus& events, Metrics& metrics, const Access& access, Lenders lenders,
                                                  ServerTokens tokens, const Clock& clock = Clock::system());

  Result<IssuedElevation> begin(const Call& actor, std::string_view reason, Micros length);
  // Of the caller's tenant, for whoever may read its audit log, else the caller's own; newest first, at most 1000, ended ones included.
  Result<std::vector<Elevation>> list(const Call& actor);
  // The caller's own, or anyone's for who may manage users. Works at once.
  Status end(const Call& actor, std::string_view id);

  Result<Principal> authenticate(const Jwt& jwt);
  // Sets the gauge of those in force; for whoever reads metrics.
  void count();

 private:
  Elevations(infra::SqlDatabase& database, AuditLog& audit, infra::EventBus& events, Metrics& metrics, const Access& access, Lenders lenders, ServerTokens tokens, const Clock& clock)
      : database_(database), audit_(audit), events_(events), metrics_(metrics), access_(access), lenders_(lenders), tokens_(std::move(tokens)), clock_(clock) {}
  Status tell(infra::SqlTransaction& transaction, const Call& actor, const Elevation& elevation, std::string_view state);

  infra::SqlDatabase& database_;
  AuditLog& audit_;
  infra::EventBus& events_;
  Metrics& metrics_;
  const Access& access_;
  Lenders lenders_;
  const ServerTokens tokens_;
  const Clock& clock_;
};

}  // namespace stoa::governance
