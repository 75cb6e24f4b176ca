#include "gateway/api/openai/upload_store.h"

#include <algorithm>
#include <array>

#include "base/id.h"
#include "data/sources/blob_collector.h"
#include "infra/crypto/md5.h"

namespace stoa::gateway::openai {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"(
CREATE TABLE openai_uploads (
  id TEXT PRIMARY KEY, project TEXT NOT NULL, owner TEXT NOT NULL, access TEXT NOT NULL, purpose TEXT NOT NULL, bytes INTEGER NOT NULL, status INTEGER NOT NULL,
  created INTEGER NOT NULL, expires INTEGER NOT NULL, file TEXT NOT NULL, sealed BLOB NOT NULL);
CREATE INDEX openai_uploads_by_status ON openai_uploads (status, expires);
CREATE TABLE openai_upload_parts (
  id TEXT PRIMARY KEY, upload TEXT NOT NULL REFERENCES openai_uploads (id) ON DELETE CASCADE, digest TEXT NOT NULL, bytes INTEGER NOT NULL, sealed BLOB NOT NULL);
CREATE INDEX openai_upload_parts_by_upload ON openai_upload_parts (upload);
CREATE INDEX openai_upload_parts_by_digest ON openai_upload_parts (digest);
)"}};

constexpr std::string_view kColumns = "id, project, owner, access, purpose, bytes, status, created, expires, file, sealed";
constexpr std::string_view kUploads = "openai_uploads", kParts = "openai_upload_parts";
constexpr Micros kRemembered = Micros{86'400} * 1'000'000;  // of those that have ended
constexpr std::size_t kSweptAtOnce = 1'000;

std::int64_t number(Upload::Status status) { return static_cast<std::int64_t>(status); }

std::unexpected<Error> no_upload(std::string_view id) { return fail(error(ErrorCode::kNotFound, "no upload '{}'", id.substr(0, 80)).with_param("upload_id")); }

}  // namespace

std::string_view upload_status_name(Upload::Status status) {
  constexpr std::array<std::string_view, 4> kNames{"pending", "completed", "cancelled", "expired"};
  return kNames[static_cast<std::size_t>(status)];
}

Status UploadStore::open() { return sql_.migrate("openai_uploads", kMigrations); }

Result<bool> UploadStore::uses(infra::SqlSession& session, const std::string& address) {
  STOA_TRY(row, session.query_one("SELECT EXISTS (SELECT 1 FROM openai_upload_parts WHERE digest = ?)", {address}));
  return row->get<bool>(0);
}

std::vector<governance::SealedTable> UploadStore::sealed_tables() {
  return {{.name = std::string(kUploads), .ids = {"id"}, .project = "t.project", .from = "openai_uploads t", .columns = {}},
          {.name = std::string(kParts), .ids = {"id"}, .project = "u.project", .from = "openai_upload_parts t JOIN openai_uploads u ON u.id = t.upload", .columns = {},
           .blobs = "SELECT p.digest FROM openai_upload_parts p JOIN openai_uploads u ON u.id = p.upload WHERE u.project = ?"}};
}

Result<Upload> UploadStore::begin(const Principal& principal, Upload upload) {
  STOA_CHECK(sweep());
  upload.id = new_id("upload");
  upload.project = principal.project;
  upload.owner = principal.id;
  upload.created = clock_.now();
  upload.expires = upload.created + kLifetime;
  STOA_TRY(keys, this->keys(principal));
  STOA_TRY(sealed, governance::seal_record(keys, governance::row_context(kUploads, upload.id), {upload.filename, upload.content_type}));
  STOA_CHECK(sql_.transaction([&](infra::SqlTransaction& transaction) -> stoa::Status {
    STOA_TRY(row, transaction.query_one("SELECT COUNT(*) FROM openai_uploads WHERE project = ? AND status = ?", {upload.project, number(Upload::Status::kPending)}));
    STOA_TRY(open, row->get<std::int64_t>(0));
    if (open >= kMostOpen)
      return fail(error(ErrorCode::kResourceExhausted, "{} uploads of this project are not completed", open).with_hint("complete or cancel some; those that nobody completes end after an hour"));
    STOA_CHECK(transaction.execute(fmt::format("INSERT INTO openai_uploads ({}) VALUES (?,?,?,?,?,?,?,?,?,'',?)", kColumns),
                                   {upload.id, upload.project, upload.owner, upload.access.key(), upload.purpose, upload.bytes, number(upload.status), upload.created,
                                    upload.expires, sealed}));
    return {};
  }));
  return upload;
}

