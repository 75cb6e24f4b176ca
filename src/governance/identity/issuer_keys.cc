#include "governance/identity/issuer_keys.h"

#include "base/log.h"

namespace stoa::governance {
namespace {

std::unexpected<Error> not_signed(std::string_view why) {
  return fail(error(ErrorCode::kUnauthenticated, "the token is not accepted: {}", why).with_hint("sign in again with `stoa login`, or ask the issuer for a new token"));
}

}  // namespace

std::shared_ptr<const IssuerKeys::Known> IssuerKeys::known() const {
  std::lock_guard lock(mutex_);
  return known_ != nullptr && clock_.now() - known_->fetched <= limits_.usable ? known_ : nullptr;
}

Status IssuerKeys::verify(const Jwt& jwt) {
  auto keys = known();
  if (keys == nullptr || !keys->set.has(jwt)) {
    const Status fetched = fetch_once();
    keys = known();
    if (keys == nullptr || !keys->set.has(jwt)) {
      STOA_CHECK(fetched);
      return not_signed("the issuer has no such key");
    }
  }
  if (!keys->set.verify(jwt)) return not_signed("its signature does not hold");
  return {};
}

Status IssuerKeys::refresh() {
  if (const auto keys = known(); keys != nullptr && clock_.now() - keys->fetched < limits_.fresh) return {};
  return fetch_once();
}

Status IssuerKeys::fetch_once() {
  std::unique_lock lock(mutex_);
  const auto outcome = [&]() -> Status {
    if (!failure_) return {};
    const Micros left = *tried_ + limits_.between - clock_.now();
    return fail(error(ErrorCode::kUnavailable, "the keys of the issuer {} cannot be had: {}", issuer_, failure_->message)
                    .with_retry_after(static_cast<int>(std::max<Micros>(1, left / 1'000'000 + 1))));
  };
  if (fetching_) {
    if (waiting_ >= limits_.waiters) return fail(error(ErrorCode::kUnavailable, "the keys of the issuer {} are being fetched", issuer_).with_retry_after(1));
    ++waiting_;
    const bool ended = done_.wait_for(lock, limits_.wait, [&] { return !fetching_; });
    --waiting_;
    if (!ended) return fail(error(ErrorCode::kUnavailable, "the issuer {} does not answer", issuer_).with_retry_after(5));
    return outcome();
  }
  if (tried_ && clock_.now() - *tried_ < limits_.between) return outcome();

  fetching_ = true;
  tried_ = clock_.now();
  lock.unlock();
  auto fetched = fetch_keys();
  lock.lock();
  fetching_ = false;
  if (fetched) {
    known_ = std::make_shared<const Known>(Known{std::move(*fetched), clock_.now()});
    if (failure_) log(LogLevel::kInfo, "the issuer of tokens can be reached again", {{"issuer", issuer_}});
    failure_.reset();
  } else {
    if (!failure_) log_error("the keys of an issuer of tokens were not fetched", fetched.error(), {{"issuer", issuer_}, {"kept", known_ != nullptr}});
    failure_ = std::move(fetched.error());
    endpoints_.reset();  // it may have moved
  }
  done_.notify_all();
  return outcome();
}

// Runs without the lock; `fetching_` keeps others out.
Result<KeySet> IssuerKeys::fetch_keys() {
  if (!endpoints_) {
    STOA_TRY(description, fetch_(discovery_url(issuer_)));
    STOA_TRY(endpoints, parse_discovery(description, issuer_));
    endpoints_ = std::move(endpoints);
  }
  STOA_TRY(keys, fetch_(endpoints_->keys));
  return KeySet::parse(keys);
}

}  // namespace stoa::governance
