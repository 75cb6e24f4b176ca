#include "infra/sql/sqlite/sqlite.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;

// A folder of the test's own, removed at its end.
struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("stoa-sqlite-test-{}-{}", ::getpid(), next++);
  static inline int next = 0;
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};

// The contract of the port, over the file and its twin in memory.
class SqlContract : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    auto opened = GetParam() ? open_memory() : open_sqlite(folder_.path / "test.db");
    ASSERT_TRUE(opened) << opened.error().message;
    db_ = std::move(*opened);
    ASSERT_TRUE(db_->execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, x REAL, data BLOB)"));
  }
  std::int64_t count() { return *(*db_->query_one("SELECT count(*) FROM t"))->get<std::int64_t>(0); }

  Folder folder_;
  std::unique_ptr<SqlDatabase> db_;
};
INSTANTIATE_TEST_SUITE_P(, SqlContract, testing::Bool(), [](const auto& info) { return info.param ? "memory" : "file"; });

TEST_P(SqlContract, ValuesComeBackAsTheyWere) {
  const SqlParams rows[] = {
      {1, "plain", 1.5, Bytes{std::byte{1}, std::byte{0}}},
      {2, std::string("nul\0inside", 10), -0.25, Bytes{}},
      {3, "", 1e300, nullptr},
      {INT64_MIN, nullptr, nullptr, nullptr},
      {INT64_MAX, "'; DROP TABLE t; --", 0.0, nullptr},
  };
  for (const auto& row : rows) EXPECT_EQ(*db_->execute("INSERT INTO t VALUES (?, ?, ?, ?)", row), 1);
  for (const auto& row : rows) {
    const auto read = db_->query_one("SELECT id, name, x, data FROM t WHERE id = ?", {row[0]});
    ASSERT_TRUE(read && *read);
    for (std::size_t i = 0; i < row.size(); ++i) EXPECT_EQ((*read)->value(i), row[i]) << i;
  }
}

TEST_P(SqlContract, RowsAreReadByNameAndType) {
  ASSERT_TRUE(db_->execute("INSERT INTO t VALUES (1, 'ann', 2.5, NULL)"));
  const SqlRow row = **db_->query_one("SELECT * FROM t");
  std::int64_t id = 0;
  std::string name;
  double x = 0;
  std::optional<Bytes> data = Bytes{std::byte{7}};
  ASSERT_TRUE(row.read(id, name, x, data));
  EXPECT_EQ(std::tie(id, name, x), std::make_tuple(1, "ann", 2.5));
  EXPECT_FALSE(data);
  EXPECT_EQ(*row.get<std::string>("name"), "ann");
  EXPECT_EQ(*row.get<bool>("id"), true);
  EXPECT_EQ(row.get<std::int64_t>("name").error().message, "column 'name' holds TEXT where INTEGER is expected");
  EXPECT_EQ(row.get<Bytes>("data").error().message, "column 'data' holds NULL where BLOB is expected");
  EXPECT_EQ(row.get<std::string>("nmae").error().message, "the result has no column 'nmae'");
  EXPECT_EQ(row.get<std::string>(9).error().code, ErrorCode::kInternal);
}

TEST_P(SqlContract, ErrorsHaveTheirKind) {
  ASSERT_TRUE(db_->execute("INSERT INTO t (id, name) VALUES (1, 'ann'), (2, 'bob')"));
  const struct { std::string sql; SqlParams params; ErrorCode code; } table[] = {
      {"INSERT INTO t (id) VALUES (1)", {}, ErrorCode::kConflict},
      {"INSERT INTO t (name) VALUES (?)", {"ann"}, ErrorCode::kConflict},
      {"SELEC 1", {}, ErrorCode::kInternal},
      {"DELETE FROM missing", {}, ErrorCode::kInternal},
      {"DELETE FROM t WHERE id = ?", {}, ErrorCode::kInternal},
      {"DELETE FROM t WHERE id = 1", {1}, ErrorCode::kInternal},
      {"DELETE FROM t; DELETE FROM t", {}, ErrorCode::kInternal},
      {"", {}, ErrorCode::kInternal},
  };
  for (const auto& [sql, params, code] : table) EXPECT_EQ(db_->execute(sql, params).error().code, code) << sql;
  EXPECT_EQ(db_->query("DELETE FROM t RETURNING id").error().code, ErrorCode::kInternal) << "reads do not write";
  EXPECT_EQ(db_->query("SELECT * FROM t", {}, 1).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(db_->query_one("SELECT * FROM t").error().code, ErrorCode::kInternal);
  EXPECT_EQ(count(), 2);
}

TEST_P(SqlContract, ForEachStopsWhenToldAndPassesErrorsOn) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(db_->execute("INSERT INTO t (id) VALUES (?)", {i}));
  int seen = 0;
  EXPECT_TRUE(db_->for_each("SELECT id FROM t ORDER BY id", {}, [&](const SqlRow&) -> Result<bool> { return ++seen < 4; }));
  EXPECT_EQ(seen, 4);
  const auto failed = db_->for_each("SELECT id FROM t", {}, [](const SqlRow&) -> Result<bool> { return fail(ErrorCode::kCancelled, "no"); });
  EXPECT_EQ(failed.error().code, ErrorCode::kCancelled);
}

