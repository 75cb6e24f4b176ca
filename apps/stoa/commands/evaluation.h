// Verbs that measure quality on question sets, in a throw-away index with the models of this machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "commands/commands.h"

namespace stoa::cli {

struct EvalOptions {
  std::string file, split;              // a file of SQuAD, or a folder of BEIR with a split of its qrels
  std::string output, html;             // files to write the report to; empty: none
  std::vector<std::string> modes{"hybrid"};
  std::vector<std::string> answerers{"extractive"};
  std::string fusion = "weighted", judge = "evidence";
  int rerank = 0;
  int questions = 0;                    // 0: all
  std::uint64_t seed = 1;
  int passages = 10;                    // that an answer is given
  int triples = 10'000, twins = 20;     // of access
  std::string other, run_a, run_b;      // of a comparison
};
int eval_retrieval(const Global& global, const EvalOptions& options);
int eval_rag(const Global& global, const EvalOptions& options);
int eval_access(const Global& global, const EvalOptions& options);
int eval_compare(const Global& global, const EvalOptions& options);

}  // namespace stoa::cli
