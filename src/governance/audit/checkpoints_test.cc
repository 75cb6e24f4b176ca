#include "governance/audit/checkpoints.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "governance/audit/entry_line.h"
#include "infra/crypto/encoding.h"
#include "infra/sql/sqlite/backends.h"

namespace stoa::governance {
namespace {

namespace fs = std::filesystem;

struct SetClock final : Clock {
  Micros time = 1'763'697'600'000'000;
  Micros now() const override { return time; }
};

class CheckpointsContract : public testing::TestWithParam<infra::SqlBackend> {
 protected:
  void SetUp() override {
    witness_ = fs::temp_directory_path() / fmt::format("stoa-witness-{}-{}", ::getpid(), GetParam().name);
    fs::remove(witness_);
    add(3);
  }
  void TearDown() override { fs::remove(witness_); }
  void add(int count) {
    AuditEntry entry;
    entry.action = "document.read";
    for (int i = 0; i < count; ++i) ASSERT_TRUE(log_->append(entry));
  }
  int witnessed() const {
    std::ifstream in(witness_);
    int lines = 0;
    for (std::string line; std::getline(in, line);) ++lines;
    return lines;
  }
  void check_broken(std::optional<std::int64_t> expected) {
    const auto check = points_->verify();
    ASSERT_TRUE(check) << check.error().message;
    EXPECT_EQ(check->broken, expected) << check->reason;
  }
  void tamper(const std::string& sql) {
    for (const char* trigger : {"audit_no_update", "audit_no_delete", "audit_checkpoints_no_update", "audit_checkpoints_no_delete"})
      ASSERT_TRUE(database_->execute(fmt::format("DROP TRIGGER IF EXISTS {}", trigger)));
    ASSERT_TRUE(database_->execute(sql)) << sql;
  }

  SetClock clock_;
  fs::path witness_;
  std::unique_ptr<infra::SqlDatabase> database_ = GetParam().open();
  std::unique_ptr<AuditLog> log_ = std::move(*AuditLog::open(*database_, clock_));
  infra::SigningKey key_ = *infra::SigningKey::from_seed(as_bytes(std::string(32, 'k')));
  std::unique_ptr<AuditCheckpoints> points_ = open();

  std::unique_ptr<AuditCheckpoints> open() {
    const auto path = fs::temp_directory_path() / fmt::format("stoa-witness-{}-{}", ::getpid(), GetParam().name);
    return std::move(*AuditCheckpoints::open(*database_, *log_, key_, path, clock_));
  }
};

INSTANTIATE_TEST_SUITE_P(, CheckpointsContract, testing::ValuesIn(infra::sqlite_backends()), [](const auto& info) { return info.param.name; });

TEST_P(CheckpointsContract, AreMadeWhenEntriesWereAdded) {
  const auto first = *points_->latest();
  EXPECT_EQ(open_checkpoint(first, points_->key())->size, 3);
  EXPECT_EQ(*points_->latest(), first);
  EXPECT_EQ(witnessed(), 1);
  add(1);
  ASSERT_TRUE(points_->keep_up());
  EXPECT_EQ(witnessed(), 1) << "not every entry has one";
  clock_.time += 61'000'000;
  ASSERT_TRUE(points_->keep_up());
  EXPECT_EQ(witnessed(), 2);
  const auto second = *points_->latest();
  const auto opened = *open_checkpoint(second, points_->key());
  EXPECT_EQ(opened.size, 4);
  EXPECT_TRUE(proves_consistency(3, open_checkpoint(first, points_->key())->root, 4, opened.root, *log_->prove_prefix(3, 4)));
  check_broken(std::nullopt);
}

TEST_P(CheckpointsContract, ShowWhatWasRemovedOrRewritten) {
  ASSERT_TRUE(points_->latest());
  tamper("DELETE FROM audit_log WHERE sequence = 3");
  check_broken(3);
  EXPECT_EQ(points_->latest().error().code, ErrorCode::kDataLoss) << "nothing shorter is signed";
  tamper("DELETE FROM audit_checkpoints");
  check_broken(3);  // the witness knows
  fs::remove(witness_);
  check_broken(std::nullopt);  // whoever has changed all places has changed all places

  add(1);
  ASSERT_TRUE(points_->latest());
  auto forged = log_->query({.after = 1, .limit = 1})->at(0);
  forged.principal = "forged";
  tamper(fmt::format("UPDATE audit_log SET principal = 'forged', leaf = x'{}' WHERE sequence = 2", infra::to_hex(merkle_leaf(as_bytes(audit_line(forged))))));
  check_broken(1);
  tamper("UPDATE audit_checkpoints SET note = replace(note, 'stoa', 'Stoa')");
  check_broken(1);
}

TEST_P(CheckpointsContract, AWitnessThatCannotBeReadOrWrittenIsTold) {
  std::ofstream(witness_) << "nonsense\n";
  EXPECT_EQ(points_->verify().error().code, ErrorCode::kDataLoss);
  fs::remove(witness_);
  fs::create_directory(witness_);
  EXPECT_TRUE(points_->latest()) << "requests go on";
}

}  // namespace
}  // namespace stoa::governance
