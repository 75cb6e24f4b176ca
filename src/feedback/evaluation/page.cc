#include "feedback/evaluation/page.h"

#include <algorithm>

#include "base/html.h"
#include "base/utf8.h"
#include "feedback/evaluation/charts.h"
#include "models/tokenizer/chat_template.h"

namespace stoa::feedback {
namespace {

constexpr std::size_t kShownProblems = 50, kMaxRank = 10, kLongAnswer = 1200;

std::string share_text(double value) { return fmt::format("{:.3f}", value); }
std::string chance(double p) { return p < 0.001 ? "< 0.001" : fmt::format("{:.3f}", p); }
std::string rank_text(int rank) { return rank > 0 ? std::to_string(rank) : "–"; }

void add_chart(JsonArray& charts, Json chart) {
  if (!chart.is_null()) charts.push_back(std::move(chart));
}

JsonArray metric_rows(const EvaluationReport& report) {
  JsonArray rows;
  for (const Metric& metric : report.runs.front().metrics) {
    JsonArray values;
    for (const EvaluationRun& run : report.runs) {
      const auto at = std::ranges::find(run.metrics, metric.name, &Metric::name);
      values.push_back(Json(at == run.metrics.end() ? "–" : metric_text(at->value)));
    }
    rows.push_back(JsonObject{{"name", metric.name}, {"about", metric.about}, {"values", std::move(values)}});
  }
  if (report.runs.front().latency_p99_ms == 0) return rows;
  for (const auto& [name, member] : {std::pair{"latency p50", &EvaluationRun::latency_p50_ms}, {"latency p95", &EvaluationRun::latency_p95_ms}, {"latency p99", &EvaluationRun::latency_p99_ms}}) {
    JsonArray values;
    for (const EvaluationRun& run : report.runs) values.push_back(Json(fmt::format("{:.2f} ms", run.*member)));
    rows.push_back(JsonObject{{"name", name}, {"about", "time of a question"}, {"values", std::move(values)}});
  }
  return rows;
}

std::vector<std::string> places(std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t k = 1; k <= count; ++k) names.push_back(std::to_string(k));
  return names;
}

JsonArray report_charts(const EvaluationReport& report) {
  JsonArray charts;
  std::vector<ChartSeries> recall, ranks, times;
  std::size_t depth = 0;
  for (const EvaluationRun& run : report.runs) {
    depth = std::max(depth, run.recall.size());
    recall.push_back({run.name, run.recall});
    ChartSeries counts{run.name, std::vector<double>(kMaxRank + 1)}, milliseconds{run.name, {}};
    for (const QuestionOutcome& outcome : run.questions) {
      counts.values[outcome.rank >= 1 && outcome.rank <= static_cast<int>(kMaxRank) ? static_cast<std::size_t>(outcome.rank) - 1 : kMaxRank] += !outcome.expected.empty();
      milliseconds.values.push_back(outcome.milliseconds);
    }
    ranks.push_back(std::move(counts));
    times.push_back(std::move(milliseconds));
  }
  if (depth > 0) add_chart(charts, line_chart({"Recall at k", "Share of the right paragraphs among the first k"}, places(depth), recall));
  if (report.kind == "access") return charts;
  std::vector<std::string> rank_names = places(kMaxRank);
  rank_names.push_back("none");
  add_chart(charts, bar_chart({"Place of the first right passage", "Number of answerable questions by the place of the first right passage"}, rank_names, ranks));
  add_chart(charts, distribution_chart({"Latency", "Share of questions that were done within a time; the dots are p50, p95 and p99"}, times));
  for (const EvaluationRun& run : report.runs)
    if (run.confusion) add_chart(charts, confusion_chart({"Answered or refused" + (report.runs.size() > 1 ? ": " + run.name : std::string()), "Questions by whether they have an answer and whether they got one"}, *run.confusion));
  return charts;
}

Json problem(const QuestionOutcome& outcome) {
  JsonArray found;
  for (const FoundItem& item : outcome.found)
    found.push_back(JsonObject{{"id", item.id}, {"right", item.grade > 0}, {"score", share_text(item.score)}, {"text_rank", rank_text(item.text_rank)}, {"text_score", share_text(item.text_score)}, {"vector_rank", rank_text(item.vector_rank)},
                               {"passage_cosine", share_text(item.passage_cosine)}, {"sentence_cosine", share_text(item.sentence_cosine)}, {"relevance", item.relevance ? share_text(*item.relevance) : ""}, {"excerpt", item.excerpt}});
  std::string answer = outcome.answer.substr(0, kLongAnswer);
  answer.resize(complete_utf8_prefix(answer));
  return JsonObject{{"id", outcome.id}, {"question", outcome.question}, {"expected", JsonArray(outcome.expected.begin(), outcome.expected.end())}, {"wanted", outcome.wanted}, {"answer", answer}, {"problem", outcome.problem}, {"rank", rank_text(outcome.rank)},
                    {"found", std::move(found)}};
}

Result<std::string> fill(const std::string& page_template, const JsonObject& shown_values) {
  STOA_TRY(page, models::ChatTemplate::parse(page_template));
  return page.render({.messages = {}, .add_generation_prompt = false, .bos_token = {}, .eos_token = {}, .tools_json = {}, .extra_json = dump_json(html_escaped(Json(shown_values))), .now = 0});
}

JsonArray question_rows(const std::vector<ComparedQuestion>& questions) {
  JsonArray rows;
  for (const ComparedQuestion& question : questions)
    rows.push_back(JsonObject{{"question", question.question}, {"a", metric_text(question.a)}, {"b", metric_text(question.b)}, {"rank_a", rank_text(question.rank_a)}, {"rank_b", rank_text(question.rank_b)}, {"answer_a", question.answer_a}, {"answer_b", question.answer_b}});
  return rows;
}

}  // namespace

