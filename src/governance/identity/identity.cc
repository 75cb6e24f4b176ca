#include "governance/identity/identity.h"

#include <algorithm>

#include "base/id.h"
#include "base/log.h"
#include "contracts/access_list.h"
#include "governance/access/access.h"
#include "governance/identity/key_cache.h"
#include "governance/identity/rows.h"
#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"
#include "infra/crypto/random.h"
#include "infra/journal/packing.h"
#include "infra/journal/write_behind.h"

namespace stoa::governance {
namespace {

constexpr std::string_view kKeyStart = "sk-stoa-";
constexpr std::size_t kPrefixBytes = 8, kSecretBytes = 32;
constexpr std::size_t kKeySize = kKeyStart.size() + 2 * kPrefixBytes + 1 + 2 * kSecretBytes;
constexpr std::size_t kMaxLabel = 128, kMaxGroups = 256;
constexpr Micros kMinute = 60'000'000;
constexpr std::uint8_t kJournalKind = 5;  // in the journal; stored there: must not change
constexpr std::string_view kDefault = "default";
constexpr std::string_view kTenantCreate = "identity.tenant.create";

Status check_name(std::string_view kind, std::string_view name) {
  const auto list = AccessList::parse("user:" + std::string(name));
  if (list && list->users == std::vector{std::string(name)}) return {};
  return fail(ErrorCode::kInvalidArgument, "'{}' cannot name a {}: 1 to 128 letters, digits and ._@+- are allowed", name.substr(0, 150), kind);
}

Result<std::vector<std::string>> check_groups(std::vector<std::string> groups) {
  std::ranges::sort(groups);
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  if (groups.size() > kMaxGroups) return fail(ErrorCode::kInvalidArgument, "{} groups, and a user has at most {}", groups.size(), kMaxGroups);
  for (const auto& group : groups) STOA_CHECK(check_name("group", group));
  return groups;
}

// All rows of a query, each made into what `read` gives.
template <class Read>
auto read_all(infra::SqlSession& session, const std::string& sql, const infra::SqlParams& params, Read read)
    -> Result<std::vector<typename std::invoke_result_t<Read, const infra::SqlRow&>::value_type>> {
  STOA_TRY(rows, session.query(sql, params));
  std::vector<typename std::invoke_result_t<Read, const infra::SqlRow&>::value_type> all;
  for (const auto& row : rows) {
    STOA_TRY(one, read(row));
    all.push_back(std::move(one));
  }
  return all;
}

// What a violated uniqueness means to people.
Status taken(Result<std::int64_t> inserted, std::string_view kind, std::string_view name) {
  if (inserted) return {};
  if (inserted.error().code == ErrorCode::kConflict) return fail(ErrorCode::kConflict, "the {} '{}' exists already", kind, name);
  return fail(std::move(inserted.error()));
}

// Keys and the minutes in which they were used.
Status store_uses(infra::SqlTransaction& transaction, std::span<const ByteSpan> records) {
  for (const ByteSpan record : records) {
    std::string key;
    Micros minute = 0;
    STOA_CHECK(infra::Unpacker(record).take(key).take(minute).finish("use of a key"));
    STOA_CHECK(transaction.execute("UPDATE api_keys SET last_used = ? WHERE id = ? AND COALESCE(last_used, 0) < ?", {minute, key, minute}));
  }
  return {};
}

class SqlIdentity final : public Identity {
 public:
  SqlIdentity(infra::SqlDatabase& database, AuditLog& audit, const Access& access, Bytes secret, const Clock& clock, infra::WriteBehind* behind,
              std::unique_ptr<KeyCache> cache)
      : database_(database), audit_(audit), access_(access), secret_(std::move(secret)), clock_(clock), behind_(behind), cache_(std::move(cache)) {}

