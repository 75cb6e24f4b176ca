#include "gateway/routing/canary.h"

#include <algorithm>

#include "base/json.h"
#include "base/log.h"

namespace stoa::gateway {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"sql(
CREATE TABLE route_canaries (
  sequence INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  step INTEGER NOT NULL,
  decision TEXT NOT NULL,
  reason TEXT NOT NULL,
  numbers TEXT NOT NULL,
  time INTEGER NOT NULL);
CREATE INDEX route_canaries_by_name ON route_canaries (project, name, sequence);
)sql"}};

constexpr std::string_view kStarted = "started", kAdvanced = "advanced", kPromoted = "promoted", kRolledBack = "rolled back";

double percent_of(std::int64_t part, std::int64_t whole) { return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole); }

JsonObject numbers_json(const CanaryNumbers& numbers) {
  JsonObject out{{"requests", numbers.requests}, {"failures", numbers.failures}, {"first_piece_ms_p95", numbers.first_piece_ms}};
  if (numbers.ratings) out["ratings"] = JsonObject{{"good", numbers.ratings->good}, {"all", numbers.ratings->all}};
  return out;
}

}  // namespace

CanaryVerdict judge_canary(const RouteCanary& plan, const CanaryNumbers& canary, const CanaryNumbers& others, std::chrono::seconds at_step) {
  const CanaryGates& gates = plan.gates;
  const double failures = percent_of(canary.failures, canary.requests);
  const bool enough = canary.requests >= plan.requests;
  if (gates.failures_percent && failures > *gates.failures_percent && (enough || canary.requests >= Canaries::kEarly))
    return {CanaryMove::kRollBack, fmt::format("{:.1f} % of {} requests failed, {} % are allowed", failures, canary.requests, *gates.failures_percent)};
  if (!enough || at_step < plan.least) return {};
  if (gates.first_piece_ms && canary.first_piece_ms > *gates.first_piece_ms)
    return {CanaryMove::kRollBack, fmt::format("the first piece took {:.0f} ms (95th percentile), {} are allowed", canary.first_piece_ms, *gates.first_piece_ms)};
  if (gates.slower_percent && others.requests >= Canaries::kEarly && canary.first_piece_ms > others.first_piece_ms * (1 + *gates.slower_percent / 100.0))
    return {CanaryMove::kRollBack, fmt::format("the first piece took {:.0f} ms (95th percentile), the others' {:.0f}: at most {} % more is allowed", canary.first_piece_ms, others.first_piece_ms, *gates.slower_percent)};
  if (gates.good_ratings_percent && canary.ratings && canary.ratings->all >= Canaries::kEarly && percent_of(canary.ratings->good, canary.ratings->all) < *gates.good_ratings_percent)
    return {CanaryMove::kRollBack, fmt::format("{:.1f} % of {} ratings are good, {} % are needed", percent_of(canary.ratings->good, canary.ratings->all), canary.ratings->all, *gates.good_ratings_percent)};
  return {CanaryMove::kAdvance, fmt::format("all gates hold after {} requests", canary.requests)};
}

CanaryNumbers Canaries::Side::numbers() const {
  CanaryNumbers out{.requests = requests, .failures = failures, .ratings = {}};
  if (first_ms.empty()) return out;
  std::vector<std::int32_t> sorted = first_ms;
  const auto place = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() * 95 + 99) / 100 - 1);
  std::ranges::nth_element(sorted, place);
  out.first_piece_ms = *place;
  return out;
}

Result<std::unique_ptr<Canaries>> Canaries::open(infra::SqlDatabase& database, governance::AuditLog& audit, Ratings ratings, const Clock& clock) {
  STOA_CHECK(database.migrate("gateway/routing/canary", kMigrations));
  std::unique_ptr<Canaries> canaries(new Canaries(database, audit, std::move(ratings), clock));
  STOA_CHECK(canaries->load());
  return canaries;
}

Status Canaries::load() {
  return database_.for_each("SELECT project, name, version, step, decision, time FROM route_canaries r WHERE sequence = (SELECT MAX(sequence) FROM route_canaries q WHERE q.project = r.project AND q.name = r.name)",
                            {}, [&](const infra::SqlRow& row) -> Result<bool> {
                              Key key;
                              Watch watch;
                              std::int64_t step = 0;
                              std::string decision;
                              STOA_CHECK(row.read(key.first, key.second, watch.version, step, decision, watch.since));
                              watch.step = static_cast<int>(step) + (decision == kAdvanced ? 1 : 0);
                              watch.promoted = decision == kPromoted;
                              watch.over = watch.promoted || decision == kRolledBack;
                              watches_.emplace(std::move(key), std::move(watch));
                              return true;
                            });
}

