// The text index alone: builds it of passages, one a line, and asks it queries, one a line. Prints what run.py reads: "name value" lines.
//   sparse_bench PASSAGES QUERIES [--k 10] [--snapshot] [--hits FILE] [--terms FILE]
#include <time.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "data/index/sparse/query_syntax.h"
#include "data/index/sparse/sparse_search.h"

namespace {

using namespace stoa::data;

// Processor time of this thread: what else runs on the machine does not count.
double now() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}
double seconds(double from) { return now() - from; }

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(std::move(line));
  return lines;
}

void print(std::string_view name, double value) { fmt::print("{} {:.6g}\n", name, value); }

SparseIndex build(const std::string& path) {
  Analyzer analyzer;
  SparseIndex index;
  const auto passages = lines_of(path);
  const double begin = now();
  AnalysedText text;
  std::uint32_t slot = 0;
  for (const auto& passage : passages) {
    analyzer.analyse(passage, Analyzer::Purpose::kPassage, text);
    if (const auto put = index.put(slot++, text); !put) fmt::print(stderr, "{}\n", put.error().message);
  }
  print("build_passages_per_second", static_cast<double>(passages.size()) / seconds(begin));
  print("bytes_per_passage", static_cast<double>(index.memory_bytes()) / static_cast<double>(passages.size()));
  return index;
}

void ask(const SparseIndex& index, const std::vector<std::string>& queries, std::size_t k, const std::string& hits_file, int rounds) {
  Analyzer analyzer;
  std::vector<double> times;
  std::ofstream hits;
  if (!hits_file.empty()) hits.open(hits_file);
  times.assign(queries.size(), 1e9);
  for (int round = 0; round < rounds; ++round) {
    auto time = times.begin();
    for (const auto& query : queries) {
      const double begin = now();
      SparseSearch search(plain_query(query, analyzer), {}, k);
      search.count(index);
      search.run(index, {});
      const auto found = search.take();
      *time = std::min(*time, seconds(begin) * 1e3);
      ++time;
      if (round == 0 && hits.is_open()) {
        for (const auto& hit : found) hits << hit.slot << ':' << hit.score << ' ';
        hits << '\n';
      }
    }
  }
  double sum = 0;
  for (const double time : times) sum += time;
  std::ranges::sort(times);
  print("queries_per_second", 1e3 * static_cast<double>(times.size()) / sum);
  print("p50_ms", times[times.size() / 2]);
  print("p99_ms", times[times.size() * 99 / 100]);
}

// The terms that each query looks for, so that a peer can be asked for the same.
void write_terms(const std::vector<std::string>& queries, const std::string& path) {
  Analyzer analyzer;
  std::ofstream file(path);
  for (const auto& query : queries) {
    for (const auto& term : analyzer.query_terms(query)) file << term << ' ';
    file << '\n';
  }
}

void snapshot(const SparseIndex& index) {
  double begin = now();
  const std::string bytes = index.save();
  print("save_seconds", seconds(begin));
  print("snapshot_megabytes", static_cast<double>(bytes.size()) / 1e6);
  begin = now();
  const auto loaded = SparseIndex::load(bytes);
  print("load_seconds", seconds(begin));
  if (!loaded) fmt::print(stderr, "{}\n", loaded.error().message);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The text index alone");
  std::string passages, queries, hits, terms;
  std::size_t k = 10;
  int rounds = 3;
  bool with_snapshot = false;
  app.add_option("passages", passages)->required();
  app.add_option("queries", queries)->required();
  app.add_option("--k", k);
  app.add_option("--rounds", rounds, "how often each query is asked; the best time counts");
  app.add_option("--hits", hits, "write slots and scores here");
  app.add_option("--terms", terms, "write the terms of the queries here");
  app.add_flag("--snapshot", with_snapshot);
  CLI11_PARSE(app, argc, argv);
  const SparseIndex index = build(passages);
  if (!terms.empty()) write_terms(lines_of(queries), terms);
  ask(index, lines_of(queries), k, hits, rounds);
  if (with_snapshot) snapshot(index);
  return 0;
}
