#include "governance/identity/elevations.h"

#include <algorithm>

#include "base/id.h"
#include "base/log.h"
#include "base/utf8.h"

namespace stoa::governance {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"sql(
CREATE TABLE elevations (
  id TEXT PRIMARY KEY,
  reason TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  ended INTEGER,
  tenant TEXT NOT NULL,
  project TEXT NOT NULL,
  holder TEXT NOT NULL,
  key_id TEXT NOT NULL,
  user_name TEXT NOT NULL);
CREATE INDEX elevations_by_tenant ON elevations (tenant, created);
)sql"}};

constexpr std::string_view kBegin = "identity.breakglass.begin", kEnd = "identity.breakglass.end";
constexpr std::string_view kColumns = "SELECT id, project, holder, user_name, reason, created, expires, ended FROM elevations ";
constexpr int kMaxListed = 1000;

Result<Elevation> read_elevation(const infra::SqlRow& row) {
  Elevation e;
  STOA_CHECK(row.read(e.id, e.project, e.holder, e.user, e.reason, e.created, e.expires, e.ended));
  return e;
}

}  // namespace

Result<std::unique_ptr<Elevations>> Elevations::open(infra::SqlDatabase& database, AuditLog& audit, infra::EventBus& events, Metrics& metrics, const Access& access, Lenders lenders,
                                                     ServerTokens tokens, const Clock& clock) {
  STOA_CHECK(database.migrate("governance/identity/elevations", kMigrations));
  return std::unique_ptr<Elevations>(new Elevations(database, audit, events, metrics, access, lenders, std::move(tokens), clock));
}

// The audit entry and the event, with the change.
Status Elevations::tell(infra::SqlTransaction& transaction, const Call& actor, const Elevation& e, std::string_view state) {
  AuditEntry entry = AuditEntry::of(actor, state == "begun" ? kBegin : kEnd, "break-glass " + e.id);
  entry.reason = e.reason;
  STOA_CHECK(audit_.append(transaction, std::move(entry)));
  const JsonObject payload{{"id", e.id}, {"principal", e.holder}, {"user", e.user}, {"tenant", actor.principal.tenant}, {"project", e.project},
                           {"reason", e.reason}, {"state", state}, {"expires", to_rfc3339(e.expires)}};
  return events_.publish(transaction, kBreakGlassTopic, e.id, dump_json(payload));
}

Result<IssuedElevation> Elevations::begin(const Call& actor, std::string_view reason, Micros length) {
  const Principal& principal = actor.principal;
  const bool plain = is_valid_utf8(reason) && std::ranges::none_of(reason, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (!plain || reason.size() < kMinReason || reason.size() > kMaxReason)
    return fail(error(ErrorCode::kInvalidArgument, "break-glass access needs a reason of {} to {} bytes on one line", kMinReason, kMaxReason).with_hint("say what has happened and what you will do, with the number of the incident").with_param("reason"));
  if (length < 60'000'000 || length > kMaxLength) return fail(error(ErrorCode::kInvalidArgument, "break-glass access lasts 1 to {} minutes", kMaxLength / 60'000'000).with_param("minutes"));
  auto permit = access_.check(actor, Action::kBreakGlassUse, Resource::of(principal, "break-glass"));
  if (permit && !lenders_.can_lend(principal))
    permit = fail(ErrorCode::kPermissionDenied, "break-glass access is for people and keys: not for jobs, not while it is in use already, and the local operator needs none");
  if (!permit) {
    AuditEntry entry = AuditEntry::of(actor, kBegin, "break-glass");
    entry.outcome = Outcome::kDenied;
    entry.reason = permit.error().message;
    if (const auto recorded = audit_.append(std::move(entry)); !recorded) log_error("a refusal was not recorded in the audit log", recorded.error());
    return fail(std::move(permit).error());
  }
  const Micros now = clock_.now();
  IssuedElevation issued;
  issued.elevation = {new_id("glass"), principal.project, principal.id, principal.user, std::string(reason), now, now + length, {}};
  const Elevation& e = issued.elevation;
  STOA_CHECK(database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("INSERT INTO elevations (id, reason, created, expires, tenant, project, holder, key_id, user_name) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                                   {e.id, e.reason, e.created, e.expires, principal.tenant, principal.project, principal.id, principal.key, principal.user}));
    return tell(transaction, actor, e, "begun");
  }));
  log(LogLevel::kError, "BREAK-GLASS ACCESS HAS BEGUN", {{"id", e.id}, {"principal", e.holder}, {"user", e.user}, {"reason", e.reason}, {"until", to_rfc3339(e.expires)}});
  metrics_.counter("stoa_break_glass_total", "Times that break-glass access was taken.").add();
  count();
  issued.secret = tokens_.sign(kElevationType, e.id, now, e.expires, {{"sub", e.holder}});
  return issued;
}

