// The port of the event bus: facts published by one layer, delivered at least once, in order, to each named subscriber.
// A subscriber's place in the stream is stored, so it goes on where it was after a restart or a crash; it must tolerate seeing
// an event again. Events carry references, not payloads of the lake: at most kMaxPayload bytes of JSON.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "infra/sql/sql.h"

namespace stoa::infra {

struct Event {
  std::int64_t sequence = 0;  // rises along the stream, with gaps
  std::string topic;          // "documents.changed"
  std::string key;            // what the event is about, for example an id
  std::string payload;        // JSON
  Micros time = 0;            // of publishing
};

// Ok acknowledges. An error asks for another delivery after a pause; after Subscription::max_attempts the event goes to the
// dead letters and the next one follows. Handlers of one subscriber run one at a time; different subscribers run in parallel.
using EventHandler = std::function<Status(const Event&)>;

struct Subscription {
  std::string name;                 // unique, stable over restarts: the cursor belongs to it
  std::vector<std::string> topics;  // exact names
  int max_attempts = 5;
  milliseconds first_pause{100};    // doubles with each attempt, up to max_pause
  milliseconds max_pause{10'000};
};

struct SubscriberState {
  std::string name;
  bool attached = false;            // has a handler in this process
  std::int64_t backlog = 0;         // events of the stream after its cursor, other topics included
  std::int64_t dead_letters = 0;
};

struct DeadLetter {
  std::string subscriber;
  Event event;
  std::string error;                // of the last attempt
  int attempts = 0;
};

class EventBus {
 public:
  static constexpr std::size_t kMaxPayload = 256u << 10;

  virtual ~EventBus() = default;

  // Durable when it returns. kResourceExhausted when the slowest subscriber is behind by the bus's limit: the publisher is
  // slowed down rather than the stream cut. An event whose topic nobody subscribes to is not kept.
  virtual Status publish(std::string_view topic, std::string_view key, std::string_view payload) = 0;
  // The same, committed or rolled back with the caller's other changes.
  virtual Status publish(SqlTransaction& transaction, std::string_view topic, std::string_view key, std::string_view payload) = 0;

  // Before start(). A new name begins with the events published from now on; a known one goes on at its cursor.
  virtual Status subscribe(Subscription subscription, EventHandler handler) = 0;
  // Forgets a name that will not come back, so that it no longer holds the stream. Not while attached.
  virtual Status unsubscribe(std::string_view name) = 0;

  virtual Status start() = 0;
  // Ends deliveries after the handlers that are running; waits for those. What was not acknowledged comes again after a restart.
  virtual void stop() = 0;

  // Waits until every attached subscriber has handled what is published now. kDeadlineExceeded when late.
  virtual Status drain(Deadline deadline) = 0;
  virtual Result<std::vector<SubscriberState>> subscribers() = 0;
  virtual Result<std::vector<DeadLetter>> dead_letters(std::string_view subscriber, std::size_t limit = 100) = 0;
};

}  // namespace stoa::infra
