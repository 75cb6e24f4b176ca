#include "governance/audit/audit.h"

#include <algorithm>
#include <map>

#include "governance/audit/entry_line.h"
#include "infra/crypto/encoding.h"
#include "infra/crypto/random.h"
#include "infra/journal/write_behind.h"

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
                                             {2, "CREATE INDEX audit_by_request ON audit_log (request_id)"},
                                             // From a chain of hashes to a tree; entries from before get their leaves in open().
                                             {3, R"sql(
  DROP TRIGGER audit_no_update;
  DROP TRIGGER audit_no_delete;
  ALTER TABLE audit_log DROP COLUMN hash;
  ALTER TABLE audit_log ADD COLUMN salt TEXT NOT NULL DEFAULT '';
  ALTER TABLE audit_log ADD COLUMN leaf BLOB;
  CREATE TABLE audit_nodes (level INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, position));
  CREATE INDEX audit_by_principal ON audit_log (principal, sequence);
  CREATE INDEX audit_by_resource ON audit_log (resource, sequence);
  CREATE INDEX audit_by_trace ON audit_log (trace_id, sequence);
)sql"},
                                             {4, R"sql(
  ALTER TABLE audit_log ADD COLUMN more TEXT NOT NULL DEFAULT '';
  DROP INDEX audit_by_principal;
  DROP INDEX audit_by_resource;
  DROP INDEX audit_by_trace;
  CREATE INDEX audit_of_principal ON audit_log (tenant, principal, sequence);
  CREATE INDEX audit_of_resource ON audit_log (tenant, resource, sequence);
  CREATE INDEX audit_of_trace ON audit_log (tenant, trace_id, sequence);
  CREATE INDEX audit_of_action ON audit_log (tenant, action, sequence);
  CREATE INDEX audit_of_time ON audit_log (tenant, time, sequence);
)sql"}};

constexpr std::string_view kTriggers = R"sql(
  CREATE TRIGGER IF NOT EXISTS audit_no_update BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
  CREATE TRIGGER IF NOT EXISTS audit_no_delete BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
  CREATE TRIGGER IF NOT EXISTS audit_nodes_no_update BEFORE UPDATE ON audit_nodes BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
  CREATE TRIGGER IF NOT EXISTS audit_nodes_no_delete BEFORE DELETE ON audit_nodes BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
)sql";

constexpr std::string_view kColumns = "sequence, time, principal, tenant, project, action, resource, outcome, reason, request_id, trace_id, salt, more";
constexpr std::string_view kOutcomes[] = {"allowed", "denied", "failed"};

// Roots of complete subtrees are kept at every kStep-th level, so that a proof reads a few hundred hashes of a log of any length.
constexpr int kStep = 8;
constexpr std::int64_t kWidth = std::int64_t{1} << kStep;

constexpr std::size_t kSaltBytes = 16;

// In the journal. Stored there: must not change.
constexpr std::uint8_t kJournalKind = 1;

Result<AuditEntry> read_entry(const infra::SqlRow& row) {
  AuditEntry entry;
  std::string outcome, more;
  STOA_CHECK(row.read(entry.sequence, entry.time, entry.principal, entry.tenant, entry.project, entry.action, entry.resource, outcome, entry.reason,
                      entry.request_id, entry.trace_id, entry.salt, more));
  STOA_CHECK(parse_audit_more(more, entry));
  auto known = parse_outcome(outcome);
  if (!known) return fail(ErrorCode::kDataLoss, "audit entry {} has the unknown outcome '{}'", entry.sequence, outcome);
  entry.outcome = *known;
  return entry;
}

Result<MerkleHash> to_hash(const Bytes& bytes) {
  MerkleHash hash;
  if (bytes.size() != hash.size()) return fail(ErrorCode::kDataLoss, "a hash of the audit log has {} bytes instead of {}", bytes.size(), hash.size());
  std::ranges::copy(bytes, hash.begin());
  return hash;
}

