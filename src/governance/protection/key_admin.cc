#include "governance/protection/key_admin.h"

#include <algorithm>

#include "base/log.h"

namespace stoa::governance {
namespace {

using infra::SqlRow;

constexpr Micros kHour = 3'600'000'000;  // longer than any piece of work holds keys
constexpr std::size_t kMaxKeys = 1'000'000;

Error no_key(const std::string& project) {
  return error(ErrorCode::kNotFound, "project '{}' has no key", project).with_hint("a key is made when the first content is stored");
}

Status check(const Permit& permit, Action action) {
  if (permit.action() == action) return {};
  return fail(ErrorCode::kInternal, "a permit for {} where one for {} is needed", action_name(permit.action()), action_name(action));
}

}  // namespace

void KeyAdmin::add_tables(std::vector<SealedTable> tables) {
  std::lock_guard lock(mutex_);
  std::ranges::move(tables, std::back_inserter(tables_));
}

void KeyAdmin::on_change(Listener listener) {
  std::lock_guard lock(mutex_);
  listeners_.push_back(std::move(listener));
}

void KeyAdmin::tell(const std::string& project, bool readable) {
  std::vector<Listener> listeners;
  {
    std::lock_guard lock(mutex_);
    readable_[project] = readable;
    listeners = listeners_;
  }
  for (const auto& listener : listeners) listener(project, readable);
}

Result<KeyState> KeyAdmin::state(infra::SqlSession& session, const std::string& project) {
  STOA_TRY(row, session.query_one("SELECT state FROM project_protection WHERE project = ?", {project}));
  if (!row) return fail(no_key(project));
  STOA_TRY(state, row->get<int>(0));
  return static_cast<KeyState>(state);
}

Result<infra::MasterKeyStatus> KeyAdmin::master(const Permit& permit) {
  STOA_CHECK(check(permit, Action::kKmsManage));
  return keys_.describe();
}

Result<ProjectKeyStatus> KeyAdmin::project(const Permit& permit) {
  STOA_CHECK(check(permit, Action::kProtectionManage));
  return status(permit.project());
}

Result<std::vector<ServerSecretStatus>> KeyAdmin::secrets(const Permit& permit) {
  STOA_CHECK(check(permit, Action::kKmsManage));
  if (secrets_ == nullptr) return std::vector<ServerSecretStatus>();
  return secrets_->status();
}

Result<ProjectKeyStatus> KeyAdmin::status(const std::string& project) {
  STOA_TRY(row, sql_.query_one("SELECT state, current, changed, keep FROM project_protection WHERE project = ?", {project}));
  if (!row) return fail(no_key(project));
  ProjectKeyStatus status{.project = project};
  int state = 0;
  STOA_CHECK(row->read(state, status.current, status.changed, status.keep));
  status.state = static_cast<KeyState>(state);
  STOA_TRY(rows, sql_.query("SELECT version, provider, master, created, retired FROM project_keys WHERE project = ? ORDER BY version", {project}));
  for (const auto& each : rows) {
    DataKeyStatus& key = status.versions.emplace_back();
    STOA_CHECK(each.read(key.version, key.provider, key.master, key.created, key.retired));
  }
  return status;
}

// The change, its audit entry and the sign for other processes, together.
Status KeyAdmin::change(const Call& call, std::string_view action, const std::string& project, const std::function<Status(infra::SqlTransaction&)>& work) {
  return sql_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(work(transaction));
    STOA_CHECK(Sealer::raise_epoch(transaction));
    return audit_.append(transaction, AuditEntry::of(call, action, project.empty() ? "master key" : "project " + project));
  });
}

Result<std::int64_t> KeyAdmin::rotate_master(const Call& call, const Permit& permit) {
  STOA_CHECK(check(permit, Action::kKmsManage));
  STOA_CHECK(keys_.rotate());
  STOA_CHECK(audit_.append(AuditEntry::of(call, "protection.master.rotate", "master key")));
  return rewrap(call, permit);
}

