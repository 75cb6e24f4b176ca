// What callers may use over time, and at a time: requests, tokens, money and concurrency for each project, user, key and model. A request takes what it is
// expected to use when it starts; the difference to what it really used is given back, or taken, when that is known.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/metrics.h"
#include "contracts/call.h"
#include "governance/cost/ledger.h"
#include "governance/limits/bucket.h"
#include "governance/limits/limit_rules.h"
#include "governance/versions/live_texts.h"
#include "governance/versions/versioned_texts.h"

namespace stoa::governance {

// The tightest of the limits that hold for a request, as headers tell it.
struct LimitState {
  struct Amount {
    std::int64_t limit = 0;  // 0: there is none
    std::int64_t left = 0;
    Micros reset = 0;        // from then until nothing is used any more
  };
  Amount requests, tokens;
};

struct LimitCounter;
struct LimitedCaller;
struct LimitShard;
struct NamedRule;
struct ProjectLimits;
class Limits;

// What a request has taken. Movable; one thread at a time; does not outlive the Limits that gave it.
class LimitTicket {
 public:
  LimitTicket() = default;
  LimitTicket(LimitTicket&& other) noexcept { *this = std::move(other); }
  LimitTicket& operator=(LimitTicket&& other) noexcept;
  ~LimitTicket() { release(); }

  // What was used in the end, in place of what was taken for it; more than once: of each piece of work, after it was taken.
  void settle(std::int64_t tokens, Money money);
  // Ends it: gives back what was taken and not settled, and the place among those under way. The request itself stays counted.
  void release();
  // After take(), whether it succeeded or not; absent where no limit on requests or tokens holds.
  const std::optional<LimitState>& state() const { return state_; }

 private:
  friend class Limits;
  struct Hold {
    LimitShard* shard = nullptr;
    LimitCounter* counter = nullptr;
    const NamedRule* rule = nullptr;  // of `limits_`
    bool running = false;             // counted among those under way
  };
  const Limits* owner_ = nullptr;
  std::shared_ptr<const ProjectLimits> limits_;
  std::vector<Hold> holds_;
  std::int64_t tokens_ = 0;  // taken, not settled
  Money money_ = 0;
  std::optional<LimitState> state_;
};

// Thread-safe. What is used is kept in memory, in shards with a lock each, and filled from the ledger at start; processes on one store count for
// themselves. What is passed by reference outlives the object, and the object its tickets.
class Limits {
 public:
  static constexpr std::size_t kMaxCounters = 1u << 18;

  static Result<std::unique_ptr<Limits>> open(infra::SqlDatabase& database, AuditLog& audit, const Access& access, Metrics& metrics, const Clock& clock = Clock::system());
  ~Limits();

  // Reading needs usage.read, changing budget.manage; the installation's are the local operator's.
  VersionedTexts& texts() { return *texts_; }

  // Takes what callers used lately from the limits that hold, before the first take(): what was used before two periods of a limit is taken to have been
  // all of it, so that nobody gets more by a restart. Requests that failed are not in the ledger.
  Status refill(Ledger& ledger);

  // Takes one request of `model` (as the caller named it), `tokens` and `money` from all limits that hold for it, or from none. A ticket that holds
  // something already takes more tokens and money for the same request. kResourceExhausted with retry_after says which limit does not hold it, and when
  // it would; kTooLarge when it never would. Without any limits: no lock, no allocation.
  Status take(LimitTicket& ticket, const Call& call, std::string_view model, std::int64_t tokens, Money money);

  // How the caller's project stands with each limit that anybody used lately.
  struct Standing {
    std::string limits;    // name of the text; "installation/NAME"
    std::size_t rule = 0;  // from 1
    std::string who;       // "user_x", "user_x gpt-4o"; empty: the project
    std::string text;      // "60 requests a minute for each user"
    LimitKind kind = LimitKind::kRequests;
    std::int64_t limit = 0, used = 0;
    Micros reset = 0;
  };
  std::vector<Standing> standings(std::string_view project);

 private:
  friend class LimitTicket;
  struct State;

  Limits(Metrics& metrics, const Clock& clock);
  Status begin(LimitTicket& ticket, const Call& call, std::string_view model);
  template <class Use>
  Status with_counter(const NamedRule& named, const LimitedCaller& caller, Micros now, const Use& use);
  void take_recent(const State& state, const RecentUse& use, Micros period, Micros from, Micros now);
  Status take_from(LimitTicket::Hold& hold, const std::array<std::int64_t, kBuckets>& wanted);
  void read_state(LimitTicket& ticket) const;

  Metrics& metrics_;
  const Clock& clock_;
  std::unique_ptr<LimitShard[]> shards_;
  std::unique_ptr<VersionedTexts> texts_;
  std::atomic<bool> any_{false};
  std::unique_ptr<LiveTexts<State>> live_;
};

// How limits are kept, for who works on the store without serving.
TextKind limit_texts();

}  // namespace stoa::governance
