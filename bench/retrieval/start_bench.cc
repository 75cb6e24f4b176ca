// How long a collection takes from its sealed snapshot to the first answer: start_bench VECTORS PASSAGES [--count N] [--runs 3] [--work FOLDER].
// VECTORS holds rows of 384 32-bit floats, PASSAGES a text in each line; forty of both are a document. The index is filled, its snapshot written and then opened as at a start, with the
// file in the system's memory; once more with vectors alone. Prints "name value" lines.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/id.h"
#include "base/parallel.h"
#include "data/sources/index_snapshots.h"
#include "infra/keys/keys.h"
#include "infra/sql/sqlite/sqlite.h"

namespace {

using namespace stoa;
using namespace stoa::data;

constexpr std::size_t kDimensions = 384, kOfDocument = 40;
const std::string kCollection = "vs_1", kProject = "proj_a";
const Principal kAnn{"user_1", "tenant_1", kProject, "ann", {}, "viewer"};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
void print(const std::string& name, double value) {
  fmt::print("{} {:.6g}\n", name, value);
  std::fflush(stdout);
}

struct Options {
  std::filesystem::path vectors, passages, work = std::filesystem::temp_directory_path();
  std::size_t count = 1'000'000;
  int runs = 3;
};

// Without texts a passage is one word.
Status fill(Index& index, const Options& options, bool with_texts, std::vector<float>& query) {
  std::ifstream vectors(options.vectors, std::ios::binary), passages(options.passages);
  STOA_CHECK(index.add_collection(kCollection, kProject, "english", "model"));
  std::vector<IndexedDocument> documents;
  for (std::size_t i = 0; i < options.count; ++i) {
    std::vector<float> vector(kDimensions);
    std::string text = "word";
    if (!vectors.read(reinterpret_cast<char*>(vector.data()), kDimensions * sizeof(float)) || (with_texts && !std::getline(passages, text)))
      return fail(ErrorCode::kInvalidArgument, "fewer than {} vectors or passages", options.count);
    if (i == 0) query = vector;
    if (i % kOfDocument == 0) documents.push_back({fmt::format("doc_{}", documents.size()), *AccessList::parse("public"), {{"year", static_cast<double>(i % 20)}}, {}});
    documents.back().chunks.push_back({static_cast<ChunkKey>(i + 1), std::move(text), std::move(vector)});
  }
  const int threads = static_cast<int>(std::thread::hardware_concurrency());
  if (!in_parallel(documents.size(), threads, [&](std::size_t i) { return index.put(kCollection, std::move(documents[i])).has_value(); }))
    return fail(ErrorCode::kInternal, "a document was refused");
  return {};
}

Status open_anew(const std::filesystem::path& folder, governance::Sealer& sealer, const governance::ProjectKeys& keys, const Options& options, bool with_texts,
                 const std::vector<float>& query) {
  const std::string name = with_texts ? "words_and_vectors" : "vectors";
  double best = std::numeric_limits<double>::max();
  for (int run = 0; run < options.runs; ++run) {
    Index index;
    STOA_CHECK(index.add_collection(kCollection, kProject, "english", "model"));
    STOA_TRY(snapshots, IndexSnapshots::open(folder, index, sealer));
    const double begin = now();
    if (!snapshots->load(keys, kCollection)) return fail(ErrorCode::kInternal, "the snapshot was not taken");
    const std::vector<std::string> collections{kCollection};
    STOA_TRY(found, index.search_vector({kAnn, collections}, query));
    best = std::min(best, now() - begin);
    if (found.empty() || found.front().key != 1) return fail(ErrorCode::kInternal, "the first vector does not find itself");
  }
  print("start_with_" + name + "_seconds", best);
  return {};
}

Status run(const Options& options, const std::filesystem::path& folder) {
  auto keys = infra::open_memory_keys();
  STOA_TRY(sql, infra::open_sqlite(folder / "stoa.db"));
  STOA_TRY(sealer, governance::Sealer::open(*sql, *keys));
  STOA_TRY(project, sealer->project(kProject));
  print("threads", std::thread::hardware_concurrency());
  for (const bool with_texts : {true, false}) {
    std::vector<float> query;
    {
      Index index;
      STOA_CHECK(fill(index, options, with_texts, query));
      STOA_TRY(snapshots, IndexSnapshots::open(folder, index, *sealer));
      const double begin = now();
      STOA_CHECK(snapshots->save(project, kCollection));
      if (with_texts) {
        print("save_seconds", now() - begin);
        print("file_megabytes", static_cast<double>(std::filesystem::file_size(folder / (kCollection + ".snapshot"))) / 1e6);
      }
    }
    STOA_CHECK(open_anew(folder, *sealer, project, options, with_texts, query));
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("From a sealed snapshot to the first answer");
  Options options;
  app.add_option("vectors", options.vectors)->required();
  app.add_option("passages", options.passages)->required();
  app.add_option("--count", options.count);
  app.add_option("--runs", options.runs, "how often it is opened; the best time counts");
  app.add_option("--work", options.work, "where the folder of the snapshot is made");
  CLI11_PARSE(app, argc, argv);
  const auto folder = options.work / new_id("start_bench");
  std::filesystem::create_directories(folder);
  const Status done = run(options, folder);
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  if (!done) fmt::print(stderr, "{}\n", done.error().message);
  return done ? 0 : 1;
}
