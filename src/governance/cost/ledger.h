// Spending: reserve before, settle after, one immutable row for each piece of work. The same path for chat, embedding and ingest.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contracts/call.h"
#include "contracts/chat.h"
#include "governance/cost/prices.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

class Ledger;

// Money set aside for a call that runs. Settled once, or given back when destroyed (a failed call costs nothing unless it is settled
// with what it used). Movable; one thread at a time; does not outlive the ledger.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept { *this = std::move(other); }
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation() { release(); }

  bool open() const { return ledger_ != nullptr; }
  void release();

 private:
  friend class Ledger;
  Ledger* ledger_ = nullptr;
  std::string id_, kind_, model_, principal_, tenant_, project_, request_;
};

struct UsageRow {
  std::string request, kind, model, principal, tenant, project;
  Micros time = 0;
  std::int64_t input_tokens = 0, cached_tokens = 0, output_tokens = 0, compute_micros = 0;
  Money cost = 0;
};

enum class UsageGroup { kNone, kProject, kPrincipal, kModel, kDay, kKind };
struct UsageQuery {
  std::string tenant, project, principal, model;  // empty: all. The caller has checked that the principal may see them
  Micros from = 0, until = INT64_MAX;             // [from, until)
  UsageGroup by = UsageGroup::kNone;
  std::size_t limit = 1000;                       // groups, the most expensive first; at most 10,000
};
struct UsageTotal {
  std::string group;  // id, model, kind, or day "2026-01-31" (UTC); empty for kNone
  std::int64_t requests = 0, input_tokens = 0, cached_tokens = 0, output_tokens = 0, compute_micros = 0;
  Money cost = 0;
};

struct Budget {
  std::optional<Money> limit;  // for a calendar month (UTC); absent: none
  Money spent = 0;             // settled this month
  Money reserved = 0;          // open reservations
};

// Thread-safe. What is passed by reference outlives it. One process owns the ledger: opening it gives back what a crash left reserved.
class Ledger {
 public:
  static Result<std::unique_ptr<Ledger>> open(infra::SqlDatabase& database, const PriceBook& prices, const Clock& clock = Clock::system());

  // Sets `estimate` aside. `kind` says what for ("chat", "embedding", "ingest"); a request has at most one piece of work of each kind.
  // kResourceExhausted when the month's spending, the open reservations and the estimate together exceed the project's budget;
  // kConflict when the request's work of that kind is settled already.
  Result<Reservation> reserve(const Call& call, std::string_view kind, std::string_view model, Money estimate);
  // Writes the usage row and gives back the reservation, in one transaction; gives the cost. Durable when it returns. Settling the
  // same request and kind again gives the first cost and changes nothing. On an error the reservation stays open.
  Result<Money> settle(Reservation& reservation, const Usage& usage);

  Status set_budget(std::string_view project, std::optional<Money> monthly_limit);
  Result<Budget> budget(std::string_view project);
  Result<std::vector<UsageTotal>> usage(const UsageQuery& query);
  Result<std::vector<UsageRow>> rows(std::string_view request);  // what one request cost
  const PriceBook& prices() const { return prices_; }

 private:
  friend class Reservation;
  Ledger(infra::SqlDatabase& database, const PriceBook& prices, const Clock& clock) : database_(database), prices_(prices), clock_(clock) {}
  void release(const std::string& reservation);

  infra::SqlDatabase& database_;
  const PriceBook& prices_;
  const Clock& clock_;
};

}  // namespace stoa::governance
