#include <thread>
#include <utility>

#include "data/sources/test_ingest.h"

namespace stoa::data {
namespace {

using IngestTurnsTest = IngestTest;

TEST_F(IngestTurnsTest, ProjectsHaveTurnsHoweverManyJobsEachHas) {
  const Call ann = call("ann"), bob = call("bob", {}, "proj_b");
  const auto files = [](const std::string& name) {
    std::map<std::string, std::string> some;
    for (int i = 0; i < 4; ++i) some[name + std::to_string(i) + ".txt"] = name + " text " + std::to_string(i);
    return some;
  };
  std::vector<std::string> jobs;
  for (const char* name : {"first", "second", "third"}) jobs.push_back(create(ann, files(name), "public", false));
  const std::string theirs = catalog_->create_collection(bob, {"theirs", {}, {}})->id, ours = std::exchange(collection_, theirs);
  const std::string last = create(bob, files("fourth"), "public", false);
  ASSERT_TRUE(ingest_->start_worker());
  EXPECT_EQ(ended(bob, last).failed, 0);
  for (const auto& job : jobs) EXPECT_EQ(ended(ann, job).failed, 0);
  ingest_->stop_worker();
  const auto order = *sql_->query("SELECT collection FROM documents ORDER BY rowid");
  ASSERT_EQ(order.size(), 16u);
  for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(*order[i].get<std::string>(0), i < 8 && i % 2 == 1 ? theirs : ours) << i;
}

TEST_F(IngestTurnsTest, ALongFileLeavesTurnsToOthers) {
  const Call ann = call("ann"), bob = call("bob", {}, "proj_b");
  limits_.batch = 4;
  limits_.max_turn = milliseconds(50);
  limits_.chunk.max_chunks = 150;
  halt();
  boot();
  std::string text;
  for (int i = 0; i < 400; ++i) text += "This is the sentence of number " + std::to_string(i) + ", and it says little more than that about itself.\n\n";
  std::vector<std::string> jobs;
  for (int i = 0; i < 6; ++i) jobs.push_back(create(ann, {{"long" + std::to_string(i) + ".txt", text + std::to_string(i)}}, "public", false));
  const std::string ours = std::exchange(collection_, catalog_->create_collection(bob, {"theirs", {}, {}})->id);
  const std::string quick = create(bob, {{"a.txt", "one"}, {"b.txt", "two"}, {"c.txt", "three"}}, "public", false);
  embedder_.pause_ = milliseconds(10);
  ASSERT_TRUE(ingest_->start_worker());
  EXPECT_EQ(ended(bob, quick).failed, 0);
  EXPECT_EQ(ingest_->progress(ann, jobs[0])->done, 0) << "the first of the long ones is not done yet";
  EXPECT_GT(ingest_->progress(ann, jobs[0])->file_embedded, 0);
  EXPECT_GT(6 * ingest_->progress(ann, jobs[0])->file_chunks, 150) << "more than may wait at a time";
  embedder_.pause_ = milliseconds(0);
  for (const auto& job : jobs) EXPECT_EQ(ended(ann, job).failed, 0);
  ingest_->stop_worker();
  collection_ = ours;
  EXPECT_EQ(rows("documents"), 9);
  EXPECT_EQ(hits(ann, "number"), 100u);
  EXPECT_EQ(ledger_->budget("proj_a")->reserved, 0);
  const auto paid = *ledger_->usage({.tenant = "", .project = "proj_a", .principal = "user_ann", .model = "letters", .by = governance::UsageGroup::kKind});
  EXPECT_EQ(paid.at(0).requests, 6) << "each once, however many turns it took";
}

TEST_F(IngestTurnsTest, AJobWithARowThatCannotBeReadIsPassedBy) {
  const Call ann = call("ann");
  const struct { std::string table, where; } rows[] = {{"ingest_jobs", "id = ?"}, {"ingest_files", "job = ?"}};
  int round = 0;
  for (const auto& [table, where] : rows) {
    const std::string name = "f" + std::to_string(round++);
    const std::string damaged = create(ann, {{name + "a.txt", name + " one"}}, "public", false), whole = create(ann, {{name + "b.txt", name + " two"}}, "public", false);
    const Bytes sealed = *sql_->query("SELECT sealed FROM " + table + " WHERE " + where, {damaged})->at(0).get<Bytes>(0);
    Bytes broken = sealed;
    broken.back() ^= std::byte{1};
    ASSERT_TRUE(sql_->execute("UPDATE " + table + " SET sealed = ? WHERE " + where, {broken, damaged}));
    testing::internal::CaptureStderr();
    ASSERT_TRUE(ingest_->start_worker());
    EXPECT_EQ(ended(ann, whole).status, JobStatus::kCompleted);
    std::this_thread::sleep_for(std::chrono::milliseconds(400));  // tried again twice
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(ingest_->progress(ann, damaged)->status, JobStatus::kRunning);
    const std::string line = "job=" + damaged;
    EXPECT_NE(said.find(line), std::string::npos) << said;
    EXPECT_EQ(said.find(line), said.rfind(line)) << "once: " << said;
    ASSERT_TRUE(sql_->execute("UPDATE " + table + " SET sealed = ? WHERE " + where, {sealed, damaged}));
    EXPECT_EQ(ended(ann, damaged).status, JobStatus::kCompleted);
    EXPECT_EQ(hits(ann, name), 2u);
    ingest_->stop_worker();
  }
}

}  // namespace
}  // namespace stoa::data
