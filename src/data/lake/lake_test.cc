#include "data/lake/lake.h"

#include <gtest/gtest.h>

#include "data/lake/shard.h"
#include "governance/protection/memory_protection.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::data {
namespace {

RowSource source(std::vector<std::string> rows) {
  return [rows = std::move(rows), next = std::size_t{0}]() mutable -> Result<std::optional<std::string>> {
    if (next == rows.size()) return std::optional<std::string>();
    return rows[next++];
  };
}

class LakeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    call_.principal = {"user_1", "tenant_1", "proj_a", "ann", {}, "developer"};
    limits_.shard_bytes = 64;
    lake_ = std::make_unique<Lake>(*sql_, protection_.blobs, limits_);
    ASSERT_TRUE(lake_->open());
  }
  std::vector<std::string> rows(const std::string& version, std::int64_t offset, std::int64_t limit) {
    std::vector<std::string> out;
    EXPECT_TRUE(lake_->read(call_, version, offset, limit, [&](const std::string& row) -> Result<bool> {
      out.push_back(row);
      return true;
    }));
    return out;
  }

  Call call_;
  LakeLimits limits_;
  std::unique_ptr<infra::SqlDatabase> sql_ = std::move(*infra::open_memory());
  governance::MemoryProtection protection_{*sql_};
  std::unique_ptr<Lake> lake_;
};

TEST_F(LakeTest, VersionsAreTheirContent) {
  std::vector<std::string> lines;
  for (int i = 0; i < 20; ++i) lines.push_back(fmt::format("{{\"n\":{},\"text\":\"row {}\"}}", i, i));
  const auto first = lake_->create_version(call_, "set", source(lines));
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->number, 1);
  EXPECT_EQ(first->rows, 20);
  EXPECT_GT(first->shards.size(), 3u);
  EXPECT_EQ(first->schema, (std::vector<DatasetField>{{"n", "integer"}, {"text", "string"}}));
  auto spaced = lines;
  spaced[3] = "{ \"n\" : 3, \"text\": \"row 3\" }";
  EXPECT_EQ(lake_->create_version(call_, "set", source(spaced))->id, first->id);
  EXPECT_EQ(lake_->versions(call_, "set")->size(), 1u);
  auto more = lines;
  more.push_back(R"({"n":1.5,"extra":null})");
  const auto second = lake_->create_version(call_, "set", source(more), {"set@1"});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->number, 2);
  EXPECT_EQ(second->parents, std::vector<std::string>{first->id});
  EXPECT_EQ(second->schema, (std::vector<DatasetField>{{"extra", "null"}, {"n", "number"}, {"text", "string"}}));
  EXPECT_EQ(lake_->list(call_)->at(0).versions, 2);
  EXPECT_EQ(lake_->version(call_, "set")->number, 2);
  EXPECT_EQ(lake_->version(call_, first->id)->number, 1);
  EXPECT_EQ(rows("set@1", 0, 100), lines);
  EXPECT_EQ(rows("set@1", 18, 5), (std::vector<std::string>{lines[18], lines[19]}));
  EXPECT_EQ(rows("set@1", 7, 2), (std::vector<std::string>{lines[7], lines[8]}));
  EXPECT_TRUE(rows("set@1", 50, 2).empty());
}

TEST_F(LakeTest, Refusals) {
  EXPECT_EQ(lake_->create_version(call_, "bad name", source({})).error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(lake_->create_version(call_, "set", source({"[1]"})));
  EXPECT_TRUE(lake_->create_version(call_, "set", source({"{}", "{oops"})).error().message.starts_with("row 2"));
  EXPECT_EQ(lake_->create_version(call_, "set", source({}), {"none"}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(lake_->version(call_, "set@x").error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(lake_->create_version(call_, "empty", source({})));
  Call other = call_;
  other.principal.project = "proj_b";
  EXPECT_EQ(lake_->version(other, "empty").error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(lake_->list(other)->empty());
}

TEST(Shard, BrokenBytes) {
  const Bytes good = *compress(std::string(100'000, 'a') + "end");
  const auto read = [](ByteSpan bytes, std::uint64_t limit) {
    std::string text;
    const Status status = decompress(bytes, limit, [&](std::string_view piece) -> Result<bool> {
      text += piece;
      return true;
    });
    return status ? text.size() : std::size_t{0};
  };
  EXPECT_EQ(read(good, 1 << 20), 100'003u);
  EXPECT_EQ(read(good, 1000), 0u);
  EXPECT_EQ(read(ByteSpan(good).first(good.size() - 4), 1 << 20), 0u);
  EXPECT_EQ(read(as_bytes("not zstd at all"), 1 << 20), 0u);
}

}  // namespace
}  // namespace stoa::data
