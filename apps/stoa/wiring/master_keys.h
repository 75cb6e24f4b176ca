// The key management that the configuration names.
#pragma once

#include <memory>

#include "base/result.h"
#include "governance/audit/audit.h"
#include "infra/config/config.h"
#include "infra/http/egress.h"
#include "infra/keys/keys.h"
#include "infra/sql/sql.h"

namespace stoa::wiring {

// Members are destroyed in reverse: nothing outlives what it refers to.
struct MasterKeyAccess {
  std::unique_ptr<infra::Egress> egress;  // to key management services alone; null where keys come from elsewhere
  std::unique_ptr<infra::KeyManagement> keys;

  // A key file is made only for a data folder in which nothing was wrapped yet. What is passed by reference outlives it.
  static Result<MasterKeyAccess> open(const infra::Config& config, infra::SqlDatabase& database, governance::AuditLog& audit);
};

}  // namespace stoa::wiring
