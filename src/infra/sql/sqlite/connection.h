// One SQLite connection: statements, values and errors of the C interface in the terms of the SQL port. Used by sqlite.cc only.
// One thread at a time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "infra/sql/sql.h"

struct sqlite3;
struct sqlite3_stmt;

namespace stoa::infra {

struct ConnectionOptions {
  std::string file;            // ":memory:" for a private database
  bool read_only = false;      // refuses statements that write
  int busy_milliseconds = 0;
  std::size_t statements = 0;
  std::int64_t max_bytes = 0;
};

class SqliteConnection {
 public:
  static Result<std::unique_ptr<SqliteConnection>> open(const ConnectionOptions& options);
  ~SqliteConnection();
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  Status for_each(std::string_view sql, const SqlParams& params, bool may_write, const SqlVisitor& visit);
  Result<std::int64_t> execute(std::string_view sql, const SqlParams& params);
  Status execute_script(std::string_view sql);
  bool in_transaction() const;

 private:
  class Use;  // a statement taken from the cache for one execution
  struct Cached {
    std::string sql;
    sqlite3_stmt* statement;
    SqlRow::Columns columns;  // null until its first row
  };

  explicit SqliteConnection(const ConnectionOptions& options) : options_(options) {}
  Status configure();
  Result<Cached> prepare(std::string_view sql);
  Status bind(sqlite3_stmt* statement, std::string_view sql, const SqlParams& params);
  Error last_error(std::string_view sql) const;

  const ConnectionOptions options_;
  sqlite3* handle_ = nullptr;
  std::vector<Cached> cache_;  // least recently used first
};

}  // namespace stoa::infra
