#include "base/scheduling.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "base/log.h"
#include "base/time.h"

namespace stoa {
namespace {

constexpr int kBackgroundNice = 5, kIdleNice = 10, kLeastNice = 19;
constexpr std::uint64_t kShortTurn = 100'000;  // ns, the shortest that Linux takes (6.12 and later; before, it takes no notice of it)

// When a thread that gives way did so last; nothing for all others. To yield costs a thread the rest of its turn, so it does not more often than its turns are long.
thread_local std::optional<SteadyTime> gave_way;

// sched_setattr(2), its first version. The C library has neither the call nor the structure, and the kernel's header cannot be used beside <sched.h>.
struct Wish {
  std::uint32_t size = sizeof(Wish);
  std::uint32_t policy = SCHED_OTHER;
  std::uint64_t flags = 0;
  std::int32_t nice = ::nice(0);
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0, deadline = 0, period = 0;
};

void ask(const Wish& wish) {
  if (::syscall(SYS_sched_setattr, 0, &wish, 0) != 0) log(LogLevel::kDebug, "a thread keeps the scheduling that it had");
}

void wait_for_others(const char* name, int nicer) {
  ::pthread_setname_np(::pthread_self(), name);
  gave_way.emplace();
  ask({.policy = SCHED_BATCH, .nice = std::min(kLeastNice, ::nice(0) + nicer), .runtime = kShortTurn});
}

}  // namespace

void run_promptly(const char* name) {
  ::pthread_setname_np(::pthread_self(), name);
  ask({.runtime = kShortTurn});
}

void run_in_background(const char* name) { wait_for_others(name, kBackgroundNice); }

void run_when_idle(const char* name) { wait_for_others(name, kIdleNice); }

void give_way() {
  if (!gave_way) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - *gave_way < std::chrono::nanoseconds(kShortTurn)) return;
  ::sched_yield();
  gave_way = std::chrono::steady_clock::now();
}

}  // namespace stoa