Result<std::int64_t> KeyAdmin::rewrap(const Call& call, const Permit& permit) {
  STOA_CHECK(check(permit, Action::kKmsManage));
  struct Row {
    std::string project;
    std::int64_t version = 0;
    infra::WrappedKey wrapped;
  };
  STOA_TRY(rows, sql_.query("SELECT project, version, provider, master, wrapped FROM project_keys ORDER BY project, version", {}, kMaxKeys));
  STOA_TRY(master, keys_.describe());
  std::int64_t count = 0;
  for (const auto& each : rows) {
    Row row;
    STOA_CHECK(each.read(row.project, row.version, row.wrapped.provider, row.wrapped.master, row.wrapped.blob));
    if (row.wrapped.provider == master.provider && !master.current.empty() && row.wrapped.master == master.current) continue;
    const std::string context = key_context(row.project, static_cast<std::uint32_t>(row.version));
    auto key = keys_.unwrap(row.wrapped, context);
    if (!key) return fail(std::move(key).error().in(fmt::format("{} keys were wrapped anew, then", count)));
    STOA_TRY(fresh, keys_.wrap(*key, context));
    STOA_TRY(changed, sql_.execute("UPDATE project_keys SET provider = ?, master = ?, wrapped = ? WHERE project = ? AND version = ? AND wrapped = ?",
                                   {fresh.provider, fresh.master, fresh.blob, row.project, row.version, row.wrapped.blob}));
    count += changed;
  }
  if (secrets_ != nullptr) {
    auto secrets = secrets_->rewrap(master);
    if (!secrets) return fail(std::move(secrets).error().in(fmt::format("{} keys of projects were wrapped anew, then", count)));
    count += *secrets;
  }
  STOA_CHECK(change(call, "protection.rewrap", "", [](infra::SqlTransaction&) { return Status{}; }));
  return count;
}

Status KeyAdmin::rotate(const Call& call, const Permit& permit) {
  STOA_CHECK(check(permit, Action::kProtectionManage));
  const std::string& project = permit.project();
  STOA_TRY(current, status(project));
  if (current.state != KeyState::kActive)
    return fail(ErrorCode::kConflict, "the key of project {} is {}: only an active key is rotated", project, state_name(current.state));
  const std::int64_t next = current.current + 1;
  STOA_TRY(key, infra::SecretKey::random());
  STOA_TRY(wrapped, keys_.wrap(key, key_context(project, static_cast<std::uint32_t>(next))));
  const Micros now = clock_.now();
  STOA_CHECK(change(call, "protection.rotate", project, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(changed, transaction.execute("UPDATE project_protection SET current = ?, changed = ? WHERE project = ? AND current = ? AND state = 0",
                                          {next, now, project, next - 1}));
    if (changed == 0) return fail(ErrorCode::kConflict, "the key of project {} was changed by somebody else just now", project);
    STOA_CHECK(transaction.execute("UPDATE project_keys SET retired = ? WHERE project = ? AND version > 0 AND retired IS NULL", {now, project}));
    STOA_CHECK(transaction.execute("INSERT INTO project_keys (project, version, provider, master, wrapped, created) VALUES (?, ?, ?, ?, ?, ?)",
                                   {project, next, wrapped.provider, wrapped.master, wrapped.blob, now}));
    return {};
  }));
  sealer_.forget(project);
  return {};
}

Status KeyAdmin::revoke(const Call& call, const Permit& permit, bool destroy) {
  STOA_CHECK(check(permit, Action::kProtectionManage));
  const std::string& project = permit.project();
  const KeyState wanted = destroy ? KeyState::kDestroyed : KeyState::kRevoked;
  STOA_CHECK(change(call, destroy ? "protection.destroy" : "protection.revoke", project, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(now, state(transaction, project));
    if (now == KeyState::kDestroyed) return fail(ErrorCode::kConflict, "the key of project {} was destroyed before", project);
    STOA_CHECK(transaction.execute("UPDATE project_protection SET state = ?, changed = ? WHERE project = ?",
                                   {std::int64_t{static_cast<int>(wanted)}, clock_.now(), project}));
    if (destroy) STOA_CHECK(transaction.execute("DELETE FROM project_keys WHERE project = ?", {project}));
    return {};
  }));
  sealer_.forget(project);
  tell(project, false);
  return destroy ? sql_.scrub() : Status{};
}

Status KeyAdmin::restore(const Call& call, const Permit& permit) {
  STOA_CHECK(check(permit, Action::kProtectionManage));
  const std::string& project = permit.project();
  STOA_CHECK(change(call, "protection.restore", project, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(now, state(transaction, project));
    if (now == KeyState::kDestroyed) return fail(ErrorCode::kConflict, "the key of project {} was destroyed: there is nothing to give back", project);
    if (now == KeyState::kActive) return fail(ErrorCode::kConflict, "the key of project {} is not revoked", project);
    STOA_CHECK(transaction.execute("UPDATE project_protection SET state = 0, changed = ? WHERE project = ?", {clock_.now(), project}));
    return {};
  }));
  sealer_.forget(project);
  tell(project, true);
  return {};
}

Status KeyAdmin::set_keep(const Call& call, const Permit& permit, std::optional<ContentKeep> keep) {
  STOA_CHECK(check(permit, Action::kProtectionManage));
  const std::string& project = permit.project();
  STOA_CHECK(sealer_.project(project));  // so that there is a row
  STOA_CHECK(change(call, fmt::format("protection.keep.{}", keep ? keep_name(*keep) : "default"), project, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("UPDATE project_protection SET keep = ? WHERE project = ?", {std::string(keep ? keep_name(*keep) : ""), project}));
    return {};
  }));
  sealer_.forget(project);
  return {};
}

