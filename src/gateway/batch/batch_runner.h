// Runs batches: a clerk that validates, resumes and finishes them, and a few workers that run their lines, one project after the other, through the routes that callers
// use (Pipeline::run_inside) and behind everybody who waits for an answer.
//
// A line's answer is kept before what it cost is settled, and its request has an id that stays the same: after a crash, an answer whose request was settled counts, and one
// whose request was not is made again. So no answer is paid twice, and every answer that was paid is there.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/time.h"
#include "gateway/api/pipeline.h"
#include "gateway/batch/batch_store.h"
#include "governance/cost/ledger.h"
#include "infra/http/router.h"

namespace stoa::gateway {

// What a line asks for.
struct BatchLine {
  std::string custom_id;  // unique in its batch
  std::string path;       // "/v1/chat/completions"
  std::string body;
};

// What is particular to a dialect. Called on the runner's threads.
struct BatchDialect {
  // The error's param names the field, its message says what is wrong with the line.
  std::function<Result<BatchLine>(const Batch& batch, std::string_view line)> read;
  // All lines have a result: makes of them what the dialect makes of them. Done again when the server dies meanwhile. May be empty.
  std::function<Status(Batch& batch)> finish;
  bool keep_results = false;  // they are asked for later; else they go when the batch has ended
};

struct BatchOptions {
  int parallel = 4;                             // lines at a time
  std::size_t max_lines = 50'000;               // of one batch
  std::size_t max_line = 8u << 20;              // bytes
  std::size_t max_active = 64;                  // batches whose lines run in turns; further ones wait
  int attempts = 5;                             // of a line that a retry may help
  milliseconds first_pause{1'000}, longest_pause{60'000};  // before an attempt
  milliseconds line_timeout{600'000};
};

struct BatchParts {
  const Pipeline& pipeline;
  const infra::Router& router;
  BatchStore& store;
  governance::Ledger& ledger;
  // Who made a batch, as they are now. kUnauthenticated when nobody can act in their name any more.
  std::function<Result<Principal>(const std::string& owner, const std::string& key)> holder;
  std::function<Status()> each_minute{};  // done by the clerk as well; may be empty
};

// Thread-safe. What it refers to outlives it.
class BatchRunner {
 public:
  explicit BatchRunner(BatchParts parts, BatchOptions options = {});
  ~BatchRunner();  // stop(0)

  void add_dialect(std::string name, BatchDialect dialect);  // before start()
  Status start();
  // Begins no further line; those that run have `drain` to end, then they are cut off, not paid, and run again after the next start.
  void stop(milliseconds drain);
  // There is something new to do.
  void wake();
  const BatchOptions& options() const { return options_; }

 private:
  struct Place {  // of a line in the input
    std::uint64_t offset = 0;
    std::uint32_t length = 0, number = 0;
  };
  struct Active;
  struct Task {
    std::shared_ptr<Active> active;
    Place place;
    int attempt = 0;
  };
  using LineVisitor = std::function<Status(const Place& place, std::string_view text)>;

  void clerk();
  void work();
  void tick();
  Status look();
  Status take_up(const BatchStore::Unfinished& open);
  Status validate(Batch& batch, std::vector<Place>& places);
  Status resume(Active& active);
  Status scan(const Batch& batch, const LineVisitor& visit);
  void review(Active& active, Micros now);
  Status finalize(Active& active);
  Status fill(Active& active);
  void flush();
  std::optional<Task> next();
  void run(const Task& task);
  Status attempt(const Task& task);
  void retry(const Task& task, milliseconds pause);
  void end_early(Active& active, BatchStatus ending, std::optional<BatchProblem> problem);

  const BatchParts parts_;
  const BatchOptions options_;
  std::map<std::string, BatchDialect> dialects_;
  CancelToken cancel_;                 // of all lines that run
  std::mutex mutex_;                   // of what follows
  std::condition_variable clerk_wake_, worker_wake_, idle_;
  bool running_ = false, pending_ = false;
  int working_ = 0;
  std::map<std::string, std::shared_ptr<Active>> active_;
  std::map<std::string, BatchWindows> windows_;   // of the projects of active batches
  std::map<std::string, std::uint64_t> served_;   // project -> when it was served last
  std::uint64_t turn_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace stoa::gateway
