// Analyzers to lend: each takes about a megabyte, and knows the more stems the longer it is used.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "data/index/analysis/analyzer.h"

namespace stoa::data {

// Thread-safe. Outlives what it lends.
class AnalyzerPool {
 public:
  static constexpr std::size_t kMaxIdle = 32;  // of all languages together

  // One analyzer for one thread, until it ends.
  class Lease {
   public:
    Lease(AnalyzerPool& pool, std::string language, Analyzer analyzer) : pool_(&pool), language_(std::move(language)), analyzer_(std::move(analyzer)) {}
    Lease(Lease&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), language_(std::move(other.language_)), analyzer_(std::move(other.analyzer_)) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (pool_ != nullptr) pool_->take_back(std::move(language_), std::move(analyzer_));
    }
    Analyzer& operator*() { return analyzer_; }
    Analyzer* operator->() { return &analyzer_; }

   private:
    AnalyzerPool* pool_;
    std::string language_;
    Analyzer analyzer_;
  };

  AnalyzerPool();
  // Errors: those of Analyzer::of().
  Result<Lease> lend(const std::string& language);
  std::size_t idle() const;

 private:
  // Allocates nothing: it is part of a destructor.
  void take_back(std::string language, Analyzer analyzer) noexcept;

  mutable std::mutex mutex_;
  std::vector<std::pair<std::string, Analyzer>> idle_;  // the last that came back is the last
};

}  // namespace stoa::data
