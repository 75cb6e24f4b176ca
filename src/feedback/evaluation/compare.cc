#include "feedback/evaluation/compare.h"

#include <algorithm>
#include <unordered_map>

namespace stoa::feedback {
namespace {

constexpr std::size_t kShown = 50, kSaid = 3;

Result<const EvaluationRun*> run_of(const EvaluationReport& report, const std::string& name) {
  if (name.empty()) return &report.runs.front();
  const auto at = std::ranges::find(report.runs, name, &EvaluationRun::name);
  if (at != report.runs.end()) return &*at;
  std::vector<std::string> names;
  for (const auto& run : report.runs) names.push_back(run.name);
  return fail(error(ErrorCode::kInvalidArgument, "no run '{}' in the report on {}", name, report.name).with_hint(fmt::format("it has {}", fmt::join(names, ", "))));
}

std::optional<double> value_of(const QuestionOutcome& outcome, const std::string& name) {
  const auto at = outcome.values.find(name);
  return at == outcome.values.end() ? std::nullopt : std::optional(at->second);
}

struct Pair {
  const QuestionOutcome* a;
  const QuestionOutcome* b;
};

ComparedMetric compare_metric(const Metric& metric, double other, const std::vector<Pair>& pairs) {
  ComparedMetric out{metric.name, metric.value, other, {}};
  std::vector<double> a, b;
  for (const Pair& pair : pairs) {
    const auto left = value_of(*pair.a, metric.name), right = value_of(*pair.b, metric.name);
    if (!left || !right) continue;
    a.push_back(*left);
    b.push_back(*right);
  }
  if (!a.empty()) out.difference = paired_difference(a, b);
  return out;
}

void compare_questions(const std::vector<Pair>& pairs, Comparison& out) {
  for (const Pair& pair : pairs) {
    const auto a = value_of(*pair.a, out.by), b = value_of(*pair.b, out.by);
    if (!a || !b || *a == *b) continue;
    (*b > *a ? out.better : out.worse).push_back({pair.a->id, pair.a->question, *a, *b, pair.a->rank, pair.b->rank, pair.a->answer, pair.b->answer});
  }
  for (auto* list : {&out.better, &out.worse}) {
    std::ranges::stable_sort(*list, std::greater(), [](const ComparedQuestion& question) { return std::abs(question.b - question.a); });
    if (list->size() > kShown) list->resize(kShown);
  }
}

Json question_json(const ComparedQuestion& question) {
  JsonObject out{{"id", question.id}, {"question", question.question}, {"a", question.a}, {"b", question.b}, {"rank_a", question.rank_a}, {"rank_b", question.rank_b}};
  if (!question.answer_a.empty() || !question.answer_b.empty()) {
    out["answer_a"] = question.answer_a;
    out["answer_b"] = question.answer_b;
  }
  return out;
}

}  // namespace

Result<Comparison> compare_reports(const EvaluationReport& a, const EvaluationReport& b, const std::string& run_a, const std::string& run_b) {
  if (a.kind != b.kind) return fail(ErrorCode::kInvalidArgument, "a report on {} and one on {} cannot be compared", a.kind, b.kind);
  STOA_TRY(left, run_of(a, run_a));
  STOA_TRY(right, run_of(b, run_b));
  Comparison out;
  out.kind = a.kind;
  out.name_a = left->name;
  out.name_b = right->name;
  std::unordered_map<std::string_view, const QuestionOutcome*> by_id;
  for (const QuestionOutcome& outcome : left->questions) by_id[outcome.id] = &outcome;
  std::vector<Pair> pairs;
  for (const QuestionOutcome& outcome : right->questions) {
    const auto at = by_id.find(outcome.id);
    if (at == by_id.end()) {
      ++out.only_b;
      continue;
    }
    pairs.push_back({at->second, &outcome});
    by_id.erase(at);  // an id counts once
  }
  out.common = pairs.size();
  out.only_a = left->questions.size() - pairs.size();
  if (pairs.empty()) return fail(error(ErrorCode::kInvalidArgument, "the two reports have no question in common").with_hint("compare runs over the same file, with the same --questions and --seed"));
  for (const Metric& metric : left->metrics)
    if (const auto other = std::ranges::find(right->metrics, metric.name, &Metric::name); other != right->metrics.end()) out.metrics.push_back(compare_metric(metric, other->value, pairs));
  for (const auto& [key, value] : a.settings) {
    const auto other = std::ranges::find(b.settings, key, &std::pair<std::string, std::string>::first);
    const std::string theirs = other == b.settings.end() ? "" : other->second;
    if (theirs != value) out.settings.push_back({key, {value, theirs}});
  }
  out.p50_a = left->latency_p50_ms, out.p50_b = right->latency_p50_ms, out.p95_a = left->latency_p95_ms, out.p95_b = right->latency_p95_ms;
  out.recall_a = left->recall, out.recall_b = right->recall;
  out.by = a.kind == "rag" ? "f1" : "ndcg@10";
  compare_questions(pairs, out);
  return out;
}

Json Comparison::to_json() const {
  JsonObject said;
  for (const auto& [key, values] : settings) said[key] = JsonArray{Json(values.first), Json(values.second)};
  JsonArray compared, won, lost;
  for (const ComparedMetric& metric : metrics) {
    JsonObject entry{{"name", metric.name}, {"a", metric.a}, {"b", metric.b}};
    if (const auto& d = metric.difference)
      entry["difference"] = JsonObject{{"pairs", d->pairs}, {"wins", d->wins}, {"losses", d->losses}, {"mean", d->mean}, {"low", d->low}, {"high", d->high}, {"bootstrap_p", d->bootstrap_p}, {"sign_p", d->sign_p}};
    compared.push_back(std::move(entry));
  }
  for (const auto& question : better) won.push_back(question_json(question));
  for (const auto& question : worse) lost.push_back(question_json(question));
  return JsonObject{{"kind", kind}, {"a", name_a}, {"b", name_b}, {"settings", std::move(said)}, {"questions", JsonObject{{"common", common}, {"only_a", only_a}, {"only_b", only_b}}},
                    {"metrics", std::move(compared)}, {"latency_ms", JsonObject{{"p50", JsonArray{p50_a, p50_b}}, {"p95", JsonArray{p95_a, p95_b}}}}, {"by", by}, {"better", std::move(won)}, {"worse", std::move(lost)}};
}

std::string Comparison::to_text() const {
  std::string text = fmt::format("A = {}\nB = {}\n{} questions in both", name_a, name_b, common);
  if (only_a + only_b > 0) text += fmt::format(" ({} only in A, {} only in B)", only_a, only_b);
  text += fmt::format("\n\n  {:<20} {:>9} {:>9} {:>9}  {:<20} {:>6} {:>6} {:>8} {:>8}\n", "", "A", "B", "B - A", "95 % within", "wins", "losses", "p boot", "p sign");
  for (const ComparedMetric& metric : metrics) {
    text += fmt::format("  {:<20} {:>9.4f} {:>9.4f} ", metric.name, metric.a, metric.b);
    if (const auto& d = metric.difference)
      text += fmt::format("{:>+9.4f}  {:<20} {:>6} {:>6} {:>8.4f} {:>8.4f}\n", d->mean, fmt::format("{:+.4f} .. {:+.4f}", d->low, d->high), d->wins, d->losses, d->bootstrap_p, d->sign_p);
    else
      text += fmt::format("{:>+9.4f}\n", metric.b - metric.a);
  }
  text += fmt::format("  {:<20} {:>9.2f} {:>9.2f}\n  {:<20} {:>9.2f} {:>9.2f}\n", "latency p50, ms", p50_a, p50_b, "latency p95, ms", p95_a, p95_b);
  for (const auto& [key, values] : settings) text += fmt::format("  {}: {} -> {}\n", key, values.first, values.second);
  for (const auto& [list, name] : {std::pair{&better, "better"}, {&worse, "worse"}})
    for (std::size_t i = 0; i < std::min(kSaid, list->size()); ++i) text += fmt::format("  {} in B by {}: {} ({:.3f} -> {:.3f})\n", name, by, (*list)[i].question, (*list)[i].a, (*list)[i].b);
  return text;
}

}  // namespace stoa::feedback
