// Start and stop of a process's services, in order, with readiness.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"

namespace stoa {

// A part that runs: started in the order added, stopped in reverse. `stop` returns once the part has drained or the
// time is up. `ready` says why it is not ready (kUnavailable) or ok.
struct Service {
  std::string name;
  std::function<Status()> start;
  std::function<void(std::chrono::milliseconds drain)> stop;
  std::function<Status()> ready = [] { return Status{}; };
};

class Lifecycle {
 public:
  ~Lifecycle() { stop(std::chrono::milliseconds(0)); }
  void add(Service service);
  // Starts all; when one fails, stops those already started and returns its error, naming the service.
  Status start();
  void stop(std::chrono::milliseconds drain);
  // Ok when every started service is ready; otherwise the first reason. Thread-safe.
  Status ready() const;

 private:
  mutable std::mutex mutex_;
  std::vector<Service> services_;
  std::size_t started_ = 0;
  bool stopping_ = false;
};

}  // namespace stoa
