#include "data/index/dense/dense_snapshot.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "data/index/dense/dense_state.h"

namespace stoa::data {

namespace {

static_assert(std::endian::native == std::endian::little, "snapshots are written as numbers lie in memory");

template <class T>
ByteSpan bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

class Writer {
 public:
  explicit Writer(const std::function<Status(ByteSpan)>& sink) : sink_(sink) {}
  Status write(ByteSpan bytes) {
    sum_.add(bytes);
    return bytes.empty() ? Status() : sink_(bytes);
  }
  Status end_section() {
    const std::uint64_t value = std::exchange(sum_, {}).value();
    return sink_(bytes_of(value));
  }

 private:
  const std::function<Status(ByteSpan)>& sink_;
  SnapshotChecksum sum_;
};

template <class... Args>
std::unexpected<Error> damaged(fmt::format_string<Args...> format, Args&&... args) {
  return fail(error(ErrorCode::kDataLoss, format, std::forward<Args>(args)...).in("snapshot of a dense index").with_hint("build the index anew from its vectors"));
}

// Section by section of a snapshot of known size.
class Reader {
 public:
  explicit Reader(ByteSpan bytes) : rest_(bytes) {}
  ByteSpan take(std::size_t count) {
    const ByteSpan taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    sum_.add(taken);
    return taken;
  }
  void copy(std::span<std::byte> to) {
    const ByteSpan from = take(to.size());
    if (!to.empty()) std::memcpy(to.data(), from.data(), from.size());
  }
  bool section_holds() {
    const std::uint64_t value = std::exchange(sum_, {}).value();
    std::uint64_t said;
    std::memcpy(&said, rest_.data(), sizeof said);
    rest_ = rest_.subspan(sizeof said);
    return said == value;
  }

