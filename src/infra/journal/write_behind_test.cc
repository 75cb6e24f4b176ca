#include "infra/journal/write_behind.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "infra/sql/sqlite/sqlite.h"

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;

class WriteBehindTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder_);
    database_ = *open_memory();
    ASSERT_TRUE(database_->execute("CREATE TABLE numbers (place INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER UNIQUE)"));
    open();
  }
  void TearDown() override {
    behind_.reset();
    fs::remove_all(folder_);
  }
  void open(milliseconds linger = milliseconds(1)) {
    behind_.reset();
    WriteBehindOptions options;
    options.linger = linger;
    options.pause = milliseconds(1);
    options.batch_bytes = 50;
    options.journal.max_record = 100;
    options.journal.segment_bytes = 1000;
    options.journal.max_bytes = 16'000;
    auto opened = WriteBehind::open(*database_, folder_, options);
    ASSERT_TRUE(opened) << opened.error().message;
    behind_ = std::move(*opened);
    ASSERT_TRUE(behind_->add(7, [this](SqlTransaction& transaction, std::span<const ByteSpan> records) -> Status {
      for (const auto record : records) STOA_CHECK(transaction.execute("INSERT INTO numbers (number) VALUES (?)", {std::stoll(std::string(as_text(record)))}));
      if (refuse_ > 0) return --refuse_, fail(ErrorCode::kUnavailable, "not now");
      return {};
    }));
  }
  void append(std::int64_t from, std::int64_t until) {
    for (auto i = from; i < until; ++i) ASSERT_TRUE(behind_->append(7, std::to_string(i)));
  }
  void check(std::int64_t count) {
    const auto rows = database_->query("SELECT number FROM numbers ORDER BY place");
    ASSERT_TRUE(rows);
    ASSERT_EQ(rows->size(), static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) EXPECT_EQ(*(*rows)[static_cast<std::size_t>(i)].get<std::int64_t>(0), i);
  }
  fs::path folder_ = fs::temp_directory_path() / fmt::format("stoa-behind-test-{}", ::getpid());
  std::unique_ptr<SqlDatabase> database_;
  std::unique_ptr<WriteBehind> behind_;
  std::atomic<int> refuse_{0};
};

TEST_F(WriteBehindTest, ReadersCatchUp) {
  ASSERT_TRUE(behind_->start());
  for (std::int64_t i = 0; i < 50; ++i) {
    append(2 * i, 2 * i + 2);
    ASSERT_TRUE(behind_->catch_up());
    check(2 * i + 2);
  }
}

TEST_F(WriteBehindTest, WhatAnEarlierRunLeftIsCarriedOverOnce) {
  for (int run = 0; run < 4; ++run) {
    append(run * 20, run * 20 + 20);  // never started: as if it had been killed
    open();
    ASSERT_TRUE(behind_->start());
    check(run * 20 + 20);
    open();
  }
}

TEST_F(WriteBehindTest, ARefusedBatchComesAgain) {
  refuse_ = 5;
  ASSERT_TRUE(behind_->start());
  append(0, 30);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (behind_->waiting() > 0 && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(milliseconds(1));
  check(30);
}

TEST_F(WriteBehindTest, TheThreadTellsWhenItHasDoneSomething) {
  std::atomic<int> told{0};
  behind_->after([&] { ++told; });
  ASSERT_TRUE(behind_->start());
  append(0, 1);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (told == 0 && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_GT(told, 0);
  check(1);
}

// The first one waits for others to come, here longer than anybody would.
TEST_F(WriteBehindTest, ASecondThreadHelpsWhenMuchWaits) {
  open(std::chrono::hours(1));
  ASSERT_TRUE(behind_->start());
  append(0, 20);
  EXPECT_EQ(behind_->carried(), 0u) << "little waits";
  std::int64_t count = 20;
  for (; count < 5'000; count += 100) {  // more than the journal may hold
    append(count, count + 100);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (behind_->waiting() > 100 && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(milliseconds(1));
    ASSERT_LE(behind_->waiting(), 100u);
  }
  behind_->stop();
  check(count);
}

TEST_F(WriteBehindTest, AGroupIsOneRecord) {
  std::vector<std::string> words;
  ASSERT_TRUE(behind_->add(8, [&](SqlTransaction&, std::span<const ByteSpan> records) -> Status {
    for (const auto record : records) words.emplace_back(as_text(record));
    return {};
  }));
  JournalGroup group;
  ASSERT_TRUE(behind_->append(group));
  EXPECT_EQ(behind_->appended(), 0U) << "an empty group is nothing";
  group.add(7, "0");
  group.add(8, "a");
  group.add(8, "");
  group.add(7, "1");
  ASSERT_TRUE(behind_->append(group));
  EXPECT_EQ(behind_->appended(), 1U);
  append(2, 3);
  ASSERT_TRUE(behind_->start());
  check(3);
  EXPECT_EQ(words, (std::vector<std::string>{"a", ""}));
}

TEST_F(WriteBehindTest, AGroupThatIsTooLargeIsNotKept) {
  JournalGroup group;
  group.add(7, "1");
  group.add(7, std::string(100, '0'));
  EXPECT_EQ(behind_->append(group).error().code, ErrorCode::kTooLarge);
  ASSERT_TRUE(behind_->start());
  check(0);
}

TEST(JournalGroupTest, OtherBytesAreNoGroup) {
  const auto check = [](std::string_view bytes, bool group) {
    EXPECT_EQ(JournalGroup::read(as_bytes(bytes), [](std::uint8_t, ByteSpan) { return Status{}; }).has_value(), group);
  };
  JournalGroup group;
  group.add(1, "ab");
  group.add(2, "");
  const std::string& bytes = group.bytes();
  for (std::size_t size = 0; size <= bytes.size(); ++size) check(std::string_view(bytes).substr(0, size), size == 0 || size == 7 || size == 12);
  check("\x01\xff\xff\xff\xff", false);
}

TEST_F(WriteBehindTest, AKindThatNobodyTakesIsSaid) {
  EXPECT_EQ(behind_->add(0, {}).error().code, ErrorCode::kConflict) << "that of groups";
  ASSERT_TRUE(behind_->append(9, "x"));
  EXPECT_EQ(behind_->start().error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(behind_->add(7, {}).error().code, ErrorCode::kConflict);
}

}  // namespace
}  // namespace stoa::infra
