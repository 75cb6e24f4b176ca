#include "feedback/evaluation/retrieval.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <system_error>

#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"

namespace stoa::feedback {
namespace {

constexpr std::uintmax_t kMaxFile = 256u << 20;
constexpr std::size_t kDepth = 10;            // how far down a right answer counts
constexpr std::size_t kAsked = 2 * kDepth;    // passages asked for: several may be of one paragraph

Result<std::string> read_file(const std::filesystem::path& file) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  if (error) return fail(stoa::error(ErrorCode::kNotFound, "{}: {}", file.string(), error.message()).with_hint("name a file in the SQuAD format"));
  if (size > kMaxFile) return fail(ErrorCode::kTooLarge, "{}: {} bytes, more than {}", file.string(), size, kMaxFile);
  std::string text(size, '\0');
  std::ifstream in(file, std::ios::binary);
  if (!in.read(text.data(), static_cast<std::streamsize>(size))) return fail(ErrorCode::kUnavailable, "{}: cannot be read", file.string());
  return text;
}

Result<const JsonArray*> array_of(const Json& value, std::string_view key) {
  const Json* found = value.is_object() ? find(value.as_object(), key) : nullptr;
  if (found == nullptr || !found->is_array()) return fail(error(ErrorCode::kInvalidArgument, "no list '{}' where one belongs", key).with_hint("the SQuAD format is needed"));
  return &found->as_array();
}

Result<std::string> text_of(const Json& value, std::string_view key) {
  if (!value.is_object()) return fail(ErrorCode::kInvalidArgument, "an entry is not an object");
  STOA_TRY(text, read_string(value.as_object(), key));
  return text.value_or("");
}

Status add_questions(const Json& paragraph, QuestionSet& set) {
  STOA_TRY(questions, array_of(paragraph, "qas"));
  for (const Json& entry : *questions) {
    STOA_TRY(id, text_of(entry, "id"));
    STOA_TRY(text, text_of(entry, "question"));
    STOA_TRY(impossible, read_bool(entry.as_object(), "is_impossible"));
    if (impossible.value_or(false)) {
      ++set.unanswerable;
    } else if (!text.empty()) {
      set.questions.push_back({id, text, set.paragraphs.size() - 1});
    }
  }
  return {};
}

double percentile(const std::vector<double>& sorted, double part) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(part * static_cast<double>(sorted.size())))];
}

std::vector<std::string> distinct(const std::vector<std::string>& found) {
  std::vector<std::string> ids;
  for (const auto& id : found) {
    if (std::ranges::find(ids, id) == ids.end()) ids.push_back(id);
  }
  return ids;
}

// Sums while running, means after finish().
struct Tally {
  RetrievalReport report;
  std::vector<double> milliseconds;

  void add(std::size_t rank) {  // 1-based, 0 = not found
    if (rank == 0 || rank > kDepth) return;
    report.recall_at_1 += rank == 1;
    report.recall_at_5 += rank <= 5;
    report.recall_at_10 += 1;
    report.mrr_at_10 += 1.0 / static_cast<double>(rank);
    report.ndcg_at_10 += 1.0 / std::log2(1.0 + static_cast<double>(rank));
  }

  RetrievalReport finish(std::size_t questions) {
    report.questions = questions;
    for (double* sum : {&report.recall_at_1, &report.recall_at_5, &report.recall_at_10, &report.mrr_at_10, &report.ndcg_at_10}) {
      *sum /= static_cast<double>(questions);
    }
    std::ranges::sort(milliseconds);
    report.latency_p50_ms = percentile(milliseconds, 0.50);
    report.latency_p95_ms = percentile(milliseconds, 0.95);
    report.latency_p99_ms = percentile(milliseconds, 0.99);
    return std::move(report);
  }
};

}  // namespace

Result<QuestionSet> load_squad(const std::filesystem::path& file) {
  STOA_TRY(text, read_file(file));
  QuestionSet set;
  set.name = file.filename().string();
  const auto read = [&]() -> Status {
    STOA_TRY(root, parse_json(text, {kMaxFile, 64}));
    STOA_TRY(articles, array_of(root, "data"));
    for (const Json& article : *articles) {
      STOA_TRY(title, text_of(article, "title"));
      STOA_TRY(paragraphs, array_of(article, "paragraphs"));
      for (const Json& paragraph : *paragraphs) {
        STOA_TRY(context, text_of(paragraph, "context"));
        if (context.empty()) return fail(ErrorCode::kInvalidArgument, "a paragraph of '{}' has no context", title);
        set.paragraphs.push_back({fmt::format("p{:06}.txt", set.paragraphs.size() + 1), title, context});
        STOA_CHECK(add_questions(paragraph, set));
      }
    }
    if (set.questions.empty()) return fail(ErrorCode::kInvalidArgument, "no answerable question in it");
    return {};
  };
  if (auto status = read(); !status) return fail(std::move(status).error().in(file.string()));
  return set;
}

