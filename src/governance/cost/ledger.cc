#include "governance/cost/ledger.h"

#include <algorithm>

#include "base/id.h"
#include "base/log.h"

namespace stoa::governance {
namespace {

constexpr std::size_t kMaxGroups = 10'000;

constexpr infra::Migration kMigrations[] = {{1, R"sql(
  CREATE TABLE usage_ledger (
    request TEXT NOT NULL, kind TEXT NOT NULL, model TEXT NOT NULL, principal TEXT NOT NULL, tenant TEXT NOT NULL, project TEXT NOT NULL,
    time INTEGER NOT NULL, input_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    compute_micros INTEGER NOT NULL, cost INTEGER NOT NULL, PRIMARY KEY (request, kind));
  CREATE INDEX usage_by_project ON usage_ledger (project, time);
  CREATE TRIGGER usage_no_update BEFORE UPDATE ON usage_ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER usage_no_delete BEFORE DELETE ON usage_ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TABLE usage_reservations (id TEXT PRIMARY KEY, project TEXT NOT NULL, amount INTEGER NOT NULL, time INTEGER NOT NULL);
  CREATE INDEX usage_reservations_by_project ON usage_reservations (project);
  CREATE TABLE budgets (project TEXT PRIMARY KEY, monthly_limit INTEGER NOT NULL);
)sql"}};

// The first microsecond of the calendar month (UTC) that `time` falls in.
Micros month_start(Micros time) {
  using namespace std::chrono;
  const year_month_day date{floor<days>(sys_time<microseconds>(microseconds(time)))};
  return duration_cast<microseconds>(sys_days(date.year() / date.month() / 1).time_since_epoch()).count();
}

Result<std::int64_t> sum(infra::SqlSession& session, std::string_view sql, const infra::SqlParams& params) {
  STOA_TRY(row, session.query_one(sql, params));
  if (!row) return 0;
  return row->get<std::int64_t>(0);
}

Result<Budget> read_budget(infra::SqlSession& session, const std::string& project, Micros now) {
  Budget budget;
  STOA_TRY(limit, session.query_one("SELECT monthly_limit FROM budgets WHERE project = ?", {project}));
  if (limit) {
    STOA_TRY(amount, limit->get<std::int64_t>(0));
    budget.limit = amount;
  }
  STOA_TRY(spent, sum(session, "SELECT COALESCE(SUM(cost), 0) FROM usage_ledger WHERE project = ? AND time >= ?", {project, month_start(now)}));
  STOA_TRY(reserved, sum(session, "SELECT COALESCE(SUM(amount), 0) FROM usage_reservations WHERE project = ?", {project}));
  budget.spent = spent;
  budget.reserved = reserved;
  return budget;
}

Result<std::optional<Money>> settled_cost(infra::SqlSession& session, const std::string& request, std::string_view kind) {
  STOA_TRY(row, session.query_one("SELECT cost FROM usage_ledger WHERE request = ? AND kind = ?", {request, std::string(kind)}));
  if (!row) return std::nullopt;
  STOA_TRY(cost, row->get<std::int64_t>(0));
  return cost;
}

std::string_view group_expression(UsageGroup group) {
  switch (group) {
    case UsageGroup::kProject: return "project";
    case UsageGroup::kPrincipal: return "principal";
    case UsageGroup::kModel: return "model";
    case UsageGroup::kDay: return "strftime('%Y-%m-%d', time / 1000000, 'unixepoch')";
    case UsageGroup::kKind: return "kind";
    case UsageGroup::kNone: break;
  }
  return "''";
}

}  // namespace

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this == &other) return *this;
  release();
  ledger_ = std::exchange(other.ledger_, nullptr);
  id_ = std::move(other.id_);
  kind_ = std::move(other.kind_);
  model_ = std::move(other.model_);
  principal_ = std::move(other.principal_);
  tenant_ = std::move(other.tenant_);
  project_ = std::move(other.project_);
  request_ = std::move(other.request_);
  return *this;
}

void Reservation::release() {
  if (ledger_ != nullptr) std::exchange(ledger_, nullptr)->release(id_);
}

Result<std::unique_ptr<Ledger>> Ledger::open(infra::SqlDatabase& database, const PriceBook& prices, const Clock& clock) {
  STOA_CHECK(database.migrate("cost", kMigrations));
  // Whoever held these is gone: this process owns the ledger and has reserved nothing yet.
  STOA_TRY(given_back, database.execute("DELETE FROM usage_reservations"));
  if (given_back > 0) log(LogLevel::kInfo, "gave back what was reserved when the server ended", {{"reservations", given_back}});
  return std::unique_ptr<Ledger>(new Ledger(database, prices, clock));
}

