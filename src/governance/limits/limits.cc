#include "governance/limits/limits.h"

#include <algorithm>
#include <tuple>

#include "base/log.h"

namespace stoa::governance {

// One rule as it holds in a project.
struct NamedRule {
  LimitRule rule;
  std::string limits;     // "pilot", "installation/house"
  std::size_t number = 0; // in its text, from 1
};

struct ProjectLimits {
  std::vector<NamedRule> rules;
};


struct LimitCounter {
  std::array<Bucket, kBuckets> buckets;
  std::int64_t running = 0;
  std::int64_t holds = 0;  // tickets that refer to it
  std::array<std::int64_t, kBuckets> amounts{};  // that held last
  std::string project, limits, who;
  std::size_t number = 0;
};

struct LimitedCaller {
  std::string_view project, principal, key, model;  // the key may be empty
};

struct LimitShard {
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const { return std::hash<std::string_view>{}(key); }
  };
  std::mutex mutex;
  std::unordered_map<std::string, LimitCounter, Hash, std::equal_to<>> counters;
  Micros swept = 0;
};

struct Limits::State {
  std::map<std::string, std::shared_ptr<const ProjectLimits>, std::less<>> projects;  // those with limits of their own
  std::shared_ptr<const ProjectLimits> others;                                        // of all the rest

  const std::shared_ptr<const ProjectLimits>& of(std::string_view project) const {
    const auto own = projects.find(project);
    return own == projects.end() ? others : own->second;
  }
  bool any_of(Micros period) const;
};

