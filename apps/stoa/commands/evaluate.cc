#include "commands/evaluation.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "base/json.h"
#include "commands/connect.h"
#include "commands/evaluation_bench.h"
#include "commands/input.h"
#include "commands/terminal.h"
#include "feedback/evaluation/access_leaks.h"
#include "feedback/evaluation/compare.h"
#include "feedback/evaluation/page.h"
#include "feedback/evaluation/retrieval.h"
#include "wiring/defaults.h"

namespace stoa::cli {
namespace {

Result<std::string> page_template() {
  STOA_TRY(file, wiring::data_file("", "evaluation.html"));
  return std::move(file.text);
}

Result<feedback::EvaluationReport> run_retrieval(const Global& global, const EvalOptions& options) {
  STOA_TRY(bench, EvaluationBench::open(global, options, {.answerable_only = true}));
  data::SearchOptions search;
  STOA_TRY(fusion, data::parse_fusion(options.fusion));
  search.fusion = fusion;
  search.rerank = static_cast<std::size_t>(options.rerank);
  STOA_TRY(collection, bench->fill());
  feedback::EvaluationReport report = bench->report("retrieval", options);
  report.settings.emplace_back("fusion", options.fusion);
  report.settings.emplace_back("rerank", std::to_string(options.rerank));
  std::set<std::string> done;
  for (const std::string& name : options.modes) {
    if (!done.insert(name).second) continue;
    STOA_TRY(mode, data::parse_search_mode(name));
    search.mode = mode;
    STOA_TRY(run, feedback::evaluate_retrieval(bench->call(), bench->set(), name, feedback::retriever_searcher(bench->call(), bench->bench().retriever(), collection, search), bench->progress(name)));
    report.runs.push_back(std::move(run));
  }
  return report;
}

Result<feedback::EvaluationReport> run_access(const Global& global, const EvalOptions& options) {
  STOA_TRY(bench, EvaluationBench::open(global, options, {.embedding = wiring::Embedding::kRemembered}));
  wiring::Workbench& work = bench->bench();
  feedback::AccessFunctions functions;
  functions.new_collection = [&]() -> Result<std::string> {
    STOA_TRY(made, work.catalog().create_collection(bench->call(), {.name = "eval", .metadata = {}, .expires_after_days = {}}));
    return made.id;
  };
  functions.remove_collection = [&](const std::string& collection) { return work.catalog().remove_collection(bench->call(), collection); };
  functions.set_readers = [&](const std::string& collection, std::span<const std::size_t> documents, const AccessList& readers) {
    return feedback::ingest_paragraphs(bench->call(), work.ingest(), collection, bench->set(), documents, readers);
  };
  functions.search = [&](const std::string& collection, const Principal& principal, const std::string& query, data::SearchMode mode, std::size_t k) -> Result<std::vector<feedback::FoundItem>> {
    data::SearchOptions search;
    search.mode = mode;
    return feedback::retriever_searcher(Call::of(principal), work.retriever(), collection, search)(query, k);
  };
  feedback::AccessOptions measured;
  measured.triples = static_cast<std::size_t>(options.triples);
  measured.twins = static_cast<std::size_t>(options.twins);
  measured.seed = options.seed;
  if (work.embedder() == nullptr) measured.modes = {data::SearchMode::kText};
  STOA_TRY(result, feedback::measure_access(bench->call(), bench->set(), bench->call().principal, functions, measured, bench->progress("access", "triples")));
  feedback::EvaluationReport report = bench->report("access", options);
  report.settings.emplace_back("rounds of new access lists", std::to_string(measured.rounds));
  report.settings.emplace_back("twins", std::to_string(measured.twins));
  report.runs.push_back(result.to_run());
  return report;
}

Result<feedback::EvaluationReport> read_report(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in && text.empty()) return fail(ErrorCode::kUnavailable, "{}: cannot be read", path);
  auto parsed = feedback::parse_report(text);
  if (!parsed) return fail(std::move(parsed).error().in(path));
  return parsed;
}

Result<feedback::Comparison> run_comparison(const EvalOptions& options) {
  STOA_TRY(a, read_report(options.file));
  STOA_TRY(b, read_report(options.other));
  STOA_TRY(comparison, feedback::compare_reports(a, b, options.run_a, options.run_b));
  comparison.name_a = fmt::format("{}: {}", options.file, comparison.name_a);
  comparison.name_b = fmt::format("{}: {}", options.other, comparison.name_b);
  STOA_CHECK(write_text(options.output, dump_json_pretty(comparison.to_json()) + "\n"));
  if (options.html.empty()) return comparison;
  STOA_TRY(source, page_template());
  STOA_TRY(page, feedback::comparison_page(source, comparison));
  STOA_CHECK(write_text(options.html, page));
  return comparison;
}

}  // namespace

int finish_evaluation(const Global& global, const EvalOptions& options, const Result<feedback::EvaluationReport>& made) {
  if (!made) return report(made.error(), global.json);
  const auto write = [&]() -> Status {
    if (!options.output.empty()) STOA_CHECK(write_text(options.output, dump_json(made->to_json(true)) + "\n"));
    if (options.html.empty()) return {};
    STOA_TRY(source, page_template());
    STOA_TRY(page, feedback::report_page(source, *made));
    return write_text(options.html, page);
  };
  if (const Status written = write(); !written) return report(written.error(), global.json);
  fmt::print("{}", global.json ? dump_json_pretty(made->to_json(false)) + "\n" : made->to_text());
  return kExitOk;
}

int eval_retrieval(const Global& global, const EvalOptions& options) { return finish_evaluation(global, options, run_retrieval(global, options)); }

int eval_access(const Global& global, const EvalOptions& options) {
  const auto made = run_access(global, options);
  const int code = finish_evaluation(global, options, made);
  return code == kExitOk && !made->runs.front().questions.empty() ? kExitFailure : code;
}

int eval_compare(const Global& global, const EvalOptions& options) {
  const auto comparison = run_comparison(options);
  if (!comparison) return report(comparison.error(), global.json);
  fmt::print("{}", global.json ? dump_json_pretty(comparison->to_json()) + "\n" : comparison->to_text());
  return kExitOk;
}

}  // namespace stoa::cli
