// Spending: reserve before, settle after, one immutable row for each piece of work. The same path for chat, embedding and ingest.
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

#include "base/result.h"
#include "base/time.h"
#include "contracts/call.h"
#include "contracts/chat.h"
#include "governance/cost/prices.h"
#include "infra/sql/sql.h"

namespace stoa::infra {
class JournalGroup;
class WriteBehind;
}

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
  // Who did the work in the end, where that was chosen after the reservation: it is priced and recorded as this model's.
  void done_by(std::string model) { model_ = std::move(model); }
  void priced_as(PriceClass price_class) { price_class_ = price_class; }
  // The name that the caller used for the model, where that is another: what limits on the model count.
  void asked_for(std::string name) { asked_ = std::move(name); }
  void release();

 private:
  friend class Ledger;
  Ledger* ledger_ = nullptr;
  Money amount_ = 0;
  std::string kind_, model_, asked_, principal_, key_, tenant_, project_, request_, tags_;
  PriceClass price_class_ = PriceClass::kStandard;
};

struct UsageRow {
  std::string request, kind, model, principal, tenant, project;
  Micros time = 0;
  std::int64_t input_tokens = 0, cached_tokens = 0, output_tokens = 0, compute_micros = 0;
  Money cost = 0;
  std::string price_class;  // price_class_name()
  std::string tags;         // of the request: "env=prod,team=search"; empty: none
  std::string key;          // that the principal showed; empty: another credential, or not known
  std::string asked;        // the name that the caller used for the model; empty: the model's
};

// What was used of one model, as the caller named it, with one credential, in a span of time.
struct RecentUse {
  std::string project, principal, key, model;
  Micros until = 0;  // the end of the span
  std::int64_t requests = 0, tokens = 0;
  Money cost = 0;
};

enum class UsageGroup { kNone, kProject, kPrincipal, kModel, kDay, kKind, kTags, kPriceClass };
struct UsageQuery {
  std::string tenant, project, principal, model;  // empty: all. The caller has checked that the principal may see them
  Micros from = 0, until = INT64_MAX;             // [from, until)
  UsageGroup by = UsageGroup::kNone;
  std::size_t limit = 1000;                       // groups, the most expensive first; at most 10,000
  std::string tag{};                              // "team=search": of requests with that tag; empty: all
};
struct UsageTotal {
  std::string group;  // id, model, kind, tags, class of prices, or day "2026-01-31" (UTC); empty for kNone
  std::int64_t requests = 0, input_tokens = 0, cached_tokens = 0, output_tokens = 0, compute_micros = 0;
  Money cost = 0;
};

struct Budget {
  std::optional<Money> limit;  // for a calendar month (UTC); absent: none
  Money spent = 0;             // settled this month
  Money reserved = 0;          // open reservations
};

// Thread-safe. What is passed by reference or pointer outlives it, and `behind` is stopped before it ends. One process owns the ledger:
// what is reserved and what a project has spent this month is in its memory, the rows are in the store.
class Ledger {
 public:
  // With `behind`, usage rows are acknowledged by its journal and reach the store a moment later; whatever is asked of the ledger sees all that
  // was acknowledged. Without, settle() waits for the store.
  static Result<std::unique_ptr<Ledger>> open(infra::SqlDatabase& database, const PriceBook& prices, const Clock& clock = Clock::system(),
                                              infra::WriteBehind* behind = nullptr);

  // Sets `estimate` aside. `kind` says what for ("chat", "embedding", "ingest"); a request has at most one piece of work of each kind.
  // kResourceExhausted when the month's spending, the open reservations and the estimate together exceed the project's budget;
  // kConflict when the request's work of that kind is settled already.
  Result<Reservation> reserve(const Call& call, std::string_view kind, std::string_view model, Money estimate);
  // Records the usage row and gives back the reservation; gives the cost. Kept when it returns, whatever becomes of the process. Settling the
  // same request and kind again gives the first cost and changes nothing. On an error the reservation stays open.
  Result<Money> settle(Reservation& reservation, const Usage& usage);
  // The same, but the row is kept when the group is, which the same `behind` takes. Without one, kept when it returns.
  Result<Money> settle(Reservation& reservation, const Usage& usage, infra::JournalGroup& group);

  Status set_budget(std::string_view project, std::optional<Money> monthly_limit);
  Result<Budget> budget(std::string_view project);
  Result<std::vector<UsageTotal>> usage(const UsageQuery& query);
  Result<std::vector<UsageRow>> rows(std::string_view request);  // what one request cost
  // What callers used since `from`, summed over spans of `span`, in the order of time. Without work that nobody waited for (ingest, mirrored requests).
  // Time: that of the rows since then, about 6 s for a million.
  Status recent(Micros from, Micros span, const std::function<void(const RecentUse&)>& each);
  const PriceBook& prices() const { return prices_; }

 private:
  friend class Reservation;
  struct Account {
    Budget budget;
    Micros month = 0;  // that budget.spent is of
  };
  // What was settled lately, by request and kind: until the store has it and new requests cannot be among them.
  struct Settled {
    std::map<std::string, Money, std::less<>> costs;
    std::string closed;            // an id of requests; later ones are not here
    std::uint64_t appended = 0;    // what had to be carried over by then
  };

  Ledger(infra::SqlDatabase& database, const PriceBook& prices, const Clock& clock, infra::WriteBehind* behind);
  void release(const Reservation& reservation);
  using Record = std::function<Status(const UsageRow& row)>;
  Result<Money> settle(Reservation& reservation, const Usage& usage, const Record& record);
  Status store(const UsageRow& row);
  Status catch_up();
  // Under the mutex.
  Result<Account*> account(const std::string& project, Micros now);
  Result<std::optional<Money>> settled_cost(const std::string& request, std::string_view kind);
  void forget_old();

  infra::SqlDatabase& database_;
  const PriceBook& prices_;
  const Clock& clock_;
  infra::WriteBehind* const behind_;  // may be null
  std::mutex mutex_;                  // of everything below
  std::map<std::string, Account> accounts_;
  Settled young_, old_;
  std::string forgotten_;             // requests with greater ids are in young_ or old_, or were never settled
};

}  // namespace stoa::governance