namespace {

constexpr std::size_t kShards = 64, kMaxNames = 32, kMaxName = 64;
constexpr Micros kSecond = 1'000'000, kSweep = kSecond;
constexpr int kRefilled = 2, kRefillSpans = 60;  // periods that are read, and spans of a period
constexpr std::array<LimitKind, kBuckets> kBucketKinds{LimitKind::kRequests, LimitKind::kTokens, LimitKind::kMoneyHour, LimitKind::kMoneyDay};

using Wanted = std::array<std::int64_t, kBuckets>;
Wanted wanted(std::int64_t requests, std::int64_t tokens, Money money) { return {requests, tokens, money, money}; }

Status check_name(std::string_view name) {
  const auto allowed = [](unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'; };
  if (!name.empty() && name.size() <= kMaxName && std::ranges::all_of(name, allowed)) return {};
  return fail(error(ErrorCode::kInvalidArgument, "'{}' cannot name limits: 1 to {} letters, digits and ._- are allowed", name.substr(0, 100), kMaxName).with_param("name"));
}

int seconds(Micros wait) { return static_cast<int>(std::min<Micros>((wait + kSecond - 1) / kSecond, 86'400)); }

void drain(LimitCounter& counter, const LimitRule& rule, Micros now) {
  for (std::size_t i = 0; i < kBuckets; ++i)
    if (const std::int64_t amount = rule.amounts[i]; amount > 0) {
      counter.buckets[i].drain(amount, limit_unit(kBucketKinds[i]).period, now);
      counter.amounts[i] = amount;
    }
}

bool has_period(const LimitRule& rule, Micros period) {
  for (std::size_t i = 0; i < kBuckets; ++i)
    if (rule.amounts[i] > 0 && limit_unit(kBucketKinds[i]).period == period) return true;
  return false;
}

// Forgets what nobody uses any more.
void sweep(LimitShard& shard, Micros now) {
  shard.swept = now;
  std::erase_if(shard.counters, [&](const auto& entry) {
    LimitCounter counter = entry.second;
    if (counter.holds > 0) return false;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      if (counter.amounts[i] > 0) counter.buckets[i].drain(counter.amounts[i], limit_unit(kBucketKinds[i]).period, now);
      if (counter.buckets[i].used() > 0) return false;
    }
    return true;
  });
}

std::string who_of(const LimitRule& rule, const LimitedCaller& caller) {
  std::string who;
  const auto add = [&](std::string_view part) { who.append(who.empty() ? "" : " ").append(part); };
  if (rule.user) add(caller.principal);
  if (rule.key) add(caller.key.empty() ? caller.principal : caller.key);
  if (rule.model) add(caller.model);
  return who;
}

Error refusal(const NamedRule& named, LimitKind kind, Micros wait) {
  const int after = std::max(1, seconds(wait));
  return error(ErrorCode::kResourceExhausted, "the limit of {} is reached", limit_text(named.rule, kind))
      .with_hint(fmt::format("limit {} of '{}'; {}", named.number, named.limits, kind == LimitKind::kConcurrent ? std::string("wait for one to end") : fmt::format("try again in {} s", after)))
      .with_retry_after(after);
}

// Waiting would not help.
Error too_large(const NamedRule& named, LimitKind kind, std::int64_t amount) {
  const std::string wants = kind == LimitKind::kTokens ? fmt::format("use {} tokens", amount) : fmt::format("cost {:.6g}", static_cast<double>(amount) / 1e6);
  return error(ErrorCode::kTooLarge, "this request alone may {}, and the limit is {}", wants, limit_text(named.rule, kind))
      .with_hint(fmt::format("limit {} of '{}'; ask for a shorter answer, or have the limit raised", named.number, named.limits));
}

void tighten(LimitState::Amount& state, const Bucket& bucket, LimitKind kind, std::int64_t amount) {
  if (amount <= 0 || (state.limit > 0 && state.left <= bucket.left(amount))) return;
  state = {.limit = amount, .left = bucket.left(amount), .reset = bucket.until_empty(amount, limit_unit(kind).period)};
}

}  // namespace

bool Limits::State::any_of(Micros period) const {
  const auto has = [&](const std::shared_ptr<const ProjectLimits>& limits) { return std::ranges::any_of(limits->rules, [&](const NamedRule& named) { return has_period(named.rule, period); }); };
  return has(others) || std::ranges::any_of(projects, [&](const auto& own) { return has(own.second); });
}

TextKind limit_texts() {
  return {.noun = "limits", .component = "governance/limits", .table = "limit_texts", .read = Action::kUsageRead, .manage = Action::kBudgetManage, .max_names = kMaxNames, .check_name = check_name,
          .check_text = [](const TextVersion& text) -> Status {
            STOA_CHECK(parse_limits(text.text, text.name, text.project.empty()));
            return {};
          }};
}

// ---- Tickets

LimitTicket& LimitTicket::operator=(LimitTicket&& other) noexcept {
  if (this == &other) return *this;
  release();
  owner_ = std::exchange(other.owner_, nullptr);
  limits_ = std::move(other.limits_);
  holds_ = std::move(other.holds_);
  other.holds_.clear();
  tokens_ = std::exchange(other.tokens_, 0);
  money_ = std::exchange(other.money_, 0);
  state_ = other.state_;
  return *this;
}

void LimitTicket::settle(std::int64_t tokens, Money money) {
  if (holds_.empty()) return;
  const Micros now = owner_->clock_.now();
  const Wanted taken = wanted(0, tokens_, money_), used = wanted(0, std::max<std::int64_t>(0, tokens), std::max<Money>(0, money));
  for (Hold& hold : holds_) {
    std::lock_guard lock(hold.shard->mutex);
    drain(*hold.counter, hold.rule->rule, now);
    for (std::size_t i = 0; i < kBuckets; ++i) {
      if (hold.rule->rule.amounts[i] == 0) continue;
      hold.counter->buckets[i].take(used[i]);
      hold.counter->buckets[i].give_back(taken[i]);
    }
  }
  tokens_ = 0;
  money_ = 0;
  owner_->read_state(*this);
}

void LimitTicket::release() {
  if (tokens_ > 0 || money_ > 0) settle(0, 0);
  for (Hold& hold : holds_) {
    std::lock_guard lock(hold.shard->mutex);
    if (hold.running) --hold.counter->running;
    --hold.counter->holds;
  }
  holds_.clear();
  limits_.reset();
  owner_ = nullptr;
}

// ---- Limits

Limits::Limits(Metrics& metrics, const Clock& clock) : metrics_(metrics), clock_(clock), shards_(std::make_unique<LimitShard[]>(kShards)) {}
Limits::~Limits() = default;

Result<std::unique_ptr<Limits>> Limits::open(infra::SqlDatabase& database, AuditLog& audit, const Access& access, Metrics& metrics, const Clock& clock) {
  std::unique_ptr<Limits> limits(new Limits(metrics, clock));
  STOA_TRY(texts, VersionedTexts::open(database, audit, access, limit_texts(), clock));
  limits->texts_ = std::move(texts);
  STOA_TRY(live, LiveTexts<State>::open(*limits->texts_, [self = limits.get()](const std::vector<TextVersion>& heads) {
             ProjectLimits always, others;  // of the installation: always, and with the defaults
             std::map<std::string, ProjectLimits> own;
             for (const TextVersion& head : heads) {  // those of the installation come first: its project is empty
               const bool of_installation = head.project.empty();
               auto text = parse_limits(head.text, head.name, of_installation);
               if (!text) {  // of another release
                 log_error("stored limits cannot be read: they do not hold", text.error(), {{"project", head.project}, {"limits", head.name}});
                 continue;
               }
               std::size_t number = 0;
               for (LimitRule& rule : text->rules) {
                 NamedRule named{.rule = std::move(rule), .limits = (of_installation ? "installation/" : "") + head.name, .number = ++number};
                 if (!of_installation) {
                   own.try_emplace(head.project, always).first->second.rules.push_back(std::move(named));
                 } else {
                   others.rules.push_back(named);
                   if (!text->by_default) always.rules.push_back(std::move(named));
                 }
               }
             }
             auto state = std::make_shared<State>();
             self->any_.store(!own.empty() || !others.rules.empty());
             for (auto& [project, rules] : own) state->projects.emplace(project, std::make_shared<const ProjectLimits>(std::move(rules)));
             state->others = std::make_shared<const ProjectLimits>(std::move(others));
             return state;
           }));
  limits->live_ = std::move(live);
  return limits;
}

void Limits::read_state(LimitTicket& ticket) const {
  LimitState state;
  for (const auto& hold : ticket.holds_) {
    std::lock_guard lock(hold.shard->mutex);
    for (const auto kind : {LimitKind::kRequests, LimitKind::kTokens})
      tighten(kind == LimitKind::kRequests ? state.requests : state.tokens, hold.counter->buckets[static_cast<std::size_t>(kind)], kind, hold.rule->rule.amount(kind));
  }
  if (state.requests.limit > 0 || state.tokens.limit > 0) ticket.state_ = state;
}

// Calls use(shard, counter) with the counter that the rule has for the caller, under the lock of its shard.
template <class Use>
Status Limits::with_counter(const NamedRule& named, const LimitedCaller& caller, Micros now, const Use& use) {
  const std::string_view project = named.rule.installation ? std::string_view() : caller.project;
  std::string who = who_of(named.rule, caller);
  const std::string key = fmt::format("{}\n{}\n{}\n{}", project, named.limits, named.number, who);
  LimitShard& shard = shards_[std::hash<std::string_view>{}(key) % kShards];
  std::lock_guard lock(shard.mutex);
  auto found = shard.counters.find(key);
  if (found == shard.counters.end()) {
    constexpr std::size_t kMost = kMaxCounters / kShards;
    if (shard.counters.size() >= kMost && now - shard.swept >= kSweep) sweep(shard, now);
    if (shard.counters.size() >= kMost) return fail(error(ErrorCode::kResourceExhausted, "more callers are limited than this server can count").with_retry_after(1));
    LimitCounter counter;
    counter.project = project;
    counter.limits = named.limits;
    counter.number = named.number;
    counter.who = std::move(who);
    found = shard.counters.emplace(key, std::move(counter)).first;
  }
  use(shard, found->second);
  return {};
}

// Finds the counters of the rules that hold for the request.
Status Limits::begin(LimitTicket& ticket, const Call& call, std::string_view model) {
  ticket.limits_ = live_->current()->of(call.principal.project);
  ticket.owner_ = this;
  const Micros now = clock_.now();
  const LimitedCaller caller{.project = call.principal.project, .principal = call.principal.id, .key = call.principal.key, .model = model};
  for (const NamedRule& named : ticket.limits_->rules) {
    if (!named.rule.applies(model, caller.principal)) continue;
    STOA_CHECK(with_counter(named, caller, now, [&](LimitShard& shard, LimitCounter& counter) {
      ++counter.holds;
      ticket.holds_.push_back({.shard = &shard, .counter = &counter, .rule = &named});
    }));
  }
  return {};
}

// A bucket of a caller who takes all there is never empties, so what it holds is not to be seen from what was used in any time: it begins full.
void Limits::take_recent(const State& state, const RecentUse& use, Micros period, Micros from, Micros now) {
  const auto limits = state.of(use.project);
  const LimitedCaller caller{.project = use.project, .principal = use.principal, .key = use.key, .model = use.model};
  const Wanted used = wanted(use.requests, use.tokens, use.cost);
  for (const NamedRule& named : limits->rules) {
    if (!has_period(named.rule, period) || !named.rule.applies(use.model, use.principal)) continue;
    const auto taken = with_counter(named, caller, now, [&](LimitShard&, LimitCounter& counter) {
      for (std::size_t i = 0; i < kBuckets; ++i) {
        const std::int64_t amount = named.rule.amounts[i];
        if (amount == 0 || limit_unit(kBucketKinds[i]).period != period) continue;
        Bucket& bucket = counter.buckets[i];
        if (!bucket.begun()) {
          bucket.drain(amount, period, from);
          bucket.take(amount);
        }
        bucket.drain(amount, period, std::min(use.until, now));
        bucket.take(std::min(used[i], bucket.left(amount)));  // not more than all: what was used may be from before the limit
        counter.amounts[i] = amount;
      }
    });
    if (!taken) return;  // as many as can be counted
  }
}

Status Limits::refill(Ledger& ledger) {
  const auto state = live_->current();
  const Micros now = clock_.now();
  Micros done = 0;
  for (const LimitKind kind : kBucketKinds) {  // in the order of their periods
    const Micros period = limit_unit(kind).period, from = now - kRefilled * period;
    if (period == done || !state->any_of(period)) continue;
    done = period;
    STOA_CHECK(ledger.recent(from, period / kRefillSpans, [&](const RecentUse& use) { take_recent(*state, use, period, from, now); }));
  }
  return {};
}

// Takes from one rule's counter, or says what does not fit.
Status Limits::take_from(LimitTicket::Hold& hold, const Wanted& want) {
  const NamedRule& named = *hold.rule;
  const auto refuse = [&](LimitKind kind, Error error) {
    metrics_.counter("stoa_limit_refusals_total", "Requests that a limit did not let in.", {{"limit", std::string(limit_unit(kind).label)}}).add();
    return fail(std::move(error));
  };
  std::lock_guard lock(hold.shard->mutex);
  LimitCounter& counter = *hold.counter;
  drain(counter, named.rule, clock_.now());
  if (const std::int64_t most = named.rule.amount(LimitKind::kConcurrent); most > 0 && !hold.running && counter.running >= most)
    return refuse(LimitKind::kConcurrent, refusal(named, LimitKind::kConcurrent, kSecond));
  for (std::size_t i = 0; i < kBuckets; ++i) {
    const std::int64_t amount = named.rule.amounts[i];
    if (amount == 0 || want[i] == 0 || counter.buckets[i].fits(want[i], amount)) continue;
    if (want[i] > amount) return refuse(kBucketKinds[i], too_large(named, kBucketKinds[i], want[i]));
    return refuse(kBucketKinds[i], refusal(named, kBucketKinds[i], counter.buckets[i].wait(want[i], amount, limit_unit(kBucketKinds[i]).period)));
  }
  for (std::size_t i = 0; i < kBuckets; ++i)
    if (named.rule.amounts[i] > 0) counter.buckets[i].take(want[i]);
  if (!hold.running) ++counter.running;
  hold.running = true;
  return {};
}

Status Limits::take(LimitTicket& ticket, const Call& call, std::string_view model, std::int64_t tokens, Money money) {
  live_->refresh();
  const bool first = ticket.owner_ == nullptr;
  if (first && !any_.load(std::memory_order_relaxed)) return {};
  tokens = std::max<std::int64_t>(0, tokens);
  money = std::max<Money>(0, money);
  if (first)
    if (auto begun = begin(ticket, call, model); !begun) {
      ticket.release();
      return begun;
    }
  const Wanted want = wanted(first ? 1 : 0, tokens, money);
  const auto put_back = [&want](LimitTicket::Hold& hold) {
    std::lock_guard lock(hold.shard->mutex);
    for (std::size_t i = 0; i < kBuckets; ++i)
      if (hold.rule->rule.amounts[i] > 0) hold.counter->buckets[i].give_back(want[i]);
  };
  Status taken;
  for (std::size_t i = 0; i < ticket.holds_.size(); ++i) {
    taken = take_from(ticket.holds_[i], want);
    if (taken) continue;
    for (std::size_t j = 0; j < i; ++j) put_back(ticket.holds_[j]);
    break;
  }
  read_state(ticket);
  if (taken) {
    ticket.tokens_ += tokens;
    ticket.money_ += money;
  } else if (first) {
    ticket.release();
  }
  return taken;
}

std::vector<Limits::Standing> Limits::standings(std::string_view project) {
  constexpr std::size_t kMost = 1000;
  const auto limits = live_->current()->of(project);
  const auto& rules = limits->rules;
  const Micros now = clock_.now();
  std::vector<Standing> all;
  for (std::size_t s = 0; s < kShards; ++s) {
    LimitShard& shard = shards_[s];
    std::lock_guard lock(shard.mutex);
    for (auto& [key, counter] : shard.counters) {
      if (counter.project != project || all.size() >= kMost) continue;
      const auto named = std::ranges::find_if(rules, [&](const NamedRule& rule) { return rule.limits == counter.limits && rule.number == counter.number; });
      if (named == rules.end()) continue;  // it does not hold any more
      drain(counter, named->rule, now);
      for (std::size_t i = 0; i < kLimitKinds; ++i) {
        const std::int64_t amount = named->rule.amounts[i];
        if (amount == 0) continue;
        const auto kind = static_cast<LimitKind>(i);
        const bool running = kind == LimitKind::kConcurrent;
        all.push_back({.limits = counter.limits, .rule = counter.number, .who = counter.who, .text = limit_text(named->rule, kind), .kind = kind, .limit = amount,
                       .used = running ? counter.running : counter.buckets[i].used(), .reset = running ? 0 : counter.buckets[i].until_empty(amount, limit_unit(kind).period)});
      }
    }
  }
  std::ranges::sort(all, {}, [](const Standing& standing) { return std::tie(standing.limits, standing.rule, standing.who, standing.kind); });
  return all;
}

}  // namespace stoa::governance
