// Canaries: a new target takes a growing part of a route's requests. At each step its answers are counted beside those of the others; when there are enough,
// the gates decide whether it goes on or is given up. Every decision is kept with the numbers behind it, and is in the audit log.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "contracts/principal.h"
#include "gateway/routing/route.h"
#include "governance/audit/audit.h"
#include "infra/sql/sql.h"

namespace stoa::gateway {

struct RatingCount {
  std::int64_t good = 0, all = 0;
};

// What was seen of one side during one step.
struct CanaryNumbers {
  std::int64_t requests = 0, failures = 0;
  double first_piece_ms = 0;           // 95th percentile
  std::optional<RatingCount> ratings;  // of its answers; absent: none were looked for
};

enum class CanaryMove : std::uint8_t { kWait, kAdvance, kRollBack };
struct CanaryVerdict {
  CanaryMove move = CanaryMove::kWait;
  std::string reason;
};
// A gate that failures break is looked at from kEarly requests on, so that a broken target does not have to be waited for; the others when the step is
// over. With fewer than kEarly ratings the gate for ratings holds.
CanaryVerdict judge_canary(const RouteCanary& plan, const CanaryNumbers& canary, const CanaryNumbers& others, std::chrono::seconds at_step);

struct CanaryDecision {
  std::int64_t version = 0;   // of the route
  int step = 0;               // of the plan's, from 0, that it was taken at
  std::string decision;       // "started", "advanced", "promoted", "rolled back"
  std::string reason;
  std::string numbers;        // JSON: {"canary": {...}, "others": {...}}; empty when it started
  Micros time = 0;
};

// Thread-safe. What is passed by reference outlives it. Steps are kept over restarts; what was counted at a step is not.
class Canaries {
 public:
  static constexpr std::int64_t kEarly = 20;
  static constexpr milliseconds kLook{1'000};  // between looks at the gates
  using Ratings = std::function<std::optional<RatingCount>(std::string_view project, std::string_view target, Micros since)>;

  static Result<std::unique_ptr<Canaries>> open(infra::SqlDatabase& database, governance::AuditLog& audit, Ratings ratings = {}, const Clock& clock = Clock::system());

  // Of the requests; 0 once it was given up, 100 once it was promoted. A version of a route that is new starts at its first step.
  int percent(const Principal& caller, std::string_view name, const Route& route);
  // How a request went that the canary, or another target, was asked for.
  void observe(const Principal& caller, std::string_view name, const Route& route, bool canary, bool failed, milliseconds first);
  // Oldest first; of all versions of the route, the last 100.
  Result<std::vector<CanaryDecision>> history(std::string_view project, std::string_view name);

 private:
  static constexpr std::size_t kMostSamples = 1024, kMostWatched = 10'000;
  struct Side {
    std::int64_t requests = 0, failures = 0;
    std::vector<std::int32_t> first_ms;  // of the last kMostSamples answers
    CanaryNumbers numbers() const;
  };
  struct Watch {
    std::string tenant;
    std::int64_t version = -1;
    int step = 0;
    bool over = false, promoted = false;
    Micros since = 0;
    SteadyTime looked{};
    Side canary, others;
  };
  using Key = std::pair<std::string, std::string>;

  Canaries(infra::SqlDatabase& database, governance::AuditLog& audit, Ratings ratings, const Clock& clock) : database_(database), audit_(audit), ratings_(std::move(ratings)), clock_(clock) {}
  Status load();
  Watch& watch(const Principal& caller, std::string_view name, const Route& route);  // under the mutex
  void decide(const Key& key, const Route& route, Watch& watch);
  void record(const Key& key, const Route& route, Watch& watch, std::string_view decision, std::string reason, std::string numbers);

  infra::SqlDatabase& database_;
  governance::AuditLog& audit_;
  const Ratings ratings_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<Key, Watch> watches_;
};

}  // namespace stoa::gateway
