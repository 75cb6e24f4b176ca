// What evaluations share: a question set, models of this machine, and an index in a folder that goes away with them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"
#include "commands/evaluation.h"
#include "commands/terminal.h"
#include "feedback/evaluation/questions.h"
#include "feedback/evaluation/report.h"
#include "feedback/evaluation/retrieval.h"
#include "wiring/workbench.h"

namespace stoa::cli {

// A folder of its own that goes away with the measurement.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }  // empty: it could not be made

 private:
  std::filesystem::path path_;
};

class EvaluationBench {
 public:
  struct Needs {
    bool answerable_only = false;  // questions without an answer are left out before some are chosen
    wiring::Embedding embedding = wiring::Embedding::kAnew;
  };
  static Result<std::unique_ptr<EvaluationBench>> open(const Global& global, const EvalOptions& options, const Needs& needs);

  const Call& call() const { return bench_->call(); }
  wiring::Workbench& bench() { return *bench_; }
  const infra::Config& config() const { return config_; }
  const feedback::QuestionSet& set() const { return set_; }

  // A collection with all paragraphs of the set.
  Result<std::string> fill();
  // A report without runs, whose settings say what all evaluations have in common.
  feedback::EvaluationReport report(const std::string& kind, const EvalOptions& options) const;
  feedback::EvaluationProgress progress(const std::string& what, const std::string& of = "questions");

 private:
  infra::Config config_;
  feedback::QuestionSet set_;
  ScratchFolder scratch_;  // outlives the workbench
  std::unique_ptr<wiring::Workbench> bench_;
  Progress progress_;
};

// Writes the files that were asked for, prints the report, and gives the exit code.
int finish_evaluation(const Global& global, const EvalOptions& options, const Result<feedback::EvaluationReport>& made);

}  // namespace stoa::cli