  Result<Principal> authenticate(std::string_view key) override;
  Status remember_keys() override;
  Result<Principal> holder(std::string_view key_id) override;
  Result<Place> ensure_default() override;
  Result<Place> place(const Call& actor) override;
  Result<Principal> local_operator(std::string_view tenant) override;
  Result<Tenant> create_tenant(const Call& actor, std::string_view name) override;
  Result<std::vector<Tenant>> tenants(const Call& actor) override;
  Result<Project> create_project(const Call& actor, std::string_view name) override;
  Result<std::vector<Project>> projects(const Call& actor) override;
  Result<User> create_user(const Call& actor, std::string_view name, std::vector<std::string> groups) override;
  Result<User> set_groups(const Call& actor, std::string_view user, std::vector<std::string> groups) override;
  Result<User> change_group(const Call& actor, std::string_view group, std::string_view user, bool member) override;
  Status disable_user(const Call& actor, std::string_view user, bool disabled) override;
  Result<std::vector<User>> users(const Call& actor) override;
  Result<IssuedKey> issue_key(const Call& actor, const NewKey& key) override;
  Result<IssuedKey> rotate_key(const Call& actor, std::string_view id_or_prefix, Micros overlap) override;
  Result<std::vector<ApiKey>> keys(const Call& actor) override;
  Status revoke_key(const Call& actor, std::string_view id_or_prefix) override;

 private:
  using Work = std::function<Status(infra::SqlTransaction&)>;

  infra::Sha256Digest hash(std::string_view key) const { return infra::hmac_sha256(secret_, as_bytes(key)); }
  void note_use(const Holder& holder, Micros now);

  Status allow(const Call& actor, Action action, std::string_view change, const Resource& resource);
  // Does the work and records it, both or neither.
  Status change(const Call& actor, std::string_view change, std::string_view resource, const Work& work);
  Result<Tenant> insert_tenant(const Call& actor, std::string_view name);
  Status insert_project(infra::SqlTransaction& transaction, const Project& project);
  Status insert_groups(infra::SqlTransaction& transaction, const std::string& user, const std::vector<std::string>& groups);
  Status check_grant(const Call& actor, std::string_view role, const std::vector<std::string>& scopes);
  Status store_key(infra::SqlTransaction& transaction, IssuedKey& issued);
  Result<ApiKey> find_key(const Call& actor, std::string_view id_or_prefix);
  Result<User> find_user(infra::SqlSession& session, const std::string& tenant, std::string_view name);
  Result<Place> find_default(infra::SqlSession& session, std::string_view tenant);

  infra::SqlDatabase& database_;
  AuditLog& audit_;
  const Access& access_;
  const Bytes secret_;
  const Clock& clock_;
  infra::WriteBehind* const behind_;  // may be null

