// The thread of the ingest worker, and whose turn it has: projects in turns, of each project its jobs in turns, a file at a time, or some of a long one.
#include <algorithm>
#include <exception>
#include <map>
#include <set>
#include <string_view>
#include <tuple>

#include "base/log.h"
#include "data/sources/ingest_worker.h"

namespace stoa::data {
namespace {

constexpr milliseconds kFirstPause{100}, kLongestPause{30'000};
constexpr int kMadeForEach = 2;
constexpr std::int64_t kFewLeft = 16;
constexpr int kSweeps = 4;  // between two turns
constexpr const char* kSweeping = "";  // put aside under this name, which no job has

milliseconds longer(milliseconds pause) { return std::clamp(pause * 2, kFirstPause, kLongestPause); }

template <typename Work>
Result<bool> guarded(const Work& work) {
  try {
    return work();
  } catch (const std::exception& exception) {
    return fail(ErrorCode::kInternal, "{}", exception.what());
  }
}

}  // namespace

Status IngestWorker::start() {
  std::lock_guard lock(mutex_);
  if (!stop_) return fail(ErrorCode::kConflict, "the ingest worker runs already");
  stop_ = false;
  pending_ = true;
  cancel_ = CancelToken();
  thread_ = std::thread([this] { run(); });
  return {};
}

void IngestWorker::stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    cancel_.cancel();
  }
  wake_.notify_all();
  advanced_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void IngestWorker::wake() {
  {
    std::lock_guard lock(mutex_);
    pending_ = true;
  }
  wake_.notify_all();
}

void IngestWorker::wait_for_progress(Deadline deadline) {
  std::unique_lock lock(mutex_);
  const std::uint64_t seen = finished_;
  // Half a second at most: the caller looks at the rows, which may have changed between its look and this wait.
  const auto until = std::min(deadline.at, std::chrono::steady_clock::now() + std::chrono::milliseconds(500));
  advanced_.wait_until(lock, until, [&] { return finished_ != seen || stop_; });
}

std::pair<std::int64_t, std::int64_t> IngestWorker::embedded(const std::string& job) const {
  std::lock_guard lock(mutex_);
  const auto found = embedded_.find(job);
  return found == embedded_.end() ? std::pair<std::int64_t, std::int64_t>() : found->second;
}

bool IngestWorker::stopping() const {
  std::lock_guard lock(mutex_);
  return stop_;
}

void IngestWorker::run() {
  milliseconds pause{0};
  while (!stopping()) {
    const Result<bool> worked = guarded([this] { return step(); });
    std::unique_lock lock(mutex_);
    std::erase_if(embedded_, [&](const auto& each) { return !begun_.contains(each.first); });
    if (!worked) {
      // The store does not even tell which jobs there are: it is asked again, ever more slowly.
      pause = longer(pause);
      log_error("ingest waits", worked.error(), {{"pause_ms", std::int64_t{pause.count()}}});
      wake_.wait_for(lock, pause, [&] { return stop_; });
      continue;
    }
    pause = {};
    if (*worked) {
      ++finished_;
      lock.unlock();
      advanced_.notify_all();
      continue;
    }
    const auto changed = [&] { return stop_ || pending_; };
    if (aside_.empty()) {
      wake_.wait(lock, changed);
    } else {
      // One whose time has come may not have had its turn: another job of its collection, of a project without a key, has it.
      const SteadyTime soon = std::chrono::steady_clock::now() + kFirstPause;
      wake_.wait_until(lock, std::max(soon, std::ranges::min_element(aside_, {}, [](const auto& each) { return each.second.until; })->second.until), changed);
    }
    pending_ = false;
  }
}

// A job that cannot go on, because a row of it cannot be read or nothing can be written, is passed by for a while: nobody else waits for it.
Result<bool> IngestWorker::step() {
  bool swept = true;
  for (int i = 0; i < kSweeps && swept; ++i) swept = sweep_or_wait();
  STOA_TRY(turns, next_turns());
  for (const Turn& turn : turns) {
    STOA_TRY(given, gives_way(turn));
    const std::string& job = given ? turn.anew : turn.job;
    if (is_aside(job)) continue;
    last_project_ = turn.project;
    if (job == turn.job) last_job_of_[turn.project] = job;  // who gave way is still the next
    const Result<bool> worked = guarded([&] { return work_on(job, turn.project); });
    if (worked) {
      aside_.erase(job);
    } else {
      put_aside(job, worked.error());
    }
    if (!turn.anew.empty()) made_anew_[turn.anew] = job == turn.anew ? made_anew_[turn.anew] + 1 : 0;
    if (!worked || *worked) return true;
  }
  return swept;
}

bool IngestWorker::sweep_or_wait() {
  if (is_aside(kSweeping)) return false;
  const Result<bool> swept = guarded([this] { return sweep(); });
  if (!swept) {
    put_aside(kSweeping, swept.error());
    return false;
  }
  aside_.erase(kSweeping);
  return *swept;
}

Result<std::vector<IngestWorker::Turn>> IngestWorker::next_turns() {
  std::vector<Turn> turns;
  std::set<std::string, std::less<>> jobs, projects;
  std::map<std::string, std::string> collections, anew;  // of each job; of each collection the job that makes it anew
  STOA_CHECK(catalog_.sql_.for_each("SELECT id, project, collection, reindex FROM ingest_jobs WHERE status = ?", {std::int64_t{static_cast<int>(JobStatus::kRunning)}},
                                    [&](const infra::SqlRow& row) -> Result<bool> {
                                      Turn& turn = turns.emplace_back();
                                      bool reindex = false;
                                      std::string collection;
                                      STOA_CHECK(row.read(turn.job, turn.project, collection, reindex));
                                      jobs.insert(turn.job);
                                      projects.insert(turn.project);
                                      if (reindex) anew[collection] = turn.job;
                                      collections[turn.job] = std::move(collection);
                                      return true;
                                    }));
  for (Turn& turn : turns)
    if (const auto found = anew.find(collections[turn.job]); found != anew.end()) turn.anew = found->second;
  std::erase_if(aside_, [&](const auto& each) { return each.first != kSweeping && !jobs.contains(each.first); });
  std::erase_if(begun_, [&](const auto& each) {
    if (!jobs.contains(each.first)) return true;
    const auto keys = catalog_.blobs_.sealer().project(each.second.project);
    return !keys && keys.error().code == ErrorCode::kPermissionDenied;  // revoked: nothing of it stays in memory
  });
  std::erase_if(made_anew_, [&](const auto& each) { return !jobs.contains(each.first); });
  std::erase_if(last_job_of_, [&](const auto& each) { return !projects.contains(each.first); });
  std::ranges::sort(turns, {}, [&](const Turn& turn) {
    const auto last = last_job_of_.find(turn.project);
    return std::tuple(turn.project <= last_project_, std::string_view(turn.project), last != last_job_of_.end() && turn.job <= last->second, std::string_view(turn.job));
  });
  return turns;
}

// A collection that is made anew turns over when no document has come since the last look. So two are made anew for each that comes, and none comes
// when few are left: or it would end only after the last of those that bring documents in.
Result<bool> IngestWorker::gives_way(const Turn& turn) {
  if (turn.anew.empty() || is_aside(turn.anew)) return false;
  if (made_anew_[turn.anew] < kMadeForEach) return true;
  STOA_TRY(left, catalog_.sql_.query("SELECT 1 FROM ingest_files WHERE job = ? AND status = ? LIMIT ?", {turn.anew, std::int64_t{static_cast<int>(FileStatus::kPending)}, kFewLeft + 1}));
  return static_cast<std::int64_t>(left.size()) <= kFewLeft;
}

bool IngestWorker::is_aside(const std::string& job) const {
  const auto found = aside_.find(job);
  return found != aside_.end() && found->second.until > std::chrono::steady_clock::now();
}

Result<bool> IngestWorker::work_on(const std::string& id, const std::string& project) {
  auto keys = catalog_.blobs_.sealer().project(project);
  if (!keys && keys.error().code == ErrorCode::kPermissionDenied) return false;  // revoked: waits until it is given back
  if (!keys) return fail(std::move(keys).error());
  STOA_TRY(job, read_job(id, std::move(*keys)));
  STOA_TRY(task, next_file(job));
  STOA_CHECK(task ? process(std::move(*task)) : finish(job));
  return true;
}

void IngestWorker::put_aside(const std::string& job, const Error& why) {
  Aside& aside = aside_[job];
  if (aside.pause == milliseconds(0))  // said once, however often it is tried
    log_error(job == kSweeping ? "what was replaced or removed is not deleted yet, which is tried again" : "an ingest job cannot go on and is tried again", why, {{"job", job}});
  aside.pause = longer(aside.pause);
  aside.until = std::chrono::steady_clock::now() + aside.pause;
}

}  // namespace stoa::data
