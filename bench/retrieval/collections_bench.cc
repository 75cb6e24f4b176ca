// Many small collections in one index: collections_bench PASSAGES.txt [--collections 5000] [--passages 10] [--dimensions 384]. What each of them takes, and what a search of one costs with and
// without the others. With --owners N: one collection of documents that N principals brought in, every other one for a group, beside one with the same documents of one owner; --passages of
// each; searched by somebody in the group, and by somebody outside. Texts are lines of the file, vectors are random. Prints "name value" lines.
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
  std::size_t collections = 5000, passages = 10, dimensions = 384, owners = 0;
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
  Result<IndexedDocument> document(const std::string& id, std::string_view readers = "public") {
    IndexedDocument document{.id = "doc_" + id, .access = *AccessList::parse(readers), .attributes = {}, .chunks = {}};
    for (std::size_t i = 0; i < options_.passages; ++i) {
      IndexedChunk chunk{.key = ++key_, .text = {}, .vector = vector()};
      if (!std::getline(file_, chunk.text)) return fail(ErrorCode::kInvalidArgument, "{} has too few lines", options_.texts);
      document.chunks.push_back(std::move(chunk));
    }
    return document;
  }
  Status add(Index& index, const std::string& id) {
    STOA_CHECK(index.add_collection(id, "proj_a"));
    STOA_TRY(made, document(id));
    return index.put(id, std::move(made));
  }
  // The median time of a search of words and one of vectors in a collection, in microseconds.
  Result<double> search(const Index& index, const std::string& id, std::vector<std::string> groups = {}) {
    const Principal who{"user_1", "tenant_1", "proj_a", "ann", std::move(groups), "developer"};
    const std::vector<std::string> ids{id};
    std::vector<double> times;
    for (int i = 0; i < kSearches; ++i) {
      const std::vector<float> asked = vector();
      const auto begin = std::chrono::steady_clock::now();
      STOA_TRY(near, index.search_vector({who, ids}, asked));
      STOA_TRY(found, index.search_text({who, ids}, "what is the use of a pointer to the first element"));
      times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count());
      if (near.size() != std::min<std::size_t>(10, options_.passages * std::max<std::size_t>(1, options_.owners)) || found.size() > near.size()) return fail(ErrorCode::kInternal, "{} and {} found", near.size(), found.size());
    }
    std::ranges::nth_element(times, times.begin() + kSearches / 2);
    return times[kSearches / 2];
  }

 private:
  static constexpr int kSearches = 1001;
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

Status run_owners(const Options& options) {
  Collections collections(options);
  Index index;
  STOA_CHECK(index.add_collection("vs_many", "proj_a"));
  STOA_CHECK(index.add_collection("vs_one", "proj_a"));
  for (std::size_t i = 0; i < options.owners; ++i) {
    STOA_TRY(made, collections.document(fmt::format("{}", i), i % 2 == 0 ? "public" : "group:eng"));
    made.owner = fmt::format("user_{}", i);
    STOA_CHECK(index.put("vs_many", made));
    made.owner = "user_0";
    STOA_CHECK(index.put("vs_one", std::move(made)));
  }
  for (const bool inside : {true, false}) {
    const std::vector<std::string> groups(inside ? 1 : 0, "eng");
    STOA_TRY(one, collections.search(index, "vs_one", groups));
    STOA_TRY(many, collections.search(index, "vs_many", groups));
    fmt::print("one_owner_{0}_us {1}\nmany_owners_{0}_us {2}\n", inside ? "inside" : "outside", one, many);
  }
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
  app.add_option("--owners", options.owners);
  CLI11_PARSE(app, argc, argv);
  const Status done = options.owners > 0 ? run_owners(options) : run(options);
  if (!done) fmt::print(stderr, "{}\n", done.error().message);
  return done ? 0 : 1;
}