Bytes to_bytes(const MerkleHash& hash) { return {hash.begin(), hash.end()}; }

// The root of a complete subtree, from `count` kept hashes below it.
Result<MerkleHash> fold(infra::SqlSession& session, int level, std::int64_t first, std::int64_t count) {
  MerkleFrontier frontier;
  const auto take = [&](const infra::SqlRow& row) -> Result<bool> {
    STOA_TRY(bytes, row.get<Bytes>(0));
    STOA_TRY(hash, to_hash(bytes));
    frontier.add(hash);
    return true;
  };
  if (level == 0) {
    STOA_CHECK(session.for_each("SELECT leaf FROM audit_log WHERE sequence > ? AND sequence <= ? ORDER BY sequence", {first, first + count}, take));
  } else {
    STOA_CHECK(session.for_each("SELECT hash FROM audit_nodes WHERE level = ? AND position >= ? AND position < ? ORDER BY position",
                                {std::int64_t{level}, first, first + count}, take));
  }
  if (frontier.size() != count) return fail(ErrorCode::kDataLoss, "the audit log lacks some of its hashes {} to {} of level {}", first, first + count - 1, level);
  return frontier.root();
}

// After entry `sequence`: the kept nodes that it completes.
Status add_nodes(infra::SqlTransaction& transaction, std::int64_t sequence) {
  for (int level = kStep; sequence % kWidth == 0; level += kStep) {
    sequence /= kWidth;
    STOA_TRY(root, fold(transaction, level - kStep, (sequence - 1) * kWidth, kWidth));
    STOA_TRY(added, transaction.execute("INSERT INTO audit_nodes (level, position, hash) VALUES (?,?,?)", {std::int64_t{level}, sequence - 1, to_bytes(root)}));
    static_cast<void>(added);
  }
  return {};
}

// Entries of a log that was a chain of hashes.
Status add_missing_leaves(infra::SqlTransaction& transaction) {
  // All of them got theirs in one transaction, so the first one tells of all.
  STOA_TRY(rows, transaction.query_one("SELECT COALESCE(max(sequence), 0) FROM audit_log WHERE EXISTS (SELECT 1 FROM audit_log WHERE sequence = 1 AND leaf IS NULL)"));
  STOA_TRY(missing, rows->get<std::int64_t>(0));
  for (std::int64_t sequence = 1; missing > 0; ++sequence, --missing) {
    STOA_TRY(row, transaction.query_one(fmt::format("SELECT {} FROM audit_log WHERE sequence = ?", kColumns), {sequence}));
    if (!row) return fail(ErrorCode::kDataLoss, "entry {} of the audit log is missing", sequence);
    STOA_TRY(entry, read_entry(*row));
    STOA_TRY(changed, transaction.execute("UPDATE audit_log SET leaf = ? WHERE sequence = ?", {to_bytes(merkle_leaf(as_bytes(audit_line(entry)))), sequence}));
    static_cast<void>(changed);
    STOA_CHECK(add_nodes(transaction, sequence));
  }
  return transaction.execute_script(kTriggers);
}

}  // namespace

Result<Outcome> parse_outcome(std::string_view name) {
  const auto found = std::ranges::find(kOutcomes, name);
  if (found == std::end(kOutcomes)) return fail(ErrorCode::kInvalidArgument, "'{}' is no outcome: allowed, denied or failed", name);
  return static_cast<Outcome>(found - std::begin(kOutcomes));
}

std::string_view outcome_name(Outcome outcome) { return kOutcomes[static_cast<std::size_t>(outcome)]; }

AuditEntry AuditEntry::of(const Principal& principal, std::string_view action, std::string_view resource) {
  AuditEntry entry;
  entry.principal = principal.id;
  entry.tenant = principal.tenant;
  entry.project = principal.project;
  entry.action = action;
  entry.resource = resource;
  entry.key = principal.key;
  entry.break_glass = principal.elevation;
  if (!principal.elevation.empty()) entry.reason = "under break-glass " + principal.elevation;
  return entry;
}

