#include "wire.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace stoa::bench {
namespace {

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

std::int64_t now_nanos() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

int listen_on(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // connections that are accepted inherit it
  const sockaddr_in address = loopback(port);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(fd, 4096) != 0) give_up("listen");
  return fd;
}

int connect_to(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
  if (fd < 0) give_up("socket");
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const sockaddr_in address = loopback(port);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS) give_up("connect");
  return fd;
}

bool read_into(int fd, std::string& in) {
  char piece[65536];
  while (true) {
    const ssize_t n = ::read(fd, piece, sizeof piece);
    if (n > 0) in.append(piece, static_cast<std::size_t>(n));
    else if (n < 0 && errno == EINTR) continue;
    else return n < 0 && (errno == EAGAIN || errno == ENOTCONN);
  }
}

bool write_from(int fd, std::string& out) {
  std::size_t sent = 0;
  bool usable = true;
  while (sent < out.size()) {
    const ssize_t n = ::send(fd, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
    } else if (n == 0 || errno != EINTR) {
      usable = n < 0 && (errno == EAGAIN || errno == ENOTCONN);
      break;
    }
  }
  out.erase(0, sent);
  return usable;
}

EventLoop::EventLoop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) give_up("epoll");
}

void EventLoop::watch(int fd, std::function<void()> ready) {
  watched_[fd] = std::make_shared<std::function<void()>>(std::move(ready));
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) give_up("epoll");
}

void EventLoop::forget(int fd) {
  watched_.erase(fd);
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::at(std::int64_t nanos, std::function<void()> work) { timers_.emplace(nanos, std::move(work)); }

void EventLoop::run() {
  epoll_event events[256];
  while (!stopped_) {
    timespec wait{1, 0};
    if (!timers_.empty()) {
      const std::int64_t left = std::clamp<std::int64_t>(timers_.begin()->first - now_nanos(), 0, 1'000'000'000);
      wait = {left / 1'000'000'000, left % 1'000'000'000};
    }
    const int count = ::epoll_pwait2(epoll_, events, 256, &wait, nullptr);
    for (int i = 0; i < count; ++i) {
      const auto found = watched_.find(events[i].data.fd);
      if (found == watched_.end()) continue;  // closed by an event before it
      const auto ready = found->second;       // it may be forgotten while it runs
      (*ready)();
    }
    const std::int64_t now = now_nanos();
    while (!timers_.empty() && timers_.begin()->first <= now && !stopped_) {
      const auto work = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
      work();
    }
  }
}

std::optional<Head> read_head(std::string_view in) {
  const auto end = in.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  Head head;
  head.size = end + 4;
  std::string_view rest = in.substr(0, end + 2);
  for (bool first = true; !rest.empty(); first = false) {
    const auto line = rest.substr(0, rest.find("\r\n"));
    rest.remove_prefix(line.size() + 2);
    if (first) {
      head.first_line = line;
      continue;
    }
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const auto name = line.substr(0, colon);
    auto value = line.substr(colon + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    if (same_word(name, "content-length")) {
      std::size_t length = 0;
      std::from_chars(value.data(), value.data() + value.size(), length);
      head.content_length = length;
    } else if (same_word(name, "transfer-encoding")) {
      head.chunked = same_word(value, "chunked");
    } else if (same_word(name, "connection")) {
      head.close = same_word(value, "close");
    } else if (same_word(name, "x-request-id")) {
      head.request_id = value;
    }
  }
  return head;
}

Options::Options(int argc, char** argv, std::initializer_list<std::string_view> known) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (!word.starts_with("--") || std::ranges::find(known, word.substr(2)) == known.end()) {
      std::string names;
      for (const auto name : known) names += " --" + std::string(name);
      std::fprintf(stderr, "%s: '%s' is none of%s\n", argv[0], argv[i], names.c_str());
      std::exit(2);
    }
    const bool has_value = i + 1 < argc && !std::string_view(argv[i + 1]).starts_with("--");
    values_.emplace(word.substr(2), has_value ? argv[++i] : "1");
  }
}

std::string Options::text(const std::string& name, std::string usual) const {
  const auto found = values_.find(name);
  return found == values_.end() ? usual : found->second;
}

double Options::number(const std::string& name, double usual) const {
  const auto found = values_.find(name);
  return found == values_.end() ? usual : std::strtod(found->second.c_str(), nullptr);
}

std::vector<std::string> Options::all(const std::string& name) const {
  std::vector<std::string> out;
  for (auto [at, end] = values_.equal_range(name); at != end; ++at) out.push_back(at->second);
  return out;
}

}  // namespace stoa::bench
