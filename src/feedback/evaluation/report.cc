#include "feedback/evaluation/report.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace stoa::feedback {
namespace {

constexpr std::size_t kMaxReport = 512u << 20, kMaxRuns = 100, kShownProblems = 5;
constexpr double kAnyNumber = 1e15;

Json found_json(const FoundItem& item) {
  JsonObject out{{"id", item.id}, {"grade", item.grade}, {"score", item.score}, {"text_rank", item.text_rank}, {"text_score", item.text_score}, {"vector_rank", item.vector_rank},
                 {"passage_cosine", item.passage_cosine}, {"sentence_cosine", item.sentence_cosine}};
  if (item.relevance) out["relevance"] = *item.relevance;
  if (!item.excerpt.empty()) out["excerpt"] = item.excerpt;
  return out;
}

Json outcome_json(const QuestionOutcome& outcome) {
  JsonObject values;
  for (const auto& [name, value] : outcome.values) values[name] = value;
  JsonArray found;
  for (const FoundItem& item : outcome.found) found.push_back(found_json(item));
  JsonObject out{{"id", outcome.id}, {"question", outcome.question}, {"expected", JsonArray(outcome.expected.begin(), outcome.expected.end())}, {"rank", outcome.rank},
                 {"ms", outcome.milliseconds}, {"values", std::move(values)}, {"found", std::move(found)}};
  if (!outcome.wanted.empty()) out["wanted"] = outcome.wanted;
  if (!outcome.answer.empty()) out["answer"] = outcome.answer;
  if (!outcome.problem.empty()) out["problem"] = outcome.problem;
  return out;
}

Json run_json(const EvaluationRun& run, bool questions, std::size_t max_problems) {
  JsonObject metrics, about;
  for (const Metric& metric : run.metrics) {
    metrics[metric.name] = metric.value;
    about[metric.name] = metric.about;
  }
  JsonObject out{{"name", run.name}, {"questions", run.questions.size()}, {"metrics", std::move(metrics)}, {"about", std::move(about)}, {"recall", JsonArray(run.recall.begin(), run.recall.end())},
                 {"latency_ms", JsonObject{{"p50", run.latency_p50_ms}, {"p95", run.latency_p95_ms}, {"p99", run.latency_p99_ms}}}};
  if (run.confusion)
    out["confusion"] = JsonObject{{"answerable_answered", run.confusion->answerable_answered}, {"answerable_refused", run.confusion->answerable_refused},
                                  {"unanswerable_answered", run.confusion->unanswerable_answered}, {"unanswerable_refused", run.confusion->unanswerable_refused}};
  JsonArray listed;
  for (const QuestionOutcome& outcome : run.questions)
    if (questions || (!outcome.problem.empty() && listed.size() < max_problems)) listed.push_back(outcome_json(outcome));
  out[questions ? "outcomes" : "problems"] = std::move(listed);
  return out;
}

// Reads members of one object; the first that is wrong stays in `status`, named by its path.
class ReportReader {
 public:
  ReportReader(const Json& value, std::string where, Status& status) : where_(std::move(where)), status_(status) {
    if (value.is_object()) object_ = &value.as_object();
    else wrong(error(ErrorCode::kInvalidArgument, "not an object"));
  }

