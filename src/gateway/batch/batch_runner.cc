#include "gateway/batch/batch_runner.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <set>

#include "base/json.h"
#include "base/log.h"
#include "base/scheduling.h"
#include "gateway/batch/attempts.h"
#include "gateway/batch/batch_json.h"

namespace stoa::gateway {
namespace {

constexpr milliseconds kTick{500}, kIdle{10'000}, kStorePause{5'000}, kHousekeeping{60'000};
constexpr std::size_t kPiece = 1u << 20, kMostProblems = 100, kFillAtOnce = 1'000;

}  // namespace

// Under the runner's mutex, but for `batch`: the clerk alone changes it, while no line of it runs or before any does; workers read what never changes (id, owner, input).
struct BatchRunner::Active {
  Batch batch;
  std::vector<Place> places;
  std::deque<Task> pending;                       // without `active`
  std::multimap<SteadyTime, Task> retries;        // likewise
  std::map<std::uint32_t, int> failures;          // of a line: how often its answer could not be recorded
  std::vector<std::int64_t> recorded;             // lines whose results are sure by now
  int running = 0;
  bool closing = false;                           // no further line begins
  std::optional<BatchProblem> problem;            // why, where it is a failure
  SteadyTime paused{};                            // nothing is tried before
};

BatchRunner::BatchRunner(BatchParts parts, BatchOptions options) : parts_(std::move(parts)), options_(options) {}
BatchRunner::~BatchRunner() { stop(milliseconds(0)); }

void BatchRunner::add_dialect(std::string name, BatchDialect dialect) { dialects_.emplace(std::move(name), std::move(dialect)); }

Status BatchRunner::start() {
  std::lock_guard lock(mutex_);
  if (running_) return fail(ErrorCode::kConflict, "the batch runner runs already");
  running_ = pending_ = true;
  threads_.emplace_back([this] { clerk(); });
  for (int i = 0; i < options_.parallel; ++i) threads_.emplace_back([this] { work(); });
  return {};
}

void BatchRunner::stop(milliseconds drain) {
  {
    std::unique_lock lock(mutex_);
    if (!running_) return;
    running_ = false;
    worker_wake_.notify_all();
    clerk_wake_.notify_all();
    idle_.wait_for(lock, drain, [&] { return working_ == 0; });
  }
  cancel_.cancel();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  flush();
}

void BatchRunner::wake() {
  {
    std::lock_guard lock(mutex_);
    pending_ = true;
  }
  clerk_wake_.notify_all();
}

// ---- The clerk

void BatchRunner::clerk() {
  run_in_background("batches");
  SteadyTime cleaned{};
  while (true) {
    {
      std::unique_lock lock(mutex_);
      clerk_wake_.wait_for(lock, active_.empty() ? kIdle : kTick, [&] { return !running_ || pending_; });
      if (!running_) return;
      pending_ = false;
    }
    try {
      tick();
      if (const auto now = std::chrono::steady_clock::now(); now - cleaned >= kHousekeeping) {
        cleaned = now;
        if (const auto forgotten = parts_.store.forget_old(); !forgotten) log_error("old batches stay in the store", forgotten.error());
        if (parts_.each_minute)
          if (const auto done = parts_.each_minute(); !done) log_error("what has expired stays in the store", done.error());
      }
    } catch (const std::exception& exception) {
      log_error("batches wait", error(ErrorCode::kInternal, "{}", exception.what()));
    }
  }
}

void BatchRunner::tick() {
  flush();
  if (const auto looked = look(); !looked) log_error("batches wait for the store", looked.error());
  std::vector<std::shared_ptr<Active>> all;
  std::set<std::string> projects;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, active] : active_) {
      all.push_back(active);
      projects.insert(active->batch.project);
    }
  }
  for (const std::string& project : projects) {
    auto windows = parts_.store.windows(project);
    std::lock_guard lock(mutex_);
    if (windows) windows_[project] = std::move(windows->windows);
  }
  const Micros now = parts_.store.clock().now();
  for (const auto& active : all) review(*active, now);
  if (!all.empty()) worker_wake_.notify_all();
}

