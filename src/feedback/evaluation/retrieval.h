// How well retrieval finds the passages that answer questions.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "contracts/call.h"
#include "data/retrieve/retriever.h"
#include "data/sources/ingest.h"
#include "feedback/evaluation/questions.h"
#include "feedback/evaluation/report.h"

namespace stoa::feedback {

// Passages found for a question, best first, at most `k`; several may be of one paragraph. Grades are not the searcher's to fill.
using Searcher = std::function<Result<std::vector<FoundItem>>(const std::string& question, std::size_t k)>;
using EvaluationProgress = std::function<void(std::size_t done, std::size_t total)>;  // may be empty

// Asks every answerable question. A paragraph counts where its first passage stands, among ten distinct paragraphs. Metrics: recall@1, @5 and @10, mrr@10, ndcg@10, map@10
// (metrics.h). A question has a problem when none of its paragraphs is among the first five. Stops at the first error of the searcher, and when the call is cancelled or its
// deadline passes.
Result<EvaluationRun> evaluate_retrieval(const Call& call, const QuestionSet& set, const std::string& name, const Searcher& search, const EvaluationProgress& progress = {});

// Brings every paragraph in as one document of `collection` (of the caller's project), readable by the project, and waits for it.
Status ingest_paragraphs(const Call& call, data::Ingest& ingest, const std::string& collection, const QuestionSet& set);
// Those of `chosen` (indices) only, for `readers`. Paragraphs that are there already get these readers.
Status ingest_paragraphs(const Call& call, data::Ingest& ingest, const std::string& collection, const QuestionSet& set, std::span<const std::size_t> chosen, const AccessList& readers);

// Searches `collection` through the product's own retriever. `options`.k is not read.
Searcher retriever_searcher(const Call& call, data::Retriever& retriever, const std::string& collection, const data::SearchOptions& options = {});

FoundItem found_item(const data::Found& found);
// An error for a call that is to go on no longer: cancelled, or its time is up after `done` of `total`.
Status check_goes_on(const Call& call, std::size_t done, std::size_t total);

}  // namespace stoa::feedback
