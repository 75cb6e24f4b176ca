#include "gateway/api/openai/file_store.h"

#include "base/id.h"
#include "base/json.h"
#include "data/sources/blob_collector.h"

namespace stoa::gateway::openai {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"(
CREATE TABLE openai_files (
  id TEXT PRIMARY KEY, project TEXT NOT NULL, owner TEXT NOT NULL, access TEXT NOT NULL, filename TEXT NOT NULL, purpose TEXT NOT NULL,
  content_type TEXT NOT NULL, digest TEXT NOT NULL, bytes INTEGER NOT NULL, created INTEGER NOT NULL);
CREATE INDEX openai_files_by_project ON openai_files (project, id);
CREATE TABLE openai_file_batches (
  id TEXT PRIMARY KEY, project TEXT NOT NULL, collection TEXT NOT NULL, files TEXT NOT NULL, created INTEGER NOT NULL);
)"},
                                            {2, "CREATE INDEX openai_files_by_digest ON openai_files (digest)"},
                                            // Name and digest go into `sealed`; `digest` holds the blob's address from here on.
                                            {3, "ALTER TABLE openai_files ADD COLUMN sealed BLOB"}};

constexpr int kStoreAttempts = 3;
constexpr std::string_view kColumns = "id, project, owner, access, purpose, content_type, bytes, created, sealed";

std::string new_file_id() {
  std::string id = new_id("file");
  id[4] = '-';
  return id;
}

std::unexpected<Error> no_file(std::string_view id) {
  return fail(error(ErrorCode::kNotFound, "no file '{}'", id).with_param("file_id"));
}

Result<StoredFile> read_file(const infra::SqlRow& row, const governance::ProjectKeys& keys) {
  StoredFile file;
  std::string access;
  Bytes sealed;
  STOA_CHECK(row.read(file.id, file.project, file.owner, access, file.purpose, file.content_type, file.bytes, file.created, sealed));
  STOA_TRY(list, AccessList::parse(access));
  STOA_TRY(record, governance::open_record(keys, governance::row_context("openai_files", file.id), sealed, 2));
  file.filename = record.text(0);
  file.digest = record.text(1);
  file.access = std::move(list);
  return file;
}

bool sees(const Principal& principal, const StoredFile& file) {
  return file.project == principal.project && (file.owner == principal.id || may_read(principal, file.access));
}

}  // namespace

bool is_file_id(std::string_view text) {
  std::string id(text);
  if (id.size() < 5 || id[4] != '-') return false;
  id[4] = '_';
  return is_id(id, "file");
}

Status FileStore::open() {
  STOA_CHECK(sql_.migrate("openai_files", kMigrations));
  STOA_CHECK(governance::seal_old_rows(sql_, blobs_.sealer(), sealed_table()));
  return {};
}

governance::SealedTable FileStore::sealed_table() {
  return {.name = "openai_files", .ids = {"id"}, .project = "t.project", .from = "openai_files t", .columns = {"filename", "digest"},
          .blobs = "SELECT digest FROM openai_files WHERE project = ?",
          .also = [this](const governance::ProjectKeys& keys, std::vector<std::string>& fields, const infra::SqlRow&)
              -> Result<std::vector<std::pair<std::string, infra::SqlValue>>> {
            STOA_CHECK(blobs_.take_over(keys, fields[1]));
            return std::vector<std::pair<std::string, infra::SqlValue>>{{"digest", blobs_.address_of(keys, fields[1])}};
          }};
}

Result<bool> FileStore::uses(infra::SqlSession& session, const std::string& digest) {
  STOA_TRY(row, session.query_one("SELECT EXISTS (SELECT 1 FROM openai_files WHERE digest = ?)", {digest}));
  return row->get<bool>(0);
}

Result<StoredFile> FileStore::add(const Principal& principal, NewFile file, ByteSpan bytes) {
  StoredFile stored{.id = new_file_id(), .project = principal.project, .owner = principal.id, .access = std::move(file.access),
                    .filename = std::move(file.filename), .purpose = std::move(file.purpose), .content_type = std::move(file.content_type),
                    .digest = {}, .bytes = static_cast<std::int64_t>(bytes.size()), .created = clock_.now()};
  STOA_TRY(keys, this->keys(principal));
  for (int attempt = 0; attempt < kStoreAttempts; ++attempt) {
    STOA_TRY(blob, blobs_.put(keys, bytes));
    stored.digest = blob.digest;
    STOA_TRY(sealed, governance::seal_record(keys, governance::row_context("openai_files", stored.id), {stored.filename, stored.digest}));
    bool here = false;  // equal bytes of another file may be collected just now
    STOA_CHECK(sql_.transaction([&](infra::SqlTransaction& transaction) -> Status {
      STOA_TRY(exists, blobs_.exists(keys, stored.digest));
      here = exists;
      if (!here) return {};
      STOA_CHECK(transaction.execute(fmt::format("INSERT INTO openai_files ({}, filename, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?)", kColumns),
                                     {stored.id, stored.project, stored.owner, stored.access.key(), stored.purpose, stored.content_type, stored.bytes,
                                      stored.created, sealed, blob.address}));
      return {};
    }));
    if (here) return stored;
  }
  return fail(ErrorCode::kUnavailable, "the bytes of '{}' were removed while they were stored: try again", stored.filename);
}

