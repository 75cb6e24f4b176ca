#include "infra/journal/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/scheduling.h"
#include "base/log.h"
#include "infra/files/files.h"
#include "infra/journal/segment.h"

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".journal";

struct Segment {
  std::uint64_t first = 0;      // position of its first record
  std::uint64_t next = 0;       // of the record behind its last one
  std::size_t end = 0;          // bytes written
  std::shared_ptr<File> file;
};

class FileJournal final : public Journal {
 public:
  FileJournal(fs::path folder, std::uint64_t released, const JournalOptions& options) : folder_(std::move(folder)), options_(options), released_(released) {}
  ~FileJournal() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (syncer_.joinable()) syncer_.join();
    if (const auto synced = sync(); !synced) log_error("the journal was not synced at the end", synced.error());
  }

  Status open() {
    std::error_code problem;
    fs::create_directories(folder_, problem);
    if (!problem) fs::permissions(folder_, fs::perms::owner_all, problem);
    if (problem) return fail(ErrorCode::kUnavailable, "{}: {}", folder_.string(), problem.message());
    lock_ = std::make_unique<File>(folder_ / "lock", O_RDWR | O_CREAT);
    if (!lock_->is_open()) return fail(file_error(lock_->path(), "open"));
    if (::flock(lock_->descriptor(), LOCK_EX | LOCK_NB) != 0)
      return fail(error(ErrorCode::kConflict, "{}: another server has this data folder open", folder_.string()).with_hint("stop it first, or choose another folder with --home"));
    STOA_CHECK(find_segments());
    STOA_CHECK(check_segments());
    if (segments_.empty() || segments_.back().next <= released_) STOA_CHECK(begin_segment(std::max(released_.load(), last_.load()) + 1));
    last_ = segments_.back().next - 1;
    synced_ = 0;
    dirty_ = true;
    STOA_CHECK(drop_segments());
    cursor_segment_ = segments_.front().first;
    STOA_CHECK(find_cursor());
    if (options_.sync_interval.count() > 0) syncer_ = std::thread([this] { keep_syncing(); });
    return {};
  }

  Result<std::uint64_t> append(ByteSpan record) override {
    if (record.size() > options_.max_record) return fail(ErrorCode::kTooLarge, "a record of {} bytes, and the journal takes at most {}", record.size(), options_.max_record);
    std::uint64_t position = 0;
    bool wake = false;
    {
      std::lock_guard lock(mutex_);
      if (!failure_.message.empty()) return fail(failure_);
      const std::string bytes = segment_record(last_ + 1, record);
      if (segments_.back().end > kSegmentHeader && segments_.back().end + bytes.size() > options_.segment_bytes) STOA_CHECK(begin_segment(last_ + 1));
      if (waiting_bytes() > options_.max_bytes)
        return fail(error(ErrorCode::kResourceExhausted, "{}: {} bytes wait to be taken over, and no more are allowed", folder_.string(), waiting_bytes())
                        .with_hint("look in the log for why they are not; often the disk is full"));
      Segment& segment = segments_.back();
      if (auto written = segment.file->write_at(as_bytes(bytes), segment.end); !written) return fail(undo(segment, std::move(written).error()));
      segment.end += bytes.size();
      position = ++segment.next - 1;
      last_.store(position, std::memory_order_release);
      wake = !std::exchange(dirty_, true);
    }
    if (options_.sync_interval.count() == 0) {
      STOA_CHECK(sync_to(position));
    } else if (wake) {
      wake_.notify_one();
    }
    return position;
  }

  std::uint64_t last() const override { return last_.load(std::memory_order_acquire); }
  double fullness() const override {
    std::lock_guard lock(mutex_);
    return static_cast<double>(waiting_bytes()) / static_cast<double>(options_.max_bytes);
  }
  std::uint64_t released() const override { return released_.load(std::memory_order_acquire); }

  Result<JournalBatch> next(std::size_t max_bytes) override {
    std::shared_ptr<File> file;
    std::size_t from = 0, until = 0;
    JournalBatch batch;
    {
      std::lock_guard lock(mutex_);
      auto segment = std::ranges::find(segments_, cursor_segment_, &Segment::first);
      if (cursor_ >= segment->end && std::next(segment) != segments_.end()) {
        cursor_segment_ = (++segment)->first;
        cursor_ = kSegmentHeader;
      }
      file = segment->file;
      from = cursor_;
      until = segment->end;
      batch.first = std::max(released_.load() + 1, segment->first);
      batch.segment = segment->first;
    }
    // At least one whole record, and nothing that is being written.
    const std::size_t enough = from + max_bytes + kRecordHeader + options_.max_record + kRecordTrailer;
    const bool goes_on = until > enough;
    if (goes_on) until = enough;
    STOA_TRY(bytes, file->read_at(from, until - from));
    batch.bytes = std::move(bytes);
    if (!goes_on && batch.bytes.size() != until - from) return fail(ErrorCode::kDataLoss, "{}: its end after byte {} is missing", file->path().string(), from + batch.bytes.size());
    STOA_TRY(end, read_records(batch.bytes, from, file->path().string(), batch.first, options_.max_record, goes_on, [&](std::uint64_t, ByteSpan record) -> Status {
               batch.records.push_back(record);
               return {};
             }));
    batch.offset = end.offset;
    return batch;
  }

  Status release(const JournalBatch& batch) override {
    std::lock_guard lock(mutex_);
    if (batch.records.empty()) return {};
    released_.store(batch.last(), std::memory_order_release);
    cursor_segment_ = batch.segment;
    cursor_ = batch.offset;
    return drop_segments();
  }

  Status sync() override { return sync_to(last()); }

 private:
  std::uint64_t waiting_bytes() const {
    std::uint64_t bytes = 0;
    for (const auto& segment : segments_) bytes += segment.end;
    return bytes;
  }

  Status find_segments() {
    std::error_code problem;
    for (fs::directory_iterator entry(folder_, problem), end; !problem && entry != end; entry.increment(problem)) {
      if (entry->path().extension() != kExtension) continue;
      const std::string stem = entry->path().stem().string();
      if (stem.size() != 20 || !std::ranges::all_of(stem, [](char c) { return c >= '0' && c <= '9'; }) || stem > "09223372036854775807") continue;
      Segment segment;
      segment.first = std::stoull(stem);
      segment.file = std::make_shared<File>(entry->path(), O_RDWR);
      if (!segment.file->is_open()) return fail(file_error(entry->path(), "open"));
      segments_.push_back(std::move(segment));
    }
    if (problem) return fail(ErrorCode::kUnavailable, "{}: {}", folder_.string(), problem.message());
    std::ranges::sort(segments_, {}, &Segment::first);
    return {};
  }

  Status check_segments() {
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      Segment& segment = segments_[i];
      const bool is_last = i + 1 == segments_.size();
      const std::string name = segment.file->path().string();
      if (i > 0 && segment.first != segments_[i - 1].next && segment.first > released_ + 1)
        return fail(error(ErrorCode::kDataLoss, "{}: records {} to {} of the journal are missing before it", name, segments_[i - 1].next, segment.first - 1)
                        .with_hint("restore the files from a backup"));
      STOA_TRY(bytes, segment.file->read_at(0, options_.segment_bytes + options_.max_record + kSegmentHeader + kRecordHeader + kRecordTrailer + 1));
      STOA_TRY(end, read_segment(bytes, name, segment.first, options_.max_record, is_last, [](std::uint64_t, ByteSpan) { return Status{}; }));
      segment.next = end.next;
      segment.end = end.offset;
      last_ = end.next - 1;
      if (end.offset == bytes.size() && end.offset > 0) continue;
      // The end of what nobody was told is kept. In its place the next record goes.
      if (end.offset == 0) STOA_CHECK(segment.file->write_at(as_bytes(segment_header(segment.first)), 0));
      segment.end = std::max(end.offset, kSegmentHeader);
      STOA_CHECK(segment.file->truncate(segment.end));
    }
    if (!segments_.empty() && segments_.front().first > released_ + 1)
      return fail(error(ErrorCode::kDataLoss, "{}: records {} to {} of the journal are missing before it", segments_.front().file->path().string(), released_ + 1,
                        segments_.front().first - 1)
                      .with_hint("restore the files from a backup"));
    return {};
  }

  // To the first record that is not released.
  Status find_cursor() {
    cursor_ = kSegmentHeader;
    Segment& segment = segments_.front();
    STOA_TRY(bytes, segment.file->read_at(0, segment.end));
    STOA_TRY(end, read_segment(bytes, segment.file->path().string(), segment.first, options_.max_record, false, [this](std::uint64_t position, ByteSpan record) -> Status {
               if (position <= released_) cursor_ += kRecordHeader + record.size() + kRecordTrailer;
               return {};
             }));
    static_cast<void>(end);
    return {};
  }

  // Under the mutex, or before there are other threads.
  Status begin_segment(std::uint64_t first) {
    Segment segment{.first = first, .next = first, .end = kSegmentHeader, .file = std::make_shared<File>(folder_ / fmt::format("{:020}{}", first, kExtension), O_RDWR | O_CREAT | O_EXCL)};
    const File& file = *segment.file;
    if (!file.is_open()) return fail(file_error(file.path(), "create"));
    Status begun;
    if (::fallocate(file.descriptor(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(options_.segment_bytes)) != 0 && errno != EOPNOTSUPP) begun = fail(file_error(file.path(), "reserve room"));
    if (begun) begun = file.write_at(as_bytes(segment_header(first)), 0);
    if (!begun) {
      ::unlink(file.path().c_str());
      return begun;
    }
    segments_.push_back(std::move(segment));
    return {};
  }

  // What is left of a record that was not written whole must not stand before the next one.
  Error undo(const Segment& segment, Error why) {
    if (const auto undone = segment.file->truncate(segment.end); !undone) failure_ = undone.error();
    return why;
  }

  // Removes files all of whose records are released; the last one stays.
  Status drop_segments() {
    while (segments_.size() > 1 && segments_.front().next <= released_ + 1) {
      if (::unlink(segments_.front().file->path().c_str()) != 0 && errno != ENOENT) return fail(file_error(segments_.front().file->path(), "remove"));
      if (cursor_segment_ == segments_.front().first) {
        cursor_segment_ = segments_[1].first;
        cursor_ = kSegmentHeader;
      }
      segments_.pop_front();
    }
    return {};
  }

  // One thread syncs; those that come meanwhile wait for it and find that it is done, or sync together afterwards.
  Status sync_to(std::uint64_t position) {
    std::lock_guard one(sync_mutex_);
    if (synced_ >= position && position > 0) return {};
    std::vector<std::shared_ptr<File>> files;
    std::uint64_t upto = 0;
    bool folder = false;
    {
      std::lock_guard lock(mutex_);
      if (!failure_.message.empty()) return fail(failure_);
      upto = last_;
      dirty_ = false;
      for (const auto& segment : segments_)
        if (segment.next > synced_ + 1) files.push_back(segment.file);
      folder = !segments_.empty() && segments_.back().first != synced_segment_;
      if (folder) synced_segment_ = segments_.back().first;
    }
    Status synced;
    for (const auto& file : files)
      if (synced) synced = file->sync();
    if (synced && folder) synced = sync_folder(folder_);
    if (!synced) {
      // What the system failed to write it may have forgotten: nothing may be acknowledged on top of it.
      std::lock_guard lock(mutex_);
      failure_ = synced.error();
      return synced;
    }
    synced_ = upto;
    return {};
  }

  void keep_syncing() {
    run_in_background("journal-sync");
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      wake_.wait(lock, [&] { return stopping_ || dirty_; });
      if (stopping_) return;
      wake_.wait_until(lock, std::chrono::steady_clock::now() + options_.sync_interval, [&] { return stopping_; });
      lock.unlock();
      if (const auto synced = sync(); !synced) {
        log_error("the journal cannot be written any more: requests are refused until the server is started again", synced.error());
        return;
      }
      lock.lock();
    }
  }

  const fs::path folder_;
  const JournalOptions options_;
  std::unique_ptr<File> lock_;
  mutable std::mutex mutex_;  // of everything below, but for sync_mutex_
  std::condition_variable wake_;
  std::deque<Segment> segments_;  // by position; the last one is written to
  std::atomic<std::uint64_t> last_{0}, released_{0};
  std::uint64_t cursor_segment_ = 0;  // the first record that is not released
  std::size_t cursor_ = 0;
  bool dirty_ = false, stopping_ = false;
  Error failure_;
  std::mutex sync_mutex_;  // taken before mutex_
  std::uint64_t synced_ = 0, synced_segment_ = 0;  // guarded by sync_mutex_
  std::thread syncer_;
};

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(const fs::path& folder, std::uint64_t released, const JournalOptions& options) {
  if (options.max_record == 0 || options.segment_bytes < kSegmentHeader || options.sync_interval.count() < 0)
    return fail(ErrorCode::kInvalidArgument, "a journal needs room for records, and an interval of at least 0");
  auto journal = std::make_unique<FileJournal>(folder, released, options);
  STOA_CHECK(journal->open());
  return journal;
}

}  // namespace stoa::infra
