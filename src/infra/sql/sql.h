// The port of a relational store. Placeholders are `?`; values are bound, never spliced into the text. Adapters: sql/sqlite
// (whose open_memory() is the twin for tests). Everything here is thread-safe unless it says otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace stoa::infra {

// NULL, INTEGER, REAL, TEXT (UTF-8) or BLOB.
using SqlValue = std::variant<std::nullptr_t, std::int64_t, double, std::string, Bytes>;
using SqlParams = std::vector<SqlValue>;

// NULL for an absent value.
template <class T>
SqlValue sql_optional(const std::optional<T>& value) {
  return value ? SqlValue(*value) : SqlValue(nullptr);
}

// One row of a result. get<T> takes std::int64_t, int, bool, double, std::string, Bytes, or std::optional of these (for columns
// that may be NULL). A missing column, a NULL or another type is kInternal and names the column: code and schema disagree.
class SqlRow {
 public:
  using Columns = std::shared_ptr<const std::vector<std::string>>;
  SqlRow(Columns columns, std::vector<SqlValue> values) : columns_(std::move(columns)), values_(std::move(values)) {}

  std::size_t size() const { return values_.size(); }
  const SqlValue& value(std::size_t index) const { return values_[index]; }

  template <class T>
  Result<T> get(std::size_t index) const {
    T out{};
    STOA_CHECK(read_column(index, out));
    return out;
  }
  template <class T>
  Result<T> get(std::string_view column) const {
    STOA_TRY(index, find(column));
    return get<T>(index);
  }
  // Reads the columns from the first one on, in order: STOA_CHECK(row.read(id, name, created)).
  template <class... T>
  Status read(T&... out) const {
    Status status;
    std::size_t index = 0;
    ((status ? void(status = read_column(index++, out)) : void()), ...);
    return status;
  }

 private:
  Result<std::size_t> find(std::string_view column) const;
  Status read_column(std::size_t index, std::int64_t& out) const;
  Status read_column(std::size_t index, int& out) const;
  Status read_column(std::size_t index, bool& out) const;
  Status read_column(std::size_t index, double& out) const;
  Status read_column(std::size_t index, std::string& out) const;
  Status read_column(std::size_t index, Bytes& out) const;
  template <class T>
  Status read_column(std::size_t index, std::optional<T>& out) const {
    out.reset();
    if (index < values_.size() && std::holds_alternative<std::nullptr_t>(values_[index])) return {};
    return read_column(index, out.emplace());
  }

  Columns columns_;
  std::vector<SqlValue> values_;
};

using SqlRows = std::vector<SqlRow>;
// Called for each row; true goes on, false stops the query early.
using SqlVisitor = std::function<Result<bool>(const SqlRow&)>;

inline constexpr std::size_t kSqlMaxRows = 100'000;

// What a database and a transaction both do.
class SqlSession {
 public:
  virtual ~SqlSession() = default;

  // All rows of a reading statement. More than `max_rows` is kTooLarge: page, aggregate, or use for_each.
  Result<SqlRows> query(std::string_view sql, const SqlParams& params = {}, std::size_t max_rows = kSqlMaxRows);
  // The only row, or nothing; a second row is kInternal.
  Result<std::optional<SqlRow>> query_one(std::string_view sql, const SqlParams& params = {});
  // Rows one at a time, in constant memory. The visitor must not use the same session.
  virtual Status for_each(std::string_view sql, const SqlParams& params, const SqlVisitor& visit) = 0;
  // One statement that writes; gives the number of rows inserted, changed or deleted. A violated constraint is kConflict.
  virtual Result<std::int64_t> execute(std::string_view sql, const SqlParams& params = {}) = 0;
};

// Work in progress inside SqlDatabase::transaction. One thread: the one that runs the function. Sees its own writes.
class SqlTransaction : public SqlSession {
 public:
  // Several statements separated by semicolons, without parameters: schema changes.
  virtual Status execute_script(std::string_view sql) = 0;
  // Runs after the commit, on the same thread, in the order added; not when the transaction is rolled back.
  virtual void on_commit(std::function<void()> action) = 0;
};

struct Migration {
  int version;           // 1, 2, 3, ... without gaps
  std::string_view sql;  // one or more statements; never changed once released
};

// Errors of every call: kUnavailable (locked longer than the wait, cannot read or write the file), kResourceExhausted (disk
// full), kDataLoss (corrupt file), kConflict (constraint), kInternal (wrong SQL). All name the store.
class SqlDatabase : public SqlSession {
 public:
  // Runs `work` with the write lock taken from the start (no upgrade, so no deadlock between two readers that write). Committed
  // durably when it returns ok; rolled back when it returns an error or throws (the exception goes on to the caller). Inside
  // `work`, use the transaction: using the database from the same thread is kInternal, since it would not see the changes.
  virtual Status transaction(const std::function<Status(SqlTransaction&)>& work) = 0;

  // Writes the store's files anew, so that nothing of what was deleted or replaced is left in them. Slow for large stores; not inside a
  // transaction. For a store that cannot leave such traces: nothing.
  virtual Status scrub() { return {}; }

  // Brings the tables of one component to the newest version, in one transaction, and records what was run. kDataLoss when a
  // migration that was run before has a different text now; kUnsupported when the store was written by a newer release.
  Status migrate(std::string_view component, std::span<const Migration> migrations);
};

}  // namespace stoa::infra
