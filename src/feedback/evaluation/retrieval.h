// How well retrieval finds the paragraph that answers a question, measured on question sets in the SQuAD 2.0 format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "contracts/call.h"
#include "data/retrieve/retriever.h"
#include "data/sources/ingest.h"

namespace stoa::feedback {

struct Paragraph {
  std::string id;     // "p000001.txt": the path it is ingested under
  std::string title;  // of its article
  std::string text;
};

struct Question {
  std::string id;
  std::string text;
  std::size_t paragraph = 0;  // index of the one that holds the answer
};

struct QuestionSet {
  std::string name;
  std::vector<Paragraph> paragraphs;
  std::vector<Question> questions;   // the answerable ones
  std::size_t unanswerable = 0;      // left out: no paragraph is right for them
};

// Reads SQuAD 1.1 or 2.0 JSON ({"data":[{"title","paragraphs":[{"context","qas":[{"id","question","is_impossible"}]}]}]}), up to 256 MB.
Result<QuestionSet> load_squad(const std::filesystem::path& file);

// Ids of the paragraphs found for a question, best first, at most `k`; the same id may come more than once.
using Searcher = std::function<Result<std::vector<std::string>>(const std::string& question, std::size_t k)>;

struct EvaluationOptions {
  std::size_t max_questions = 0;      // 0 = all; else the first so many
  std::size_t max_failures = 50;      // of the list of questions whose paragraph was not in the first five
  std::function<void(std::size_t done, std::size_t total)> progress;  // may be empty
};

struct RetrievalFailure {
  std::string question_id;
  std::string question;
  std::string expected;            // paragraph id
  std::vector<std::string> found;  // the first five
  int rank = 0;                    // of the right one within the first ten, 0 = not there
};

// A question is right at k when its own paragraph is among the first k distinct paragraphs found.
struct RetrievalReport {
  std::string name;
  std::size_t paragraphs = 0, questions = 0;
  double recall_at_1 = 0, recall_at_5 = 0, recall_at_10 = 0;
  double mrr_at_10 = 0;
  double ndcg_at_10 = 0;           // one relevant paragraph: 1 / log2(1 + rank)
  double latency_p50_ms = 0, latency_p95_ms = 0, latency_p99_ms = 0;
  std::vector<RetrievalFailure> failures;

  Json to_json() const;
  std::string to_text() const;
};

// Stops at the first error of the searcher, and when the call is cancelled or its deadline passes.
Result<RetrievalReport> evaluate_retrieval(const Call& call, const QuestionSet& set, const Searcher& search,
                                           const EvaluationOptions& options = {});

// Brings every paragraph in as one document of `collection` (of the caller's project), readable by the project, and waits for it.
Status ingest_paragraphs(const Call& call, data::Ingest& ingest, const std::string& collection, const QuestionSet& set);

// Searches `collection` through the product's own retriever.
Searcher retriever_searcher(const Call& call, data::Retriever& retriever, const std::string& collection,
                            data::SearchMode mode = data::SearchMode::kHybrid);

}  // namespace stoa::feedback
