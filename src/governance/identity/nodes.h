// Machines that belong to the installation, and are managed by its local operator alone: known by the certificate that they show (mTLS), which the listener has verified.
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
#include "infra/http/message.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

// The role of nodes: policies say what it may (share/roles.policy).
inline constexpr std::string_view kNodeRole = "node";

struct NewNode {
  std::string name;         // unique; letters, digits and ._@+-
  std::string fingerprint;  // SHA-256 of the certificate (hexadecimal, colons allowed); or empty
  std::string identity;     // a subject alternative name, "node-a.internal" or "spiffe://house/node/a", whose certificate may change; or empty
};
struct Node {
  std::string id;           // "node_..."
  std::string name, fingerprint, identity;
  Micros created = 0;
  std::optional<Micros> revoked;
};

// Thread-safe. What is passed by reference outlives the object.
class Nodes {
 public:
  static Result<std::unique_ptr<Nodes>> open(infra::SqlDatabase& database, AuditLog& audit, const Access& access, const Clock& clock = Clock::system());

  // Needs exactly one of fingerprint and identity. kConflict when the name is taken, or a node that is not revoked shows the same.
  Result<Node> add(const Call& actor, const NewNode& wanted);
  Result<std::vector<Node>> list(const Call& actor);                  // by name
  Status revoke(const Call& actor, std::string_view name_or_id);      // works at once; again changes nothing

  // The node that shows this certificate. kUnauthenticated when none does.
  Result<Principal> authenticate(const infra::PeerCertificate& certificate);

 private:
  Nodes(infra::SqlDatabase& database, AuditLog& audit, const Access& access, const Clock& clock) : database_(database), audit_(audit), access_(access), clock_(clock) {}
  Status allow(const Call& actor, std::string_view change, const std::string& name);

  infra::SqlDatabase& database_;
  AuditLog& audit_;
  const Access& access_;
  const Clock& clock_;
};

}  // namespace stoa::governance
