#include "infra/journal/journal.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "infra/journal/packing.h"
#include "infra/journal/segment.h"

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;

// A folder of the test's own, removed at its end.
struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("stoa-journal-test-{}-{}", ::getpid(), next++);
  static inline int next = 0;
  ~Folder() { fs::remove_all(path); }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(path))
      if (entry.path().extension() == ".journal") found.push_back(entry.path());
    std::ranges::sort(found);
    return found;
  }
};

std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_file(const fs::path& file, const std::string& content) { std::ofstream(file, std::ios::binary) << content; }

std::string text_of(std::uint64_t position) { return fmt::format("record {} {}", position, std::string(position % 37, 'x')); }

// All records that wait, released as they are read; fails the test where one is not what was appended.
std::uint64_t drain(Journal& journal, std::size_t max_bytes = 64) {
  std::uint64_t read = 0;
  while (true) {
    const auto batch = journal.next(max_bytes);
    EXPECT_TRUE(batch) << batch.error().message;
    if (!batch || batch->records.empty()) return read;
    for (std::size_t i = 0; i < batch->records.size(); ++i) EXPECT_EQ(as_text(batch->records[i]), text_of(batch->first + i));
    read += batch->records.size();
    EXPECT_TRUE(journal.release(*batch));
  }
}

void fill(Journal& journal, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto position = journal.append(as_bytes(text_of(journal.last() + 1)));
    ASSERT_TRUE(position) << position.error().message;
    ASSERT_EQ(*position, journal.last());
  }
}

JournalOptions small() {
  JournalOptions options;
  options.max_record = 200;
  options.segment_bytes = 500;
  return options;
}

TEST(Journal, GivesBackWhatWasAppendedOverSegmentsAndStarts) {
  const Folder folder;
  std::uint64_t released = 0;
  for (int start = 0; start < 5; ++start) {
    const auto journal = Journal::open(folder.path, released, small());
    ASSERT_TRUE(journal) << journal.error().message;
    EXPECT_EQ((*journal)->last(), static_cast<std::uint64_t>(start) * 40);
    fill(**journal, 40);
    EXPECT_EQ(drain(**journal), 40u);
    released = (*journal)->released();
    EXPECT_LE(folder.files().size(), 1u) << "released files are removed";
  }
  EXPECT_EQ(Journal::open(folder.path, 150, small()).error().code, ErrorCode::kDataLoss) << "the taker lacks records that were removed";
}

TEST(Journal, UnreleasedRecordsComeAgain) {
  const Folder folder;
  for (int start = 1; start <= 3; ++start) {
    const auto journal = *Journal::open(folder.path, 0, small());
    fill(*journal, 30);
    const auto batch = journal->next(1);
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->first, 1u);
    EXPECT_GE(batch->records.size(), 1u);
  }
  const auto journal = *Journal::open(folder.path, 0, small());
  EXPECT_EQ(drain(*journal), 90u);
  EXPECT_EQ(journal->next(100)->records.size(), 0u);
}

TEST(Journal, PositionsNeverComeAgain) {
  const Folder folder;
  fill(**Journal::open(folder.path, 0, small()), 3);
  fs::remove(folder.files().front());  // what a loss of power may do: the taker has more than the files
  const auto journal = *Journal::open(folder.path, 7, small());
  EXPECT_EQ(*journal->append(as_bytes(text_of(8))), 8u);
  EXPECT_EQ(drain(*journal), 1u);
}

TEST(Journal, OneProcessAtATime) {
  const Folder folder;
  const auto journal = *Journal::open(folder.path, 0);
  EXPECT_EQ(Journal::open(folder.path, 0).error().code, ErrorCode::kConflict);
}