  const std::unique_ptr<KeyCache> cache_;
};

// ---- Keys into principals

namespace {

std::unexpected<Error> refused() {
  return fail(error(ErrorCode::kUnauthenticated, "the API key is not valid").with_hint("send a key that works as 'Authorization: Bearer sk-stoa-...'"));
}

// A row of kHolder.
Result<std::shared_ptr<const Holder>> read_holder(const infra::SqlRow& row) {
  const auto holder = std::make_shared<Holder>();
  Principal& principal = holder->principal;
  std::string groups, scopes;
  std::optional<std::string> user;
  std::optional<Micros> revoked, last_used;
  bool disabled = false;
  STOA_CHECK(row.read(principal.key, holder->hash, principal.role, holder->expires, revoked, last_used, principal.tenant, principal.project, user, principal.user,
                      disabled, groups, scopes));
  principal.id = user.value_or(principal.key);
  principal.groups = split_list(groups);
  principal.scopes = split_list(scopes);
  holder->ended = revoked || disabled;
  holder->used = last_used.value_or(0);
  return holder;
}

}  // namespace

Result<Principal> SqlIdentity::authenticate(std::string_view key) {
  if (key.size() != kKeySize || !key.starts_with(kKeyStart)) return refused();
  const std::string prefix(key.substr(kKeyStart.size(), 2 * kPrefixBytes));
  if (!infra::from_hex(prefix)) return refused();
  STOA_TRY(generation, cache_->generation());
  auto holder = cache_->find(prefix, generation);
  if (!holder) {
    STOA_TRY(row, database_.query_one(fmt::format("{}k.prefix = ?", kHolder), {prefix}));
    if (!row) return refused();
    STOA_TRY(read, read_holder(*row));
    holder = std::move(read);
    cache_->put(prefix, generation, holder);
  }
  const Micros now = clock_.now();
  const auto digest = hash(key);
  if (!infra::constant_time_equal(digest, holder->hash) || !holder->works(now)) return refused();
  note_use(*holder, now);
  return holder->principal;
}

Status SqlIdentity::remember_keys() {
  STOA_TRY(generation, cache_->generation());
  return database_.for_each(fmt::format("{}k.rowid IN (SELECT rowid FROM api_keys WHERE revoked IS NULL ORDER BY last_used DESC LIMIT ?)", kHolder),
                            {static_cast<std::int64_t>(KeyCache::kMaxKeys)}, [&](const infra::SqlRow& row) -> Result<bool> {
                              STOA_TRY(holder, read_holder(row));
                              STOA_TRY(prefix, row.get<std::string>("prefix"));
                              cache_->put(prefix, generation, std::move(holder));
                              return true;
                            });
}

Result<Principal> SqlIdentity::holder(std::string_view key_id) {
  STOA_TRY(row, database_.query_one(fmt::format("{}k.id = ?", kHolder), {std::string(key_id)}));
  if (!row) return refused();
  STOA_TRY(holder, read_holder(*row));
  if (!holder->works(clock_.now())) return refused();
  return holder->principal;
}

// Written for the first use in a minute only. A write that fails must not lock anybody out, nor be tried again by every request, so the
// attempt counts.
void SqlIdentity::note_use(const Holder& holder, Micros now) {
  const Micros minute = now - now % kMinute;
  if (Micros used = holder.used.load(); used >= minute || !holder.used.compare_exchange_strong(used, minute)) return;
  const infra::Packer use = infra::Packer().add(holder.principal.key).add(minute);
  const ByteSpan record = use.bytes();
  const auto written = behind_ != nullptr ? behind_->append(kJournalKind, use.text())
                                          : database_.transaction([&](infra::SqlTransaction& transaction) { return store_uses(transaction, {&record, 1}); });
  if (!written) log_error("the last use of an API key was not recorded", written.error(), {{"key", holder.principal.key}});
}

// ---- Changes

namespace {

Resource of_tenant(const Call& call, std::string kind, std::string_view name = {}) {
  return {.tenant = call.principal.tenant, .project = {}, .kind = std::move(kind), .name = std::string(name)};
}

}  // namespace

Status SqlIdentity::allow(const Call& actor, Action action, std::string_view change, const Resource& resource) {
  const auto permit = access_.check(actor, action, resource);
  if (permit) return {};
  AuditEntry entry = AuditEntry::of(actor, change, resource.text());
  entry.outcome = Outcome::kDenied;
  entry.reason = permit.error().message;
  if (const auto recorded = audit_.append(std::move(entry)); !recorded) log_error("a refusal was not recorded in the audit log", recorded.error());
  return fail(permit.error());
}

Status SqlIdentity::change(const Call& actor, std::string_view change, std::string_view resource, const Work& work) {
  return database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(work(transaction));
    return audit_.append(transaction, AuditEntry::of(actor, change, resource));
  });
}

Status SqlIdentity::insert_project(infra::SqlTransaction& transaction, const Project& project) {
  return taken(transaction.execute("INSERT INTO projects (id, tenant, name, created) VALUES (?, ?, ?, ?)",
                                   {project.id, project.tenant, project.name, project.created}),
               "project", project.name);
}

Status SqlIdentity::insert_groups(infra::SqlTransaction& transaction, const std::string& user, const std::vector<std::string>& groups) {
  for (const auto& group : groups) STOA_CHECK(transaction.execute("INSERT INTO user_groups (user_id, name) VALUES (?, ?)", {user, group}));
  return {};
}