// New ones are taken up; those that somebody cancelled are closed.
Status BatchRunner::look() {
  STOA_TRY(open, parts_.store.unfinished());
  for (const auto& one : open) {
    std::shared_ptr<Active> known;
    {
      std::lock_guard lock(mutex_);
      if (!running_) return {};
      const auto found = active_.find(one.id);
      if (found != active_.end()) known = found->second;
      else if (active_.size() >= options_.max_active) continue;
    }
    if (known && one.status == BatchStatus::kCancelling) end_early(*known, BatchStatus::kCancelled, {});
    if (known) continue;
    if (const auto taken = take_up(one); !taken && taken.error().code != ErrorCode::kPermissionDenied)  // a project's revoked key holds its batches up
      log_error("a batch waits", taken.error(), {{"batch", one.id}});
  }
  return {};
}

Status BatchRunner::take_up(const BatchStore::Unfinished& open) {
  auto active = std::make_shared<Active>();
  STOA_TRY(batch, parts_.store.load(open.id));
  active->batch = std::move(batch);
  if (!dialects_.contains(active->batch.dialect)) return fail(ErrorCode::kUnsupported, "nobody runs batches of the dialect '{}'", active->batch.dialect);
  if (active->batch.status == BatchStatus::kValidating) {
    STOA_CHECK(validate(active->batch, active->places));
    if (has_ended(active->batch.status)) return parts_.store.finish(active->batch, false);
    STOA_CHECK(parts_.store.save(active->batch));
    for (const Place& place : active->places) active->pending.push_back({.active = {}, .place = place});
  } else {
    STOA_CHECK(resume(*active));
  }
  if (active->batch.status >= BatchStatus::kCancelling) active->closing = true;
  std::lock_guard lock(mutex_);
  active_.emplace(active->batch.id, std::move(active));
  return {};
}

// Every line of the input, without its line break; blank ones count and are passed over. A line that is longer than may be has an empty text.
Status BatchRunner::scan(const Batch& batch, const LineVisitor& visit) {
  std::string rest;
  std::uint64_t offset = 0, begin = 0;  // of the next piece, and of `rest`
  std::uint32_t number = 0;
  bool too_long = false;
  const auto end_line = [&](std::string_view text, std::uint64_t length) -> Status {
    ++number;
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (!too_long && text.find_first_not_of(" \t") == std::string_view::npos) return {};
    return visit({begin, static_cast<std::uint32_t>(too_long ? std::min<std::uint64_t>(length, UINT32_MAX) : text.size()), number}, too_long ? std::string_view() : text);
  };
  const auto bytes = static_cast<std::uint64_t>(batch.bytes);
  while (offset < bytes) {
    STOA_TRY(piece, parts_.store.read_input(batch, offset, kPiece));
    if (piece.empty()) return fail(ErrorCode::kDataLoss, "the input of the batch {} is shorter than it was", batch.id);
    std::string_view text = as_text(piece);
    for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
      rest += text.substr(0, too_long ? 0 : end);
      too_long = too_long || rest.size() > options_.max_line;
      const std::uint64_t next = offset + static_cast<std::uint64_t>(text.data() - as_text(piece).data()) + end + 1;
      STOA_CHECK(end_line(rest, next - begin));
      rest.clear();
      too_long = false;
      begin = next;
      text.remove_prefix(end + 1);
    }
    if (!too_long) rest += text;
    if (rest.size() > options_.max_line) {
      too_long = true;
      rest.clear();
    }
    offset += piece.size();
  }
  return begin < bytes ? end_line(rest, bytes - begin) : Status{};
}

