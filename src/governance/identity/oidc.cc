#include "governance/identity/oidc.h"

#include <algorithm>

#include "governance/access/policy/action.h"

namespace stoa::governance {

Result<std::unique_ptr<OidcUsers>> OidcUsers::open(std::vector<OidcProvider> providers, ExternalUsers& users, FetchDocument fetch, const Clock& clock) {
  std::unique_ptr<OidcUsers> made(new OidcUsers(users, clock));
  STOA_CHECK(made->replace(std::move(providers), std::move(fetch)));
  return made;
}

Status OidcUsers::replace(std::vector<OidcProvider> providers, FetchDocument fetch) {
  for (const auto& provider : providers)
    for (const auto& client : provider.clients)
      if (Status scopes = check_scopes(client.scopes); !scopes) return fail(std::move(scopes).error().in(fmt::format("provider {}, client {}", provider.name, client.id)));
  const auto old = now();
  auto next = std::make_shared<Providers>();
  for (const auto& provider : providers) {
    const auto same = std::ranges::find(old->list, provider.issuer, &OidcProvider::issuer);
    next->keys.push_back(same == old->list.end() ? std::make_shared<IssuerKeys>(provider.issuer, fetch, clock_) : old->keys[static_cast<std::size_t>(same - old->list.begin())]);
  }
  next->list = std::move(providers);
  std::lock_guard lock(mutex_);
  providers_ = std::move(next);
  remembered_.clear();  // what a token gives may have changed
  return {};
}

std::shared_ptr<const OidcUsers::Providers> OidcUsers::now() const {
  std::lock_guard lock(mutex_);
  return providers_;
}

std::shared_ptr<const std::vector<OidcProvider>> OidcUsers::providers() const {
  const auto all = now();
  return {all, &all->list};
}

OidcUsers::~OidcUsers() {
  {
    std::lock_guard lock(stop_mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  if (refresher_.joinable()) refresher_.join();
}

void OidcUsers::start(std::function<void()> before, milliseconds period) {
  if (!refresher_.joinable()) refresher_ = std::thread([this, before = std::move(before), period] { keep_fresh(before, period); });
}

void OidcUsers::hurry() {
  {
    std::lock_guard lock(stop_mutex_);
    hurry_ = true;
  }
  stop_.notify_all();
}

void OidcUsers::keep_fresh(const std::function<void()>& before, milliseconds period) {
  std::unique_lock lock(stop_mutex_);
  while (!stopping_) {
    hurry_ = false;
    lock.unlock();
    if (before) before();
    for (const auto& keys : now()->keys) (void)keys->refresh();  // it logs what it cannot do
    lock.lock();
    stop_.wait_for(lock, period, [&] { return stopping_ || hurry_; });
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

void OidcUsers::remember(const infra::Sha256Digest& digest, const Principal& principal, Micros until, const std::shared_ptr<const Providers>& by) {
  std::lock_guard lock(mutex_);
  if (by != providers_) return;
  if (remembered_.size() >= kMaxRemembered) std::erase_if(remembered_, [now = clock_.now()](const auto& item) { return item.second.until <= now; });
  if (remembered_.size() >= kMaxRemembered) remembered_.clear();  // dear once, and bounded
  remembered_.insert_or_assign(digest, Remembered{principal, until});
}

Result<Principal> OidcUsers::authenticate(std::string_view token, const Jwt& jwt) {
  const auto all = now();
  const auto provider = std::ranges::find(all->list, jwt.issuer, &OidcProvider::issuer);
  if (provider == all->list.end()) return fail(ErrorCode::kUnauthenticated, "the token is not accepted: it comes from an issuer that is not among this server's identity providers");
  // What costs nothing comes first: strangers' tokens fetch no keys.
  const JwtRules rules{.issuer = provider->issuer, .audiences = provider->audiences, .schemes = provider->algorithms, .nonce = {}};
  STOA_CHECK(check_claims(jwt, rules, clock_.now()));
  STOA_CHECK(all->keys[static_cast<std::size_t>(provider - all->list.begin())]->verify(jwt));
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
  remember(infra::sha256(token), principal, std::min(*jwt.expires + kJwtClockSkew, clock_.now() + kRemember), all);
  return principal;
}

}  // namespace stoa::governance
