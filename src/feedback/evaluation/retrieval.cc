#include "feedback/evaluation/retrieval.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "base/utf8.h"
#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"

namespace stoa::feedback {
namespace {

constexpr std::size_t kDepth = 10;           // how far down a right answer counts
constexpr std::size_t kAsked = 2 * kDepth;   // passages asked for: several may be of one paragraph
constexpr std::size_t kProblemBelow = 5, kKept = 5, kExcerpt = 240;
constexpr std::size_t kFilesOfJob = 10'000;

std::string beginning(std::string_view text) {
  text = text.substr(0, kExcerpt);
  return std::string(text.substr(0, complete_utf8_prefix(text)));
}

// The first passage of each paragraph, at most kDepth of them.
std::vector<FoundItem> distinct(std::vector<FoundItem> found) {
  std::vector<FoundItem> first;
  for (FoundItem& item : found)
    if (first.size() < kDepth && std::ranges::find(first, item.id, &FoundItem::id) == first.end()) first.push_back(std::move(item));
  return first;
}

QuestionOutcome judge(const QuestionSet& set, const Question& question, std::vector<FoundItem> found) {
  QuestionOutcome outcome{.id = question.id, .question = question.text, .expected = {}, .wanted = {}, .answer = {}, .problem = {}, .rank = 0, .milliseconds = 0, .values = {}, .found = distinct(std::move(found))};
  std::vector<int> relevant, grades;
  std::map<std::string_view, int> by_id;
  for (const auto& [paragraph, grade] : question.relevant) {
    outcome.expected.push_back(set.paragraphs[paragraph].id);
    by_id[set.paragraphs[paragraph].id] = grade;
    relevant.push_back(grade);
  }
  for (FoundItem& item : outcome.found) {
    const auto at = by_id.find(item.id);
    item.grade = at == by_id.end() ? 0 : at->second;
    grades.push_back(item.grade);
  }
  const auto first = std::ranges::find_if(grades, [](int grade) { return grade > 0; });
  outcome.rank = first == grades.end() ? 0 : static_cast<int>(first - grades.begin()) + 1;
  for (std::size_t k = 1; k <= kDepth; ++k) outcome.values[fmt::format("recall@{}", k)] = recall_at(grades, relevant, k);
  outcome.values["mrr@10"] = reciprocal_rank(grades, kDepth);
  outcome.values["ndcg@10"] = ndcg_at(grades, relevant, kDepth);
  outcome.values["map@10"] = average_precision(grades, relevant, kDepth);
  if (outcome.rank == 0) outcome.problem = "none of its paragraphs is among the first ten";
  else if (outcome.rank > static_cast<int>(kProblemBelow)) outcome.problem = fmt::format("its first paragraph stands at {}", outcome.rank);
  else if (outcome.found.size() > kKept) outcome.found.resize(kKept);
  if (outcome.problem.empty()) {
    for (FoundItem& item : outcome.found) item.excerpt.clear();
  } else {
    outcome.wanted = beginning(set.paragraphs[std::ranges::max_element(question.relevant, {}, [](const auto& entry) { return entry.second; })->first].text);
  }
  return outcome;
}

}  // namespace

Status check_goes_on(const Call& call, std::size_t done, std::size_t total) {
  if (call.cancel.cancelled()) return fail(ErrorCode::kCancelled, "the evaluation was cancelled");
  if (call.deadline.passed()) return fail(ErrorCode::kDeadlineExceeded, "the evaluation took too long, {} of {} were done", done, total);
  return {};
}

Result<EvaluationRun> evaluate_retrieval(const Call& call, const QuestionSet& set, const std::string& name, const Searcher& search, const EvaluationProgress& progress) {
  const auto total = static_cast<std::size_t>(std::ranges::count_if(set.questions, &Question::answerable));
  if (total == 0) return fail(ErrorCode::kInvalidArgument, "{}: no answerable question to ask", set.name);
  EvaluationRun run;
  run.name = name;
  for (const Question& question : set.questions) {
    if (!question.answerable()) continue;
    STOA_CHECK(check_goes_on(call, run.questions.size(), total));
    const auto begin = std::chrono::steady_clock::now();
    STOA_TRY(found, search(question.text, kAsked));
    const double milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    run.questions.push_back(judge(set, question, std::move(found)));
    run.questions.back().milliseconds = milliseconds;
    if (progress) progress(run.questions.size(), total);
  }
  for (std::size_t k = 1; k <= kDepth; ++k) {
    const std::string value = fmt::format("recall@{}", k);
    double sum = 0;
    for (const QuestionOutcome& outcome : run.questions) sum += outcome.values.at(value);
    run.recall.push_back(sum / static_cast<double>(total));
  }
  for (const int k : {1, 5, 10}) run.add_mean(fmt::format("recall@{}", k), fmt::format("share of the right paragraphs among the first {}", k));
  run.add_mean("mrr@10", "1 / place of the first right paragraph");
  run.add_mean("ndcg@10", "gains by place, as a share of the best order's");
  run.add_mean("map@10", "precision at the places of the right paragraphs");
  run.time_questions();
  return run;
}

Status ingest_paragraphs(const Call& call, data::Ingest& ingest, const std::string& collection, const QuestionSet& set, std::span<const std::size_t> chosen, const AccessList& readers) {
  for (std::size_t begin = 0; begin < chosen.size(); begin += kFilesOfJob) {
    data::IngestSpec spec;
    spec.collection = collection;
    spec.source = set.name;
    spec.access = readers;
    std::map<std::string, const std::string*> texts;
    for (const std::size_t index : chosen.subspan(begin, std::min(kFilesOfJob, chosen.size() - begin))) {
      const Paragraph& paragraph = set.paragraphs[index];
      const std::string digest = "sha256:" + infra::sha256_hex(paragraph.text);
      spec.files.push_back({paragraph.id, digest, static_cast<std::int64_t>(paragraph.text.size()), "text/plain"});
      texts[digest] = &paragraph.text;
    }
    STOA_TRY(job, ingest.create_job(call, spec));
    for (const auto& digest : job.missing) STOA_CHECK(ingest.put_blob(call, job.id, digest, as_bytes(*texts.at(digest))));
    STOA_CHECK(ingest.start(call, job.id));
    STOA_TRY(end, ingest.wait(call, job.id, call.deadline));
    if (end.status != data::JobStatus::kCompleted) return fail(ErrorCode::kDeadlineExceeded, "{} of {} paragraphs were brought in", end.done, end.total);
    if (end.failed > 0) return fail(ErrorCode::kInternal, "{} paragraphs could not be brought in; the first: {}: {}", end.failed, end.errors.front().path, end.errors.front().message);
  }
  return {};
}

Status ingest_paragraphs(const Call& call, data::Ingest& ingest, const std::string& collection, const QuestionSet& set) {
  std::vector<std::size_t> all(set.paragraphs.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return ingest_paragraphs(call, ingest, collection, set, all, {.is_public = true});
}

FoundItem found_item(const data::Found& found) {
  const Passage& passage = found.passage;
  const data::Standing& why = found.why;
  return {.id = passage.path, .grade = 0, .score = passage.score, .text_rank = why.text_rank, .vector_rank = why.vector_rank, .text_score = why.text_score,
          .passage_cosine = why.passage_cosine, .sentence_cosine = why.sentence_cosine, .relevance = why.relevance, .excerpt = beginning(passage.text)};
}

Searcher retriever_searcher(const Call& call, data::Retriever& retriever, const std::string& collection, const data::SearchOptions& options) {
  return [call, &retriever, collection, options](const std::string& question, std::size_t k) -> Result<std::vector<FoundItem>> {
    data::SearchOptions asked = options;
    asked.k = k;
    STOA_TRY(found, retriever.find(call, std::span(&collection, 1), question, asked));
    std::vector<FoundItem> items;
    for (const data::Found& one : found) items.push_back(found_item(one));
    return items;
  };
}

}  // namespace stoa::feedback