Result<Reservation> Ledger::reserve(const Call& call, std::string_view kind, std::string_view model, Money estimate) {
  if (estimate < 0) return fail(ErrorCode::kInvalidArgument, "an estimate cannot be negative: {}", estimate);
  Reservation reservation;
  reservation.id_ = new_id("resv");
  reservation.kind_ = kind;
  reservation.model_ = model;
  reservation.principal_ = call.principal.id;
  reservation.tenant_ = call.principal.tenant;
  reservation.project_ = call.principal.project;
  reservation.request_ = call.request_id;
  const Micros now = clock_.now();
  STOA_CHECK(database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(settled, settled_cost(transaction, call.request_id, kind));
    if (settled) return fail(ErrorCode::kConflict, "request {} has settled its {} already", call.request_id, kind);
    STOA_TRY(limited, transaction.query_one("SELECT 1 FROM budgets WHERE project = ?", {call.principal.project}));
    if (limited) {
      STOA_TRY(budget, read_budget(transaction, call.principal.project, now));
      const Money left = *budget.limit - budget.spent - budget.reserved;
      if (estimate > left)
        return fail(error(ErrorCode::kResourceExhausted, "the project's budget of {} a month has {} left, and this call may cost {}",
                          format_money(*budget.limit, prices_.currency()), format_money(std::max<Money>(left, 0), prices_.currency()),
                          format_money(estimate, prices_.currency()))
                        .with_hint("wait for the next month, or have the budget raised"));
    }
    STOA_TRY(added, transaction.execute("INSERT INTO usage_reservations (id, project, amount, time) VALUES (?,?,?,?)",
                                        {reservation.id_, call.principal.project, estimate, now}));
    static_cast<void>(added);
    return {};
  }));
  reservation.ledger_ = this;
  return reservation;
}

Result<Money> Ledger::settle(Reservation& reservation, const Usage& usage) {
  if (!reservation.open()) return fail(ErrorCode::kInternal, "a reservation is settled once");
  STOA_TRY(cost, prices_.cost(reservation.model_, usage));
  Money paid = cost;
  STOA_CHECK(database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(removed, transaction.execute("DELETE FROM usage_reservations WHERE id = ?", {reservation.id_}));
    static_cast<void>(removed);
    STOA_TRY(settled, settled_cost(transaction, reservation.request_, reservation.kind_));
    if (settled) {
      paid = *settled;
      return {};
    }
    STOA_TRY(added, transaction.execute(
                        "INSERT INTO usage_ledger (request, kind, model, principal, tenant, project, time, input_tokens, cached_tokens, "
                        "output_tokens, compute_micros, cost) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                        {reservation.request_, reservation.kind_, reservation.model_, reservation.principal_, reservation.tenant_, reservation.project_,
                         clock_.now(), usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.compute_micros, cost}));
    static_cast<void>(added);
    return {};
  }));
  reservation.ledger_ = nullptr;
  return paid;
}

void Ledger::release(const std::string& reservation) {
  if (const auto removed = database_.execute("DELETE FROM usage_reservations WHERE id = ?", {reservation}); !removed)
    log_error("a reservation could not be given back; the next start does", removed.error(), {{"reservation", reservation}});
}

Status Ledger::set_budget(std::string_view project, std::optional<Money> monthly_limit) {
  if (monthly_limit && *monthly_limit < 0) return fail(ErrorCode::kInvalidArgument, "a budget cannot be negative: {}", *monthly_limit);
  const std::string id(project);
  const auto changed = monthly_limit ? database_.execute("INSERT INTO budgets (project, monthly_limit) VALUES (?, ?) "
                                                         "ON CONFLICT (project) DO UPDATE SET monthly_limit = excluded.monthly_limit",
                                                         {id, *monthly_limit})
                                     : database_.execute("DELETE FROM budgets WHERE project = ?", {id});
  return changed ? Status{} : std::unexpected(changed.error());
}

Result<Budget> Ledger::budget(std::string_view project) { return read_budget(database_, std::string(project), clock_.now()); }

Result<std::vector<UsageTotal>> Ledger::usage(const UsageQuery& query) {
  if (query.limit == 0 || query.limit > kMaxGroups) return fail(ErrorCode::kInvalidArgument, "limit must be 1 to {}", kMaxGroups);
  std::string where = "time >= ? AND time < ?";
  infra::SqlParams params{query.from, query.until};
  const auto filter = [&](std::string_view column, const std::string& value) {
    if (value.empty()) return;
    where += fmt::format(" AND {} = ?", column);
    params.push_back(value);
  };
  filter("tenant", query.tenant);
  filter("project", query.project);
  filter("principal", query.principal);
  filter("model", query.model);
  params.push_back(static_cast<std::int64_t>(query.limit));
  std::vector<UsageTotal> totals;
  STOA_CHECK(database_.for_each(
      fmt::format("SELECT {} AS grouped, COUNT(DISTINCT request), SUM(input_tokens), SUM(cached_tokens), SUM(output_tokens), SUM(compute_micros), SUM(cost) "
                  "FROM usage_ledger WHERE {} GROUP BY grouped ORDER BY SUM(cost) DESC, grouped LIMIT ?",
                  group_expression(query.by), where),
      params, [&](const infra::SqlRow& row) -> Result<bool> {
        UsageTotal total;
        STOA_CHECK(row.read(total.group, total.requests, total.input_tokens, total.cached_tokens, total.output_tokens, total.compute_micros, total.cost));
        totals.push_back(std::move(total));
        return true;
      }));
  return totals;
}

Result<std::vector<UsageRow>> Ledger::rows(std::string_view request) {
  STOA_TRY(found, database_.query("SELECT request, kind, model, principal, tenant, project, time, input_tokens, cached_tokens, output_tokens, "
                                  "compute_micros, cost FROM usage_ledger WHERE request = ? ORDER BY kind",
                                  {std::string(request)}));
  std::vector<UsageRow> rows;
  for (const auto& row : found) {
    UsageRow& item = rows.emplace_back();
    STOA_CHECK(row.read(item.request, item.kind, item.model, item.principal, item.tenant, item.project, item.time, item.input_tokens, item.cached_tokens,
                        item.output_tokens, item.compute_micros, item.cost));
  }
  return rows;
}

}  // namespace stoa::governance
