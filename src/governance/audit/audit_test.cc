#include "governance/audit/audit.h"

#include <gtest/gtest.h>

#include "contracts/events.h"
#include "governance/audit/entry_line.h"
#include "governance/audit/request_audit.h"
#include "infra/crypto/encoding.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::governance {
namespace {

class AuditTest : public ::testing::Test {
 protected:
  void SetUp() override {
    database_ = std::move(*infra::open_memory());
    audit_ = std::move(*AuditLog::open(*database_));
    for (int i = 1; i <= 5; ++i) ASSERT_TRUE(audit_->append(entry(i % 2 == 0 ? "ann" : "bob", fmt::format("doc_{}", i))));
  }
  static AuditEntry entry(std::string principal, std::string resource) {
    AuditEntry entry;
    entry.principal = std::move(principal);
    entry.tenant = "t1";
    entry.action = "document.read";
    entry.resource = std::move(resource);
    entry.reason = "access.role";
    return entry;
  }
  // What somebody with the database file can do behind the program's back.
  void tamper(const std::string& sql) {
    ASSERT_TRUE(database_->execute("DROP TRIGGER IF EXISTS audit_no_update"));
    ASSERT_TRUE(database_->execute("DROP TRIGGER IF EXISTS audit_no_delete"));
    ASSERT_TRUE(database_->execute(sql)) << sql;
  }
  void check_broken(std::optional<std::int64_t> expected, std::vector<AuditTree> known = {}) {
    const auto check = audit_->verify(known);
    ASSERT_TRUE(check) << check.error().message;
    EXPECT_EQ(check->broken, expected) << check->reason;
  }
  std::unique_ptr<infra::SqlDatabase> database_;
  std::unique_ptr<AuditLog> audit_;
};

TEST_F(AuditTest, NumbersAndFilters) {
  const auto all = audit_->query({});
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ((*all)[i].sequence, static_cast<std::int64_t>(i) + 1);
  const auto count = [&](AuditQuery query) { return audit_->query(query)->size(); };
  EXPECT_EQ(count({.principal = "ann"}), 2u);
  EXPECT_EQ(count({.resource = "doc_3"}), 1u);
  EXPECT_EQ(count({.tenant = "other"}), 0u);
  EXPECT_EQ(count({.after = 3}), 2u);
  EXPECT_EQ(count({.limit = 4}), 4u);
  EXPECT_EQ(count({.from = INT64_MAX - 1}), 0u);
  EXPECT_FALSE(audit_->query({.limit = 0}));
  EXPECT_FALSE(audit_->query({.limit = 1001}));
}

TEST_F(AuditTest, RefusesChanges) {
  EXPECT_FALSE(database_->execute("UPDATE audit_log SET outcome = 'denied' WHERE sequence = 1"));
  EXPECT_FALSE(database_->execute("DELETE FROM audit_log"));
  check_broken(std::nullopt, {*audit_->tree()});
}

TEST_F(AuditTest, FindsWhereItWasTamperedWith) {
  const auto tree = *audit_->tree();
  tamper("UPDATE audit_log SET resource = 'doc_x' WHERE sequence = 3");
  check_broken(3);
  tamper("UPDATE audit_log SET resource = 'doc_3' WHERE sequence = 3");
  check_broken(std::nullopt, {tree});
  tamper("DELETE FROM audit_log WHERE sequence = 2");
  check_broken(2);
}

TEST_F(AuditTest, FindsACutOffEndAgainstATreeKeptElsewhere) {
  const auto tree = *audit_->tree();
  tamper("DELETE FROM audit_log WHERE sequence = 5");
  check_broken(std::nullopt);
  check_broken(5, {tree});
}

// Long enough for two levels of kept nodes.
TEST_F(AuditTest, ProvesEntriesAndPrefixesOfALongLog) {
  constexpr std::int64_t kEntries = 66'000;
  ASSERT_TRUE(database_->transaction([&](infra::SqlTransaction& transaction) -> Status {
    for (std::int64_t i = 6; i <= kEntries; ++i) STOA_CHECK(audit_->append(transaction, entry("ann", std::to_string(i))));
    return {};
  }));
  MerkleFrontier frontier;
  std::vector<AuditTree> known = {{0, frontier.root()}};
  ASSERT_TRUE(audit_->for_each(0, kEntries, [&](const AuditEntry& e, const MerkleHash& leaf) -> Status {
    EXPECT_EQ(merkle_leaf(as_bytes(audit_line(e))), leaf);
    frontier.add(leaf);
    if (e.sequence % 9'973 == 0 || e.sequence == kEntries || e.sequence == 65'536) known.push_back({frontier.size(), frontier.root()});
    return {};
  }));
  for (const auto& tree : known) EXPECT_EQ(audit_->tree(tree.size)->root, tree.root) << tree.size;
  const auto& last = known.back();
  for (const auto& tree : known) {
    EXPECT_TRUE(proves_consistency(tree.size, tree.root, last.size, last.root, *audit_->prove_prefix(tree.size, last.size))) << tree.size;
    for (const std::int64_t sequence : {std::int64_t{1}, std::int64_t{256}, std::int64_t{257}, tree.size}) {
      if (sequence < 1 || sequence > tree.size) continue;
      EXPECT_TRUE(proves_inclusion(*audit_->leaf(sequence), sequence - 1, tree.size, *audit_->prove_entry(sequence, tree.size), tree.root)) << sequence << " of " << tree.size;
    }
  }
  EXPECT_EQ(audit_->tree(kEntries + 1).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(audit_->prove_entry(1, kEntries + 1).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(audit_->prove_entry(kEntries + 1, kEntries).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(audit_->leaf(kEntries + 1).error().code, ErrorCode::kNotFound);
  check_broken(std::nullopt, known);

  // Whoever changes an entry and its hash cannot change what was signed.
  auto forged = *audit_->query({.after = 19'999, .limit = 1});
  forged[0].resource = "forged";
  tamper(fmt::format("UPDATE audit_log SET resource = 'forged', leaf = x'{}' WHERE sequence = 20000", infra::to_hex(merkle_leaf(as_bytes(audit_line(forged[0]))))));
  check_broken(19'947, known);
  check_broken(19'969);  // without: the kept node over it
  tamper(fmt::format("UPDATE audit_log SET resource = '20000', leaf = x'{}' WHERE sequence = 20000", infra::to_hex([&] {
                       forged[0].resource = "20000";
                       return merkle_leaf(as_bytes(audit_line(forged[0])));
                     }())));
  check_broken(std::nullopt, known);
  ASSERT_TRUE(database_->execute("DROP TRIGGER audit_nodes_no_update"));
  tamper("UPDATE audit_nodes SET hash = x'00' WHERE level = 16");
  check_broken(1);
}

TEST_F(AuditTest, AFlippedBitOfAnyFieldIsFound) {
  for (const char* column : {"time = time + 1", "principal = 'x'", "tenant = 'x'", "project = 'x'", "action = 'x'", "resource = 'x'", "outcome = 'denied'", "outcome = 'x'",
                             "reason = 'x'", "request_id = 'x'", "trace_id = 'x'", "salt = 'x'", "leaf = x'00'"}) {
    SetUp();
    tamper(fmt::format("UPDATE audit_log SET {} WHERE sequence = 4", column));
    check_broken(4);
  }
}

TEST_F(AuditTest, AnEntryIsALineThatReadsBackAsItself) {
  auto odd = entry("ann\n\"\\", "doc \u00e9\u2028\U0001f600");
  odd.outcome = Outcome::kFailed;
  odd.time = 1'763'697'600'000'001;
  ASSERT_TRUE(audit_->append(odd));
  const auto entries = *audit_->query({});
  for (const auto& e : entries) {
    const auto back = parse_audit_line(audit_line(e));
    ASSERT_TRUE(back) << audit_line(e);
    EXPECT_EQ(audit_line(*back), audit_line(e));
  }
  // What is hashed must never change its form.
  AuditEntry fixed = odd;
  fixed.sequence = 7;
  EXPECT_EQ(audit_line(fixed),
            R"({"sequence":7,"time":"2025-11-21T04:00:00.000001Z","principal":"ann\n\"\\","tenant":"t1","project":"","action":"document.read","resource":"doc )"
            "\u00e9\u2028\U0001f600"
            R"(","outcome":"failed","reason":"access.role","request_id":"","trace_id":"","salt":""})");
  for (const char* line : {"", "{}", "[]", "nonsense", R"({"sequence":0})", R"({"sequence":1,"time":"2025-11-21T04:00:00.000001Z","outcome":"allowed"})"})
    EXPECT_FALSE(parse_audit_line(line)) << line;
  EXPECT_FALSE(parse_audit_line(audit_line(fixed) + " "));
}

TEST(AuditUpgrade, AChainOfHashesBecomesATree) {
  auto database = std::move(*infra::open_memory());
  {
    auto log = std::move(*AuditLog::open(*database));
    AuditEntry e;
    e.action = "document.read";
    for (int i = 0; i < 300; ++i) ASSERT_TRUE(log->append(e));
  }
  // As entries from before look: without salt and hash.
  for (const char* sql : {"DROP TRIGGER audit_no_update", "DROP TRIGGER audit_nodes_no_delete", "UPDATE audit_log SET leaf = NULL, salt = ''", "DELETE FROM audit_nodes"})
    ASSERT_TRUE(database->execute(sql)) << sql;
  auto log = std::move(*AuditLog::open(*database));
  const auto check = log->verify();
  ASSERT_TRUE(check);
  EXPECT_EQ(check->entries, 300);
  EXPECT_EQ(check->broken, std::nullopt) << check->reason;
  EXPECT_FALSE(database->execute("UPDATE audit_log SET salt = 'x' WHERE sequence = 1"));
}

TEST_F(AuditTest, AnEntryCommitsWithItsChangeOrNotAtAll) {
  const Status failed = database_->transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(audit_->append(transaction, entry("ann", "doc_9")));
    return fail(ErrorCode::kInternal, "no");
  });
  EXPECT_FALSE(failed);
  EXPECT_EQ(audit_->query({})->size(), 5u);
  check_broken(std::nullopt);
}

TEST_F(AuditTest, AFinishedRequestIsEnteredOnceHoweverOftenItIsTold) {
  const auto checkpoints = std::move(*AuditCheckpoints::open(*database_, *audit_, *infra::SigningKey::from_seed(as_bytes(std::string(32, 'k'))), {}));
  const auto handle = audit_requests(*audit_, *checkpoints);
  RequestFinished request;
  request.request_id = "req_9";
  request.principal = "user_ann";
  request.action = "model.use";
  request.resource = "POST /v1/chat/completions";
  request.started = 1'000;
  request.duration_micros = 5;
  for (const char* error : {"", "permission_denied", "not_found"}) {
    request.error = error;
    request.request_id += error;
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(handle({.sequence = 1, .topic = "", .key = "", .payload = request.to_json(), .time = 7}));
  }
  EXPECT_TRUE(handle({.sequence = 1, .topic = "", .key = "", .payload = "no event", .time = 7})) << "must not hold up the others";
  const auto entries = audit_->query({.principal = "user_ann"});
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 3u);
  EXPECT_EQ(entries->at(0).time, 1'005);
  EXPECT_EQ(entries->at(0).outcome, Outcome::kAllowed);
  EXPECT_EQ(entries->at(1).outcome, Outcome::kDenied);
  EXPECT_EQ(entries->at(2).outcome, Outcome::kFailed);
  EXPECT_EQ(entries->at(2).reason, "not_found");
  check_broken(std::nullopt);
}

}  // namespace
}  // namespace stoa::governance
