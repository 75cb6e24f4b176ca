#include "governance/audit/audit.h"

#include <gtest/gtest.h>

#include "governance/audit/entry_line.h"
#include "infra/crypto/encoding.h"
#include "infra/journal/write_behind.h"
#include "infra/sql/sqlite/backends.h"
#include "infra/sql/sqlite/sqlite.h"

#include <unistd.h>

#include <filesystem>
#include <thread>

namespace stoa::governance {
namespace {

namespace fs = std::filesystem;

class AuditContract : public ::testing::TestWithParam<infra::SqlBackend> {
 protected:
  void SetUp() override {
    audit_.reset();
    database_ = GetParam().open();
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

INSTANTIATE_TEST_SUITE_P(, AuditContract, testing::ValuesIn(infra::sqlite_backends()), [](const auto& info) { return info.param.name; });

TEST_P(AuditContract, NumbersAndFilters) {
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

TEST_P(AuditContract, TimesAreFoundAlsoOutOfOrder) {
  for (const Micros time : {100, 300, 200, 400}) {
    AuditEntry late = entry("eve", "doc");
    late.time = time;
    ASSERT_TRUE(audit_->append(late));
  }
  const auto times = [&](AuditQuery query) {
    std::vector<Micros> out;
    const auto found = audit_->query(query);
    for (const auto& e : *found) out.push_back(e.time);
    return out;
  };
  EXPECT_EQ(times({.tenant = "t1", .from = 200, .until = 400}), (std::vector<Micros>{300, 200}));
  EXPECT_EQ(times({.principal = "eve", .from = 150, .until = 250}), std::vector<Micros>{200});
  EXPECT_EQ(times({.tenant = "t1", .from = 500, .until = 600}), std::vector<Micros>{});
  EXPECT_EQ(times({.tenant = "t1", .principal = "eve", .from = 1, .until = 1000, .after = 6}), (std::vector<Micros>{300, 200, 400}));
}

TEST_P(AuditContract, RefusesChanges) {
  EXPECT_FALSE(database_->execute("UPDATE audit_log SET outcome = 'denied' WHERE sequence = 1"));
  EXPECT_FALSE(database_->execute("DELETE FROM audit_log"));
  check_broken(std::nullopt, {*audit_->tree()});
}

TEST_P(AuditContract, FindsWhereItWasTamperedWith) {
  const auto tree = *audit_->tree();
  tamper("UPDATE audit_log SET resource = 'doc_x' WHERE sequence = 3");
  check_broken(3);
  tamper("UPDATE audit_log SET resource = 'doc_3' WHERE sequence = 3");
  check_broken(std::nullopt, {tree});
  tamper("DELETE FROM audit_log WHERE sequence = 2");
  check_broken(2);
}

TEST_P(AuditContract, FindsACutOffEndAgainstATreeKeptElsewhere) {
  const auto tree = *audit_->tree();
  tamper("DELETE FROM audit_log WHERE sequence = 5");
  check_broken(std::nullopt);
  check_broken(5, {tree});
}

// Long enough for two levels of kept nodes.
TEST_P(AuditContract, ProvesEntriesAndPrefixesOfALongLog) {
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

TEST_P(AuditContract, AFlippedBitOfAnyFieldIsFound) {
  for (const char* column : {"time = time + 1", "principal = 'x'", "tenant = 'x'", "project = 'x'", "action = 'x'", "resource = 'x'", "outcome = 'denied'", "outcome = 'x'",
                             "reason = 'x'", "request_id = 'x'", "trace_id = 'x'", "salt = 'x'", "leaf = x'00'"}) {
    SetUp();
    tamper(fmt::format("UPDATE audit_log SET {} WHERE sequence = 4", column));
    check_broken(4);
  }
}

TEST_P(AuditContract, AnEntryIsALineThatReadsBackAsItself) {
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

TEST_P(AuditContract, AnEntryCommitsWithItsChangeOrNotAtAll) {
  const Status failed = database_->transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(audit_->append(transaction, entry("ann", "doc_9")));
    return fail(ErrorCode::kInternal, "no");
  });
  EXPECT_FALSE(failed);
  EXPECT_EQ(audit_->query({})->size(), 5u);
  check_broken(std::nullopt);
}

TEST_P(AuditContract, WhatIsSaidBesidesIsKeptAndPartOfTheTree) {
  auto e = entry("eve", "POST /v1/responses");
  e.rule = "access.role";
  e.key = "key_1";
  e.address = "192.0.2.1";
  e.break_glass = "the \"pager\"";
  e.count = 3;
  e.documents = {{"doc_1", "sha256:0a", 2, "group:hr"}, {"doc_2", "", 0}};
  e.query = "5a:sha256:0b";
  e.mode = "hybrid";
  e.collections = {"vs_1", "vs_2"};
  ASSERT_TRUE(audit_->append(e));
  auto back = audit_->query({.principal = "eve"})->at(0);
  EXPECT_EQ(audit_more(back), R"({"rule":"access.role","key":"key_1","address":"192.0.2.1","break_glass":"the \"pager\"","query":"5a:sha256:0b","mode":"hybrid","count":3,)"
                              R"("documents":[{"id":"doc_1","version":"sha256:0a","chunks":2,"readers":"group:hr"},{"id":"doc_2","version":"","chunks":0,"readers":""}],"collections":["vs_1","vs_2"]})");
  EXPECT_EQ(back.documents, e.documents);
  EXPECT_EQ(audit_line(*parse_audit_line(audit_line(back))), audit_line(back));
  check_broken(std::nullopt);
  for (const char* more : {"", "x", "{}", R"({"rule":"access.role"})", R"({"unknown":1})"}) {
    tamper(fmt::format("UPDATE audit_log SET more = '{}' WHERE sequence = 6", more));
    check_broken(6);
  }
  const std::string packed = pack_entry(e);
  auto unpacked = *unpack_entry(as_bytes(packed));
  EXPECT_EQ(pack_entry(unpacked), packed);
  EXPECT_EQ(audit_line(unpacked), audit_line(e));
  for (std::size_t size = 0; size < packed.size(); ++size) EXPECT_FALSE(unpack_entry(as_bytes(packed).first(size))) << size;
}

// Each question is looked up, whatever else it asks: no plan reads entry by entry, or sorts.
TEST(AuditOnSqlite, QuestionsAreLookedUp) {
  const auto database = std::move(*infra::open_memory());
  const auto log = std::move(*AuditLog::open(*database));
  for (const char* question : {"trace_id = 'a'", "principal = 'a'", "resource = 'a'", "action = 'a'", "trace_id = 'a' AND principal || '' = 'a' AND action || '' = 'b'"}) {
    const auto plan = database->query(fmt::format("EXPLAIN QUERY PLAN SELECT * FROM audit_log WHERE sequence >= 1 AND sequence <= 9 AND time >= 0 AND time < 9 AND tenant = 't' AND {} "
                                                   "ORDER BY sequence LIMIT 9", question));
    ASSERT_TRUE(plan);
    ASSERT_EQ(plan->size(), 1u) << question;
    const std::string detail = *(*plan)[0].get<std::string>("detail");
    EXPECT_NE(detail.find(fmt::format("(tenant=? AND {}=?", std::string_view(question).substr(0, std::string_view(question).find(' ')))), std::string::npos) << detail;
  }
  const auto plan = database->query("EXPLAIN QUERY PLAN SELECT min(sequence), max(sequence) FROM audit_log WHERE time >= 1 AND time < 2 AND tenant = 't'");
  EXPECT_NE(plan->at(0).get<std::string>("detail")->find("COVERING INDEX audit_of_time"), std::string::npos) << *plan->at(0).get<std::string>("detail");
}

// Entries that reach the store later.
class AuditBehind : public ::testing::Test {
 protected:
  void TearDown() override {
    end();
    fs::remove_all(folder_);
  }
  void begin() {
    behind_ = std::move(*infra::WriteBehind::open(*database_, folder_));
    log_ = std::move(*AuditLog::open(*database_, Clock::system(), behind_.get()));
  }
  // As a process ends that is killed: nothing is carried over any more.
  void end() {
    behind_.reset();
    log_.reset();
  }
  AuditEntry entry(int number) const {
    AuditEntry e;
    e.principal = fmt::format("user_{}", number % 3);
    e.resource = fmt::format("doc_{}", number);
    e.documents = {{"doc", "v", number}};
    return e;
  }
  fs::path folder_ = fs::temp_directory_path() / fmt::format("stoa-audit-test-{}", ::getpid());
  std::unique_ptr<infra::SqlDatabase> database_ = std::move(*infra::open_memory());
  std::unique_ptr<infra::WriteBehind> behind_;
  std::unique_ptr<AuditLog> log_;
};

TEST_F(AuditBehind, NothingIsLostOrThereTwiceHoweverItEnds) {
  std::vector<std::string> expected;
  for (int run = 0, number = 0; run < 12; ++run) {
    begin();
    if (run % 2 == 0) {
      ASSERT_TRUE(behind_->start());
    }
    for (int i = 0; i < 20; ++i) {
      expected.push_back(fmt::format("doc_{}", number));
      ASSERT_TRUE(log_->append(entry(number++)));
      if (number % 7 == 0) {
        const auto tree = log_->tree();
        ASSERT_TRUE(tree);
        EXPECT_EQ(tree->size, number) << "whoever asks sees all";
      }
    }
    end();
  }
  begin();
  ASSERT_TRUE(behind_->start());
  std::vector<std::string> found;
  const auto all = log_->query({.limit = 1000});
  for (const auto& e : *all) found.push_back(e.resource);
  EXPECT_EQ(found, expected);
  EXPECT_EQ(log_->verify()->broken, std::nullopt);
}

TEST_F(AuditBehind, EntriesOfTransactionsComeBetween) {
  begin();
  ASSERT_TRUE(behind_->start());
  std::vector<std::jthread> threads;
  for (int t = 0; t < 2; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        EXPECT_TRUE(log_->append(entry(i)));
        EXPECT_TRUE(database_->transaction([&](infra::SqlTransaction& transaction) { return log_->append(transaction, entry(i)); }));
      }
    });
  threads.clear();
  EXPECT_EQ(log_->tree()->size, 400);
  const auto check = log_->verify();
  EXPECT_EQ(check->entries, 400);
  EXPECT_EQ(check->broken, std::nullopt) << check->reason;
}

}  // namespace
}  // namespace stoa::governance
