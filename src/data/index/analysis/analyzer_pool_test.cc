#include "data/index/analysis/analyzer_pool.h"

#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

namespace {
thread_local std::size_t allocations = 0;
}  // namespace

void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace stoa::data {
namespace {

TEST(AnalyzerPool, LendsWhatCameBackAndKeepsSoMany) {
  AnalyzerPool pool;
  const auto terms = [&](const std::string& language, std::string_view text) { return (*pool.lend(language))->terms(text); };
  EXPECT_EQ(terms("english", "running"), std::vector<std::string>{"run"});
  EXPECT_EQ(terms("german", "H\u00e4user"), std::vector<std::string>{"haus"});
  EXPECT_EQ(pool.idle(), 2u);
  EXPECT_EQ(terms("english", "running"), std::vector<std::string>{"run"});
  EXPECT_EQ(pool.idle(), 2u);
  EXPECT_EQ(pool.lend("klingon").error().code, ErrorCode::kInvalidArgument);
  {
    std::vector<AnalyzerPool::Lease> lent;
    for (std::size_t i = 0; i < AnalyzerPool::kMaxIdle + 3; ++i) {
      lent.push_back(std::move(*pool.lend("english")));
      EXPECT_EQ(lent.back()->terms("running"), std::vector<std::string>{"run"});
    }
    EXPECT_EQ(pool.idle(), 1u) << "of German";
  }
  EXPECT_EQ(pool.idle(), AnalyzerPool::kMaxIdle);
  EXPECT_EQ(terms("german", "H\u00e4user"), std::vector<std::string>{"haus"}) << "made anew";
}

// Leases come back in destructors.
TEST(AnalyzerPool, ComingBackAllocatesNothing) {
  AnalyzerPool pool;
  std::vector<AnalyzerPool::Lease> lent;
  for (std::size_t i = 0; i < AnalyzerPool::kMaxIdle + 2; ++i) lent.push_back(std::move(*pool.lend("english")));
  const std::size_t before = allocations;
  lent.clear();
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(pool.idle(), AnalyzerPool::kMaxIdle);
}

}  // namespace
}  // namespace stoa::data
