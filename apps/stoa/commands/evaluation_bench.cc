#include "commands/evaluation_bench.h"

#include <cstdlib>

#include "commands/connect.h"

namespace stoa::cli {

ScratchFolder::ScratchFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "stoa-eval-XXXXXX").string();
  if (::mkdtemp(name.data()) != nullptr) path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

Result<std::unique_ptr<EvaluationBench>> EvaluationBench::open(const Global& global, const EvalOptions& options, const Needs& needs) {
  auto made = std::make_unique<EvaluationBench>();
  STOA_TRY(config, load_config(global));
  made->config_ = std::move(config);
  STOA_TRY(set, feedback::load_questions(options.file, options.split));
  if (needs.answerable_only) std::erase_if(set.questions, [](const feedback::Question& question) { return !question.answerable(); });
  made->set_ = feedback::sample_questions(std::move(set), static_cast<std::size_t>(options.questions), options.seed);
  if (made->scratch_.path().empty()) return fail(ErrorCode::kUnavailable, "cannot make a folder for the index under the system's temporary folder");
  STOA_TRY(bench, wiring::Workbench::open(made->config_, made->scratch_.path(), needs.embedding));
  made->bench_ = std::move(bench);
  return made;
}

Result<std::string> EvaluationBench::fill() {
  progress_.show(fmt::format("indexing {} paragraphs", set_.paragraphs.size()));
  STOA_TRY(collection, bench_->catalog().create_collection(call(), {.name = "eval", .metadata = {}, .expires_after_days = {}}));
  STOA_CHECK(feedback::ingest_paragraphs(call(), bench_->ingest(), collection.id, set_));
  return collection.id;
}

feedback::EvaluationReport EvaluationBench::report(const std::string& kind, const EvalOptions& options) const {
  feedback::EvaluationReport made{.kind = kind, .name = set_.name, .settings = {}, .runs = {}};
  const auto say = [&](const char* name, std::string value) { made.settings.emplace_back(name, std::move(value)); };
  const wiring::Models& models = bench_->models();
  say("stoa", STOA_VERSION);
  say("question set", options.split.empty() ? set_.name : set_.name + ", " + options.split);
  say("paragraphs", std::to_string(set_.paragraphs.size()));
  if (set_.left_out > 0) say("passages without text", std::to_string(set_.left_out));
  say("questions", options.questions == 0 ? fmt::format("all {}", set_.questions.size()) : std::to_string(set_.questions.size()));
  say("seed", std::to_string(options.seed));
  say("embedding model", models.embedder ? models.embedder->model() : "none");
  say("reranking model", models.passage_reranker() ? models.passage_reranker()->model() : "none");
  return made;
}

feedback::EvaluationProgress EvaluationBench::progress(const std::string& what, const std::string& of) {
  return [this, what, of](std::size_t done, std::size_t total) { progress_.show(fmt::format("{}: {}/{} {}", what, done, total, of)); };
}

}  // namespace stoa::cli