Result<std::vector<Elevation>> Elevations::list(const Call& actor) {
  const Principal& principal = actor.principal;
  const bool all = access_.decide(actor, Action::kAuditRead, {.tenant = principal.tenant, .project = {}, .kind = "break-glass"}).allowed;
  if (!all) STOA_CHECK(access_.check(actor, Action::kBreakGlassUse, Resource::of(principal, "break-glass")));
  STOA_TRY(rows, database_.query(fmt::format("{}WHERE tenant = ? AND (? OR holder = ?) ORDER BY created DESC, id DESC LIMIT {}", kColumns, kMaxListed),
                                 {principal.tenant, std::int64_t{all}, principal.id}));
  std::vector<Elevation> elevations;
  for (const auto& row : rows) {
    STOA_TRY(elevation, read_elevation(row));
    elevations.push_back(std::move(elevation));
  }
  return elevations;
}

Status Elevations::end(const Call& actor, std::string_view id) {
  const Principal& principal = actor.principal;
  // Whoever may end none but their own does not learn which others there are.
  const bool all = access_.decide(actor, Action::kUserManage, {.tenant = principal.tenant, .project = {}, .kind = "break-glass", .name = std::string(id)}).allowed;
  STOA_TRY(row, database_.query_one(fmt::format("{}WHERE id = ? AND tenant = ? AND (? OR holder = ?)", kColumns), {std::string(id), principal.tenant, std::int64_t{all}, principal.id}));
  if (!row) return fail(error(ErrorCode::kNotFound, "there is no such break-glass access").with_hint("`stoa break-glass list` shows them"));
  STOA_TRY(elevation, read_elevation(*row));
  STOA_CHECK(database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(changed, transaction.execute("UPDATE elevations SET ended = ? WHERE id = ? AND ended IS NULL AND expires > ?", {clock_.now(), elevation.id, clock_.now()}));
    return changed == 0 ? Status{} : tell(transaction, actor, elevation, "ended");
  }));
  log(LogLevel::kWarning, "break-glass access has ended", {{"id", elevation.id}, {"principal", elevation.holder}, {"by", principal.id}});
  count();
  return {};
}

Result<Principal> Elevations::authenticate(const Jwt& jwt) {
  const Micros now = clock_.now();
  STOA_TRY(id, tokens_.open(jwt, kElevationType, now));
  STOA_TRY(row, database_.query_one("SELECT expires, ended, holder, key_id FROM elevations WHERE id = ?", {id}));
  std::string holder, key;
  Micros expires = 0;
  std::optional<Micros> ended;
  if (row) STOA_CHECK(row->read(expires, ended, holder, key));
  if (!row || ended || expires <= now) return fail(ErrorCode::kUnauthenticated, "the token is not accepted: the break-glass access has ended");
  STOA_TRY(principal, lenders_.now(holder, key));
  principal.role = kBreakGlassRole;
  principal.scopes.clear();
  principal.elevation = id;
  principal.method = "break-glass";
  principal.expires = expires;
  return std::move(principal);
}

void Elevations::count() {
  const auto row = database_.query_one("SELECT count(*) FROM elevations WHERE ended IS NULL AND expires > ?", {clock_.now()});
  if (!row || !*row) return;
  if (const auto active = (*row)->get<std::int64_t>(0)) metrics_.gauge("stoa_break_glass_active", "Break-glass accesses that are in force.").set(static_cast<double>(*active));
}

}  // namespace stoa::governance
