#include "governance/policies/decision_log.h"

#include <algorithm>
#include <functional>

#include "base/scheduling.h"
#include "base/json.h"
#include "base/log.h"

namespace stoa::governance {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"sql(
CREATE TABLE policy_decisions (
  key INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  action TEXT NOT NULL,
  attributes TEXT NOT NULL,
  allowed INTEGER NOT NULL,
  rule TEXT NOT NULL,
  count INTEGER NOT NULL,
  last INTEGER NOT NULL);
CREATE INDEX policy_decisions_by_tenant ON policy_decisions (tenant, last);
)sql"}};

// What differs from call to call although the same is asked.
bool is_passing(Attribute attribute) {
  return attribute == Attribute::kContextHour || attribute == Attribute::kContextWeekday || attribute == Attribute::kContextBudgetLeft || attribute == Attribute::kResourceName;
}

class Hash {
 public:
  void add(std::string_view text) { add(std::hash<std::string_view>{}(text)); }
  void add(std::uint64_t value) { state_ = (state_ ^ value) * 0x9E3779B97F4A7C15U + (state_ >> 29); }
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0x243F6A8885A308D3U;
};

std::uint64_t key_of(const PolicyRequest& request, const Decision& decision) {
  Hash hash;
  hash.add(static_cast<std::uint64_t>(request.action()));
  hash.add(decision.rule);
  for (const auto& info : attribute_table()) {
    const auto& value = request.get(info.attribute);
    if (!value.known || is_passing(info.attribute)) continue;
    hash.add(static_cast<std::uint64_t>(info.attribute));
    hash.add(static_cast<std::uint64_t>(value.number));
    hash.add(value.text);
    for (const auto& item : value.list) hash.add(item);
  }
  return hash.value();
}

std::string attributes_json(const PolicyRequest& request) {
  JsonObject object;
  for (const auto& info : attribute_table()) {
    const auto& value = request.get(info.attribute);
    if (!value.known) continue;
    switch (info.type) {
      case AttributeType::kInteger: object[info.name] = value.number; break;
      case AttributeType::kBoolean: object[info.name] = value.number != 0; break;
      case AttributeType::kList: object[info.name] = JsonArray(value.list.begin(), value.list.end()); break;
      case AttributeType::kText:
      case AttributeType::kAddress: object[info.name] = value.text; break;
    }
  }
  return dump_json(object);
}

Result<std::vector<std::pair<Attribute, PolicyValue>>> attributes_from(std::string_view json) {
  STOA_TRY(parsed, parse_json(json));
  if (!parsed.is_object()) return fail(ErrorCode::kDataLoss, "a recorded decision is no JSON object");
  std::vector<std::pair<Attribute, PolicyValue>> known;
  for (const auto& info : attribute_table()) {
    const Json* value = find(parsed.as_object(), info.name);
    if (value == nullptr) continue;
    if (value->is_bool()) known.emplace_back(info.attribute, value->as_bool());
    if (value->is_int64()) known.emplace_back(info.attribute, value->as_int64());
    if (value->is_string()) known.emplace_back(info.attribute, std::string(value->as_string()));
    if (!value->is_array()) continue;
    std::vector<std::string> list;
    for (const auto& item : value->as_array())
      if (item.is_string()) list.emplace_back(item.as_string());
    known.emplace_back(info.attribute, std::move(list));
  }
  return known;
}

}  // namespace

std::string RecordedDecision::text(Attribute attribute) const {
  const auto found = std::ranges::find(known, attribute, &std::pair<Attribute, PolicyValue>::first);
  const auto* text = found == known.end() ? nullptr : std::get_if<std::string>(&found->second);
  return text == nullptr ? "" : *text;
}

PolicyRequest RecordedDecision::request() const {
  PolicyRequest request(action);
  for (const auto& [attribute, value] : known) request.set(attribute, value);
  return request;
}

