#include "gateway/batch/batch_store.h"

#include <algorithm>
#include <array>

#include "base/id.h"
#include "base/log.h"
#include "data/sources/blob_collector.h"
#include "gateway/batch/batch_json.h"

namespace stoa::gateway {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"sql(
CREATE TABLE batches (
  id TEXT PRIMARY KEY, dialect TEXT NOT NULL, tenant TEXT NOT NULL, project TEXT NOT NULL, owner TEXT NOT NULL, key_id TEXT NOT NULL,
  endpoint TEXT NOT NULL, input TEXT NOT NULL, bytes INTEGER NOT NULL, input_file TEXT NOT NULL, output_file TEXT NOT NULL, error_file TEXT NOT NULL,
  status INTEGER NOT NULL, ending INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, started INTEGER NOT NULL, cancelling INTEGER NOT NULL,
  finalizing INTEGER NOT NULL, ended INTEGER NOT NULL, total INTEGER NOT NULL, succeeded INTEGER NOT NULL, failed INTEGER NOT NULL,
  cancelled INTEGER NOT NULL, expired INTEGER NOT NULL, sealed BLOB NOT NULL);
CREATE INDEX batches_by_owner ON batches (project, owner, id);
CREATE INDEX batches_by_status ON batches (status, id);
CREATE INDEX batches_by_input ON batches (input);
CREATE TABLE batch_results (
  batch TEXT NOT NULL REFERENCES batches (id) ON DELETE CASCADE, line INTEGER NOT NULL, status INTEGER NOT NULL, sure INTEGER NOT NULL, sealed BLOB NOT NULL,
  PRIMARY KEY (batch, line));
CREATE INDEX batch_results_by_status ON batch_results (batch, status, sure);
CREATE TABLE batch_windows (
  project TEXT NOT NULL, version INTEGER NOT NULL, windows TEXT NOT NULL, author TEXT NOT NULL, time INTEGER NOT NULL,
  PRIMARY KEY (project, version));
)sql"},
                                             {2, R"sql(
ALTER TABLE batches ADD COLUMN input_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN cached_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN output_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN reasoning_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch_results ADD COLUMN input_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch_results ADD COLUMN cached_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch_results ADD COLUMN output_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch_results ADD COLUMN reasoning_tokens INTEGER NOT NULL DEFAULT 0;
)sql"}};

constexpr std::string_view kColumns =
    "id, dialect, tenant, project, owner, key_id, endpoint, bytes, input_file, output_file, error_file, status, ending, created, expires, started, cancelling, "
    "finalizing, ended, total, succeeded, failed, cancelled, expired, sealed";
constexpr std::string_view kCounted = "input_tokens, cached_tokens, output_tokens, reasoning_tokens";
constexpr std::string_view kBatches = "batches", kResults = "batch_results";

std::int64_t number(BatchStatus status) { return static_cast<std::int64_t>(status); }

std::unexpected<Error> no_batch(std::string_view id) { return fail(error(ErrorCode::kNotFound, "no batch '{}'", id.substr(0, 80)).with_param("batch_id")); }

Result<infra::SqlValue> seal_batch(const governance::ProjectKeys& keys, const Batch& batch) {
  return governance::seal_record(keys, governance::row_context(kBatches, batch.id),
                                 {batch.input, dump_json(metadata_json(batch.metadata)), dump_json(problems_json(batch.problems)), dump_json(origin_json(batch.origin))});
}

Result<infra::SqlValue> seal_result(const governance::ProjectKeys& keys, const std::string& batch, const BatchResult& result) {
  return governance::seal_record(keys, governance::row_context(kResults, batch, result.line), {result.custom_id, result.request_id, result.body});
}

}  // namespace

std::string_view batch_status_name(BatchStatus status) {
  constexpr std::array<std::string_view, 8> kNames{"validating", "in_progress", "cancelling", "finalizing", "completed", "failed", "expired", "cancelled"};
  return kNames[static_cast<std::size_t>(status)];
}

Status BatchStore::open() { return sql_.migrate("gateway/batch", kMigrations); }

std::vector<governance::SealedTable> BatchStore::sealed_tables() {
  return {{.name = std::string(kBatches), .ids = {"id"}, .project = "t.project", .from = "batches t", .columns = {},
           .blobs = "SELECT input FROM batches WHERE project = ? AND input <> ''"},
          {.name = std::string(kResults), .ids = {"batch", "line"}, .project = "b.project", .from = "batch_results t JOIN batches b ON b.id = t.batch", .columns = {}}};
}

