// Snapshots that were changed and yet have right checksums, for tests of what else is checked.
#pragma once

#include <cstring>
#include <span>

#include "data/index/dense/dense_snapshot.h"

namespace stoa::data {

// Writes the checksums anew where the header and the size agree; else leaves the snapshot as it is.
inline void reseal(std::span<std::byte> snapshot) {
  SnapshotHeader header;
  if (snapshot.size() < sizeof header) return;
  std::memcpy(&header, snapshot.data(), sizeof header);
  if (header.dimensions < 1 || header.dimensions > DenseIndex::kMaxDimensions || header.has_mean > 1 || header.nodes > DenseIndex::kMaxSlot) return;
  const SnapshotLayout at = layout(header);
  if (snapshot.size() != at.size) return;
  const auto seal = [&](std::size_t from, std::initializer_list<std::size_t> parts) {
    SnapshotChecksum sum;
    for (const std::size_t part : parts) {
      sum.add(snapshot.subspan(from, part));
      from += part;
    }
    const std::uint64_t value = sum.value();
    std::memcpy(snapshot.data() + from, &value, sizeof value);
  };
  seal(0, {sizeof header, at.mean_bytes});
  for (std::uint32_t piece = 0; piece < at.pieces; ++piece) {
    const std::size_t count = std::min(at.piece_nodes, at.nodes - piece * at.piece_nodes);
    seal(at.piece(piece), {count * at.record_bytes, count * at.look_bytes, count * at.link_bytes, count * at.residual_bytes});
  }
  seal(at.uppers, {at.size - at.uppers - SnapshotLayout::kSum});
}

}  // namespace stoa::data
