// A load for gateways: n clients that keep their connections, TCP_NODELAY, one thread. Every gateway is measured by the same client.
//   --port P --path /v1/... [--header "Name: value"]... --body FILE (in which @ID@ becomes 12 characters of the request's own)
//   --clients N            connections
//   --requests N           or --seconds S, whichever ends first; the first --warmup of the requests are not counted
//   --rate R               open loop: so many requests a second, evenly; each counts from when it was due, also while it waits for a connection
//   --record FILE          a line for each request: "<id> <x-request-id> <status> <outcome>"
// Prints one JSON object; times are microseconds, percentiles are of all values, not of buckets. Outcomes: whole, error (a status, or an error event in the
// stream), cut (the connection ended before the answer did).
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <deque>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "wire.h"

namespace stoa::bench {
namespace {

struct Percentiles {
  std::vector<float> values;

  void add(std::int64_t nanos) { values.push_back(static_cast<float>(nanos) / 1000.0f); }
  std::string json() {
    if (values.empty()) return "null";
    std::ranges::sort(values);
    // The smallest value that so many of all do not exceed.
    const auto at = [&](double share) { return values[static_cast<std::size_t>(std::max(0.0, std::ceil(share * static_cast<double>(values.size())) - 1))]; };
    return fmt::format(R"({{"count":{},"p50":{:.2f},"p90":{:.2f},"p99":{:.2f},"p999":{:.2f},"max":{:.2f}}})", values.size(), at(0.5), at(0.9), at(0.99), at(0.999), values.back());
  }
};

struct Client {
  int fd = -1;
  bool connected_once = false;
  std::string in, out;
  // Of the request under way.
  bool busy = false, head_done = false, chunked = false, close = false, ended_well = false, said_error = false;
  bool counted = false;
  std::size_t left = 0;     // of the body or of a chunk, with the line behind it
  bool last_chunk = false;
  std::string line;         // of the stream, unfinished
  int status = 0;
  std::string id, request_id;
  std::int64_t due = 0, first = 0;
  long frames = 0;
};

class Load {
 public:
  explicit Load(const Options& options)
      : port_(static_cast<int>(options.number("port", 0))), most_(static_cast<long>(options.number("requests", 1e15))), warmup_(static_cast<long>(options.number("warmup", 0))),
        seconds_(options.number("seconds", 1e9)), rate_(options.number("rate", 0)) {
    std::ifstream file(options.text("body"), std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "cannot read the body's file '%s'\n", options.text("body").c_str());
      std::exit(2);
    }
    std::string body(std::istreambuf_iterator<char>(file), {});
    const auto hole = body.find("@ID@");
    const std::size_t length = body.size() + (hole == std::string::npos ? 0 : 8);
    before_ = fmt::format("POST {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", options.text("path", "/v1/chat/completions"), port_, length);
    for (const auto& header : options.all("header")) before_ += header + "\r\n";
    before_ += "\r\n";
    stream_ = body.find("\"stream\": true") != std::string::npos;
    before_ += body.substr(0, hole);
    if (hole != std::string::npos) after_ = body.substr(hole + 4);
    has_id_ = hole != std::string::npos;
    if (const auto name = options.text("record"); !name.empty()) record_ = std::fopen(name.c_str(), "w");
    salt_ = static_cast<std::uint64_t>(now_nanos()) ^ static_cast<std::uint64_t>(::getpid()) << 32;
    for (int i = 0; i < static_cast<int>(options.number("clients", 1)); ++i) {
      clients_.push_back(std::make_unique<Client>());
      idle_.push_back(clients_.back().get());
    }
  }

  void run() {
    start_ = counting_since_ = now_nanos();
    loop_.at(start_ + static_cast<std::int64_t>(seconds_ * 1e9), [this] { stop_starting(); });
    if (rate_ > 0) arrive(start_);
    else while (!idle_.empty() && !stopping_) start_next(now_nanos());
    loop_.run();
    report();
  }

 private:
  void stop_starting() {
    stopping_ = true;
    if (busy_ == 0) loop_.stop();
  }

