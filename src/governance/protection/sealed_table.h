// Rows that hold content: what of a row is content is packed into one record and sealed into the column `sealed`, under the key of the
// row's project, bound to table and id. The columns that held it in earlier releases stay, empty.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "governance/protection/project_keys.h"
#include "governance/protection/sealer.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

// A record: its fields, each with its length (32 bits, little-endian) before it.
Bytes pack_record(std::span<const std::string_view> fields);
inline Bytes pack_record(std::initializer_list<std::string_view> fields) { return pack_record(std::span(fields.begin(), fields.size())); }
// At least `count` fields (later releases may add some); they point into `record`. kDataLoss otherwise.
Result<std::vector<std::string_view>> unpack_record(ByteSpan record, std::size_t count);

// "table:id" or "table:id:ordinal": what a row's record is bound to.
std::string row_context(std::string_view table, std::string_view id);
std::string row_context(std::string_view table, std::string_view id, std::int64_t ordinal);

// A row's record, sealed; and its fields, opened. `fields` of an opened one point into `bytes`.
Result<infra::SqlValue> seal_record(const ProjectKeys& keys, std::string_view context, std::initializer_list<std::string_view> fields);
struct OpenRecord {
  Bytes bytes;
  std::vector<std::string_view> fields;
  std::string text(std::size_t index) const { return std::string(fields[index]); }
};
Result<OpenRecord> open_record(const ProjectKeys& keys, std::string_view context, ByteSpan sealed, std::size_t count);

// What taking over old rows and sealing anew need to know of a table. The texts are SQL.
struct SealedTable {
  std::string name;               // empty: only `blobs` counts
  std::vector<std::string> ids;   // columns of the primary key, in the order of row_context; one or two
  std::string project;            // expression: "c.project"
  std::string from;               // "chunks t JOIN ... JOIN collections c ON ..."; the table itself is t
  std::vector<std::string> columns;  // that held the fields of the record before, in its order
  std::string blobs{};            // query for the addresses of blobs that rows of project ? name; empty: none
  // Further columns to set when an old row is taken over. `fields` are those of the record, in order, and may be changed.
  using Also = std::function<Result<std::vector<std::pair<std::string, infra::SqlValue>>>(const ProjectKeys& keys, std::vector<std::string>& fields,
                                                                                       const infra::SqlRow& row)>;
  Also also{};
  std::string also_columns{};     // further columns that `row` has after project, ids and columns: ", t.digest"
};

// Seals the rows that an earlier release left in plain: durable batch by batch, so that a crash in between loses nothing and the next start
// goes on. Logs progress. Rows of projects whose key is revoked or destroyed wait. Gives the number of rows.
Result<std::int64_t> seal_old_rows(infra::SqlDatabase& sql, Sealer& sealer, const SealedTable& table);

// In the transaction that takes something over: plain content is left in files until the next KeyAdmin::scrub.
Status note_plain_content(infra::SqlTransaction& transaction);

// Seals the project's rows of this table under its newest data key; those changed meanwhile are left to their writers. Gives the number of
// rows that were sealed under an older one. `stop` ends it early.
Result<std::int64_t> reseal_rows(infra::SqlDatabase& sql, const ProjectKeys& keys, const SealedTable& table, const std::function<bool()>& stop);

}  // namespace stoa::governance
