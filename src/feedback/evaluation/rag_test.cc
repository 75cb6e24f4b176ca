#include "feedback/evaluation/rag.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace stoa::feedback {
namespace {

const QuestionSet kSet{"s",
                       {{"p1", "", "Keys rotate every ninety days. The gate is red."}, {"p2", "", "The office opens at eight."}, {"p3", "", "Ninety days pass."}},
                       {{"1", "how often?", {{0, 1}}, {"ninety days", "every ninety days"}, {"Keys rotate every ninety days."}},
                        {"2", "when?", {{1, 1}}, {"eight"}, {"The office opens at eight."}},
                        {"3", "who?", {}},
                        {"4", "why?", {}}}};

RagPassage passage(std::size_t i) { return {{.id = kSet.paragraphs[i].id, .excerpt = "e"}, kSet.paragraphs[i].text, ""}; }

// One good answer of two sentences, one refusal, one wrong answer to what has none, one right refusal.
Result<RagAnswer> answer(const std::string& question) {
  if (question == "how often?") return RagAnswer{"Keys rotate every ninety days. Cows fly.", true, {passage(1), passage(2), passage(0)}, {{0, 30, 2, "rotate every ninety days", 5}, {31, 40, 1, "no such words"}}, 100, 10, true};
  if (question == "when?") return RagAnswer{"The documents do not say.", false, {passage(0), passage(2)}, {}, 50, 4};
  if (question == "who?") return RagAnswer{"The gate is red.", true, {passage(0)}, {{0, 16, 0, "The gate is red.", 31}}, 50, 6};
  return RagAnswer{"The documents do not say.", false, {}, {}, 0, 0};
}

std::vector<std::string> claims(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('.'), text.size() - 1) + 1;
    out.emplace_back(text.substr(text.front() == ' ', end - (text.front() == ' ')));
    text.remove_prefix(end);
  }
  return out;
}

Result<std::vector<bool>> supported(std::span<const std::string> texts, std::span<const std::string> statements) {
  std::vector<bool> out;
  for (const std::string& statement : statements) out.push_back(std::ranges::any_of(texts, [&](const std::string& text) { return text.contains(statement); }));
  return out;
}

double metric(const EvaluationRun& run, const std::string& name) {
  const auto at = std::ranges::find(run.metrics, name, &Metric::name);
  return at == run.metrics.end() ? -1 : at->value;
}

TEST(Rag, NumbersAsDefined) {
  const auto run = evaluate_rag({}, kSet, "made up", {answer, claims, supported});
  ASSERT_TRUE(run) << run.error().message;
  ASSERT_EQ(run->questions.size(), 4u);
  const struct {
    const char* name;
    double value;
  } expected[] = {
      {"exact_match", 1.0 / 4},                        // the right refusal alone
      {"f1", (2.0 * 3 / (7 + 3) + 1) / 4},             // seven words share "every ninety days"; and the refusal
      {"contains_answer", 1.0 / 2},
      {"faithfulness", (0.5 + 1) / 2},                 // of two answers: one sentence of two, one of one
      {"context_precision", ((1.0 / 2 + 2.0 / 3) / 2 + 0) / 2},  // p3 holds "ninety days", p1 is the right one; and nothing
      {"context_recall", (1.0 + 0) / 2},
      {"answer_accuracy", 2.0 / 4},
      {"balanced_accuracy", 0.5},
      {"majority_baseline", 0.5},
      {"citation_literal", 2.0 / 3},
      {"citation_right", 2.0 / 2},                     // p1, and p3 which holds a reference answer
      {"citation_correct", 1.0 / 2},
      {"generated", 1.0 / 2},
      {"prompt_tokens", 50},
      {"completion_tokens", 5},
  };
  for (const auto& [name, value] : expected) EXPECT_DOUBLE_EQ(metric(*run, name), value) << name;
  EXPECT_EQ(run->metrics.size(), std::size(expected));
  ASSERT_TRUE(run->confusion);
  EXPECT_EQ(run->confusion->unanswerable_answered, 1u);
  EXPECT_EQ(run->questions[0].rank, 2);
  EXPECT_EQ(run->questions[0].problem, "a sentence of the answer is not supported by what was found");
  EXPECT_EQ(run->questions[1].problem, "refused: no passage that was found answers it");
  EXPECT_EQ(run->questions[2].problem, "answered, though the documents do not answer it");
  EXPECT_EQ(run->questions[3].problem, "");
}

TEST(Rag, Errors) {
  const RagFunctions good{answer, claims, supported};
  RagFunctions broken = good;
  broken.answer = [](const std::string&) -> Result<RagAnswer> { return fail(ErrorCode::kUnavailable, "down"); };
  EXPECT_EQ(evaluate_rag({}, kSet, "", broken).error().code, ErrorCode::kUnavailable);
  broken = good;
  broken.supported = [](std::span<const std::string>, std::span<const std::string>) -> Result<std::vector<bool>> { return std::vector<bool>{}; };
  EXPECT_EQ(evaluate_rag({}, kSet, "", broken).error().code, ErrorCode::kInternal);
  const QuestionSet beir{"b", kSet.paragraphs, {{"1", "how often?", {{0, 1}}}}};
  EXPECT_EQ(evaluate_rag({}, beir, "", good).error().code, ErrorCode::kInvalidArgument);
  Call cancelled;
  cancelled.cancel.cancel();
  EXPECT_EQ(evaluate_rag(cancelled, kSet, "", good).error().code, ErrorCode::kCancelled);
}

TEST(Rag, ACitationThatNamesNothingIsNeither) {
  RagFunctions functions{answer, claims, supported};
  functions.answer = [](const std::string&) -> Result<RagAnswer> { return RagAnswer{"Eight.", true, {passage(1)}, {{0, 6, 7, "The office"}, {3, 90, 0, "The office"}, {0, 6, 0, ""}}, 0, 0}; };
  const auto run = evaluate_rag({}, {"s", kSet.paragraphs, {kSet.questions[1]}}, "", functions);
  ASSERT_TRUE(run);
  EXPECT_EQ(metric(*run, "citation_literal"), 0);
  EXPECT_DOUBLE_EQ(metric(*run, "citation_right"), 1.0 / 3);
  EXPECT_EQ(metric(*run, "citation_correct"), 0);
  EXPECT_EQ(metric(*run, "contains_answer"), 1);
}

// What stands around a passage was read with it: a quote from there is one where the citation says so, and supports.
TEST(Rag, AQuoteFromAroundAPassage) {
  const struct {
    std::size_t from;
    bool in_context;
    double literal;
  } cases[] = {{0, true, 1}, {0, false, 0.5}, {1, true, 0.5}, {1000, true, 0.5}};
  for (const auto& c : cases) {
    RagFunctions functions{answer, claims, supported};
    functions.answer = [&](const std::string&) -> Result<RagAnswer> {
      RagPassage found = passage(1);
      found.context = "It is a bank. " + found.text;
      return RagAnswer{"It is a bank. The office opens at eight.", true, {found}, {{0, 13, 0, "It is a bank.", c.from, c.in_context}, {14, 40, 0, "The office opens at eight."}}, 0, 0};
    };
    const auto run = evaluate_rag({}, {"s", kSet.paragraphs, {kSet.questions[1]}}, "", functions);
    ASSERT_TRUE(run);
    EXPECT_EQ(metric(*run, "citation_literal"), c.literal) << c.from << c.in_context;
    EXPECT_EQ(metric(*run, "faithfulness"), 1);
  }
}

}  // namespace
}  // namespace stoa::feedback
