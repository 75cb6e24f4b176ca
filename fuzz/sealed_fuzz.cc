// Sealed values, records and blobs from a data folder that somebody has changed: nothing opens but what was sealed, in its place.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "governance/protection/memory_protection.h"
#include "governance/protection/sealed_table.h"
#include "infra/sql/sqlite/sqlite.h"
#include "require.h"

namespace {

using namespace stoa;
using namespace stoa::governance;

constexpr std::uint64_t kMost = 1 << 20;

infra::SecretKey key(std::uint8_t byte) { return *infra::SecretKey::from(Bytes(infra::SecretKey::kBytes, std::byte{byte})); }

struct World {
  std::unique_ptr<infra::SqlDatabase> sql = *infra::open_memory();
  MemoryProtection protection{*sql};
  ProjectKeys keys{"proj_a", key(1), {{1, key(2)}, {2, key(3)}}, 2};
  const std::string digest = protection.blobs.put(keys, as_bytes(std::string(100'000, 'x')))->digest;
  const std::string address = SealedBlobs::address_of(keys, digest);
  const Bytes blob = *protection.store->read(address, 0, kMost);

  void place(ByteSpan bytes) {
    auto writer = *protection.store->writer();
    require(writer->write(bytes).has_value() && writer->commit_as(address).has_value());
  }
};

// `sealed` with the bytes of `change` from the place that its first two say.
Bytes changed(ByteSpan sealed, ByteSpan change) {
  Bytes out(sealed.begin(), sealed.end());
  if (change.size() < 3 || out.empty()) return out;
  const std::size_t at = (std::to_integer<std::size_t>(change[0]) << 8 | std::to_integer<std::size_t>(change[1])) % out.size();
  const auto bytes = change.subspan(2, std::min(change.size() - 2, out.size() - at));
  std::ranges::copy(bytes, out.begin() + static_cast<std::ptrdiff_t>(at));
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  const ByteSpan input(reinterpret_cast<const std::byte*>(data), size);
  SealedBlobs& blobs = world.protection.blobs;

  (void)sealed_version(input);
  require(!world.keys.open("row:1", input));
  require(!open_record(world.keys, "row:1", input, 2));
  if (const auto fields = unpack_record(input, 2)) require(fields->size() >= 2 && (*fields)[0].size() + (*fields)[1].size() <= size);
  const Bytes sealed = *world.keys.seal("row:1", input);
  require(*world.keys.open("row:1", sealed) == Bytes(input.begin(), input.end()) && !world.keys.open("row:2", sealed));
  if (const Bytes other = changed(sealed, input); other != sealed) require(!world.keys.open("row:1", other));

  for (const Bytes& bytes : {Bytes(input.begin(), input.end()), changed(world.blob, input)}) {
    world.place(bytes);
    const bool same = bytes == world.blob;
    require(blobs.get(world.keys, world.digest, kMost).has_value() == same);
    (void)blobs.size(world.keys, world.digest);
    (void)blobs.is_sealed(world.address);
    // Each segment vouches for itself: a part that opens is the part that was sealed.
    for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{70'000}, std::uint64_t{99'999}})
      if (const auto part = blobs.read(world.keys, world.digest, offset, 1000))
        require(part->size() <= 1000 && std::ranges::all_of(*part, [](std::byte b) { return b == std::byte{'x'}; }));
  }
  return 0;
}
