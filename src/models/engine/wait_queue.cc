#include "models/engine/wait_queue.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace stoa::models {

std::size_t WaitQueue::best(const FairShare& shares) const {
  const auto rank = [&](const Item& item) {
    const auto& request = item->request;
    return std::tuple(-request.priority, !item->admitted, shares.served(request.tenant));
  };
  return static_cast<std::size_t>(std::ranges::min_element(items_, {}, rank) - items_.begin());  // the first of equals
}

WaitQueue::Item WaitQueue::take(std::size_t index) {
  Item item = std::move(items_[index]);
  items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(index));
  return item;
}

WaitQueue::Item WaitQueue::take_next(const FairShare& shares) { return take(best(shares)); }

WaitQueue::Item WaitQueue::displace_for(const std::string& tenant, int priority) {
  std::map<std::string, int> waiting;
  for (const auto& item : items_) ++waiting[item->request.tenant];
  const int own = waiting[tenant];
  // The lowest priority first, then the longest queue; the scan keeps the newest of equals. What has been computed for stays.
  std::pair<int, int> worst{priority, own + 1};
  std::size_t found = items_.size();
  for (std::size_t i = 0; i < items_.size(); ++i) {
    const auto& request = items_[i]->request;
    const std::pair<int, int> rank{request.priority, waiting[request.tenant]};
    const bool gives_way = rank.first < worst.first || (rank.first == worst.first && rank.second >= worst.second + (found == items_.size() ? 1 : 0));
    if (items_[i]->admitted || !gives_way) continue;
    worst = rank;
    found = i;
  }
  return found == items_.size() ? nullptr : take(found);
}

int WaitQueue::ahead_of(const std::string& tenant, int priority) const {
  std::map<std::string, int> waiting;  // of the same priority
  int higher = 0;
  for (const auto& item : items_) {
    if (item->request.priority > priority) ++higher;
    if (item->request.priority == priority) ++waiting[item->request.tenant];
  }
  const int own = waiting[tenant];
  int ahead = higher + own;
  for (const auto& [other, count] : waiting) {
    if (other != tenant) ahead += std::min(count, own + 1);
  }
  return ahead;
}

std::vector<WaitQueue::Item> WaitQueue::take_if(const std::function<bool(Sequence&)>& end) {
  std::vector<Item> taken, rest;
  for (auto& item : items_) (end(*item) ? taken : rest).push_back(std::move(item));
  items_ = std::move(rest);
  return taken;
}

void WaitEstimate::finished(double slot_seconds) {
  constexpr double kWeight = 0.1;
  mean_ = known_ ? mean_ + kWeight * (slot_seconds - mean_) : slot_seconds;
  known_ = true;
}

double WaitEstimate::seconds(int ahead, int free) const { return mean_ * std::max(0, ahead + 1 - free) / slots_; }

}  // namespace stoa::models