Result<std::unique_ptr<DecisionLog>> DecisionLog::open(infra::SqlDatabase& database, DecisionLogOptions options) {
  STOA_CHECK(database.migrate("governance/policies/decisions", kMigrations));
  std::unique_ptr<DecisionLog> log(new DecisionLog(database, options));
  log->writer_ = std::thread([log = log.get()] { log->run(); });
  return log;
}

DecisionLog::~DecisionLog() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (writer_.joinable()) writer_.join();
}

void DecisionLog::note(const PolicyRequest& request, const Decision& decision) {
  const std::uint64_t key = key_of(request, decision);
  const Micros now = options_.clock->now();
  {
    std::lock_guard lock(mutex_);
    if (const auto found = pending_.find(key); found != pending_.end()) {
      ++found->second.count;
      found->second.last = now;
      return;
    }
    if (stopping_ || pending_.size() >= options_.max_pending) {
      ++dropped_;
      return;
    }
  }
  Pending fresh{.tenant = std::string(request.get(Attribute::kPrincipalTenant).text), .attributes = attributes_json(request), .rule = decision.rule, .action = request.action(),
                .allowed = decision.allowed, .count = 0, .last = now};
  std::lock_guard lock(mutex_);
  ++pending_.try_emplace(key, std::move(fresh)).first->second.count;
  if (pending_.size() == 1) wake_.notify_one();
}

std::int64_t DecisionLog::dropped() const {
  std::lock_guard lock(mutex_);
  return dropped_;
}

// Sleeps while nothing is asked; then gathers for a while and writes at once.
void DecisionLog::run() {
  run_in_background("decisions");
  bool stopping = false;
  while (!stopping) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !pending_.empty(); });
      wake_.wait_for(lock, options_.linger, [&] { return stopping_; });
      stopping = stopping_;
    }
    if (const Status written = flush(); !written) log_error("recorded decisions were not written, so dry runs know less", written.error());
  }
}

Status DecisionLog::flush() {
  std::lock_guard writing(write_mutex_);
  Batch batch;
  {
    std::lock_guard lock(mutex_);
    batch.swap(pending_);
  }
  return batch.empty() ? Status{} : write(batch);
}

Status DecisionLog::write(const Batch& batch) {
  return database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    for (const auto& [key, one] : batch)
      STOA_CHECK(transaction.execute("INSERT INTO policy_decisions (key, tenant, action, attributes, allowed, rule, count, last) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                                     " ON CONFLICT (key) DO UPDATE SET attributes = excluded.attributes, count = count + excluded.count, last = excluded.last",
                                     {static_cast<std::int64_t>(key), one.tenant, std::string(action_name(one.action)), one.attributes, std::int64_t{one.allowed}, one.rule,
                                      one.count, one.last}));
    STOA_TRY(row, transaction.query_one("SELECT COUNT(*) FROM policy_decisions"));
    STOA_TRY(rows, row->get<std::int64_t>(0));
    if (const auto most = static_cast<std::int64_t>(options_.max_rows); rows > most)
      STOA_CHECK(transaction.execute("DELETE FROM policy_decisions WHERE key IN (SELECT key FROM policy_decisions ORDER BY last LIMIT ?)", {rows - most}));
    return {};
  });
}

Result<std::vector<RecordedDecision>> DecisionLog::recent(std::string_view tenant, std::size_t limit) {
  STOA_CHECK(flush());
  STOA_TRY(rows, database_.query("SELECT tenant, action, attributes, allowed, rule, count, last FROM policy_decisions WHERE (? = '' OR tenant = ?) ORDER BY count DESC, last DESC LIMIT ?",
                                 {std::string(tenant), std::string(tenant), static_cast<std::int64_t>(limit)}));
  std::vector<RecordedDecision> all;
  for (const auto& row : rows) {
    RecordedDecision one;
    std::string action, attributes;
    STOA_CHECK(row.read(one.tenant, action, attributes, one.allowed, one.rule, one.count, one.last));
    const auto known_action = parse_action(action);
    if (!known_action) continue;  // of another release
    STOA_TRY(known, attributes_from(attributes));
    one.action = *known_action;
    one.known = std::move(known);
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace stoa::governance
