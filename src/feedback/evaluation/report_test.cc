#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "feedback/evaluation/compare.h"
#include "feedback/evaluation/page.h"
#include "feedback/evaluation/report.h"

namespace stoa::feedback {
namespace {

QuestionOutcome outcome(const std::string& id, double ndcg, int rank, std::string problem = "") {
  QuestionOutcome made{.id = id, .question = "What of " + id + " <script>?", .expected = {"p1"}, .wanted = "It <i>was", .answer = {}, .problem = std::move(problem), .rank = rank, .milliseconds = 2 + ndcg, .values = {{"ndcg@10", ndcg}}, .found = {}};
  made.found.push_back({.id = "p1", .grade = 1, .score = 0.5, .text_rank = 2, .vector_rank = 0, .text_score = 0.25, .passage_cosine = 0.125, .sentence_cosine = 0, .relevance = 0.75, .excerpt = "<b>x"});
  return made;
}

EvaluationReport report(std::vector<double> values) {
  EvaluationReport made{.kind = "retrieval", .name = "set.json", .settings = {{"stoa", "1"}, {"seed", "1"}}, .runs = {}};
  EvaluationRun run;
  run.name = "hybrid";
  for (std::size_t i = 0; i < values.size(); ++i) run.questions.push_back(outcome("q" + std::to_string(i), values[i], static_cast<int>(i), values[i] < 0.5 ? "far down" : ""));
  run.add_mean("ndcg@10", "gains");
  run.recall = {0.5, 0.75};
  run.confusion = AnswerConfusion{1, 2, 3, 4};
  run.time_questions();
  made.runs.push_back(std::move(run));
  return made;
}

std::string page_template() {
  std::ifstream in(STOA_SOURCE_DIR "/share/evaluation.html", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Report, ComesBackAsItWas) {
  const EvaluationReport written = report({1, 0.25, 0.5});
  const std::string text = dump_json(written.to_json(true));
  const auto read = parse_report(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(dump_json(read->to_json(true)), text);
  EXPECT_EQ(read->runs[0].questions[1].problem, "far down");
  EXPECT_EQ(read->runs[0].questions[1].found[0].relevance, 0.75);
  EXPECT_EQ(read->runs[0].confusion->unanswerable_refused, 4u);
  EXPECT_EQ(written.to_json(false).at("runs").at(0).at("problems").as_array().size(), 1u);
  EXPECT_TRUE(written.to_text().contains("ndcg@10")) << written.to_text();
}

TEST(Report, ErrorsNameTheField) {
  struct Bad {
    std::string_view text, says;
  };
  for (const auto& [text, says] : {Bad{"", ""}, {"[]", "report: not an object"}, {"{}", "'stoa_evaluation' is not 1"}, {R"({"stoa_evaluation":2})", "'stoa_evaluation' is not 1"}, {R"({"stoa_evaluation":1})", "0 runs"},
                                   {R"({"stoa_evaluation":1,"runs":{}})", "'runs' is not a list"}, {R"({"stoa_evaluation":1,"runs":[7]})", "report.runs[0]: not an object"}, {R"({"stoa_evaluation":1,"runs":[{}]})", "report.runs[0]: no 'outcomes'"},
                                   {R"({"stoa_evaluation":1,"runs":[{"outcomes":[{"rank":-1}]}]})", "report.runs[0].outcomes[0]: "}, {R"({"stoa_evaluation":1,"runs":[{"outcomes":[{"values":{"a":"b"}}]}]})", "report.runs[0].outcomes[0].values.a: not a number"},
                                   {R"({"stoa_evaluation":1,"runs":[{"outcomes":[{"found":[{"id":1}]}]}]})", "report.runs[0].outcomes[0].found[0]: "}, {R"({"stoa_evaluation":1,"runs":[{"metrics":[],"outcomes":[]}]})", "'metrics' is not an object"}}) {
    const auto read = parse_report(text);
    ASSERT_FALSE(read) << text;
    EXPECT_TRUE(read.error().message.contains(says)) << read.error().message;
  }
}

TEST(Compare, QuestionByQuestion) {
  EvaluationReport a = report({1, 0.25, 0.5, 0}), b = report({1, 1, 0, 0.5});
  b.settings[1].second = "2";
  b.runs[0].questions.push_back(outcome("only-b", 1, 1));
  const auto compared = compare_reports(a, b);
  ASSERT_TRUE(compared) << compared.error().message;
  EXPECT_EQ(compared->common, 4u);
  EXPECT_EQ(compared->only_a, 0u);
  EXPECT_EQ(compared->only_b, 1u);
  ASSERT_EQ(compared->metrics.size(), 1u);
  const PairedDifference& difference = *compared->metrics[0].difference;
  EXPECT_EQ(difference.wins, 2u);
  EXPECT_EQ(difference.losses, 1u);
  EXPECT_DOUBLE_EQ(difference.mean, (0.75 - 0.5 + 0.5) / 4);
  ASSERT_EQ(compared->better.size(), 2u);
  EXPECT_EQ(compared->better[0].id, "q1") << "the largest first";
  ASSERT_EQ(compared->worse.size(), 1u);
  EXPECT_EQ(compared->worse[0].id, "q2");
  ASSERT_EQ(compared->settings.size(), 1u);
  EXPECT_EQ(compared->settings[0].second.second, "2");
  EXPECT_EQ(compared->to_json().at("metrics").at(0).at("difference").at("wins").as_uint64(), 2u);
  EXPECT_TRUE(compared->to_text().contains("better in B by ndcg@10: What of q1")) << compared->to_text();

  EXPECT_EQ(compare_reports(a, b, "text").error().hint, "it has hybrid");
  for (auto& question : b.runs[0].questions) question.id += "x";
  EXPECT_EQ(compare_reports(a, b).error().code, ErrorCode::kInvalidArgument) << "nothing in common";
  b.kind = "rag";
  EXPECT_EQ(compare_reports(a, b).error().code, ErrorCode::kInvalidArgument);
}

TEST(Page, ShowsTheReportAndKeepsTextsTexts) {
  const auto page = report_page(page_template(), report({1, 0.25, 0.5}));
  ASSERT_TRUE(page) << page.error().message;
  for (const char* part : {"set.json", "Recall at k", "Place of the first right passage", "Latency", "Answered or refused", "ndcg@10", "What of q1 &lt;script&gt;?", "far down", "&lt;b&gt;x", "It &lt;i&gt;was", "0.125", "<svg viewBox=\"0 0 640 260.0\""})
    EXPECT_TRUE(page->contains(part)) << part;
  for (const char* part : {"<script", "<b>x", "{{", "{%", "http://", "https://", ">nan", "\"nan", "\"inf"}) EXPECT_FALSE(page->contains(part)) << part << page->substr(page->find(part) - 60, 100);
  EXPECT_FALSE(report_page(page_template(), EvaluationReport{}));
}

TEST(Page, ShowsAComparison) {
  const auto compared = compare_reports(report({1, 0.25, 0.5, 0}), report({1, 1, 0, 0.5}));
  ASSERT_TRUE(compared);
  const auto page = comparison_page(page_template(), *compared);
  ASSERT_TRUE(page) << page.error().message;
  for (const char* part : {"Two evaluations", "4 questions in both", "Better in B", "Worse in B", "What of q2 &lt;script&gt;?", "Differences", "Nothing: the same settings"}) EXPECT_TRUE(page->contains(part)) << part;
  for (const char* part : {"<script", "{{", "{%", "nan"}) EXPECT_FALSE(page->contains(part)) << part;
}

TEST(Page, ShowsThatNothingLeaked) {
  EvaluationReport made{.kind = "access", .name = "set.json", .settings = {}, .runs = {EvaluationRun{.name = "access", .metrics = {{"leak_rate", 0, "share"}}}}};
  const auto page = report_page(page_template(), made);
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_TRUE(page->contains("Nothing was shown to anybody"));
}

}  // namespace
}  // namespace stoa::feedback