Result<bool> BatchStore::uses(infra::SqlSession& session, const std::string& address) {
  STOA_TRY(row, session.query_one("SELECT EXISTS (SELECT 1 FROM batches WHERE input = ?)", {address}));
  return row->get<bool>(0);
}

// `counted`: of one that runs, the counts are those of its results by now.
Result<Batch> BatchStore::read(const infra::SqlRow& row, bool counted) {
  Batch batch;
  std::int64_t status = 0, ending = 0;
  Bytes sealed;
  STOA_CHECK(row.read(batch.id, batch.dialect, batch.tenant, batch.project, batch.owner, batch.key, batch.endpoint, batch.bytes, batch.input_file, batch.output_file,
                      batch.error_file, status, ending, batch.created, batch.expires, batch.started, batch.cancelling, batch.finalizing, batch.ended, batch.total,
                      batch.succeeded, batch.failed, batch.cancelled, batch.expired, sealed, batch.usage.prompt_tokens, batch.usage.cached_tokens, batch.usage.completion_tokens,
                      batch.usage.reasoning_tokens));
  if (status < 0 || status > number(BatchStatus::kCancelled) || ending < 0 || ending > number(BatchStatus::kCancelled))
    return fail(ErrorCode::kUnsupported, "the batch {} has a state of a newer release", batch.id);
  batch.status = static_cast<BatchStatus>(status);
  batch.ending = static_cast<BatchStatus>(ending);
  STOA_TRY(keys, this->keys(batch.project));
  STOA_TRY(record, governance::open_record(keys, governance::row_context(kBatches, batch.id), sealed, 4));
  batch.input = record.text(0);
  STOA_TRY(metadata, parse_json(record.fields[1]));
  STOA_TRY(problems, parse_json(record.fields[2]));
  STOA_TRY(origin, parse_json(record.fields[3]));
  for (const auto& [key, value] : metadata.as_object()) batch.metadata.emplace(key, value.as_string());
  batch.problems = problems_of(problems.as_array());
  batch.origin = origin_of(origin.as_object());
  if (counted && !has_ended(batch.status)) STOA_CHECK(count(batch));
  return batch;
}

Status BatchStore::count(Batch& batch) {
  batch.succeeded = batch.failed = batch.cancelled = batch.expired = 0;
  batch.usage = {};
  constexpr std::string_view kSums = "SELECT status, COUNT(*), SUM(input_tokens), SUM(cached_tokens), SUM(output_tokens), SUM(reasoning_tokens) FROM batch_results WHERE batch = ? GROUP BY status";
  return sql_.for_each(kSums, {batch.id}, [&](const infra::SqlRow& row) -> Result<bool> {
    BatchResult result;
    std::int64_t lines = 0;
    Usage& usage = result.usage;
    STOA_CHECK(row.read(result.status, lines, usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.reasoning_tokens));
    (result.succeeded() ? batch.succeeded : result.status == BatchResult::kCancelled ? batch.cancelled : result.status == BatchResult::kExpired ? batch.expired : batch.failed) += lines;
    batch.usage.prompt_tokens += usage.prompt_tokens;
    batch.usage.cached_tokens += usage.cached_tokens;
    batch.usage.completion_tokens += usage.completion_tokens;
    batch.usage.reasoning_tokens += usage.reasoning_tokens;
    return true;
  });
}

Result<std::string> BatchStore::put_input(const Principal& principal, std::string_view lines) {
  STOA_TRY(keys, this->keys(principal.project));
  STOA_TRY(blob, blobs_.put(keys, as_bytes(lines)));
  return blob.digest;
}