TEST(Journal, RefusesWhatIsTooMuch) {
  const Folder folder;
  auto options = small();
  options.max_bytes = 2000;
  const auto journal = *Journal::open(folder.path, 0, options);
  EXPECT_EQ(journal->append(Bytes(201)).error().code, ErrorCode::kTooLarge);
  Result<std::uint64_t> last;
  std::uint64_t appended = 0;
  EXPECT_LT(journal->fullness(), 0.5);
  while ((last = journal->append(as_bytes(text_of(journal->last() + 1))))) ASSERT_LT(++appended, 1000u);
  EXPECT_GT(journal->fullness(), 0.5);
  EXPECT_EQ(last.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(drain(*journal), appended);
  EXPECT_LT(journal->fullness(), 0.5);
  fill(*journal, 1);
}

// Cut at every byte: what was whole is there, and it goes on behind it.
TEST(Journal, AnEndThatIsCutOffIsCutBackToTheLastWholeRecord) {
  const Folder folder;
  std::vector<std::size_t> ends{kSegmentHeader};
  {
    const auto journal = *Journal::open(folder.path, 0);
    for (int i = 0; i < 6; ++i) {
      fill(*journal, 1);
      ends.push_back(fs::file_size(folder.files().front()));
    }
  }
  const fs::path file = folder.files().front();
  const std::string whole = read_file(file);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    for (const bool zeros : {false, true}) {
      if (zeros && size % 7 != 0) continue;
      write_file(file, whole.substr(0, size) + std::string(zeros ? whole.size() - size : 0, '\0'));
      const auto expected = static_cast<std::uint64_t>(std::ranges::count_if(ends, [&](std::size_t end) { return end <= size; }));
      const auto journal = Journal::open(folder.path, 0);
      if (zeros && !journal) {  // the zeros may stand within a record, which only a disk does: then it is said
        EXPECT_EQ(journal.error().code, ErrorCode::kDataLoss);
        continue;
      }
      ASSERT_TRUE(journal) << size << ": " << journal.error().message;
      EXPECT_EQ((*journal)->last() + (size < kSegmentHeader ? 0 : 1), expected) << size;
      const auto last = (*journal)->last();
      fill(**journal, 2);
      EXPECT_EQ(drain(**journal), last + 2);
    }
  }
}

TEST(Journal, AFlippedBitIsFoundWithFileAndPlace) {
  const Folder folder;
  {
    const auto journal = *Journal::open(folder.path, 0, small());
    fill(*journal, 30);
  }
  const auto files = folder.files();
  ASSERT_GT(files.size(), 2u);
  for (const auto& file : files) {
    const std::string whole = read_file(file);
    for (std::size_t bit = 0; bit < 8 * whole.size(); bit += 7) {
      std::string changed = whole;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
      write_file(file, changed);
      const auto opened = Journal::open(folder.path, 0, small());
      ASSERT_FALSE(opened) << file << " bit " << bit;
      EXPECT_EQ(opened.error().code, ErrorCode::kDataLoss);
      EXPECT_NE(opened.error().message.find(file.filename().string()), std::string::npos);
      EXPECT_NE(opened.error().message.find("at byte "), std::string::npos) << opened.error().message;
      EXPECT_FALSE(opened.error().hint.empty());
    }
    write_file(file, whole);
  }
  // Files and records that are missing, moved, or there twice.
  for (std::size_t i = 0; i + 1 < files.size(); ++i) {
    const std::string whole = read_file(files[i]);
    fs::remove(files[i]);
    EXPECT_EQ(Journal::open(folder.path, 0, small()).error().code, ErrorCode::kDataLoss);
    write_file(files[i], read_file(files[i + 1]));
    EXPECT_EQ(Journal::open(folder.path, 0, small()).error().code, ErrorCode::kDataLoss);
    write_file(files[i], whole.substr(0, whole.size() - 1));
    EXPECT_EQ(Journal::open(folder.path, 0, small()).error().code, ErrorCode::kDataLoss);
    write_file(files[i], whole);
  }
  EXPECT_TRUE(Journal::open(folder.path, 0, small()));
}

TEST(Journal, DamageWhileItRunsIsFoundWhenItIsRead) {
  const Folder folder;
  const auto journal = *Journal::open(folder.path, 0);
  fill(*journal, 5);
  const fs::path file = folder.files().front();
  std::string changed = read_file(file);
  changed[kSegmentHeader + kRecordHeader] ^= 1;
  {
    std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
    out << changed;
  }
  EXPECT_EQ(journal->next(1000).error().code, ErrorCode::kDataLoss);
}

