// Bearer tokens of identity providers into principals.
#pragma once

#include <condition_variable>
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
  const std::vector<OidcProvider>& providers() const { return providers_; }

  // Keeps the keys of all issuers fresh from a thread of its own, at once and then every `period`, until the object ends.
  void start(milliseconds period = milliseconds(30'000));

 private:
  struct Remembered {
    Principal principal;
    Micros until;
  };
  OidcUsers(std::vector<OidcProvider> providers, ExternalUsers& users, const FetchDocument& fetch, const Clock& clock);
  void remember(const infra::Sha256Digest& digest, const Principal& principal, Micros until);
  void keep_fresh(milliseconds period);

  const std::vector<OidcProvider> providers_;
  std::vector<std::unique_ptr<IssuerKeys>> keys_;  // parallel to providers_
  ExternalUsers& users_;
  const Clock& clock_;

  std::mutex mutex_;
  std::map<infra::Sha256Digest, Remembered> remembered_;

  std::mutex stop_mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::thread refresher_;
};

}  // namespace stoa::governance
