// Equal requests at the same time: one, the leader, is generated, and the others are given what it is given. Whoever leaves leaves alone: a leader that goes
// away is generated on for those who follow it.
#pragma once

#include <condition_variable>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "contracts/call.h"
#include "contracts/chat.h"
#include "models/engine/generator.h"

namespace stoa::gateway {

// One answer on its way to several.
class Flight {
 public:
  static constexpr int kMaxFollowers = 256;
  static constexpr std::size_t kMaxBytes = 4u << 20;  // a longer answer is the leader's alone

  Flight(std::string source, CancelToken leader) : source_(std::move(source)), leader_(std::move(leader)) {}

  const std::string& source() const { return source_; }      // id of the leader's request
  const CancelToken& token() const { return token_; }        // stops the generation

  // The leader's: hands a piece on. Whether anybody follows.
  bool add(const ChatDelta& delta);
  void end(const Result<ChatOutcome>& outcome);
  // True when nobody wants more: then nobody can follow any more, either.
  bool close_if_alone();
  // When the leader has gone and nobody follows, stops the generation.
  void look();

  // A follower's. Empty: it came too late, or too many follow.
  bool join();
  // What the leader was given, from its beginning: kCancelled as an outcome when `sink` or the call stops it. Absent: the leader failed for reasons of its
  // own before anything was handed on; ask again. Leaves when it returns.
  std::optional<Result<ChatOutcome>> follow(const Call& call, const models::DeltaSink& sink);

 private:
  const std::string source_;
  const CancelToken leader_, token_;
  std::mutex mutex_;
  std::condition_variable more_;
  std::vector<ChatDelta> pieces_;
  std::size_t bytes_ = 0;
  int followers_ = 0;
  bool closed_ = false;
  std::optional<Result<ChatOutcome>> outcome_;
};

// Those under way, by key. Thread-safe.
class Flights {
 public:
  static constexpr std::size_t kMaxFlights = 4096;  // further requests are generated for themselves

  ~Flights();
  struct Seat {
    std::shared_ptr<Flight> flight;  // null: neither
    bool leads = false;
  };
  // Follows the flight of that key, or leads one.
  Seat board(const std::string& key, const Call& call);
  void land(const std::string& key, const std::shared_ptr<Flight>& flight);
  std::size_t size() const;

 private:
  void watch();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::shared_ptr<Flight>, std::less<>> flights_;
  bool stopped_ = false;
  std::thread watcher_;  // notices leaders that go away while they wait; begins with the first flight
};

}  // namespace stoa::gateway
