// What lives in the data folder: the database with identity and audit log. Shared by the server and by the verbs that act on
// the folder itself.
#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "governance/access/access.h"
#include "governance/audit/checkpoints.h"
#include "governance/identity/identity.h"
#include "infra/sql/sql.h"

namespace stoa::wiring {

// Members are destroyed in reverse: nothing outlives what it refers to.
struct Installation {
  std::filesystem::path home;
  std::unique_ptr<infra::SqlDatabase> database;
  std::unique_ptr<governance::AuditLog> audit;
  std::unique_ptr<governance::AuditCheckpoints> checkpoints;
  std::unique_ptr<governance::Access> access;
  std::unique_ptr<governance::Identity> identity;

  // Creates the folder (mode 0700) and the database where absent, and the default tenant and project. The server and command-line
  // verbs may have the same folder open. `witness`: where checkpoints of the audit log are copied to; empty: nowhere.
  static Result<Installation> open(const std::filesystem::path& home, const std::filesystem::path& witness);
};

}  // namespace stoa::wiring
