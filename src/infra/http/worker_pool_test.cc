#include "infra/http/worker_pool.h"

#include <gtest/gtest.h>

#include <barrier>
#include <condition_variable>
#include <thread>

namespace stoa::infra {
namespace {

// Each job waits for the other: with one thread for both, neither would end.
TEST(WorkerPoolTest, JobsThatComeAtTheSameTimeHaveAThreadEach) {
  for (int round = 0; round < 1500; ++round) {
    WorkerPool pool(2, 0);
    std::mutex mutex;
    std::condition_variable changed;
    int here = 0, together = 0;
    const auto job = [&] {
      std::unique_lock lock(mutex);
      ++here;
      changed.notify_all();
      together += changed.wait_for(lock, std::chrono::seconds(10), [&] { return here == 2; });
    };
    std::barrier start(2);
    const auto submit = [&] {
      start.arrive_and_wait();
      pool.submit(job);
    };
    {
      std::jthread one(submit), other(submit);
    }
    pool.stop();
    ASSERT_EQ(together, 2) << "round " << round;
  }
}

TEST(WorkerPoolTest, TakesNoMoreThanItHasRoomFor) {
  WorkerPool pool(1, 1);
  std::atomic<bool> go = false;
  std::atomic<int> done = 0;
  const auto job = [&] {
    while (!go) std::this_thread::yield();
    ++done;
  };
  EXPECT_TRUE(pool.submit(job));
  EXPECT_TRUE(pool.submit(job));
  EXPECT_FALSE(pool.submit(job)) << "one runs, one waits";
  go = true;
  pool.stop();
  EXPECT_EQ(done, 2) << "what was taken is run";
  EXPECT_FALSE(pool.submit(job)) << "stopped";
}

}  // namespace
}  // namespace stoa::infra
