// Any bytes as a snapshot of a dense index, with right checksums so that the rest is looked at: an error, or an index that can be searched, written to and saved again.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "data/index/dense/test_reseal.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa;
  using namespace stoa::data;
  std::vector<std::byte> snapshot(size);
  if (size > 0) std::memcpy(snapshot.data(), data, size);
  reseal(snapshot);
  auto index = DenseIndex::load(snapshot);
  if (!index) return 0;
  const auto dimensions = static_cast<std::size_t>(index->dimensions());
  std::vector<float> vector(dimensions, 0.25f);
  vector[0] = -1;
  const auto hits = index->search(vector, 10, 32);
  require(hits.has_value() && hits->size() <= index->size());
  require(index->put(1, vector).has_value());
  index->remove(0);
  std::size_t bytes = 0;
  require(index->save([&](ByteSpan piece) {
    bytes += piece.size();
    return Status();
  }).has_value());
  require(bytes > 0);
  return 0;
}