Result<std::string> report_page(const std::string& page_template, const EvaluationReport& report) {
  if (report.runs.empty()) return fail(ErrorCode::kInvalidArgument, "a report without runs");
  JsonArray settings, runs;
  for (const auto& [name, value] : report.settings) settings.push_back(JsonObject{{"name", name}, {"value", value}});
  for (const EvaluationRun& run : report.runs) {
    JsonArray problems;
    std::size_t all = 0;
    for (const QuestionOutcome& outcome : run.questions) {
      if (outcome.problem.empty()) continue;
      if (all++ < kShownProblems) problems.push_back(problem(outcome));
    }
    runs.push_back(JsonObject{{"name", run.name}, {"questions", run.questions.size()}, {"problem_count", all}, {"problems", std::move(problems)}});
  }
  const std::string title = report.kind == "rag" ? "Answers from documents" : report.kind == "access" ? "Access in search" : "Retrieval";
  return fill(page_template, {{"comparison", false}, {"kind", report.kind}, {"title", title}, {"name", report.name}, {"settings", std::move(settings)}, {"runs", std::move(runs)}, {"metrics", metric_rows(report)},
                              {"charts", report_charts(report)}, {"clean", report.kind == "access" && report.runs.front().questions.empty()}});
}

Result<std::string> comparison_page(const std::string& page_template, const Comparison& comparison) {
  JsonArray settings, metrics, charts;
  std::vector<ChartInterval> intervals;
  for (const auto& [name, values] : comparison.settings) settings.push_back(JsonObject{{"name", name}, {"a", values.first}, {"b", values.second}});
  for (const ComparedMetric& metric : comparison.metrics) {
    JsonObject row{{"name", metric.name}, {"a", metric_text(metric.a)}, {"b", metric_text(metric.b)}, {"difference", fmt::format("{:+.4f}", metric.difference ? metric.difference->mean : metric.b - metric.a)}, {"paired", metric.difference.has_value()}, {"verdict", ""}};
    if (const auto& d = metric.difference) {
      row["low"] = fmt::format("{:+.4f}", d->low);
      row["high"] = fmt::format("{:+.4f}", d->high);
      row["wins"] = d->wins;
      row["losses"] = d->losses;
      row["bootstrap_p"] = chance(d->bootstrap_p);
      row["sign_p"] = chance(d->sign_p);
      row["verdict"] = d->low > 0 ? "up" : d->high < 0 ? "down" : "";
      if (!metric.name.ends_with("_tokens")) intervals.push_back({metric.name, d->low, d->mean, d->high});
    }
    metrics.push_back(std::move(row));
  }
  add_chart(charts, interval_chart({"Differences", "Mean of B − A over the questions both asked, and where 95 % of the means of resampled questions lie. Grey: may be chance"}, intervals));
  if (!comparison.recall_a.empty() && !comparison.recall_b.empty())
    add_chart(charts, line_chart({"Recall at k", "Share of the right paragraphs among the first k"}, places(comparison.recall_a.size()), {{"A: " + comparison.name_a, comparison.recall_a}, {"B: " + comparison.name_b, comparison.recall_b}}));
  return fill(page_template, {{"comparison", true}, {"kind", comparison.kind}, {"title", "Two evaluations"}, {"name", comparison.name_a + " and " + comparison.name_b}, {"name_a", comparison.name_a}, {"name_b", comparison.name_b}, {"by", comparison.by},
                              {"common", comparison.common}, {"only_a", comparison.only_a}, {"only_b", comparison.only_b}, {"settings", std::move(settings)}, {"metrics", std::move(metrics)}, {"charts", std::move(charts)},
                              {"p50_a", fmt::format("{:.2f} ms", comparison.p50_a)}, {"p50_b", fmt::format("{:.2f} ms", comparison.p50_b)}, {"p95_a", fmt::format("{:.2f} ms", comparison.p95_a)}, {"p95_b", fmt::format("{:.2f} ms", comparison.p95_b)},
                              {"lists", JsonArray{JsonObject{{"title", "Better in B"}, {"rows", question_rows(comparison.better)}}, JsonObject{{"title", "Worse in B"}, {"rows", question_rows(comparison.worse)}}}}});
}

}  // namespace stoa::feedback
