#include "governance/identity/delegated_tokens.h"

#include <algorithm>

#include "base/id.h"
#include "base/log.h"

namespace stoa::governance {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"sql(
CREATE TABLE delegated_tokens (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  grants TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  revoked INTEGER,
  tenant TEXT NOT NULL,
  project TEXT NOT NULL,
  holder TEXT NOT NULL,
  key_id TEXT NOT NULL,
  user_name TEXT NOT NULL);
CREATE INDEX delegated_tokens_by_holder ON delegated_tokens (holder, expires);
)sql"}};

constexpr std::string_view kCreate = "identity.token.create", kRevoke = "identity.token.revoke";
constexpr std::string_view kColumns = "SELECT id, holder, name, grants, created, expires, revoked FROM delegated_tokens ";
constexpr std::size_t kMaxGrants = 16, kMaxName = 128, kMaxKind = 64, kMaxThing = 256;
constexpr int kMaxListed = 1000;

// One line a grant: names hold no line breaks (parse_grant).
std::string join_grants(const std::vector<Grant>& grants) {
  std::string text;
  for (const auto& grant : grants) text += (text.empty() ? "" : "\n") + grant_text(grant);
  return text;
}

Result<std::vector<Grant>> split_grants(std::string_view text) {
  std::vector<Grant> grants;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    STOA_TRY(grant, parse_grant(text.substr(0, end)));
    grants.push_back(std::move(grant));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return grants;
}

Result<DelegatedToken> read_token(const infra::SqlRow& row) {
  DelegatedToken token;
  std::string grants;
  STOA_CHECK(row.read(token.id, token.holder, token.name, grants, token.created, token.expires, token.revoked));
  STOA_TRY(split, split_grants(grants));
  token.grants = std::move(split);
  return token;
}

}  // namespace

Result<Grant> parse_grant(std::string_view text) {
  const std::size_t first = text.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : text.find(' ', first + 1);
  Grant grant;
  grant.action = text.substr(0, first);
  if (first != std::string_view::npos) grant.kind = text.substr(first + 1, second == std::string_view::npos ? second : second - first - 1);
  if (second != std::string_view::npos) grant.name = text.substr(second + 1);
  const bool plain = std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (!plain || grant.kind.empty() || grant.kind.size() > kMaxKind || grant.name.size() > kMaxThing)
    return fail(error(ErrorCode::kInvalidArgument, "'{}' is no grant", plain ? text.substr(0, 150) : "...").with_hint("write action, kind and name: 'dataset.read dataset support@1'"));
  STOA_CHECK(parse_action(grant.action));
  return grant;
}

std::string grant_text(const Grant& grant) { return fmt::format("{} {}{}{}", grant.action, grant.kind, grant.name.empty() ? "" : " ", grant.name); }

Result<std::unique_ptr<DelegatedTokens>> DelegatedTokens::open(infra::SqlDatabase& database, AuditLog& audit, const Access& access, Lenders lenders, ServerTokens tokens, const Clock& clock) {
  STOA_CHECK(database.migrate("governance/identity/delegated", kMigrations));
  return std::unique_ptr<DelegatedTokens>(new DelegatedTokens(database, audit, access, lenders, std::move(tokens), clock));
}

Status DelegatedTokens::allow(const Call& actor, const NewDelegatedToken& wanted) {
  const Principal& principal = actor.principal;
  STOA_CHECK(access_.check(actor, Action::kTokenCreate, Resource::of(principal, "token")));
  if (!lenders_.can_lend(principal))
    return fail(error(ErrorCode::kPermissionDenied, "only a user or an API key can lend rights: not a job, nobody under break-glass access, and not the local operator").with_hint("make a key with `stoa keys create`, and use it"));
  for (const auto& grant : wanted.grants) {
    STOA_TRY(action, parse_action(grant.action));
    if (auto may = access_.check(actor, action, Resource::of(principal, grant.kind, grant.name)); !may)
      return fail(std::move(may).error().in("nobody can lend what they may not do").with_param("grants"));
  }
  return {};
}