Result<Batch> BatchStore::create(const Call& call, std::string_view id_prefix, Batch batch, Micros lifetime) {
  const Principal& principal = call.principal;
  batch.id = new_id(id_prefix);
  batch.tenant = principal.tenant;
  batch.project = principal.project;
  batch.owner = principal.id;
  batch.key = principal.key;
  batch.origin = call.origin;
  batch.created = clock_.now();
  batch.expires = batch.created + lifetime;
  STOA_TRY(keys, this->keys(batch.project));
  STOA_TRY(sealed, seal_batch(keys, batch));
  const std::string address = governance::SealedBlobs::address_of(keys, batch.input);
  const Status created = sql_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(open, transaction.query_one("SELECT COUNT(*) FROM batches WHERE project = ? AND status < ?", {batch.project, number(BatchStatus::kCompleted)}));
    STOA_TRY(unfinished, open->get<std::int64_t>(0));
    if (unfinished >= kMostOpen)
      return fail(error(ErrorCode::kResourceExhausted, "{} batches of this project are not finished", unfinished).with_hint("wait for them, or cancel some"));
    STOA_TRY(here, blobs_.exists(keys, batch.input));
    if (!here) return fail(error(ErrorCode::kNotFound, "the batch's input was deleted meanwhile").with_param("input_file_id"));
    STOA_CHECK(transaction.execute(fmt::format("INSERT INTO batches ({}, input) VALUES (?,?,?,?,?,?,?,?,?,'','',?,?,?,?,0,0,0,0,?,0,0,0,0,?,?)", kColumns),
                                   {batch.id, batch.dialect, batch.tenant, batch.project, batch.owner, batch.key, batch.endpoint, batch.bytes, batch.input_file,
                                    number(batch.status), number(batch.ending), batch.created, batch.expires, batch.total, sealed, address}));
    return {};
  });
  if (created) return batch;
  // Lines that were put for it alone are named by nothing.
  if (const auto freed = sql_.transaction([&](infra::SqlTransaction& transaction) { return data::release_blobs(events_, transaction, {&address, 1}); }); !freed)
    log_error("the input of a batch that was not made stays in the store", freed.error());
  return fail(created.error());
}

Result<Batch> BatchStore::find(const Principal& principal, std::string_view dialect, std::string_view id) {
  STOA_TRY(row, sql_.query_one(fmt::format("SELECT {}, {} FROM batches WHERE id = ? AND project = ? AND owner = ? AND dialect = ?", kColumns, kCounted),
                               {std::string(id.substr(0, 80)), principal.project, principal.id, std::string(dialect)}));
  if (!row) return no_batch(id);
  return read(*row, true);
}

Result<data::Page<Batch>> BatchStore::list(const Principal& principal, std::string_view dialect, const data::PageRequest& page) {
  std::string sql = fmt::format("SELECT {}, {} FROM batches WHERE project = ? AND owner = ? AND dialect = ?", kColumns, kCounted);
  infra::SqlParams params{principal.project, principal.id, std::string(dialect)};
  if (!page.after.empty()) {
    sql += page.ascending ? " AND id > ?" : " AND id < ?";
    params.emplace_back(page.after);
  }
  sql += fmt::format(" ORDER BY id{} LIMIT {}", page.ascending ? "" : " DESC", page.limit + 1);
  STOA_TRY(rows, sql_.query(sql, params));
  data::Page<Batch> out;
  out.more = rows.size() > page.limit;
  for (std::size_t i = 0; i < std::min(rows.size(), page.limit); ++i) {
    STOA_TRY(batch, read(rows[i], true));
    out.items.push_back(std::move(batch));
  }
  return out;
}

Result<Batch> BatchStore::cancel(const Principal& principal, std::string_view dialect, std::string_view id) {
  STOA_TRY(batch, find(principal, dialect, id));
  STOA_TRY(changed, sql_.execute("UPDATE batches SET status = ?, ending = ?, cancelling = ? WHERE id = ? AND status < ?",
                                 {number(BatchStatus::kCancelling), number(BatchStatus::kCancelled), clock_.now(), batch.id, number(BatchStatus::kCancelling)}));
  if (changed == 0 && has_ended(batch.status))
    return fail(error(ErrorCode::kConflict, "the batch '{}' is {} already", batch.id, batch_status_name(batch.status)).with_param("batch_id"));
  return find(principal, dialect, id);
}

Status BatchStore::remove(const Principal& principal, std::string_view dialect, std::string_view id) {
  STOA_TRY(batch, find(principal, dialect, id));
  STOA_TRY(removed, sql_.execute("DELETE FROM batches WHERE id = ? AND status >= ?", {batch.id, number(BatchStatus::kCompleted)}));
  if (removed == 0)
    return fail(error(ErrorCode::kConflict, "the batch '{}' is {}", batch.id, batch_status_name(batch.status)).with_hint("cancel it, and wait until it has ended").with_param("batch_id"));
  return {};
}