// Sets its status: in progress, or failed with the problems found.
Status BatchRunner::validate(Batch& batch, std::vector<Place>& places) {
  const BatchDialect& dialect = dialects_.at(batch.dialect);
  std::set<std::string> ids;
  const auto note = [&](std::string code, std::string message, std::string param, std::int64_t line) {
    if (batch.problems.size() < kMostProblems) batch.problems.push_back({std::move(code), std::move(message), std::move(param), line});
  };
  STOA_CHECK(scan(batch, [&](const Place& place, std::string_view text) -> Status {
    if (places.size() >= options_.max_lines) {
      if (places.size() == options_.max_lines) note("too_many_tasks", fmt::format("a batch has at most {} requests", options_.max_lines), "", place.number);
      places.push_back(place);  // one more than allowed: said once
      return {};
    }
    places.push_back(place);
    if (text.empty()) {
      note("line_too_long", fmt::format("the line has more than {} bytes", options_.max_line), "", place.number);
      return {};
    }
    auto line = dialect.read(batch, text);
    if (!line) {
      note(line.error().param == "json" ? "invalid_json_line" : "invalid_request", line.error().message, line.error().param == "json" ? "" : line.error().param, place.number);
    } else if (!ids.insert(line->custom_id).second) {
      note("duplicate_custom_id", "another line before has this custom_id", "custom_id", place.number);
    }
    return {};
  }));
  if (places.empty()) note("empty_file", "the batch has no requests", "", 0);
  const Micros now = parts_.store.clock().now();
  if (!batch.problems.empty()) {
    batch.status = BatchStatus::kFailed;
    batch.ended = now;
    return {};
  }
  batch.total = static_cast<std::int64_t>(places.size());
  batch.status = BatchStatus::kInProgress;
  batch.started = now;
  return {};
}

// One that was in progress when the server ended.
Status BatchRunner::resume(Active& active) {
  const Batch& batch = active.batch;
  STOA_CHECK(scan(batch, [&](const Place& place, std::string_view) -> Status {
    active.places.push_back(place);
    return {};
  }));
  STOA_TRY(done, parts_.store.done(batch));
  std::vector<std::int64_t> sure;
  std::set<std::int64_t> lines(done.lines.begin(), done.lines.end());
  for (const BatchResult& result : done.unsure) {
    STOA_TRY(rows, parts_.ledger.rows(result.request_id));
    if (!rows.empty()) {
      sure.push_back(result.line);
      continue;
    }
    lines.erase(result.line);
    STOA_CHECK(parts_.store.drop(batch.id, result.line));
  }
  STOA_CHECK(parts_.store.mark_sure(batch.id, sure));
  for (const Place& place : active.places)
    if (!lines.contains(place.number)) active.pending.push_back({.active = {}, .place = place});
  if (!batch.problems.empty()) active.problem = batch.problems.front();
  log(LogLevel::kInfo, "batch resumed", {{"batch", batch.id}, {"lines", batch.total}, {"left", static_cast<std::int64_t>(active.pending.size())}});
  return {};
}

void BatchRunner::end_early(Active& active, BatchStatus ending, std::optional<BatchProblem> problem) {
  std::lock_guard lock(mutex_);
  if (active.closing) return;
  active.closing = true;
  active.batch.ending = ending;
  active.problem = std::move(problem);
}

void BatchRunner::review(Active& active, Micros now) {
  if (now >= active.batch.expires) end_early(active, BatchStatus::kExpired, {});
  {
    std::lock_guard lock(mutex_);
    const bool left = !active.pending.empty() || !active.retries.empty();
    if (active.running > 0 || (left && !active.closing) || std::chrono::steady_clock::now() < active.paused) return;
  }
  if (const auto finalized = finalize(active); !finalized) {
    log_error("a batch waits to be finished", finalized.error(), {{"batch", active.batch.id}});
    std::lock_guard lock(mutex_);
    active.paused = std::chrono::steady_clock::now() + kStorePause;
  }
}

// No line runs and none will. Each step may be done again.
Status BatchRunner::finalize(Active& active) {
  flush();
  Batch& batch = active.batch;
  if (batch.status != BatchStatus::kFinalizing) {
    batch.status = BatchStatus::kFinalizing;
    batch.finalizing = parts_.store.clock().now();
    if (active.problem) batch.problems = {*active.problem};
    STOA_CHECK(parts_.store.save(batch));
  }
  STOA_CHECK(fill(active));
  const BatchDialect& dialect = dialects_.at(batch.dialect);
  if (dialect.finish) STOA_CHECK(dialect.finish(batch));
  Batch ended = batch;
  ended.status = batch.ending;
  ended.ended = parts_.store.clock().now();
  STOA_CHECK(parts_.store.finish(ended, dialect.keep_results));
  log(LogLevel::kInfo, "batch ended", {{"batch", batch.id}, {"status", std::string(batch_status_name(ended.status))}, {"lines", batch.total}});
  std::lock_guard lock(mutex_);
  active_.erase(batch.id);
  return {};
}