Result<User> SqlIdentity::find_user(infra::SqlSession& session, const std::string& tenant, std::string_view name) {
  STOA_TRY(row, session.query_one(std::string(kUserColumns) + "WHERE u.tenant = ? AND u.name = ?", {tenant, std::string(name)}));
  if (!row) return fail(ErrorCode::kNotFound, "there is no user '{}'", name.substr(0, 150));
  return read_user(*row);
}

Result<Identity::Place> SqlIdentity::find_default(infra::SqlSession& session, std::string_view tenant) {
  STOA_TRY(row, session.query_one("SELECT t.id, t.name, t.created, p.id, p.tenant, p.name, p.created FROM tenants t"
                                  " JOIN projects p ON p.tenant = t.id AND p.name = ? WHERE t.name = ?",
                                  {std::string(kDefault), std::string(tenant)}));
  if (!row) return fail(ErrorCode::kNotFound, "there is no tenant '{}'", tenant.substr(0, 150));
  Place found;
  auto& [t, p] = found;
  STOA_CHECK(row->read(t.id, t.name, t.created, p.id, p.tenant, p.name, p.created));
  return found;
}

Result<Identity::Place> SqlIdentity::place(const Call& actor) {
  STOA_TRY(row, database_.query_one("SELECT t.id, t.name, t.created, p.id, p.tenant, p.name, p.created FROM tenants t JOIN projects p ON p.tenant = t.id WHERE t.id = ? AND p.id = ?",
                                    {actor.principal.tenant, actor.principal.project}));
  if (!row) return fail(ErrorCode::kNotFound, "the project {} is not there", actor.principal.project);
  Place found;
  auto& [t, p] = found;
  STOA_CHECK(row->read(t.id, t.name, t.created, p.id, p.tenant, p.name, p.created));
  return found;
}

Result<Principal> SqlIdentity::local_operator(std::string_view tenant) {
  STOA_TRY(found, find_default(database_, tenant));
  return Principal{std::string(kLocalOperator), found.tenant.id, found.project.id, "", {}, "admin"};
}

Result<Identity::Place> SqlIdentity::ensure_default() {
  if (auto found = find_default(database_, kDefault); found || found.error().code != ErrorCode::kNotFound) return found;
  // Another process may have made it in between.
  const Call actor = Call::of({std::string(kLocalOperator), "", "", "", {}, "admin"});
  if (const auto made = insert_tenant(actor, kDefault); !made && made.error().code != ErrorCode::kConflict) return fail(made.error());
  return find_default(database_, kDefault);
}

Result<Tenant> SqlIdentity::create_tenant(const Call& actor, std::string_view name) {
  STOA_CHECK(check_name("tenant", name));
  STOA_CHECK(allow(actor, Action::kTenantManage, kTenantCreate, {.tenant = {}, .project = {}, .kind = "tenant", .name = std::string(name)}));
  return insert_tenant(actor, name);
}

Result<std::vector<Tenant>> SqlIdentity::tenants(const Call& actor) {
  STOA_CHECK(access_.check(actor, Action::kTenantManage, {.tenant = {}, .project = {}, .kind = "tenant"}));
  return read_all(database_, "SELECT id, name, created FROM tenants ORDER BY name", {}, read_tenant);
}

Result<Tenant> SqlIdentity::insert_tenant(const Call& actor, std::string_view name) {
  const Micros now = clock_.now();
  const Tenant tenant{new_id("tenant"), std::string(name), now};
  STOA_CHECK(change(actor, kTenantCreate, "tenant " + tenant.name, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(taken(transaction.execute("INSERT INTO tenants (id, name, created) VALUES (?, ?, ?)", {tenant.id, tenant.name, now}), "tenant", name));
    return insert_project(transaction, {new_id("proj"), tenant.id, std::string(kDefault), now});
  }));
  return tenant;
}

Result<Project> SqlIdentity::create_project(const Call& actor, std::string_view name) {
  constexpr std::string_view kChange = "identity.project.create";
  STOA_CHECK(check_name("project", name));
  const Project project{new_id("proj"), actor.principal.tenant, std::string(name), clock_.now()};
  STOA_CHECK(allow(actor, Action::kProjectManage, kChange, of_tenant(actor, "project", project.name)));
  STOA_CHECK(change(actor, kChange, "project " + project.name,
                    [&](infra::SqlTransaction& transaction) { return insert_project(transaction, project); }));
  return project;
}

