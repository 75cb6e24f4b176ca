#include "governance/cost/ledger.h"

#include <algorithm>

#include "base/id.h"
#include "base/log.h"
#include "infra/journal/packing.h"
#include "infra/journal/write_behind.h"

namespace stoa::governance {
namespace {

constexpr std::size_t kMaxGroups = 10'000;
constexpr std::size_t kMaxYoung = 4096;
constexpr std::string_view kRequests = "req";  // ids of requests

// In the journal. Stored there: must not change.
constexpr std::uint8_t kJournalKind = 2;
constexpr std::int64_t kPackedForm = 3, kFormWithoutTags = 1, kFormWithoutKeys = 2;

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
)sql"},
                                             {2, "DROP TABLE usage_reservations"},
                                             {3, R"sql(
  ALTER TABLE usage_ledger ADD COLUMN price_class TEXT NOT NULL DEFAULT 'standard';
  ALTER TABLE usage_ledger ADD COLUMN tags TEXT NOT NULL DEFAULT '';
)sql"},
                                             {4, R"sql(
  ALTER TABLE usage_ledger ADD COLUMN api_key TEXT NOT NULL DEFAULT '';
  ALTER TABLE usage_ledger ADD COLUMN asked TEXT NOT NULL DEFAULT '';
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

std::string key_of(std::string_view request, std::string_view kind) { return fmt::format("{}\n{}", request, kind); }

// Calls `text` and `number` for each member, so that writing, reading and storing cannot disagree.
template <class Row, class Text, class Number>
void each_member(Row& row, const Text& text, const Number& number) {
  for (auto* member : {&row.request, &row.kind, &row.model, &row.principal, &row.tenant, &row.project}) text(*member);
  for (auto* member : {&row.time, &row.input_tokens, &row.cached_tokens, &row.output_tokens, &row.compute_micros, &row.cost}) number(*member);
}
template <class Row, class Text>
void each_later_member(Row& row, const Text& text) {
  for (auto* member : {&row.price_class, &row.tags}) text(*member);
}
template <class Row, class Text>
void each_latest_member(Row& row, const Text& text) {
  for (auto* member : {&row.key, &row.asked}) text(*member);
}

std::string pack(const UsageRow& row) {
  infra::Packer packer;
  packer.add(kPackedForm);
  const auto text = [&](const std::string& member) { packer.add(member); };
  each_member(row, text, [&](std::int64_t number) { packer.add(number); });
  each_later_member(row, text);
  each_latest_member(row, text);
  return packer.text();
}

Result<UsageRow> unpack(ByteSpan record) {
  infra::Unpacker unpacker(record);
  UsageRow row;
  std::int64_t form = 0;
  unpacker.take(form);
  const auto text = [&](std::string& member) { unpacker.take(member); };
  each_member(row, text, [&](std::int64_t& number) { unpacker.take(number); });
  if (form == kFormWithoutTags)
    row.price_class = price_class_name(PriceClass::kStandard);
  else
    each_later_member(row, text);
  if (form == kPackedForm) each_latest_member(row, text);
  STOA_CHECK(unpacker.finish("usage row"));
  if (form < kFormWithoutTags || form > kPackedForm) return fail(ErrorCode::kDataLoss, "a usage row of the journal has the unknown form {}", form);
  return row;
}

constexpr const char* kColumns = "request, kind, model, principal, tenant, project, time, input_tokens, cached_tokens, output_tokens, compute_micros, cost, "
                                 "price_class, tags, api_key, asked";

// The first row of a request and kind counts.
Status insert(infra::SqlTransaction& transaction, const UsageRow& row) {
  infra::SqlParams params;
  const auto text = [&](const std::string& member) { params.emplace_back(member); };
  each_member(row, text, [&](std::int64_t number) { params.emplace_back(number); });
  each_later_member(row, text);
  each_latest_member(row, text);
  STOA_TRY(added, transaction.execute(fmt::format("INSERT INTO usage_ledger ({}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING", kColumns), params));
  static_cast<void>(added);
  return {};
}

std::string_view group_expression(UsageGroup group) {
  switch (group) {
    case UsageGroup::kProject: return "project";
    case UsageGroup::kPrincipal: return "principal";
    case UsageGroup::kModel: return "model";
    case UsageGroup::kDay: return "strftime('%Y-%m-%d', time / 1000000, 'unixepoch')";
    case UsageGroup::kKind: return "kind";
    case UsageGroup::kTags: return "tags";
    case UsageGroup::kPriceClass: return "price_class";
    case UsageGroup::kNone: break;
  }
  return "''";
}

}  // namespace

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this == &other) return *this;
  release();
  ledger_ = std::exchange(other.ledger_, nullptr);
  amount_ = other.amount_;
  kind_ = std::move(other.kind_);
  model_ = std::move(other.model_);
  asked_ = std::move(other.asked_);
  principal_ = std::move(other.principal_);
  key_ = std::move(other.key_);
  tenant_ = std::move(other.tenant_);
  project_ = std::move(other.project_);
  request_ = std::move(other.request_);
  tags_ = std::move(other.tags_);
  price_class_ = other.price_class_;
  return *this;
}

