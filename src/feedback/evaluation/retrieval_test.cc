#include "feedback/evaluation/retrieval.h"

#include <cmath>
#include <cstdlib>

#include <gtest/gtest.h>

#include "governance/protection/memory_protection.h"
#include "infra/blob/blob.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::feedback {
namespace {

std::vector<FoundItem> items(std::initializer_list<const char*> ids) {
  std::vector<FoundItem> out;
  for (const char* id : ids) out.push_back({.id = id, .excerpt = "e"});
  return out;
}

double metric(const EvaluationRun& run, const std::string& name) { return std::ranges::find(run.metrics, name, &Metric::name)->value; }

TEST(Retrieval, NumbersAsDefined) {
  const QuestionSet set{"s", {{"a", "", "A"}, {"b", "", "B"}, {"c", "", "C"}}, {{"1", "first", {{0, 1}}}, {"2", "third", {{1, 1}}}, {"3", "none", {{2, 1}}}, {"4", "repeated", {{0, 1}}}, {"5", "unanswerable", {}}, {"6", "several", {{0, 1}, {1, 2}}}}};
  const Searcher search = [](const std::string& question, std::size_t) -> Result<std::vector<FoundItem>> {
    EXPECT_NE(question, "unanswerable");
    if (question == "third") return items({"a", "c", "b"});
    if (question == "repeated") return items({"b", "b", "b", "a"});  // second of the distinct ones
    if (question == "several") return items({"a", "c", "b"});
    return items({"a", "b"});
  };
  const auto run = evaluate_retrieval({}, set, "made up", search);
  ASSERT_TRUE(run) << run.error().message;
  ASSERT_EQ(run->questions.size(), 5u);
  EXPECT_DOUBLE_EQ(metric(*run, "recall@1"), (1 + 0.5) / 5);
  EXPECT_DOUBLE_EQ(metric(*run, "recall@5"), 4.0 / 5);
  EXPECT_DOUBLE_EQ(run->recall[1], (1 + 1 + 0.5) / 5);
  EXPECT_DOUBLE_EQ(metric(*run, "mrr@10"), (1 + 1.0 / 3 + 0.5 + 1) / 5);
  const double several = (1 + 2 * 0.5) / (2 + 1 / std::log2(3.0));
  EXPECT_NEAR(metric(*run, "ndcg@10"), (1 + 0.5 + 1 / std::log2(3.0) + several) / 5, 1e-12);
  EXPECT_NEAR(metric(*run, "map@10"), (1 + 1.0 / 3 + 0.5 + (1 + 2.0 / 3) / 2) / 5, 1e-12);
  EXPECT_EQ(run->questions[2].problem, "none of its paragraphs is among the first ten");
  EXPECT_EQ(run->questions[2].expected, std::vector<std::string>{"c"});
  EXPECT_EQ(run->questions[2].wanted, "C");
  EXPECT_EQ(run->questions[1].rank, 3);
  EXPECT_TRUE(run->questions[1].found[0].excerpt.empty()) << "only of those with a problem";
  EXPECT_EQ(run->questions[2].found[0].excerpt, "e");
  const Searcher broken = [](const std::string&, std::size_t) -> Result<std::vector<FoundItem>> { return fail(ErrorCode::kUnavailable, "down"); };
  EXPECT_EQ(evaluate_retrieval({}, set, "", broken).error().code, ErrorCode::kUnavailable);
  Call cancelled;
  cancelled.cancel.cancel();
  EXPECT_EQ(evaluate_retrieval(cancelled, set, "", search).error().code, ErrorCode::kCancelled);
  EXPECT_EQ(evaluate_retrieval({}, {"s", set.paragraphs, {set.questions[4]}}, "", search).error().code, ErrorCode::kInvalidArgument);
}

// Words alone, through files, chunks, index and retriever: the numbers of a plain BM25 with light stemming on this set.
TEST(Retrieval, TextSearchOnSquad) {
  const char* folder = std::getenv("STOA_TEST_DATA");
  const std::filesystem::path file = std::filesystem::path(folder != nullptr ? folder : STOA_SOURCE_DIR "/../shared/data") / "squad/dev-v2.0.json";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not there";
  const auto set = load_questions(file);
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
  data::SearchOptions text;
  text.mode = data::SearchMode::kText;
  const auto run = evaluate_retrieval(call, *set, "text", retriever_searcher(call, retriever, collection->id, text));
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ(run->questions.size(), 2910u);
  EXPECT_GE(metric(*run, "recall@5"), 0.945);
  EXPECT_GE(metric(*run, "mrr@10"), 0.875);
  EXPECT_DOUBLE_EQ(metric(*run, "map@10"), metric(*run, "mrr@10")) << "of one right paragraph";
  EXPECT_EQ(run->questions[0].found[0].text_rank, 1);
}

}  // namespace
}  // namespace stoa::feedback