  std::string text(std::string_view key) { return take(key, [&] { return read_string(*object_, key); }, std::string()); }
  double number(std::string_view key) { return take(key, [&] { return read_number(*object_, key, -kAnyNumber, kAnyNumber); }, 0.0); }
  std::size_t count(std::string_view key) { return static_cast<std::size_t>(take(key, [&] { return read_int(*object_, key, 0, 1'000'000'000); }, std::int64_t{0})); }
  std::optional<double> perhaps(std::string_view key) { return object_ != nullptr && find(*object_, key) != nullptr ? std::optional(number(key)) : std::nullopt; }
  bool has(std::string_view key) const { return object_ != nullptr && find(*object_, key) != nullptr; }
  // The entries of a list, none where it is absent.
  void each(std::string_view key, const std::function<void(const Json&, const std::string& where)>& visit) {
    const Json* list = object_ == nullptr ? nullptr : find(*object_, key);
    if (list == nullptr) return;
    if (!list->is_array()) return wrong(error(ErrorCode::kInvalidArgument, "'{}' is not a list", key));
    for (std::size_t i = 0; i < list->as_array().size() && status_; ++i) visit(list->as_array()[i], fmt::format("{}.{}[{}]", where_, key, i));
  }
  void members(std::string_view key, const std::function<void(std::string_view name, const Json&, const std::string& where)>& visit) {
    const Json* inner = object_ == nullptr ? nullptr : find(*object_, key);
    if (inner == nullptr) return;
    if (!inner->is_object()) return wrong(error(ErrorCode::kInvalidArgument, "'{}' is not an object", key));
    for (const auto& [name, value] : inner->as_object())
      if (status_) visit(name, value, fmt::format("{}.{}.{}", where_, key, std::string_view(name)));
  }
  ReportReader inner(std::string_view key) {
    static const Json kNothing = JsonObject();
    const Json* found = object_ == nullptr ? nullptr : find(*object_, key);
    return {found == nullptr ? kNothing : *found, fmt::format("{}.{}", where_, key), status_};
  }
  void wrong(Error problem) {
    if (status_) status_ = fail(std::move(problem).in(where_));
  }

 private:
  template <class T, class Read>
  T take(std::string_view, Read read, T fallback) {
    if (object_ == nullptr) return fallback;
    auto value = read();
    if (value) return value->value_or(fallback);
    wrong(std::move(value).error());
    return fallback;
  }

  std::string where_;
  Status& status_;
  const JsonObject* object_ = nullptr;
};

double number_of(const Json& value, const std::string& where, Status& status) {
  if (value.is_number()) return value.to_number<double>();
  if (status) status = fail(ErrorCode::kInvalidArgument, "{}: not a number", where);
  return 0;
}

std::string text_of(const Json& value, const std::string& where, Status& status) {
  if (value.is_string()) return std::string(std::string_view(value.get_string()));
  if (status) status = fail(ErrorCode::kInvalidArgument, "{}: not a text", where);
  return {};
}

FoundItem read_found(const Json& value, const std::string& where, Status& status) {
  ReportReader in(value, where, status);
  return {.id = in.text("id"), .grade = static_cast<int>(in.count("grade")), .score = in.number("score"), .text_rank = static_cast<int>(in.count("text_rank")),
          .vector_rank = static_cast<int>(in.count("vector_rank")), .text_score = in.number("text_score"), .passage_cosine = in.number("passage_cosine"),
          .sentence_cosine = in.number("sentence_cosine"), .relevance = in.perhaps("relevance"), .excerpt = in.text("excerpt")};
}

QuestionOutcome read_outcome(const Json& value, const std::string& where, Status& status) {
  ReportReader in(value, where, status);
  QuestionOutcome out{.id = in.text("id"), .question = in.text("question"), .expected = {}, .wanted = in.text("wanted"), .answer = in.text("answer"), .problem = in.text("problem"), .rank = static_cast<int>(in.count("rank")),
                      .milliseconds = in.number("ms"), .values = {}, .found = {}};
  in.each("expected", [&](const Json& entry, const std::string& place) { out.expected.push_back(text_of(entry, place, status)); });
  in.members("values", [&](std::string_view name, const Json& entry, const std::string& place) { out.values[std::string(name)] = number_of(entry, place, status); });
  in.each("found", [&](const Json& entry, const std::string& place) { out.found.push_back(read_found(entry, place, status)); });
  return out;
}

EvaluationRun read_run(const Json& value, const std::string& where, Status& status) {
  ReportReader in(value, where, status);
  EvaluationRun run;
  run.name = in.text("name");
  in.members("metrics", [&](std::string_view name, const Json& entry, const std::string& place) { run.metrics.push_back({std::string(name), number_of(entry, place, status), ""}); });
  ReportReader about = in.inner("about");
  for (Metric& metric : run.metrics) metric.about = about.text(metric.name);
  in.each("recall", [&](const Json& entry, const std::string& place) { run.recall.push_back(number_of(entry, place, status)); });
  ReportReader latency = in.inner("latency_ms");
  run.latency_p50_ms = latency.number("p50");
  run.latency_p95_ms = latency.number("p95");
  run.latency_p99_ms = latency.number("p99");
  if (in.has("confusion")) {
    ReportReader cells = in.inner("confusion");
    run.confusion = AnswerConfusion{cells.count("answerable_answered"), cells.count("answerable_refused"), cells.count("unanswerable_answered"), cells.count("unanswerable_refused")};
  }
  if (!in.has("outcomes")) in.wrong(error(ErrorCode::kInvalidArgument, "no 'outcomes'").with_hint("write the report with -o FILE: what --json prints leaves the questions out"));
  in.each("outcomes", [&](const Json& entry, const std::string& place) { run.questions.push_back(read_outcome(entry, place, status)); });
  return run;
}

}  // namespace

std::string metric_text(double value) {
  if (std::abs(value) > 1 && value == std::trunc(value)) return fmt::format("{:.0f}", value);
  return value > 10 ? fmt::format("{:.1f}", value) : fmt::format("{:.4f}", value);
}

void EvaluationRun::time_questions() {
  std::vector<double> times;
  for (const QuestionOutcome& outcome : questions) times.push_back(outcome.milliseconds);
  std::ranges::sort(times);
  latency_p50_ms = percentile(times, 0.50);
  latency_p95_ms = percentile(times, 0.95);
  latency_p99_ms = percentile(times, 0.99);
}

void EvaluationRun::add_mean(const std::string& value, const std::string& about) {
  std::vector<double> values;
  for (const QuestionOutcome& outcome : questions)
    if (const auto at = outcome.values.find(value); at != outcome.values.end()) values.push_back(at->second);
  if (!values.empty()) metrics.push_back({value, mean(values), about});
}

Json EvaluationReport::to_json(bool questions, std::size_t max_problems) const {
  JsonObject said;
  for (const auto& [key, value] : settings) said[key] = value;
  JsonArray each;
  for (const EvaluationRun& run : runs) each.push_back(run_json(run, questions, max_problems));
  return JsonObject{{"stoa_evaluation", kReportVersion}, {"kind", kind}, {"name", name}, {"settings", std::move(said)}, {"runs", std::move(each)}};
}

std::string EvaluationReport::to_text() const {
  std::string text;
  for (const EvaluationRun& run : runs) {
    text += fmt::format("{}{}, {}", text.empty() ? "" : "\n", name, run.name);
    text += kind == "access" ? std::string("\n") : fmt::format(": {} questions\n", run.questions.size());
    for (const Metric& metric : run.metrics) text += fmt::format("  {:<24} {:>10}  {}\n", metric.name, metric_text(metric.value), metric.about);
    if (run.confusion)
      text += fmt::format("  answerable: {} answered, {} refused; unanswerable: {} answered, {} refused\n", run.confusion->answerable_answered, run.confusion->answerable_refused,
                          run.confusion->unanswerable_answered, run.confusion->unanswerable_refused);
    if (run.latency_p99_ms > 0) text += fmt::format("  latency: p50 {:.2f} ms, p95 {:.2f} ms, p99 {:.2f} ms\n", run.latency_p50_ms, run.latency_p95_ms, run.latency_p99_ms);
    std::size_t shown = 0;
    const auto problems = static_cast<std::size_t>(std::ranges::count_if(run.questions, [](const auto& outcome) { return !outcome.problem.empty(); }));
    if (problems > 0) text += fmt::format("  {} to look at, for example:\n", problems);
    for (const QuestionOutcome& outcome : run.questions)
      if (!outcome.problem.empty() && shown++ < kShownProblems) text += fmt::format("    {} ({})\n", outcome.question, outcome.problem);
  }
  return text;
}

Result<EvaluationReport> parse_report(std::string_view text) {
  STOA_TRY(root, parse_json(text, {kMaxReport, 16}));
  Status status;
  ReportReader in(root, "report", status);
  if (status && in.number("stoa_evaluation") != static_cast<double>(kReportVersion))
    return fail(error(ErrorCode::kInvalidArgument, "'stoa_evaluation' is not {}", kReportVersion).with_hint("a file that stoa eval ... -o FILE wrote is needed"));
  EvaluationReport report;
  report.kind = in.text("kind");
  report.name = in.text("name");
  in.members("settings", [&](std::string_view name, const Json& entry, const std::string& place) { report.settings.emplace_back(std::string(name), text_of(entry, place, status)); });
  in.each("runs", [&](const Json& entry, const std::string& place) { report.runs.push_back(read_run(entry, place, status)); });
  if (!status) return fail(std::move(status).error());
  if (report.runs.empty() || report.runs.size() > kMaxRuns) return fail(ErrorCode::kInvalidArgument, "{} runs: 1 to {} belong in it", report.runs.size(), kMaxRuns);
  return report;
}

}  // namespace stoa::feedback
