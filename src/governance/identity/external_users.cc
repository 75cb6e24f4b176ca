#include "governance/identity/external_users.h"

#include <algorithm>

#include "base/id.h"
#include "governance/identity/rows.h"

namespace stoa::governance {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"sql(
CREATE TABLE external_users (
  issuer TEXT NOT NULL,
  subject TEXT NOT NULL,
  tenant TEXT NOT NULL REFERENCES tenants (id),
  user_id TEXT NOT NULL UNIQUE REFERENCES users (id),
  project TEXT NOT NULL REFERENCES projects (id),
  role TEXT NOT NULL,
  scopes TEXT NOT NULL,
  created INTEGER NOT NULL,
  PRIMARY KEY (issuer, subject, tenant)) WITHOUT ROWID;
)sql"}};

// Issuers choose subjects freely.
constexpr std::size_t kMaxSubject = 255;

}  // namespace

Result<std::unique_ptr<ExternalUsers>> ExternalUsers::open(infra::SqlDatabase& database, AuditLog& audit, const Clock& clock) {
  STOA_CHECK(database.migrate("governance/identity/external", kMigrations));
  return std::unique_ptr<ExternalUsers>(new ExternalUsers(database, audit, clock));
}

Result<ExternalUser> ExternalUsers::place(const ExternalPrincipal& who) {
  STOA_TRY(row, database_.query_one("SELECT t.id, p.id FROM tenants t JOIN projects p ON p.tenant = t.id AND p.name = ? WHERE t.name = ?", {who.project, who.tenant}));
  if (!row)
    return fail(error(ErrorCode::kUnavailable, "there is no project '{}' in a tenant '{}', which the provider '{}' is to use", who.project, who.tenant, who.provider)
                    .with_hint("make them with `stoa tenants create` and `stoa projects create`, or correct the providers file"));
  ExternalUser user;
  STOA_CHECK(row->read(user.tenant, user.project));
  return user;
}

Result<ExternalUser> ExternalUsers::ensure(const ExternalPrincipal& who) {
  if (who.subject.empty() || who.subject.size() > kMaxSubject) return fail(ErrorCode::kUnauthenticated, "the token's subject is empty or too long");
  STOA_TRY(user, place(who));
  const auto find = [&] {
    return database_.query_one("SELECT u.id, u.name, u.disabled, COALESCE((SELECT group_concat(g.name) FROM user_groups g WHERE g.user_id = u.id), ''), e.project, e.role, e.scopes"
                               " FROM external_users e JOIN users u ON u.id = e.user_id WHERE e.issuer = ? AND e.subject = ? AND e.tenant = ?",
                               {who.issuer, who.subject, user.tenant});
  };
  STOA_TRY(row, find());
  if (!row) {
    if (!who.provision && !who.link_existing) return fail(ErrorCode::kPermissionDenied, "{} says who you are, but nobody has let you in here", who.provider);
    const Status made = make(who, user);
    // Another thread may have made the same user in between.
    if (!made && made.error().code != ErrorCode::kConflict) return fail(made.error());
    STOA_TRY(again, find());
    if (!again) return fail(ErrorCode::kPermissionDenied, "there is another user '{}' here, whom {} does not speak for: an administrator has to link them", who.name, who.provider);
    row = std::move(again);
  }
  bool disabled = false;
  std::string groups, project, role, scopes;
  STOA_CHECK(row->read(user.id, user.name, disabled, groups, project, role, scopes));
  if (disabled) return fail(ErrorCode::kUnauthenticated, "this user is disabled");
  if (split_list(groups) != who.groups) STOA_CHECK(update(who, user, "identity.user.groups"));
  if (project != user.project || role != who.role || scopes != join_list(who.scopes)) STOA_CHECK(update(who, user, "identity.user.role"));
  return std::move(user);
}

Result<bool> ExternalUsers::enabled(std::string_view user_id) {
  STOA_TRY(row, database_.query_one("SELECT disabled FROM users WHERE id = ?", {std::string(user_id)}));
  if (!row) return false;
  STOA_TRY(disabled, row->get<bool>(0));
  return !disabled;
}

Result<Principal> ExternalUsers::holder(std::string_view user_id) {
  STOA_TRY(row, database_.query_one("SELECT u.id, u.tenant, e.project, u.name, COALESCE((SELECT group_concat(g.name) FROM user_groups g WHERE g.user_id = u.id), ''), e.role, e.scopes"
                                    " FROM external_users e JOIN users u ON u.id = e.user_id WHERE u.id = ? AND u.disabled = 0",
                                    {std::string(user_id)}));
  if (!row) return fail(ErrorCode::kUnauthenticated, "this user is disabled, or came through no identity provider");
  Principal principal;
  std::string groups, scopes;
  STOA_CHECK(row->read(principal.id, principal.tenant, principal.project, principal.user, groups, principal.role, scopes));
  principal.groups = split_list(groups);
  principal.scopes = split_list(scopes);
  return principal;
}

AuditEntry ExternalUsers::entry(const ExternalPrincipal& who, const ExternalUser& user, std::string_view action) const {
  AuditEntry entry;
  entry.principal = "provider " + who.provider;
  entry.tenant = user.tenant;
  entry.project = user.project;
  entry.action = action;
  entry.resource = "user " + user.name;
  return entry;
}

// kConflict: the name is another user's.
Status ExternalUsers::make(const ExternalPrincipal& who, ExternalUser& user) {
  user.name = who.name;
  return database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    const Micros now = clock_.now();
    STOA_TRY(same, transaction.query_one("SELECT u.id, e.user_id IS NOT NULL FROM users u LEFT JOIN external_users e ON e.user_id = u.id WHERE u.tenant = ? AND u.name = ? LIMIT 1",
                                         {user.tenant, who.name}));
    std::string_view action = "identity.user.link";
    if (same) {
      bool taken = false;
      STOA_CHECK(same->read(user.id, taken));
      if (taken || !who.link_existing) return fail(ErrorCode::kConflict, "there is another user '{}'", who.name);
    } else {
      if (!who.provision) return fail(ErrorCode::kPermissionDenied, "{} says who you are, but there is no user '{}' here", who.provider, who.name);
      action = "identity.user.provision";
      user.id = new_id("user");
      STOA_CHECK(transaction.execute("INSERT INTO users (id, tenant, name, created) VALUES (?, ?, ?, ?)", {user.id, user.tenant, who.name, now}));
      for (const auto& group : who.groups) STOA_CHECK(transaction.execute("INSERT INTO user_groups (user_id, name) VALUES (?, ?)", {user.id, group}));
    }
    STOA_CHECK(transaction.execute("INSERT INTO external_users (issuer, subject, tenant, user_id, project, role, scopes, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                                   {who.issuer, who.subject, user.tenant, user.id, user.project, who.role, join_list(who.scopes), now}));
    return audit_.append(transaction, entry(who, user, action));
  });
}

// Groups, role, scopes and project as the token has them; `change` is what is different.
Status ExternalUsers::update(const ExternalPrincipal& who, const ExternalUser& user, std::string_view change) {
  return database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("DELETE FROM user_groups WHERE user_id = ?", {user.id}));
    for (const auto& group : who.groups) STOA_CHECK(transaction.execute("INSERT INTO user_groups (user_id, name) VALUES (?, ?)", {user.id, group}));
    STOA_CHECK(transaction.execute("UPDATE external_users SET project = ?, role = ?, scopes = ? WHERE user_id = ?", {user.project, who.role, join_list(who.scopes), user.id}));
    return audit_.append(transaction, entry(who, user, change));
  });
}

}  // namespace stoa::governance