TEST_P(SqlContract, TransactionsCommitOrLeaveNothing) {
  int committed = 0;
  const auto insert = [&](SqlTransaction& tx) -> Status {
    tx.on_commit([&] { ++committed; });
    STOA_TRY(changed, tx.execute("INSERT INTO t (id) VALUES (NULL), (NULL)"));
    EXPECT_EQ(changed, 2);
    EXPECT_EQ((*tx.query("SELECT id FROM t")).size() % 2, 0u) << "a transaction sees its own writes";
    return {};
  };
  EXPECT_TRUE(db_->transaction(insert));
  EXPECT_EQ(count(), 2);
  const auto refused = db_->transaction([&](SqlTransaction& tx) -> Status {
    STOA_CHECK(insert(tx));
    return fail(ErrorCode::kCancelled, "changed my mind");
  });
  EXPECT_EQ(refused.error().message, "changed my mind");
  EXPECT_THROW((void)db_->transaction([&](SqlTransaction& tx) -> Status {
    EXPECT_TRUE(insert(tx));
    throw std::runtime_error("out");
  }),
               std::runtime_error);
  EXPECT_EQ(count(), 2);
  EXPECT_EQ(committed, 1);
  EXPECT_TRUE(db_->transaction(insert)) << "the write lock was given back";
}

TEST_P(SqlContract, DatabaseIsRefusedInsideItsTransaction) {
  EXPECT_TRUE(db_->transaction([&](SqlTransaction&) -> Status {
    EXPECT_EQ(db_->query("SELECT 1").error().code, ErrorCode::kInternal);
    EXPECT_EQ(db_->execute("DELETE FROM t").error().code, ErrorCode::kInternal);
    EXPECT_EQ(db_->transaction([](SqlTransaction&) { return Status{}; }).error().code, ErrorCode::kInternal);
    return {};
  }));
}

TEST_P(SqlContract, ThreadsIncrementWithoutLoss) {
  ASSERT_TRUE(db_->execute("INSERT INTO t (id, x) VALUES (1, 0)"));
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 50; ++n) {
        EXPECT_TRUE(db_->transaction([](SqlTransaction& tx) -> Status {
          STOA_TRY(row, tx.query_one("SELECT x FROM t WHERE id = 1"));
          STOA_TRY(x, row->get<double>(0));
          STOA_CHECK(tx.execute("UPDATE t SET x = ? WHERE id = 1", {x + 1}));
          return {};
        }));
        EXPECT_TRUE(db_->query("SELECT * FROM t"));
      }
    });
  threads.clear();
  EXPECT_EQ(*(*db_->query_one("SELECT x FROM t"))->get<double>(0), 200);
}