AuditEntry AuditEntry::of(const Call& call, std::string_view action, std::string_view resource) {
  AuditEntry entry = of(call.principal, action, resource);
  entry.request_id = call.request_id;
  if (call.trace != nullptr) entry.trace_id = call.trace->id();
  entry.address = call.origin.address;
  return entry;
}

Result<std::unique_ptr<AuditLog>> AuditLog::open(infra::SqlDatabase& database, const Clock& clock, infra::WriteBehind* behind) {
  STOA_CHECK(database.migrate("audit", kMigrations));
  STOA_CHECK(database.transaction(add_missing_leaves));
  auto log = std::unique_ptr<AuditLog>(new AuditLog(database, clock, behind));
  if (behind != nullptr)
    STOA_CHECK(behind->add(kJournalKind, [log = log.get()](infra::SqlTransaction& transaction, std::span<const ByteSpan> records) -> Status {
      std::vector<AuditEntry> entries;
      for (const ByteSpan record : records) {
        STOA_TRY(entry, unpack_entry(record));
        entries.push_back(std::move(entry));
      }
      return log->add(transaction, entries);
    }));
  return log;
}

Status AuditLog::catch_up() { return behind_ == nullptr ? Status{} : behind_->catch_up(); }

Status AuditLog::append(AuditEntry entry) {
  if (behind_ != nullptr) {
    infra::JournalGroup alone;
    STOA_CHECK(append(alone, std::move(entry)));
    return behind_->append(alone);
  }
  return database_.transaction([&](infra::SqlTransaction& transaction) { return append(transaction, std::move(entry)); });
}

Status AuditLog::append(infra::JournalGroup& group, AuditEntry entry) {
  if (behind_ == nullptr) return append(std::move(entry));
  if (entry.time == 0) entry.time = clock_.now();
  group.add(kJournalKind, pack_entry(entry));
  return {};
}

Status AuditLog::append(infra::SqlTransaction& transaction, AuditEntry entry) { return add(transaction, std::span(&entry, 1)); }

Status AuditLog::add(infra::SqlTransaction& transaction, std::span<AuditEntry> entries) {
  static const std::string kInsert = fmt::format("INSERT INTO audit_log ({}, leaf) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", kColumns);
  // The write lock is held: nobody else adds between reading the last entry and writing these.
  STOA_TRY(last, transaction.query_one("SELECT max(sequence) FROM audit_log"));
  STOA_TRY(sequence, last->get<std::optional<std::int64_t>>(0));
  STOA_TRY(salts, infra::random_bytes(kSaltBytes * entries.size()));
  std::int64_t next = sequence.value_or(0);
  ByteSpan salt = salts;
  for (AuditEntry& entry : entries) {
    entry.sequence = ++next;
    if (entry.time == 0) entry.time = clock_.now();
    entry.salt = infra::to_hex(salt.first(kSaltBytes));
    salt = salt.subspan(kSaltBytes);
    const MerkleHash leaf = merkle_leaf(as_bytes(audit_line(entry)));
    std::string more = audit_more(entry);
    STOA_TRY(added, transaction.execute(kInsert, {entry.sequence, entry.time, std::move(entry.principal), std::move(entry.tenant), std::move(entry.project), std::move(entry.action),
                                                  std::move(entry.resource), std::string(outcome_name(entry.outcome)), std::move(entry.reason), std::move(entry.request_id),
                                                  std::move(entry.trace_id), std::move(entry.salt), std::move(more), to_bytes(leaf)}));
    static_cast<void>(added);
    STOA_CHECK(add_nodes(transaction, entry.sequence));
  }
  return {};
}

