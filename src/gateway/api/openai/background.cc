#include "gateway/api/openai/background.h"

#include <algorithm>
#include <atomic>
#include <utility>
#include <exception>

#include "base/id.h"
#include "base/log.h"
#include "base/scheduling.h"
#include "gateway/batch/batch_json.h"
#include "infra/http/sse.h"

namespace stoa::gateway::openai {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"(
CREATE TABLE openai_background (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, project TEXT NOT NULL, owner TEXT NOT NULL, key_id TEXT NOT NULL, request TEXT NOT NULL, state INTEGER NOT NULL,
  created INTEGER NOT NULL, sealed BLOB NOT NULL);
CREATE INDEX openai_background_by_state ON openai_background (state, id);
)"}};

constexpr std::string_view kTable = "openai_background", kResponses = "/v1/responses";
constexpr milliseconds kCancelWait{10'000};

Principal owner_of(const std::string& owner, const std::string& tenant, const std::string& project) {
  Principal principal;
  principal.id = owner;
  principal.tenant = tenant;
  principal.project = project;
  return principal;
}

std::string text_at(const JsonObject& object, std::string_view key) {
  const Json* value = find(object, key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

bool is_final(std::string_view status) { return status != "queued" && status != "in_progress"; }

// The event that ends a stream of which nothing else is known.
std::string closing_event(const JsonObject& response, std::size_t sequence) {
  const std::string status = text_at(response, "status");
  const std::string type = status == "completed" ? "response.completed" : status == "failed" ? "response.failed" : "response.incomplete";
  return infra::format_sse(dump_json(JsonObject{{"type", type}, {"sequence_number", sequence}, {"response", response}}), type);
}

}  // namespace

// A response that waits or runs.
struct BackgroundResponses::Live {
  std::string id, project;
  CancelToken cancel;
  std::atomic<bool> begun = false;
  std::mutex mutex;  // of what follows
  std::condition_variable news;
  std::vector<std::string> events;
  std::size_t bytes = 0;
  bool overflown = false, ended = false;
};

// What the handler writes to: each piece is an event.
class BackgroundResponses::Sink : public infra::Responder {
 public:
  explicit Sink(Live& live) : live_(live) {}

  void send(infra::HttpResponse response) override {
    if (!std::exchange(started_, true)) response_ = std::move(response);
  }
  void start(int, infra::HttpHeaders) override { started_ = true; }
  bool write(std::string_view piece) override {
    {
      std::lock_guard lock(live_.mutex);
      live_.bytes += piece.size();
      live_.overflown = live_.overflown || live_.bytes > kMostEventBytes;
      if (!live_.overflown) live_.events.emplace_back(piece);
    }
    live_.news.notify_all();
    return true;
  }
  void finish() override { finished_ = true; }
  void abort() override {}
  CancelToken cancelled() const override { return live_.cancel; }
  void on_gone(std::function<void()>) override {}
  bool started() const override { return started_; }

  // The whole stream is there.
  bool finished() const { return finished_; }
  // What was answered instead of a stream.
  const infra::HttpResponse& response() const { return response_; }

 private:
  Live& live_;
  bool started_ = false, finished_ = false;
  infra::HttpResponse response_{.status = 0, .headers = {}, .body = {}};
};

Status BackgroundResponses::open() { return parts_.sql.migrate("openai_background", kMigrations); }

governance::SealedTable BackgroundResponses::sealed_table() {
  return {.name = std::string(kTable), .ids = {"id"}, .project = "t.project", .from = "openai_background t", .columns = {}};
}

Result<BackgroundResponses::Row> BackgroundResponses::load(const std::string& id) {
  STOA_TRY(found, parts_.sql.query_one("SELECT tenant, project, owner, key_id, request, state, sealed FROM openai_background WHERE id = ?", {id}));
  if (!found) return fail(error(ErrorCode::kNotFound, "no background response '{}'", id));
  Row row{.id = id};
  std::int64_t state = 0;
  Bytes sealed;
  STOA_CHECK(found->read(row.tenant, row.project, row.owner, row.key, row.request, state, sealed));
  row.state = static_cast<State>(std::clamp<std::int64_t>(state, 0, 2));
  STOA_TRY(keys, parts_.sealer.project(row.project));
  STOA_TRY(record, governance::open_record(keys, governance::row_context(kTable, id), sealed, 3));
  row.body = record.text(0);
  row.origin = record.text(1);
  row.events = record.text(2);
  return row;
}

Status BackgroundResponses::save(const Row& row) {
  STOA_TRY(keys, parts_.sealer.project(row.project));
  STOA_TRY(sealed, governance::seal_record(keys, governance::row_context(kTable, row.id), {row.body, row.origin, row.events}));
  STOA_CHECK(parts_.sql.execute("UPDATE openai_background SET state = ?, request = ?, sealed = ? WHERE id = ?", {static_cast<std::int64_t>(row.state), row.request, sealed, row.id}));
  return {};
}

Status BackgroundResponses::remove(const std::string& id) {
  STOA_CHECK(parts_.sql.execute("DELETE FROM openai_background WHERE id = ?", {id}));
  return {};
}

// ---- Callers

Status BackgroundResponses::begin(const Call& call, const StoredResponse& queued, std::string body) {
  const Principal& principal = call.principal;
  STOA_CHECK(parts_.may_ask(principal));
  STOA_TRY(keys, parts_.sealer.project(principal.project));
  if (!keys.keep().responses)
    return fail(error(ErrorCode::kUnsupported, "responses in the background are stored, and this project keeps none").with_param("background").with_hint("leave it out"));
  auto live = std::make_shared<Live>();
  live->id = queued.id;
  live->project = principal.project;
  {
    std::lock_guard lock(mutex_);
    const auto own = static_cast<std::size_t>(std::ranges::count_if(waiting_, [&](const auto& one) { return one->project == live->project; }));
    if (!running_ || waiting_.size() >= kMostWaiting || own >= kMostOfProject)
      return fail(error(ErrorCode::kResourceExhausted, "{} responses wait for their turn", own >= kMostOfProject ? own : waiting_.size()).with_hint("try again later").with_retry_after(5));
  }
  STOA_TRY(sealed, governance::seal_record(keys, governance::row_context(kTable, queued.id), {body, dump_json(origin_json(call.origin)), std::string_view()}));
  STOA_CHECK(parts_.responses.put(principal, queued));
  const Micros now = Clock::system().now();
  STOA_CHECK(parts_.sql.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("DELETE FROM openai_background WHERE state = ? AND created < ?", {static_cast<std::int64_t>(State::kEnded), now - ResponseStore::kRetention}));
    STOA_CHECK(transaction.execute("INSERT INTO openai_background (id, tenant, project, owner, key_id, request, state, created, sealed) VALUES (?, ?, ?, ?, ?, '', ?, ?, ?)",
                                   {queued.id, principal.tenant, principal.project, principal.id, principal.key, static_cast<std::int64_t>(State::kQueued), now, sealed}));
    return {};
  }));
  {
    std::lock_guard lock(mutex_);
    live_.emplace(live->id, live);
    waiting_.push_back(std::move(live));
  }
  wake_.notify_one();
  return {};
}

