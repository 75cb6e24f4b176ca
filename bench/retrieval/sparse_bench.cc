// The text index alone: builds it of passages, one a line, and asks it queries, one a line. Prints what run.py reads: "name value" lines.
//   sparse_bench PASSAGES QUERIES [--k 10] [--snapshot] [--hits FILE]
#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "data/index/sparse/query_syntax.h"
#include "data/index/sparse/sparse_search.h"

namespace {

using namespace stoa::data;
using Clock = std::chrono::steady_clock;

double seconds(Clock::time_point from) { return std::chrono::duration<double>(Clock::now() - from).count(); }

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
  const auto begin = Clock::now();
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

void ask(const SparseIndex& index, const std::vector<std::string>& queries, std::size_t k, const std::string& hits_file) {
  Analyzer analyzer;
  std::vector<double> times;
  std::ofstream hits;
  if (!hits_file.empty()) hits.open(hits_file);
  for (int round = 0; round < 2; ++round) {  // the first one warms up
    times.clear();
    for (const auto& query : queries) {
      const auto begin = Clock::now();
      SparseSearch search(plain_query(query, analyzer), {}, k);
      search.count(index);
      search.run(index, {});
      const auto found = search.take();
      times.push_back(seconds(begin) * 1e3);
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

void snapshot(const SparseIndex& index) {
  auto begin = Clock::now();
  const std::string bytes = index.save();
  print("save_seconds", seconds(begin));
  print("snapshot_megabytes", static_cast<double>(bytes.size()) / 1e6);
  begin = Clock::now();
  const auto loaded = SparseIndex::load(bytes);
  print("load_seconds", seconds(begin));
  if (!loaded) fmt::print(stderr, "{}\n", loaded.error().message);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The text index alone");
  std::string passages, queries, hits;
  std::size_t k = 10;
  bool with_snapshot = false;
  app.add_option("passages", passages)->required();
  app.add_option("queries", queries)->required();
  app.add_option("--k", k);
  app.add_option("--hits", hits, "write slots and scores here");
  app.add_flag("--snapshot", with_snapshot);
  CLI11_PARSE(app, argc, argv);
  const SparseIndex index = build(passages);
  ask(index, lines_of(queries), k, hits);
  if (with_snapshot) snapshot(index);
  return 0;
}
