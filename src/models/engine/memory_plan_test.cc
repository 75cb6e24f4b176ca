#include "models/engine/memory_plan.h"

#include <fstream>

#include <gtest/gtest.h>

namespace stoa::models {
namespace {

class MemoryPlanTest : public testing::Test {
 protected:
  MemoryPlanTest() : root_(std::filesystem::path(testing::TempDir()) / "memory_plan") { std::filesystem::remove_all(root_); }
  ~MemoryPlanTest() override { std::filesystem::remove_all(root_); }
  void write(const char* path, const char* text) {
    const auto file = root_ / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::optional<std::size_t> available() { return available_memory(root_ / "proc", root_ / "groups"); }

  std::filesystem::path root_;
};

TEST_F(MemoryPlanTest, TakesTheSmallestOfWhatTheSystemSays) {
  EXPECT_FALSE(available());
  write("proc/meminfo", "MemTotal:  100 kB\nMemAvailable:    50 kB\n");
  EXPECT_EQ(available(), 50u * 1024);
  write("proc/self/cgroup", "0::/a/b\n");
  EXPECT_EQ(available(), 50u * 1024);
  write("groups/a/b/memory.max", "max\n");
  write("groups/a/b/memory.current", "7\n");
  EXPECT_EQ(available(), 50u * 1024);
  write("groups/a/memory.max", "30000\n");
  write("groups/a/memory.current", "20000\n");
  EXPECT_EQ(available(), 10'000u);
  write("groups/a/memory.stat", "anon 5000\nfile 15000\n");
  EXPECT_EQ(available(), 25'000u);
  write("groups/memory.max", "100\n");
  write("groups/memory.current", "200\n");
  EXPECT_EQ(available(), 0u);
  write("proc/self/cgroup", "0::/../..\n");
  EXPECT_TRUE(available());
}

TEST_F(MemoryPlanTest, ThisMachineSaysSomething) {
  const auto available = available_memory();
  ASSERT_TRUE(available);
  EXPECT_GT(*available, 0u);
}

TEST_F(MemoryPlanTest, RefusesWithTheNumbers) {
  const MemoryPlan plan{.weights = 100 << 20, .keys_and_values = 200 << 20, .activations = 12 << 20};
  EXPECT_TRUE(check_memory(plan, 312 << 20, "m"));
  EXPECT_TRUE(check_memory(plan, std::nullopt, "m"));
  const auto refused = check_memory(plan, (312 << 20) - 1, "m");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  for (const char* number : {"312.0 MiB", "100.0 MiB", "200.0 MiB", "12.0 MiB", "m needs"}) {
    EXPECT_NE(refused.error().message.find(number), std::string::npos) << refused.error().message;
  }
}

}  // namespace
}  // namespace stoa::models
