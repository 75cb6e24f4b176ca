// Bearer tokens of identity providers into principals.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contracts/principal.h"
#include "governance/identity/external_users.h"
#include "governance/identity/issuer_keys.h"
#include "governance/identity/oidc_provider.h"
#include "infra/crypto/hash.h"

namespace stoa::governance {

// Thread-safe. A token that was verified is remembered by its digest, for at most kRemember, so that its signature costs once; whether its
// user is enabled is asked every time.
class OidcUsers {
 public:
  static constexpr std::size_t kMaxRemembered = 10'000;
  static constexpr Micros kRemember = Micros{300} * 1'000'000;

  // kInvalidArgument for scopes that name no action. `users` and `clock` outlive the object.
  static Result<std::unique_ptr<OidcUsers>> open(std::vector<OidcProvider> providers, ExternalUsers& users, FetchDocument fetch, const Clock& clock = Clock::system());
  ~OidcUsers();
  OidcUsers(const OidcUsers&) = delete;
  OidcUsers& operator=(const OidcUsers&) = delete;

  // Errors: kUnauthenticated, kPermissionDenied (known to the issuer, not let in here), kUnavailable (the issuer's keys cannot be had).
  Result<Principal> authenticate(std::string_view token, const Jwt& jwt);
  // The same for a token that is remembered; absent when it is not.
  std::optional<Result<Principal>> known(std::string_view token);
  // Who a user of theirs is now, for what acts later in their name (ExternalUsers::holder).
  Result<Principal> holder(std::string_view user_id) { return users_.holder(user_id); }
  std::shared_ptr<const std::vector<OidcProvider>> providers() const;
  // Other providers from now on, or the same with other rules. Keys of issuers that stay are kept; no token is remembered any more. On an error,
  // which is open()'s, everything stays as it was.
  Status replace(std::vector<OidcProvider> providers, FetchDocument fetch);

  // Keeps the keys of all issuers fresh from a thread of its own, at once and then every `period`, until the object ends. The thread calls
  // `before` each time, which may replace() the providers.
  void start(std::function<void()> before = {}, milliseconds period = milliseconds(30'000));
  // Has that thread do so now.
  void hurry();

 private:
  struct Providers {
    std::vector<OidcProvider> list;
    std::vector<std::shared_ptr<IssuerKeys>> keys;  // parallel to list
  };
  struct Remembered {
    Principal principal;
    Micros until;
  };
  OidcUsers(ExternalUsers& users, const Clock& clock) : users_(users), clock_(clock) {}
  std::shared_ptr<const Providers> now() const;
  // Unless the providers were replaced since `by` were asked.
  void remember(const infra::Sha256Digest& digest, const Principal& principal, Micros until, const std::shared_ptr<const Providers>& by);
  void keep_fresh(const std::function<void()>& before, milliseconds period);

  ExternalUsers& users_;
  const Clock& clock_;

  mutable std::mutex mutex_;
  std::shared_ptr<const Providers> providers_ = std::make_shared<const Providers>();
  std::map<infra::Sha256Digest, Remembered> remembered_;

  std::mutex stop_mutex_;
  std::condition_variable stop_;
  bool stopping_ = false, hurry_ = false;
  std::thread refresher_;
};

}  // namespace stoa::governance
