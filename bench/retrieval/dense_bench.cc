// The dense index on one thread, for rows_dense.py: reads files of raw numbers, prints one JSON object.
//   dense_bench FOLDER --metric cosine|dot|l2 [--widths 16,32,...] [--runs N] [--churn] [--filters]
// FOLDER is one of vectors.py: dims.txt, base.f32, queries.f32, truth.i32 (the ten best of each query), and for --filters their names in filters.txt, filter_NAME.u64 (bits of
// slots) and filter_NAME.i32 (truth). With --churn 30 % are removed and put again.
#include <algorithm>
#include <ctime>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "data/index/dense/dense_index.h"

namespace {

using namespace stoa;
using namespace stoa::data;
// Time of this thread on a processor: what else runs on the machine does not count.
struct Clock {
  using time_point = double;
  static double now() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }
};

constexpr std::size_t kTruth = 10;
constexpr double kEnough = 0.995;  // of recall: wider searches need not be measured
constexpr double kMeasured = 0.5;  // seconds that the runs of a width take at least

double since(Clock::time_point start) { return Clock::now() - start; }

template <class T>
std::vector<T> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) {
    fmt::print(stderr, "{} cannot be read\n", path);
    std::exit(1);
  }
  std::vector<T> values(static_cast<std::size_t>(in.tellg()) / sizeof(T));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  return values;
}

std::size_t resident() {
  std::ifstream in("/proc/self/statm");
  std::size_t pages = 0;
  in >> pages >> pages;
  return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

struct Data {
  std::size_t dimensions;
  std::vector<float> base, queries;
  std::span<const float> vector(std::size_t i) const { return std::span(base).subspan(i * dimensions, dimensions); }
  std::span<const float> query(std::size_t i) const { return std::span(queries).subspan(i * dimensions, dimensions); }
  std::size_t size() const { return base.size() / dimensions; }
};

// Recall at ten and queries a second, for each width: the best of some runs, which go on for half a second, as the peers' do. A run over fast widths takes
// 20 ms, and a machine with neighbours is slow for longer than a few of these.
std::string sweep(const DenseIndex& index, const Data& data, const std::vector<std::int32_t>& truth, const std::vector<std::size_t>& widths, int runs, const SlotFilter* filter) {
  std::string out;
  const std::size_t queries = truth.size() / kTruth;
  for (const std::size_t width : widths) {
    double best = 1e9, measured = 0;
    std::size_t found = 0, wanted = 0;
    for (int run = 0; run < runs || measured < kMeasured; ++run) {
      found = wanted = 0;
      std::vector<std::vector<DenseHit>> all(queries);
      const auto start = Clock::now();
      for (std::size_t q = 0; q < queries; ++q) all[q] = index.search(data.query(q), kTruth, width, filter).value();
      const double took = since(start);
      best = std::min(best, took);
      measured += took;
      for (std::size_t q = 0; q < queries; ++q)
        for (std::size_t i = 0; i < kTruth; ++i) {
          const std::int32_t slot = truth[q * kTruth + i];
          wanted += slot >= 0;
          found += std::any_of(all[q].begin(), all[q].end(), [&](const DenseHit& hit) { return static_cast<std::int32_t>(hit.slot) == slot; });
        }
    }
    out += fmt::format("{}[{}, {:.5f}, {:.1f}]", out.empty() ? "" : ", ", width, static_cast<double>(found) / static_cast<double>(wanted), static_cast<double>(queries) / best);
    if (static_cast<double>(found) >= kEnough * static_cast<double>(wanted)) break;
  }
  return "[" + out + "]";
}

void put(DenseIndex& index, const Data& data, std::size_t slot) {
  if (const auto status = index.put(static_cast<std::uint32_t>(slot), data.vector(slot)); !status) {
    fmt::print(stderr, "{}\n", status.error().message);
    std::exit(1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: dense_bench FOLDER [--metric cosine|dot|l2] [--widths N,N] [--runs N] [--churn] [--filters]\n");
    return 2;
  }
  const std::string folder = std::string(argv[1]) + "/";
  VectorMetric metric = VectorMetric::kCosine;
  std::vector<std::size_t> widths = {10, 12, 14, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768};
  int runs = 3;
  bool churn = false, filters = false;
  for (int i = 2; i < argc; ++i) {
    const std::string name = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--metric") metric = value == "dot" ? VectorMetric::kDot : value == "l2" ? VectorMetric::kL2 : VectorMetric::kCosine;
    if (name == "--runs") runs = std::stoi(value);
    if (name == "--churn") churn = true;
    if (name == "--filters") filters = true;
    if (name == "--widths") {
      widths.clear();
      std::stringstream list(value);
      for (std::string width; std::getline(list, width, ',');) widths.push_back(std::stoul(width));
    }
  }
  Data data;
  std::ifstream(folder + "dims.txt") >> data.dimensions;
  data.base = read_file<float>(folder + "base.f32");
  data.queries = read_file<float>(folder + "queries.f32");
  const auto truth = read_file<std::int32_t>(folder + "truth.i32");

  const std::size_t before = resident();
  auto index = DenseIndex::create(static_cast<int>(data.dimensions), metric).value();
  auto start = Clock::now();
  for (std::size_t i = 0; i < data.size(); ++i) put(index, data, i);
  const double build = since(start);
  fmt::print("{{\"build_per_s\": {:.1f}, \"rss_bytes\": {}, \"memory_bytes\": {}", static_cast<double>(data.size()) / build, resident() - before, index.memory_bytes());
  fmt::print(", \"sweep\": {}", sweep(index, data, truth, widths, runs, nullptr));
  std::fflush(stdout);
  if (filters) {
    std::ifstream names(folder + "filters.txt");
    for (std::string name; names >> name;) {
      const auto words = read_file<std::uint64_t>(folder + "filter_" + name + ".u64");
      SlotFilter filter{words};
      for (const auto word : words) filter.count += static_cast<std::size_t>(std::popcount(word));
      fmt::print(", \"filter_{}\": {}", name, sweep(index, data, read_file<std::int32_t>(folder + "filter_" + name + ".i32"), widths, runs, &filter));
    }
  }
  {
    Bytes snapshot;
    start = Clock::now();
    const auto saved = index.save([&](ByteSpan piece) {
      snapshot.insert(snapshot.end(), piece.begin(), piece.end());
      return Status();
    });
    fmt::print(", \"save_seconds\": {:.4f}", saved ? since(start) : -1);
    double open = 1e9;
    for (int run = 0; run < runs; ++run) {
      start = Clock::now();
      const auto opened = DenseIndex::load(snapshot);
      if (opened) open = std::min(open, since(start));
    }
    fmt::print(", \"snapshot_bytes\": {}, \"open_seconds\": {:.4f}", snapshot.size(), open);
  }
  std::fflush(stdout);
  if (churn) {
    start = Clock::now();
    const std::size_t part = data.size() * 3 / 10;
    double longest = 0;
    for (std::size_t i = 0; i < part; ++i) {
      const auto one = Clock::now();
      index.remove(static_cast<std::uint32_t>(i));
      longest = std::max(longest, since(one));
    }
    for (std::size_t i = 0; i < part; ++i) {
      const auto one = Clock::now();
      put(index, data, i);
      longest = std::max(longest, since(one));
    }
    fmt::print(", \"churn_seconds\": {:.3f}, \"churn_longest_ms\": {:.3f}, \"churn_memory_bytes\": {}", since(start), longest * 1000, index.memory_bytes());
    fmt::print(", \"churn_sweep\": {}", sweep(index, data, truth, widths, runs, nullptr));
  }
  fmt::print("}}\n");
  return 0;
}