// Lines that were not run have a result as well: that they were not.
Status BatchRunner::fill(Active& active) {
  std::set<std::uint32_t> left;
  {
    std::lock_guard lock(mutex_);
    for (const Task& task : active.pending) left.insert(task.place.number);
    for (const auto& [when, task] : active.retries) left.insert(task.place.number);
  }
  if (left.empty()) return {};
  const Batch& batch = active.batch;
  const int status = batch.ending == BatchStatus::kExpired ? BatchResult::kExpired : batch.ending == BatchStatus::kFailed ? BatchResult::kUnrunnable : BatchResult::kCancelled;
  const std::string reason = active.problem ? active.problem->message : std::string();
  std::vector<BatchResult> results;
  STOA_CHECK(scan(batch, [&](const Place& place, std::string_view text) -> Status {
    if (!left.contains(place.number)) return {};
    auto line = dialects_.at(batch.dialect).read(batch, text);
    results.push_back({.line = place.number, .status = status, .custom_id = line ? line->custom_id : "", .request_id = {}, .body = reason});
    if (results.size() < kFillAtOnce) return {};
    STOA_CHECK(parts_.store.keep_all(batch, results));
    results.clear();
    return {};
  }));
  return parts_.store.keep_all(batch, results);
}

// What was recorded since the last time, so that a crash leaves few lines to be looked up.
void BatchRunner::flush() {
  std::vector<std::pair<std::shared_ptr<Active>, std::vector<std::int64_t>>> all;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, active] : active_)
      if (!active->recorded.empty()) all.emplace_back(active, std::exchange(active->recorded, {}));
  }
  for (auto& [active, lines] : all)
    if (const auto marked = parts_.store.mark_sure(active->batch.id, lines); !marked) log_error("results of a batch are looked up after the next start", marked.error());
}

// ---- The workers

void BatchRunner::work() {
  run_in_background("batch-line");
  while (true) {
    std::optional<Task> task;
    {
      std::unique_lock lock(mutex_);
      worker_wake_.wait_for(lock, active_.empty() ? kIdle : kTick, [&] { return !running_ || (task = next()).has_value(); });
      if (!running_ && !task) return;
      if (!task) continue;
      ++working_;
    }
    run(*task);
    bool last = false;
    {
      std::lock_guard lock(mutex_);
      --working_;
      --task->active->running;
      last = task->active->running == 0 && (task->active->closing || (task->active->pending.empty() && task->active->retries.empty()));
      pending_ = pending_ || last;
    }
    idle_.notify_all();
    if (last) clerk_wake_.notify_all();
  }
}

// The first line that may run, of the project that was served the longest ago. Under the mutex.
std::optional<BatchRunner::Task> BatchRunner::next() {
  if (!running_) return std::nullopt;
  const auto now = std::chrono::steady_clock::now();
  const Micros time = parts_.store.clock().now();
  std::shared_ptr<Active> best;
  std::uint64_t best_turn = 0;
  for (const auto& [id, active] : active_) {
    const bool ready = !active->pending.empty() || (!active->retries.empty() && active->retries.begin()->first <= now);
    if (active->closing || !ready || now < active->paused || time >= active->batch.expires) continue;
    const auto windows = windows_.find(active->batch.project);
    if (windows == windows_.end() || !windows->second.open(time)) continue;
    const std::uint64_t turn = served_[active->batch.project];
    if (best && turn >= best_turn) continue;
    best = active;
    best_turn = turn;
  }
  if (!best) return std::nullopt;
  served_[best->batch.project] = ++turn_;
  Task task;
  if (!best->retries.empty() && best->retries.begin()->first <= now) {
    task = std::move(best->retries.begin()->second);
    best->retries.erase(best->retries.begin());
  } else {
    task = std::move(best->pending.front());
    best->pending.pop_front();
  }
  task.active = best;
  ++best->running;
  return task;
}

void BatchRunner::run(const Task& task) {
  Status done;
  try {
    done = attempt(task);
  } catch (const std::exception& exception) {
    done = fail(ErrorCode::kInternal, "{}", exception.what());
  }
  if (done) return;
  if (cancel_.cancelled()) return retry(task, milliseconds(0));
  // Nothing of it was kept: the store, the journal or the key management is not to be had, which concerns all lines of the batch.
  if (done.error().code != ErrorCode::kPermissionDenied) log_error("a batch waits", done.error(), {{"batch", task.active->batch.id}, {"line", std::int64_t{task.place.number}}});
  retry(task, milliseconds(0));
  std::lock_guard lock(mutex_);
  task.active->paused = std::chrono::steady_clock::now() + kStorePause;
}

