// Writes to the SQL store that a caller need not wait for: a journal takes them, and a thread carries them over in batches when the processor has time for
// it, each record exactly once, however the process ends; a second one helps when much waits. Whoever reads what is written so calls catch_up() first
// and sees all that was acknowledged.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <thread>

#include "base/result.h"
#include "base/time.h"
#include "infra/journal/group.h"
#include "infra/journal/journal.h"
#include "infra/sql/sql.h"

namespace stoa::infra {

struct WriteBehindOptions {
  JournalOptions journal;
  milliseconds linger{100};            // how long a first record waits for others to share its transaction
  std::size_t batch_bytes = 128u << 10; // of one transaction, some 40 requests: what waits shares syncs of the disk. Not more, since writers of the store wait for a whole one, which has little of a busy processor
  double much = 1.0 / 8;               // of JournalOptions::max_bytes: from here on the second thread helps
  milliseconds pause{1'000};           // after a failed one
};

// Thread-safe from start() on. `database` outlives it. One process at a time (kConflict).
class WriteBehind {
 public:
  // Carries records of one kind over, in the order in which they were appended. Called on any thread, one call at a time. An error undoes the
  // transaction; the same records come again. It must not wait for whoever appends.
  using Take = std::function<Status(SqlTransaction& transaction, std::span<const ByteSpan> records)>;

  static Result<std::unique_ptr<WriteBehind>> open(SqlDatabase& database, const std::filesystem::path& folder, const WriteBehindOptions& options = {});
  ~WriteBehind();  // stop()

  // Before start(). `kind` is stored with the records: it must not change; 0 is that of groups. kConflict when it is taken.
  Status add(std::uint8_t kind, Take take);
  // Called on the thread after batches, outside of transactions. Before start().
  void after(std::function<void()> action) { after_ = std::move(action); }
  // Carries over what an earlier process left, then begins the thread.
  Status start();
  // Carries over what is left, as far as that works, and ends the thread.
  void stop();

  // Acknowledged as the journal's options say. kResourceExhausted: the disk is full, or too much is waiting; nothing was written.
  Status append(std::uint8_t kind, std::string_view record);
  Status append(const JournalGroup& group);  // an empty one is nothing
  // Carries over all that was appended before the call. Not inside a transaction.
  Status catch_up();
  std::uint64_t appended() const { return journal_->last(); }     // records, from the beginning of all time
  std::uint64_t carried() const { return journal_->released(); }  // of these
  // Work whose records may not find room any more had better not begin.
  bool crowded() const { return journal_->fullness() > 0.5; }
  std::uint64_t waiting() const { return journal_->last() - journal_->released(); }

 private:
  WriteBehind(SqlDatabase& database, std::unique_ptr<Journal> journal, const WriteBehindOptions& options) : database_(database), options_(options), journal_(std::move(journal)) {}
  Status write(std::uint8_t kind, std::string_view record);
  Status carry_batch();
  void run();
  void help();
  bool sleep(milliseconds duration);

  SqlDatabase& database_;
  const WriteBehindOptions options_;
  std::unique_ptr<Journal> journal_;
  std::map<std::uint8_t, Take> takers_;
  std::function<void()> after_;
  std::mutex carrying_;  // one batch at a time
  std::mutex mutex_;     // of the thread's sleep
  std::condition_variable wake_;
  std::atomic<bool> asleep_{false}, helping_{false};
  bool stopping_ = false;
  std::thread thread_, helper_;
};

}  // namespace stoa::infra