// Where entries of a time can be. Sequences rise with time but for the moments that an entry waits, so this is little more than them.
Result<std::pair<std::int64_t, std::int64_t>> AuditLog::sequences_of(const AuditQuery& query) {
  std::pair<std::int64_t, std::int64_t> bounds{query.after + 1, INT64_MAX};
  if (query.from <= 0 && query.until == INT64_MAX) return bounds;
  std::string sql = "SELECT COALESCE(min(sequence), 0), COALESCE(max(sequence), 0) FROM audit_log WHERE time >= ? AND time < ?";
  infra::SqlParams params{query.from, query.until};
  if (!query.tenant.empty()) {
    sql += " AND tenant = ?";
    params.push_back(query.tenant);
  }
  STOA_TRY(row, database_.query_one(sql, params));
  std::int64_t first = 0;
  STOA_CHECK(row->read(first, bounds.second));
  bounds.first = std::max(bounds.first, first);
  return bounds;
}

Result<std::vector<AuditEntry>> AuditLog::query(const AuditQuery& query) {
  if (query.limit == 0 || query.limit > kMaxPage) return fail(ErrorCode::kInvalidArgument, "limit must be 1 to {}", kMaxPage);
  STOA_CHECK(catch_up());
  STOA_TRY(bounds, sequences_of(query));
  std::string sql = fmt::format("SELECT {} FROM audit_log WHERE sequence >= ? AND sequence <= ? AND time >= ? AND time < ?", kColumns);
  infra::SqlParams params{bounds.first, bounds.second, query.from, query.until};
  // The first of these that is asked for is looked up by its index, the others are compared: as expressions, so that no planner that knows nothing of the
  // values takes the index of one that most entries have.
  bool found = false;
  const auto filter = [&](std::string_view column, const std::string& value) {
    if (value.empty()) return;
    sql += fmt::format(" AND {}{} = ?", column, found ? " || ''" : "");
    params.push_back(value);
    found = found || column != "tenant";
  };
  filter("tenant", query.tenant);
  filter("request_id", query.request_id);
  filter("trace_id", query.trace_id);
  filter("principal", query.principal);
  filter("resource", query.resource);
  filter("action", query.action);
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

MerkleNodes AuditLog::nodes() {
  return [this](int level, std::int64_t index) {
    const int kept = level / kStep * kStep;
    const std::int64_t count = std::int64_t{1} << (level - kept);
    return fold(database_, kept, index * count, count);
  };
}

Result<AuditTree> AuditLog::tree() {
  STOA_CHECK(catch_up());
  STOA_TRY(row, database_.query_one("SELECT max(sequence) FROM audit_log"));
  STOA_TRY(size, row->get<std::optional<std::int64_t>>(0));
  return tree(size.value_or(0));
}

Result<AuditTree> AuditLog::tree(std::int64_t size) {
  STOA_CHECK(check_size(size));
  STOA_TRY(root, merkle_root(size, nodes()));
  return AuditTree{size, root};
}

Status AuditLog::check_size(std::int64_t size) {
  STOA_CHECK(catch_up());
  STOA_TRY(row, database_.query_one("SELECT max(sequence) FROM audit_log"));
  STOA_TRY(last, row->get<std::optional<std::int64_t>>(0));
  if (size >= 0 && size <= last.value_or(0)) return {};
  return fail(ErrorCode::kInvalidArgument, "the audit log has {} entries, not {}", last.value_or(0), size);
}

Result<std::vector<MerkleHash>> AuditLog::prove_entry(std::int64_t sequence, std::int64_t size) {
  STOA_CHECK(check_size(size));
  return inclusion_proof(sequence - 1, size, nodes());
}

Result<std::vector<MerkleHash>> AuditLog::prove_prefix(std::int64_t old_size, std::int64_t size) {
  STOA_CHECK(check_size(size));
  return consistency_proof(old_size, size, nodes());
}

Result<std::vector<MerkleHash>> AuditLog::subtrees(std::int64_t size) {
  STOA_CHECK(check_size(size));
  return complete_subtrees(size, nodes());
}

Result<MerkleHash> AuditLog::leaf(std::int64_t sequence) {
  STOA_TRY(row, database_.query_one("SELECT leaf FROM audit_log WHERE sequence = ?", {sequence}));
  if (!row) return fail(ErrorCode::kNotFound, "the audit log has no entry {}", sequence);
  STOA_TRY(bytes, row->get<Bytes>(0));
  return to_hash(bytes);
}

Status AuditLog::for_each(std::int64_t after, std::int64_t until, const Visitor& visit) {
  return database_.for_each(fmt::format("SELECT {}, leaf FROM audit_log WHERE sequence > ? AND sequence <= ? ORDER BY sequence", kColumns), {after, until},
                            [&](const infra::SqlRow& row) -> Result<bool> {
                              STOA_TRY(entry, read_entry(row));
                              STOA_TRY(bytes, row.get<Bytes>("leaf"));
                              STOA_TRY(leaf, to_hash(bytes));
                              STOA_CHECK(visit(entry, leaf));
                              return true;
                            });
}

Result<AuditCheck> AuditLog::verify(std::span<const AuditTree> known) {
  STOA_CHECK(catch_up());
  AuditCheck check;
  MerkleFrontier tree;
  std::vector<MerkleFrontier> below;  // of the kept node that is being filled, level by level
  const auto broken = [&](std::int64_t sequence, std::string reason) {
    check.broken = sequence;
    check.reason = std::move(reason);
    return false;
  };
  auto next = known.begin();
  std::int64_t good = 0;  // entries that a signed tree vouches for
  const auto trees_hold = [&] {
    for (; next != known.end() && next->size == tree.size(); ++next) {
      if (next->root != tree.root()) return broken(good + 1, fmt::format("entries {} to {} are not those that were signed", good + 1, next->size));
      good = next->size;
    }
    return true;
  };
  std::map<std::pair<std::int64_t, std::int64_t>, MerkleHash> complete;  // the nodes that have to be kept, by level and position
  const auto add = [&](MerkleHash hash) {
    tree.add(hash);
    std::int64_t position = tree.size();
    for (std::size_t level = 0;; ++level) {
      if (below.size() == level) below.emplace_back();
      below[level].add(hash);
      if (below[level].size() < kWidth) return;
      hash = below[level].root();
      below[level] = {};
      position /= kWidth;
      complete[{static_cast<std::int64_t>(level + 1) * kStep, position - 1}] = hash;
    }
  };
  const auto visit = [&](const infra::SqlRow& row) -> Result<bool> {
    const std::int64_t expected = check.entries + 1;
    const auto entry = read_entry(row);
    if (!entry) return broken(expected, entry.error().message);
    if (entry->sequence != expected) return broken(expected, fmt::format("entry {} is missing", expected));
    const auto stored = row.get<Bytes>("leaf");
    const MerkleHash leaf = merkle_leaf(as_bytes(audit_line(*entry)));
    if (!stored || *stored != to_bytes(leaf)) return broken(expected, fmt::format("entry {} is not what was written", expected));
    if (!trees_hold()) return false;
    add(leaf);
    check.entries = expected;
    return true;
  };
  STOA_CHECK(database_.for_each(fmt::format("SELECT {}, leaf FROM audit_log ORDER BY sequence", kColumns), {}, visit));
  if (check.broken || !trees_hold()) return check;
  if (next != known.end()) {
    broken(check.entries + 1, fmt::format("the log ends before entry {}, which was signed", next->size));
    return check;
  }
  STOA_CHECK(database_.for_each("SELECT level, position, hash FROM audit_nodes", {}, [&](const infra::SqlRow& row) -> Result<bool> {
    std::int64_t level = 0, position = 0;
    Bytes hash;
    STOA_CHECK(row.read(level, position, hash));
    const auto found = complete.find({level, position});
    if (found != complete.end() && to_bytes(found->second) == hash) complete.erase(found);
    return true;
  }));
  // Those over entries that were added meanwhile are not among the complete ones.
  if (!complete.empty()) {
    const auto& [level, position] = complete.begin()->first;
    broken((position << level) + 1, fmt::format("the hash kept of entries {} to {} is not what was written", (position << level) + 1, (position + 1) << level));
  }
  return check;
}

}  // namespace stoa::governance
