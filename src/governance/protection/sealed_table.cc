#include "governance/protection/sealed_table.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "base/log.h"

namespace stoa::governance {
namespace {

using infra::SqlParams;
using infra::SqlRow;
using infra::SqlValue;

constexpr std::int64_t kBatch = 200;

void append_length(Bytes& out, std::size_t length) {
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<std::byte>(length >> (8 * i)));
}

std::string text_of(const SqlValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* bytes = std::get_if<Bytes>(&value)) return std::string(as_text(*bytes));
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  return {};
}

// The context of a row whose ids stand from column `first` on.
std::string context_of(const SealedTable& table, const SqlRow& row, std::size_t first) {
  std::string context = table.name;
  for (std::size_t i = 0; i < table.ids.size(); ++i) context += ":" + text_of(row.value(first + i));
  return context;
}

std::string id_list(const SealedTable& table, std::string_view prefix) {
  std::vector<std::string> names;
  for (const auto& id : table.ids) names.push_back(std::string(prefix) + id);
  return fmt::format("{}", fmt::join(names, ", "));
}

// "(t.a, t.b) > (?, ?)" once there is a row to go on from.
std::string after_clause(const SealedTable& table, const SqlParams& cursor) {
  if (cursor.empty()) return "";
  return fmt::format(" AND ({}) > ({})", id_list(table, "t."), table.ids.size() == 1 ? "?" : "?, ?");
}

std::string where_ids(const SealedTable& table) {
  std::string where;
  for (const auto& id : table.ids) where += (where.empty() ? "" : " AND ") + id + " = ?";
  return where;
}

SqlParams ids_of(const SealedTable& table, const SqlRow& row, std::size_t first) {
  SqlParams ids;
  for (std::size_t i = 0; i < table.ids.size(); ++i) ids.push_back(row.value(first + i));
  return ids;
}

struct Change {
  std::string statement;
  SqlParams params;
};

Status apply(infra::SqlDatabase& sql, const std::vector<Change>& changes, bool note) {
  if (changes.empty()) return {};
  return sql.transaction([&](infra::SqlTransaction& transaction) -> Status {
    for (const auto& change : changes) STOA_CHECK(transaction.execute(change.statement, change.params));
    return note ? note_plain_content(transaction) : Status{};
  });
}

// The old row, sealed: its record, its further columns, and nothing in those that held the content.
Result<Change> taken_over(const SealedTable& table, const ProjectKeys& keys, const SqlRow& row) {
  const std::size_t first = 1 + table.ids.size();
  std::vector<std::string> fields;
  for (std::size_t i = 0; i < table.columns.size(); ++i) fields.push_back(text_of(row.value(first + i)));
  std::vector<std::pair<std::string, SqlValue>> set;
  if (table.also) {
    STOA_TRY(more, table.also(keys, fields, row));
    set = std::move(more);
  }
  const std::vector<std::string_view> views(fields.begin(), fields.end());
  STOA_TRY(sealed, keys.seal(context_of(table, row, 1), pack_record(views)));
  set.emplace_back("sealed", std::move(sealed));
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const std::string column = table.columns[i].substr(table.columns[i].find('.') + 1);
    if (std::ranges::any_of(set, [&](const auto& each) { return each.first == column; })) continue;
    const bool text = std::holds_alternative<std::string>(row.value(first + i));
    set.emplace_back(column, text ? SqlValue(std::string()) : SqlValue(nullptr));
  }
  Change change;
  std::vector<std::string> assignments;
  for (auto& [column, value] : set) {
    assignments.push_back(column + " = ?");
    change.params.push_back(std::move(value));
  }
  for (auto& id : ids_of(table, row, 1)) change.params.push_back(std::move(id));
  change.statement = fmt::format("UPDATE {} SET {} WHERE {} AND sealed IS NULL", table.name, fmt::join(assignments, ", "), where_ids(table));
  return change;
}

}  // namespace

Bytes pack_record(std::span<const std::string_view> fields) {
  Bytes record;
  std::size_t size = 0;
  for (const auto& field : fields) size += 4 + field.size();
  record.reserve(size);
  for (const auto& field : fields) {
    append_length(record, field.size());
    record.insert(record.end(), as_bytes(field).begin(), as_bytes(field).end());
  }
  return record;
}

Result<std::vector<std::string_view>> unpack_record(ByteSpan record, std::size_t count) {
  std::vector<std::string_view> fields;
  while (!record.empty()) {
    if (record.size() < 4) return fail(ErrorCode::kDataLoss, "a sealed record is cut off");
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length |= std::to_integer<std::size_t>(record[i]) << (8 * i);
    record = record.subspan(4);
    if (length > record.size()) return fail(ErrorCode::kDataLoss, "a sealed record is cut off");
    fields.push_back(as_text(record.first(length)));
    record = record.subspan(length);
  }
  if (fields.size() < count) return fail(ErrorCode::kDataLoss, "a sealed record has {} fields, not {}", fields.size(), count);
  return fields;
}

