// The requests that wait for a slot: their order, who gives way when the queue is full, and how long the wait will be.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/engine/fair_share.h"
#include "models/engine/sequence.h"

namespace stoa::models {

// Order: higher priority first; within a priority what had a slot before and lost it to preemption; then the tenant that has been
// served least (FairShare); then first come, first served. Priority is strict: who may ask for which is not the engine's affair.
// Not thread-safe. Small (hundreds at most): everything is a scan.
class WaitQueue {
 public:
  using Item = std::unique_ptr<Sequence>;

  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  void push(Item item) { items_.push_back(std::move(item)); }

  // The one to be served next; the queue is not empty.
  Sequence& next(const FairShare& shares) { return *items_[best(shares)]; }
  Item take_next(const FairShare& shares);

  // For a full queue: takes out what shall give way to a new request, or nothing when that itself has to. That is the newest request
  // of a lower priority, or of a tenant of the same one that has at least two more waiting than the newcomer's tenant has.
  Item displace_for(const std::string& tenant, int priority);

  // How many of those that wait go before a new request, if tenants take turns.
  int ahead_of(const std::string& tenant, int priority) const;

  // Takes out everything for which `end` is true.
  std::vector<Item> take_if(const std::function<bool(Sequence&)>& end);

 private:
  std::size_t best(const FairShare& shares) const;
  Item take(std::size_t index);

  std::vector<Item> items_;  // in order of arrival
};

// The mean time that requests spend in a slot, and what follows from it for those that wait. Not thread-safe.
class WaitEstimate {
 public:
  explicit WaitEstimate(int slots) : slots_(slots) {}
  void finished(double slot_seconds);
  // Seconds until `ahead` others and then this one have found a slot, `free` slots being free; 0 as long as nothing has finished.
  double seconds(int ahead, int free) const;

 private:
  const int slots_;
  double mean_ = 0;
  bool known_ = false;
};

}  // namespace stoa::models