void BatchRunner::retry(const Task& task, milliseconds pause) {
  Task again = task;
  again.active.reset();
  std::lock_guard lock(mutex_);
  task.active->retries.emplace(std::chrono::steady_clock::now() + pause, std::move(again));
}

// One attempt at a line. An error: nothing of it was kept.
Status BatchRunner::attempt(const Task& task) {
  Active& active = *task.active;
  const Batch& batch = active.batch;
  const Place& place = task.place;
  STOA_TRY(bytes, parts_.store.read_input(batch, place.offset, place.length));
  auto line = dialects_.at(batch.dialect).read(batch, as_text(bytes));
  if (!line)  // it was valid for the release that validated it
    return parts_.store.keep_all(batch, {{.line = place.number, .status = BatchResult::kUnrunnable, .custom_id = {}, .request_id = {}, .body = line.error().message}});
  auto principal = parts_.holder(batch.owner, batch.key);
  if (principal && (principal->id != batch.owner || principal->project != batch.project || principal->tenant != batch.tenant)) principal = fail(ErrorCode::kUnauthenticated, "moved");
  if (!principal && principal.error().code == ErrorCode::kUnauthenticated) {
    end_early(active, BatchStatus::kFailed,
              BatchProblem{"not_authorized", fmt::format("whoever made the batch can no longer be acted for: {} was revoked, has expired, or its user was disabled",
                                                         batch.key.empty() ? "the user's access" : "the key " + batch.key)});
    retry(task, milliseconds(0));  // among those that were not run
    return {};
  }
  if (!principal) return fail(std::move(principal).error());
  int failures = 0;
  {
    std::lock_guard lock(mutex_);
    if (const auto found = active.failures.find(place.number); found != active.failures.end()) failures = found->second;
  }
  const std::string request = line_request(batch.id, place.number, failures + task.attempt);
  InsideRequest inside{.call = Call::of(std::move(*principal))};
  inside.call.request_id = request;
  inside.call.deadline = Deadline::after(options_.line_timeout);
  inside.call.cancel = cancel_;
  inside.call.origin = batch.origin;
  inside.call.batch = true;
  bool kept = false;
  std::optional<milliseconds> again;
  const auto keep = [&](const infra::HttpResponse& response) -> Status {
    if (response.status >= 400 && cancel_.cancelled()) return fail(ErrorCode::kUnavailable, "the server stops");
    // What an attempt used that broke off is paid, under its own request; 409: one of before the last start did.
    const bool settled = response.status == 409;
    if ((settled || response.headers.get("x-should-retry") == "true") && task.attempt + 1 < options_.attempts) {
      again = settled ? milliseconds(0) : pause_before(response, task.attempt, options_.first_pause, options_.longest_pause);
      return {};
    }
    STOA_CHECK(parts_.store.keep(batch, {.line = place.number, .status = response.status, .custom_id = line->custom_id, .request_id = request, .body = response.body, .usage = usage_of(response.body)}));
    kept = true;
    return {};
  };
  inside.keep = keep;
  infra::HttpRequest http;
  http.method = "POST";
  STOA_CHECK(infra::set_target(http, line->path));
  http.headers.set("content-type", "application/json");
  http.body = std::move(line->body);
  infra::MemoryResponder responder;
  const Status recorded = parts_.pipeline.run_inside(parts_.router, std::move(http), inside, responder);
  if (!recorded) {
    {
      std::lock_guard lock(mutex_);
      ++active.failures[place.number];
    }
    if (kept) STOA_CHECK(parts_.store.drop(batch.id, place.number));
    return recorded;
  }
  if (again) {
    Task next = task;
    ++next.attempt;
    retry(next, *again);
    return {};
  }
  if (!kept) STOA_CHECK(keep(responder.response()));  // there is no such route, or its handler failed
  std::lock_guard lock(mutex_);
  active.recorded.push_back(place.number);
  return {};
}

}  // namespace stoa::gateway