std::shared_ptr<BackgroundResponses::Live> BackgroundResponses::find(const std::string& id) {
  std::lock_guard lock(mutex_);
  const auto found = live_.find(id);
  return found == live_.end() ? nullptr : found->second;
}

bool BackgroundResponses::runs(const std::string& id) {
  const auto live = find(id);
  return live && live->begun;
}

void BackgroundResponses::cancel(const std::string& id) {
  const auto live = find(id);
  if (!live) return;
  live->cancel.cancel();
  std::unique_lock lock(live->mutex);
  live->news.wait_for(lock, kCancelWait, [&] { return live->ended; });
}

Result<BackgroundResponses::Followed> BackgroundResponses::follow(const Principal& principal, const std::string& id, std::size_t from, milliseconds wait) {
  Followed out;
  if (const auto live = find(id)) {
    std::unique_lock lock(live->mutex);
    live->news.wait_for(lock, wait, [&] { return live->events.size() > from || live->ended || live->overflown; });
    if (live->overflown && live->events.size() <= from)
      return fail(error(ErrorCode::kTooLarge, "the response '{}' has more events than are kept", id).with_hint("ask for it without 'stream' until it has ended"));
    for (std::size_t i = from; i < live->events.size(); ++i) out.events.push_back(live->events[i]);
    if (!live->ended) return out;
    out.events.clear();
  }
  STOA_TRY(stored, parts_.responses.find(principal, id));
  STOA_TRY(row, load(id));
  std::string_view rest = row.events;
  std::size_t number = 0;
  bool closed = false;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find("\n\n"), rest.size() - 1) + 2;
    const std::string_view event = rest.substr(0, end);
    closed = event.starts_with("event: response.completed") || event.starts_with("event: response.failed") || event.starts_with("event: response.incomplete");
    if (number++ >= from) out.events.emplace_back(event);
    rest.remove_prefix(std::min(end, rest.size()));
  }
  out.ended = true;
  if (!closed) out.events.push_back(closing_event(stored.response, std::max(number, from)));
  return out;
}

