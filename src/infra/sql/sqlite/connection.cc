#include "infra/sql/sqlite/connection.h"

#include <sqlite3.h>

#include <algorithm>
#include <climits>

namespace stoa::infra {
namespace {

constexpr int kWriterCache = 16 << 10, kReaderCache = 8 << 10, kCheckpointPages = 4000;

constexpr std::size_t kSqlShown = 120;

// SQLite's result codes (sqlite.org/rescode.html) as the few kinds of the port. A full disk (ENOSPC) comes as SQLITE_FULL.
ErrorCode code_of(int extended) {
  switch (extended & 0xff) {
    case SQLITE_CONSTRAINT: return ErrorCode::kConflict;
    case SQLITE_FULL:
    case SQLITE_NOMEM: return ErrorCode::kResourceExhausted;
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return ErrorCode::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ErrorCode::kDataLoss;
    case SQLITE_TOOBIG: return ErrorCode::kTooLarge;
    case SQLITE_INTERRUPT: return ErrorCode::kCancelled;
    default: return ErrorCode::kInternal;
  }
}

std::string_view hint_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kResourceExhausted: return "free space on the disk that holds the file; nothing was changed";
    case ErrorCode::kDataLoss: return "restore the file from a backup, or move it away to begin anew";
    case ErrorCode::kUnavailable: return "check that the file can be read and written, and that no other program holds it locked";
    default: return "";
  }
}

struct Binder {
  sqlite3_stmt* statement;
  int index;
  int operator()(std::nullptr_t) const { return sqlite3_bind_null(statement, index); }
  int operator()(std::int64_t value) const { return sqlite3_bind_int64(statement, index, value); }
  int operator()(double value) const { return sqlite3_bind_double(statement, index, value); }
  // The caller keeps the parameters until the statement is reset, so nothing is copied.
  int operator()(const std::string& value) const {
    return sqlite3_bind_text64(statement, index, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  int operator()(const Bytes& value) const {
    return value.empty() ? sqlite3_bind_zeroblob(statement, index, 0)
                         : sqlite3_bind_blob64(statement, index, value.data(), value.size(), SQLITE_STATIC);
  }
};

SqlValue column_value(sqlite3_stmt* statement, int index) {
  switch (sqlite3_column_type(statement, index)) {
    case SQLITE_INTEGER: return static_cast<std::int64_t>(sqlite3_column_int64(statement, index));
    case SQLITE_FLOAT: return sqlite3_column_double(statement, index);
    case SQLITE_TEXT: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, index));
      return std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement, index)));
    }
    case SQLITE_BLOB: {
      const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(statement, index));
      return Bytes(data, data + sqlite3_column_bytes(statement, index));
    }
    default: return nullptr;
  }
}

}  // namespace

// Resets the statement and puts it back into the cache, however the execution ends.
class SqliteConnection::Use {
 public:
  Use(SqliteConnection& connection, Cached& taken) : connection_(connection), taken_(taken) {}
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  ~Use() {
    sqlite3_reset(taken_.statement);
    sqlite3_clear_bindings(taken_.statement);
    auto& cache = connection_.cache_;
    if (cache.size() >= connection_.options_.statements) {
      if (cache.empty()) {
        sqlite3_finalize(taken_.statement);
        return;
      }
      sqlite3_finalize(cache.front().statement);
      cache.erase(cache.begin());
    }
    cache.push_back(std::move(taken_));
  }

 private:
  SqliteConnection& connection_;
  Cached& taken_;
};

Result<std::unique_ptr<SqliteConnection>> SqliteConnection::open(const ConnectionOptions& options) {
  std::unique_ptr<SqliteConnection> connection(new SqliteConnection(options));
  STOA_CHECK(connection->configure());
  return connection;
}

SqliteConnection::~SqliteConnection() {
  for (const Cached& cached : cache_) sqlite3_finalize(cached.statement);
  sqlite3_close(handle_);
}

Status SqliteConnection::configure() {
  // Each connection is used by one thread at a time, so SQLite's own locking of connections is not needed.
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2(options_.file.c_str(), &handle_, flags, nullptr) != SQLITE_OK) return fail(last_error("open"));
  sqlite3_extended_result_codes(handle_, 1);
  sqlite3_busy_timeout(handle_, options_.busy_milliseconds);
  STOA_CHECK(execute_script("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;"));
  // Pages kept (KiB, taken as they are used), and pages that wait in the write-ahead log: both spare reading and writing the inner pages of large indexes
  // over and over.
  STOA_CHECK(execute_script(fmt::format("PRAGMA cache_size = -{}; PRAGMA wal_autocheckpoint = {}", options_.read_only ? kReaderCache : kWriterCache, kCheckpointPages)));
  std::string journal;
  STOA_CHECK(for_each("PRAGMA journal_mode = WAL", {}, true, [&](const SqlRow& row) -> Result<bool> {
    STOA_CHECK(row.read(journal));
    return true;
  }));
  if (journal != "wal" && journal != "memory")
    return fail(error(ErrorCode::kUnavailable, "{}: the file system gives no write-ahead log (journal mode '{}')", options_.file, journal)
                    .with_hint("keep the data folder on a local disk"));
  if (options_.max_bytes > 0) {
    std::int64_t page = 4096;
    STOA_CHECK(for_each("PRAGMA page_size", {}, false, [&](const SqlRow& row) -> Result<bool> {
      STOA_CHECK(row.read(page));
      return true;
    }));
    STOA_CHECK(execute_script(fmt::format("PRAGMA max_page_count = {}", std::max<std::int64_t>(1, options_.max_bytes / page))));
  }
  if (options_.read_only) STOA_CHECK(execute_script("PRAGMA query_only = ON"));
  return {};
}

