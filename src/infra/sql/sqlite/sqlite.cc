#include "infra/sql/sqlite/sqlite.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/scheduling.h"
#include "infra/sql/sqlite/connection.h"

namespace stoa::infra {
namespace {

// The right to use the writing connection: one thread, which may enter again, with a bounded wait.
class Gate {
 public:
  bool enter(milliseconds wait) {
    std::unique_lock lock(mutex_);
    const auto self = std::this_thread::get_id();
    if (!free_.wait_until(lock, std::chrono::steady_clock::now() + wait, [&] { return depth_ == 0 || owner_ == self; })) return false;
    owner_ = self;
    ++depth_;
    return true;
  }
  void leave() {
    {
      std::lock_guard lock(mutex_);
      --depth_;
    }
    free_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable free_;
  std::thread::id owner_;
  int depth_ = 0;
};

class SqliteTransaction final : public SqlTransaction {
 public:
  explicit SqliteTransaction(SqliteConnection& connection) : connection_(connection) {}
  Status for_each(std::string_view sql, const SqlParams& params, const SqlVisitor& visit) override {
    return connection_.for_each(sql, params, true, visit);
  }
  Result<std::int64_t> execute(std::string_view sql, const SqlParams& params) override {
    give_way();
    return connection_.execute(sql, params);
  }
  Status execute_script(std::string_view sql) override { return connection_.execute_script(sql); }
  void on_commit(std::function<void()> action) override { actions_.push_back(std::move(action)); }
  void run_actions() {
    for (const auto& action : actions_) action();
  }

 private:
  SqliteConnection& connection_;
  std::vector<std::function<void()>> actions_;
};

class SqliteDatabase final : public SqlDatabase {
 public:
  SqliteDatabase(std::string file, const SqliteOptions& options) : file_(std::move(file)), options_(options), memory_(file_ == ":memory:") {}

  Status open() {
    STOA_TRY(writer, connect(false));
    writer_ = std::move(writer);
    return {};
  }

  Status for_each(std::string_view sql, const SqlParams& params, const SqlVisitor& visit) override {
    STOA_CHECK(check_outside());
    if (memory_) {
      STOA_CHECK(enter());
      const Leave leave{gate_};
      return writer_->for_each(sql, params, false, visit);
    }
    STOA_TRY(reader, take_reader());
    const ReturnReader back{*this, reader};
    return reader->for_each(sql, params, false, visit);
  }

  Result<std::int64_t> execute(std::string_view sql, const SqlParams& params) override {
    STOA_CHECK(check_outside());
    STOA_CHECK(enter());
    const Leave leave{gate_};
    return writer_->execute(sql, params);
  }

  Status scrub() override {
    STOA_CHECK(check_outside());
    STOA_CHECK(enter());
    const Leave leave{gate_};
    return writer_->execute_script("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
  }

  Status transaction(const std::function<Status(SqlTransaction&)>& work) override {
    STOA_CHECK(check_outside());
    SqliteTransaction transaction(*writer_);
    STOA_CHECK(run(transaction, work));
    transaction.run_actions();
    return {};
  }

 private:
  struct Leave {
    Gate& gate;
    ~Leave() { gate.leave(); }
  };
  struct ReturnReader {
    SqliteDatabase& database;
    SqliteConnection* reader;
    ~ReturnReader() {
      {
        std::lock_guard lock(database.readers_mutex_);
        database.idle_.push_back(reader);
      }
      database.reader_idle_.notify_one();
    }
  };
  // Ends a transaction that was not committed, also when the work threw.
  struct Rollback {
    SqliteDatabase& database;
    ~Rollback() {
      database.working_.store(std::thread::id());
      if (database.writer_->in_transaction()) (void)database.writer_->execute_script("ROLLBACK");
    }
  };

  Status run(SqliteTransaction& transaction, const std::function<Status(SqlTransaction&)>& work) {
    STOA_CHECK(enter());
    const Leave leave{gate_};
    STOA_CHECK(writer_->execute_script("BEGIN IMMEDIATE"));
    working_.store(std::this_thread::get_id());
    const Rollback rollback{*this};
    STOA_CHECK(work(transaction));
    return writer_->execute_script("COMMIT");
  }

  Status check_outside() const {
    if (working_.load() != std::this_thread::get_id()) return {};
    return fail(ErrorCode::kInternal, "{}: the database is used inside a transaction of the same thread; use the transaction", file_);
  }

  Status enter() {
    if (gate_.enter(options_.wait)) return {};
    return fail(error(ErrorCode::kUnavailable, "{}: another writer has held the database for more than {} ms", file_, options_.wait.count())
                    .with_hint("try again; if it stays so, look for a long ingest or migration"));
  }

  Result<std::unique_ptr<SqliteConnection>> connect(bool read_only) const {
    return SqliteConnection::open({file_, read_only, static_cast<int>(options_.wait.count()), options_.statements, options_.max_bytes});
  }

  Result<SqliteConnection*> take_reader() {
    std::unique_lock lock(readers_mutex_);
    if (idle_.empty() && readers_.size() < static_cast<std::size_t>(options_.readers)) {
      STOA_TRY(reader, connect(true));
      readers_.push_back(std::move(reader));
      return readers_.back().get();
    }
    if (!reader_idle_.wait_until(lock, std::chrono::steady_clock::now() + options_.wait, [&] { return !idle_.empty(); }))
      return fail(error(ErrorCode::kUnavailable, "{}: all {} readers have been busy for {} ms", file_, options_.readers, options_.wait.count())
                      .with_hint("try again"));
    SqliteConnection* reader = idle_.back();
    idle_.pop_back();
    return reader;
  }

  const std::string file_;
  const SqliteOptions options_;
  const bool memory_;
  Gate gate_;
  std::atomic<std::thread::id> working_{};  // the thread that runs a transaction
  std::unique_ptr<SqliteConnection> writer_;
  std::mutex readers_mutex_;
  std::condition_variable reader_idle_;
  std::vector<std::unique_ptr<SqliteConnection>> readers_;
  std::vector<SqliteConnection*> idle_;
};

Result<std::unique_ptr<SqlDatabase>> open_database(const std::string& file, const SqliteOptions& options) {
  auto database = std::make_unique<SqliteDatabase>(file, options);
  STOA_CHECK(database->open());
  return database;
}

}  // namespace

Result<std::unique_ptr<SqlDatabase>> open_sqlite(const std::filesystem::path& file, const SqliteOptions& options) {
  // SQLite would create the file readable to everyone; its log files take over the mode of the file.
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0)
    return fail(error(ErrorCode::kUnavailable, "{}: {}", file.string(), std::strerror(errno))
                    .with_hint("check that the folder exists and can be written"));
  ::close(descriptor);
  return open_database(file.string(), options);
}

Result<std::unique_ptr<SqlDatabase>> open_memory(const SqliteOptions& options) { return open_database(":memory:", options); }

}  // namespace stoa::infra
