// Two reports side by side: what differs, for which questions, and whether that may be chance.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "feedback/evaluation/report.h"

namespace stoa::feedback {

struct ComparedMetric {
  std::string name;
  double a = 0, b = 0;                 // as each report says
  std::optional<PairedDifference> difference;  // over the questions both asked; nothing for a metric that is no mean over questions
};

// A question on which the two differ.
struct ComparedQuestion {
  std::string id, question;
  double a = 0, b = 0;     // of Comparison::by
  int rank_a = 0, rank_b = 0;
  std::string answer_a, answer_b;
};

struct Comparison {
  std::string kind, name_a, name_b;  // of the runs: "a.json: hybrid"
  std::vector<std::pair<std::string, std::pair<std::string, std::string>>> settings;  // those that differ, with both values
  std::vector<ComparedMetric> metrics;
  std::size_t common = 0, only_a = 0, only_b = 0;  // questions, by id
  double p50_a = 0, p50_b = 0, p95_a = 0, p95_b = 0;
  std::string by;  // the metric that decides a question: ndcg@10 or f1
  std::vector<ComparedQuestion> better, worse;  // of b over a, largest first, at most 50 each
  std::vector<double> recall_a, recall_b;

  Json to_json() const;
  std::string to_text() const;
};

// Compares the run named `run_a` (empty: the first) with `run_b`. kInvalidArgument: another kind of report, no such run, no question in common.
Result<Comparison> compare_reports(const EvaluationReport& a, const EvaluationReport& b, const std::string& run_a = "", const std::string& run_b = "");

}  // namespace stoa::feedback