// --- behind --------------------------------------------------------------------------------------------------------------

Status KeyAdmin::tell_changes() {
  STOA_TRY(now, sealer_.epoch());
  {
    std::lock_guard lock(mutex_);
    if (epoch_ == now) return {};
  }
  STOA_TRY(rows, sql_.query("SELECT project, state FROM project_protection", {}, kMaxKeys));
  for (const auto& row : rows) {
    std::string project;
    int state = 0;
    STOA_CHECK(row.read(project, state));
    const bool readable = static_cast<KeyState>(state) == KeyState::kActive;
    bool known = false;
    {
      std::lock_guard lock(mutex_);
      const auto told = readable_.try_emplace(project, epoch_ < 0 ? readable : true);  // at the start what is revoked was never loaded
      known = told.first->second == readable;
    }
    if (!known) {
      sealer_.forget(project);
      tell(project, readable);
    }
  }
  std::lock_guard lock(mutex_);
  epoch_ = now;
  return {};
}

Result<std::int64_t> KeyAdmin::reseal(SealedBlobs& blobs, const ProjectKeys& keys, const std::function<bool()>& stop) {
  std::vector<SealedTable> tables;
  {
    std::lock_guard lock(mutex_);
    tables = tables_;
  }
  std::int64_t found = 0;
  for (const auto& table : tables) {
    if (!table.name.empty()) {
      STOA_TRY(rows, reseal_rows(sql_, keys, table, stop));
      found += rows;
    }
    if (table.blobs.empty() || stop()) continue;
    std::vector<std::string> addresses;
    STOA_CHECK(sql_.for_each(table.blobs, {keys.project()}, [&](const SqlRow& row) -> Result<bool> {
      STOA_TRY(address, row.get<std::string>(0));
      addresses.push_back(std::move(address));
      return true;
    }));
    for (const auto& address : addresses) {
      if (stop()) break;
      STOA_TRY(changed, blobs.reseal(keys, address));
      found += changed ? 1 : 0;
    }
  }
  return found;
}

Status KeyAdmin::erase_replaced(const std::string& project) {
  STOA_TRY(erased, sql_.execute("DELETE FROM project_keys WHERE project = ? AND version > 0 AND retired IS NOT NULL AND retired < ?", {project, clock_.now() - kHour}));
  if (erased == 0) return {};
  log(LogLevel::kInfo, "erased data keys that nothing is sealed under any more", {{"project", project}, {"keys", erased}});
  return sql_.scrub();
}

Status KeyAdmin::run_pending(SealedBlobs& blobs, const std::function<bool()>& stop) {
  STOA_CHECK(tell_changes());
  STOA_TRY(rows, sql_.query("SELECT k.project, p.current, MIN(k.retired) FROM project_keys k JOIN project_protection p ON p.project = k.project "
                            "WHERE k.retired IS NOT NULL AND p.state = 0 GROUP BY k.project, p.current"));
  for (const auto& row : rows) {
    if (stop()) return {};
    std::string project;
    std::int64_t current = 0;
    Micros retired = 0;
    STOA_CHECK(row.read(project, current, retired));
    // Looked through once after the rotation, and once more before the old keys go.
    const bool due = retired < clock_.now() - kHour;
    if (!due && sealed_anew_[project] == current) continue;
    STOA_TRY(keys, sealer_.project(project));
    STOA_TRY(found, reseal(blobs, keys, stop));
    if (stop()) return {};
    if (found > 0) log(LogLevel::kInfo, "sealed anew under the project's newest key", {{"project", project}, {"items", found}});
    if (found == 0 && due) STOA_CHECK(erase_replaced(project));
    if (found == 0) sealed_anew_[project] = current;
  }
  return {};
}

Status KeyAdmin::scrub(SealedBlobs& blobs) {
  STOA_TRY(row, sql_.query_one("SELECT scrub FROM protection_state"));
  if (!row) return fail(ErrorCode::kDataLoss, "the table protection_state is empty");
  STOA_TRY(wanted, row->get<bool>(0));
  if (!wanted) return {};
  std::vector<std::string> plain;
  STOA_CHECK(blobs.store().for_each([&](const std::string& address, std::uint64_t) -> Result<bool> {
    STOA_TRY(sealed, blobs.is_sealed(address));
    if (!sealed) plain.push_back(address);
    return true;
  }));
  for (const auto& address : plain) STOA_CHECK(blobs.store().remove(address));
  STOA_CHECK(sql_.scrub());
  STOA_CHECK(sql_.execute("UPDATE protection_state SET scrub = 0"));
  log(LogLevel::kInfo, "nothing of the content is left in plain", {{"blobs_removed", static_cast<std::int64_t>(plain.size())}});
  return {};
}

}  // namespace stoa::governance
