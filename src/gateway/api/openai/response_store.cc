#include "gateway/api/openai/response_store.h"

#include <algorithm>

#include "gateway/api/openai/responses_json.h"

namespace stoa::gateway::openai {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"(
CREATE TABLE openai_responses (
  id TEXT PRIMARY KEY, project TEXT NOT NULL, principal TEXT NOT NULL, previous TEXT NOT NULL, response TEXT NOT NULL, input TEXT NOT NULL,
  created INTEGER NOT NULL);
CREATE INDEX openai_responses_by_time ON openai_responses (created);
)"},
                                            {2, "ALTER TABLE openai_responses ADD COLUMN sealed BLOB"}};

}  // namespace

Status ResponseStore::open() {
  STOA_CHECK(sql_.migrate("openai_responses", kMigrations));
  STOA_CHECK(governance::seal_old_rows(sql_, sealer_, sealed_table()));
  return {};
}

governance::SealedTable ResponseStore::sealed_table() {
  return {.name = "openai_responses", .ids = {"id"}, .project = "t.project", .from = "openai_responses t", .columns = {"response", "input"}};
}

Status ResponseStore::put(const Principal& principal, const StoredResponse& response) {
  const Micros now = clock_.now();
  STOA_TRY(keys, sealer_.project(principal.project));
  if (!keys.keep().responses) return {};
  STOA_TRY(sealed, governance::seal_record(keys, governance::row_context("openai_responses", response.id), {dump_json(response.response), dump_json(response.input)}));
  return sql_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("DELETE FROM openai_responses WHERE created < ?", {now - kRetention}));
    STOA_CHECK(transaction.execute("INSERT INTO openai_responses (id, project, principal, previous, response, input, created, sealed) VALUES (?, ?, ?, ?, '', '', ?, ?)",
                                   {response.id, principal.project, principal.id, response.previous, now, sealed}));
    return {};
  });
}

Status ResponseStore::replace(const Principal& principal, const StoredResponse& response) {
  STOA_TRY(keys, sealer_.project(principal.project));
  STOA_TRY(sealed, governance::seal_record(keys, governance::row_context("openai_responses", response.id), {dump_json(response.response), dump_json(response.input)}));
  STOA_CHECK(sql_.execute("UPDATE openai_responses SET sealed = ? WHERE id = ? AND project = ? AND principal = ?", {sealed, response.id, principal.project, principal.id}));
  return {};
}

Result<StoredResponse> ResponseStore::find(const Principal& principal, std::string_view id) {
  StoredResponse out{.id = std::string(id), .previous = {}, .response = {}, .input = {}};
  STOA_TRY(row, sql_.query_one("SELECT previous, sealed FROM openai_responses WHERE id = ? AND project = ? AND principal = ? AND created >= ?",
                               {out.id, principal.project, principal.id, clock_.now() - kRetention}));
  if (!row) return fail(error(ErrorCode::kNotFound, "no response '{}'", id).with_hint("responses are kept for a limited time, and only where the project keeps them").with_param("response_id"));
  Bytes sealed;
  STOA_CHECK(row->read(out.previous, sealed));
  STOA_TRY(keys, sealer_.project(principal.project));
  STOA_TRY(record, governance::open_record(keys, governance::row_context("openai_responses", out.id), sealed, 2));
  STOA_TRY(response_value, parse_json(record.fields[0]));
  STOA_TRY(input_value, parse_json(record.fields[1]));
  out.response = std::move(response_value.as_object());
  out.input = std::move(input_value.as_array());
  return out;
}

Status ResponseStore::remove(const Principal& principal, std::string_view id) {
  STOA_TRY(removed, sql_.execute("DELETE FROM openai_responses WHERE id = ? AND project = ? AND principal = ?",
                                 {std::string(id), principal.project, principal.id}));
  if (removed == 0) return fail(error(ErrorCode::kNotFound, "no response '{}'", id).with_param("response_id"));
  return {};
}

Result<std::vector<ChatMessage>> ResponseStore::history(const Principal& principal, std::string_view id) {
  std::vector<std::vector<ChatMessage>> turns;
  for (std::string next(id); !next.empty();) {
    if (turns.size() >= static_cast<std::size_t>(kMaxTurns))
      return fail(error(ErrorCode::kInvalidArgument, "the conversation before '{}' has more than {} responses", id, kMaxTurns)
                      .with_param("previous_response_id").with_hint("begin a new one, or send the messages that matter as input"));
    auto stored = find(principal, next);
    if (!stored) return fail(std::move(stored).error().with_param("previous_response_id"));
    STOA_TRY(turn, stored_turn(stored->input, stored->response));
    turns.push_back(std::move(turn));
    next = stored->previous;
  }
  std::vector<ChatMessage> messages;
  for (auto turn = turns.rbegin(); turn != turns.rend(); ++turn) std::ranges::move(*turn, std::back_inserter(messages));
  return messages;
}

}  // namespace stoa::gateway::openai
