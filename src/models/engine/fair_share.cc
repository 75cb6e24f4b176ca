#include "models/engine/fair_share.h"

#include <algorithm>
#include <limits>

namespace stoa::models {

void FairShare::enter(const std::string& tenant) {
  auto& account = accounts_[tenant];
  if (account.requests++ == 0) account.served = std::max(account.served, floor_);
}

void FairShare::leave(const std::string& tenant) {
  const auto found = accounts_.find(tenant);
  if (found == accounts_.end()) return;
  if (--found->second.requests == 0) forget();
}

void FairShare::charge(const std::string& tenant, double cost) {
  if (const auto found = accounts_.find(tenant); found != accounts_.end()) found->second.served += cost;
}

double FairShare::served(const std::string& tenant) const {
  const auto found = accounts_.find(tenant);
  return found == accounts_.end() ? floor_ : std::max(found->second.served, floor_);
}

// An absent tenant without debt need not be remembered; when nobody is there, nobody has waited for anybody.
void FairShare::forget() {
  double least = std::numeric_limits<double>::infinity();
  for (const auto& [tenant, account] : accounts_) {
    if (account.requests > 0) least = std::min(least, account.served);
  }
  if (least == std::numeric_limits<double>::infinity()) {
    accounts_.clear();
    floor_ = 0;
    return;
  }
  floor_ = std::max(floor_, least);
  std::erase_if(accounts_, [&](const auto& entry) { return entry.second.requests == 0 && entry.second.served <= floor_; });
}

}  // namespace stoa::models