void Reservation::release() {
  if (ledger_ != nullptr) std::exchange(ledger_, nullptr)->release(*this);
}

Ledger::Ledger(infra::SqlDatabase& database, const PriceBook& prices, const Clock& clock, infra::WriteBehind* behind)
    : database_(database), prices_(prices), clock_(clock), behind_(behind), forgotten_(new_id(kRequests)) {}

Result<std::unique_ptr<Ledger>> Ledger::open(infra::SqlDatabase& database, const PriceBook& prices, const Clock& clock, infra::WriteBehind* behind) {
  STOA_CHECK(database.migrate("cost", kMigrations));
  if (behind != nullptr)
    STOA_CHECK(behind->add(kJournalKind, [](infra::SqlTransaction& transaction, std::span<const ByteSpan> records) -> Status {
      for (const ByteSpan record : records) {
        STOA_TRY(row, unpack(record));
        STOA_CHECK(insert(transaction, row));
      }
      return {};
    }));
  return std::unique_ptr<Ledger>(new Ledger(database, prices, clock, behind));
}

Status Ledger::catch_up() { return behind_ == nullptr ? Status{} : behind_->catch_up(); }

Status Ledger::store(const UsageRow& row) {
  return database_.transaction([&](infra::SqlTransaction& transaction) { return insert(transaction, row); });
}

Result<Ledger::Account*> Ledger::account(const std::string& project, Micros now) {
  const auto known = accounts_.find(project);
  Account account = known == accounts_.end() ? Account{} : known->second;
  const Micros month = month_start(now);
  if (known == accounts_.end()) {
    // Nobody settles for a project before its account is here, so the store has all that was settled before.
    STOA_CHECK(catch_up());
    STOA_TRY(limit, database_.query_one("SELECT monthly_limit FROM budgets WHERE project = ?", {project}));
    if (limit) {
      STOA_TRY(amount, limit->get<std::int64_t>(0));
      account.budget.limit = amount;
    }
    STOA_TRY(spent, sum(database_, "SELECT COALESCE(SUM(cost), 0) FROM usage_ledger WHERE project = ? AND time >= ?", {project, month}));
    account.budget.spent = spent;
    account.month = month;
  } else if (month <= account.month) {
    return &known->second;
  } else {
    account.budget.spent = 0;
    account.month = month;
  }
  return &(accounts_[project] = account);
}

// Ids rise with time: what was settled of a request that began after the last forgetting has not been forgotten.
Result<std::optional<Money>> Ledger::settled_cost(const std::string& request, std::string_view kind) {
  const std::string key = key_of(request, kind);
  for (const Settled* settled : {&young_, &old_})
    if (const auto found = settled->costs.find(key); found != settled->costs.end()) return found->second;
  if (is_id(request, kRequests) && request > forgotten_) return std::nullopt;
  STOA_TRY(row, database_.query_one("SELECT cost FROM usage_ledger WHERE request = ? AND kind = ?", {request, std::string(kind)}));
  if (!row) return std::nullopt;
  STOA_TRY(cost, row->get<std::int64_t>(0));
  return cost;
}