Result<Upload> UploadStore::find(const Principal& principal, std::string_view id) {
  STOA_TRY(row, sql_.query_one(fmt::format("SELECT {} FROM openai_uploads WHERE id = ? AND project = ? AND owner = ?", kColumns),
                               {std::string(id.substr(0, 80)), principal.project, principal.id}));
  if (!row) return no_upload(id);
  Upload upload;
  std::string access;
  std::int64_t status = 0;
  Bytes sealed;
  STOA_CHECK(row->read(upload.id, upload.project, upload.owner, access, upload.purpose, upload.bytes, status, upload.created, upload.expires, upload.file, sealed));
  STOA_TRY(list, AccessList::parse(access));
  upload.access = std::move(list);
  upload.status = static_cast<Upload::Status>(std::clamp<std::int64_t>(status, 0, 3));
  if (upload.status == Upload::Status::kPending && clock_.now() >= upload.expires) upload.status = Upload::Status::kExpired;
  STOA_TRY(keys, this->keys(principal));
  STOA_TRY(record, governance::open_record(keys, governance::row_context(kUploads, upload.id), sealed, 2));
  upload.filename = record.text(0);
  upload.content_type = record.text(1);
  return upload;
}

Result<Upload> UploadStore::find_pending(const Principal& principal, std::string_view id) {
  STOA_TRY(upload, find(principal, id));
  if (upload.status != Upload::Status::kPending)
    return fail(error(ErrorCode::kConflict, "the upload '{}' is {}", upload.id, upload_status_name(upload.status)).with_param("upload_id"));
  return upload;
}

Result<UploadPart> UploadStore::add_part(const Principal& principal, std::string_view id, ByteSpan bytes) {
  STOA_TRY(upload, find_pending(principal, id));
  UploadPart part{.id = new_id("part"), .upload = upload.id, .bytes = static_cast<std::int64_t>(bytes.size()), .created = clock_.now()};
  if (bytes.empty()) return fail(error(ErrorCode::kInvalidArgument, "the form field 'data' has the bytes of the part; it is missing, or empty").with_param("data"));
  if (part.bytes > kMaxPart) return fail(error(ErrorCode::kTooLarge, "a part has at most {} bytes, and this one has {}", kMaxPart, part.bytes).with_param("data"));
  STOA_TRY(keys, this->keys(principal));
  STOA_TRY(blob, blobs_.put(keys, bytes));
  STOA_TRY(sealed, governance::seal_record(keys, governance::row_context(kParts, part.id), {blob.digest}));
  const stoa::Status added = sql_.transaction([&](infra::SqlTransaction& transaction) -> stoa::Status {
    STOA_TRY(row, transaction.query_one("SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM openai_upload_parts WHERE upload = ?", {upload.id}));
    std::int64_t parts = 0, sum = 0;
    STOA_CHECK(row->read(parts, sum));
    if (parts >= kMaxParts) return fail(error(ErrorCode::kTooLarge, "an upload has at most {} parts", kMaxParts).with_param("data"));
    if (sum + part.bytes > 2 * upload.bytes)
      return fail(error(ErrorCode::kTooLarge, "the parts of '{}' have {} bytes together, and {} were announced", upload.id, sum + part.bytes, upload.bytes).with_param("data"));
    STOA_TRY(pending, transaction.query_one("SELECT EXISTS (SELECT 1 FROM openai_uploads WHERE id = ? AND status = ?)", {upload.id, number(Upload::Status::kPending)}));
    STOA_TRY(still, pending->get<bool>(0));
    STOA_TRY(here, blobs_.exists(keys, blob.digest));
    if (!still || !here) return fail(error(ErrorCode::kConflict, "the upload '{}' ended while the part was stored", upload.id).with_param("upload_id"));
    STOA_CHECK(transaction.execute("INSERT INTO openai_upload_parts (id, upload, digest, bytes, sealed) VALUES (?, ?, ?, ?, ?)", {part.id, upload.id, blob.address, part.bytes, sealed}));
    return {};
  });
  if (added) return part;
  STOA_CHECK(sql_.transaction([&](infra::SqlTransaction& transaction) { return data::release_blobs(events_, transaction, {&blob.address, 1}); }));
  return fail(added.error());
}

