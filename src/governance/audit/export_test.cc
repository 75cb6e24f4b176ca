#include "governance/audit/export.h"

#include <sstream>

#include <gtest/gtest.h>

#include "base/json.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::governance {
namespace {

class ExportTest : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 21; ++i) {
      AuditEntry entry;
      entry.tenant = i % 3 == 0 ? "other" : "mine";
      entry.principal = fmt::format("user_{}", i);
      entry.action = "document.read";
      ASSERT_TRUE(log_->append(entry));
    }
    const auto tree = *log_->tree();
    note_ = sign_checkpoint(tree.size, tree.root, key_);
  }
  std::string made(std::int64_t after, std::int64_t limit, const std::string& tenant = "") {
    std::string out;
    const auto last = export_audit(*log_, note_, 21, after, limit, tenant, [&](std::string_view line) -> Status {
      out += line;
      out += '\n';
      return {};
    });
    EXPECT_TRUE(last) << last.error().message;
    return out;
  }
  Result<ExportCheck> check(const std::string& text) {
    std::istringstream in(text);
    return verify_export(in, CheckpointKey::of(key_.public_key()));
  }

  std::unique_ptr<infra::SqlDatabase> database_ = std::move(*infra::open_memory());
  std::unique_ptr<AuditLog> log_ = std::move(*AuditLog::open(*database_));
  infra::SigningKey key_ = *infra::SigningKey::from_seed(as_bytes(std::string(32, 'k')));
  std::string note_;
};

TEST_F(ExportTest, HoldsForEveryPartAndTenant) {
  const struct { std::int64_t after, limit; const char* tenant; std::int64_t first, last, entries; } cases[] = {
      {0, 100, "", 1, 21, 21}, {0, 5, "", 1, 5, 5}, {13, 4, "", 14, 17, 4}, {0, 100, "mine", 1, 21, 14}, {0, 100, "nobody", 1, 21, 0}, {21, 5, "", 0, 0, 0}, {20, 1, "", 21, 21, 1}};
  for (const auto& c : cases) {
    const auto text = made(c.after, c.limit, c.tenant);
    const auto found = check(text);
    ASSERT_TRUE(found) << found.error().message << "\n" << text;
    EXPECT_EQ(found->first, c.first);
    EXPECT_EQ(found->last, c.last);
    EXPECT_EQ(found->entries, c.entries);
    EXPECT_EQ(found->checkpoint.size, 21);
    EXPECT_TRUE(std::string_view(c.tenant) != "mine" || text.find("\"other\"") == std::string::npos) << "nothing of others";
  }
  EXPECT_TRUE(check(made(0, 8) + made(8, 100)));
}

// Every bit of an export takes part: a change is an error, and where it is in an entry whose text is there, the error names it.
TEST_F(ExportTest, NoFlippedBitStaysUnseen) {
  const std::string text = made(3, 6, "mine");
  ASSERT_TRUE(check(text));
  std::int64_t line = 1;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\n') {
      ++line;
      continue;
    }
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = text;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      const auto found = check(changed);
      ASSERT_FALSE(found) << "bit " << bit << " of byte " << at << " in line " << line << ": " << changed;
      // Of others' entries there is only the hash: no way to tell which of them was changed.
      const auto begin = text.rfind('\n', at) + 1;
      const bool entry = text.substr(begin, text.find('\n', at) - begin).contains("\"entry\"") && changed[at] != '\n';
      EXPECT_TRUE(!entry || found.error().message.find(fmt::format("line {} (entry {})", line, line + 2)) != std::string::npos) << found.error().message;
    }
  }
}

TEST_F(ExportTest, RefusesWhatIsMissingOrAdded) {
  const std::string text = made(0, 100);
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  const auto without = [&](std::size_t skipped) {
    std::string out;
    for (std::size_t i = 0; i < lines.size(); ++i)
      if (i != skipped) out += lines[i] + "\n";
    return out;
  };
  for (std::size_t i = 0; i < lines.size(); ++i) EXPECT_FALSE(check(without(i))) << i;
  EXPECT_FALSE(check(made(0, 8) + made(9, 100)));
  EXPECT_FALSE(check(made(0, 8) + lines[9] + "\n"));
  EXPECT_EQ(check("").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(check("{\"a\":1}\n").error().code, ErrorCode::kInvalidArgument);
  key_ = *infra::SigningKey::from_seed(as_bytes(std::string(32, 'x')));
  EXPECT_EQ(check(text).error().code, ErrorCode::kDataLoss);
}

TEST_F(ExportTest, EntriesAreOcsfEvents) {
  auto entry = log_->query({.limit = 1})->at(0);
  entry.outcome = Outcome::kDenied;
  const auto event = parse_json(audit_ocsf(entry, "1.2"))->as_object();
  EXPECT_EQ(event.at("class_uid"), 6003);
  EXPECT_EQ(event.at("type_uid"), 600302);
  EXPECT_EQ(event.at("status_id"), 2);
  EXPECT_EQ(event.at("actor").at("user").at("uid"), "user_0");
  EXPECT_EQ(event.at("metadata").at("product").at("version"), "1.2");
}

}  // namespace
}  // namespace stoa::governance