  // Open loop: everything that is due, then a timer for the next.
  void arrive(std::int64_t due) {
    const auto gap = static_cast<std::int64_t>(1e9 / rate_);
    for (; due <= now_nanos() && !stopping_; due += gap) {
      waiting_.push_back(due);
      most_waiting_ = std::max(most_waiting_, waiting_.size());
    }
    serve_waiting();
    if (!stopping_) loop_.at(due, [this, due] { arrive(due); });
  }

  void serve_waiting() {
    while (!waiting_.empty() && !idle_.empty() && !stopping_) {
      const auto due = waiting_.front();
      waiting_.pop_front();
      start_next(due);
    }
  }

  void start_next(std::int64_t due) {
    if (started_ >= most_) return stop_starting();
    Client& client = *idle_.back();
    idle_.pop_back();
    if (started_ == warmup_) counting_since_ = now_nanos();
    client.counted = started_++ >= warmup_;
    client.busy = true;
    ++busy_;
    client.head_done = client.ended_well = client.said_error = client.last_chunk = client.chunked = client.close = false;
    client.status = 0;
    client.first = 0;
    client.left = 0;
    client.frames = 0;
    client.line.clear();
    client.request_id.clear();
    client.due = due;
    client.id = fmt::format("{:012x}", (salt_ + static_cast<std::uint64_t>(started_) * 0x9e3779b97f4a7c15) & 0xffffffffffff);
    if (client.fd < 0) open(client);
    client.out = has_id_ ? before_ + client.id + after_ : before_;
    if (!write_from(client.fd, client.out)) ended(client, false);
  }

  void open(Client& client) {
    client.fd = connect_to(port_);
    client.in.clear();
    loop_.watch(client.fd, [this, &client, fd = client.fd] { ready(client, fd); });
  }

  void shut(Client& client) {
    if (client.fd < 0) return;
    loop_.forget(client.fd);
    ::close(client.fd);
    client.fd = -1;
  }

  void ready(Client& client, int fd) {
    if (client.fd != fd) return;
    if (!client.out.empty() && !write_from(fd, client.out)) return broken(client);
    const bool open = read_into(fd, client.in);
    if (client.busy && !client.in.empty()) receive(client);
    if (client.fd == fd && !open) broken(client);
  }

  void broken(Client& client) {
    shut(client);
    if (client.busy) ended(client, false);
  }

  void receive(Client& client) {
    const auto now = now_nanos();
    if (!client.head_done) {
      const auto head = read_head(client.in);
      if (!head) return;
      client.head_done = true;
      client.chunked = head->chunked;
      client.close = head->close;
      client.left = head->content_length.value_or(0);
      std::from_chars(head->first_line.data() + 9, head->first_line.data() + head->first_line.size(), client.status);
      client.request_id = head->request_id;
      client.in.erase(0, head->size);
    }
    std::string_view rest = client.in;
    bool done = false;
    if (!client.chunked) {
      const auto piece = rest.substr(0, client.left);
      content(client, piece, now);
      client.left -= piece.size();
      rest.remove_prefix(piece.size());
      done = client.left == 0;
    }
    while (client.chunked && !done) {
      if (client.left == 0) {  // a chunk's size
        const auto end = rest.find("\r\n");
        if (end == std::string_view::npos) break;
        std::size_t size = 0;
        std::from_chars(rest.data(), rest.data() + end, size, 16);
        rest.remove_prefix(end + 2);
        client.last_chunk = size == 0;
        client.left = size + 2;
      }
      const auto piece = rest.substr(0, client.left);
      if (piece.empty()) break;
      content(client, piece.substr(0, client.left > 2 ? std::min(piece.size(), client.left - 2) : 0), now);
      client.left -= piece.size();
      rest.remove_prefix(piece.size());
      done = client.left == 0 && client.last_chunk;
    }
    client.in.erase(0, client.in.size() - rest.size());
    if (done) ended(client, true);
  }

