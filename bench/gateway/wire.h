// What the two ends of the gateway's bench share: sockets that never wait, one event loop, and the little of HTTP/1.1 that both need. They run
// on plain epoll, so that what is measured is the gateway between them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stoa::bench {

std::int64_t now_nanos();  // CLOCK_MONOTONIC: the same in all processes of the machine

// A socket that does not block, with TCP_NODELAY. Ends the program with a message when the system refuses.
int listen_on(int port);                      // loopback
int connect_to(int port);                     // loopback; may still be connecting
// Appends what has come; false at the end of the connection or an error.
bool read_into(int fd, std::string& in);
// Sends what the kernel takes and removes it; false when the connection is broken.
bool write_from(int fd, std::string& out);

// One thread's events. Timers are exact to the microsecond as far as the system is.
class EventLoop {
 public:
  EventLoop();
  // `ready` is called when the descriptor can be read or written or has failed. Edge-triggered: whoever is called reads and writes all it can.
  void watch(int fd, std::function<void()> ready);
  void forget(int fd);  // before it is closed
  void at(std::int64_t nanos, std::function<void()> work);
  void run();  // until stop()
  void stop() { stopped_ = true; }

 private:
  int epoll_;
  bool stopped_ = false;
  std::map<int, std::shared_ptr<std::function<void()>>> watched_;
  std::multimap<std::int64_t, std::function<void()>> timers_;
};

// The head of a message as far as it is needed here. Nothing: not all of it is here yet.
struct Head {
  std::string_view first_line;
  std::size_t size = 0;                       // with the empty line
  std::optional<std::size_t> content_length;
  bool chunked = false, close = false;
  std::string_view request_id;                // x-request-id
};
std::optional<Head> read_head(std::string_view in);

// "--name value" and "--flag" of the command line. Ends the program on a name that is not among `known`.
class Options {
 public:
  Options(int argc, char** argv, std::initializer_list<std::string_view> known);
  std::string text(const std::string& name, std::string usual = {}) const;
  double number(const std::string& name, double usual) const;
  std::vector<std::string> all(const std::string& name) const;

 private:
  std::multimap<std::string, std::string> values_;
};

}  // namespace stoa::bench
