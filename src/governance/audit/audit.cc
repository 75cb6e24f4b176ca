#include "governance/audit/audit.h"

#include <algorithm>

#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"

namespace stoa::governance {
namespace {

constexpr std::size_t kMaxPage = 1000;

constexpr infra::Migration kMigrations[] = {{1, R"sql(
  CREATE TABLE audit_log (
    sequence INTEGER PRIMARY KEY, time INTEGER NOT NULL, principal TEXT NOT NULL, tenant TEXT NOT NULL, project TEXT NOT NULL,
    action TEXT NOT NULL, resource TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL,
    request_id TEXT NOT NULL, trace_id TEXT NOT NULL, hash TEXT NOT NULL);
  CREATE INDEX audit_by_tenant ON audit_log (tenant, sequence);
  CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
  CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
)sql"},
                                             {2, "CREATE INDEX audit_by_request ON audit_log (request_id)"}};

constexpr std::string_view kColumns = "sequence, time, principal, tenant, project, action, resource, outcome, reason, request_id, trace_id";
constexpr std::string_view kOutcomes[] = {"allowed", "denied", "failed"};

std::string first_hash() { return std::string(64, '0'); }

// The hash covers every field with its length before it, so that no two entries have the same text, and the hash before.
std::string hash_of(const AuditEntry& entry, const std::string& previous) {
  std::string text = previous;
  const auto add = [&](std::string_view field) { text += fmt::format("{}:{};", field.size(), field); };
  add(fmt::format("{}", entry.sequence));
  add(fmt::format("{}", entry.time));
  for (const std::string_view field : {std::string_view(entry.principal), std::string_view(entry.tenant), std::string_view(entry.project),
                                       std::string_view(entry.action), std::string_view(entry.resource), outcome_name(entry.outcome),
                                       std::string_view(entry.reason), std::string_view(entry.request_id), std::string_view(entry.trace_id)})
    add(field);
  return infra::sha256_hex(text);
}

Result<AuditEntry> read_entry(const infra::SqlRow& row) {
  AuditEntry entry;
  std::string outcome;
  STOA_CHECK(row.read(entry.sequence, entry.time, entry.principal, entry.tenant, entry.project, entry.action, entry.resource, outcome, entry.reason,
                      entry.request_id, entry.trace_id));
  const auto found = std::ranges::find(kOutcomes, outcome);
  if (found == std::end(kOutcomes)) return fail(ErrorCode::kDataLoss, "audit entry {} has the unknown outcome '{}'", entry.sequence, outcome);
  entry.outcome = static_cast<Outcome>(found - std::begin(kOutcomes));
  return entry;
}

}  // namespace

std::string_view outcome_name(Outcome outcome) { return kOutcomes[static_cast<std::size_t>(outcome)]; }

AuditEntry AuditEntry::of(const Principal& principal, std::string_view action, std::string_view resource) {
  AuditEntry entry;
  entry.principal = principal.id;
  entry.tenant = principal.tenant;
  entry.project = principal.project;
  entry.action = action;
  entry.resource = resource;
  return entry;
}

AuditEntry AuditEntry::of(const Call& call, std::string_view action, std::string_view resource) {
  AuditEntry entry = of(call.principal, action, resource);
  entry.request_id = call.request_id;
  if (call.trace != nullptr) entry.trace_id = call.trace->id();
  return entry;
}

Result<std::unique_ptr<AuditLog>> AuditLog::open(infra::SqlDatabase& database, const Clock& clock) {
  STOA_CHECK(database.migrate("audit", kMigrations));
  return std::unique_ptr<AuditLog>(new AuditLog(database, clock));
}

Status AuditLog::append(AuditEntry entry) {
  return database_.transaction([&](infra::SqlTransaction& transaction) { return append(transaction, std::move(entry)); });
}

Status AuditLog::append(infra::SqlTransaction& transaction, AuditEntry entry) {
  // The write lock is held: nobody else adds between reading the last entry and writing this one.
  STOA_TRY(last, transaction.query_one("SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1"));
  std::string previous = first_hash();
  std::int64_t sequence = 0;
  if (last) STOA_CHECK(last->read(sequence, previous));
  entry.sequence = sequence + 1;
  if (entry.time == 0) entry.time = clock_.now();
  const std::string hash = hash_of(entry, previous);
  STOA_TRY(added, transaction.execute(fmt::format("INSERT INTO audit_log ({}, hash) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", kColumns),
                                      {entry.sequence, entry.time, entry.principal, entry.tenant, entry.project, entry.action, entry.resource,
                                       std::string(outcome_name(entry.outcome)), entry.reason, entry.request_id, entry.trace_id, hash}));
  static_cast<void>(added);
  return {};
}

Status AuditLog::append_once(AuditEntry entry) {
  return database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(there, transaction.query("SELECT 1 FROM audit_log WHERE request_id = ? AND action = ? AND resource = ? LIMIT 1",
                                      {entry.request_id, entry.action, entry.resource}));
    return there.empty() ? append(transaction, std::move(entry)) : Status{};
  });
}