  void content(Client& client, std::string_view bytes, std::int64_t now) {
    if (!stream_ || client.status != 200) return;
    while (!bytes.empty()) {
      const auto end = bytes.find('\n');
      client.line += bytes.substr(0, end);
      if (end == std::string_view::npos) return;
      bytes.remove_prefix(end + 1);
      if (client.line.starts_with("data:")) event(client, client.line, now);
      client.line.clear();
    }
  }

  void event(Client& client, std::string_view text, std::int64_t now) {
    if (text.find("[DONE]") != std::string_view::npos) {
      client.ended_well = true;
      if (most_frames_ == 0 && clients_.size() > 1) note_fairness();
      return;
    }
    if (text.find("\"error\"") != std::string_view::npos) client.said_error = true;
    const auto content = text.find("\"content\"");
    if (content == std::string_view::npos || text.substr(content + 9, 4).find("\"\"") != std::string_view::npos) return;
    if (client.first == 0) {
      client.first = now;
      if (client.counted) first_.add(now - client.due);
    }
    ++client.frames;
    const auto at = text.find("t=");
    if (at == std::string_view::npos || !client.counted) return;
    std::int64_t sent = 0;
    std::from_chars(text.data() + at + 2, text.data() + text.size(), sent);
    frames_.add(now - sent);
  }

  // When the first stream has ended, how far are all?
  void note_fairness() {
    least_frames_ = 1L << 40;
    for (const auto& client : clients_) {
      if (!client->busy) continue;
      least_frames_ = std::min(least_frames_, client->frames);
      most_frames_ = std::max(most_frames_, client->frames);
    }
  }

  void ended(Client& client, bool whole) {
    const bool failed = client.status != 200 || client.said_error;
    const char* outcome = !whole ? "cut" : failed ? "error" : !stream_ || client.ended_well ? "whole" : "cut";
    if (record_ != nullptr) fmt::print(record_, "{} {} {} {}\n", client.id, client.request_id.empty() ? "-" : client.request_id, client.status, outcome);
    if (client.counted) {
      ++(outcome[0] == 'w' ? good_ : outcome[0] == 'e' ? errors_ : cut_);
      if (outcome[0] == 'w') took_.add(now_nanos() - client.due);
    }
    client.busy = false;
    --busy_;
    finished_at_ = now_nanos();
    if (client.close || !whole) shut(client);
    idle_.push_back(&client);
    if (started_ >= most_) stopping_ = true;
    if (stopping_) {
      if (busy_ == 0) loop_.stop();
    } else if (rate_ > 0) {
      serve_waiting();
    } else {
      start_next(now_nanos());
    }
  }

  void report() {
    if (record_ != nullptr) std::fclose(record_);
    const double seconds = static_cast<double>(finished_at_ - counting_since_) / 1e9;
    fmt::print(R"({{"seconds":{:.4f},"whole":{},"errors":{},"cut":{},"rate":{:.2f},"latency":{},"first":{},"frames":{},"least_frames":{},"most_frames":{},"most_waiting":{}}})" "\n", seconds, good_,
               errors_, cut_, static_cast<double>(good_) / seconds, took_.json(), first_.json(), frames_.json(), least_frames_, most_frames_, most_waiting_);
  }

  EventLoop loop_;
  const int port_;
  const long most_, warmup_;
  const double seconds_, rate_;
  std::string before_, after_;
  bool has_id_ = false, stream_ = false, stopping_ = false;
  std::FILE* record_ = nullptr;
  std::uint64_t salt_ = 0;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Client*> idle_;
  std::deque<std::int64_t> waiting_;
  std::size_t most_waiting_ = 0;
  long started_ = 0, busy_ = 0, good_ = 0, errors_ = 0, cut_ = 0, least_frames_ = 0, most_frames_ = 0;
  std::int64_t start_ = 0, counting_since_ = 0, finished_at_ = 0;
  Percentiles took_, first_, frames_;
};

}  // namespace
}  // namespace stoa::bench

int main(int argc, char** argv) {
  const stoa::bench::Options options(argc, argv, {"port", "path", "header", "body", "clients", "requests", "seconds", "warmup", "rate", "record"});
  stoa::bench::Load(options).run();
}