Result<Upload> UploadStore::complete(const Principal& principal, std::string_view id, const std::vector<std::string>& parts, std::string_view md5) {
  STOA_TRY(upload, find_pending(principal, id));
  STOA_TRY(keys, this->keys(principal));
  Bytes whole;
  whole.reserve(static_cast<std::size_t>(upload.bytes));
  for (const std::string& part : parts) {
    STOA_TRY(row, sql_.query_one("SELECT sealed FROM openai_upload_parts WHERE id = ? AND upload = ?", {part, upload.id}));
    if (!row) return fail(error(ErrorCode::kInvalidArgument, "the upload '{}' has no part '{}'", upload.id, part.substr(0, 80)).with_param("part_ids"));
    STOA_TRY(sealed, row->get<Bytes>(0));
    STOA_TRY(record, governance::open_record(keys, governance::row_context(kParts, part), sealed, 1));
    STOA_TRY(bytes, blobs_.get(keys, record.fields[0], kMaxPart));
    if (whole.size() + bytes.size() > static_cast<std::size_t>(upload.bytes))
      return fail(error(ErrorCode::kInvalidArgument, "the parts have more bytes together than the {} that were announced", upload.bytes).with_param("part_ids"));
    whole.insert(whole.end(), bytes.begin(), bytes.end());
  }
  if (whole.size() != static_cast<std::size_t>(upload.bytes))
    return fail(error(ErrorCode::kInvalidArgument, "the parts have {} bytes together, and {} were announced", whole.size(), upload.bytes).with_param("part_ids"));
  if (!md5.empty() && infra::md5_hex(whole) != md5)
    return fail(error(ErrorCode::kInvalidArgument, "the parts do not have the MD5 {}", md5.substr(0, 64)).with_param("md5").with_hint("send the parts again"));
  STOA_TRY(file, files_.add(principal, {.filename = upload.filename, .purpose = upload.purpose, .content_type = upload.content_type, .access = upload.access}, whole));
  STOA_TRY(ended, end(upload.id, Upload::Status::kCompleted, file.id));
  if (!ended) {
    STOA_CHECK(files_.remove(principal, file.id));
    return fail(error(ErrorCode::kConflict, "the upload '{}' ended while it was completed", upload.id).with_param("upload_id"));
  }
  return find(principal, id);
}

Result<Upload> UploadStore::cancel(const Principal& principal, std::string_view id) {
  STOA_TRY(upload, find_pending(principal, id));
  STOA_CHECK(end(upload.id, Upload::Status::kCancelled, {}));
  return find(principal, id);
}

Result<bool> UploadStore::end(const std::string& id, Upload::Status status, const std::string& file) {
  bool ended = false;
  STOA_CHECK(sql_.transaction([&](infra::SqlTransaction& transaction) -> stoa::Status {
    STOA_TRY(changed, transaction.execute("UPDATE openai_uploads SET status = ?, file = ? WHERE id = ? AND status = ?", {number(status), file, id, number(Upload::Status::kPending)}));
    ended = changed > 0;
    if (!ended) return {};
    STOA_TRY(addresses, data::distinct_digests(transaction, "SELECT DISTINCT digest FROM openai_upload_parts WHERE upload = ?", {id}));
    STOA_CHECK(transaction.execute("DELETE FROM openai_upload_parts WHERE upload = ?", {id}));
    return data::release_blobs(events_, transaction, addresses);
  }));
  return ended;
}

Status UploadStore::sweep() {
  const Micros now = clock_.now();
  STOA_TRY(rows, sql_.query(fmt::format("SELECT id FROM openai_uploads WHERE status = ? AND expires <= ? LIMIT {}", kSweptAtOnce), {number(Upload::Status::kPending), now}));
  for (const auto& row : rows) {
    STOA_TRY(id, row.get<std::string>(0));
    STOA_CHECK(end(id, Upload::Status::kExpired, {}));
  }
  STOA_CHECK(sql_.execute("DELETE FROM openai_uploads WHERE status <> ? AND expires < ?", {number(Upload::Status::kPending), now - kRemembered}));
  return {};
}

}  // namespace stoa::gateway::openai
