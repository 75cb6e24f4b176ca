// Any bytes as the snapshot of a collection, behind a head that fits: an error, or an index that can be searched and written to.
#include <cstddef>
#include <cstdint>
#include <utility>

#include "data/index/index.h"
#include "require.h"

namespace {

class Source : public stoa::data::SnapshotSource {
 public:
  explicit Source(stoa::ByteSpan bytes) : rest_(bytes) {}
  stoa::Result<stoa::ByteSpan> take(std::size_t count) override {
    if (count > rest_.size()) return stoa::fail(stoa::ErrorCode::kDataLoss, "the end");
    return std::exchange(rest_, rest_.subspan(count)).first(count);
  }
  std::uint64_t left() const override { return rest_.size(); }

 private:
  stoa::ByteSpan rest_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa::data;
  Index index;
  require(index.add_collection("c", "p").has_value());
  // The head names what makes words, the last three numbers say that nothing follows.
  stoa::Bytes bytes;
  require(index.save("c", [&](stoa::ByteSpan piece) -> stoa::Status {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
    return {};
  }).has_value());
  bytes.resize(bytes.size() - 24);
  const auto rest = std::as_bytes(std::span(data, size));
  bytes.insert(bytes.end(), rest.begin(), rest.end());
  Source source(bytes);
  if (!index.load("c", source)) return 0;
  const stoa::Principal everybody{"u", "t", "p", "ann", {"eng"}, "viewer"};
  const std::vector<std::string> collections{"c"};
  (void)index.search_text({everybody, collections}, "tax room");
  (void)index.search_vector({everybody, collections}, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
  for (const auto& [id, state] : index.documents("c")) index.remove("c", id);
  require(index.put("c", {"d", {}, {}, {{1, "tax", {}}}}).has_value());
  return 0;
}