Canaries::Watch& Canaries::watch(const Principal& caller, std::string_view name, const Route& route) {
  const Key key(caller.project, name);
  if (watches_.size() >= kMostWatched && !watches_.contains(key)) watches_.erase(watches_.begin());  // it is in the store
  const auto place = watches_.try_emplace(key).first;
  Watch& watch = place->second;
  if (watch.version == route.version && static_cast<std::size_t>(watch.step) < route.canary->steps.size()) return watch;
  watch = Watch{.tenant = caller.tenant, .version = route.version, .since = clock_.now()};
  record(key, route, watch, kStarted, fmt::format("{} % of the requests go to {}", route.canary->steps.front(), route.canary->target.id()), {});
  return watch;
}

int Canaries::percent(const Principal& caller, std::string_view name, const Route& route) {
  std::lock_guard lock(mutex_);
  const Watch& found = watch(caller, name, route);
  return found.promoted ? 100 : found.over ? 0 : route.canary->steps[static_cast<std::size_t>(found.step)];
}

void Canaries::observe(const Principal& caller, std::string_view name, const Route& route, bool canary, bool failed, milliseconds first) {
  std::lock_guard lock(mutex_);
  Watch& found = watch(caller, name, route);
  if (found.over) return;
  found.tenant = caller.tenant;
  Side& side = canary ? found.canary : found.others;
  const auto place = static_cast<std::size_t>(side.requests - side.failures) % kMostSamples;
  ++side.requests;
  if (failed) {
    ++side.failures;
  } else {
    const auto ms = static_cast<std::int32_t>(std::clamp<std::int64_t>(first.count(), 0, INT32_MAX));
    if (side.first_ms.size() < kMostSamples) side.first_ms.push_back(ms);
    else side.first_ms[place] = ms;
  }
  const auto now = std::chrono::steady_clock::now();
  if (!canary || (now - found.looked < kLook && found.canary.requests != route.canary->requests && found.canary.requests != kEarly)) return;
  found.looked = now;
  decide(Key(caller.project, name), route, found);
}

void Canaries::decide(const Key& key, const Route& route, Watch& watch) {
  const RouteCanary& plan = *route.canary;
  CanaryNumbers canary = watch.canary.numbers();
  const CanaryNumbers others = watch.others.numbers();
  if (plan.gates.good_ratings_percent && ratings_) canary.ratings = ratings_(key.first, plan.target.id(), watch.since);
  const CanaryVerdict verdict = judge_canary(plan, canary, others, std::chrono::seconds((clock_.now() - watch.since) / 1'000'000));
  if (verdict.move == CanaryMove::kWait) return;
  const bool last = static_cast<std::size_t>(watch.step) + 1 == plan.steps.size();
  const std::string_view decision = verdict.move == CanaryMove::kRollBack ? kRolledBack : last ? kPromoted : kAdvanced;
  record(key, route, watch, decision, verdict.reason, dump_json(JsonObject{{"canary", numbers_json(canary)}, {"others", numbers_json(others)}}));
  watch.promoted = decision == kPromoted;
  watch.over = decision != kAdvanced;
  if (decision == kAdvanced) ++watch.step;
  watch.since = clock_.now();
  watch.canary = watch.others = {};
}

// A store that fails leaves the decision in force, and it is logged: the requests of the route go on.
void Canaries::record(const Key& key, const Route& route, Watch& watch, std::string_view decision, std::string reason, std::string numbers) {
  const auto done = database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("INSERT INTO route_canaries (project, name, version, step, decision, reason, numbers, time) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                                   {key.first, key.second, watch.version, std::int64_t{watch.step}, std::string(decision), reason, numbers, clock_.now()}));
    governance::AuditEntry entry;
    entry.tenant = watch.tenant;
    entry.project = key.first;
    entry.action = "route.canary";
    entry.resource = fmt::format("route {}@{}", key.second, watch.version);
    entry.reason = fmt::format("{} {}: {}{}{}", route.canary->target.id(), decision, reason, numbers.empty() ? "" : " ", numbers);
    return audit_.append(transaction, std::move(entry));
  });
  log(LogLevel::kInfo, "a canary", {{"route", key.second}, {"target", route.canary->target.id()}, {"decision", std::string(decision)}, {"reason", reason}});
  if (!done) log_error("what became of a canary was not recorded", done.error());
}

Result<std::vector<CanaryDecision>> Canaries::history(std::string_view project, std::string_view name) {
  std::vector<CanaryDecision> all;
  STOA_CHECK(database_.for_each("SELECT version, step, decision, reason, numbers, time FROM route_canaries WHERE project = ? AND name = ? ORDER BY sequence DESC LIMIT 100",
                                {std::string(project), std::string(name)}, [&](const infra::SqlRow& row) -> Result<bool> {
                                  CanaryDecision one;
                                  std::int64_t step = 0;
                                  STOA_CHECK(row.read(one.version, step, one.decision, one.reason, one.numbers, one.time));
                                  one.step = static_cast<int>(step);
                                  all.push_back(std::move(one));
                                  return true;
                                }));
  std::ranges::reverse(all);
  return all;
}

}  // namespace stoa::gateway