Result<IssuedDelegatedToken> DelegatedTokens::issue(const Call& actor, const NewDelegatedToken& wanted) {
  if (wanted.name.empty() || wanted.name.size() > kMaxName) return fail(error(ErrorCode::kInvalidArgument, "a token has a name of 1 to {} bytes", kMaxName).with_param("name"));
  if (wanted.grants.empty() || wanted.grants.size() > kMaxGrants) return fail(error(ErrorCode::kInvalidArgument, "a token has 1 to {} grants", kMaxGrants).with_param("grants"));
  if (wanted.lifetime < 1'000'000 || wanted.lifetime > kMaxLifetime) return fail(error(ErrorCode::kInvalidArgument, "a token lives for a second to an hour").with_param("seconds"));
  for (const auto& grant : wanted.grants) STOA_CHECK(parse_grant(grant_text(grant)));
  if (Status may = allow(actor, wanted); !may) {
    AuditEntry entry = AuditEntry::of(actor, kCreate, "token " + wanted.name);
    entry.outcome = Outcome::kDenied;
    entry.reason = may.error().message;
    if (const auto recorded = audit_.append(std::move(entry)); !recorded) log_error("a refusal was not recorded in the audit log", recorded.error());
    return fail(std::move(may).error());
  }
  const Micros now = clock_.now();
  IssuedDelegatedToken issued;
  issued.token = {new_id("job"), actor.principal.id, wanted.name, wanted.grants, now, now + wanted.lifetime, {}};
  STOA_CHECK(database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("DELETE FROM delegated_tokens WHERE holder = ? AND expires < ?", {actor.principal.id, now - kMaxLifetime}));  // ended long ago; the audit log knows
    const Principal& by = actor.principal;
    STOA_CHECK(transaction.execute("INSERT INTO delegated_tokens (id, name, grants, created, expires, tenant, project, holder, key_id, user_name) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                                   {issued.token.id, wanted.name, join_grants(wanted.grants), now, issued.token.expires, by.tenant, by.project, by.id, by.key, by.user}));
    return audit_.append(transaction, AuditEntry::of(actor, kCreate, "token " + issued.token.id));
  }));
  JsonArray grants;
  for (const auto& grant : wanted.grants) grants.push_back(Json(grant_text(grant)));
  issued.secret = tokens_.sign(kDelegatedType, issued.token.id, now, issued.token.expires, {{"sub", issued.token.id}, {"grants", std::move(grants)}});
  return issued;
}

Result<std::vector<DelegatedToken>> DelegatedTokens::list(const Call& actor) {
  STOA_CHECK(access_.check(actor, Action::kTokenCreate, Resource::of(actor.principal, "token")));
  STOA_TRY(rows, database_.query(fmt::format("{}WHERE holder = ? AND expires > ? AND revoked IS NULL ORDER BY created DESC, id DESC LIMIT {}", kColumns, kMaxListed),
                                 {actor.principal.id, clock_.now()}));
  std::vector<DelegatedToken> tokens;
  for (const auto& row : rows) {
    STOA_TRY(token, read_token(row));
    tokens.push_back(std::move(token));
  }
  return tokens;
}

Status DelegatedTokens::revoke(const Call& actor, std::string_view id) {
  STOA_CHECK(access_.check(actor, Action::kTokenCreate, Resource::of(actor.principal, "token", std::string(id))));
  return database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(changed, transaction.execute("UPDATE delegated_tokens SET revoked = ? WHERE id = ? AND holder = ? AND revoked IS NULL", {clock_.now(), std::string(id), actor.principal.id}));
    if (changed == 0) return fail(error(ErrorCode::kNotFound, "you have no such token that works").with_hint("`stoa tokens list` shows yours"));
    return audit_.append(transaction, AuditEntry::of(actor, kRevoke, fmt::format("token {}", id)));
  });
}

Result<Principal> DelegatedTokens::authenticate(const Jwt& jwt) {
  const Micros now = clock_.now();
  STOA_TRY(id, tokens_.open(jwt, kDelegatedType, now));
  STOA_TRY(row, database_.query_one("SELECT grants, expires, revoked, holder, key_id FROM delegated_tokens WHERE id = ?", {id}));
  std::string grants, holder, key;
  Micros expires = 0;
  std::optional<Micros> revoked;
  if (row) STOA_CHECK(row->read(grants, expires, revoked, holder, key));
  if (!row || revoked || expires <= now) return fail(ErrorCode::kUnauthenticated, "the token is not accepted: it has ended");
  STOA_TRY(principal, lenders_.now(holder, key));
  STOA_TRY(split, split_grants(grants));
  if (split.empty()) return fail(ErrorCode::kDataLoss, "the token {} has no grants in the store", id);  // none would mean no limit
  principal.on_behalf = principal.id;
  principal.id = id;
  principal.key.clear();  // it was not shown: what is made from it, such as links to documents, would reach further than the grants
  principal.grants = std::move(split);
  principal.method = "delegated token";
  principal.expires = expires;
  return std::move(principal);
}

}  // namespace stoa::governance