Result<std::vector<Project>> SqlIdentity::projects(const Call& actor) {
  const bool all = access_.decide(actor, Action::kProjectManage, of_tenant(actor, "project")).allowed;
  return read_all(database_, "SELECT id, tenant, name, created FROM projects WHERE tenant = ? AND (? OR id = ?) ORDER BY name",
                  {actor.principal.tenant, std::int64_t{all}, actor.principal.project}, read_project);
}

Result<User> SqlIdentity::create_user(const Call& actor, std::string_view name, std::vector<std::string> groups) {
  constexpr std::string_view kChange = "identity.user.create";
  STOA_CHECK(check_name("user", name));
  STOA_TRY(checked, check_groups(std::move(groups)));
  const User user{new_id("user"), actor.principal.tenant, std::string(name), std::move(checked), false, clock_.now()};
  STOA_CHECK(allow(actor, Action::kUserManage, kChange, of_tenant(actor, "user", user.name)));
  STOA_CHECK(change(actor, kChange, "user " + user.name, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(taken(transaction.execute("INSERT INTO users (id, tenant, name, created) VALUES (?, ?, ?, ?)",
                                         {user.id, user.tenant, user.name, user.created}),
                     "user", name));
    return insert_groups(transaction, user.id, user.groups);
  }));
  return user;
}

Result<User> SqlIdentity::set_groups(const Call& actor, std::string_view name, std::vector<std::string> groups) {
  constexpr std::string_view kChange = "identity.user.groups";
  STOA_CHECK(check_name("user", name));
  STOA_TRY(checked, check_groups(std::move(groups)));
  const Resource resource = of_tenant(actor, "user", name);
  STOA_CHECK(allow(actor, Action::kUserManage, kChange, resource));
  User user;
  STOA_CHECK(change(actor, kChange, resource.text(), [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(found, find_user(transaction, actor.principal.tenant, name));
    user = found;
    user.groups = checked;
    STOA_CHECK(transaction.execute("DELETE FROM user_groups WHERE user_id = ?", {user.id}));
    return insert_groups(transaction, user.id, checked);
  }));
  return user;
}

Result<User> SqlIdentity::change_group(const Call& actor, std::string_view group, std::string_view name, bool member) {
  constexpr std::string_view kChange = "identity.user.groups";
  STOA_CHECK(check_name("group", group));
  STOA_CHECK(allow(actor, Action::kUserManage, kChange, of_tenant(actor, "user", name)));
  User user;
  STOA_CHECK(database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(found, find_user(transaction, actor.principal.tenant, name));
    user = found;
    const infra::SqlParams row{user.id, std::string(group)};
    if (member == std::ranges::binary_search(user.groups, group)) return {};
    if (member && user.groups.size() >= kMaxGroups) return fail(ErrorCode::kInvalidArgument, "a user has at most {} groups", kMaxGroups);
    STOA_CHECK(transaction.execute(member ? "INSERT INTO user_groups (user_id, name) VALUES (?, ?)" : "DELETE FROM user_groups WHERE user_id = ? AND name = ?", row));
    STOA_TRY(changed, find_user(transaction, actor.principal.tenant, name));
    user = changed;
    return audit_.append(transaction, AuditEntry::of(actor, kChange, fmt::format("user {}", name)));
  }));
  return user;
}

Status SqlIdentity::disable_user(const Call& actor, std::string_view name, bool disabled) {
  const std::string_view kind = disabled ? "identity.user.disable" : "identity.user.enable";
  STOA_CHECK(check_name("user", name));
  const Resource resource = of_tenant(actor, "user", name);
  STOA_CHECK(allow(actor, Action::kUserManage, kind, resource));
  return change(actor, kind, resource.text(), [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(user, find_user(transaction, actor.principal.tenant, name));
    STOA_CHECK(transaction.execute("UPDATE users SET disabled = ? WHERE id = ?", {std::int64_t{disabled}, user.id}));
    return {};
  });
}

