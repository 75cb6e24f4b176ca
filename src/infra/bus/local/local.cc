#include "infra/bus/local/local.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "base/scheduling.h"
#include "base/log.h"

namespace stoa::infra {
namespace {

// AUTOINCREMENT: a sequence must not be used twice after the events before it were pruned, or a cursor would skip it.
constexpr std::array kMigrations{Migration{1, R"sql(
CREATE TABLE bus_events (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, key TEXT NOT NULL, payload TEXT NOT NULL, time INTEGER NOT NULL);
CREATE TABLE bus_subscribers (name TEXT PRIMARY KEY, topics TEXT NOT NULL, cursor INTEGER NOT NULL);
CREATE TABLE bus_dead_letters (
  subscriber TEXT NOT NULL, sequence INTEGER NOT NULL, topic TEXT NOT NULL, key TEXT NOT NULL, payload TEXT NOT NULL,
  time INTEGER NOT NULL, error TEXT NOT NULL, attempts INTEGER NOT NULL, PRIMARY KEY (subscriber, sequence));
)sql"}};

constexpr std::size_t kMaxName = 128;
constexpr std::size_t kMaxSubscribers = 256;

bool valid_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && std::ranges::none_of(name, [](unsigned char c) { return c <= ' '; });
}

// Topics are stored as one text, a line each.
std::string join_topics(const std::vector<std::string>& topics) {
  std::string text = "\n";
  for (const auto& topic : topics) text += topic + "\n";
  return text;
}
bool has_topic(std::string_view topics, std::string_view topic) { return topics.contains("\n" + std::string(topic) + "\n"); }

struct Subscriber {
  Subscription subscription;
  EventHandler handler;
  std::string topics;
  std::int64_t cursor = 0;  // everything up to here is handled; guarded by the bus's mutex
  std::int64_t stored = 0;  // the cursor as the store has it; behind where only events of other topics were skipped
  std::jthread thread;
};

class LocalBus final : public EventBus {
 public:
  LocalBus(SqlDatabase& database, const LocalBusOptions& options, const Clock& clock)
      : database_(database), options_(options), clock_(clock) {}
  ~LocalBus() override { stop(); }

  Status publish(std::string_view topic, std::string_view key, std::string_view payload) override {
    return database_.transaction([&](SqlTransaction& transaction) { return publish(transaction, topic, key, payload); });
  }

  Status publish(SqlTransaction& transaction, std::string_view topic, std::string_view key, std::string_view payload) override {
    STOA_CHECK(check_event(topic, payload));
    STOA_TRY(standing, read_standing(transaction));
    if (!has_topic(standing.topics, topic)) return {};
    STOA_CHECK(check_backlog(standing.backlog, fmt::format("subscriber '{}'", standing.slowest)));
    transaction.on_commit([this] { wake(); });
    return insert(transaction, std::string(topic), std::string(key), std::string(payload), clock_.now());
  }

  Status subscribe(Subscription subscription, EventHandler handler) override {
    if (!valid_name(subscription.name) || subscription.topics.empty() || !std::ranges::all_of(subscription.topics, valid_name))
      return fail(ErrorCode::kInvalidArgument, "subscription '{}' needs a name and topics of 1 to {} characters without spaces", subscription.name, kMaxName);
    if (subscription.max_attempts < 1 || subscription.first_pause.count() < 0 || subscription.max_pause < subscription.first_pause)
      return fail(ErrorCode::kInvalidArgument, "subscription '{}': at least one attempt, and pauses that do not shrink", subscription.name);
    std::lock_guard lock(mutex_);
    if (running_) return fail(ErrorCode::kConflict, "'{}' subscribes to a bus that has started; subscribe before", subscription.name);
    if (find(subscription.name) != nullptr) return fail(ErrorCode::kConflict, "subscriber '{}' exists already", subscription.name);
    if (subscribers_.size() >= kMaxSubscribers) return fail(ErrorCode::kResourceExhausted, "the event bus has {} subscribers already", kMaxSubscribers);
    auto subscriber = std::make_unique<Subscriber>();
    subscriber->topics = join_topics(subscription.topics);
    STOA_CHECK(database_.transaction([&](SqlTransaction& transaction) -> Status {
      STOA_CHECK(transaction.execute(
          "INSERT INTO bus_subscribers (name, topics, cursor) VALUES (?, ?, (SELECT coalesce(max(sequence), 0) FROM bus_events)) "
          "ON CONFLICT (name) DO UPDATE SET topics = excluded.topics",
          {subscription.name, subscriber->topics}));
      STOA_TRY(row, transaction.query_one("SELECT cursor FROM bus_subscribers WHERE name = ?", {subscription.name}));
      return row->read(subscriber->cursor);
    }));
    subscriber->stored = subscriber->cursor;
    subscriber->subscription = std::move(subscription);
    subscriber->handler = std::move(handler);
    subscribers_.push_back(std::move(subscriber));
    return {};
  }

