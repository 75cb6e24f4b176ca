#include "base/scheduling.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "base/log.h"

namespace stoa {
namespace {

constexpr int kBackgroundNice = 5, kIdleNice = 10, kLeastNice = 19;
constexpr std::uint64_t kShortTurn = 100'000;  // ns, the shortest that Linux takes (6.12 and later; before, it takes no notice of it)

thread_local bool gives_way = false;

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

}  // namespace

void run_promptly(const char* name) {
  ::pthread_setname_np(::pthread_self(), name);
  ask({.runtime = kShortTurn});
}

void run_in_background(const char* name) {
  ::pthread_setname_np(::pthread_self(), name);
  gives_way = true;
  ask({.policy = SCHED_BATCH, .nice = std::min(kLeastNice, ::nice(0) + kBackgroundNice)});
}

void run_when_idle(const char* name) {
  ::pthread_setname_np(::pthread_self(), name);
  gives_way = true;
  ask({.policy = SCHED_BATCH, .nice = std::min(kLeastNice, ::nice(0) + kIdleNice), .runtime = kShortTurn});
}

void give_way() {
  if (gives_way) ::sched_yield();
}

}  // namespace stoa
