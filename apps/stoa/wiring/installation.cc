#include "wiring/installation.h"

#include "infra/sql/sqlite/sqlite.h"
#include "wiring/defaults.h"

namespace stoa::wiring {

Result<Installation> Installation::open(const std::filesystem::path& home, const std::filesystem::path& witness) {
  std::error_code problem;
  const bool made = std::filesystem::create_directories(home, problem);
  if (problem)
    return fail(error(ErrorCode::kUnavailable, "cannot create the data folder {}: {}", home.string(), problem.message())
                    .with_hint("choose another one with --home or STOA_HOME"));
  if (made) std::filesystem::permissions(home, std::filesystem::perms::owner_all, problem);

  Installation installation;
  installation.home = home;
  STOA_TRY(database, infra::open_sqlite(home / "stoa.db"));
  installation.database = std::move(database);
  STOA_TRY(audit, governance::AuditLog::open(*installation.database));
  installation.audit = std::move(audit);
  STOA_TRY(seed, governance::load_audit_secret(home));
  STOA_TRY(key, infra::SigningKey::from_seed(seed));
  STOA_TRY(checkpoints, governance::AuditCheckpoints::open(*installation.database, *installation.audit, key, witness));
  installation.checkpoints = std::move(checkpoints);
  STOA_TRY(text, data_file("", "roles.policy"));
  STOA_TRY(roles, governance::parse_policies(text.text, text.name));
  std::vector<governance::PolicyFile> files;
  files.push_back(std::move(roles));
  STOA_TRY(access, governance::Access::with_policies(std::move(files)));
  installation.access = std::move(access);
  STOA_TRY(secret, governance::load_server_secret(home));
  STOA_TRY(identity, governance::Identity::open(*installation.database, *installation.audit, *installation.access, std::move(secret)));
  installation.identity = std::move(identity);
  STOA_CHECK(installation.identity->ensure_default());
  return installation;
}

}  // namespace stoa::wiring