Result<std::vector<User>> SqlIdentity::users(const Call& actor) {
  STOA_CHECK(access_.check(actor, Action::kUserManage, of_tenant(actor, "user")));
  return read_all(database_, std::string(kUserColumns) + "WHERE u.tenant = ? ORDER BY u.name", {actor.principal.tenant}, read_user);
}

// ---- Keys

// Fills prefix and secret in, and stores the key.
Status SqlIdentity::store_key(infra::SqlTransaction& transaction, IssuedKey& issued) {
  ApiKey& key = issued.key;
  STOA_TRY(random, infra::random_bytes(kPrefixBytes + kSecretBytes));
  const ByteSpan bytes = random;
  key.prefix = infra::to_hex(bytes.first(kPrefixBytes));
  issued.secret = fmt::format("{}{}-{}", kKeyStart, key.prefix, infra::to_hex(bytes.subspan(kPrefixBytes)));
  const auto digest = hash(issued.secret);
  std::optional<std::string> user;
  if (!key.user.empty()) {
    STOA_TRY(found, find_user(transaction, key.tenant, key.user));
    user = found.id;
  }
  STOA_CHECK(transaction.execute(
      "INSERT INTO api_keys (id, prefix, hash, project, user_id, label, role, created, expires, scopes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {key.id, key.prefix, Bytes(digest.begin(), digest.end()), key.project, infra::sql_optional(user), key.label, key.role, key.created,
       infra::sql_optional(key.expires), join_list(key.scopes)}));
  return {};
}

// What nobody may give: more than they have.
Status SqlIdentity::check_grant(const Call& actor, std::string_view role, const std::vector<std::string>& scopes) {
  STOA_CHECK(access_.check_role(actor.principal.tenant, role));
  STOA_CHECK(access_.check_grant(actor, role));
  const auto& own = actor.principal.scopes;
  if (scopes_within(scopes, own)) return {};
  return fail(error(ErrorCode::kPermissionDenied, "a key that is limited to {} cannot make one that may more", join_list(own)).with_param("scopes"));
}

Result<IssuedKey> SqlIdentity::issue_key(const Call& actor, const NewKey& wanted) {
  constexpr std::string_view kChange = "identity.key.create";
  const Micros now = clock_.now();
  if (wanted.label.size() > kMaxLabel) return fail(ErrorCode::kInvalidArgument, "a label of {} bytes, more than {}", wanted.label.size(), kMaxLabel);
  if (wanted.expires && *wanted.expires <= now) return fail(ErrorCode::kInvalidArgument, "the key would expire in the past, at {}", to_rfc3339(*wanted.expires));
  if (auto scopes = check_scopes(wanted.scopes); !scopes) return fail(std::move(scopes).error().with_param("scopes"));
  const std::string& asked = wanted.project.empty() ? actor.principal.project : wanted.project;
  STOA_TRY(row, database_.query_one("SELECT id FROM projects WHERE tenant = ? AND (id = ? OR name = ?) ORDER BY id = ? DESC LIMIT 1", {actor.principal.tenant, asked, asked, asked}));
  if (!row) return fail(ErrorCode::kNotFound, "there is no project '{}'", asked.substr(0, 150));

  IssuedKey issued;
  STOA_TRY(project, row->get<std::string>(0));
  issued.key = {new_id("key"), "", actor.principal.tenant, project, wanted.user, wanted.label, wanted.role, now, wanted.expires, {}, {}, wanted.scopes};
  STOA_CHECK(allow(actor, Action::kKeyManage, kChange, {.tenant = actor.principal.tenant, .project = project, .kind = "key", .name = issued.key.id, .hidden = true}));
  STOA_CHECK(check_grant(actor, wanted.role, wanted.scopes));
  STOA_CHECK(change(actor, kChange, "key " + issued.key.id, [&](infra::SqlTransaction& transaction) { return store_key(transaction, issued); }));
  return issued;
}

