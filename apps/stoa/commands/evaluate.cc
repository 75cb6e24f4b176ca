#include "commands/commands.h"

#include <cstdlib>
#include <filesystem>

#include "base/json.h"
#include "commands/connect.h"
#include "commands/terminal.h"
#include "feedback/evaluation/retrieval.h"
#include "wiring/workbench.h"

namespace stoa::cli {
namespace {

// A folder of its own that goes away with the measurement.
class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "stoa-eval-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

Result<feedback::RetrievalReport> evaluate(const Global& global, const EvalOptions& options) {
  STOA_TRY(config, load_config(global));
  STOA_TRY(set, feedback::load_squad(options.file));
  STOA_TRY(mode, data::parse_search_mode(options.mode));
  const Scratch scratch;
  if (scratch.path().empty()) return fail(ErrorCode::kUnavailable, "cannot make a folder for the index under the system's temporary folder");
  Progress progress;
  progress.show(fmt::format("indexing {} paragraphs", set.paragraphs.size()));
  STOA_TRY(bench, wiring::Workbench::open(config, scratch.path()));
  STOA_TRY(collection, bench->catalog().create_collection(bench->call(), {.name = "eval"}));
  STOA_CHECK(feedback::ingest_paragraphs(bench->call(), bench->ingest(), collection.id, set));
  feedback::EvaluationOptions evaluation;
  evaluation.max_questions = static_cast<std::size_t>(options.limit);
  evaluation.progress = [&](std::size_t done, std::size_t total) { progress.show(fmt::format("{}/{} questions", done, total)); };
  return feedback::evaluate_retrieval(bench->call(), set, feedback::retriever_searcher(bench->call(), bench->retriever(), collection.id, mode), evaluation);
}

}  // namespace

int eval_retrieval(const Global& global, const EvalOptions& options) {
  const auto report_ = evaluate(global, options);
  if (!report_) return report(report_.error(), global.json);
  fmt::print("{}\n", global.json ? dump_json_pretty(report_->to_json()) : report_->to_text());
  return kExitOk;
}

}  // namespace stoa::cli
