#include "governance/passport/passport_store.h"

namespace stoa::governance {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"sql(
  CREATE TABLE answer_records (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, project TEXT NOT NULL, principal TEXT NOT NULL,
    request_id TEXT NOT NULL, trace_id TEXT NOT NULL, time INTEGER NOT NULL, record TEXT NOT NULL);
  CREATE INDEX answer_records_by_request ON answer_records (request_id);
  CREATE INDEX answer_records_by_trace ON answer_records (trace_id);
)sql"}};

}  // namespace

StoredRecord StoredRecord::of(const AnswerRecord& r) {
  return {r.id, r.principal.tenant, r.principal.project, r.principal.id, r.request_id, r.trace_id, r.started, record_text(r)};
}

Result<std::unique_ptr<PassportStore>> PassportStore::open(infra::SqlDatabase& database, AuditLog& log, AuditCheckpoints& checkpoints) {
  STOA_CHECK(database.migrate("governance/passport", kMigrations));
  return std::unique_ptr<PassportStore>(new PassportStore(database, log, checkpoints));
}

Status PassportStore::keep(infra::SqlTransaction& transaction, const StoredRecord& r) {
  STOA_TRY(added, transaction.execute("INSERT INTO answer_records (id, tenant, project, principal, request_id, trace_id, time, record) VALUES (?,?,?,?,?,?,?,?) "
                                      "ON CONFLICT (id) DO NOTHING",
                                      {r.id, r.tenant, r.project, r.principal, r.request_id, r.trace_id, r.time, r.text}));
  if (added == 0) return {};
  AuditEntry entry;
  entry.principal = r.principal;
  entry.tenant = r.tenant;
  entry.project = r.project;
  entry.action = kAnswerAction;
  entry.resource = answer_resource(r.id);
  entry.reason = record_digest(r.text);
  entry.request_id = r.request_id;
  entry.trace_id = r.trace_id;
  return log_.append(transaction, std::move(entry));
}

Result<JsonObject> PassportStore::passport(const Call& call, std::string_view id, bool everyones) {
  const std::string wanted(id.substr(0, 200));
  const auto unknown = [&] {
    return fail(error(ErrorCode::kNotFound, "there is no answer '{}'", wanted).with_hint("give the id of an answer (resp_..., chatcmpl_...), of its request (x-request-id) or of its trace"));
  };
  STOA_TRY(rows, database_.query("SELECT id, principal, record FROM answer_records WHERE (id = ? OR request_id = ? OR trace_id = ?) AND tenant = ? ORDER BY time LIMIT 1",
                                 {wanted, wanted, wanted, call.principal.tenant}));
  if (rows.empty()) return unknown();
  std::string answer, principal, record;
  STOA_CHECK(rows.front().read(answer, principal, record));
  if (!everyones && principal != call.principal.id) return unknown();
  STOA_TRY(note, checkpoints_.latest());
  STOA_TRY(checkpoint, open_checkpoint(note, checkpoints_.key()));
  STOA_TRY(entries, log_.query({.tenant = call.principal.tenant, .action = std::string(kAnswerAction), .resource = answer_resource(answer), .limit = 1}));
  if (entries.empty()) return fail(ErrorCode::kDataLoss, "the audit log lacks the entry of the answer '{}'", answer);
  STOA_TRY(proof, log_.prove_entry(entries.front().sequence, checkpoint.size));
  return passport_json(record, entries.front(), proof, note, checkpoints_.key());
}

}  // namespace stoa::governance
