// Any bytes as the snapshot of a text index, with and without checksums that fit: an error, or an index that can be used.
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "data/index/sparse/sparse_search.h"
#include "data/index/sparse/test_reseal.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa::data;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (const auto loaded = SparseIndex::load(bytes)) require(SparseIndex::load(loaded->save()).has_value());
  auto loaded = SparseIndex::load(resealed(std::move(bytes)));
  if (!loaded) return 0;
  require(loaded->memory_bytes() > 0 && SparseIndex::load(loaded->save()).has_value());
  SparseQuery query;
  query.clauses.push_back({Occur::kShould, SparseQuery::term("cat")});
  query.clauses.push_back({Occur::kMust, {.kind = SparseQuery::Kind::kPrefix, .text = "d"}});
  SparseSearch search(query, {}, 5);
  search.count(*loaded);
  search.run(*loaded, {});
  search.take();
  AnalysedText text;
  text.add("cat", 0);
  for (std::uint32_t slot = 0; slot < 64; ++slot) {
    loaded->extract(slot);
    loaded->remove(slot);
    require(loaded->put(slot + 1, text).has_value());
  }
  while (loaded->compact(10)) {
  }
  return 0;
}