TEST(Journal, ThreadsAppendWithoutLossInEitherMode) {
  for (const int interval : {0, 1}) {
    const Folder folder;
    JournalOptions options;
    options.segment_bytes = 10'000;
    options.sync_interval = milliseconds(interval);
    constexpr int kThreads = 4, kEach = 100;
    {
      const auto journal = *Journal::open(folder.path, 0, options);
      std::vector<std::jthread> threads;
      for (int t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
          for (int i = 0; i < kEach; ++i) EXPECT_TRUE(journal->append(as_bytes(fmt::format("{} {}", t, i))));
        });
    }
    const auto journal = *Journal::open(folder.path, 0, options);
    std::vector<int> next(kThreads, 0);
    for (auto batch = journal->next(500); batch && !batch->records.empty(); batch = journal->next(500)) {
      for (const auto record : batch->records) {
        const std::string text(as_text(record));
        const int thread = text[0] - '0';
        EXPECT_EQ(text, fmt::format("{} {}", thread, next[static_cast<std::size_t>(thread)]++));
      }
      ASSERT_TRUE(journal->release(*batch));
    }
    EXPECT_EQ(next, std::vector<int>(kThreads, kEach));
  }
}

// A child appends and says so over a pipe until it is killed; what it said is in the journal.
TEST(Journal, WhatWasAcknowledgedSurvivesAKill) {
  const Folder folder;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto journal = *Journal::open(folder.path, 0, small());
    for (std::uint64_t i = 1; i < 1'000'000; ++i)
      if (!journal->append(as_bytes(text_of(i))) || ::write(ends[1], &i, sizeof i) != sizeof i) ::_exit(1);
    ::_exit(0);
  }
  ::close(ends[1]);
  std::uint64_t last = 0, seen = 0;
  while (seen < 2000 && ::read(ends[0], &last, sizeof last) == sizeof last) ++seen;
  ::kill(child, SIGKILL);
  while (::read(ends[0], &last, sizeof last) == sizeof last) ++seen;
  ::waitpid(child, nullptr, 0);
  ::close(ends[0]);
  const auto journal = Journal::open(folder.path, 0, small());
  ASSERT_TRUE(journal) << journal.error().message;
  EXPECT_GE((*journal)->last(), last);
  EXPECT_EQ(drain(**journal, 4000), (*journal)->last());
}

// A write that the system refuses in the middle. In a child, because the limit cannot be raised again.
TEST(Journal, ARefusedWriteLeavesTheFileWhole) {
  const Folder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    JournalOptions options;
    options.segment_bytes = 64u << 10;
    const auto journal = Journal::open(folder.path, 0, options);
    const rlimit limit{20'000, 20'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    for (int i = 0; i < 1000; ++i)
      if (const auto done = (*journal)->append(as_bytes(text_of((*journal)->last() + 1))); !done) ::_exit(done.error().code == ErrorCode::kResourceExhausted && i > 100 ? 0 : 11);
    ::_exit(12);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  const auto journal = Journal::open(folder.path, 0);
  ASSERT_TRUE(journal) << journal.error().message;
  EXPECT_EQ(drain(**journal), (*journal)->last());
}

TEST(Packing, GivesBackWhatItTookAndNothingElse) {
  Packer packer;
  packer.add(INT64_MIN).add("").add(std::string_view("nul\0", 4)).add(7);
  std::int64_t first = 0, last = 0;
  std::string empty, text;
  Unpacker unpacker(packer.bytes());
  EXPECT_TRUE(unpacker.take(first).take(empty).take(text).take(last).finish("test"));
  EXPECT_EQ(std::tie(first, empty, text, last), std::make_tuple(INT64_MIN, "", std::string("nul\0", 4), 7));
  for (std::size_t size = 0; size < packer.text().size(); ++size) {
    Unpacker cut(packer.bytes().first(size));
    EXPECT_EQ(cut.take(first).take(empty).take(text).take(last).finish("test").error().code, ErrorCode::kDataLoss) << size;
  }
  EXPECT_FALSE(Unpacker(packer.bytes()).take(first).finish("test")) << "something is left";
}

}  // namespace
}  // namespace stoa::infra
