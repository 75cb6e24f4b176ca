// Verbs that measure quality: evaluations, and what differs between two.
#include <CLI/CLI.hpp>

#include "cli_verbs.h"
#include "examples.h"

namespace stoa::cli {

void add_quality(CLI::App& app, Parsed& p) {
  auto* eval = verb(app, p, "eval", "Measure quality on question sets, in a throw-away index", {});
  eval->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, int (*run)(const Global&, const EvalOptions&)) {
    auto* made = verb(*eval, p, name, help, [&p, run] { return run(p.global, p.eval); });
    made->add_option("file", p.eval.file, "Question set: a file in the format of SQuAD, or a folder in the layout of BEIR")->required()->check(CLI::ExistingPath);
    made->add_option("--split", p.eval.split, "Of a folder: which of qrels/NAME.tsv (default: test, or the only one)");
    made->add_option("--seed", p.eval.seed, "Of what is chosen at random")->capture_default_str();
    made->add_option("-o,--output", p.eval.output, "Also write the whole report, question by question, to this file (JSON)");
    made->add_option("--html", p.eval.html, "Write a page for people to this file");
    return made;
  };
  const auto searching = [&](CLI::App& made) {
    made.add_option("--questions", p.eval.questions, "So many questions, chosen by --seed (default: all)")->check(CLI::Range(1, 10'000'000));
    made.add_option("--fusion", p.eval.fusion, "How words and meaning become one order: weighted (scores) or rrf (ranks)")->check(CLI::IsMember({"weighted", "rrf"}))->capture_default_str();
    made.add_option("--rerank", p.eval.rerank, "So many of the best are read with the question by the reranking model")->check(CLI::Range(20, 100));
  };
  const auto modes = [&](CLI::App& made) {
    made.add_option("--mode", p.eval.modes, "hybrid, text or vector; several with commas are compared")->delimiter(',')->check(CLI::IsMember({"hybrid", "text", "vector"}));
  };

  auto* retrieval = add("retrieval", "How well passages are found: recall, MRR, nDCG, MAP and latency", eval_retrieval);
  searching(*retrieval);
  modes(*retrieval);

  auto* rag = add("rag", "How good answers from documents are: supported, right, cited, and refused where there is none", eval_rag);
  searching(*rag);
  rag->add_option("--answerer", p.eval.answerers, "extractive (quotes) or generative; several with commas are compared")->delimiter(',')->check(CLI::IsMember({"extractive", "generative"}));
  rag->add_option("--passages", p.eval.passages, "Passages that are found for an answer")->check(CLI::Range(1, 20))->capture_default_str();
  rag->add_option("--judge", p.eval.judge, "Who says whether passages support a sentence: evidence (its words and meaning) or model (the generator, asked yes or no)")->check(CLI::IsMember({"evidence", "model"}))->capture_default_str();

  auto* access = add("access", "Whether search ever shows what a principal may not read: random principals, access lists and queries. Exit code 1 when it does", eval_access);
  access->add_option("--triples", p.eval.triples, "Principals with queries, each in every mode")->check(CLI::Range(1, 10'000'000))->capture_default_str();
  access->add_option("--twins", p.eval.twins, "Principals whose results are compared with an index that holds only what they may read")->check(CLI::Range(0, 10'000))->capture_default_str();

  auto* compare = verb(*eval, p, "compare", "Two reports side by side: differences, questions won and lost, and whether that may be chance", [&] { return eval_compare(p.global, p.eval); });
  compare->add_option("a", p.eval.file, "Report, as -o FILE writes it")->required()->check(CLI::ExistingFile);
  compare->add_option("b", p.eval.other, "Another one")->required()->check(CLI::ExistingFile);
  compare->add_option("--run-a", p.eval.run_a, "Run of the first report (default: its first)");
  compare->add_option("--run-b", p.eval.run_b, "Run of the second report (default: its first)");
  compare->add_option("-o,--output", p.eval.output, "Also write the comparison to this file (JSON)");
  compare->add_option("--html", p.eval.html, "Write a page for people to this file");
}

}  // namespace stoa::cli
