#include "infra/sql/sql.h"

#include <algorithm>
#include <array>
#include <climits>

#include "infra/crypto/hash.h"

namespace stoa::infra {
namespace {

constexpr std::array<std::string_view, 5> kTypeNames{"NULL", "INTEGER", "REAL", "TEXT", "BLOB"};

template <class T>
Status read_as(const SqlRow::Columns& columns, const std::vector<SqlValue>& values, std::size_t index, std::string_view wanted, T& out) {
  if (index >= values.size()) return fail(ErrorCode::kInternal, "column {} read from a row of {}", index, values.size());
  const T* value = std::get_if<T>(&values[index]);
  if (value == nullptr)
    return fail(ErrorCode::kInternal, "column '{}' holds {} where {} is expected", (*columns)[index], kTypeNames[values[index].index()], wanted);
  out = *value;
  return {};
}

constexpr std::string_view kMigrationTable =
    "CREATE TABLE IF NOT EXISTS stoa_migrations ("
    " component TEXT NOT NULL, version INTEGER NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY (component, version))";

Status migrate_component(SqlTransaction& transaction, std::string_view component, std::span<const Migration> migrations) {
  STOA_CHECK(transaction.execute(kMigrationTable));
  STOA_TRY(done, transaction.query("SELECT version, checksum FROM stoa_migrations WHERE component = ? ORDER BY version",
                                   {std::string(component)}));
  if (done.size() > migrations.size())
    return fail(error(ErrorCode::kUnsupported, "the tables of '{}' have version {}, this program knows {}", component, done.size(), migrations.size())
                    .with_hint("run the release that wrote this data folder, or a newer one"));
  for (std::size_t i = 0; i < migrations.size(); ++i) {
    const Migration& migration = migrations[i];
    if (migration.version != static_cast<int>(i) + 1)
      return fail(ErrorCode::kInternal, "migration {} of '{}' stands at place {}", migration.version, component, i + 1);
    const std::string checksum = sha256_hex(migration.sql);
    if (i < done.size()) {
      int version = 0;
      std::string recorded;
      STOA_CHECK(done[i].read(version, recorded));
      if (version != migration.version || recorded != checksum)
        return fail(error(ErrorCode::kDataLoss, "migration {} of '{}' is not the one this store was made with", migration.version, component)
                        .with_hint("never change a released migration: add a new version"));
      continue;
    }
    if (auto status = transaction.execute_script(migration.sql); !status)
      return fail(std::move(status.error()).in(fmt::format("migration {} of '{}'", migration.version, component)));
    STOA_CHECK(transaction.execute("INSERT INTO stoa_migrations (component, version, checksum) VALUES (?, ?, ?)",
                                   {std::string(component), std::int64_t{migration.version}, checksum}));
  }
  return {};
}

}  // namespace

Result<std::size_t> SqlRow::find(std::string_view column) const {
  const auto at = std::ranges::find(*columns_, column);
  if (at == columns_->end()) return fail(ErrorCode::kInternal, "the result has no column '{}'", column);
  return static_cast<std::size_t>(at - columns_->begin());
}

Status SqlRow::read_column(std::size_t index, std::int64_t& out) const { return read_as(columns_, values_, index, "INTEGER", out); }

Status SqlRow::read_column(std::size_t index, int& out) const {
  std::int64_t wide = 0;
  STOA_CHECK(read_column(index, wide));
  if (wide < INT_MIN || wide > INT_MAX) return fail(ErrorCode::kInternal, "column '{}' holds {}, too large for an int", (*columns_)[index], wide);
  out = static_cast<int>(wide);
  return {};
}

Status SqlRow::read_column(std::size_t index, bool& out) const {
  std::int64_t wide = 0;
  STOA_CHECK(read_column(index, wide));
  if (wide != 0 && wide != 1) return fail(ErrorCode::kInternal, "column '{}' holds {} where 0 or 1 is expected", (*columns_)[index], wide);
  out = wide == 1;
  return {};
}

Status SqlRow::read_column(std::size_t index, double& out) const {
  // SQL gives a whole REAL sum back as INTEGER where the column has no type.
  if (index < values_.size())
    if (const auto* whole = std::get_if<std::int64_t>(&values_[index])) {
      out = static_cast<double>(*whole);
      return {};
    }
  return read_as(columns_, values_, index, "REAL", out);
}

Status SqlRow::read_column(std::size_t index, std::string& out) const { return read_as(columns_, values_, index, "TEXT", out); }
Status SqlRow::read_column(std::size_t index, Bytes& out) const { return read_as(columns_, values_, index, "BLOB", out); }

Result<SqlRows> SqlSession::query(std::string_view sql, const SqlParams& params, std::size_t max_rows) {
  SqlRows rows;
  STOA_CHECK(for_each(sql, params, [&](const SqlRow& row) -> Result<bool> {
    if (rows.size() >= max_rows) return fail(ErrorCode::kTooLarge, "the query gives more than {} rows", max_rows);
    rows.push_back(row);
    return true;
  }));
  return rows;
}

Result<std::optional<SqlRow>> SqlSession::query_one(std::string_view sql, const SqlParams& params) {
  STOA_TRY(rows, query(sql, params, 2));
  if (rows.size() > 1) return fail(ErrorCode::kInternal, "more than one row from: {}", sql);
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

Status SqlDatabase::migrate(std::string_view component, std::span<const Migration> migrations) {
  return transaction([&](SqlTransaction& transaction) { return migrate_component(transaction, component, migrations); });
}

}  // namespace stoa::infra
