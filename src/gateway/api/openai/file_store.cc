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
                                            {2, "CREATE INDEX openai_files_by_digest ON openai_files (digest)"}};

constexpr int kStoreAttempts = 3;
constexpr std::string_view kColumns = "id, project, owner, access, filename, purpose, content_type, digest, bytes, created";

std::string new_file_id() {
  std::string id = new_id("file");
  id[4] = '-';
  return id;
}

std::unexpected<Error> no_file(std::string_view id) {
  return fail(error(ErrorCode::kNotFound, "no file '{}'", id).with_param("file_id"));
}

Result<StoredFile> read_file(const infra::SqlRow& row) {
  StoredFile file;
  std::string access;
  STOA_CHECK(row.read(file.id, file.project, file.owner, access, file.filename, file.purpose, file.content_type, file.digest, file.bytes, file.created));
  STOA_TRY(list, AccessList::parse(access));
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

Status FileStore::open() { return sql_.migrate("openai_files", kMigrations); }

Result<bool> FileStore::uses(infra::SqlSession& session, const std::string& digest) {
  STOA_TRY(row, session.query_one("SELECT EXISTS (SELECT 1 FROM openai_files WHERE digest = ?)", {digest}));
  return row->get<bool>(0);
}

Result<StoredFile> FileStore::add(const Principal& principal, NewFile file, ByteSpan bytes) {
  StoredFile stored{.id = new_file_id(), .project = principal.project, .owner = principal.id, .access = std::move(file.access),
                    .filename = std::move(file.filename), .purpose = std::move(file.purpose), .content_type = std::move(file.content_type),
                    .digest = {}, .bytes = static_cast<std::int64_t>(bytes.size()), .created = clock_.now()};
  for (int attempt = 0; attempt < kStoreAttempts; ++attempt) {
    STOA_TRY(digest, blobs_.put(bytes));
    stored.digest = std::move(digest);
    bool here = false;  // equal bytes of another file may be collected just now
    STOA_CHECK(sql_.transaction([&](infra::SqlTransaction& transaction) -> Status {
      STOA_TRY(exists, blobs_.exists(stored.digest));
      here = exists;
      if (!here) return {};
      STOA_CHECK(transaction.execute(fmt::format("INSERT INTO openai_files ({}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", kColumns),
                                     {stored.id, stored.project, stored.owner, stored.access.key(), stored.filename, stored.purpose, stored.content_type,
                                      stored.digest, stored.bytes, stored.created}));
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
  STOA_TRY(file, read_file(*row));
  if (!sees(principal, file)) return no_file(id);
  return std::move(file);
}

Result<Bytes> FileStore::content(const Principal& principal, std::string_view id, std::uint64_t max_bytes) {
  STOA_TRY(file, find(principal, id));
  return blobs_.get(file.digest, max_bytes);
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
  STOA_CHECK(sql_.for_each(sql, params, [&](const infra::SqlRow& row) -> Result<bool> {
    STOA_TRY(file, read_file(row));
    if (!sees(principal, file)) return true;
    out.more = out.items.size() == page.limit;
    if (!out.more) out.items.push_back(std::move(file));
    return !out.more;
  }));
  return out;
}

Status FileStore::remove(const Principal& principal, std::string_view id) {
  STOA_TRY(file, find(principal, id));
  return sql_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("DELETE FROM openai_files WHERE id = ?", {file.id}));
    return data::release_blobs(events_, transaction, {&file.digest, 1});
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