std::string row_context(std::string_view table, std::string_view id) { return fmt::format("{}:{}", table, id); }
std::string row_context(std::string_view table, std::string_view id, std::int64_t ordinal) { return fmt::format("{}:{}:{}", table, id, ordinal); }

Result<SqlValue> seal_record(const ProjectKeys& keys, std::string_view context, std::initializer_list<std::string_view> fields) {
  STOA_TRY(sealed, keys.seal(context, pack_record(fields)));
  return SqlValue(std::move(sealed));
}

Result<OpenRecord> open_record(const ProjectKeys& keys, std::string_view context, ByteSpan sealed, std::size_t count) {
  OpenRecord record;
  STOA_TRY(bytes, keys.open(context, sealed));
  record.bytes = std::move(bytes);
  auto fields = unpack_record(record.bytes, count);
  if (!fields) return fail(std::move(fields).error().in(context));
  record.fields = std::move(*fields);
  return record;
}

Status note_plain_content(infra::SqlTransaction& transaction) {
  STOA_CHECK(transaction.execute("UPDATE protection_state SET scrub = 1"));
  return {};
}

Result<std::int64_t> seal_old_rows(infra::SqlDatabase& sql, Sealer& sealer, const SealedTable& table) {
  std::vector<std::string> columns{table.project};
  for (const auto& id : table.ids) columns.push_back("t." + id);
  for (const auto& column : table.columns) columns.push_back("t." + column);
  const std::string select = fmt::format("SELECT {}{} FROM {} WHERE t.sealed IS NULL", fmt::join(columns, ", "), table.also_columns, table.from);
  std::int64_t done = 0, waiting = 0;
  SqlParams cursor;
  while (true) {
    SqlParams params = cursor;
    params.emplace_back(kBatch);
    STOA_TRY(rows, sql.query(fmt::format("{}{} ORDER BY {} LIMIT ?", select, after_clause(table, cursor), id_list(table, "t.")), params));
    std::vector<Change> changes;
    for (const auto& row : rows) {
      auto keys = sealer.project(text_of(row.value(0)));
      if (!keys && keys.error().code == ErrorCode::kPermissionDenied) {
        ++waiting;
        continue;
      }
      if (!keys) return fail(std::move(keys).error());
      STOA_TRY(change, taken_over(table, *keys, row));
      changes.push_back(std::move(change));
    }
    STOA_CHECK(apply(sql, changes, true));
    done += static_cast<std::int64_t>(changes.size());
    if (done > 0 && (done % 10'000 < kBatch || rows.size() < static_cast<std::size_t>(kBatch)))
      log(LogLevel::kInfo, "sealing rows of an earlier release", {{"table", table.name}, {"rows", done}});
    if (rows.size() < static_cast<std::size_t>(kBatch)) break;
    cursor = ids_of(table, rows.back(), 1);
  }
  if (waiting > 0) log(LogLevel::kWarning, "rows of projects without a key stay as they are", {{"table", table.name}, {"rows", waiting}});
  return done;
}

Result<std::int64_t> reseal_rows(infra::SqlDatabase& sql, const ProjectKeys& keys, const SealedTable& table, const std::function<bool()>& stop) {
  const std::string select = fmt::format("SELECT t.sealed, {} FROM {} WHERE t.sealed IS NOT NULL AND {} = ?", id_list(table, "t."), table.from, table.project);
  const std::string update = fmt::format("UPDATE {} SET sealed = ? WHERE {} AND sealed = ?", table.name, where_ids(table));
  std::int64_t found = 0;
  SqlParams cursor;
  while (!stop()) {
    SqlParams params{keys.project()};
    params.insert(params.end(), cursor.begin(), cursor.end());
    params.emplace_back(kBatch);
    STOA_TRY(rows, sql.query(fmt::format("{}{} ORDER BY {} LIMIT ?", select, after_clause(table, cursor), id_list(table, "t.")), params));
    std::vector<Change> changes;
    for (const auto& row : rows) {
      STOA_TRY(old, row.get<Bytes>(0));
      STOA_TRY(version, sealed_version(old));
      if (version == keys.current()) continue;
      const std::string context = context_of(table, row, 1);
      STOA_TRY(plain, keys.open(context, old));
      STOA_TRY(sealed, keys.seal(context, plain));
      SqlParams change{std::move(sealed)};
      for (auto& id : ids_of(table, row, 1)) change.push_back(std::move(id));
      change.emplace_back(old);
      changes.push_back({update, std::move(change)});
    }
    STOA_CHECK(apply(sql, changes, false));
    found += static_cast<std::int64_t>(changes.size());
    if (rows.size() < static_cast<std::size_t>(kBatch)) break;
    cursor = ids_of(table, rows.back(), 1);
  }
  return found;
}

}  // namespace stoa::governance
