// Recent decisions of the policies, for trying a change out before it is made: what was asked, with every attribute that was known, how it came
// out and how often. The same question is kept once and counted.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "governance/access/access.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

struct RecordedDecision {
  std::string tenant;
  Action action{};
  std::vector<std::pair<Attribute, PolicyValue>> known;  // ascending
  bool allowed = false;
  std::string rule;         // as in Decision
  std::int64_t count = 0;
  Micros last = 0;

  std::string text(Attribute attribute) const;  // of `known`; empty when it is not known or no text
  PolicyRequest request() const;                // views this
};

struct DecisionLogOptions {
  std::size_t max_rows = 20'000;      // kept in the store; the longest unasked go first
  std::size_t max_pending = 4'096;    // different ones between two writes; more are dropped
  milliseconds linger{2'000};         // between two writes
  const Clock* clock = &Clock::system();
};

// Thread-safe. note() hashes and counts under a lock and touches no disk; a thread writes behind. What time of day it was, the name of the
// resource and the money left are kept of the last one, and do not make a decision another.
class DecisionLog {
 public:
  static Result<std::unique_ptr<DecisionLog>> open(infra::SqlDatabase& database, DecisionLogOptions options = {});
  ~DecisionLog();  // writes what is left

  void note(const PolicyRequest& request, const Decision& decision);
  Status flush();  // writes what was noted before
  // Of one tenant, or of all (empty): most often asked first.
  Result<std::vector<RecordedDecision>> recent(std::string_view tenant, std::size_t limit = 20'000);
  std::int64_t dropped() const;

 private:
  struct Pending {
    std::string tenant, attributes, rule;
    Action action{};
    bool allowed = false;
    std::int64_t count = 0;
    Micros last = 0;
  };
  using Batch = std::unordered_map<std::uint64_t, Pending>;

  DecisionLog(infra::SqlDatabase& database, DecisionLogOptions options) : database_(database), options_(options) {}
  void run();
  Status write(const Batch& batch);

  infra::SqlDatabase& database_;
  const DecisionLogOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  Batch pending_;
  std::int64_t dropped_ = 0;
  bool stopping_ = false;
  std::mutex write_mutex_;
  std::thread writer_;
};

}  // namespace stoa::governance
