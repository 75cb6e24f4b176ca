#include "governance/passport/passport_store.h"

#include <algorithm>

#include "infra/journal/packing.h"
#include "infra/journal/write_behind.h"

namespace stoa::governance {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"sql(
  CREATE TABLE answer_records (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, project TEXT NOT NULL, principal TEXT NOT NULL,
    request_id TEXT NOT NULL, trace_id TEXT NOT NULL, time INTEGER NOT NULL, record TEXT NOT NULL);
  CREATE INDEX answer_records_by_request ON answer_records (request_id);
  CREATE INDEX answer_records_by_trace ON answer_records (trace_id);
)sql"}};

// In the journal. Stored there: must not change.
constexpr std::uint8_t kJournalKind = 6;

constexpr std::size_t kMostOfRequest = 1000;  // entries: one, and one for every hundred documents that were shown

constexpr const char* kInsert =
    "INSERT INTO answer_records (id, tenant, project, principal, request_id, trace_id, time, record) VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING";

// Calls `text` and `number` for each member, so that writing, reading and storing cannot disagree.
template <class Record, class Text, class Number>
void each_member(Record& r, const Text& text, const Number& number) {
  for (auto* member : {&r.id, &r.tenant, &r.project, &r.principal, &r.request_id, &r.trace_id}) text(*member);
  number(r.time);
  text(r.text);
}

Status insert(infra::SqlTransaction& transaction, StoredRecord record) {
  infra::SqlParams params;
  each_member(record, [&](std::string& text) { params.emplace_back(std::move(text)); }, [&](std::int64_t number) { params.emplace_back(number); });
  STOA_TRY(added, transaction.execute(kInsert, params));
  static_cast<void>(added);
  return {};
}

Status take(infra::SqlTransaction& transaction, std::span<const ByteSpan> records) {
  for (const ByteSpan bytes : records) {
    infra::Unpacker unpacker(bytes);
    StoredRecord record;
    each_member(record, [&](std::string& text) { unpacker.take(text); }, [&](std::int64_t& number) { unpacker.take(number); });
    STOA_CHECK(unpacker.finish("record of an answer"));
    STOA_CHECK(insert(transaction, std::move(record)));
  }
  return {};
}

}  // namespace

StoredRecord StoredRecord::of(const AnswerRecord& r) {
  return {r.id, r.principal.tenant, r.principal.project, r.principal.id, r.request_id, r.trace_id, r.started, record_text(r)};
}

Result<std::unique_ptr<PassportStore>> PassportStore::open(infra::SqlDatabase& database, AuditLog& log, AuditCheckpoints& checkpoints, infra::WriteBehind* behind) {
  STOA_CHECK(database.migrate("governance/passport", kMigrations));
  if (behind != nullptr) STOA_CHECK(behind->add(kJournalKind, take));
  return std::unique_ptr<PassportStore>(new PassportStore(database, log, checkpoints, behind));
}

Status PassportStore::keep(infra::JournalGroup& group, const StoredRecord& record, AuditEntry& entry) {
  entry.answer = record.id;
  entry.record = record_digest(record.text);
  if (behind_ == nullptr) return database_.transaction([&](infra::SqlTransaction& transaction) { return insert(transaction, record); });
  infra::Packer packer;
  each_member(record, [&](const std::string& text) { packer.add(text); }, [&](std::int64_t number) { packer.add(number); });
  group.add(kJournalKind, packer.text());
  return {};
}

// The entry that names the record's digest.
Result<AuditEntry> PassportStore::entry_of(const StoredRecord& record) {
  STOA_TRY(entries, log_.query({.tenant = record.tenant, .request_id = record.request_id, .limit = kMostOfRequest}));
  const std::string digest = record_digest(record.text);
  const auto found = std::ranges::find(entries, digest, recorded_digest);
  if (found == entries.end()) return fail(ErrorCode::kDataLoss, "the audit log lacks the entry of the answer '{}'", record.id);
  return std::move(*found);
}

Result<JsonObject> PassportStore::passport(const Call& call, std::string_view id, bool everyones) {
  const std::string wanted(id.substr(0, 200));
  const auto unknown = [&] {
    return fail(error(ErrorCode::kNotFound, "there is no answer '{}'", wanted).with_hint("give the id of an answer (resp_..., chatcmpl_...), of its request (x-request-id) or of its trace"));
  };
  if (behind_ != nullptr) STOA_CHECK(behind_->catch_up());
  STOA_TRY(rows, database_.query("SELECT id, principal, request_id, record FROM answer_records WHERE (id = ? OR request_id = ? OR trace_id = ?) AND tenant = ? ORDER BY time LIMIT 1",
                                 {wanted, wanted, wanted, call.principal.tenant}));
  if (rows.empty()) return unknown();
  StoredRecord record;
  record.tenant = call.principal.tenant;
  STOA_CHECK(rows.front().read(record.id, record.principal, record.request_id, record.text));
  if (!everyones && record.principal != call.principal.id) return unknown();
  STOA_TRY(note, checkpoints_.latest());
  STOA_TRY(checkpoint, open_checkpoint(note, checkpoints_.key()));
  STOA_TRY(entry, entry_of(record));
  STOA_TRY(proof, log_.prove_entry(entry.sequence, checkpoint.size));
  return passport_json(record.text, entry, proof, note, checkpoints_.key());
}

}  // namespace stoa::governance
