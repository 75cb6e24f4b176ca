// Who goes next: a virtual clock of tokens for every tenant.
#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace stoa::models {

// Each tenant's account grows with the tokens computed for it, and of the tenants that want something the one with the smallest
// account is served first. A tenant that comes back after a pause starts where the least served of the present ones stands: nobody
// saves up claims by being idle, and nobody loses a debt by leaving for a moment. (The idea of virtual-time fair queueing, with
// tokens as time.) Not thread-safe.
class FairShare {
 public:
  // Costs in units of a prompt token. A generated token costs a pass over the weights that it shares with few others.
  static constexpr double kPromptToken = 1, kGeneratedToken = 4;

  // A request of the tenant has come, and has ended.
  void enter(const std::string& tenant);
  void leave(const std::string& tenant);
  void charge(const std::string& tenant, double cost);
  // The smaller, the sooner.
  double served(const std::string& tenant) const;

  // Accounts that are held: those of present tenants and of absent ones in debt.
  std::size_t size() const { return accounts_.size(); }

 private:
  struct Account {
    double served = 0;
    int requests = 0;
  };
  void forget();

  std::map<std::string, Account> accounts_;
  double floor_ = 0;  // the smallest account of the present ones, never falling
};

}  // namespace stoa::models