Result<StoredFile> FileStore::find(const Principal& principal, std::string_view id) {
  if (!is_file_id(id)) return no_file(id);
  STOA_TRY(row, sql_.query_one(fmt::format("SELECT {} FROM openai_files WHERE id = ? AND project = ?", kColumns), {std::string(id), principal.project}));
  if (!row) return no_file(id);
  STOA_TRY(keys, this->keys(principal));
  STOA_TRY(file, read_file(*row, keys));
  if (!sees(principal, file)) return no_file(id);
  return std::move(file);
}

Result<Bytes> FileStore::content(const Principal& principal, std::string_view id, std::uint64_t max_bytes) {
  STOA_TRY(file, find(principal, id));
  STOA_TRY(keys, this->keys(principal));
  return blobs_.get(keys, file.digest, max_bytes);
}

Result<data::Page<StoredFile>> FileStore::list(const Principal& principal, const data::PageRequest& page, std::string_view purpose) {
  // Ids sort by time of creation, so they are the cursor.
  std::string sql = fmt::format("SELECT {} FROM openai_files WHERE project = ?", kColumns);
  infra::SqlParams params{principal.project};
  if (!purpose.empty()) {
    sql += " AND purpose = ?";
    params.emplace_back(std::string(purpose));
  }
  if (!page.after.empty()) {
    sql += page.ascending ? " AND id > ?" : " AND id < ?";
    params.emplace_back(page.after);
  }
  sql += page.ascending ? " ORDER BY id" : " ORDER BY id DESC";
  data::Page<StoredFile> out;
  STOA_TRY(keys, this->keys(principal));
  STOA_CHECK(sql_.for_each(sql, params, [&](const infra::SqlRow& row) -> Result<bool> {
    STOA_TRY(file, read_file(row, keys));
    if (!sees(principal, file)) return true;
    out.more = out.items.size() == page.limit;
    if (!out.more) out.items.push_back(std::move(file));
    return !out.more;
  }));
  return out;
}

Status FileStore::remove(const Principal& principal, std::string_view id) {
  STOA_TRY(file, find(principal, id));
  STOA_TRY(keys, this->keys(principal));
  const std::string address = blobs_.address_of(keys, file.digest);
  return sql_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("DELETE FROM openai_files WHERE id = ?", {file.id}));
    return data::release_blobs(events_, transaction, {&address, 1});
  });
}

Result<FileBatch> FileStore::add_batch(const Principal& principal, std::string_view collection, std::vector<std::string> files) {
  FileBatch batch{.id = new_id("vsfb"), .collection = std::string(collection), .files = std::move(files), .created = clock_.now()};
  JsonArray list(batch.files.begin(), batch.files.end());
  STOA_CHECK(sql_.execute("INSERT INTO openai_file_batches (id, project, collection, files, created) VALUES (?, ?, ?, ?, ?)",
                          {batch.id, principal.project, batch.collection, dump_json(list), batch.created}));
  return batch;
}

Result<FileBatch> FileStore::batch(const Principal& principal, std::string_view collection, std::string_view id) {
  FileBatch batch{.id = std::string(id), .collection = std::string(collection), .files = {}, .created = 0};
  STOA_TRY(row, sql_.query_one("SELECT files, created FROM openai_file_batches WHERE id = ? AND project = ? AND collection = ?",
                               {batch.id, principal.project, batch.collection}));
  if (!row) return fail(error(ErrorCode::kNotFound, "no file batch '{}' in vector store '{}'", id, collection).with_param("batch_id"));
  std::string files;
  STOA_CHECK(row->read(files, batch.created));
  STOA_TRY(list, parse_json(files));
  for (const Json& file : list.as_array()) batch.files.emplace_back(file.as_string());
  return batch;
}

}  // namespace stoa::gateway::openai