Result<BatchWindowVersion> BatchStore::windows(std::string_view project) {
  STOA_TRY(row, sql_.query_one("SELECT version, windows, author, time FROM batch_windows WHERE project = ? ORDER BY version DESC LIMIT 1", {std::string(project)}));
  BatchWindowVersion out;
  if (!row) return out;
  std::string text;
  STOA_CHECK(row->read(out.version, text, out.author, out.time));
  STOA_TRY(windows, BatchWindows::parse(text));
  out.windows = std::move(windows);
  return out;
}

Result<BatchWindowVersion> BatchStore::set_windows(const Call& call, const BatchWindows& windows) {
  constexpr std::string_view kChange = "batch.window.set";
  const Principal& principal = call.principal;
  const auto project = governance::Resource::of(principal, "project", principal.project);
  if (auto permit = access_.check(call, governance::Action::kProjectManage, project); !permit) {
    auto entry = governance::AuditEntry::of(call, kChange, project.text());
    entry.outcome = governance::Outcome::kDenied;
    entry.reason = permit.error().message;
    if (const auto recorded = audit_.append(std::move(entry)); !recorded) log_error("a refusal was not recorded in the audit log", recorded.error());
    return fail(std::move(permit).error());
  }
  STOA_CHECK(sql_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("INSERT INTO batch_windows (project, version, windows, author, time) SELECT ?, COALESCE(MAX(version), 0) + 1, ?, ?, ? FROM batch_windows WHERE project = ?",
                                   {principal.project, windows.text(), principal.id, clock_.now(), principal.project}));
    return audit_.append(transaction, governance::AuditEntry::of(call, kChange, fmt::format("project {} {}", principal.project, windows.always() ? "always" : windows.text())));
  }));
  return this->windows(principal.project);
}

// ---- For the runner

Result<std::vector<BatchStore::Unfinished>> BatchStore::unfinished() {
  STOA_TRY(rows, sql_.query("SELECT id, project, status FROM batches WHERE status < ? ORDER BY id", {number(BatchStatus::kCompleted)}));
  std::vector<Unfinished> out;
  for (const auto& row : rows) {
    Unfinished& one = out.emplace_back();
    std::int64_t status = 0;
    STOA_CHECK(row.read(one.id, one.project, status));
    one.status = static_cast<BatchStatus>(status);
  }
  return out;
}

Result<Batch> BatchStore::load(const std::string& id) {
  STOA_TRY(row, sql_.query_one(fmt::format("SELECT {}, {} FROM batches WHERE id = ?", kColumns, kCounted), {id}));
  if (!row) return no_batch(id);
  return read(*row, false);
}

Result<Bytes> BatchStore::read_input(const Batch& batch, std::uint64_t offset, std::size_t length) {
  STOA_TRY(keys, this->keys(batch.project));
  return blobs_.read(keys, batch.input, offset, length);
}

Status BatchStore::save(const Batch& batch) {
  STOA_TRY(keys, this->keys(batch.project));
  STOA_TRY(sealed, seal_batch(keys, batch));
  // Whoever cancelled it meanwhile is not overruled.
  return sql_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("UPDATE batches SET status = CASE WHEN status = ? AND ? < ? THEN status ELSE ? END, ending = CASE WHEN ending = ? THEN ending ELSE ? END, started = ?, finalizing = ?, "
                                   "total = ?, output_file = ?, error_file = ?, sealed = ? WHERE id = ?",
                                   {number(BatchStatus::kCancelling), number(batch.status), number(BatchStatus::kCancelling), number(batch.status), number(BatchStatus::kCancelled),
                                    number(batch.ending), batch.started, batch.finalizing, batch.total, batch.output_file, batch.error_file, sealed, batch.id}));
    return {};
  });
}

Status BatchStore::finish(const Batch& batch, bool keep_results) {
  Batch counted = batch;
  STOA_CHECK(count(counted));
  STOA_TRY(keys, this->keys(batch.project));
  const std::string address = governance::SealedBlobs::address_of(keys, batch.input);
  STOA_TRY(sealed, seal_batch(keys, batch));
  return sql_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("UPDATE batches SET status = ?, ended = ?, succeeded = ?, failed = ?, cancelled = ?, expired = ?, output_file = ?, error_file = ?, input = '', sealed = ?, "
                                   "input_tokens = ?, cached_tokens = ?, output_tokens = ?, reasoning_tokens = ? WHERE id = ?",
                                   {number(batch.status), batch.ended, counted.succeeded, counted.failed, counted.cancelled, counted.expired, batch.output_file, batch.error_file, sealed,
                                    counted.usage.prompt_tokens, counted.usage.cached_tokens, counted.usage.completion_tokens, counted.usage.reasoning_tokens, batch.id}));
    if (!keep_results) STOA_CHECK(transaction.execute("DELETE FROM batch_results WHERE batch = ?", {batch.id}));
    return data::release_blobs(events_, transaction, {&address, 1});
  });
}