// ---- Running them

Status BackgroundResponses::start() {
  std::vector<std::string> queued;
  STOA_TRY(rows, parts_.sql.query("SELECT id, state FROM openai_background WHERE state <> ? ORDER BY id", {static_cast<std::int64_t>(State::kEnded)}));
  for (const auto& found : rows) {
    std::string id;
    std::int64_t state = 0;
    STOA_CHECK(found.read(id, state));
    const auto row = load(id);  // those of a project whose key is revoked wait for another start
    if (!row) {
      log_error("a background response waits", row.error(), {{"response", id}});
    } else if (row->state == State::kQueued) {
      auto live = std::make_shared<Live>();
      live->id = id;
      live->project = row->project;
      live_.emplace(id, live);
      waiting_.push_back(std::move(live));
    } else if (const auto ended = end_old(*row); !ended) {
      log_error("a background response waits", ended.error(), {{"response", id}});
    }
  }
  std::lock_guard lock(mutex_);
  running_ = true;
  for (int i = 0; i < kWorkers; ++i) threads_.emplace_back([this] { work(); });
  return {};
}

// One that ran when the server ended. What was whole and paid by then counts.
Status BackgroundResponses::end_old(const Row& row) {
  auto stored = parts_.responses.find(owner_of(row.owner, row.tenant, row.project), row.id);
  if (!stored) return remove(row.id);  // deleted, or too old
  STOA_TRY(paid, parts_.ledger.rows(row.request));
  if (!is_final(text_at(stored->response, "status")) || paid.empty()) return end(row, "failed", "the server ended while this response was made: ask again");
  Row ended = row;
  ended.state = State::kEnded;
  ended.body.clear();
  return save(ended);
}

void BackgroundResponses::stop(milliseconds drain) {
  {
    std::unique_lock lock(mutex_);
    if (!running_) return;
    running_ = false;
    wake_.notify_all();
    idle_.wait_for(lock, drain, [&] { return working_ == 0; });
    for (const auto& [id, live] : live_) live->cancel.cancel();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void BackgroundResponses::work() {
  run_promptly("background");
  while (true) {
    std::shared_ptr<Live> live;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return !running_ || !waiting_.empty(); });
      if (!running_) return;  // what waits is taken up by the next start
      live = std::move(waiting_.front());
      waiting_.pop_front();
      ++working_;
    }
    run(*live);
    {
      std::lock_guard lock(mutex_);
      live_.erase(live->id);
      --working_;
    }
    {
      std::lock_guard lock(live->mutex);
      live->ended = true;
    }
    live->news.notify_all();
    idle_.notify_all();
  }
}

