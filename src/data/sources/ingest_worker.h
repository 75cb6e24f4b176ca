// The thread behind Ingest: takes one file of one job at a time; projects have turns, and in each its jobs. Internal to this folder.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "data/sources/ingest.h"
#include "data/sources/rows.h"

namespace stoa::data {

enum class FileStatus { kPending, kDone, kFailed, kUnchanged };

class IngestWorker {
 public:
  IngestWorker(Catalog& catalog, Embedders embedders, governance::Ledger* ledger, const IngestLimits& limits)
      : catalog_(catalog), embedders_(std::move(embedders)), ledger_(ledger), limits_(limits) {}
  ~IngestWorker() { stop(); }

  Status start();
  void stop();
  void wake();
  // Until a file was finished since the last call of any thread, or the deadline.
  void wait_for_progress(Deadline deadline);
  // Passages of the job's file at hand: how many are embedded, and all; 0 and 0 when none is at hand.
  std::pair<std::int64_t, std::int64_t> embedded(const std::string& job) const;
  // Adds the documents of the collection that the job has not made anew as they are now to its files. How many there are.
  Result<std::size_t> add_documents(infra::SqlTransaction& transaction, const governance::ProjectKeys& keys, const std::string& job, const std::string& collection);
  // The name of the embedding model of collections with these settings; empty: none.
  std::string model_of(const CollectionSettings& settings) const;
  const Embedders& embedders() const { return embedders_; }

 private:
  struct Job {
    std::string id, collection, source;
    Principal principal;
    AccessList access;
    Attributes attributes;
    bool prune = false, attach = false, reindex = false;
    int chunk_tokens = 0;
    CollectionSettings settings;  // to reindex with
    std::optional<governance::ProjectKeys> keys;  // of its project; always there
  };
  struct Task {
    const governance::ProjectKeys& keys() const { return *job.keys; }
    Job job;
    std::int64_t ordinal = 0;
    std::string path, digest, content_type, document;
    std::int64_t bytes = 0;
    CollectionSettings settings;   // what the document is to be made with
    Embedder* embedder = nullptr;  // null: none
    std::string model() const { return embedder == nullptr ? std::string() : embedder->model(); }
  };
  struct Prepared {
    ParsedDocument parsed;
    std::vector<Chunk> chunks;
    std::vector<std::vector<float>> vectors;  // empty without an embedder
    std::vector<std::string> sentences;       // of each chunk, packed; empty without an embedder
    std::int64_t tokens = 0, compute_micros = 0;
  };

  // A file on the way to its vectors.
  struct Begun {
    std::int64_t ordinal = 0;
    int chunk_tokens = 0;
    std::string model, project;
    Prepared prepared{};
    governance::Reservation reservation{};
  };
  struct Turn {
    std::string job, project;
    std::string anew;  // the job that makes its collection anew, which may be this one; empty: none does
  };
  struct Aside {
    SteadyTime until;
    milliseconds pause{0};
  };

  // Of turns (ingest_turns.cc).
  void run();
  // False: no job can go on now.
  Result<bool> step();
  // The running jobs, whose turn it is first.
  Result<std::vector<Turn>> next_turns();
  // Whether the turn is for the job that makes the collection anew.
  Result<bool> gives_way(const Turn& turn);
  // False: the project's key is revoked.
  Result<bool> work_on(const std::string& id, const std::string& project);
  bool is_aside(const std::string& job) const;
  void put_aside(const std::string& job, const Error& why);
  bool sweep_or_wait();
  bool stopping() const;

  Result<Job> read_job(const std::string& id, governance::ProjectKeys keys);
  Result<std::optional<Task>> next_file(const Job& job);
  // Does the task, or records why it cannot be done.
  Status process(Task task);
  // Nothing: the collection has gone.
  Result<std::optional<CollectionSettings>> settings_of(const Task& task);
  Status bring_in(const Task& task);
  Result<std::optional<StoredDocument>> existing(const Task& task);
  // kCancelled: not finished. Where its job still runs, the file is taken up again at the next turn.
  Result<Prepared> prepare(const Task& task);
  Result<Begun> begin(const Task& task);
  Call call_of(const Task& task) const;
  // As many passages, and their sentences, as fit in a turn.
  Status embed(const Task& task, Prepared& prepared);
  bool may_wait(const Prepared& prepared) const;
  Status embed_some(const Task& task, std::span<const Chunk> chunks, Prepared& prepared);
  // The vectors of these texts, one after another.
  Result<std::vector<float>> embed_texts(const Task& task, std::span<const std::string> texts, Prepared& prepared);
  // kCancelled: what is made is not wanted any more, or the server ends.
  Status check_wanted(const Task& task);
  Status commit(const Task& task, const std::optional<StoredDocument>& old, Prepared prepared);
  // Rows of the passages of a document; those of another generation than it has wait beside those that live.
  Result<std::vector<IndexedChunk>> insert_chunks(infra::SqlTransaction& transaction, const governance::ProjectKeys& keys, const std::string& document, Prepared& prepared,
                                                  const std::string& generation);
  Status relabel(const Task& task, const StoredDocument& old);
  Status record_failure(const Task& task, const Error& error);
  Status finish(const Job& job);

  // Of jobs that make a collection anew (reindex.cc).
  Status stage(const Task& task);
  Status begin_again(const Job& job);
  Status turn_over(const Job& job);
  using Made = std::map<std::string, std::int64_t>;  // documents, and how many passages wait of each
  Result<Made> made_by(const Job& job);
  Status turn_over(infra::SqlTransaction& transaction, const Job& job, const std::string& beside, const Made& made);

  // Of what is deleted behind (sweep.cc): some of the passages that neither live nor wait for a job, or of a removed collection. False: there is nothing.
  Result<bool> sweep();
  static Status sweep_passages(infra::SqlTransaction& transaction);
  Status sweep_collection(infra::SqlTransaction& transaction, const std::string& collection);

  // Marks the file and adds to the job's sums, in the transaction of the work itself: after a crash both happened or neither did.
  // False when the job ended or the file was done meanwhile.
  static Result<bool> record(infra::SqlTransaction& transaction, const governance::ProjectKeys& keys, const std::string& job, std::int64_t ordinal, FileStatus status,
                             const StoredFileName& file);
  static Status add_up(infra::SqlTransaction& transaction, const Task& task, std::int64_t chunks, const Prepared& prepared);

  Catalog& catalog_;
  const Embedders embedders_;
  governance::Ledger* const ledger_;
  const IngestLimits& limits_;
  mutable std::mutex mutex_;
  std::condition_variable wake_, advanced_;
  bool stop_ = true, pending_ = false;
  std::uint64_t finished_ = 0;
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> embedded_;  // passages of the file that each job has begun, and all of them
  CancelToken cancel_;
  std::map<std::string, Begun> begun_;                    // by job
  std::map<std::string, Aside> aside_;                    // jobs that could not go on
  std::map<std::string, int> made_anew_;                  // turns of jobs that make collections anew since another of the collection had one
  std::string last_project_;                              // served last: the next one has its turn
  std::map<std::string, std::string> last_job_of_;        // and in each project the job after this one
  std::thread thread_;
};

}  // namespace stoa::data
