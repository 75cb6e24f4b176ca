#include "feedback/evaluation/rag.h"

#include <algorithm>
#include <chrono>

namespace stoa::feedback {
namespace {

// Shares that are counted over all citations rather than over questions.
struct CitationTally {
  std::size_t all = 0, literal = 0, of_answerable = 0, right = 0, correct = 0;
};

struct RagRun {
  const QuestionSet& set;
  const RagFunctions& functions;
  EvaluationRun run;
  AnswerConfusion confusion;
  CitationTally citations;

  Status add(const Question& question, const RagAnswer& answer, double milliseconds);
  void finish();

 private:
  bool is_right(const Question& question, const RagPassage& passage) const;
  void judge_answer(const Question& question, const RagAnswer& answer, QuestionOutcome& outcome) const;
  Status judge_support(const Question& question, const RagAnswer& answer, QuestionOutcome& outcome) const;
  void judge_citations(const Question& question, const RagAnswer& answer, QuestionOutcome& outcome);
};

bool RagRun::is_right(const Question& question, const RagPassage& passage) const {
  const bool own = std::ranges::any_of(question.relevant, [&](const auto& entry) { return set.paragraphs[entry.first].id == passage.item.id; });
  return own || std::ranges::any_of(question.answers, [&](const std::string& reference) { return contains_answer(passage.text, reference); });
}

void RagRun::judge_answer(const Question& question, const RagAnswer& answer, QuestionOutcome& outcome) const {
  double& exact = outcome.values["exact_match"] = 0;
  double& f1 = outcome.values["f1"] = 0;
  if (!question.answerable()) {
    exact = f1 = answer.answered ? 0 : 1;
    return;
  }
  double& contains = outcome.values["contains_answer"] = 0;
  if (!answer.answered) return;
  for (const std::string& reference : question.answers) {
    exact = std::max(exact, exact_match(answer.text, reference) ? 1.0 : 0.0);
    f1 = std::max(f1, word_f1(answer.text, reference));
    contains = std::max(contains, contains_answer(answer.text, reference) ? 1.0 : 0.0);
  }
}

Status RagRun::judge_support(const Question& question, const RagAnswer& answer, QuestionOutcome& outcome) const {
  std::vector<std::string> statements;
  if (answer.answered) statements = functions.claims(answer.text);
  const std::size_t claims = statements.size();
  statements.insert(statements.end(), question.sentences.begin(), question.sentences.end());
  if (statements.empty()) return {};
  std::vector<std::string> texts;
  for (const RagPassage& passage : answer.passages) texts.push_back(passage.widest());
  STOA_TRY(supported, functions.supported(texts, statements));
  if (supported.size() != statements.size()) return fail(ErrorCode::kInternal, "{} judgements of {} statements", supported.size(), statements.size());
  // A reference's sentence that stands in a passage as it is needs no judge.
  for (std::size_t i = claims; i < statements.size(); ++i)
    supported[i] = supported[i] || std::ranges::any_of(texts, [&](const std::string& text) { return text.contains(statements[i]); });
  const auto share = [&](std::size_t begin, std::size_t end) {
    return static_cast<double>(std::count(supported.begin() + static_cast<std::ptrdiff_t>(begin), supported.begin() + static_cast<std::ptrdiff_t>(end), true)) / static_cast<double>(end - begin);
  };
  if (claims > 0) outcome.values["faithfulness"] = share(0, claims);
  if (claims < statements.size()) outcome.values["context_recall"] = share(claims, statements.size());
  return {};
}

void RagRun::judge_citations(const Question& question, const RagAnswer& answer, QuestionOutcome& outcome) {
  if (!answer.answered || answer.citations.empty()) return;
  std::size_t correct = 0;
  for (const RagCitation& citation : answer.citations) {
    const bool there = citation.passage < answer.passages.size() && citation.begin < citation.end && citation.end <= answer.text.size();
    const RagPassage* passage = there ? &answer.passages[citation.passage] : nullptr;
    std::string_view source;
    if (passage != nullptr) source = citation.in_context ? passage->context : passage->text;
    const bool literal = !citation.quote.empty() && citation.from < source.size() && source.substr(citation.from).starts_with(citation.quote);
    const bool right = passage != nullptr && question.answerable() && is_right(question, *passage);
    ++citations.all;
    citations.literal += literal;
    citations.of_answerable += question.answerable();
    citations.right += right;
    correct += literal && right;
  }
  citations.correct += correct;
  if (question.answerable()) outcome.values["citation_correct"] = static_cast<double>(correct) / static_cast<double>(answer.citations.size());
}

Status RagRun::add(const Question& question, const RagAnswer& answer, double milliseconds) {
  QuestionOutcome outcome{.id = question.id, .question = question.text, .expected = question.answers, .wanted = {}, .answer = answer.text, .problem = {}, .rank = 0, .milliseconds = milliseconds, .values = {}, .found = {}};
  std::vector<int> grades;
  for (const RagPassage& passage : answer.passages) {
    outcome.found.push_back(passage.item);
    grades.push_back(outcome.found.back().grade = question.answerable() && is_right(question, passage));
    if (grades.back() > 0 && outcome.rank == 0) outcome.rank = static_cast<int>(grades.size());
  }
  judge_answer(question, answer, outcome);
  if (question.answerable()) outcome.values["context_precision"] = context_precision(grades, grades.size());
  STOA_CHECK(judge_support(question, answer, outcome));
  judge_citations(question, answer, outcome);
  confusion.add(question.answerable(), answer.answered);
  outcome.values["answer_accuracy"] = question.answerable() == answer.answered ? 1 : 0;
  if (answer.answered) outcome.values["generated"] = answer.generated ? 1 : 0;
  outcome.values["prompt_tokens"] = static_cast<double>(answer.prompt_tokens);
  outcome.values["completion_tokens"] = static_cast<double>(answer.completion_tokens);
  if (!question.answerable() && answer.answered) outcome.problem = "answered, though the documents do not answer it";
  else if (question.answerable() && !answer.answered) outcome.problem = outcome.rank > 0 ? fmt::format("refused, though the passage at {} answers it", outcome.rank) : "refused: no passage that was found answers it";
  else if (question.answerable() && !question.answers.empty() && outcome.values["contains_answer"] == 0) outcome.problem = outcome.rank > 0 ? "the answer is another than expected" : "the answer is another than expected: no passage that was found holds it";
  else if (const auto at = outcome.values.find("faithfulness"); at != outcome.values.end() && at->second < 1) outcome.problem = "a sentence of the answer is not supported by what was found";
  if (outcome.problem.empty())
    for (FoundItem& item : outcome.found) item.excerpt.clear();
  run.questions.push_back(std::move(outcome));
  return {};
}

void RagRun::finish() {
  run.add_mean("exact_match", "the answer equals a reference (SQuAD 2.0)");
  run.add_mean("f1", "words shared with a reference (SQuAD 2.0)");
  run.add_mean("contains_answer", "answerable: the answer holds a reference");
  run.add_mean("faithfulness", "answered: sentences that the passages support");
  run.add_mean("context_precision", "answerable: right passages stand before others");
  run.add_mean("context_recall", "answerable: the reference's sentence is among the passages");
  run.metrics.push_back({"answer_accuracy", confusion.accuracy(), "answered where there is an answer, refused where there is none"});
  run.metrics.push_back({"balanced_accuracy", confusion.balanced_accuracy(), "the same, both kinds of question weighing alike"});
  run.metrics.push_back({"majority_baseline", confusion.majority_baseline(), "answer_accuracy of always answering, or never"});
  const auto share = [&](const char* name, std::size_t part, std::size_t whole, const char* about) {
    if (whole > 0) run.metrics.push_back({name, static_cast<double>(part) / static_cast<double>(whole), about});
  };
  share("citation_literal", citations.literal, citations.all, "citations whose quote stands at its place in the passage or around it");
  share("citation_right", citations.right, citations.of_answerable, "citations whose passage is right");
  share("citation_correct", citations.correct, citations.of_answerable, "citations that are both");
  run.add_mean("generated", "answered: written by the model, not quoted");
  run.add_mean("prompt_tokens", "read for an answer");
  run.add_mean("completion_tokens", "written for an answer");
  run.confusion = confusion;
  run.time_questions();
}

}  // namespace

Result<EvaluationRun> evaluate_rag(const Call& call, const QuestionSet& set, const std::string& name, const RagFunctions& functions, const EvaluationProgress& progress) {
  if (std::ranges::none_of(set.questions, [](const Question& question) { return !question.answerable() || !question.answers.empty(); }))
    return fail(error(ErrorCode::kInvalidArgument, "{}: no question has a reference answer", set.name).with_hint("answers are measured on sets in the format of SQuAD"));
  RagRun all{.set = set, .functions = functions, .run = {}, .confusion = {}, .citations = {}};
  all.run.name = name;
  for (std::size_t i = 0; i < set.questions.size(); ++i) {
    STOA_CHECK(check_goes_on(call, i, set.questions.size()));
    const auto begin = std::chrono::steady_clock::now();
    STOA_TRY(answer, functions.answer(set.questions[i].text));
    const double milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    STOA_CHECK(all.add(set.questions[i], answer, milliseconds));
    if (progress) progress(i + 1, set.questions.size());
  }
  all.finish();
  return std::move(all.run);
}

}  // namespace stoa::feedback