 private:
  ByteSpan rest_;
  SnapshotChecksum sum_;
};

// What one thread learns of the pieces it opens.
struct Found {
  std::size_t live = 0;
  std::vector<std::uint32_t> free, removed;
  std::uint32_t bad_piece = kNoNode;
};

bool links_hold(std::span<const std::byte> links, std::uint32_t nodes) {
  // kNoNode + 1 is 0. No branch, so that the compiler may take many at once.
  std::uint32_t greatest = 0;
  for (std::size_t at = 0; at < links.size(); at += sizeof(std::uint32_t)) {
    std::uint32_t link;
    std::memcpy(&link, links.data() + at, sizeof link);
    greatest = std::max(greatest, link + 1);
  }
  return greatest <= nodes;
}

bool open_piece(ByteSpan bytes, const SnapshotHeader& header, std::uint32_t first, std::uint32_t count, DenseState& state, Found& found) {
  Reader reader(bytes);
  const NodeStore::Piece piece = state.store.restore_piece(first, count);
  for (const auto part : {piece.records, piece.links, piece.residuals}) reader.copy(part);
  if (!reader.section_holds() || !links_hold(piece.links, header.nodes)) return false;
  for (std::uint32_t node = first; node < first + count; ++node) {
    if (!state.coder.plausible(state.store.record(node), state.store.residual(node))) return false;
    const std::uint32_t slot = state.store.state(node);
    if (slot == kFreeNode) {
      found.free.push_back(node);
    } else if (slot == kRemovedNode) {
      found.removed.push_back(node);
    } else if (!is_slot(slot) || !state.store.restore_slot(slot, node)) {
      return false;
    } else {
      ++found.live;
    }
  }
  return true;
}

bool open_uppers(ByteSpan bytes, const SnapshotHeader& header, DenseState& state) {
  Reader reader(bytes);
  std::vector<SnapshotUpper> uppers(header.uppers);
  reader.copy(std::as_writable_bytes(std::span(uppers)));
  if (!reader.section_holds()) return false;
  std::uint32_t last = 0;
  for (const SnapshotUpper& upper : uppers) {
    // Nodes ascend, and each begins with its highest layer.
    if (upper.node >= header.nodes || upper.node < last || upper.level < 1 || upper.level > NodeStore::kMaxLevel) return false;
    if (state.store.level(upper.node) == 0) state.store.raise(upper.node, static_cast<int>(upper.level));
    last = upper.node;
    const auto links = state.store.links(upper.node, static_cast<int>(upper.level));
    if (links.empty() || !links_hold(std::as_bytes(std::span(upper.links)), header.nodes)) return false;
    for (std::size_t i = 0; i < links.size(); ++i) links[i].store(upper.links[i], std::memory_order_relaxed);
  }
  return true;
}

Result<SnapshotHeader> read_header(ByteSpan snapshot) {
  SnapshotHeader header;
  if (snapshot.size() < sizeof header) return damaged("{} bytes are no whole header", snapshot.size());
  std::memcpy(&header, snapshot.data(), sizeof header);
  if (std::memcmp(header.magic, kSnapshotMagic, sizeof kSnapshotMagic) != 0) return damaged("it does not begin as one");
  if (header.version != kSnapshotVersion)
    return fail(error(ErrorCode::kUnsupported, "snapshot of a dense index: version {}, this program reads {}", header.version, kSnapshotVersion)
                    .with_hint("build the index anew from its vectors"));
  if (header.metric > static_cast<std::uint32_t>(VectorMetric::kL2) || header.dimensions < 1 || header.dimensions > DenseIndex::kMaxDimensions || header.has_mean > 1 ||
      header.linked > 1 || header.nodes > DenseIndex::kMaxSlot || (header.entry != kNoNode && header.entry >= header.nodes) || header.backlog > header.nodes ||
      header.backlog_linked > header.backlog || (header.linked == 0 && (header.uppers != 0 || header.entry != kNoNode)))
    return damaged("its header does not hold");
  return header;
}

}  // namespace

SnapshotLayout layout(const SnapshotHeader& header) {
  const VectorCoder coder(static_cast<int>(header.dimensions), VectorMetric::kDot, {}, plain_code_kernels());
  const NodeStore store(coder, header.linked != 0);
  SnapshotLayout at;
  at.record_bytes = store.record_bytes();
  at.link_bytes = header.linked != 0 ? sizeof(NodeStore::Link) * NodeStore::kBaseLinks : 0;
  at.residual_bytes = store.residual_bytes();
  at.piece_nodes = store.piece_nodes();
  at.nodes = header.nodes;
  at.pieces = (header.nodes + at.piece_nodes - 1) / at.piece_nodes;
  at.mean_bytes = std::size_t{header.has_mean} * header.dimensions * sizeof(float);
  at.pieces_at = sizeof header + at.mean_bytes + SnapshotLayout::kSum;
  at.uppers = at.piece(at.pieces);
  at.size = at.uppers + header.uppers * sizeof(SnapshotUpper) + SnapshotLayout::kSum;
  return at;
}

Status DenseIndex::save(const std::function<Status(ByteSpan)>& sink) const {
  const ContextPool::Lease lease(impl_->contexts);
  const auto lock = impl_->write_alone();
  const DenseState& now = *impl_->state.load(std::memory_order_acquire);
  const std::uint32_t nodes = now.store.end();
  std::vector<SnapshotUpper> uppers;
  for (std::uint32_t node = 0; now.linked && node < nodes; ++node)
    for (int level = now.store.level(node); level > 0; --level) {
      SnapshotUpper& upper = uppers.emplace_back(SnapshotUpper{node, static_cast<std::uint32_t>(level), {}});
      std::ranges::transform(now.store.links(node, level), upper.links, [](const auto& link) { return link.load(std::memory_order_relaxed); });
    }
  const std::vector<float>& mean = now.coder.mean();
  SnapshotHeader header = {{}, kSnapshotVersion, static_cast<std::uint32_t>(impl_->metric), static_cast<std::uint32_t>(impl_->dimensions), !mean.empty(), now.linked, nodes,
                   static_cast<std::uint32_t>(uppers.size()), now.graph.entry(), now.backlog, now.backlog_linked.load(std::memory_order_acquire)};
  std::memcpy(header.magic, kSnapshotMagic, sizeof kSnapshotMagic);
  Writer writer(sink);
  STOA_CHECK(writer.write(bytes_of(header)));
  STOA_CHECK(writer.write(std::as_bytes(std::span(mean))));
  STOA_CHECK(writer.end_section());
  for (std::uint32_t first = 0; first < nodes; first += now.store.piece_nodes()) {
    const NodeStore::Piece piece = now.store.piece(first, std::min(now.store.piece_nodes(), nodes - first));
    for (const auto part : {piece.records, piece.links, piece.residuals}) STOA_CHECK(writer.write(part));
    STOA_CHECK(writer.end_section());
  }
  STOA_CHECK(writer.write(std::as_bytes(std::span(uppers))));
  return writer.end_section();
}

Result<DenseIndex> DenseIndex::load(ByteSpan snapshot, int threads) {
  STOA_TRY(header, read_header(snapshot));
  const SnapshotLayout at = layout(header);
  if (snapshot.size() != at.size) return damaged("it has {} bytes where its header says {}", snapshot.size(), at.size);
  Reader head(snapshot);
  head.take(sizeof header);
  std::vector<float> mean(header.has_mean * header.dimensions);
  head.copy(std::as_writable_bytes(std::span(mean)));
  if (!head.section_holds()) return damaged("the checksum of its header does not hold");
  double square = 0;
  for (const float value : mean) square += static_cast<double>(value) * value;
  if (!(square <= 2 * VectorCoder::kGreatestSquare)) return damaged("its mean does not hold");

  auto impl = std::make_unique<Impl>(static_cast<int>(header.dimensions), static_cast<VectorMetric>(header.metric));
  auto state = std::make_unique<DenseState>(static_cast<int>(header.dimensions), static_cast<VectorMetric>(header.metric), std::move(mean), header.linked != 0);
  std::vector<Found> found(static_cast<std::size_t>(std::clamp<std::int64_t>(threads, 1, std::max(1u, at.pieces))));
  std::atomic<std::uint32_t> next = 0;
  const auto open = [&](Found& mine) {
    for (std::uint32_t piece; (piece = next.fetch_add(1)) < at.pieces;) {
      const std::uint32_t first = piece * at.piece_nodes, count = std::min(at.piece_nodes, header.nodes - first);
      if (!open_piece(snapshot.subspan(at.piece(piece), at.piece(piece + 1) - at.piece(piece)), header, first, count, *state, mine)) {
        mine.bad_piece = piece;
        return;
      }
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (std::size_t i = 1; i < found.size(); ++i) helpers.emplace_back([&, i] { open(found[i]); });
    open(found[0]);
  }
  Found all;
  for (const Found& part : found) {
    if (part.bad_piece != kNoNode) return damaged("nodes from {} on do not hold", part.bad_piece * at.piece_nodes);
    all.live += part.live;
    all.free.insert(all.free.end(), part.free.begin(), part.free.end());
    all.removed.insert(all.removed.end(), part.removed.begin(), part.removed.end());
  }
  state->store.restore_end(header.nodes, all.live, std::move(all.free));
  if (!open_uppers(snapshot.subspan(at.uppers), header, *state)) return damaged("its upper layers do not hold");
  state->graph.restore(header.entry, header.nodes);
  for (const std::uint32_t node : all.removed) header.linked != 0 ? state->graph.removed(node) : state->store.give_back({&node, 1});
  state->backlog = header.backlog;
  state->backlog_taken = state->backlog_linked = header.backlog_linked;
  impl->replace(std::move(state));
  return DenseIndex(std::move(impl));
}

}  // namespace stoa::data
