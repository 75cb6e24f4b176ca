#include "infra/journal/write_behind.h"

#include <vector>

#include "base/scheduling.h"
#include "base/log.h"

namespace stoa::infra {
namespace {

constexpr Migration kMigrations[] = {{1, "CREATE TABLE journal_carried (name TEXT PRIMARY KEY, position INTEGER NOT NULL)"}};
constexpr const char* kName = "write-behind";
constexpr std::uint8_t kGroup = 0;  // stored: must not change

}  // namespace

Result<std::unique_ptr<WriteBehind>> WriteBehind::open(SqlDatabase& database, const std::filesystem::path& folder, const WriteBehindOptions& options) {
  STOA_CHECK(database.migrate("journal", kMigrations));
  STOA_TRY(row, database.query_one("SELECT position FROM journal_carried WHERE name = ?", {kName}));
  std::int64_t carried = 0;
  if (row) STOA_CHECK(row->read(carried));
  STOA_TRY(journal, Journal::open(folder, static_cast<std::uint64_t>(carried), options.journal));
  return std::unique_ptr<WriteBehind>(new WriteBehind(database, std::move(journal), options));
}

WriteBehind::~WriteBehind() { stop(); }

Status WriteBehind::add(std::uint8_t kind, Take take) {
  if (kind != kGroup && takers_.emplace(kind, std::move(take)).second) return {};
  return fail(ErrorCode::kConflict, "records of kind {} have a taker already", kind);
}

Status WriteBehind::start() {
  if (const auto left = waiting(); left > 0) log(LogLevel::kInfo, "carrying over what an earlier run left in the journal", {{"records", static_cast<std::int64_t>(left)}});
  STOA_CHECK(catch_up());
  thread_ = std::thread([this] { run(); });
  helper_ = std::thread([this] { help(); });
  return {};
}

void WriteBehind::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  helper_.join();
  if (const auto done = catch_up(); !done) log_error("the journal was not carried over; the next start does", done.error());
}

Status WriteBehind::append(std::uint8_t kind, std::string_view record) { return write(kind, record); }

Status WriteBehind::append(const JournalGroup& group) { return group.empty() ? Status{} : write(kGroup, group.bytes()); }

Status WriteBehind::write(std::uint8_t kind, std::string_view record) {
  std::string bytes;
  bytes.reserve(record.size() + 1);
  bytes += static_cast<char>(kind);
  bytes += record;
  STOA_TRY(position, journal_->append(as_bytes(bytes)));
  static_cast<void>(position);
  // Waking a thread costs more than the write: only the first record after a silence does, and one that finds much waiting.
  const bool first = asleep_.exchange(false), much = !helping_ && journal_->fullness() > options_.much && !helping_.exchange(true);
  if (first || much) {
    std::lock_guard lock(mutex_);
    wake_.notify_all();
  }
  return {};
}

Status WriteBehind::catch_up() {
  const std::uint64_t target = journal_->last();
  while (journal_->released() < target) STOA_CHECK(carry_batch());
  return {};
}

Status WriteBehind::carry_batch() {
  std::lock_guard lock(carrying_);
  STOA_TRY(batch, journal_->next(options_.batch_bytes));
  if (batch.records.empty()) return {};
  std::map<std::uint8_t, std::vector<ByteSpan>> by_kind;
  const auto sort = [&](std::uint8_t kind, ByteSpan record) -> Status {
    if (!takers_.contains(kind)) return fail(ErrorCode::kUnsupported, "the journal has a record of kind {}, which this release does not know: use the release that wrote it", kind);
    by_kind[kind].push_back(record);
    return {};
  };
  for (const ByteSpan record : batch.records) {
    if (record.empty()) return fail(ErrorCode::kDataLoss, "the journal has an empty record");
    const auto kind = static_cast<std::uint8_t>(record[0]);
    STOA_CHECK(kind == kGroup ? JournalGroup::read(record.subspan(1), sort) : sort(kind, record.subspan(1)));
  }
  STOA_CHECK(database_.transaction([&](SqlTransaction& transaction) -> Status {
    for (const auto& [kind, records] : by_kind) STOA_CHECK(takers_.at(kind)(transaction, records));
    STOA_TRY(changed, transaction.execute("INSERT INTO journal_carried (name, position) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET position = excluded.position",
                                          {kName, static_cast<std::int64_t>(batch.last())}));
    static_cast<void>(changed);
    return {};
  }));
  return journal_->release(batch);
}

// False when it is over.
bool WriteBehind::sleep(milliseconds duration) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_until(lock, std::chrono::steady_clock::now() + duration, [this] { return stopping_; });
}

// The first thread may have so little of a busy processor that it falls behind. This one has as much as those that answer: what it does not keep up with is refused.
void WriteBehind::help() {
  run_promptly("write-behind 2");
  while (true) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || helping_; });
      if (stopping_) return;
    }
    while (waiting() > 0 && journal_->fullness() > options_.much / 2)
      if (!carry_batch() && !sleep(options_.pause)) return;  // the first thread tells what is wrong
    helping_ = false;
  }
}

void WriteBehind::run() {
  run_when_idle("write-behind");
  while (true) {
    {
      std::unique_lock lock(mutex_);
      asleep_ = true;
      wake_.wait(lock, [this] { return stopping_ || !asleep_ || waiting() > 0; });
      asleep_ = false;
      if (stopping_) return;
    }
    if (!sleep(options_.linger)) return;
    auto done = catch_up();
    for (; !done; done = catch_up()) {
      log_error("the journal was not carried over into the store; trying again", done.error(), {{"records", static_cast<std::int64_t>(waiting())}});
      if (!sleep(options_.pause)) return;
    }
    if (after_) after_();
  }
}

}  // namespace stoa::infra