  Status unsubscribe(std::string_view name) override {
    std::lock_guard lock(mutex_);
    if (find(name) != nullptr) return fail(ErrorCode::kConflict, "subscriber '{}' is attached; only a name that is not in use can be forgotten", name);
    STOA_TRY(removed, database_.execute("DELETE FROM bus_subscribers WHERE name = ?", {std::string(name)}));
    if (removed == 0) return fail(ErrorCode::kNotFound, "there is no subscriber '{}'", name);
    return {};
  }

  Status start() override {
    std::lock_guard lock(mutex_);
    if (running_) return fail(ErrorCode::kConflict, "the event bus has started already");
    running_ = true;
    for (const auto& subscriber : subscribers_) subscriber->thread = std::jthread([this, &subscriber = *subscriber] {
      run_in_background("events");
      deliver(subscriber);
      store_skipped(subscriber);
    });
    return {};
  }

  void stop() override {
    {
      std::lock_guard lock(mutex_);
      running_ = false;
    }
    changed_.notify_all();
    for (const auto& subscriber : subscribers_)
      if (subscriber->thread.joinable()) subscriber->thread.join();
  }

  Status drain(Deadline deadline) override {
    STOA_TRY(row, database_.query_one("SELECT coalesce(max(sequence), 0) FROM bus_events"));
    STOA_TRY(last, row->get<std::int64_t>(0));
    const auto done = [&] { return std::ranges::all_of(subscribers_, [&](const auto& subscriber) { return subscriber->cursor >= last; }); };
    std::unique_lock lock(mutex_);
    if (deadline.at == SteadyTime::max()) {
      changed_.wait(lock, done);
    } else if (!changed_.wait_until(lock, deadline.at, done)) {
      return fail(ErrorCode::kDeadlineExceeded, "the subscribers have not handled all events in time");
    }
    return {};
  }

  Result<std::vector<SubscriberState>> subscribers() override {
    STOA_TRY(rows, database_.query("SELECT s.name, (SELECT count(*) FROM bus_events e WHERE e.sequence > s.cursor),"
                                   " (SELECT count(*) FROM bus_dead_letters d WHERE d.subscriber = s.name) FROM bus_subscribers s ORDER BY s.name"));
    std::vector<SubscriberState> states;
    std::lock_guard lock(mutex_);
    for (const SqlRow& row : rows) {
      SubscriberState state;
      STOA_CHECK(row.read(state.name, state.backlog, state.dead_letters));
      state.attached = find(state.name) != nullptr;
      states.push_back(std::move(state));
    }
    return states;
  }

  Result<std::vector<DeadLetter>> dead_letters(std::string_view subscriber, std::size_t limit) override {
    STOA_TRY(rows, database_.query("SELECT subscriber, sequence, topic, key, payload, time, error, attempts FROM bus_dead_letters"
                                   " WHERE subscriber = ? ORDER BY sequence LIMIT ?",
                                   {std::string(subscriber), static_cast<std::int64_t>(std::min<std::size_t>(limit, kSqlMaxRows))}));
    std::vector<DeadLetter> letters;
    for (const SqlRow& row : rows) {
      DeadLetter letter;
      Event& event = letter.event;
      STOA_CHECK(row.read(letter.subscriber, event.sequence, event.topic, event.key, event.payload, event.time, letter.error, letter.attempts));
      letters.push_back(std::move(letter));
    }
    return letters;
  }