void Ledger::forget_old() {
  if (young_.costs.size() < kMaxYoung || (behind_ != nullptr && behind_->carried() < old_.appended)) return;
  if (!old_.closed.empty()) forgotten_ = old_.closed;
  young_.closed = new_id(kRequests);
  young_.appended = behind_ == nullptr ? 0 : behind_->appended();
  old_ = std::exchange(young_, {});
}

Result<Reservation> Ledger::reserve(const Call& call, std::string_view kind, std::string_view model, Money estimate) {
  if (estimate < 0) return fail(ErrorCode::kInvalidArgument, "an estimate cannot be negative: {}", estimate);
  Reservation reservation;
  reservation.amount_ = estimate;
  reservation.kind_ = kind;
  reservation.model_ = model;
  reservation.asked_ = model;
  reservation.principal_ = call.principal.id;
  reservation.key_ = call.principal.key;
  reservation.tenant_ = call.principal.tenant;
  reservation.project_ = call.principal.project;
  reservation.request_ = call.request_id;
  for (const std::string& tag : call.origin.tags) reservation.tags_ += (reservation.tags_.empty() ? "" : ",") + tag;
  if (call.batch) reservation.price_class_ = PriceClass::kBatch;
  std::lock_guard lock(mutex_);
  STOA_TRY(settled, settled_cost(call.request_id, kind));
  if (settled) return fail(ErrorCode::kConflict, "request {} has settled its {} already", call.request_id, kind);
  STOA_TRY(found, account(call.principal.project, clock_.now()));
  Budget& budget = found->budget;
  Money promised = 0;
  if (__builtin_add_overflow(budget.spent, budget.reserved, &promised) || __builtin_add_overflow(promised, estimate, &promised))
    return fail(ErrorCode::kResourceExhausted, "what the project has spent and reserved does not fit into a number");
  if (budget.limit && promised > *budget.limit) {
    const Money left = *budget.limit - budget.spent - budget.reserved;
    return fail(error(ErrorCode::kResourceExhausted, "the project's budget of {} a month has {} left, and this call may cost {}",
                      format_money(*budget.limit, prices_.currency()), format_money(std::max<Money>(left, 0), prices_.currency()),
                      format_money(estimate, prices_.currency()))
                    .with_hint("wait for the next month, or have the budget raised"));
  }
  budget.reserved += estimate;
  reservation.ledger_ = this;
  return reservation;
}

Result<Money> Ledger::settle(Reservation& reservation, const Usage& usage) {
  return settle(reservation, usage, [this](const UsageRow& row) { return behind_ == nullptr ? store(row) : behind_->append(kJournalKind, pack(row)); });
}

Result<Money> Ledger::settle(Reservation& reservation, const Usage& usage, infra::JournalGroup& group) {
  return settle(reservation, usage, [&](const UsageRow& row) -> Status {
    if (behind_ == nullptr) return store(row);
    group.add(kJournalKind, pack(row));
    return {};
  });
}

Result<Money> Ledger::settle(Reservation& reservation, const Usage& usage, const Record& record) {
  if (!reservation.open()) return fail(ErrorCode::kInternal, "a reservation is settled once");
  STOA_TRY(cost, prices_.cost(reservation.model_, usage, reservation.price_class_));
  const UsageRow row{reservation.request_, reservation.kind_, reservation.model_, reservation.principal_, reservation.tenant_, reservation.project_,
                     clock_.now(), usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.compute_micros, cost,
                     std::string(price_class_name(reservation.price_class_)), reservation.tags_, reservation.key_,
                     reservation.asked_ == reservation.model_ ? "" : reservation.asked_};
  const std::string key = key_of(row.request, row.kind);
  {
    std::lock_guard lock(mutex_);
    STOA_TRY(settled, settled_cost(row.request, row.kind));
    if (settled) {
      accounts_[row.project].budget.reserved -= reservation.amount_;
      reservation.ledger_ = nullptr;
      return *settled;
    }
    young_.costs.emplace(key, cost);
  }
  // Outside of the lock: several may wait for the disk together.
  auto recorded = record(row);
  std::lock_guard lock(mutex_);
  if (!recorded) {
    young_.costs.erase(key);
    old_.costs.erase(key);
    return fail(std::move(recorded).error());
  }
  STOA_TRY(found, account(row.project, row.time));
  if (row.time >= found->month) found->budget.spent += cost;
  found->budget.reserved -= reservation.amount_;
  reservation.ledger_ = nullptr;
  forget_old();
  return cost;
}

