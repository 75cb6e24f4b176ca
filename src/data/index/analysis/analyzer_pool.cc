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

void AnalyzerPool::take_back(std::string language, Analyzer analyzer) {
  std::pair<std::string, Analyzer> oldest;  // ends after the lock
  std::lock_guard lock(mutex_);
  if (idle_.size() == kMaxIdle) {
    oldest = std::move(idle_.front());
    idle_.erase(idle_.begin());
  }
  idle_.emplace_back(std::move(language), std::move(analyzer));
}

std::size_t AnalyzerPool::idle() const {
  std::lock_guard lock(mutex_);
  return idle_.size();
}

}  // namespace stoa::data