Status BatchStore::keep(const Batch& batch, const BatchResult& result) {
  STOA_TRY(keys, this->keys(batch.project));
  STOA_TRY(sealed, seal_result(keys, batch.id, result));
  const Usage& usage = result.usage;
  STOA_CHECK(sql_.execute(fmt::format("INSERT INTO batch_results (batch, line, status, sure, sealed, {}) VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?)", kCounted),
                          {batch.id, result.line, std::int64_t{result.status}, sealed, usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.reasoning_tokens}));
  return {};
}

Status BatchStore::keep_all(const Batch& batch, const std::vector<BatchResult>& results) {
  STOA_TRY(keys, this->keys(batch.project));
  return sql_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    for (const BatchResult& result : results) {
      STOA_TRY(sealed, seal_result(keys, batch.id, result));
      STOA_CHECK(transaction.execute("INSERT INTO batch_results (batch, line, status, sure, sealed) VALUES (?, ?, ?, 1, ?) ON CONFLICT DO NOTHING",
                                     {batch.id, result.line, std::int64_t{result.status}, sealed}));
    }
    return {};
  });
}

Status BatchStore::mark_sure(const std::string& batch, const std::vector<std::int64_t>& lines) {
  if (lines.empty()) return {};
  return sql_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    for (const std::int64_t line : lines) STOA_CHECK(transaction.execute("UPDATE batch_results SET sure = 1 WHERE batch = ? AND line = ?", {batch, line}));
    return {};
  });
}

Status BatchStore::drop(const std::string& batch, std::int64_t line) {
  STOA_CHECK(sql_.execute("DELETE FROM batch_results WHERE batch = ? AND line = ? AND sure = 0", {batch, line}));
  return {};
}

Result<BatchStore::Done> BatchStore::done(const Batch& batch) {
  Done out;
  STOA_CHECK(sql_.for_each("SELECT line FROM batch_results WHERE batch = ? ORDER BY line", {batch.id}, [&](const infra::SqlRow& row) -> Result<bool> {
    STOA_TRY(line, row.get<std::int64_t>(0));
    out.lines.push_back(line);
    return true;
  }));
  STOA_TRY(keys, this->keys(batch.project));
  STOA_CHECK(sql_.for_each("SELECT line, status, sealed FROM batch_results WHERE batch = ? AND sure = 0", {batch.id}, [&](const infra::SqlRow& row) -> Result<bool> {
    BatchResult& result = out.unsure.emplace_back();
    Bytes sealed;
    STOA_CHECK(row.read(result.line, result.status, sealed));
    STOA_TRY(record, governance::open_record(keys, governance::row_context(kResults, batch.id, result.line), sealed, 3));
    result.custom_id = record.text(0);
    result.request_id = record.text(1);
    return true;
  }));
  return out;
}

Status BatchStore::results(const Batch& batch, std::int64_t after, const Visitor& visit) {
  STOA_TRY(keys, this->keys(batch.project));
  return sql_.for_each("SELECT line, status, sealed FROM batch_results WHERE batch = ? AND line > ? ORDER BY line", {batch.id, after}, [&](const infra::SqlRow& row) -> Result<bool> {
    BatchResult result;
    Bytes sealed;
    STOA_CHECK(row.read(result.line, result.status, sealed));
    STOA_TRY(record, governance::open_record(keys, governance::row_context(kResults, batch.id, result.line), sealed, 3));
    result.custom_id = record.text(0);
    result.request_id = record.text(1);
    result.body = record.text(2);
    return visit(result);
  });
}

Status BatchStore::forget_old() {
  STOA_CHECK(sql_.execute("DELETE FROM batches WHERE status >= ? AND ended < ?", {number(BatchStatus::kCompleted), clock_.now() - kRetention}));
  return {};
}

}  // namespace stoa::gateway