Result<RetrievalReport> evaluate_retrieval(const Call& call, const QuestionSet& set, const Searcher& search, const EvaluationOptions& options) {
  const std::size_t total = options.max_questions == 0 ? set.questions.size() : std::min(options.max_questions, set.questions.size());
  if (total == 0) return fail(ErrorCode::kInvalidArgument, "{}: no question to ask", set.name);
  Tally tally;
  tally.report.name = set.name;
  tally.report.paragraphs = set.paragraphs.size();
  for (std::size_t i = 0; i < total; ++i) {
    if (call.cancel.cancelled()) return fail(ErrorCode::kCancelled, "the evaluation was cancelled");
    if (call.deadline.passed()) return fail(ErrorCode::kDeadlineExceeded, "the evaluation took too long, {} of {} questions were asked", i, total);
    const Question& question = set.questions[i];
    const auto begin = std::chrono::steady_clock::now();
    STOA_TRY(found, search(question.text, kAsked));
    tally.milliseconds.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
    const std::vector<std::string> ids = distinct(found);
    const std::string& expected = set.paragraphs[question.paragraph].id;
    const auto at = std::ranges::find(ids, expected);
    const std::size_t rank = at == ids.end() || at - ids.begin() >= static_cast<std::ptrdiff_t>(kDepth) ? 0 : static_cast<std::size_t>(at - ids.begin()) + 1;
    tally.add(rank);
    if ((rank == 0 || rank > 5) && tally.report.failures.size() < options.max_failures) {
      tally.report.failures.push_back({question.id, question.text, expected, {ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(5, ids.size()))}, static_cast<int>(rank)});
    }
    if (options.progress) options.progress(i + 1, total);
  }
  return tally.finish(total);
}

Status ingest_paragraphs(const Call& call, data::Ingest& ingest, const std::string& collection, const QuestionSet& set) {
  data::IngestSpec spec;
  spec.collection = collection;
  spec.source = set.name;
  spec.access.is_public = true;
  spec.prune = true;
  std::map<std::string, const std::string*> texts;
  for (const auto& paragraph : set.paragraphs) {
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
  return {};
}

Searcher retriever_searcher(const Call& call, data::Retriever& retriever, const std::string& collection, data::SearchMode mode) {
  return [call, &retriever, collection, mode](const std::string& question, std::size_t k) -> Result<std::vector<std::string>> {
    data::SearchOptions options;
    options.k = k;
    options.mode = mode;
    STOA_TRY(passages, retriever.search(call, std::span(&collection, 1), question, options));
    std::vector<std::string> ids;
    for (const auto& passage : passages) ids.push_back(passage.path);
    return ids;
  };
}

Json RetrievalReport::to_json() const {
  JsonArray missed;
  for (const auto& failure : failures) {
    missed.push_back(JsonObject{{"question_id", failure.question_id}, {"question", failure.question}, {"expected", failure.expected},
                                {"found", JsonArray(failure.found.begin(), failure.found.end())}, {"rank", failure.rank}});
  }
  return JsonObject{{"name", name}, {"paragraphs", paragraphs}, {"questions", questions}, {"recall_at_1", recall_at_1}, {"recall_at_5", recall_at_5},
                    {"recall_at_10", recall_at_10}, {"mrr_at_10", mrr_at_10}, {"ndcg_at_10", ndcg_at_10}, {"latency_p50_ms", latency_p50_ms},
                    {"latency_p95_ms", latency_p95_ms}, {"latency_p99_ms", latency_p99_ms}, {"failures", std::move(missed)}};
}

std::string RetrievalReport::to_text() const {
  std::string text = fmt::format("{}: {} questions over {} paragraphs\n  recall@1  {:.4f}\n  recall@5  {:.4f}\n  recall@10 {:.4f}\n  MRR@10    {:.4f}\n"
                                 "  nDCG@10   {:.4f}\n  latency   p50 {:.2f} ms, p95 {:.2f} ms, p99 {:.2f} ms\n",
                                 name, questions, paragraphs, recall_at_1, recall_at_5, recall_at_10, mrr_at_10, ndcg_at_10, latency_p50_ms, latency_p95_ms, latency_p99_ms);
  if (!failures.empty()) text += fmt::format("  {} questions whose paragraph was not in the first five, for example:\n", failures.size());
  for (std::size_t i = 0; i < std::min<std::size_t>(5, failures.size()); ++i) {
    text += fmt::format("    {} (wanted {}, found {})\n", failures[i].question, failures[i].expected, failures[i].found.empty() ? "nothing" : failures[i].found.front());
  }
  return text;
}

}  // namespace stoa::feedback
