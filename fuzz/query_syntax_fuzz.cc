// Any bytes as a query: an error that names a place, or a tree within its bounds that can be searched for.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "data/index/sparse/query_syntax.h"
#include "data/index/sparse/sparse_search.h"
#include "require.h"

namespace {

using namespace stoa::data;

std::size_t leaves(const SparseQuery& query, std::size_t depth) {
  require(depth <= kMaxQueryDepth * 2 + 2 && query.boost > 0);
  if (query.kind != SparseQuery::Kind::kBoolean) return query.kind == SparseQuery::Kind::kPhrase ? query.words.size() : 1;
  std::size_t count = 0;
  for (const auto& clause : query.clauses) count += leaves(clause.query, depth + 1);
  return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Analyzer analyzer;
  static const SparseIndex index = [] {
    SparseIndex made;
    AnalysedText text;
    for (std::uint32_t slot = 0; slot < 40; ++slot) {
      analyzer.analyse(slot % 2 ? "the quick brown fox and a dog" : "words of another passage, fox fox", Analyzer::Purpose::kPassage, text);
      require(made.put(slot, text).has_value());
    }
    return made;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  require(plain_query(text, analyzer).clauses.size() <= kMaxQueryTerms);
  const auto query = parse_query(text, analyzer);
  if (!query) {
    require(!query.error().message.empty());
    return 0;
  }
  require(leaves(*query, 0) <= kMaxQueryTerms);
  SparseSearch search(*query, {}, 5);
  search.count(index);
  search.run(index, {});
  require(search.take().size() <= 5);
  return 0;
}
