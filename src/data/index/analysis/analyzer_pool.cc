#include "data/index/analysis/analyzer_pool.h"

#include <algorithm>

namespace stoa::data {

Result<AnalyzerPool::Lease> AnalyzerPool::lend(const std::string& language) {
  {
    std::lock_guard lock(mutex_);
    const auto found = std::find_if(idle_.rbegin(), idle_.rend(), [&](const auto& one) { return one.first == language; });
    if (found != idle_.rend()) {
      Analyzer analyzer = std::move(found->second);
      idle_.erase(std::next(found).base());
      return Lease(*this, language, std::move(analyzer));
    }
  }
  STOA_TRY(made, Analyzer::of(language));
  return Lease(*this, language, std::move(made));
}

AnalyzerPool::AnalyzerPool() { idle_.reserve(kMaxIdle); }

void AnalyzerPool::take_back(std::string language, Analyzer analyzer) noexcept {
  std::pair<std::string, Analyzer> back(std::move(language), std::move(analyzer));  // ends after the lock
  std::lock_guard lock(mutex_);
  if (idle_.size() < kMaxIdle) {
    idle_.push_back(std::move(back));
    return;
  }
  std::ranges::rotate(idle_, idle_.begin() + 1);
  std::swap(idle_.back(), back);
}

std::size_t AnalyzerPool::idle() const {
  std::lock_guard lock(mutex_);
  return idle_.size();
}

}  // namespace stoa::data
