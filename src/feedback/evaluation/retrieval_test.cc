#include "feedback/evaluation/retrieval.h"

#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>

#include "base/id.h"
#include "governance/protection/memory_protection.h"
#include "infra/blob/blob.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::feedback {
namespace {

std::filesystem::path write_file(std::string_view text) {
  const auto file = std::filesystem::temp_directory_path() / (new_id("squad_test") + ".json");
  std::ofstream(file, std::ios::binary) << text;
  return file;
}

TEST(Squad, LoadsAndRefuses) {
  const auto good = write_file(R"({"version":"v2.0","data":[{"title":"T","paragraphs":[{"context":"c1","qas":[
      {"id":"1","question":"q1","is_impossible":false},{"id":"2","question":"q2","is_impossible":true}]},{"context":"c2","qas":[{"id":"3","question":"q3"}]}]}]})");
  const auto set = load_squad(good);
  ASSERT_TRUE(set) << set.error().message;
  ASSERT_EQ(set->paragraphs.size(), 2u);
  EXPECT_EQ(set->paragraphs[1].text, "c2");
  ASSERT_EQ(set->questions.size(), 2u);
  EXPECT_EQ(set->questions[1].paragraph, 1u);
  EXPECT_EQ(set->unanswerable, 1u);
  std::filesystem::remove(good);
  for (const std::string_view bad : {"", "[]", "{}", R"({"data":{}})", R"({"data":[{"paragraphs":[{"context":"x"}]}]})", R"({"data":[{"paragraphs":[{"context":7,"qas":[]}]}]})",
                                     R"({"data":[{"paragraphs":[{"context":"x","qas":[1]}]}]})", R"({"data":[]})"}) {
    const auto file = write_file(bad);
    const auto result = load_squad(file);
    ASSERT_FALSE(result) << bad;
    EXPECT_TRUE(result.error().message.starts_with(file.string())) << result.error().message;
    std::filesystem::remove(file);
  }
  EXPECT_EQ(load_squad("/does/not/exist").error().code, ErrorCode::kNotFound);
}

TEST(Evaluate, NumbersAsDefined) {
  QuestionSet set{"s", {{"a", "", "A"}, {"b", "", "B"}, {"c", "", "C"}}, {{"1", "first", 0}, {"2", "third", 1}, {"3", "none", 2}, {"4", "repeated", 0}}, 0};
  const auto search = [](const std::string& question, std::size_t) -> Result<std::vector<std::string>> {
    if (question == "first") return std::vector<std::string>{"a", "b"};
    if (question == "third") return std::vector<std::string>{"a", "c", "b"};
    if (question == "repeated") return std::vector<std::string>{"b", "b", "b", "a"};  // second of the distinct ones
    return std::vector<std::string>{"a", "b"};
  };
  const auto report = evaluate_retrieval({}, set, search);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->questions, 4u);
  EXPECT_DOUBLE_EQ(report->recall_at_1, 0.25);
  EXPECT_DOUBLE_EQ(report->recall_at_5, 0.75);
  EXPECT_DOUBLE_EQ(report->mrr_at_10, (1 + 1.0 / 3 + 0.5) / 4);
  EXPECT_NEAR(report->ndcg_at_10, (1 + 0.5 + 0.63092975) / 4, 1e-8);
  ASSERT_EQ(report->failures.size(), 1u);
  EXPECT_EQ(report->failures[0].question_id, "3");
  EXPECT_EQ(report->to_json().at("failures").as_array().size(), 1u);
  EXPECT_TRUE(report->to_text().contains("recall@5  0.7500"));
  const auto broken = [](const std::string&, std::size_t) -> Result<std::vector<std::string>> { return fail(ErrorCode::kUnavailable, "down"); };
  EXPECT_EQ(evaluate_retrieval({}, set, broken).error().code, ErrorCode::kUnavailable);
  Call cancelled;
  cancelled.cancel.cancel();
  EXPECT_EQ(evaluate_retrieval(cancelled, set, search).error().code, ErrorCode::kCancelled);
}

// Words alone, through files, chunks, index and retriever: the numbers of a plain BM25 with light stemming on this set.
TEST(Evaluate, TextSearchOnSquad) {
  const char* folder = std::getenv("STOA_TEST_DATA");
  const std::filesystem::path file = std::filesystem::path(folder != nullptr ? folder : STOA_SOURCE_DIR "/../shared/data") / "squad/dev-v2.0.json";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not there";
  const auto set = load_squad(file);
  ASSERT_TRUE(set) << set.error().message;
  auto sql = std::move(*infra::open_memory());
  governance::MemoryProtection protection(*sql);
  data::Index index;
  data::Catalog catalog(*sql, protection.blobs, index);
  ASSERT_TRUE(catalog.open(""));
  data::Ingest ingest(catalog, nullptr);
  ASSERT_TRUE(ingest.start_worker());
  Call call;
  call.principal = {"user_1", "tenant_1", "proj_1", "ann", {}, "developer"};
  const auto collection = catalog.create_collection(call, {"squad", {}, {}});
  ASSERT_TRUE(collection);
  const Status ingested = ingest_paragraphs(call, ingest, collection->id, *set);
  ASSERT_TRUE(ingested) << ingested.error().message;
  data::Retriever retriever(catalog, index, nullptr);
  const auto report = evaluate_retrieval(call, *set, retriever_searcher(call, retriever, collection->id, data::SearchMode::kText));
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GE(report->recall_at_5, 0.945) << report->to_text();
  EXPECT_GE(report->mrr_at_10, 0.875) << report->to_text();
}

}  // namespace
}  // namespace stoa::feedback
