// Requests that a server refuses by itself, before anybody could know who asks: malformed, too large, too slow, of no route. They are counted in memory,
// so that whoever refuses waits for no disk and a flood costs next to nothing, and a thread of its own hands the counts on a moment later.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "governance/audit/strangers.h"

namespace stoa::governance {

// Thread-safe. What ends with the process within that moment (some 0.1 s) is not counted.
class RefusalLog {
 public:
  static constexpr std::size_t kMaxPending = 1024;  // addresses and kinds in that moment; beyond, those of a kind are counted together

  explicit RefusalLog(StrangerLog& strangers, const Clock& clock = Clock::system());
  ~RefusalLog();  // hands on what is left
  RefusalLog(const RefusalLog&) = delete;
  RefusalLog& operator=(const RefusalLog&) = delete;

  // `status` of the answer, 0 when there was none; `resource` "POST /v1/files", as far as it is known.
  void add(std::string_view address, int status, std::string_view resource, std::string_view reason);

 private:
  using Pending = std::map<std::pair<std::string, std::int64_t>, StrangerAttempts>;  // by address and status
  void count(StrangerAttempts attempts);
  bool hand_on(Pending pending);
  void run();

  StrangerLog& strangers_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable wake_;
  Pending pending_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace stoa::governance
