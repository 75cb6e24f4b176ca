#include "governance/identity/oidc.h"

#include <algorithm>

#include "governance/access/policy/action.h"

namespace stoa::governance {

OidcUsers::OidcUsers(std::vector<OidcProvider> providers, ExternalUsers& users, const FetchDocument& fetch, const Clock& clock)
    : providers_(std::move(providers)), users_(users), clock_(clock) {
  for (const auto& provider : providers_) keys_.push_back(std::make_unique<IssuerKeys>(provider.issuer, fetch, clock));
}

Result<std::unique_ptr<OidcUsers>> OidcUsers::open(std::vector<OidcProvider> providers, ExternalUsers& users, FetchDocument fetch, const Clock& clock) {
  for (const auto& provider : providers)
    for (const auto& client : provider.clients)
      if (Status scopes = check_scopes(client.scopes); !scopes) return fail(std::move(scopes).error().in(fmt::format("provider {}, client {}", provider.name, client.id)));
  return std::unique_ptr<OidcUsers>(new OidcUsers(std::move(providers), users, fetch, clock));
}

OidcUsers::~OidcUsers() {
  {
    std::lock_guard lock(stop_mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  if (refresher_.joinable()) refresher_.join();
}

void OidcUsers::start(milliseconds period) {
  if (!keys_.empty() && !refresher_.joinable()) refresher_ = std::thread([this, period] { keep_fresh(period); });
}

void OidcUsers::keep_fresh(milliseconds period) {
  std::unique_lock lock(stop_mutex_);
  while (!stopping_) {
    lock.unlock();
    for (const auto& keys : keys_) (void)keys->refresh();  // it logs what it cannot do
    lock.lock();
    stop_.wait_for(lock, period, [&] { return stopping_; });
  }
}

std::optional<Result<Principal>> OidcUsers::known(std::string_view token) {
  Principal principal;
  {
    const auto digest = infra::sha256(token);
    std::lock_guard lock(mutex_);
    const auto found = remembered_.find(digest);
    if (found == remembered_.end() || found->second.until <= clock_.now()) return std::nullopt;
    principal = found->second.principal;
  }
  const auto enabled = users_.enabled(principal.id);
  if (!enabled) return fail(enabled.error());
  if (!*enabled) return fail(ErrorCode::kUnauthenticated, "this user is disabled");
  return principal;
}

void OidcUsers::remember(const infra::Sha256Digest& digest, const Principal& principal, Micros until) {
  std::lock_guard lock(mutex_);
  if (remembered_.size() >= kMaxRemembered) std::erase_if(remembered_, [now = clock_.now()](const auto& item) { return item.second.until <= now; });
  if (remembered_.size() >= kMaxRemembered) remembered_.clear();  // dear once, and bounded
  remembered_.insert_or_assign(digest, Remembered{principal, until});
}

Result<Principal> OidcUsers::authenticate(std::string_view token, const Jwt& jwt) {
  const auto provider = std::ranges::find(providers_, jwt.issuer, &OidcProvider::issuer);
  if (provider == providers_.end()) return fail(ErrorCode::kUnauthenticated, "the token is not accepted: it comes from an issuer that is not among this server's identity providers");
  // What costs nothing comes first: strangers' tokens fetch no keys.
  const JwtRules rules{.issuer = provider->issuer, .audiences = provider->audiences, .schemes = provider->algorithms, .nonce = {}};
  STOA_CHECK(check_claims(jwt, rules, clock_.now()));
  STOA_CHECK(keys_[static_cast<std::size_t>(provider - providers_.begin())]->verify(jwt));
  STOA_TRY(who, map_claims(*provider, jwt));
  STOA_TRY(user, users_.ensure(who));

  Principal principal;
  principal.id = user.id;
  principal.tenant = user.tenant;
  principal.project = user.project;
  principal.user = user.name;
  principal.groups = who.groups;
  principal.role = who.role;
  principal.scopes = who.scopes;
  principal.method = "provider " + provider->name;
  principal.expires = *jwt.expires;
  remember(infra::sha256(token), principal, std::min(*jwt.expires + kJwtClockSkew, clock_.now() + kRemember));
  return principal;
}

}  // namespace stoa::governance
