// Whether search ever shows a passage to somebody who may not read it: random principals, access lists and queries over a collection, each result
// compared with a plain rule, and with what a search gives in a collection where the other documents do not exist. Both counts must be 0.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "contracts/access_list.h"
#include "contracts/principal.h"
#include "data/retrieve/retriever.h"
#include "feedback/evaluation/report.h"
#include "feedback/evaluation/retrieval.h"

namespace stoa::feedback {

// What the measurement acts on, as functions: the caller's catalog and retriever.
struct AccessFunctions {
  // Documents with these indices get these readers; they are brought in where they are not there yet.
  std::function<Status(const std::string& collection, std::span<const std::size_t> documents, const AccessList& readers)> set_readers;
  std::function<Result<std::vector<FoundItem>>(const std::string& collection, const Principal& principal, const std::string& query, data::SearchMode mode, std::size_t k)> search;
  std::function<Result<std::string>()> new_collection;
  std::function<Status(const std::string& collection)> remove_collection;
};

struct AccessOptions {
  std::size_t triples = 10'000;
  std::size_t rounds = 10;     // so many times every document gets new readers
  std::size_t twins = 20;      // principals whose results are compared with those of a collection that holds only what they may read
  std::size_t twin_queries = 10;  // of each of them, in every mode
  std::vector<data::SearchMode> modes{data::SearchMode::kHybrid, data::SearchMode::kText, data::SearchMode::kVector};
  std::uint64_t seed = 1;
};

struct AccessLeak {
  std::string query, principal, paragraph, readers, mode;
};

struct AccessResult {
  std::size_t triples = 0, searches = 0, passages = 0;  // of the plain rule
  std::size_t visible = 0, invisible = 0;               // documents that principals of all triples might read, and might not
  std::size_t leaked_passages = 0, leaking_triples = 0;
  std::size_t twin_searches = 0, twin_differences = 0;
  std::vector<AccessLeak> leaks;  // the first 100

  bool clean() const { return leaking_triples == 0 && twin_differences == 0; }
  double leak_rate() const { return triples == 0 ? 0 : static_cast<double>(leaking_triples) / static_cast<double>(triples); }
  EvaluationRun to_run() const;
};

// The plain rule, written apart from may_read(): public, or named, or of a named group. An empty list lets nobody in.
bool plainly_readable(const AccessList& readers, const Principal& principal);

// `like`: a principal of the tenant and project the collection is in; those that are made up have other users and groups.
Result<AccessResult> measure_access(const Call& call, const QuestionSet& set, const Principal& like, const AccessFunctions& functions, const AccessOptions& options, const EvaluationProgress& progress = {});

}  // namespace stoa::feedback
