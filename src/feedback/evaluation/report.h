// What an evaluation found, in one shape for every kind of it: so that one page shows it, a file keeps it, and two of them can be compared.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "feedback/evaluation/metrics.h"

namespace stoa::feedback {

// One passage that was found for a question, and why it stands where it does (data::Standing; a rank of 0: that search did not find it).
struct FoundItem {
  std::string id;       // of the paragraph
  int grade = 0;        // above 0: right
  double score = 0;
  int text_rank = 0, vector_rank = 0;
  double text_score = 0, passage_cosine = 0, sentence_cosine = 0;
  std::optional<double> relevance;  // by the cross-encoder
  std::string excerpt;  // its beginning
};

struct QuestionOutcome {
  std::string id, question;
  std::vector<std::string> expected;  // ids of the right paragraphs, or reference answers
  std::string wanted{};               // of a retrieval with a problem: the beginning of the best of the right paragraphs
  std::string answer;                 // of an evaluation of answers
  std::string problem;                // why a person should look at it; empty where nothing is wrong
  int rank = 0;                       // of the first right passage, 0: not found
  double milliseconds = 0;
  std::map<std::string, double> values;  // by the name of the metric
  std::vector<FoundItem> found;
};

struct Metric {
  std::string name;
  double value = 0;
  std::string about;  // one line that defines it
};

// Shares with four digits, larger numbers with one, whole ones above 1 without.
std::string metric_text(double value);

struct EvaluationRun {
  std::string name;  // "hybrid"
  std::vector<Metric> metrics;
  std::vector<double> recall;  // at 1, 2, ...; may be empty
  double latency_p50_ms = 0, latency_p95_ms = 0, latency_p99_ms = 0;
  std::optional<AnswerConfusion> confusion;
  std::vector<QuestionOutcome> questions;

  // Fills the three latencies from those of the questions.
  void time_questions();
  // The mean of a value over the questions that have it, as a metric; nothing where none has.
  void add_mean(const std::string& value, const std::string& about);
};

struct EvaluationReport {
  std::string kind;  // retrieval, rag, access
  std::string name;  // of the question set
  std::vector<std::pair<std::string, std::string>> settings;  // in order: versions, models, templates, options
  std::vector<EvaluationRun> runs;

  // Without the questions, only those with a problem (at most `max_problems` a run) are there, under "problems".
  Json to_json(bool questions, std::size_t max_problems = 50) const;
  std::string to_text() const;
};

inline constexpr std::int64_t kReportVersion = 1;

// Reads what to_json(true) writes, up to 512 MB. Errors name the field.
Result<EvaluationReport> parse_report(std::string_view text);

}  // namespace stoa::feedback