TEST_P(SqlContract, MigrationsRunOnceAndMayNotChange) {
  const std::array first{Migration{1, "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);"}};
  const std::array both{first[0], Migration{2, "ALTER TABLE a ADD COLUMN y TEXT DEFAULT 'new'"}};
  const std::array changed{Migration{1, "CREATE TABLE a (x TEXT)"}, both[1]};
  const std::array broken{both[0], both[1], Migration{3, "CREATE TABLE b (x INTEGER); NONSENSE"}};
  const std::array gap{Migration{2, "SELECT 1"}};
  EXPECT_TRUE(db_->migrate("part", first));
  EXPECT_TRUE(db_->migrate("part", first));
  EXPECT_TRUE(db_->migrate("part", both));
  EXPECT_EQ(*(*db_->query_one("SELECT y FROM a"))->get<std::string>(0), "new");
  EXPECT_EQ(db_->migrate("part", changed).error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(db_->migrate("part", first).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(db_->migrate("part", broken).error().code, ErrorCode::kInternal);
  EXPECT_FALSE(db_->query("SELECT * FROM b")) << "a failed migration leaves nothing";
  EXPECT_TRUE(db_->migrate("part", both));
  EXPECT_EQ(db_->migrate("other", gap).error().code, ErrorCode::kInternal);
}

TEST(Sqlite, FilePersistsAndIsPrivate) {
  const Folder folder;
  const fs::path file = folder.path / "a.db";
  {
    const auto db = *open_sqlite(file);
    ASSERT_TRUE(db->execute("CREATE TABLE t (x INTEGER)"));
    ASSERT_TRUE(db->execute("INSERT INTO t VALUES (42)"));
    const auto second = *open_sqlite(file);
    EXPECT_EQ(second->query("SELECT x FROM t")->size(), 1u) << "another process would see the commit";
  }
  EXPECT_EQ(*(*(*open_sqlite(file))->query_one("SELECT x FROM t"))->get<std::int64_t>(0), 42);
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(Sqlite, ReadersDoNotWaitForTheWriter) {
  const Folder folder;
  const auto db = *open_sqlite(folder.path / "a.db");
  ASSERT_TRUE(db->execute("CREATE TABLE t (x INTEGER)"));
  EXPECT_TRUE(db->transaction([&](SqlTransaction& tx) -> Status {
    STOA_CHECK(tx.execute("INSERT INTO t VALUES (1)"));
    std::jthread([&] { EXPECT_EQ(db->query("SELECT x FROM t")->size(), 0u); }).join();
    return {};
  }));
  EXPECT_EQ(db->query("SELECT x FROM t")->size(), 1u);
}

TEST(Sqlite, WaitsForTheWriterAreBounded) {
  const Folder folder;
  SqliteOptions options;
  options.wait = milliseconds(20);
  const auto db = *open_sqlite(folder.path / "a.db", options);
  const auto other = *open_sqlite(folder.path / "a.db", options);
  ASSERT_TRUE(db->execute("CREATE TABLE t (x INTEGER)"));
  EXPECT_TRUE(db->transaction([&](SqlTransaction&) -> Status {
    std::jthread([&] {
      EXPECT_EQ(db->execute("INSERT INTO t VALUES (1)").error().code, ErrorCode::kUnavailable);
      EXPECT_EQ(other->execute("INSERT INTO t VALUES (1)").error().code, ErrorCode::kUnavailable);
    }).join();
    return {};
  }));
}

TEST(Sqlite, BadFilesAreNamed) {
  const Folder folder;
  EXPECT_EQ(open_sqlite(folder.path / "missing" / "a.db").error().code, ErrorCode::kUnavailable);
  const fs::path file = folder.path / "corrupt.db";
  std::ofstream(file) << std::string(8192, 'x');
  const auto corrupt = open_sqlite(file);
  ASSERT_FALSE(corrupt);
  EXPECT_EQ(corrupt.error().code, ErrorCode::kDataLoss);
  EXPECT_NE(corrupt.error().message.find(file.string()), std::string::npos);
  EXPECT_FALSE(corrupt.error().hint.empty());
}

TEST(Sqlite, FullStoreRefusesAndStaysWhole) {
  const Folder folder;
  SqliteOptions options;
  options.max_bytes = 256 << 10;
  const auto db = *open_sqlite(folder.path / "a.db", options);
  ASSERT_TRUE(db->execute("CREATE TABLE t (x BLOB)"));
  std::int64_t written = 0;
  Result<std::int64_t> last;
  while ((last = db->execute("INSERT INTO t VALUES (?)", {Bytes(10'000)}))) ASSERT_LT(++written, 100);
  EXPECT_EQ(last.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(*(*db->query_one("SELECT count(*) FROM t"))->get<std::int64_t>(0), written);
  EXPECT_EQ(*(*db->query_one("PRAGMA integrity_check"))->get<std::string>(0), "ok");
  EXPECT_TRUE(db->execute("DELETE FROM t"));
  EXPECT_TRUE(db->execute("INSERT INTO t VALUES (?)", {Bytes(10'000)})) << "it goes on when there is room again";
}

// A write that the system refuses in the middle. In a child, because the limit cannot be raised again.
TEST(Sqlite, RefusedWriteLeavesTheFileWhole) {
  const Folder folder;
  const fs::path file = folder.path / "a.db";
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const auto db = open_sqlite(file);
    if (!db || !(*db)->execute("CREATE TABLE t (x BLOB)")) ::_exit(10);
    const rlimit limit{1 << 20, 1 << 20};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    for (int i = 0; i < 1000; ++i)
      if (const auto done = (*db)->execute("INSERT INTO t VALUES (?)", {Bytes(10'000)}); !done)
        ::_exit(done.error().code == ErrorCode::kUnavailable && i > 0 ? 0 : 11);
    ::_exit(12);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  const auto db = open_sqlite(file);
  ASSERT_TRUE(db) << db.error().message;
  EXPECT_EQ(*(*(*db)->query_one("PRAGMA integrity_check"))->get<std::string>(0), "ok");
  EXPECT_GT(*(*(*db)->query_one("SELECT count(*) FROM t"))->get<std::int64_t>(0), 0);
}

}  // namespace
}  // namespace stoa::infra