Result<IssuedKey> SqlIdentity::rotate_key(const Call& actor, std::string_view id_or_prefix, Micros overlap) {
  constexpr std::string_view kChange = "identity.key.rotate";
  if (overlap < 0 || overlap > kMaxOverlap) return fail(error(ErrorCode::kInvalidArgument, "a key may work for at most 30 days beside the one in its place").with_param("overlap"));
  STOA_TRY(old, find_key(actor, id_or_prefix));
  const Micros now = clock_.now();
  STOA_CHECK(allow(actor, Action::kKeyManage, kChange, {.tenant = old.tenant, .project = old.project, .kind = "key", .name = old.id, .hidden = true}));
  STOA_CHECK(check_grant(actor, old.role, old.scopes));
  if (old.revoked || (old.expires && *old.expires <= now)) return fail(ErrorCode::kConflict, "the key {} works no more; make a new one", old.id);
  IssuedKey issued{.key = old, .secret = {}};
  issued.key.id = new_id("key");
  issued.key.created = now;
  issued.key.last_used = {};
  if (old.expires) issued.key.expires = now + (*old.expires - old.created);
  STOA_CHECK(change(actor, kChange, fmt::format("key {} by key {}", old.id, issued.key.id), [&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(store_key(transaction, issued));
    // Another one who rotates it at the same time finds that it has an end, or that its end has come; both new keys are good.
    STOA_CHECK(transaction.execute("UPDATE api_keys SET expires = ? WHERE id = ? AND (expires IS NULL OR expires > ?)", {now + overlap, old.id, now + overlap}));
    return {};
  }));
  return issued;
}

// The text may be a whole key by mistake: it must not reach logs through the message.
Result<ApiKey> SqlIdentity::find_key(const Call& actor, std::string_view id_or_prefix) {
  const std::string asked(id_or_prefix);
  STOA_TRY(row, database_.query_one(std::string(kKeyColumns) + "WHERE p.tenant = ? AND (k.id = ? OR k.prefix = ?)", {actor.principal.tenant, asked, asked}));
  if (!row) return fail(error(ErrorCode::kNotFound, "there is no key with this id or prefix").with_hint("`stoa keys list` shows ids and prefixes"));
  return read_key(*row);
}

Result<std::vector<ApiKey>> SqlIdentity::keys(const Call& actor) {
  STOA_CHECK(access_.check(actor, Action::kKeyManage, Resource::of(actor.principal, "key")));
  return read_all(database_, std::string(kKeyColumns) + "WHERE k.project = ? ORDER BY k.created DESC, k.id DESC", {actor.principal.project}, read_key);
}

Status SqlIdentity::revoke_key(const Call& actor, std::string_view id_or_prefix) {
  constexpr std::string_view kChange = "identity.key.revoke";
  STOA_TRY(key, find_key(actor, id_or_prefix));
  STOA_CHECK(allow(actor, Action::kKeyManage, kChange, {.tenant = key.tenant, .project = key.project, .kind = "key", .name = key.id, .hidden = true}));
  if (key.revoked) return {};
  return change(actor, kChange, "key " + key.id, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("UPDATE api_keys SET revoked = ? WHERE id = ? AND revoked IS NULL", {clock_.now(), key.id}));
    return {};
  });
}

}  // namespace

Result<std::unique_ptr<Identity>> Identity::open(infra::SqlDatabase& database, AuditLog& audit, const Access& access, Bytes secret, const Clock& clock,
                                                infra::WriteBehind* behind) {
  if (secret.size() < kSecretBytes) return fail(ErrorCode::kInvalidArgument, "the secret for API keys has {} bytes, and at least {} are needed", secret.size(), kSecretBytes);
  STOA_CHECK(database.migrate("governance/identity", kIdentityMigrations));
  if (behind != nullptr) STOA_CHECK(behind->add(kJournalKind, store_uses));
  STOA_TRY(cache, KeyCache::open(database));
  return std::make_unique<SqlIdentity>(database, audit, access, std::move(secret), clock, behind, std::move(cache));
}

}  // namespace stoa::governance