 private:
  // What the store says of the stream: the topics that anybody wants, and how far the slowest subscriber is behind.
  struct Standing {
    std::string topics, slowest;
    std::int64_t backlog = 0;
  };
  static Result<Standing> read_standing(SqlTransaction& transaction) {
    STOA_TRY(subscribers, transaction.query("SELECT name, topics, cursor FROM bus_subscribers"));
    Standing standing;
    std::optional<std::int64_t> slowest;
    for (const SqlRow& row : subscribers) {
      std::string name, topics;
      std::int64_t cursor = 0;
      STOA_CHECK(row.read(name, topics, cursor));
      standing.topics += topics;
      if (slowest && *slowest <= cursor) continue;
      slowest = cursor;
      standing.slowest = std::move(name);
    }
    if (!slowest) return standing;
    // A difference of sequences, not a count: constant time, and never too small.
    STOA_TRY(row, transaction.query_one("SELECT coalesce(max(sequence), 0), coalesce(min(sequence), 1) FROM bus_events"));
    std::int64_t last = 0, first = 1;
    STOA_CHECK(row->read(last, first));
    standing.backlog = std::max<std::int64_t>(0, last - std::max(*slowest, first - 1));
    return standing;
  }

  static Status check_event(std::string_view topic, std::string_view payload) {
    if (!valid_name(topic)) return fail(ErrorCode::kInvalidArgument, "'{}' is not a topic: 1 to {} characters without spaces", topic, kMaxName);
    if (payload.size() > kMaxPayload)
      return fail(ErrorCode::kTooLarge, "an event of {} bytes on topic '{}': at most {}, so store the content and send a reference", payload.size(),
                  topic, kMaxPayload);
    return {};
  }

  Status check_backlog(std::int64_t backlog, std::string_view slowest) const {
    if (backlog < options_.max_backlog) return {};
    return fail(error(ErrorCode::kResourceExhausted, "{} of the event bus is {} events behind", slowest, backlog)
                    .with_hint("find out why it fails or stalls; unsubscribe the name if it will not come back"));
  }

  static Status insert(SqlTransaction& transaction, std::string topic, std::string key, std::string payload, Micros time) {
    STOA_CHECK(transaction.execute("INSERT INTO bus_events (topic, key, payload, time) VALUES (?, ?, ?, ?)",
                                   {std::move(topic), std::move(key), std::move(payload), time}));
    return {};
  }

  Subscriber* find(std::string_view name) const {
    for (const auto& subscriber : subscribers_)
      if (subscriber->subscription.name == name) return subscriber.get();
    return nullptr;
  }

  void wake() {
    {
      std::lock_guard lock(mutex_);
      ++published_;
    }
    changed_.notify_all();
  }

  bool running() {
    std::lock_guard lock(mutex_);
    return running_;
  }

  // False when the bus stops.
  bool pause(milliseconds duration) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_until(lock, std::chrono::steady_clock::now() + duration, [&] { return !running_; });
  }

  // One subscriber's thread.
  void deliver(Subscriber& subscriber) {
    std::uint64_t seen = 0;
    while (true) {
      {
        std::lock_guard lock(mutex_);
        if (!running_) return;
        seen = published_;
      }
      const auto more = deliver_batch(subscriber);
      if (!more) {
        log_error("event bus: reading or acknowledging failed; trying again", more.error(), {{"subscriber", subscriber.subscription.name}});
        if (!pause(options_.poll)) return;
      } else if (!*more) {
        std::unique_lock lock(mutex_);
        const bool woken = changed_.wait_until(lock, std::chrono::steady_clock::now() + options_.poll, [&] { return !running_ || published_ != seen; });
        lock.unlock();
        if (!woken) store_skipped(subscriber);
      }
    }
  }