void Ledger::release(const Reservation& reservation) {
  std::lock_guard lock(mutex_);
  accounts_[reservation.project_].budget.reserved -= reservation.amount_;
}

Status Ledger::set_budget(std::string_view project, std::optional<Money> monthly_limit) {
  if (monthly_limit && *monthly_limit < 0) return fail(ErrorCode::kInvalidArgument, "a budget cannot be negative: {}", *monthly_limit);
  const std::string id(project);
  std::lock_guard lock(mutex_);
  STOA_TRY(found, account(id, clock_.now()));
  const auto changed = monthly_limit ? database_.execute("INSERT INTO budgets (project, monthly_limit) VALUES (?, ?) "
                                                         "ON CONFLICT (project) DO UPDATE SET monthly_limit = excluded.monthly_limit",
                                                         {id, *monthly_limit})
                                     : database_.execute("DELETE FROM budgets WHERE project = ?", {id});
  if (!changed) return std::unexpected(changed.error());
  found->budget.limit = monthly_limit;
  return {};
}

Result<Budget> Ledger::budget(std::string_view project) {
  std::lock_guard lock(mutex_);
  STOA_TRY(found, account(std::string(project), clock_.now()));
  return found->budget;
}

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
  if (!query.tag.empty()) {
    where += " AND instr(',' || tags || ',', ?) > 0";
    params.push_back(fmt::format(",{},", query.tag));
  }
  params.push_back(static_cast<std::int64_t>(query.limit));
  STOA_CHECK(catch_up());
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
  STOA_CHECK(catch_up());
  STOA_TRY(found, database_.query(fmt::format("SELECT {} FROM usage_ledger WHERE request = ? ORDER BY kind", kColumns), {std::string(request)}));
  std::vector<UsageRow> rows;
  for (const auto& row : found) {
    UsageRow& item = rows.emplace_back();
    STOA_CHECK(row.read(item.request, item.kind, item.model, item.principal, item.tenant, item.project, item.time, item.input_tokens, item.cached_tokens,
                        item.output_tokens, item.compute_micros, item.cost, item.price_class, item.tags, item.key, item.asked));
  }
  return rows;
}

// Project by project, so that the index on them and time serves. What other targets did besides a request has kinds with a dot, and is no request of its own.
Status Ledger::recent(Micros from, Micros span, const std::function<void(const RecentUse&)>& each) {
  if (span <= 0) return fail(ErrorCode::kInvalidArgument, "a span of time is longer than nothing: {}", span);
  STOA_CHECK(catch_up());
  return database_.for_each(R"sql(
  WITH RECURSIVE projects (id) AS (SELECT MIN(project) FROM usage_ledger
    UNION ALL SELECT (SELECT MIN(project) FROM usage_ledger WHERE project > projects.id) FROM projects WHERE projects.id IS NOT NULL)
  SELECT time / ? AS number, project, principal, api_key, CASE asked WHEN '' THEN model ELSE asked END AS named,
    SUM(instr(kind, '.') = 0), SUM(CASE instr(kind, '.') WHEN 0 THEN input_tokens + output_tokens ELSE 0 END), SUM(cost)
  FROM projects CROSS JOIN usage_ledger ON project = projects.id AND time >= ?
  WHERE kind NOT IN ('ingest', 'mirror') GROUP BY number, project, principal, api_key, named ORDER BY number, project, principal, api_key, named)sql",
                            {span, from}, [&](const infra::SqlRow& row) -> Result<bool> {
                              RecentUse use;
                              std::int64_t number = 0;
                              STOA_CHECK(row.read(number, use.project, use.principal, use.key, use.model, use.requests, use.tokens, use.cost));
                              use.until = (number + 1) * span;
                              each(use);
                              return true;
                            });
}

}  // namespace stoa::governance
