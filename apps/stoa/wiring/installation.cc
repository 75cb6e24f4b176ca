#include "wiring/installation.h"

#include "infra/sql/sqlite/sqlite.h"
#include "wiring/defaults.h"

namespace stoa::wiring {

namespace {

Status open_policies(Installation& installation, const infra::Config& config) {
  STOA_TRY(roles, data_file("", "roles.policy"));
  STOA_TRY(file, governance::parse_policies(roles.text, roles.name));
  std::vector<governance::PolicyFile> files;
  files.push_back(std::move(file));
  installation.ledger = std::make_shared<std::atomic<governance::Ledger*>>(nullptr);
  governance::AccessOptions options;
  options.region = config.server.region;
  options.budget_left = [ledger = installation.ledger](const Principal& principal) -> std::optional<std::int64_t> {
    auto* const from = ledger->load();
    const auto budget = from == nullptr ? Result<governance::Budget>() : from->budget(principal.project);
    if (!budget || !budget->limit) return {};
    return *budget->limit - budget->spent - budget->reserved;
  };
  STOA_TRY(access, governance::Access::with_policies(std::move(files), std::move(options)));
  installation.access = std::move(access);
  STOA_TRY(decisions, governance::DecisionLog::open(*installation.database));
  installation.decisions = std::move(decisions);
  STOA_TRY(policies, governance::Policies::open({.database = *installation.database, .audit = *installation.audit, .access = *installation.access,
                                                 .base = {{roles.name, roles.text}}, .folder = governance::PolicyFolder(config.policies.folder),
                                                 .decisions = installation.decisions.get()}));
  installation.policies = std::move(policies);
  return {};
}

// The folder may come from a release that kept secrets in plain: all are asked for, so that none stays so.
Status open_secrets(Installation& installation, const infra::Config& config, std::unique_ptr<infra::KeyManagement> keys) {
  if (keys) {
    installation.master.keys = std::move(keys);
  } else {
    STOA_TRY(master, MasterKeyAccess::open(config, *installation.database, *installation.audit));
    installation.master = std::move(master);
  }
  installation.secrets = std::make_unique<governance::ServerSecrets>(installation.home, *installation.master.keys);
  for (const auto secret : governance::kServerSecrets) STOA_CHECK(installation.secrets->load(secret));
  return {};
}

}  // namespace

Result<Installation> Installation::open(const infra::Config& config, bool serves, std::unique_ptr<infra::KeyManagement> keys) {
  const std::filesystem::path home = config.home, witness = config.audit.witness;
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
  if (serves) {
    infra::WriteBehindOptions options;
    options.journal.sync_interval = milliseconds(config.audit.sync_milliseconds);
    STOA_TRY(opened, infra::WriteBehind::open(*installation.database, home / "journal", options));
    installation.behind = std::move(opened);
  }
  STOA_TRY(audit, governance::AuditLog::open(*installation.database, Clock::system(), installation.behind.get()));
  installation.audit = std::move(audit);
  STOA_CHECK(open_secrets(installation, config, std::move(keys)));
  STOA_TRY(seed, installation.secrets->load(governance::ServerSecret::kAuditSigning));
  STOA_TRY(key, infra::SigningKey::from_seed(seed.bytes()));
  STOA_TRY(checkpoints, governance::AuditCheckpoints::open(*installation.database, *installation.audit, key, witness));
  installation.checkpoints = std::move(checkpoints);
  STOA_CHECK(open_policies(installation, config));
  STOA_TRY(secret, installation.secret(governance::ServerSecret::kApiKeys));
  STOA_TRY(identity, governance::Identity::open(*installation.database, *installation.audit, *installation.access, std::move(secret), Clock::system(), installation.behind.get()));
  installation.identity = std::move(identity);
  STOA_TRY(own, installation.identity->ensure_default());
  STOA_TRY(strangers, governance::StrangerLog::open(*installation.database, *installation.audit, own.tenant.id, Clock::system(), installation.behind.get()));
  installation.strangers = std::move(strangers);
  return installation;
}

Result<Bytes> Installation::secret(governance::ServerSecret which) const {
  STOA_TRY(key, secrets->load(which));
  return Bytes(key.bytes().begin(), key.bytes().end());
}

}  // namespace stoa::wiring