void BackgroundResponses::run(Live& live) {
  Status done;
  try {
    auto row = load(live.id);
    done = row ? attempt(live, *row) : std::unexpected(std::move(row).error());
  } catch (const std::exception& exception) {
    done = fail(ErrorCode::kInternal, "{}", exception.what());
  }
  if (!done && done.error().code != ErrorCode::kNotFound) log_error("a background response was not ended properly", done.error(), {{"response", live.id}});
}

Status BackgroundResponses::attempt(Live& live, const Row& queued) {
  Row row = queued;
  if (live.cancel.cancelled()) return end(row, "cancelled", "");
  auto principal = parts_.holder(row.owner, row.key);
  if (principal && (principal->id != row.owner || principal->project != row.project || principal->tenant != row.tenant)) principal = fail(ErrorCode::kUnauthenticated, "moved");
  if (!principal) return end(row, "failed", principal.error().code == ErrorCode::kUnauthenticated ? "whoever asked for it can no longer be acted for" : principal.error().message);
  STOA_TRY(stored, parts_.responses.find(*principal, row.id));
  STOA_TRY(origin, parse_json(row.origin));
  row.state = State::kRunning;
  row.request = new_id("req");
  STOA_CHECK(save(row));
  live.begun = true;
  InsideRequest inside{.call = Call::of(std::move(*principal))};
  inside.call.request_id = row.request;
  inside.call.deadline = Deadline::after(parts_.pipeline.timeout());
  inside.call.cancel = live.cancel;
  inside.call.origin = origin_of(origin.as_object());
  inside.answer_id = row.id;
  if (const Json* created = stoa::find(stored.response, "created_at"); created != nullptr && created->is_int64()) inside.asked = created->get_int64() * 1'000'000;
  infra::HttpRequest request;
  request.method = "POST";
  STOA_CHECK(infra::set_target(request, std::string(kResponses)));
  request.headers.set("content-type", "application/json");
  request.body = row.body;
  Sink sink(live);
  const Status recorded = parts_.pipeline.run_inside(parts_.router, std::move(request), inside, sink);
  row.body.clear();
  {
    std::lock_guard lock(live.mutex);
    for (const std::string& event : live.events) row.events += event;
  }
  bool stopped = false;
  {
    std::lock_guard lock(mutex_);
    stopped = !running_ && live.cancel.cancelled();
  }
  if (stopped) return end(row, "failed", "the server was stopped while this response was made: ask again");
  if (!recorded) return end(row, "failed", recorded.error().message);
  if (!sink.finished()) {  // it was refused before its first event
    const auto body = parse_json(sink.response().body);
    const JsonObject* problem = body && body->is_object() ? stoa::find(body->get_object(), "error") != nullptr ? stoa::find(body->get_object(), "error")->if_object() : nullptr : nullptr;
    return end(row, live.cancel.cancelled() ? "cancelled" : "failed", problem != nullptr ? text_at(*problem, "message") : "the response was not made");
  }
  row.state = State::kEnded;
  return save(row);
}

// Ends one that did not end itself.
Status BackgroundResponses::end(const Row& row, std::string_view status, std::string_view message) {
  const Principal owner = owner_of(row.owner, row.tenant, row.project);
  STOA_TRY(stored, parts_.responses.find(owner, row.id));
  stored.response["status"] = status;
  stored.response["error"] = status == "failed" ? Json(JsonObject{{"code", "server_error"}, {"message", message}}) : Json(nullptr);
  STOA_CHECK(parts_.responses.replace(owner, stored));
  Row ended = row;
  ended.state = State::kEnded;
  ended.body.clear();
  return save(ended);
}

}  // namespace stoa::gateway::openai
