// Many small collections in one index: collections_bench PASSAGES.txt [--collections 5000] [--passages 10] [--dimensions 384]. What each of them takes, and what a search of one costs with and
// without the others. Texts are lines of the file, vectors are random. Prints "name value" lines.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "data/index/index.h"

namespace {

using namespace stoa;
using namespace stoa::data;

double resident() {
  malloc_trim(0);
  std::ifstream in("/proc/self/statm");
  double pages = 0;
  in >> pages >> pages;
  return pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

struct Options {
  std::string texts;
  std::size_t collections = 5000, passages = 10, dimensions = 384;
};

class Collections {
 public:
  explicit Collections(const Options& options) : options_(options), file_(options.texts) {}

  std::vector<float> vector() {
    std::normal_distribution<float> normal;
    std::vector<float> made(options_.dimensions);
    for (float& value : made) value = normal(random_);
    return made;
  }
  Status add(Index& index, const std::string& id) {
    STOA_CHECK(index.add_collection(id, "proj_a"));
    IndexedDocument document{.id = "doc_" + id, .access = *AccessList::parse("public"), .attributes = {}, .chunks = {}};
    for (std::size_t i = 0; i < options_.passages; ++i) {
      IndexedChunk chunk{.key = ++key_, .text = {}, .vector = vector()};
      if (!std::getline(file_, chunk.text)) return fail(ErrorCode::kInvalidArgument, "{} has too few lines", options_.texts);
      document.chunks.push_back(std::move(chunk));
    }
    return index.put(id, std::move(document));
  }
  // The median time of a search of words and one of vectors in a collection, in microseconds.
  Result<double> search(const Index& index, const std::string& id) {
    const Principal who{"user_1", "tenant_1", "proj_a", "ann", {}, "developer"};
    const std::vector<std::string> ids{id};
    std::vector<double> times;
    for (int i = 0; i < 2001; ++i) {
      const std::vector<float> asked = vector();
      const auto begin = std::chrono::steady_clock::now();
      STOA_TRY(near, index.search_vector({who, ids}, asked));
      STOA_TRY(found, index.search_text({who, ids}, "what is the use of a pointer to the first element"));
      times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count());
      if (near.size() != std::min<std::size_t>(10, options_.passages) || found.size() > near.size()) return fail(ErrorCode::kInternal, "{} and {} found", near.size(), found.size());
    }
    std::ranges::nth_element(times, times.begin() + 1000);
    return times[1000];
  }

 private:
  const Options& options_;
  std::ifstream file_;
  std::mt19937 random_{3};
  ChunkKey key_ = 0;
};

Status run(const Options& options) {
  Collections collections(options);
  Index index;
  STOA_CHECK(collections.add(index, "vs_first"));
  STOA_TRY(alone, collections.search(index, "vs_first"));
  const double before = resident();
  for (std::size_t i = 0; i < options.collections; ++i) STOA_CHECK(collections.add(index, fmt::format("vs_{:026}", i)));
  fmt::print("bytes_per_collection {}\n", (resident() - before) / static_cast<double>(options.collections));
  STOA_TRY(beside, collections.search(index, "vs_first"));
  fmt::print("search_alone_us {}\nsearch_beside_us {}\n", alone, beside);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Many small collections in one index");
  Options options;
  app.add_option("texts", options.texts)->required();
  app.add_option("--collections", options.collections);
  app.add_option("--passages", options.passages);
  app.add_option("--dimensions", options.dimensions);
  CLI11_PARSE(app, argc, argv);
  const Status done = run(options);
  if (!done) fmt::print(stderr, "{}\n", done.error().message);
  return done ? 0 : 1;
}