bool SqliteConnection::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

Error SqliteConnection::last_error(std::string_view sql) const {
  const int extended = handle_ == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(handle_);
  const ErrorCode code = code_of(extended);
  const char* text = handle_ == nullptr ? "out of memory" : sqlite3_errmsg(handle_);
  // The statement helps only where the statement is at fault; elsewhere the file is what matters.
  Error result = code == ErrorCode::kInternal || code == ErrorCode::kConflict
                     ? error(code, "{}: {} in: {}", options_.file, text, sql.substr(0, kSqlShown))
                     : error(code, "{}: {}", options_.file, text);
  result.hint = hint_of(code);
  return result;
}

Result<SqliteConnection::Cached> SqliteConnection::prepare(std::string_view sql) {
  const auto cached = std::ranges::find(cache_, sql, &Cached::sql);
  if (cached != cache_.end()) {
    Cached taken = std::move(*cached);
    cache_.erase(cached);
    return taken;
  }
  if (sql.size() > INT_MAX) return fail(ErrorCode::kInternal, "an SQL statement of {} bytes", sql.size());
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  if (sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement, &tail) != SQLITE_OK)
    return fail(last_error(sql));
  const std::string_view rest = sql.substr(static_cast<std::size_t>(tail - sql.data()));
  if (statement == nullptr || rest.find_first_not_of(" \n\t\r;") != std::string_view::npos) {
    sqlite3_finalize(statement);
    return fail(ErrorCode::kInternal, "exactly one SQL statement is expected: {}", sql.substr(0, kSqlShown));
  }
  return Cached{std::string(sql), statement, nullptr};
}

Status SqliteConnection::bind(sqlite3_stmt* statement, std::string_view sql, const SqlParams& params) {
  const int wanted = sqlite3_bind_parameter_count(statement);
  if (static_cast<std::size_t>(wanted) != params.size())
    return fail(ErrorCode::kInternal, "{} values for {} placeholders in: {}", params.size(), wanted, sql.substr(0, kSqlShown));
  for (int i = 0; i < wanted; ++i)
    if (std::visit(Binder{statement, i + 1}, params[static_cast<std::size_t>(i)]) != SQLITE_OK) return fail(last_error(sql));
  return {};
}

Status SqliteConnection::for_each(std::string_view sql, const SqlParams& params, bool may_write, const SqlVisitor& visit) {
  STOA_TRY(taken, prepare(sql));
  sqlite3_stmt* const statement = taken.statement;
  SqlRow::Columns& columns = taken.columns;
  const Use use(*this, taken);
  if (!may_write && sqlite3_stmt_readonly(statement) == 0)
    return fail(ErrorCode::kInternal, "a statement that writes must run in execute or a transaction: {}", sql.substr(0, kSqlShown));
  STOA_CHECK(bind(statement, sql, params));
  for (;;) {
    const int code = sqlite3_step(statement);
    if (code == SQLITE_DONE) return {};
    if (code != SQLITE_ROW) return fail(last_error(sql));
    const int count = sqlite3_column_count(statement);
    if (columns == nullptr || columns->size() != static_cast<std::size_t>(count)) {
      auto names = std::make_shared<std::vector<std::string>>();
      for (int i = 0; i < count; ++i) names->emplace_back(sqlite3_column_name(statement, i));
      columns = std::move(names);
    }
    std::vector<SqlValue> values;
    values.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) values.push_back(column_value(statement, i));
    STOA_TRY(more, visit(SqlRow(columns, std::move(values))));
    if (!more) return {};
  }
}

Result<std::int64_t> SqliteConnection::execute(std::string_view sql, const SqlParams& params) {
  const std::int64_t before = sqlite3_total_changes64(handle_);
  STOA_CHECK(for_each(sql, params, true, [](const SqlRow&) -> Result<bool> { return true; }));
  // total_changes also counts foreign-key actions; a statement that changed no row leaves `changes` as it was.
  return sqlite3_total_changes64(handle_) == before ? 0 : sqlite3_changes64(handle_);
}

Status SqliteConnection::execute_script(std::string_view sql) {
  const std::string text(sql);
  if (sqlite3_exec(handle_, text.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return fail(last_error(sql));
  return {};
}

}  // namespace stoa::infra
