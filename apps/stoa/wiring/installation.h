// What lives in the data folder: the database with identity and audit log, and the secrets that the master key opens. Shared by the server and by the verbs that act on
// the folder itself.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/result.h"
#include "governance/access/access.h"
#include "governance/audit/checkpoints.h"
#include "governance/audit/strangers.h"
#include "governance/cost/ledger.h"
#include "governance/identity/identity.h"
#include "governance/policies/policies.h"
#include "governance/protection/server_secrets.h"
#include "infra/config/config.h"
#include "infra/journal/write_behind.h"
#include "infra/sql/sql.h"
#include "wiring/master_keys.h"

namespace stoa::wiring {

// Members are destroyed in reverse: nothing outlives what it refers to.
struct Installation {
  std::filesystem::path home;
  std::unique_ptr<infra::SqlDatabase> database;
  std::unique_ptr<infra::WriteBehind> behind;  // the server's alone
  std::unique_ptr<governance::AuditLog> audit;
  MasterKeyAccess master;
  std::unique_ptr<governance::ServerSecrets> secrets;
  std::unique_ptr<governance::AuditCheckpoints> checkpoints;
  std::shared_ptr<std::atomic<governance::Ledger*>> ledger;  // null in it: policies do not learn what the budget holds
  std::unique_ptr<governance::Access> access;
  std::unique_ptr<governance::DecisionLog> decisions;
  std::unique_ptr<governance::Policies> policies;
  std::unique_ptr<governance::Identity> identity;
  std::unique_ptr<governance::StrangerLog> strangers;

  // Creates the folder (mode 0700) and the database where absent, and the default tenant and project. The server and command-line
  // verbs may have the same folder open. Of the configuration: home, audit, policies, kms, egress, server.region. `serves`: for the one process that
  // serves; it starts the carrying over (`behind`) once all takers are there, and stops it before they end. `keys`: in place of those of the
  // configuration, for folders that end with the process.
  static Result<Installation> open(const infra::Config& config, bool serves = false, std::unique_ptr<infra::KeyManagement> keys = nullptr);

  // One of the secrets, as the bytes that keyed hashes take.
  Result<Bytes> secret(governance::ServerSecret which) const;
};

}  // namespace stoa::wiring
