// How a snapshot of a DenseIndex lies: docs/formats/dense-index.md. Internal to this folder and to what tests it with snapshots of its own making.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "data/index/dense/node_store.h"

namespace stoa::data {

constexpr char kSnapshotMagic[8] = {'S', 'T', 'O', 'A', 'D', 'N', 'S', 'E'};
constexpr std::uint32_t kSnapshotVersion = 2;

struct SnapshotHeader {
  char magic[8];
  std::uint32_t version;
  std::uint32_t metric;
  std::uint32_t dimensions;
  std::uint32_t has_mean, linked;  // 0 or 1
  std::uint32_t nodes;
  std::uint32_t uppers;
  std::uint32_t entry;
  std::uint32_t backlog, backlog_linked;
};
static_assert(sizeof(SnapshotHeader) == 48);

struct SnapshotUpper {
  std::uint32_t node, level;
  std::uint32_t links[NodeStore::kLinks];
};

// Where the sections of a snapshot begin, in bytes. A checksum ends each of them.
struct SnapshotLayout {
  static constexpr std::size_t kSum = sizeof(std::uint64_t);
  std::size_t record_bytes, look_bytes, link_bytes, residual_bytes;  // of a node
  std::uint32_t piece_nodes, nodes, pieces;
  std::size_t mean_bytes, pieces_at, uppers, size;

  std::size_t piece(std::uint32_t number) const {
    return pieces_at + std::min(std::size_t{number} * piece_nodes, std::size_t{nodes}) * (record_bytes + look_bytes + link_bytes + residual_bytes) + number * kSum;
  }
};
// Of a header whose numbers are in their ranges.
SnapshotLayout layout(const SnapshotHeader& header);

// Four products side by side, which keep up with memory. Against accidents only: who could change a snapshot on purpose is kept out by its seal.
class SnapshotChecksum {
 public:
  void add(ByteSpan bytes) {
    std::size_t at = 0;
    auto [a, b, c, d] = lanes_;  // in registers: through memory each step would wait for the one before
    for (; at + 32 <= bytes.size(); at += 32) {
      const std::byte* const from = bytes.data() + at;
      a = mixed(a, load(from, 8));
      b = mixed(b, load(from + 8, 8));
      c = mixed(c, load(from + 16, 8));
      d = mixed(d, load(from + 24, 8));
    }
    lanes_ = {a, b, c, d};
    for (std::size_t lane = 0; at < bytes.size(); at += 8, ++lane) mix(lane, load(bytes.data() + at, std::min<std::size_t>(8, bytes.size() - at)));
    mix(0, bytes.size());
  }
  std::uint64_t value() const {
    std::uint64_t value = 0;
    for (const std::uint64_t lane : lanes_) value = (value ^ lane ^ (lane >> 32)) * kFactor;
    return value ^ (value >> 29);
  }

 private:
  static constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15;
  static std::uint64_t load(const std::byte* bytes, std::size_t count) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes, count);
    return value;
  }
  static std::uint64_t mixed(std::uint64_t lane, std::uint64_t value) { return std::rotl((lane ^ value) * kFactor, 29); }
  void mix(std::size_t lane, std::uint64_t value) { lanes_[lane] = mixed(lanes_[lane], value); }
  std::array<std::uint64_t, 4> lanes_ = {1, 2, 3, 4};
};

}  // namespace stoa::data