Result<std::vector<AuditEntry>> AuditLog::query(const AuditQuery& query) {
  if (query.limit == 0 || query.limit > kMaxPage) return fail(ErrorCode::kInvalidArgument, "limit must be 1 to {}", kMaxPage);
  std::string sql = fmt::format("SELECT {} FROM audit_log WHERE sequence > ? AND time >= ? AND time < ?", kColumns);
  infra::SqlParams params{query.after, query.from, query.until};
  const auto filter = [&](std::string_view column, const std::string& value) {
    if (value.empty()) return;
    sql += fmt::format(" AND {} = ?", column);
    params.push_back(value);
  };
  filter("tenant", query.tenant);
  filter("principal", query.principal);
  filter("action", query.action);
  filter("resource", query.resource);
  sql += " ORDER BY sequence LIMIT ?";
  params.push_back(static_cast<std::int64_t>(query.limit));
  std::vector<AuditEntry> entries;
  STOA_CHECK(database_.for_each(sql, params, [&](const infra::SqlRow& row) -> Result<bool> {
    STOA_TRY(entry, read_entry(row));
    entries.push_back(std::move(entry));
    return true;
  }));
  return entries;
}

Result<AuditCheck> AuditLog::verify(const std::optional<std::string>& expected_head) {
  AuditCheck check;
  std::string previous = first_hash();
  bool head_seen = !expected_head || *expected_head == previous;
  const auto visit = [&](const infra::SqlRow& row) -> Result<bool> {
    const auto entry = read_entry(row);
    STOA_TRY(stored, row.get<std::string>("hash"));
    const std::int64_t expected = check.entries + 1;
    if (!entry || entry->sequence != expected || hash_of(*entry, previous) != stored) {
      check.broken = expected;
      check.reason = !entry ? entry.error().message
                   : entry->sequence != expected ? fmt::format("entry {} is missing", expected)
                                                 : fmt::format("entry {} is not what was written, or one before it is missing", expected);
      return false;
    }
    check.entries = expected;
    previous = stored;
    if (expected_head && *expected_head == stored) head_seen = true;
    return true;
  };
  STOA_CHECK(database_.for_each(fmt::format("SELECT {}, hash FROM audit_log ORDER BY sequence", kColumns), {}, visit));
  if (!check.broken && !head_seen) {
    check.broken = check.entries + 1;
    check.reason = "the log ends before the entry whose hash was expected";
  }
  return check;
}

Result<std::string> AuditLog::head() {
  STOA_TRY(row, database_.query_one("SELECT hash FROM audit_log ORDER BY sequence DESC LIMIT 1"));
  if (!row) return first_hash();
  return row->get<std::string>(0);
}

}  // namespace stoa::governance