  // False when there was nothing to read.
  Result<bool> deliver_batch(Subscriber& subscriber) {
    // Of events that are skipped only the place matters: they can be large, and most subscribers skip most.
    STOA_TRY(rows, database_.query("SELECT sequence, topic, key, iif(instr(?, char(10) || topic || char(10)) > 0, payload, ''), time FROM bus_events "
                                   "WHERE sequence > ? ORDER BY sequence LIMIT ?",
                                   {subscriber.topics, subscriber.cursor, static_cast<std::int64_t>(options_.batch)}));
    if (rows.empty()) return false;
    std::int64_t last = subscriber.cursor;
    std::vector<Event> wanted;
    for (const SqlRow& row : rows) {
      Event event;
      STOA_CHECK(row.read(event.sequence, event.topic, event.key, event.payload, event.time));
      last = event.sequence;
      if (has_topic(subscriber.topics, event.topic)) wanted.push_back(std::move(event));
    }
    std::int64_t handled = last;
    for (const Event& event : wanted) {
      bool done = false;
      if (running()) {
        STOA_TRY(delivered, deliver_event(subscriber, event));
        done = delivered;
      }
      if (done) continue;
      handled = event.sequence - 1;
      break;
    }
    // Skipping events of other topics is not worth a write each time: they are skipped again after a crash.
    if (handled > subscriber.cursor && (!wanted.empty() || handled - subscriber.stored >= static_cast<std::int64_t>(options_.batch))) STOA_CHECK(store(subscriber, handled));
    advance(subscriber, handled);
    return true;
  }

  void advance(Subscriber& subscriber, std::int64_t handled) {
    if (handled <= subscriber.cursor) return;
    {
      std::lock_guard lock(mutex_);
      subscriber.cursor = handled;
    }
    changed_.notify_all();
  }

  static Status move_to(SqlTransaction& transaction, const Subscriber& subscriber, std::int64_t handled) {
    STOA_CHECK(transaction.execute("UPDATE bus_subscribers SET cursor = ? WHERE name = ?", {handled, subscriber.subscription.name}));
    STOA_CHECK(transaction.execute("DELETE FROM bus_events WHERE sequence <= (SELECT min(cursor) FROM bus_subscribers)"));
    return {};
  }

  // Tries until it works or the attempts are used up. False when the bus stops first: the event comes again later.
  Result<bool> deliver_event(const Subscriber& subscriber, const Event& event) {
    const Subscription& subscription = subscriber.subscription;
    milliseconds wait = subscription.first_pause;
    for (int attempt = 1;; ++attempt) {
      const Status status = call(subscriber.handler, event);
      if (status) return true;
      if (attempt >= subscription.max_attempts) {
        log_error("event bus: event moved to the dead letters", status.error(),
                  {{"subscriber", subscription.name}, {"topic", event.topic}, {"sequence", event.sequence}});
        STOA_CHECK(database_.execute("INSERT INTO bus_dead_letters VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                                     {subscription.name, event.sequence, event.topic, event.key, event.payload, event.time, status.error().message,
                                      std::int64_t{attempt}}));
        return true;
      }
      if (!pause(wait)) return false;
      wait = std::min(wait * 2, subscription.max_pause);
    }
  }

  static Status call(const EventHandler& handler, const Event& event) {
    try {
      return handler(event);
    } catch (const std::exception& thrown) {
      return fail(ErrorCode::kInternal, "the handler threw: {}", thrown.what());
    }
  }

  // When there is time for it: events that everyone has passed can then be deleted.
  void store_skipped(Subscriber& subscriber) {
    if (subscriber.stored >= subscriber.cursor) return;
    if (const auto stored = store(subscriber, subscriber.cursor); !stored)
      log_error("event bus: acknowledging failed; trying again", stored.error(), {{"subscriber", subscriber.subscription.name}});
  }

  Status store(Subscriber& subscriber, std::int64_t handled) {
    STOA_CHECK(database_.transaction([&](SqlTransaction& transaction) { return move_to(transaction, subscriber, handled); }));
    subscriber.stored = handled;
    return {};
  }

  SqlDatabase& database_;
  const LocalBusOptions options_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;  // of everything below
  bool running_ = false;
  std::uint64_t published_ = 0;
  std::vector<std::unique_ptr<Subscriber>> subscribers_;
};

}  // namespace

Result<std::unique_ptr<EventBus>> open_local_bus(SqlDatabase& database, const LocalBusOptions& options, const Clock& clock) {
  if (options.max_backlog < 1 || options.batch < 1 || options.batch > kSqlMaxRows)
    return fail(ErrorCode::kInvalidArgument, "the event bus needs a backlog of at least 1 and a batch of 1 to {}", kSqlMaxRows);
  STOA_CHECK(database.migrate("bus", kMigrations));
  return std::make_unique<LocalBus>(database, options, clock);
}

}  // namespace stoa::infra
