#include "governance/protection/sealer.h"

#include <array>

namespace stoa::governance {
namespace {

using infra::SecretKey;
using infra::SqlRow;

constexpr std::array kMigrations{infra::Migration{1, R"sql(
CREATE TABLE project_protection (
  project TEXT PRIMARY KEY, current INTEGER NOT NULL, state INTEGER NOT NULL, changed INTEGER NOT NULL, keep TEXT NOT NULL);
CREATE TABLE project_keys (
  project TEXT NOT NULL, version INTEGER NOT NULL, provider TEXT NOT NULL, master TEXT NOT NULL, wrapped BLOB NOT NULL,
  created INTEGER NOT NULL, retired INTEGER, PRIMARY KEY (project, version));
CREATE TABLE protection_state (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, scrub INTEGER NOT NULL);
INSERT INTO protection_state (id, epoch, scrub) VALUES (1, 0, 0);
)sql"}};

Error closed(const std::string& project, KeyState state) {
  if (state == KeyState::kDestroyed)
    return error(ErrorCode::kPermissionDenied, "the key of project {} was destroyed: its data cannot be read again", project)
        .with_hint("make a new project");
  return error(ErrorCode::kPermissionDenied, "the key of project {} is revoked: its data can be neither read nor written", project)
      .with_hint("an administrator can give it back with 'stoa kms restore'");
}

}  // namespace

std::string_view state_name(KeyState state) {
  switch (state) {
    case KeyState::kActive: return "active";
    case KeyState::kRevoked: return "revoked";
    case KeyState::kDestroyed: return "destroyed";
  }
  return "unknown";
}

std::string key_context(std::string_view project, std::uint32_t version) { return fmt::format("project {} key {}", project, version); }

Result<std::unique_ptr<Sealer>> Sealer::open(infra::SqlDatabase& sql, infra::KeyManagement& keys, SealerOptions options, const Clock& clock) {
  STOA_CHECK(sql.migrate("governance/protection", kMigrations));
  return std::unique_ptr<Sealer>(new Sealer(sql, keys, options, clock));
}

Result<bool> Sealer::has_keys(infra::SqlDatabase& sql) {
  STOA_CHECK(sql.migrate("governance/protection", kMigrations));
  STOA_TRY(row, sql.query_one("SELECT EXISTS (SELECT 1 FROM project_keys)"));
  return row->get<bool>(0);
}

Result<std::int64_t> Sealer::epoch() {
  STOA_TRY(row, sql_.query_one("SELECT epoch FROM protection_state"));
  if (!row) return fail(ErrorCode::kDataLoss, "the table protection_state is empty");
  return row->get<std::int64_t>(0);
}

Status Sealer::raise_epoch(infra::SqlTransaction& transaction) {
  STOA_CHECK(transaction.execute("UPDATE protection_state SET epoch = epoch + 1"));
  return {};
}

// Keys that another process has changed are forgotten.
Status Sealer::look() {
  {
    std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (epoch_ >= 0 && now - looked_ < options_.look) return {};
    looked_ = now;
  }
  STOA_TRY(now, epoch());
  std::lock_guard lock(mutex_);
  if (epoch_ == now) return {};
  epoch_ = now;
  ++generation_;
  entries_.clear();
  order_.clear();
  return {};
}

Result<ProjectKeys> Sealer::project(std::string_view project) {
  if (project.empty()) return fail(ErrorCode::kPermissionDenied, "without a project there is no key to read or write content with");
  STOA_CHECK(look());
  const auto known = [&]() -> std::optional<ProjectKeys> {
    const auto found = entries_.find(project);
    if (found == entries_.end() || found->second.until <= std::chrono::steady_clock::now()) return std::nullopt;
    order_.splice(order_.begin(), order_, found->second.used);
    return found->second.keys;
  };
  {
    std::lock_guard lock(mutex_);
    if (auto keys = known()) return *std::move(keys);
  }
  std::lock_guard loading(loading_);
  std::uint64_t generation = 0;
  {
    std::lock_guard lock(mutex_);
    if (auto keys = known()) return *std::move(keys);  // loaded while we waited
    if (unreachable_until_ > std::chrono::steady_clock::now()) return fail(unreachable_);
    generation = generation_;
  }
  auto keys = load(std::string(project));
  if (!keys) {
    if (keys.error().code != ErrorCode::kUnavailable) return keys;
    std::lock_guard lock(mutex_);
    unreachable_until_ = std::chrono::steady_clock::now() + options_.pause;
    unreachable_ = std::move(keys).error().with_retry_after(2);
    return fail(unreachable_);
  }
  remember(std::string(project), *keys, generation);
  return keys;
}

void Sealer::remember(const std::string& project, const ProjectKeys& keys, std::uint64_t generation) {
  std::lock_guard lock(mutex_);
  if (generation != generation_) return;
  if (const auto old = entries_.find(project); old != entries_.end()) {
    order_.erase(old->second.used);
    entries_.erase(old);
  }
  while (entries_.size() >= options_.max_projects) {
    entries_.erase(order_.back());
    order_.pop_back();
  }
  order_.push_front(project);
  entries_.emplace(project, Entry{keys, std::chrono::steady_clock::now() + options_.keep, order_.begin()});
}

Result<ProjectKeys> Sealer::load(const std::string& project) {
  STOA_TRY(first, sql_.query_one("SELECT current, state, keep FROM project_protection WHERE project = ?", {project}));
  auto row = std::move(first);
  if (!row) {
    STOA_CHECK(make(project));
    STOA_TRY(made, sql_.query_one("SELECT current, state, keep FROM project_protection WHERE project = ?", {project}));
    row = std::move(made);
    if (!row) return fail(ErrorCode::kInternal, "the key of project {} was not stored", project);
  }
  std::int64_t current = 0;
  int state = 0;
  std::string keep;
  STOA_CHECK(row->read(current, state, keep));
  if (static_cast<KeyState>(state) != KeyState::kActive) return fail(closed(project, static_cast<KeyState>(state)));
  STOA_TRY(rows, sql_.query("SELECT version, provider, master, wrapped FROM project_keys WHERE project = ? ORDER BY version", {project}));
  SecretKey lookup;
  bool has_lookup = false;
  ProjectKeys::Versions data;
  for (const auto& each : rows) {
    std::int64_t version = 0;
    infra::WrappedKey wrapped;
    STOA_CHECK(each.read(version, wrapped.provider, wrapped.master, wrapped.blob));
    STOA_TRY(key, keys_.unwrap(wrapped, key_context(project, static_cast<std::uint32_t>(version))));
    if (version == kLookupKey) {
      lookup = key;
      has_lookup = true;
    } else {
      data.emplace(static_cast<std::uint32_t>(version), key);
    }
  }
  if (!has_lookup || !data.contains(static_cast<std::uint32_t>(current)))
    return fail(ErrorCode::kDataLoss, "the table project_keys lacks keys of project {}", project);
  ContentKeep content = options_.content;
  if (!keep.empty()) {
    STOA_TRY(own, parse_keep(keep));
    content = own;
  }
  return ProjectKeys(project, lookup, data, static_cast<std::uint32_t>(current), content);
}

// Of two processes that make a project's first keys at once, one has its way and the other takes those.
Status Sealer::make(const std::string& project) {
  std::array<infra::WrappedKey, 2> wrapped;
  for (std::uint32_t version = 0; version < wrapped.size(); ++version) {
    STOA_TRY(key, SecretKey::random());
    STOA_TRY(blob, keys_.wrap(key, key_context(project, version)));
    wrapped[version] = std::move(blob);
  }
  return sql_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(made, transaction.execute("INSERT INTO project_protection (project, current, state, changed, keep) VALUES (?, 1, 0, ?, '') ON CONFLICT DO NOTHING",
                                       {project, clock_.now()}));
    if (made == 0) return {};
    for (std::uint32_t version = 0; version < wrapped.size(); ++version)
      STOA_CHECK(transaction.execute("INSERT INTO project_keys (project, version, provider, master, wrapped, created) VALUES (?, ?, ?, ?, ?, ?)",
                                     {project, std::int64_t{version}, wrapped[version].provider, wrapped[version].master, wrapped[version].blob, clock_.now()}));
    return {};
  });
}

Result<Bytes> Sealer::seal(std::string_view project, std::string_view context, ByteSpan plain) {
  STOA_TRY(keys, this->project(project));
  return keys.seal(context, plain);
}

Result<Bytes> Sealer::open(std::string_view project, std::string_view context, ByteSpan sealed) {
  STOA_TRY(keys, this->project(project));
  return keys.open(context, sealed);
}

void Sealer::forget(std::string_view project) {
  std::lock_guard lock(mutex_);
  ++generation_;
  if (const auto found = entries_.find(project); found != entries_.end()) {
    order_.erase(found->second.used);
    entries_.erase(found);
  }
}

void Sealer::forget_all() {
  std::lock_guard lock(mutex_);
  ++generation_;
  entries_.clear();
  order_.clear();
}

}  // namespace stoa::governance
