// The keys of one issuer as this process knows them: fetched when needed, kept fresh from the side, replaced when the issuer rotates them,
// and used for a bounded time while it cannot be reached.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/time.h"
#include "governance/identity/jwks.h"

namespace stoa::governance {

// Gets a document by its address: status 200 only, within the caller's limits of time and size.
using FetchDocument = std::function<Result<std::string>(const std::string& url)>;

struct IssuerKeysLimits {
  Micros fresh = Micros{300} * 1'000'000;         // refresh() leaves younger keys alone
  Micros between = Micros{10} * 1'000'000;        // at most one fetch in this time, whoever asks
  Micros usable = Micros{24 * 3600} * 1'000'000;  // keys that could not be fetched anew for longer are not believed any more
  milliseconds wait{6'000};                       // for a fetch that another thread is at
  int waiters = 8;                                // that may do so; further ones are told to come again
};

// Thread-safe. `clock` outlives it.
class IssuerKeys {
 public:
  IssuerKeys(std::string issuer, FetchDocument fetch, const Clock& clock = Clock::system(), IssuerKeysLimits limits = {})
      : issuer_(std::move(issuer)), fetch_(std::move(fetch)), clock_(clock), limits_(limits) {}

  // Whether the issuer signed the token. With a key that is known no network is touched; for one that is not, the keys are fetched once.
  // kUnauthenticated when it did not; kUnavailable (with the seconds to wait) when the keys cannot be had.
  Status verify(const Jwt& jwt);
  // Fetches the keys when they are no longer fresh: for a thread that does this from time to time.
  Status refresh();

 private:
  struct Known {
    KeySet set;
    Micros fetched;
  };
  std::shared_ptr<const Known> known() const;  // null when there is none that may be used
  // One fetch, or the outcome of the one that is running or has just been. ok says that the keys are as new as may be.
  Status fetch_once();
  Result<KeySet> fetch_keys();

  const std::string issuer_;
  const FetchDocument fetch_;
  const Clock& clock_;
  const IssuerKeysLimits limits_;

  mutable std::mutex mutex_;
  std::condition_variable done_;
  std::shared_ptr<const Known> known_;
  std::optional<OidcEndpoints> endpoints_;
  std::optional<Micros> tried_;
  std::optional<Error> failure_;  // of the last fetch
  bool fetching_ = false;
  int waiting_ = 0;
};

}  // namespace stoa::governance
